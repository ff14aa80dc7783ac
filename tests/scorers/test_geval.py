"""The expected level, by probabilities or by samples."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from judge_room import graded

from evalkit.llm.wire import Token
from evalkit.scorers.base import Services
from evalkit.scorers.judges.geval import GEval, level_shares
from evalkit.testing import FakeModel, Fault
from evalkit.types import Score, Unscored

GOOD = {"reason": "mostly right", "score": 4}
LEVELS = range(1, 6)


def tokens(reply: str, alternatives: Mapping[str, float], place: str = "4") -> list[Mapping[str, float]]:
    """A reply cut around its last `place`, where something else might have stood."""
    before, _, after = reply.rpartition(place)
    return [{before: 1.0}, alternatives, {after: 1.0}]


def unsure(_: dict[str, Any], text: str) -> Sequence[Mapping[str, float]]:
    """A judge between 3, 4 and 5."""
    return tokens(text, {"4": 0.6, "5": 0.3, "3": 0.1})


def test_the_value_is_the_expected_level() -> None:
    """.6 x 4 + .3 x 5 + .1 x 3 = 4.2, from one call."""
    server = FakeModel([GOOD], logprobs=unsure)
    score = graded(GEval(rubric="correctness", pass_at=4.1), server)
    assert isinstance(score, Score)
    assert score.value == pytest.approx(4.2)
    assert (score.passed, len(server.requests)) == (True, 1)
    assert score.details["method"] == "token probabilities"
    assert score.details["levels"] == {"3": 0.1, "4": 0.6, "5": 0.3}


def test_without_probabilities_it_samples() -> None:
    """An endpoint that shows none is asked five times, and all five are kept."""
    server = FakeModel([{"reason": "r", "score": level} for level in (4, 5, 4, 4, 5)])
    score = graded(GEval(rubric="correctness"), server)
    assert score.value == pytest.approx(4.4)
    assert score.details["method"] == "mean of 5 opinions"
    assert sorted(request["seed"] for request in server.requests) == [0, 1, 2, 3, 4]
    assert [request.get("logprobs") for request in server.requests] == [True, None, None, None, None]


def test_a_failed_sample_leaves_it_unscored() -> None:
    """A mean over the samples that came through is another figure."""
    server = FakeModel([GOOD], faults=[None, None, Fault(kind="refusal")])
    grade = graded(GEval(rubric="correctness"), server)
    assert isinstance(grade, Unscored)
    assert grade.kind == "judge_refusal"


def test_a_failed_first_call_is_not_asked_again() -> None:
    """Samples are for endpoints without probabilities, not for failures."""
    server = FakeModel(always=Fault(kind="refusal"))
    assert graded(GEval(rubric="correctness"), server).kind == "judge_refusal"
    assert len(server.requests) == 1


def cut(*parts: tuple[str, Mapping[str, float]]) -> list[Token]:
    """Tokens of a reply."""
    return [Token(text, alternatives) for text, alternatives in parts]


CERTAIN: Mapping[str, float] = {}


@pytest.mark.parametrize(
    ("reply", "shares"),
    [
        ([('"score":', CERTAIN), (" 4", {" 4": 0.5, " 5": 0.5})], {4: 0.5, 5: 0.5}),
        ([('"score": ', CERTAIN), ("4}", {"4}": 0.8, "2": 0.1, "2}": 0.1})], {2: 0.2, 4: 0.8}),
        ([('"score": ', CERTAIN), ("4", {"4": 0.6, "x": 0.2, "9": 0.2})], {4: 1.0}),
        ([('"score": 1, "score": ', CERTAIN), ("4", {"4": 1.0})], {4: 1.0}),
        ([('"score": ', CERTAIN), ("4", {"4": 0.4, "x": 0.6})], None),
        ([('"score": 4', CERTAIN)], None),
        ([('"core": ', CERTAIN), ("4", {"4": 1.0})], None),
        ([], None),
    ],
)
def test_the_level_is_found_where_it_opens_a_token(
    reply: list[tuple[str, Mapping[str, float]]], shares: dict[int, float] | None
) -> None:
    """Blanks, brackets and levels off the scale are told apart; what cannot be told is unknown."""
    found = level_shares(cut(*reply), LEVELS, 4)
    assert found == (None if shares is None else pytest.approx(shares))


def test_a_level_named_in_the_reason_is_not_the_score() -> None:
    """A reason that quotes a score does not lend its probabilities."""
    reply = json.dumps({"reason": 'it says "score": 5', "score": 4})
    before, _, _ = reply.partition("5")
    parts = [
        (before, CERTAIN),
        ("5", {"5": 1.0}),
        ('", "score": ', CERTAIN),
        ("4", {"4": 0.9, "3": 0.1}),
        ("}", CERTAIN),
    ]
    assert level_shares(cut(*parts), LEVELS, 4) == pytest.approx({4: 0.9, 3: 0.1})


@pytest.mark.parametrize("rubric", ["refusal", "citation_accuracy", "pairwise"])
def test_a_rubric_without_levels_is_refused(rubric: str) -> None:
    """There is no expected level of a pass or a winner."""
    with pytest.raises(ValueError, match="needs levels of one digit"):
        GEval(rubric=rubric).bind(Services(Path()))
