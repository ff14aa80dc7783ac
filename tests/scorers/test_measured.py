"""The `latency` and `cost` scorers judge what was measured, never what is unknown."""

from __future__ import annotations

import math

import pytest

from evalkit.scorers.rules.measured import Cost, Latency
from evalkit.types import Case, Output, Score, Unscored, Usage

CASE = Case(id="c", input="q")


@pytest.mark.parametrize(("latency_s", "passed"), [(0.0, True), (2.0, True), (2.001, False)])
def test_latency(latency_s: float, passed: bool) -> None:
    """A call at the bound passes; the seconds are kept, for an empty answer too."""
    score = Latency(max_s=2).score(CASE, Output(text="", latency_s=latency_s))
    assert isinstance(score, Score)
    assert (score.passed, score.value, score.details["latency_s"]) == (passed, float(passed), latency_s)


@pytest.mark.parametrize(
    ("output", "kind"),
    [(Output(text="x"), "unknown_latency"), (Output(text="x", latency_s=0.1, replayed=True), "replayed")],
    ids=["unknown", "replayed"],
)
def test_latency_unscored(output: Output, kind: str) -> None:
    """A time that is unknown or of another run is not a number."""
    score = Latency(max_s=2).score(CASE, output)
    assert isinstance(score, Unscored)
    assert score.kind == kind


@pytest.mark.parametrize(("cost_usd", "passed"), [(0.0, True), (0.05, True), (0.051, False)])
def test_cost(cost_usd: float, passed: bool) -> None:
    """A call at the bound passes, a free one too."""
    score = Cost(max_usd=0.05).score(CASE, Output(text="", usage=Usage(cost_usd=cost_usd)))
    assert isinstance(score, Score)
    assert (score.passed, score.value, score.details["cost_usd"]) == (passed, float(passed), cost_usd)


@pytest.mark.parametrize("usage", [None, Usage(input_tokens=5)], ids=["no usage", "no cost"])
def test_cost_unscored(usage: Usage | None) -> None:
    """An unknown cost is not 0."""
    score = Cost(max_usd=1).score(CASE, Output(text="x", usage=usage))
    assert isinstance(score, Unscored)
    assert score.kind == "unknown_cost"


@pytest.mark.parametrize("bound", [0, -1, math.inf, math.nan])
def test_bad_bounds_are_refused(bound: float) -> None:
    """A bound is a finite number above 0."""
    with pytest.raises(ValueError, match=r"^max_s: .+; .+"):
        Latency(max_s=bound)
    with pytest.raises(ValueError, match=r"^max_usd: .+; .+"):
        Cost(max_usd=bound)
