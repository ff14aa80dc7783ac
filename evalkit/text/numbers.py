"""Format numbers for display: percentages, durations, costs, intervals and missing values."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from evalkit.results import Estimate
from evalkit.types import Metric

Unit = Literal["rate", "seconds", "usd", "per_second", "amount", "count", "number"]
RESOURCES: tuple[Unit, ...] = ("seconds", "usd", "per_second", "amount")
"""Units of the metrics shown as latency and cost."""
DECIMAL_FROM_N = 200
"""Number of cases from which percentages get a decimal, because one case weighs half a point or less."""
UNKNOWN = "unknown"
MINUS = "−"
_SMALLEST_P = 0.0001
"""p values that round to less are shown as below it."""
SMALLEST_USD = 1e-12
"""Amounts below this are shown as $0.00."""
_RATES = (
    "rate",
    "coverage",
    "recall",
    "precision",
    "share",
    "accuracy",
    "robustness_gap",
    "attack_success",
    "parity_gap",
)


@dataclass(frozen=True, slots=True)
class Style:
    """The number format of one metric."""

    unit: Unit
    decimals: int = 2


def style_of(name: str, metric: Metric | None = None) -> Style:
    """Choose the style of a metric from its declaration, else from the unit in its name."""
    unit, named = (metric.unit.lower(), "") if metric else ("", name)
    if unit.endswith("/s") or named.endswith("_per_s"):
        return Style("per_second")
    if unit in ("s", "seconds") or named.endswith("_s"):
        return Style("seconds")
    if unit in ("usd", "$") or named.endswith(("_usd", "_usd_per_hour")):
        return Style("usd")
    if unit.endswith((" per case", " per success")):
        return Style("amount", 0 if unit.startswith("tokens") else 2)
    if metric is not None:
        return Style("rate" if metric.binary or unit in ("%", "rate") else "number", _decimals(metric))
    if name.endswith(_RATES):
        return Style("rate")
    return Style("count", 0) if name.endswith(("_count", "tokens")) else Style("number")


def _decimals(metric: Metric) -> int:
    """Return the decimals that give about a hundred steps over the metric's range; an open range gets two."""
    span = metric.high - metric.low
    return 2 if span <= 10 or not math.isfinite(span) else 1 if span <= 100 else 0


def figure(value: float | None, style: Style, n: int = 0) -> str:
    """Write one value with its unit; `None` is `unknown`."""
    if value is None:
        return UNKNOWN
    if style.unit == "rate":
        return _rate(value, n)
    text = _bare(value, style, value)
    if style.unit == "seconds":
        return f"{text} {_second_unit(value)}"
    return _dollars(text) if style.unit == "usd" else f"{text}/s" if style.unit == "per_second" else text


def bounds(estimate: Estimate, style: Style) -> str:
    """Write the interval as `[77, 92]`, in the unit of the value; empty if there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    scale = estimate.value if estimate.value is not None else estimate.high
    if style.unit == "rate":
        low, high = (_percent(end, estimate.n) for end in (estimate.low, estimate.high))
    else:
        low, high = (_bare(end, style, scale) for end in (estimate.low, estimate.high))
    level = "" if abs(estimate.confidence_level - 0.95) < 1e-9 else f" at {100 * estimate.confidence_level:g}%"
    return f"[{low}, {high}]{level}"


def estimated(estimate: Estimate | None, style: Style) -> str:
    """Write value and interval, or why there is no value; empty if nothing was estimated."""
    if estimate is None:
        return ""
    if estimate.value is None:
        return f"undefined: {estimate.reason}" if estimate.reason else "undefined"
    return f"{figure(estimate.value, style, estimate.n)} {bounds(estimate, style)}".rstrip()


def dropped(drop: Estimate | None, style: Style) -> str:
    """Write a drop, in points for a rate, else in the unit of the metric; positive is worse."""
    if drop is None:
        return ""
    if drop.value is None:
        return f"undefined: {drop.reason}" if drop.reason else "undefined"
    return f"{difference(drop.value, style, drop.n)} {bounds(drop, style)}".rstrip()


def difference(value: float, style: Style, n: int = 0) -> str:
    """Write a difference of two values with its sign."""
    if style.unit != "rate":
        return figure(value, style, n)
    text = signed(100 * value, _rate_decimals(n))
    return f"{text} {'pt' if text in ('1', f'{MINUS}1') else 'pts'}"


def change(before: float, after: float, style: Style, n: int = 0) -> str:
    """Write `0.89 → 0.66`, with more digits if two different figures would look alike."""
    pair = figure(before, style, n), figure(after, style, n)
    if style.unit == "seconds" and len({_second_unit(value) for value in (before, after) if value}) == 2:
        return " → ".join(f"{value:.2f} s" for value in (before, after))
    if pair[0] == pair[1] and before != after:
        more, many = finer(style, n)
        pair = figure(before, more, many), figure(after, more, many)
    return " → ".join(pair)


def finer(style: Style, n: int) -> tuple[Style, int]:
    """Return the style and number of cases that give a figure more digits."""
    return replace(style, decimals=style.decimals + 2), max(n, DECIMAL_FROM_N)


def rounded(value: float, style: Style, n: int) -> Decimal:
    """Round a value to the digits that `figure` shows."""
    if style.unit == "rate":
        return Decimal(f"{100 * value:.{_rate_decimals(n)}f}") / 100
    return Decimal(f"{value:.{style.decimals}f}")


def limit(value: float, style: Style) -> str:
    """Write the limit of a difference, in points for a rate, never rounded."""
    return f"{100 * value:g} {'pt' if value == 0.01 else 'pts'}" if style.unit == "rate" else f"{value:g}"


def needed(need: str, style: Style) -> str:
    """Write a threshold such as `>= 0.85` in the unit of its metric; other texts stay unchanged."""
    sign, _, rest = need.partition(" ")
    rest, comma, words = rest.partition(",")
    try:
        value = float(rest)
    except ValueError:
        return with_signs(need)
    if comma:
        return f"{needed(f'{sign} {rest}', style)},{words}"
    pretty = {">=": "≥", "<=": "≤"}.get(sign, sign)
    if style.unit == "rate":
        return f"{pretty} {100 * value:g}%"
    return f"{pretty} {_dollars(rest) if style.unit == 'usd' else rest + ' s' if style.unit == 'seconds' else rest}"


def with_signs(text: str) -> str:
    """Write ≥ and ≤ as one sign each."""
    return text.replace(">=", "≥").replace("<=", "≤")


def signed(value: float, decimals: int) -> str:
    """Write a number with a real minus sign and without a negative zero."""
    text = f"{value:,.{decimals}f}"
    if not text.startswith("-"):
        return text
    return MINUS + text[1:] if any(digit in "123456789" for digit in text) else text[1:]


def plural(count: int, word: str) -> str:
    """Write `1 case` or `1,200 cases`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def p_value(p: float) -> str:
    """Write `p = 0.0134`, or `p < 0.0001` where four decimals would show zero; `p` from 0 to 1."""
    return f"p = {p:.4f}" if p >= _SMALLEST_P / 2 else f"p < {_SMALLEST_P}"


def duration(seconds: float) -> str:
    """Write `12 s`, `2 m 04 s` or `1 h 05 m`."""
    if round(seconds) < 60:
        return f"{round(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} m {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} m"


def _rate_decimals(n: int) -> int:
    return 1 if n >= DECIMAL_FROM_N else 0


def _percent(value: float, n: int) -> str:
    """Format the number of a percentage; 0 and 100 have no decimal."""
    return f"{100 * value:.0f}" if value in (0, 1) else signed(100 * value, _rate_decimals(n))


def _rate(value: float, n: int) -> str:
    """Format a share, never rounding one below 1 up to 100 %, or one above 0 down to 0 %."""
    step = 10.0 ** -_rate_decimals(n)
    text = _percent(value, n)
    if value < 1 and float(text.replace(MINUS, "-").replace(",", "")) == 100:
        return f">{100 - step:g}%"
    if value > 0 and float(text.replace(MINUS, "-").replace(",", "")) == 0:
        return f"<{step:g}%"
    return f"{text}%"


def _bare(value: float, style: Style, scale: float) -> str:
    """Format the number alone, in the unit that `scale` chooses."""
    if style.unit == "seconds":
        small = _second_unit(scale) == "ms"
        return signed(1000 * value, 0) if small else signed(value, 1 if abs(scale) >= 10 else 2)
    if style.unit == "usd":
        return signed(value, _cents(scale))
    return signed(value, style.decimals)


def _cents(scale: float) -> int:
    """Return the decimals of an amount in dollars: at least two digits that are not zeros."""
    if abs(scale) >= 1 or not abs(scale) > SMALLEST_USD:
        return 2
    return max(4, 1 - math.floor(math.log10(abs(scale))))


def _second_unit(value: float) -> str:
    return "ms" if 0 < abs(value) < 1 else "s"


def _dollars(text: str) -> str:
    return f"{MINUS}${text[1:]}" if text.startswith(MINUS) else f"${text}"
