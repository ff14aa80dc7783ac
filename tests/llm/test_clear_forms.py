"""Verdicts that are clear in another form are taken; what may mean two things is not."""

from __future__ import annotations

import json
import time
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from evalkit.llm.wire import find_value
from evalkit.scorers.judges.verdicts import verdict_schema


class Verdict(BaseModel):
    """A small reply with a bounded score."""

    model_config = ConfigDict(extra="forbid")

    reason: str
    score: int = Field(ge=1, le=5)


class Criterion(BaseModel):
    """One criterion."""

    model_config = ConfigDict(extra="forbid")

    met: bool


class Many(BaseModel):
    """A reply of several forms."""

    model_config = ConfigDict(extra="forbid")

    criteria: list[Criterion]
    verdict: Literal["pass", "fail"]
    share: float | None = None


@pytest.mark.parametrize(
    "text",
    [
        '{"reason": "r", "score": 5}',
        '{"reason": "r", "score": 5.0}',
        '{"reason": "r", "score": "5"}',
        '{"reason": "r", "score": " 5.0 "}',
        '{"reason": "r", "score": 5e0}',
        '{"reason": "r", "score": 5,}',
        '{"reason": "r", "score": 5 ,\n }',
        '{"reason": "r", "score": 5, "confidence": 0.9}',
        '{"reason": "r", "score": 5, "notes": ["a", "b",],}',
        '{"reason": "r", "score": 5, "score_explanation": "the best"}',
        '{"reason": "r", "score": 5, "final_score": 5.0}',
        'Perhaps {"reason": "x", "score": 1}, no.\n</think>\n{"reason": "r", "score": 5}',
        '```json\n{"reason": "r", "score": "5",}\n```',
        '{"reason": "r", "score": 5} and once more {"reason": "r", "score": "5"}',
    ],
)
def test_a_clear_verdict_is_taken(text: str) -> None:
    """One verdict, and no doubt about it."""
    assert find_value(text, Verdict) == Verdict(reason="r", score=5)


@pytest.mark.parametrize(
    "text",
    [
        '{"reason": "r", "score": "5/10"}',
        '{"reason": "r", "score": "4-5"}',
        '{"reason": "r", "score": "five"}',
        '{"reason": "r", "score": ""}',
        '{"reason": "r", "score": true}',
        '{"reason": "r", "score": 4.5}',
        '{"reason": "r", "score": "4.5"}',
        '{"reason": "r", "score": "4,5"}',
        '{"reason": "r", "score": 6.0}',
        '{"reason": "r", "score": "NaN"}',
        '{"reason": "r", "score": [5]}',
        '{"reason": "r", "score": null}',
        '{"reason": "r"}',
        '{"reason": "r", "score": 5, "final_score": 2}',
        '{"reason": "r", "score": 5, "Score": "1"}',
        '{"reason": "r", "score": 5, "score": 4}',
        '{"reason": "r", "score": 5} or {"reason": "r", "score": "4"}',
        '{"reason": "r", "score": ,}',
    ],
)
def test_an_unclear_verdict_is_refused(text: str) -> None:
    """A share, a range, a word, a truth value, two verdicts: nobody knows which is meant."""
    with pytest.raises(ValueError, match=r"."):
        find_value(text, Verdict)


def test_forms_below_lists_and_options_are_read() -> None:
    """Truth values as text, a choice in capitals, a number as text."""
    text = '{"criteria": [{"met": "True", "why": "x"}, {"met": false,},], "verdict": " PASS", "share": "0.5"}'
    expected = Many(criteria=[Criterion(met=True), Criterion(met=False)], verdict="pass", share=0.5)
    assert find_value(text, Many) == expected


@pytest.mark.parametrize("score", ["5", "5.0", '"5"'])
def test_levels_of_a_judge_are_read(score: str) -> None:
    """Their schema lists every level, as strict decoders ignore bounds."""
    found = find_value(f'{{"reason": "r", "score": {score}}}', verdict_schema((1, 5), ()))
    assert (found.score, type(found.score)) == (5, int)


@pytest.mark.parametrize("met", ['"yes"', "1", '"1"', "null"])
def test_other_words_are_no_truth_value(met: str) -> None:
    """Only true and false are."""
    with pytest.raises(ValueError, match="met"):
        find_value(f'{{"criteria": [{{"met": {met}}}], "verdict": "pass"}}', Many)


def test_a_flood_of_commas_costs_no_time() -> None:
    """Each repair is counted, so a hostile reply ends soon."""
    before = time.process_time()
    with pytest.raises(ValueError, match=r"."):
        find_value("{" + '"a": [1,], ' * 50_000, Verdict)
    assert time.process_time() - before < 20


@pytest.mark.parametrize("final", [1.5, "1/5", {"value": 1}, 1, "1"])
def test_a_second_verdict_in_another_form_is_refused(final: Any) -> None:
    """Which of the two is meant is unknown."""
    with pytest.raises(ValueError, match="final_score"):
        find_value(json.dumps({"reason": "ok", "score": 5, "final_score": final}), Verdict)


def test_a_text_about_the_verdict_is_not_another_one() -> None:
    """A longer text explains."""
    reply = json.dumps({"reason": "ok", "score": 5, "score_explanation": "All 3 facts of the reference are there."})
    assert find_value(reply, Verdict).score == 5
