"""Prepare a comparison of several systems for display: figures in words, and what they can show."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from evalkit.aggregate.system_comparison import SystemComparison, SystemFigures
from evalkit.report.headline import headline, spoken
from evalkit.report.next_steps import NextStep
from evalkit.report.system_sentence import candidates_named, either, the_cheapest
from evalkit.report.systems.next_steps import systems_next
from evalkit.report.systems.runs import SystemRun
from evalkit.results import WORST_FIRST, Estimate, Outcome
from evalkit.stats.system_ranks import LEVEL
from evalkit.text.numbers import Style, bounds, difference, figure, finer, plural, style_of
from evalkit.text.printable import one_line
from evalkit.types import Metric

Moved = Literal["better", "worse", "", "unknown"]
"""Whether an interval of a difference leaves out 0, and on which side; empty if it holds 0."""

_USD, _SECONDS, _TOKENS = Style("usd"), Style("seconds"), Style("count", 0)
_ZERO_END = re.compile(r"\[0(?:\.0+)?,|, 0(?:\.0+)?\]")
NONE = "none"


@dataclass(frozen=True, kw_only=True)
class SystemLine:
    """One system, with its figures as they are written."""

    number: int
    """Its place in the suite, counted from 1."""
    figures: SystemFigures
    primary: str
    interval: str
    """The reason, in round brackets, if there is no figure; so is that of the difference."""
    difference: str
    """In points for a rate; empty for the reference."""
    difference_interval: str
    moved: Moved
    rank: str
    worst_cohort: str
    worst_cohort_value: str
    cost: str
    p50: str
    p95: str
    tokens: str
    scored: str
    outcome: Outcome | None
    """Decision of its gate; `None` for a system that is only compared."""
    is_reference: bool
    is_release: bool
    report: str
    """Address of its own report; empty if there is none."""

    @property
    def name(self) -> str:
        """Name of the system."""
        return self.figures.name


@dataclass(frozen=True, kw_only=True)
class ReleaseLine:
    """What the gate of a release system decided."""

    name: str
    outcome: Outcome
    text: str


@dataclass(frozen=True, kw_only=True)
class SystemsView:
    """A comparison as the page, the comment and the terminal show it."""

    comparison: SystemComparison
    sentence: str
    style: Style
    lines: tuple[SystemLine, ...]
    """In the order of the suite."""
    facts: tuple[str, ...]
    release: tuple[ReleaseLine, ...]
    suite: str
    """File of the suite as commands name it; empty if there is none, as for a file of results."""
    reasons: tuple[str, ...]
    """Why a run without release systems has no decision; empty if it has one."""
    claims: tuple[str, ...]
    """What can be said of the best system, and with which error."""
    next: tuple[NextStep, ...]

    @property
    def primary(self) -> str:
        """Name of the primary metric in words."""
        return spoken(self.comparison.primary)

    @property
    def outcome(self) -> Outcome | None:
        """The worst outcome of the release systems; without them, `None` if the systems could be compared."""
        if self.reasons:
            return "no decision"
        return min((line.outcome for line in self.release), key=WORST_FIRST.index, default=None)

    @property
    def headline(self) -> str:
        """What the gates decided, by the worst of them; without gates, why there is no decision, or the sentence."""
        if self.reasons:
            return "; ".join(self.reasons)
        worst = [line for line in self.release if line.outcome == self.outcome]
        if not worst:
            return self.sentence
        of = f"{len(worst) if len(worst) > 1 else 'one'} of {len(self.release)} release systems"
        text = f": {worst[0].text}" if worst[0].text else ""
        more = f" ({of})" if len(self.release) > 1 else ""
        return f"{one_line(worst[0].name, 60)} {worst[0].outcome}{text}{more}"

    @property
    def shown(self) -> str:
        """What the comparison shows, if the headline does not say it."""
        return "" if self.headline == self.sentence else self.sentence

    @property
    def ranked(self) -> tuple[SystemLine, ...]:
        """The systems by their figure, the best first; those without one last."""
        sign = -1 if self.comparison.higher_is_better else 1
        return tuple(sorted(self.lines, key=lambda line: _order(line.figures.primary.value, sign)))


def build_systems_view(
    comparison: SystemComparison,
    sentence: str,
    runs: Sequence[SystemRun],
    *,
    folder: str = "",
    suite: str = "",
    reasons: tuple[str, ...] = (),
) -> SystemsView:
    """Build the view of a comparison.

    Args:
        comparison: the comparison.
        sentence: its result in one sentence.
        runs: the runs of its systems, in the same order; empty if only the figures are shown.
        folder: folder of the comparison as commands name it.
        suite: file of the suite as commands name it; empty if it is not known.
        reasons: why a run without release systems has no decision; empty if it has one.
    """
    declared = {metric.name: metric for run in runs for metric in run.manifest.metrics}
    style = style_of(comparison.primary, declared.get(comparison.primary))
    reports = {run.figures.name: run.report for run in runs}
    lines = tuple(
        _line(number, figures, comparison, style, reports.get(figures.name, ""))
        for number, figures in enumerate(comparison.systems, 1)
    )
    return SystemsView(
        comparison=comparison,
        sentence=sentence,
        style=style,
        lines=lines,
        facts=_facts(comparison),
        release=tuple(_release(lines, runs)),
        suite=suite,
        reasons=reasons,
        claims=tuple(_claims(comparison, style, names_all=candidates_named(comparison, sentence))),
        next=systems_next(comparison, runs, folder=folder, suite=suite),
    )


def tested(system: SystemFigures, higher_is_better: bool) -> Moved:
    """Tell whether the test over all systems finds a difference to the reference, and on which side.

    In few cases the interval may leave out 0 where the test, which needs no normal means, finds nothing.
    """
    seen, p_value = system.difference, system.p_value
    if seen is None or seen.value is None or p_value is None:
        return "unknown"
    if p_value > LEVEL:
        return ""
    return "better" if (seen.value > 0) == higher_is_better else "worse"


def moved(seen: Estimate | None, higher_is_better: bool) -> Moved:
    """Tell whether the interval of a difference leaves out 0, and on which side."""
    if seen is None or seen.value is None or seen.low is None or seen.high is None:
        return "unknown"
    if seen.low <= 0 <= seen.high:
        return ""
    return "better" if (seen.low > 0) == higher_is_better else "worse"


def written(seen: Estimate, style: Style, higher_is_better: bool) -> tuple[str, str]:
    """Write a difference with its sign, and its interval; `none` and the reason if it has no value.

    An interval that leaves out 0 gets more digits if one of its ends would be shown as 0.
    """
    value, n = seen.value, seen.n
    if value is None:
        return NONE, _reason(seen)
    interval = bounds(seen, style)
    if moved(seen, higher_is_better) and _ZERO_END.search(interval):
        style, n = finer(style, n)
        interval = bounds(replace(seen, n=n), style)
    text = difference(value, style, n)
    return f"+{text}" if value > 0 and any(digit in "123456789" for digit in text) else text, interval


def _order(value: float | None, sign: int) -> tuple[bool, float]:
    return value is None, 0.0 if value is None else sign * value


def _line(number: int, figures: SystemFigures, comparison: SystemComparison, style: Style, report: str) -> SystemLine:
    is_reference, is_release = figures.name == comparison.reference, figures.name in comparison.release
    seen = None if is_reference else figures.difference
    words = ("unknown", "") if seen is None else written(seen, style, comparison.higher_is_better)
    worst = figures.worst_cohort_value
    value = figures.primary.value
    return SystemLine(
        number=number,
        figures=figures,
        primary=NONE if value is None else figure(value, style, figures.primary.n),
        interval=_reason(figures.primary) if value is None else bounds(figures.primary, style),
        difference="" if is_reference else words[0],
        difference_interval=words[1],
        moved="" if is_reference else tested(figures, comparison.higher_is_better),
        rank=_rank(figures),
        worst_cohort=figures.worst_cohort,
        worst_cohort_value="" if worst is None else figure(worst, style),
        cost=figure(figures.cost_usd_per_case, _USD),
        p50=figure(figures.latency_p50_s, _SECONDS),
        p95=figure(figures.latency_p95_s, _SECONDS),
        tokens=figure(figures.tokens_per_case, _TOKENS),
        scored=f"{figures.n_scored:,}"
        if figures.n_scored == figures.n_cases
        else f"{figures.n_scored:,} of {figures.n_cases:,}",
        outcome=figures.outcome or ("no decision" if is_release else None),
        is_reference=is_reference,
        is_release=is_release,
        report=report,
    )


def _reason(seen: Estimate) -> str:
    return f"({seen.reason})" if seen.reason else ""


def _rank(figures: SystemFigures) -> str:
    if figures.rank is None:
        return NONE
    best, worst = figures.rank.best, figures.rank.worst
    return str(best) if best == worst else f"{best} to {worst}"


def _facts(comparison: SystemComparison) -> tuple[str, ...]:
    cases = max((figures.n_cases for figures in comparison.systems), default=0)
    better = "" if comparison.higher_is_better else ", lower is better"
    return (
        plural(cases, "case"),
        plural(len(comparison.systems), "system"),
        f"reference {one_line(comparison.reference, 60)}",
        f"compared by {spoken(comparison.primary)}{better}",
    )


def _release(lines: Sequence[SystemLine], runs: Sequence[SystemRun]) -> Iterator[ReleaseLine]:
    decided = {run.figures.name: run for run in runs}
    for line in lines:
        if line.is_release and line.outcome is not None:
            run = decided.get(line.name)
            yield ReleaseLine(name=line.name, outcome=line.outcome, text=_why(run, line.outcome) if run else "")


def _why(run: SystemRun, outcome: Outcome) -> str:
    if run.decision is None:
        return "its run was not decided" if outcome == "no decision" else ""
    declared: dict[str, Metric] = {metric.name: metric for metric in run.manifest.metrics}
    names = {check.metric for check in run.decision.checks}
    return headline(run.decision, {name: style_of(name, declared.get(name)) for name in names}, run.decision.partial)


def _claims(comparison: SystemComparison, style: Style, *, names_all: bool) -> Iterator[str]:
    if not names_all:
        yield from _best(comparison)
    known = [each for each in comparison.systems if each.primary.value is not None]
    if comparison.winner_shrunken is not None and known:
        sign = -1 if comparison.higher_is_better else 1
        first = min(known, key=lambda each: _order(each.primary.value, sign))
        yield (
            f"The best figure, {figure(first.primary.value, style, first.primary.n)} of {one_line(first.name, 60)}, is "
            f"biased upwards, because it was picked as the best; corrected: "
            f"{figure(comparison.winner_shrunken, style, first.primary.n)} (shrunk towards the mean of all systems)."
        )
    if comparison.cases_to_part is not None:
        yield f"About {comparison.cases_to_part:,} cases would tell the first two systems apart in 4 of 5 runs."
    if comparison.false_mark_rate is not None:
        rate = figure(comparison.false_mark_rate, Style("rate"), 0)
        yield (
            f"If all systems were equal, at least one would be marked as better or worse than "
            f"{one_line(comparison.reference, 60)} in at most {rate} of runs."
        )


def _best(comparison: SystemComparison) -> Iterator[str]:
    """Name the best system, or those that may be it and the cheapest of them."""
    found = [each for each in comparison.systems if each.name in comparison.candidates]
    metric = spoken(comparison.primary)
    if len(found) == 1:
        yield f"Best by {metric}: {one_line(found[0].name, 60)}; each other system is surely beaten."
        return
    yield f"No clear best by {metric}: {either([each.name for each in found])}{the_cheapest(found)}."
