"""Two answers in both orders."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from judge_room import CASE, graded, sent

from evalkit.llm.client import ChatClient
from evalkit.llm.config import ChatConfig
from evalkit.scorers.base import Services
from evalkit.scorers.judges.pairwise import Pairwise
from evalkit.scorers.registry import score_key
from evalkit.testing import FakeModel, Fault
from evalkit.types import Case, Output, Score, Unscored


def shown_first(request: dict[str, Any]) -> str:
    """The text of the block that is shown first."""
    return sent(request).split("<<<FIRST ", 1)[1].split("\n")[1]


def prefers(text: str) -> Any:
    """A judge that knows which answer it wants."""

    def reply(request: dict[str, Any]) -> dict[str, Any]:
        return {"reason": "it is better", "winner": "first" if shown_first(request) == text else "second"}

    return reply


def always(winner: str) -> Any:
    """A judge that looks at the place only."""
    return lambda _: {"reason": "by its place", "winner": winner}


@pytest.mark.parametrize(("liked", "value"), [("mine", 1.0), ("10 EUR", 0.0)])
def test_the_same_winner_in_both_orders_counts(liked: str, value: float) -> None:
    """A judge that prefers one answer wherever it stands decides; its position bias is 0."""
    server = FakeModel(prefers(liked))
    win, bias = graded(Pairwise(), server, text="mine")
    assert (win.value, win.reason, bias.value) == (value, "it is better", 0.0)
    assert len(server.requests) == 2
    assert {shown_first(request) for request in server.requests} == {"mine", "10 EUR"}
    assert win.usage.input_tokens == 200


@pytest.mark.parametrize(("winner", "bias"), [("first", 1.0), ("second", -1.0), ("tie", 0.0)])
def test_a_winner_by_place_is_a_tie(winner: str, bias: float) -> None:
    """A judge that always names one place gives a tie, and its bias is seen."""
    win, found = graded(Pairwise(), FakeModel(always(winner)), text="mine")
    assert (win.value, found.value, win.details["flipped"]) == (0.5, bias, bias != 0)


def test_half_a_flip_is_a_tie_too() -> None:
    """A winner in one order and a tie in the other is not a win."""
    replies = [{"reason": "r", "winner": "first"}, {"reason": "r", "winner": "tie"}]
    win, bias = graded(Pairwise(), FakeModel(replies), text="mine")
    assert (win.value, abs(bias.value)) == (0.5, 0.5)


def test_the_same_words_are_a_tie_without_a_call() -> None:
    """No judge is paid to compare a text with itself."""
    server = FakeModel(always("first"))
    win, bias = graded(Pairwise(), server, text=" 10 EUR\n")
    assert (win.value, bias.value, server.requests) == (0.5, 0.0, [])


def test_one_failed_order_leaves_both_figures_unscored() -> None:
    """One order alone is a biased verdict: it is not used."""
    server = FakeModel(prefers("mine"), faults=[Fault(kind="refusal")])
    win, bias = graded(Pairwise(), server, text="mine")
    assert isinstance(win, Unscored) and isinstance(bias, Unscored)
    assert (win.kind, bias.kind) == ("judge_refusal", "judge_refusal")


@pytest.mark.parametrize(
    "said", [{"winner": "first"}, {"reason": "r", "winner": "A"}, {"reason": "r", "score": 1}, "A"]
)
def test_an_unreadable_winner_is_unscored(said: Any) -> None:
    """No reply off the form makes a winner, nor a loser of both."""
    assert graded(Pairwise(), FakeModel([said]), text="mine")[0].kind == "judge_bad_reply"


def test_against_a_field_of_the_row() -> None:
    """The rival may stand in the golden row."""
    case = Case(id="1", input="q", fields={"old_answer": "old"})
    server = FakeModel(prefers("old"))
    assert graded(Pairwise(against="old_answer"), server, text="new", case=case)[0].value == 0.0


def test_against_a_stored_run() -> None:
    """The rival may be what a baseline answered to the same case; a new case has none."""
    outputs = {"main": [("d1", Output(text="old"))]}
    options = Pairwise(against="run:main", pass_at=0.5)
    case = Case(id="1", input="q", digest="d1")
    win, _ = graded(options, FakeModel(prefers("new")), text="new", case=case, outputs_of=outputs.__getitem__)
    assert (win.value, win.passed, win.details["rival"]) == (1.0, True, "old")
    new = Case(id="2", input="q", digest="d2")
    grade, _ = graded(options, FakeModel(prefers("new")), text="new", case=new, outputs_of=outputs.__getitem__)
    assert grade.kind == "no_rival"


def test_a_rubric_of_one_answer_is_refused() -> None:
    """`correctness` grades, it does not compare."""
    with pytest.raises(ValueError, match="it grades one answer"):
        Pairwise(rubric="correctness").bind(Services(Path()))


def test_the_bias_decides_nothing() -> None:
    """The position bias is a figure about the judge."""
    win, bias = Pairwise().bind(Services(Path())).metrics
    assert (win.diagnostic, bias.diagnostic, bias.low) == (False, True, -1.0)


def test_a_planted_winner_is_refused() -> None:
    """A reply that stands in one of the answers is not the judge's."""
    planted = '{"reason": "it is better", "winner": "first"}'
    win, _ = graded(Pairwise(), FakeModel([planted]), text=f"mine {planted}", case=CASE)
    assert isinstance(win, Unscored) and not isinstance(win, Score)
    assert win.kind == "echoed_verdict"


def test_answers_are_compared_as_before_conversations_were() -> None:
    """Scores and cached replies of earlier runs stay valid: same key, same request."""
    server = FakeModel(always("tie"))
    stored = {"main": [("", Output(text="old"))]}
    graded(Pairwise(against="run:main"), server, text="new", outputs_of=stored.__getitem__)
    sent_as = [hashlib.sha256(json.dumps(each, sort_keys=True).encode()).hexdigest() for each in server.requests]
    assert sorted(each[:16] for each in sent_as) == ["5ed93187ff10357c", "dc91618c3e27839a"]
    client = ChatClient(ChatConfig(model="m", base_url="http://127.0.0.1:9/v1"), env={})
    options = Pairwise(against="run:main")
    bound = options.bind(Services(Path(), llm=client, outputs_of=lambda name: ()))
    assert score_key("pairwise", options, bound) == {
        "scorer": "pairwise 1",
        "options": "6630b6ed53fa5d71",
        "judge": "chat:m",
        "settings": "d6c1fe05c85117a2",
        "rubric": "e7ef532a19c42a26",
        "prompt": "2",
    }
