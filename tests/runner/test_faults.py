"""An output that is no answer meets no pass mark, whichever scorer looks at it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import ClassVar

import pytest

from evalkit.formats.rows import decode_row, encode_row, output_record
from evalkit.runner.grading import Grader, grade_all
from evalkit.scorers.registry import SCORERS, scorer_class
from evalkit.systems.output import to_output
from evalkit.types import Case, Metric, Output, Row, Score, Unscored, verdict_of

FAULT = "out_of_tokens: the model used all its tokens"
CASE = Case(
    id="a", input="q", digest="0" * 64, reference=("Paris",), fields={"forbidden": ["x"], "expect_refusal": False}
)


@dataclass(frozen=True, kw_only=True)
class Graded:
    """A graded scorer that is content with everything, or gives no grade."""

    name: str = "graded"
    version: ClassVar[str] = "1"
    needs: ClassVar[frozenset[str]] = frozenset()
    unscored: bool = False
    pass_at: float | None = 4

    @property
    def metrics(self):
        """One metric with levels."""
        return (Metric(self.name, low=1, high=5, pass_at=self.pass_at),)

    def score(self, case, output):
        """The best grade, or none."""
        if self.unscored:
            return Unscored(self.name, "judge_timeout", "late")
        return Score(self.name, 5, passed=None if self.pass_at is None else True, reason="fine", details={"raw": "5"})


def grades(scorer, *, negated=False, text=""):
    """The grades of one scorer of an output with a fault."""
    output = Output(text=text, fault=FAULT)
    return asyncio.run(grade_all([Grader(scorer, negated=negated)])(CASE, output, 0))


@pytest.mark.parametrize(
    ("name", "options", "negated"),
    [
        ("length", {"max": 100}, False),
        ("contains", {"all": ("London",)}, True),
        ("regex", {"pattern": "London"}, True),
        ("exact", {}, False),
        ("keywords", {"required_field": None}, False),
        ("prompt_leak", {"canaries": ("violet-canary-40961",)}, False),
    ],
)
def test_no_pass_fail_scorer_passes_an_output_without_an_answer(name, options, negated):
    """Neither an upper limit, nor a negation, nor the absence of forbidden words is a silent pass."""
    found = grades(scorer_class(SCORERS[name])(**options), negated=negated)
    votes = [grade for grade in found.values() if isinstance(grade, Score) and grade.passed is not None]
    assert votes
    assert {(grade.passed, grade.reason) for grade in votes} == {(False, f"no answer: {FAULT}")}
    row = Row(case=CASE, output=Output(text="", fault=FAULT), scores=found)
    assert verdict_of(row) == "failed"


def test_a_graded_scorer_keeps_the_value_that_it_measured():
    """The pass mark is missed; no value is made up."""
    found = grades(Graded())["graded"]
    assert (found.value, found.passed, found.reason) == (5, False, f"no answer: {FAULT}")
    assert found.details == {"raw": "5"}


def test_what_is_unknown_stays_unknown():
    """A judge that is out of reach has no grade; a figure without a pass mark is measured as ever."""
    assert grades(Graded(unscored=True))["graded"].kind == "judge_timeout"
    assert grades(Graded(pass_at=None))["graded"].passed is None


def test_a_fault_is_stored_with_the_row_and_read_back():
    """A run that is resumed or scored again knows it; a row without one has the bytes it had."""
    row = Row(case=CASE, output=Output(text="", fault=FAULT), scores={})
    assert decode_row(encode_row(row)).output.fault == FAULT
    assert "fault" not in json.dumps(output_record(Output(text="a")))
    assert to_output({"text": "", "fault": FAULT}).fault == FAULT
