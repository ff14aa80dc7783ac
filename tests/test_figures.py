"""How figures are written."""

from __future__ import annotations

import pytest

from evalkit.results import Estimate
from evalkit.text.numbers import Style, change, dropped, duration, estimated, figure, needed, p_value, plural, style_of
from evalkit.types import Metric

RATE, SECONDS, USD, NUMBER = Style("rate"), Style("seconds"), Style("usd"), Style("number")


@pytest.mark.parametrize(
    ("value", "n", "text"),
    [
        pytest.param(0.853, 58, "85%", id="few cases have no decimal"),
        pytest.param(0.8531, 200, "85.3%", id="200 cases have one"),
        pytest.param(1.0, 500, "100%", id="all needs no decimal"),
        pytest.param(0.0, 500, "0%", id="none needs no decimal"),
        pytest.param(0.9996, 5000, ">99.9%", id="never rounded up to all"),
        pytest.param(0.0001, 20000, "<0.1%", id="never rounded down to none"),
        pytest.param(0.997, 50, ">99%", id="never rounded up to all without a decimal"),
        pytest.param(None, 50, "unknown", id="unknown is a word"),
    ],
)
def test_a_rate_shows_as_much_as_n_allows(value: float | None, n: int, text: str) -> None:
    """A rate is a percentage whose decimal needs 200 cases, and 100 % means all of them."""
    assert figure(value, RATE, n) == text


@pytest.mark.parametrize(
    ("value", "style", "text"),
    [
        pytest.param(0.79, SECONDS, "790 ms", id="milliseconds"),
        pytest.param(2.1, SECONDS, "2.10 s", id="seconds"),
        pytest.param(31.4, SECONDS, "31.4 s", id="long seconds"),
        pytest.param(0.0031, USD, "$0.0031", id="small money"),
        pytest.param(12.5, USD, "$12.50", id="money"),
        pytest.param(12.5, Style("per_second"), "12.50/s", id="per second"),
        pytest.param(-0.004, NUMBER, "0.00", id="no negative zero"),
        pytest.param(-1.5, NUMBER, "−1.50", id="a real minus sign"),
        pytest.param(1234.5, Style("number", 0), "1,234", id="thousands"),
    ],
)
def test_units_are_written_with_the_figure(value: float, style: Style, text: str) -> None:
    """Seconds, dollars and plain numbers keep their unit and a sensible number of digits."""
    assert figure(value, style) == text


@pytest.mark.parametrize(
    ("estimate", "style", "text"),
    [
        pytest.param(Estimate(value=0.85, low=0.77, high=0.92, n=90), RATE, "85% [77, 92]", id="rate"),
        pytest.param(Estimate(value=0.5, low=0.4, high=2.0, n=9), SECONDS, "500 ms [400, 2,000]", id="one unit"),
        pytest.param(
            Estimate(value=0.8, low=0.7, high=0.9, n=9, confidence_level=0.9), RATE, "80% [70, 90] at 90%", id="level"
        ),
        pytest.param(Estimate(value=3.25, n=3), NUMBER, "3.25", id="no interval"),
        pytest.param(
            Estimate(value=None, reason="one class only"), NUMBER, "undefined: one class only", id="undefined"
        ),
        pytest.param(Estimate(value=None), RATE, "undefined", id="undefined without a reason"),
        pytest.param(None, RATE, "", id="nothing estimated"),
    ],
)
def test_an_estimate_has_its_interval_or_its_reason(estimate: Estimate | None, style: Style, text: str) -> None:
    """An estimate is written with its interval, an undefined one with why."""
    assert estimated(estimate, style) == text


def test_a_drop_of_a_rate_is_in_points() -> None:
    """A drop is written in percentage points, with a minus sign where the candidate is better."""
    assert dropped(Estimate(value=0.12, low=0.05, high=0.19, n=58), RATE) == "12 pts [5, 19]"
    assert dropped(Estimate(value=-0.01, low=-0.05, high=0.03, n=58), RATE) == "−1 pt [−5, 3]"
    assert dropped(None, RATE) == ""


@pytest.mark.parametrize(
    ("before", "after", "style", "n", "text"),
    [
        pytest.param(0.894, 0.658, NUMBER, 73, "0.89 → 0.66", id="graded"),
        pytest.param(0.902, 0.851, RATE, 315, "90.2% → 85.1%", id="rate"),
        pytest.param(0.8939, 0.8902, NUMBER, 73, "0.8939 → 0.8902", id="alike after rounding"),
        pytest.param(0.953, 0.951, RATE, 73, "95.3% → 95.1%", id="a rate alike after rounding"),
        pytest.param(1.0, 1.0, RATE, 73, "100% → 100%", id="the same"),
        pytest.param(1.8, 0.892, SECONDS, 0, "1.80 s → 0.89 s", id="seconds beside milliseconds"),
        pytest.param(0.107, 0.577, SECONDS, 0, "107 ms → 577 ms", id="milliseconds"),
    ],
)
def test_a_move_is_written_in_one_form(before: float, after: float, style: Style, n: int, text: str) -> None:
    """Both figures in the style of the metric; they look alike only where they are."""
    assert change(before, after, style, n) == text


@pytest.mark.parametrize(
    ("need", "style", "text"),
    [
        pytest.param(">= 0.85", RATE, "≥ 85%", id="rate"),
        pytest.param("<= 3", SECONDS, "≤ 3 s", id="seconds"),
        pytest.param("<= 0.05", USD, "≤ $0.05", id="money"),
        pytest.param(">= 0.95, or one missing", RATE, "≥ 95%, or one missing", id="a rate and words"),
        pytest.param("<= 0 failing critical cases", RATE, "≤ 0 failing critical cases", id="a count of a rate"),
        pytest.param("2 of 3", RATE, "2 of 3", id="words"),
        pytest.param("no drop at p <= 0.005", RATE, "no drop at p ≤ 0.005", id="words with a sign"),
    ],
)
def test_a_threshold_is_written_in_the_unit_of_its_metric(need: str, style: Style, text: str) -> None:
    """A threshold reads like the figure that it is held against; words stay words."""
    assert needed(need, style) == text


@pytest.mark.parametrize(
    ("name", "metric", "unit"),
    [
        pytest.param("citation", Metric("citation", binary=True), "rate", id="pass or fail"),
        pytest.param("latency_p95_s", None, "seconds", id="seconds by name"),
        pytest.param("cost_per_case_usd", None, "usd", id="money by name"),
        pytest.param("tokens_per_s", Metric("tokens_per_s", unit="tokens/s"), "per_second", id="not seconds"),
        pytest.param("pass_rate", None, "rate", id="rate by name"),
        pytest.param("similarity", Metric("similarity"), "number", id="graded"),
    ],
)
def test_the_style_follows_the_declaration_then_the_name(name: str, metric: Metric | None, unit: str) -> None:
    """What a metric declares decides how it is written; without it, the unit in its name."""
    assert style_of(name, metric).unit == unit


def test_times_and_counts_in_words() -> None:
    """Elapsed time and plurals read as a person would write them."""
    assert [duration(seconds) for seconds in (0.4, 59.4, 59.6, 124, 3900)] == [
        "0 s", "59 s", "1 m 00 s", "2 m 04 s", "1 h 05 m",
    ]  # fmt: skip
    assert (plural(1, "case"), plural(1200, "case")) == ("1 case", "1,200 cases")


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (12.3456, "$12.35"), (1.0, "$1.00"), (0.05, "$0.0500"), (0.0021, "$0.0021"), (0.000012, "$0.000012"),
        (4e-7, "$0.00000040"), (0.0, "$0.00"), (1e-15, "$0.00"), (-0.000012, "\u2212$0.000012"),
    ],
)  # fmt: skip
def test_small_costs_are_not_rounded_away(usd: float, text: str) -> None:
    """An amount below a cent has at least two digits."""
    assert figure(usd, USD) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0134, "p = 0.0134"), (0.00005, "p = 0.0001"), (0.00004, "p < 0.0001"), (0.0, "p < 0.0001")]
)
def test_a_p_value_is_never_zero(value: float, text: str) -> None:
    """A p value that four decimals would round to zero is shown as below the smallest of them."""
    assert p_value(value) == text
