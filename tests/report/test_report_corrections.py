"""The sentence about a judge's bias: its figures add up as they are printed."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from evalkit.report.corrections import correction_lines
from evalkit.results import Cell, Estimate, Summary
from evalkit.text.numbers import Style


def sentence(said: float, n: int, now: float, labels: int, style: Style) -> str:
    """The one line of a summary with one corrected figure."""
    estimate, corrected = (Estimate(value=value, n=size) for value, size in ((said, n), (now, labels)))
    cell = Cell(metric="judge", cohort="overall", estimate=estimate, n_cases=n, n_scored=n, corrected=corrected)
    summary = Summary.__new__(Summary)
    object.__setattr__(summary, "cells", (cell,))
    ((line,), _) = correction_lines(summary, {"judge": style})
    return line


@pytest.mark.parametrize("n", [60, 5_000])
@pytest.mark.parametrize("style", [Style("rate"), Style("number")], ids=["rate", "number"])
def test_judge_less_corrected_is_the_bias(n: int, style: Style) -> None:
    """Whatever the rounding, the reader can subtract: `judge 67 %, corrected 62 %` is not a bias of 4 points."""
    for said in (0.666, 0.6649, 0.7, 0.805, 1.0, 0.5):
        for now in (0.624, 0.6251, 0.7049, 0.795, 0.5005):
            line = sentence(said, n, now, 50, style)
            judge, corrected, bias = (
                Decimal(each.replace("−", "-"))
                for each in re.findall(r"(?:judge|corrected|bias) (−?[\d.]+)", line.removeprefix("judge: "))
            )
            step = Decimal(1).scaleb(max(int(each.as_tuple().exponent) for each in (judge, corrected, bias)))
            assert abs(judge - corrected - bias) < step, line


def test_the_sentence_keeps_few_digits_where_they_do() -> None:
    """Figures that add up when rounded stay short."""
    rate = Style("rate")
    assert sentence(0.67, 60, 0.62, 50, rate) == "judge: judge 67%, corrected 62%, 50 labels, bias 5 pts"
    assert sentence(0.666, 60, 0.624, 50, rate) == "judge: judge 66.6%, corrected 62.4%, 50 labels, bias 4.2 pts"
