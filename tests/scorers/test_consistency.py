"""Tests for consistency: the system is asked again, and a judge compares its answers."""

from __future__ import annotations

import asyncio
import math
import re
from pathlib import Path
from typing import Any

import pytest
from judge_room import no_wait
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.llm.budget import Budget, BudgetReached
from evalkit.llm.client import ChatClient
from evalkit.llm.config import ChatConfig
from evalkit.runner.engine import charged
from evalkit.runner.grading import Grader, grade_all
from evalkit.scorers.base import AskAgain, Services
from evalkit.scorers.embedding.embedders import WordLlama
from evalkit.scorers.judges.consistency import Consistency
from evalkit.scorers.judges.local_entailment import NliModel
from evalkit.testing import FakeModel
from evalkit.types import Case, Failure, Message, Output, Score, Unscored, Usage

CASE = Case(id="1", input="When does it open?")


def judge(request: dict[str, Any]) -> dict[str, Any]:
    """Texts with the same digits entail each other; with other digits they contradict, without any they do not."""
    said = request["messages"][1]["content"]
    first, second = (
        {
            letter
            for letter in said.partition(f"<<<{name} ")[2].partition("\n")[2].partition(f"\n{name} ")[0]
            if letter.isdigit()
        }
        for name in ("FIRST", "SECOND")
    )
    relation = "entailment" if first == second else "contradiction" if first and second else "neutral"
    return {"reason": "the hours decide", "relation": relation}


def scored(
    again: AskAgain | None,
    text: str = "At 9. It is free.",
    case: Case = CASE,
    server: FakeModel | None = None,
    output: Output | None = None,
    **given: Any,
) -> Any:
    """The two grades of one answer."""

    async def run() -> Any:
        async with server or FakeModel(judge) as model:
            config = ChatConfig(model="m", base_url=model.base_url, timeout_s=60, max_retries=0)
            async with ChatClient(config, env={}, sleep=no_wait) as client:
                bound = Consistency(**given).bind(Services(Path(), llm=client))
                found = await grade_all([Grader(bound)], again)(case, output or Output(text=text), 3)
                return tuple(found.values())

    return asyncio.run(run())


def saying(*texts: str) -> AskAgain:
    """A system that gives these answers in turn."""
    left = list(texts)

    async def again(case: Case, repeat: int) -> Output:
        return Output(text=left.pop(0))

    return again


def test_a_system_that_repeats_itself_is_consistent() -> None:
    """No sentence is contradicted, and all answers have one meaning."""
    value, entropy = scored(saying("At 9. It is free.", "It is free, from 9."), samples=2)
    assert (value.value, value.passed, entropy.value) == (1.0, None, 0.0)
    assert entropy.reason == "1 meaning in 3 answers"


def test_the_sentence_that_other_answers_contradict_is_named() -> None:
    """One of two sentences, contradicted by three of four answers: 1 - (3/4 + 0) / 2. Meanings 2, 2, 1 of 5."""
    value, entropy = scored(saying("At 9.", "At 8.", "At 8, I think.", "At 7."), samples=4, min=0.7)
    assert (value.value, value.passed) == (0.625, False)
    assert value.reason == "2 sentences, 4 further answers; 75% contradict: At 9"
    assert value.details["sentences"][0] == {"text": "At 9", "contradiction": 0.75}
    assert [each["n"] for each in entropy.details["meanings"]] == [2, 2, 1]
    assert entropy.value == pytest.approx(0.655459, abs=1e-6)  # (2 x .4 ln 2.5 + .2 ln 5) / ln 5


def test_an_answer_may_weigh_as_much_as_it_is_likely() -> None:
    """Three answers of two meanings: .2 and .2 against .4 is one half each, so ln 2 / ln 3."""

    def said(text: str, **details: Any) -> Output:
        return Output(text=text, messages=(Message("assistant", text, details=details),))

    def graded(*outputs: Output) -> Any:
        left = list(outputs[1:])

        async def again(case: Case, repeat: int) -> Output:
            return left.pop(0)

        return scored(again, outputs[0].text, output=outputs[0], samples=2, likelihoods=True)[1]

    fifth, rest = math.log(0.2), math.log(0.4)
    found = graded(said("At 9.", logprob=fifth), said("9, yes.", logprob=fifth), said("At 8.", logprob=rest))
    assert found.value == pytest.approx(math.log(2) / math.log(3))
    for bad in (said("At 8."), Output(text="At 8."), said("At 8.", logprob=0.5), said("At 8.", logprob="x")):
        found = graded(said("At 9.", logprob=fifth), said("9, yes.", logprob=fifth), bad)
        assert (found.kind, found.message[:6]) == ("no_likelihood", "1 of 3")


def test_an_embedding_groups_answers_without_a_judge(tmp_path: Path) -> None:
    """By a cosine, case-folded: the entropy alone, since nothing says which answers contradict each other."""
    answers = ["The fee is ten euros.", "THE FEE IS TEN EUROS.", "Cats sleep all day."]

    async def run(cosine: float) -> Any:
        bound = Consistency(samples=3, cosine=cosine).bind(Services(tmp_path, embedder=WordLlama()))
        assert [metric.name for metric in bound.metrics] == ["consistency.entropy"]
        assert (bound.metrics[0].judge, bound.key_parts) == (None, {"embedding": WordLlama().name})
        return await bound.score_again(CASE, Output(text=answers[0]), 0, saying(*answers))

    (entropy,) = asyncio.run(run(0.9))
    assert entropy.value == pytest.approx((0.75 * math.log(4 / 3) + 0.25 * math.log(4)) / math.log(4))
    assert entropy.reason == "2 meanings in 4 answers"
    (exact,) = asyncio.run(run(1.0))
    assert exact.value == entropy.value
    (gone,) = asyncio.run(Consistency(cosine=0.9).bind(Services(tmp_path)).score_again(CASE, Output(text="x"), 0, None))
    assert isinstance(gone, Unscored) and gone.kind == "no_judge_endpoint"


def test_the_system_is_asked_as_later_repeats() -> None:
    """So that seeds and stored answers differ from those of the graded answer."""
    repeats = []

    async def again(case: Case, repeat: int) -> Output:
        repeats.append(repeat)
        return Output(text="At 9.")

    scored(again, samples=3)
    assert repeats == [4, 5, 6]


@pytest.mark.parametrize(
    ("ended", "why"),
    [
        (Failure("timeout", "no answer within 3 s"), "further answer 1 of 2: timeout: no answer within 3 s"),
        (Output(text="", fault="empty: nothing"), "further answer 1 of 2: empty: nothing"),
        (Output(text="", text_known=False), "further answer 1 of 2: its text is unknown"),
    ],
)
def test_a_failed_sample_leaves_the_case_unscored(ended: Output | Failure, why: str) -> None:
    """Fewer answers would be another measurement."""

    async def again(case: Case, repeat: int) -> Output | Failure:
        return ended

    found = scored(again, samples=2)
    assert {(each.kind, each.message) for each in found} == {("sample_failed", why)}


def test_what_cannot_be_asked_again_is_unscored() -> None:
    """Stored answers, conversations, an endless answer, and an answer of nothing."""
    assert {each.kind for each in scored(None)} == {"no_system"}
    talk = Case(id="1", input="a", fields={"turns": ["b"]})
    assert {each.kind for each in scored(saying(), case=talk)} == {"conversation"}
    assert {each.kind for each in scored(saying(), "So. " * 41)} == {"too_long"}
    value, entropy = scored(saying("At 9."), "", samples=1)
    assert (value.kind, entropy.value) == ("no_claims", 1.0)


def test_without_a_judge_nothing_is_asked() -> None:
    """Neither the system nor anybody else."""
    bound = Consistency().bind(Services(Path()))
    found = asyncio.run(bound.score_again(CASE, Output(text="x"), 0, saying()))
    assert {each.kind for each in found if isinstance(each, Unscored)} == {"no_judge_endpoint"}
    assert bound.questions(CASE) == ()
    assert len(asyncio.run(bound.score(CASE, Output(text="x")))) == 2


def test_a_judge_that_fails_leaves_no_value() -> None:
    """Its failure is the reason."""
    server = FakeModel(lambda request: {"nonsense": 1})
    assert {each.kind for each in scored(saying("At 9."), samples=1, server=server)} == {"judge_bad_reply"}


def test_a_further_answer_is_charged_to_the_budget() -> None:
    """It costs as much as the first, and no more is asked once the budget is spent."""
    budget = Budget(0.05)

    async def answer(case: Case, repeat: int) -> Output:
        return Output(text="x", usage=Usage(cost_usd=0.03))

    async def run() -> None:
        again = charged(answer, budget)
        await again(CASE, 1)
        await again(CASE, 2)
        with pytest.raises(BudgetReached):
            await again(CASE, 3)

    asyncio.run(run())
    assert budget.spent_usd == pytest.approx(0.06)
    assert charged(answer, None) is answer


@pytest.mark.parametrize("given", [{"samples": 0}, {"samples": 21}, {"min": 1.5}])
def test_options_out_of_range_are_refused(given: dict[str, Any]) -> None:
    """With what to write."""
    with pytest.raises(ValueError, match="write"):
        Consistency(**given)


@pytest.mark.parametrize("given", [{"cosine": 0}, {"cosine": 1.1}, {"cosine": 0.9, "min": 0.5}])
def test_an_embedding_goes_with_no_other_option(given: dict[str, Any]) -> None:
    """It has a threshold of its own, and no mark for contradictions."""
    with pytest.raises(ValueError, match=r"labelled pairs|remove it"):
        Consistency(**given)
    with pytest.raises(ValueError, match="`nli` decides which answers mean the same"):
        Consistency(cosine=0.9, nli=NliModel(path="nli"))


def test_a_suite_without_a_judge_measures_the_entropy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a suite to a gate on the entropy, without a model."""
    from evalkit import run

    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "bot.py").write_text("def answer(input):\n    return 'At nine.'\n", encoding="utf-8")
    (tmp_path / "cases.jsonl").write_text('{"id": "a", "input": "When?"}\n', encoding="utf-8")
    (tmp_path / "suite.yaml").write_text(
        "name: s\ngolden: cases.jsonl\nsystem: {python: bot:answer}\n"
        "scorers: [{consistency: {samples: 2, cosine: 0.95}}]\ngate: [{consistency.entropy: {max: 0.5}}]\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    ended = run(tmp_path / "suite.yaml", out=tmp_path / "out", reports=False)
    (row,) = ended.rows()
    assert {name: getattr(score, "value", None) for name, score in row.scores.items()} == {"consistency.entropy": 0.0}


def test_a_suite_asks_its_system_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a suite to scores: a system that counts its calls, a judge, and stored scores."""
    from evalkit import run

    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "bot.py").write_text(
        "calls = []\n\ndef answer(input):\n    calls.append(input)\n    return f'At {len(calls)}.'\n", encoding="utf-8"
    )
    (tmp_path / "cases.jsonl").write_text('{"id": "a", "input": "When?"}\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with FakeModel(judge) as server:
        (tmp_path / "suite.yaml").write_text(
            "name: s\ngolden: cases.jsonl\nsystem: {python: bot:answer}\n"
            f"judge: {{chat: {{model: m, base_url: '{server.base_url}'}}}}\n"
            "scorers: [{consistency: {samples: 2}}]\ngate: [{latency_p95_s: {max: 60}}]\n",
            encoding="utf-8",
        )
        estimated = CliRunner().invoke(app, ["run", "suite.yaml", "--dry-run"])
        assert re.search(r"system\D+3\b", estimated.output), estimated.output
        ended = run(tmp_path / "suite.yaml", out=tmp_path / "out", reports=False)
    (row,) = ended.rows()
    score, entropy = row.scores["consistency"], row.scores["consistency.entropy"]
    assert isinstance(score, Score) and isinstance(entropy, Score)
    assert (score.value, entropy.value) == (0.0, 1.0)
    assert score.details["answers"] == ["At 2.", "At 3."]
