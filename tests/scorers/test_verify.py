"""Tests for the chain of verification: questions from claims, answered without sight of the answer, compared."""

from __future__ import annotations

from typing import Any

import pytest
from judge_room import CASE, graded, sent

from evalkit.scorers.base import Services
from evalkit.scorers.judges.verification import Verify
from evalkit.testing import FakeModel
from evalkit.types import Case, Score, Unscored

TEXT = "It is 10 EUR, founded in 1999, and blue."
FOUND = {"fee": "10 EUR a month", "year": "1998", "colour": ""}


def judge(verdicts: list[str] | None = None, found: dict[str, str] | None = None, checks: Any = None) -> FakeModel:
    """Plans one check for each key of `found`, answers from it, and compares as told."""
    known = FOUND if found is None else found
    planned = [{"claim": f"The {key} is said.", "question": f"What is the {key}?"} for key in known]

    def reply(request: dict[str, Any]) -> dict[str, Any]:
        said = sent(request)
        if "<<<ANSWER" in said:
            return {"checks": planned if checks is None else checks}
        if "<<<CLAIM-1" in said:
            return {"verdicts": [{"claim": n, "verdict": each} for n, each in enumerate(verdicts or [], 1)]}
        key = next(key for key in known if f"the {key}?" in said)
        return {"answer": known[key], "known": bool(known[key])}

    return FakeModel(reply)


def test_claims_are_compared_with_what_is_found_afresh() -> None:
    """One of two known claims holds, and the third has no sure answer."""
    server = judge(["CONSISTENT", "INCONSISTENT"])
    score = graded(Verify(pass_at=0.6), server, text=TEXT)
    assert isinstance(score, Score)
    assert (score.value, score.passed) == (0.5, False)
    assert score.reason == ("1 of 2 claims consistent; 1 without a sure answer; The year is said. (found: 1998)")
    assert [one["verdict"] for one in score.details["claims"]] == ["consistent", "inconsistent", "unknown"]
    assert len(server.requests) == 5
    assert score.usage is not None and score.usage.input_tokens == 500


def test_no_question_is_answered_with_sight_of_the_answer() -> None:
    """The answer is in the first call alone; the contexts are in those that answer."""
    server = judge(["CONSISTENT", "CONSISTENT"])
    graded(Verify(), server, text=TEXT)
    assert [TEXT in str(request["messages"]) for request in server.requests] == [True, *[False] * 4]
    assert ["a month." in sent(request) for request in server.requests] == [False, True, True, True, False]


def test_without_contexts_the_judge_answers_from_what_it_knows() -> None:
    """And is told not to guess."""
    server = judge(["CONSISTENT", "CONSISTENT"])
    assert graded(Verify(), server, text=TEXT, case=Case(id="1", input="?")).value == 1.0
    assert "a guess is worse" in server.requests[1]["messages"][0]["content"]


def test_what_has_no_sure_answer_is_unscored() -> None:
    """Not 0, and not 1; nor is an answer to another question."""
    found = graded(Verify(), judge(found={"fee": "", "year": ""}), text=TEXT)
    assert isinstance(found, Unscored)
    assert (found.kind, found.message) == ("unknown", "none of 2 questions has a sure answer")
    assert graded(Verify(), judge(["UNRELATED"], found={"fee": "9"}), text=TEXT).kind == "unknown"
    assert graded(Verify(), judge(checks=[]), text="Hello!").kind == "no_claims"


def test_at_most_as_many_questions_are_asked_as_the_suite_says() -> None:
    """A model that lists more is cut."""
    server = judge(["CONSISTENT"])
    assert graded(Verify(questions=1), server, text=TEXT).value == 1.0
    assert len(server.requests) == 3
    assert "at most 1 of them" in server.requests[0]["messages"][0]["content"]
    assert Verify(questions=3).bind(Services(root=None, llm=None)).questions(CASE) == ()  # type: ignore[arg-type]


@pytest.mark.parametrize("verdicts", [["CONSISTENT"], ["CONSISTENT"] * 3, ["MAYBE"] * 2])
def test_a_claim_without_exactly_one_verdict_is_unscored(verdicts: list[str]) -> None:
    """The judge is asked to repair it, and then nothing is known."""
    assert graded(Verify(), judge(verdicts), text=TEXT).kind == "judge_bad_reply"


@pytest.mark.parametrize("given", [{"questions": 0}, {"questions": 21}, {"pass_at": 0}])
def test_options_out_of_range_are_refused(given: dict[str, Any]) -> None:
    """With what to write."""
    with pytest.raises(ValueError, match="write"):
        Verify(**given)
