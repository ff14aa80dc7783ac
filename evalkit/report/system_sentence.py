"""Say in one sentence what a comparison of several systems shows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evalkit.aggregate.system_comparison import SystemComparison, SystemFigures
from evalkit.report.headline import spoken
from evalkit.results import Estimate
from evalkit.text.numbers import Style, bounds, difference, estimated, figure, plural, style_of
from evalkit.text.printable import one_line

CLOSE = 0.05
"""Share of the metric's scale that a system may be worse by, at the end of its interval, to be called as good."""
_RATE = Style("rate")
_NAMED = 6
_SLACK = 1e-9


def sentence(comparison: SystemComparison) -> str:
    """Write the sentence: the best system, one as good as the reference for less, or those that may be the best.

    "best" is said only of a system that no other ranked system may equal.
    """
    return _said(comparison)[0]


def candidates_named(comparison: SystemComparison, text: str) -> bool:
    """Return True if a text is the sentence, and that names every system that none surely beats."""
    if not comparison.candidates:
        return True
    said, names = _said(comparison)
    return text == said and set(comparison.candidates) <= set(names)


def _said(comparison: SystemComparison) -> tuple[str, tuple[str, ...]]:
    """Return the sentence, and the systems that it names."""
    systems = comparison.systems
    ranked = [each for each in comparison.systems if each.rank is not None]
    if not ranked:
        few = "fewer than 95% of the cases have a value"
        return (f"no system has a rank: {few}" if systems else "no system was compared"), ()
    style = style_of(comparison.primary, comparison.metric)
    of = f"of {len(ranked)} systems" if len(ranked) == len(systems) else f"of the {len(ranked)} systems with a rank"
    if len(ranked) == 1:
        alone = f"{_name(ranked[0])} has {_figure(ranked[0], comparison, style)}"
        said = alone if len(systems) == 1 else f"{alone}; no other system has a rank"
        return said, (ranked[0].name,)
    found = [each for each in ranked if each.name in comparison.candidates]
    if len(found) == 1:
        best = found[0]
        figure_ = _figure(best, comparison, style)
        return f"{_name(best)} is the best {of}: {figure_}{_gain(best, comparison, style)}", (best.name,)
    return _as_good(found, comparison, style) or _no_clear_best(found)


def _figure(system: SystemFigures, comparison: SystemComparison, style: Style) -> str:
    return f"{spoken(comparison.primary)} {estimated(system.primary, style)}"


def _gain(best: SystemFigures, comparison: SystemComparison, style: Style) -> str:
    seen = best.difference
    if seen is None or seen.value is None:
        return ""
    more = "more" if seen.value > 0 else "less"
    size = difference(abs(seen.value), style, seen.n)
    return f", {size} {more} than {one_line(comparison.reference, 60)} {bounds(seen, style)}".rstrip()


def _as_good(
    found: Sequence[SystemFigures], comparison: SystemComparison, style: Style
) -> tuple[str, tuple[str, ...]] | None:
    """Return the claim of the cheapest candidate, `None` if it is not known to be as good and cheaper."""
    reference = next((each for each in found if each.name == comparison.reference), None)
    cheapest = cheapest_of(found)
    if reference is None or cheapest is None or cheapest is reference or cheapest.difference is None:
        return None
    within = _within(cheapest.difference, comparison, style)
    was, now = reference.cost_usd_per_case, cheapest.cost_usd_per_case
    if not within or not was or now is None or 1 - now / was < 0.01:
        return None
    less, names = figure(1 - now / was, _RATE), (cheapest.name, reference.name)
    return f"{_name(cheapest)} is as good as {_name(reference)} within {within} and costs {less} less", names


def _within(seen: Estimate, comparison: SystemComparison, style: Style) -> str:
    """Return by how much a system may be worse, rounded up; empty if that is too much or unknown."""
    worst = seen.low if comparison.higher_is_better else None if seen.high is None else -seen.high
    metric = comparison.metric
    span = metric.high - metric.low if metric is not None else 1.0 if style.unit == "rate" else math.inf
    if worst is None or not math.isfinite(span) or -worst > CLOSE * span + _SLACK:
        return ""
    if style.unit == "rate":
        return plural(max(1, math.ceil(-100 * worst - _SLACK)), "point")
    step = 10.0**-style.decimals
    return figure(max(1, math.ceil(-worst / step - _SLACK)) * step, style)


def _no_clear_best(found: Sequence[SystemFigures]) -> tuple[str, tuple[str, ...]]:
    names = [each.name for each in found]
    return f"no clear best: {either(names)}{the_cheapest(found)}", tuple(names[:_NAMED])


def the_cheapest(found: Sequence[SystemFigures]) -> str:
    """Name the cheapest of several systems, as the end of a sentence; empty if it is not known."""
    cheapest = cheapest_of(found)
    return f"; the cheapest of them is {_name(cheapest)}" if cheapest else ""


def cheapest_of(found: Sequence[SystemFigures]) -> SystemFigures | None:
    """Return the one system with the lowest cost; `None` if a cost is unknown or two share it."""
    costs = sorted(each.cost_usd_per_case for each in found if each.cost_usd_per_case is not None)
    if len(costs) < len(found) or len(costs) < 2 or costs[0] == costs[1]:
        return None
    return min(found, key=lambda each: each.cost_usd_per_case or 0.0)


def _name(system: SystemFigures) -> str:
    return one_line(system.name, 60)


def either(names: Sequence[str]) -> str:
    """List names as `a, b or c`, at most `_NAMED` of them; empty without a name."""
    if not names:
        return ""
    shown = [one_line(name, 60) for name in names[:_NAMED]]
    last = f"{len(names) - _NAMED} more" if len(names) > _NAMED else shown.pop()
    return f"{', '.join(shown)} or {last}" if shown else last
