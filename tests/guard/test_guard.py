"""Tests for a guard: actions by thresholds, its budget of time, and that it never raises."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import evalkit
from evalkit.errors import InputError
from evalkit.guard import Guard, GuardResult
from evalkit.guard.levels import JudgeLevel, RulesLevel
from evalkit.guard.settings import GuardSettings, LevelThresholds, Promise, guard_text
from evalkit.llm.config import ChatConfig
from evalkit.testing import FakeModel

PROMISE = Promise(false_block=0.05, bad_passed=0.05, confidence=0.95)
CONTEXTS = ["The fee is 10 EUR a month, due on 12 March 2024."]
GOOD, HALF, BAD, PLAIN = "It is 10 EUR.", "It is 10 EUR, not 11.", "It is 13 EUR.", "Ask a colleague."


def level(
    key: Mapping[str, str], pass_from: float | None = 0.9, block: Mapping[str, float] | None = None
) -> LevelThresholds:
    """Thresholds of one level."""
    given = {"": 0.3} if block is None else block
    return LevelThresholds(key=key, n_good=100, n_bad=20, pass_from=pass_from, block_below=given)


def written(folder: Path, server: FakeModel | None = None, **changes: Any) -> Path:
    """A guard.json with rules, and with a judge if there is a server."""
    config = ChatConfig(model="m", base_url=server.base_url) if server else None
    levels = {"rules": level(RulesLevel().key)}
    if config:
        levels["judge"] = level(JudgeLevel(config, {}).key)
    settings = GuardSettings(**{"promise": PROMISE, "levels": levels, "judge": config, **changes})
    (folder / "guard.json").write_text(guard_text(settings), encoding="utf-8")
    return folder / "guard.json"


def checked(file: Path, answer: Any, contexts: Any = CONTEXTS, **given: Any) -> tuple[GuardResult, Guard]:
    """The result of one check, and the guard."""

    async def run() -> tuple[GuardResult, Guard]:
        async with evalkit.guard.load(file, env={}) as guard:
            return await guard.check("What is the fee?", answer, contexts, **given), guard

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "action", "score"),
    [(GOOD, "pass", 1.0), (HALF, "warn", 0.5), (BAD, "block", 0.0), (PLAIN, "pass", None)],
)
def test_a_guard_of_rules_alone(tmp_path: Path, answer: str, action: str, score: float | None) -> None:
    """Below .3 it blocks, from .9 it passes, and an answer without a fact counts among the best."""
    found, guard = checked(written(tmp_path), answer, budget_ms=10_000)
    assert (found.action, found.score, found.level, found.late, found.error) == (action, score, "rules", False, "")
    assert guard.counts.checks == 1


def test_the_wrong_claims_are_named(tmp_path: Path) -> None:
    """The caller can show or remove them."""
    found, _ = checked(written(tmp_path), HALF, budget_ms=10_000)
    assert [(claim.text, claim.type, claim.verdict) for claim in found.wrong] == [("11", "numerical", "unsupported")]
    assert len(found.claims) == 2


def test_thresholds_by_cohort(tmp_path: Path) -> None:
    """A cohort without a threshold of its own is never blocked, nor is an answer without a cohort."""
    file = written(tmp_path, levels={"rules": level(RulesLevel().key, block={"fees": 0.3})}, by="topic")
    for cohorts, action in (({"topic": "fees"}, "block"), ({"topic": "other"}, "warn"), (None, "warn"), ({}, "warn")):
        assert checked(file, BAD, cohorts=cohorts, budget_ms=10_000)[0].action == action


def test_without_thresholds_nothing_passes_and_nothing_is_blocked(tmp_path: Path) -> None:
    """Too few labels leave one action."""
    file = written(tmp_path, levels={"rules": level(RulesLevel().key, None, {})})
    assert {checked(file, answer, budget_ms=10_000)[0].action for answer in (GOOD, HALF, BAD, PLAIN)} == {"warn"}


def judged(*verdicts: str) -> list[dict[str, Any]]:
    """The two replies of a judge."""
    return [
        {"claims": [f"Claim {n} about the fee." for n, _ in enumerate(verdicts)]},
        {
            "verdicts": [
                {"claim": n, "quote": "" if said == "UNSUPPORTED" else "The fee is 10 EUR", "verdict": said}
                for n, said in enumerate(verdicts, 1)
            ]
        },
    ]


def test_a_judge_is_asked_if_there_is_time_for_it(tmp_path: Path) -> None:
    """Its thresholds decide, and its claims are those of the result; below 2,000 ms the rules decide."""
    with FakeModel(judged("SUPPORTED", "CONTRADICTED")) as server:
        file = written(tmp_path, server)
        found, _ = checked(file, GOOD, budget_ms=60_000)
        assert (found.action, found.score, found.level) == ("block", 0.0, "judge")
        assert [claim.verdict for claim in found.claims] == ["supported", "contradicted"]
        assert found.claims[1].quote == "The fee is 10 EUR"
        n_asked = len(server.requests)
        found, _ = checked(file, GOOD, budget_ms=1_999)
        assert (found.action, found.level, len(server.requests)) == ("pass", "rules", n_asked)


def test_a_judge_that_finds_no_claim_leaves_no_score(tmp_path: Path) -> None:
    """No claim can be wrong."""
    with FakeModel([{"claims": []}]) as server:
        found, _ = checked(written(tmp_path, server), PLAIN, budget_ms=60_000)
    assert (found.action, found.score, found.level, found.claims) == ("pass", None, "judge", ())


@pytest.mark.parametrize("on_timeout", ["pass", "warn", "block"])
def test_a_judge_that_hangs_does_not_hold_up_the_answer(tmp_path: Path, on_timeout: str) -> None:
    """The budget is kept, the check counts as late, and what the rules found is there."""
    with FakeModel(latency_s=120) as server:
        file = written(tmp_path, server, on_timeout=on_timeout)
        began = time.perf_counter()
        found, guard = checked(file, HALF, budget_ms=2_000)
        assert time.perf_counter() - began < 30
    assert (found.action, found.late, found.level, found.score) == (on_timeout, True, "rules", 0.5)
    assert 1_999 <= found.elapsed_ms < 20_000
    assert (guard.counts.late, guard.counts.failed, guard.counts.checks) == (1, 0, 1)


def test_a_judge_that_cannot_be_reached_is_an_error_not_a_verdict(tmp_path: Path) -> None:
    """The action is that of a timeout, and the reason is kept."""
    server = FakeModel(port=1)
    config = ChatConfig(model="m", base_url=server.base_url, max_retries=0)
    levels = {"rules": level(RulesLevel().key), "judge": level(JudgeLevel(config, {}).key)}
    found, guard = checked(written(tmp_path, judge=config, levels=levels), BAD, budget_ms=60_000)
    assert (found.action, found.late, found.level) == ("warn", False, "rules")
    assert found.error.startswith("judge_")
    assert guard.counts.failed == 1


@pytest.mark.parametrize(
    ("answer", "contexts", "given", "why"),
    [
        (None, CONTEXTS, {}, "must be texts"),
        (GOOD, None, {}, "contexts"),
        (GOOD, "one text", {}, "contexts"),
        (GOOD, [5], {}, "contexts"),
        ("5 " * 150_000, CONTEXTS, {}, "at most 200,000"),
        ("5 " * 20_000, CONTEXTS, {"budget_ms": 300}, "at most 30,000 are checked in 300 ms"),
        (GOOD, ["5 " * 20_000], {"budget_ms": 300}, "at most 30,000 are checked in 300 ms"),
        (GOOD, CONTEXTS, {"cohorts": 5}, "AttributeError"),
        (GOOD, CONTEXTS, {"budget_ms": 0}, "budget_ms"),
        (GOOD, CONTEXTS, {"budget_ms": math.nan}, "budget_ms"),
        (GOOD, CONTEXTS, {"budget_ms": None}, "TypeError"),
    ],
)
def test_a_check_never_raises(tmp_path: Path, answer: Any, contexts: Any, given: Mapping[str, Any], why: str) -> None:
    """Whatever it is given, there is an action and a reason."""
    file = written(tmp_path, by="topic")
    found, guard = checked(file, answer, contexts, **{"budget_ms": 10_000, **given})
    assert found.action == "warn"
    assert why in found.error
    assert (guard.counts.failed, guard.counts.warned) == (1, 1)


def test_a_level_that_breaks_does_not_reach_the_caller(tmp_path: Path) -> None:
    """An error of ours is one more reason for `on_timeout`."""

    class Broken(RulesLevel):
        async def check(self, case: Any, output: Any) -> Any:
            raise TimeoutError("of its own")

    async def run() -> GuardResult:
        guard = Guard(GuardSettings(promise=PROMISE, levels={"rules": level({})}), [Broken()])
        return await guard.check("?", GOOD, CONTEXTS, budget_ms=10_000)

    found = asyncio.run(run())
    assert (found.action, found.late, found.error) == ("warn", False, "TimeoutError: of its own")


def test_a_guard_works_in_one_loop_after_another(tmp_path: Path) -> None:
    """A test, a notebook and a worker have loops of their own."""
    with FakeModel(judged("SUPPORTED")) as server:
        guard = evalkit.guard.load(written(tmp_path, server), env={})

        async def run() -> str:
            async with guard:
                return (await guard.check("What is the fee?", GOOD, CONTEXTS, budget_ms=60_000)).error

        server._replies = lambda request: judged("SUPPORTED")["CLAIM-1" in request["messages"][1]["content"]]
        assert [asyncio.run(run()), asyncio.run(run())] == ["", ""]


def test_a_caller_that_gives_up_is_heard(tmp_path: Path) -> None:
    """Cancelling the check cancels it: that is no error to swallow."""

    async def run() -> None:
        with FakeModel(latency_s=60) as server:
            async with evalkit.guard.load(written(tmp_path, server), env={}) as guard:
                task = asyncio.create_task(guard.check("?", GOOD, CONTEXTS, budget_ms=50_000))
                await asyncio.sleep(0.2)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert guard.counts.checks == 0

    asyncio.run(run())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda record: "no JSON", "not JSON"),
        (lambda record: json.dumps([1]), "not the file of a guard"),
        (lambda record: json.dumps({**record, "format": 2}), "format 2, this version reads 1"),
        (lambda record: json.dumps({**record, "promise": 5}), "`promise` is not as written"),
        (lambda record: json.dumps({**record, "on_timeout": "drop"}), "`on_timeout` is not as written"),
        (lambda record: json.dumps({**record, "levels": {}}), "levels"),
        (lambda record: json.dumps({**record, "levels": {"magic": record["levels"]["rules"]}}), "magic"),
        (lambda record: json.dumps({**record, "levels": {"judge": record["levels"]["rules"]}}), "judge"),
        (
            lambda record: json.dumps({**record, "levels": {"rules": {**record["levels"]["rules"], "pass_from": 2}}}),
            "threshold 2 is not a score",
        ),
        (
            lambda record: json.dumps({**record, "levels": {"rules": {**record["levels"]["rules"], "key": {}}}}),
            "belong to other scores (scorer)",
        ),
        (lambda record: json.dumps({key: value for key, value in record.items() if key != "promise"}), "missing"),
    ],
)
def test_a_file_that_is_not_as_written_is_refused(tmp_path: Path, change: Any, why: str) -> None:
    """With the file, the fault and the command that writes it again."""
    file = written(tmp_path)
    file.write_text(change(json.loads(file.read_text(encoding="utf-8"))), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        evalkit.guard.load(file)
    assert why in str(caught.value)
    assert "evalkit monitor thresholds" in str(caught.value)


def test_a_missing_file_is_named() -> None:
    """The guard does not start without its thresholds."""
    with pytest.raises(InputError, match=r"none\.json: cannot be read"):
        evalkit.guard.load("none.json")
