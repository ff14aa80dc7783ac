"""Verdicts that stand in the golden rows."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.scorers.judges.recorded import Recorded
from evalkit.types import Case, Output, Score, Unscored


def read(options: Recorded, **fields: Any) -> Score | Unscored:
    """The recorded grade of one answer."""
    return options.score(Case(id="1", input="q", fields=fields), Output(text="a"))


@pytest.mark.parametrize(("verdict", "value"), [(True, 1.0), (False, 0.0)])
def test_true_passes_and_false_fails(verdict: bool, value: float) -> None:
    """A path goes into mappings, also where a key holds a dot."""
    for path, fields in {"v": {"v": verdict}, "judges.gpt-4.1": {"judges": {"gpt-4.1": verdict}}}.items():
        grade = read(Recorded(at=path, judge="gpt"), **fields)
        assert isinstance(grade, Score)
        assert (grade.value, grade.passed) == (value, verdict)


@pytest.mark.parametrize("verdict", [None, "true", 1, 0.9, "I cannot judge this.", [True], {}])
def test_what_is_no_verdict_is_unscored(verdict: Any) -> None:
    """A sentence in the place of a verdict is a judge that broke its format, not a fail."""
    grade = read(Recorded(at="v", judge="gpt"), v=verdict)
    assert isinstance(grade, Unscored)
    assert grade.kind == "no_verdict"


def test_words_become_levels() -> None:
    """Named verdicts have their numbers; another word has none."""
    options = Recorded(at="v", judge="gpt", levels={"poor": 1, "good": 3}, pass_at=2)
    grade = read(options, v="good")
    assert isinstance(grade, Score) and (grade.value, grade.passed) == (3, True)
    assert isinstance(read(options, v="excellent"), Unscored)
    assert (options.metrics[0].low, options.metrics[0].high, options.metrics[0].judge) == (1, 3, "recorded:gpt")


@pytest.mark.parametrize("verdict", [-0.1, 1.1, float("nan"), True, "0.5", None])
def test_numbers_off_the_scale_are_unscored(verdict: Any) -> None:
    """A probability above 1, or a truth value, is none."""
    assert isinstance(read(Recorded(at="v", judge="bem", scale=(0, 1)), v=verdict), Unscored)
    assert isinstance(read(Recorded(at="v", judge="bem", scale=(0, 1)), v=0.4), Score)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": {"a": 1, "b": 2}, "scale": (0, 1)}, "either words or numbers"),
        ({"scale": (1, 0)}, "not a range"),
        ({"levels": {"a": 1, "b": 1}}, "all verdicts have the same number"),
        ({"pass_at": 1}, "true passes"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any], message: str) -> None:
    """Each with its key and the fix."""
    with pytest.raises(ValueError, match=message):
        Recorded(at="v", judge="j", **options)
