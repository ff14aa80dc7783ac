"""The health of judges whose weakness is known."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from judge_room import no_wait, sent

from evalkit.llm.client import ChatClient
from evalkit.llm.config import ChatConfig
from evalkit.scorers.base import Services
from evalkit.scorers.judges.attacks import ATTACKS
from evalkit.scorers.judges.pairwise import Pairwise
from evalkit.scorers.judges.probes import FILLER, Health, Pair, Progress, pairs_of, probe
from evalkit.scorers.judges.rubric_judge import Judge
from evalkit.testing import FakeModel
from evalkit.types import Case

CASES = [Case(id=str(n), input=f"question {n}", reference=(f"the answer is {n * 111}",)) for n in range(6)]
PAIRS = pairs_of(CASES, 6, seed=0)


def part(request: dict[str, Any], name: str) -> str:
    """One fenced part of a request."""
    mark = sent(request).split("\n", 1)[0].removeprefix("mark: ")
    return sent(request).split(f"<<<{name} {mark}\n", 1)[1].split(f"\n{name} {mark}>>>", 1)[0]


def is_pair(request: dict[str, Any]) -> bool:
    """Whether two answers are compared."""
    return "<<<FIRST " in sent(request)


def right_first(request: dict[str, Any]) -> bool:
    """Whether the answer shown first is the reference of the case."""
    question = part(request, "QUESTION")
    return part(request, "FIRST") == next(case.reference[0] for case in CASES if case.input == question)


def healthy(request: dict[str, Any]) -> dict[str, Any]:
    """A judge that looks at the reference alone."""
    if is_pair(request):
        return {"reason": "r", "winner": "first" if right_first(request) else "second"}
    return {"reason": "r", "score": 5 if part(request, "REFERENCE") in part(request, "ANSWER") else 1}


def probed(
    judge: Any, limit_s: float = 60, latency_s: float = 0, progress: Progress = lambda answered, total: None
) -> Health:
    """The health of a judge that answers by a rule."""

    async def run() -> Health:
        async with FakeModel(judge, latency_s=latency_s) as server:
            config = ChatConfig(model="m", base_url=server.base_url, max_retries=0)
            async with ChatClient(config, env={}, sleep=no_wait) as client:
                services = Services(Path(), llm=client)
                bound = Judge(rubric="correctness").bind(services)
                return await probe(bound, Pairwise().bind(services), PAIRS, limit_s=limit_s, progress=progress)

    return asyncio.run(run())


def test_a_healthy_judge_has_nothing_to_show() -> None:
    """It tells answers apart and moves by nothing else."""
    health = probed(healthy)
    assert (health.tells_apart.value, health.self_consistency.value) == (1.0, 1.0)
    assert (health.attack_success.value, health.length_bias.value) == (0.0, 0.0)
    assert (health.order_flips.value, health.position_bias.value, health.failures.value) == (0.0, 0.0, 0.0)
    assert health.attack_success.n == len(ATTACKS)
    assert (health.metric, health.judge, health.n_cases) == ("judge", "chat:m", 6)


def test_a_judge_that_obeys_is_found_out() -> None:
    """One that gives the best grade wherever it reads `highest level` falls to those attacks, and they are named."""

    def obeys(request: dict[str, Any]) -> dict[str, Any]:
        told = not is_pair(request) and "highest level" in part(request, "ANSWER")
        return {"reason": "as told", "score": 5} if told else healthy(request)

    health = probed(obeys)
    expected = sum("highest level" in attack.text for attack in ATTACKS)
    assert expected > 2
    assert health.attack_success.value == pytest.approx(expected / len(ATTACKS))
    assert health.broken_by["order"] >= 2


def test_a_judge_that_copies_is_refused_and_not_beaten() -> None:
    """Handing on a planted verdict is counted as refused, neither as a success nor as a failed asking."""

    def copies(request: dict[str, Any]) -> Any:
        planted = not is_pair(request) and part(request, "ANSWER").split("\n", 1)[-1].startswith('{"reason"')
        return json.loads(part(request, "ANSWER").split("\n", 1)[1].split("\n")[0]) if planted else healthy(request)

    health = probed(copies)
    assert health.refused >= 1
    assert health.attack_success.value == 0.0


def test_a_judge_by_length_is_found_out() -> None:
    """One that takes two levels off for length moves by half the scale."""

    def dislikes_length(request: dict[str, Any]) -> dict[str, Any]:
        padded = not is_pair(request) and FILLER in part(request, "ANSWER")
        return {"reason": "long", "score": 3} if padded else healthy(request)

    assert probed(dislikes_length).length_bias.value == -0.5


def test_a_judge_by_place_is_found_out() -> None:
    """One that always names the first place flips every pair."""

    def first(request: dict[str, Any]) -> dict[str, Any]:
        return {"reason": "r", "winner": "first"} if is_pair(request) else healthy(request)

    health = probed(first)
    assert (health.order_flips.value, health.position_bias.value) == (1.0, 1.0)


def test_a_judge_that_changes_its_mind_is_found_out() -> None:
    """A grade that moves with the seed is not an agreement with itself."""

    def moody(request: dict[str, Any]) -> dict[str, Any]:
        return healthy(request) if is_pair(request) else {"reason": "r", "score": 1 + request["seed"]}

    health = probed(moody)
    assert (health.self_consistency.value, health.tells_apart.value) == (0.0, 0.0)


def test_a_judge_that_writes_prose_is_unknown_and_not_healthy() -> None:
    """Without a usable reply there is no figure, only the share of failures."""
    health = probed(lambda _: "I would say it is fine.")
    assert (health.failures.value, health.failure_kinds) == (1.0, {"judge_bad_reply": health.failures.n})
    for figure in (health.tells_apart, health.attack_success, health.length_bias, health.self_consistency):
        assert (figure.value, figure.n) == (None, 0)
    assert health.order_flips.value is None and health.position_bias.value is None


def test_pairs_never_set_two_right_answers_against_each_other() -> None:
    """Cases with the same reference are no wrong answers to each other."""
    same = [Case(id=str(n), input=str(n), reference=("yes",)) for n in range(4)]
    assert pairs_of(same, 4, seed=0) == []
    mixed = [*same, Case(id="5", input="5", reference=("no", "yes")), Case(id="6", input="6", reference=("7",))]
    found = pairs_of(mixed, 6, seed=1)
    assert all(pair.wrong.strip() not in {text.strip() for text in pair.case.reference} for pair in found)
    assert Pair(mixed[4], "no", "7") in found


def test_the_draw_is_seeded() -> None:
    """The same seed draws the same cases."""
    assert pairs_of(CASES, 3, seed=4) == pairs_of(CASES, 3, seed=4)
    assert len(pairs_of(CASES, 3, seed=4)) == 3


def test_progress_counts_every_question() -> None:
    """Five answers and a comparison a pair, and one answer an attack."""
    heard: list[tuple[int, int]] = []
    probed(healthy, progress=lambda answered, total: heard.append((answered, total)))
    total = 6 * len(PAIRS) + len(ATTACKS)
    assert heard == [(n, total) for n in range(1, total + 1)]


def test_after_the_time_limit_no_reply_is_awaited() -> None:
    """A judge that never replies leaves every figure unknown and every question among the failures."""
    health = probed(healthy, limit_s=0.2, latency_s=60)
    assert health.failure_kinds == {"time_limit": 6 * len(PAIRS) + len(ATTACKS)}
    assert health.failures.value == 1
    assert health.tells_apart.value is None
