"""The one view model: every renderer shows these lines, in these words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evalkit.report.headline import ORDER, WORDS, headline, spoken, titled
from evalkit.report.numbers import (
    Style,
    bounds,
    difference,
    dropped,
    elapsed,
    estimated,
    figure,
    needed,
    plural,
    style_of,
)
from evalkit.report.survey import Example, FailedCase, Histogram, Rows, changes_of, walk
from evalkit.types import OVERALL, Agreement, Cell, Check, CheckOutcome, Comparison, Decision, Metric, Outcome, Summary

FEW_CASES = 30
"""Below this many cases a cell is hatched and marked `few`."""
RESOURCES = ("seconds", "usd")
"""Units of the metrics that are shown as latency and cost."""


@dataclass(frozen=True, slots=True)
class GateLine:
    """One check in words."""

    subject: str
    now: str
    base: str
    drop: str
    need: str
    smallest_drop: str
    """The drop that the check would probably have found."""
    outcome: CheckOutcome
    check: Check


@dataclass(frozen=True, slots=True)
class CohortCell:
    """One metric in one cohort, with what the gate said about it."""

    value: str
    interval: str
    n: int
    missing: str
    """Cases without a score in words, empty where there are none."""
    base: str
    drop: str
    outcome: CheckOutcome | None
    heat: int | None
    """0 (best) to 5 (worst) over the metric's range; `None` where the value is undefined."""
    few: bool
    reason: str
    cell: Cell


@dataclass(frozen=True, slots=True)
class CohortRow:
    """All metrics of one cohort, in the order of `View.metrics`."""

    cohort: str
    coverage: str
    cells: tuple[CohortCell | None, ...]


@dataclass(frozen=True, slots=True)
class JudgeLine:
    """How far one judge may be trusted."""

    name: str
    kappa: str
    observed: str
    prevalence: str
    sensitivity: str
    specificity: str
    n: int
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class ResourceRow:
    """Latency and cost of one cohort, in the order of `View.resource_metrics`."""

    cohort: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ErrorLine:
    """One kind of error, counted, with an example."""

    state: str
    kind: str
    count: int
    example: Example | None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything the renderers show of a run, except for the single cases."""

    suite: str
    outcome: Outcome
    word: str
    headline: str
    reasons: tuple[str, ...]
    facts: tuple[str, ...]
    partial: str | None
    gates: tuple[GateLine, ...]
    metrics: tuple[Metric, ...]
    """Quality metrics, the columns of the cohort table."""
    scored_metrics: tuple[Metric, ...]
    """What the scorers declare: each case has a grade for some of them."""
    cohorts: tuple[CohortRow, ...]
    judges: tuple[JudgeLine, ...]
    coverage: str
    resource_metrics: tuple[str, ...]
    """Names of the metrics of latency and cost."""
    resources: tuple[ResourceRow, ...]
    failing: tuple[FailedCase, ...]
    n_failing: int
    failing_are_new: bool
    histograms: tuple[Histogram, ...]
    errors: tuple[ErrorLine, ...]
    notes: tuple[str, ...]
    provenance: tuple[tuple[str, str], ...]
    comparison: Comparison | None
    changes: Mapping[str, str]
    """Case id -> what happened to it against the baseline."""
    styles: Mapping[str, Style]


def build_view(
    summary: Summary,
    decision: Decision,
    rows: Rows,
    baseline_rows: Rows | None,
    manifest: Mapping[str, Any],
) -> View:
    """Put the results of a run into words; walks the rows once.

    Args:
        summary: metrics by cohort, agreement, coverage.
        decision: what the gate said.
        rows: gives the candidate's rows, in a fixed order, as often as it is called.
        baseline_rows: the same for the baseline, `None` where there is none.
        manifest: the manifest of the run.
    """
    styles = _styles(summary, decision)
    found = walk(rows, baseline_rows, decision, summary.metrics)
    quality = _quality(summary, styles)
    resources = tuple(dict.fromkeys(cell.metric for cell in summary.cells if styles[cell.metric].unit in RESOURCES))
    partial = manifest.get("partial") or None
    return View(
        suite=summary.suite,
        outcome=decision.outcome,
        word=WORDS[decision.outcome],
        headline=headline(decision, styles, partial),
        reasons=decision.reasons,
        facts=_facts(summary, decision, manifest, styles),
        partial=partial,
        gates=_gates(decision, styles),
        metrics=quality,
        scored_metrics=summary.metrics,
        cohorts=_cohorts(summary, decision, quality, styles),
        judges=tuple(_judge(agreement) for agreement in summary.agreement),
        coverage=_share(*_overall_coverage(summary)),
        resource_metrics=resources,
        resources=_resources(summary, resources, styles),
        failing=tuple(found.failing),
        n_failing=found.n_failing,
        failing_are_new=found.is_new,
        histograms=found.histograms,
        errors=_errors("system error", summary.error_kinds, found.errors)
        + _errors("unscored", summary.unscored_kinds, found.unscored),
        notes=summary.notes + _incomparable(decision.comparison),
        provenance=tuple(_flat(manifest)),
        comparison=decision.comparison,
        changes=changes_of(decision.comparison),
        styles=styles,
    )


def _styles(summary: Summary, decision: Decision) -> dict[str, Style]:
    """The style of every metric that is shown, declared or not."""
    declared = {metric.name: metric for metric in summary.metrics}
    names = [*declared, *(cell.metric for cell in summary.cells), *(check.metric for check in decision.checks)]
    return {name: style_of(name, declared.get(name)) for name in names}


def _quality(summary: Summary, styles: Mapping[str, Style]) -> tuple[Metric, ...]:
    """The columns of the cohort table: what the summary derived (such as `pass_rate`), then every declared metric."""
    declared = {metric.name: metric for metric in summary.metrics}
    derived = dict.fromkeys(cell.metric for cell in summary.cells if cell.metric not in declared)
    metrics = [
        Metric(name, binary=True) if styles[name].unit == "rate" else Metric(name, high=float("inf"))
        for name in derived
    ]
    return tuple(metric for metric in [*metrics, *summary.metrics] if styles[metric.name].unit not in RESOURCES)


def _facts(
    summary: Summary, decision: Decision, manifest: Mapping[str, Any], styles: Mapping[str, Style]
) -> tuple[str, ...]:
    """The line below the verdict: size, baseline, coverage, time, latency and cost."""
    repeats = f" × {summary.n_repeats} repeats" if summary.n_repeats > 1 else ""
    facts = [plural(summary.n_cases, "case") + repeats]
    facts.append(f"against {decision.comparison.baseline_id}" if decision.comparison else "no baseline")
    facts.append(f"coverage {_share(*_overall_coverage(summary))}")
    if took := elapsed(manifest.get("started_at", ""), manifest.get("finished_at", "")):
        facts.append(f"took {took}")
    facts += [
        f"{spoken(cell.metric)} {figure(cell.estimate.value, styles[cell.metric], cell.estimate.n)}"
        for cell in summary.cells
        if cell.cohort == OVERALL and styles[cell.metric].unit in RESOURCES
    ]
    return tuple(facts)


def _gates(decision: Decision, styles: Mapping[str, Style]) -> tuple[GateLine, ...]:
    """The checks, most urgent first; equal ones keep the order of the suite."""
    ordered = sorted(decision.checks, key=lambda check: ORDER.index(check.outcome))
    return tuple(_gate(check, styles[check.metric]) for check in ordered)


def _gate(check: Check, style: Style) -> GateLine:
    n = check.observed.n if check.observed else 0
    return GateLine(
        subject=titled(check),
        now=estimated(check.observed, style),
        base="" if check.baseline is None else figure(check.baseline, style, n),
        drop=dropped(check.drop, style),
        need=needed(check.need, style),
        smallest_drop="" if check.smallest_drop is None else difference(check.smallest_drop, style, n),
        outcome=check.outcome,
        check=check,
    )


def _cohorts(
    summary: Summary, decision: Decision, metrics: tuple[Metric, ...], styles: Mapping[str, Style]
) -> tuple[CohortRow, ...]:
    """Cohort by metric; `overall` first, the others in the order of the summary."""
    cells = {(cell.cohort, cell.metric): cell for cell in summary.cells}
    checks: dict[tuple[str, str], list[Check]] = {}
    for check in decision.checks:
        checks.setdefault((check.cohort, check.metric), []).append(check)
    shown = {metric.name for metric in metrics}
    names = dict.fromkeys(cell.cohort for cell in summary.cells if cell.metric in shown)
    ordered = sorted(names, key=lambda name: name != OVERALL)
    return tuple(
        CohortRow(
            cohort,
            _share(*summary.coverage[cohort]) if cohort in summary.coverage else "",
            tuple(
                _cohort_cell(cell, metric, checks.get((cohort, metric.name), []), styles[metric.name])
                if (cell := cells.get((cohort, metric.name)))
                else None
                for metric in metrics
            ),
        )
        for cohort in ordered
    )


def _cohort_cell(cell: Cell, metric: Metric, checks: list[Check], style: Style) -> CohortCell:
    estimate = cell.estimate
    against = next((check for check in checks if check.baseline is not None), None)
    missing = [(cell.n_unscored, "unscored"), (cell.n_errored, "errored")]
    return CohortCell(
        value=figure(estimate.value, style, estimate.n) if estimate.value is not None else "undefined",
        interval=bounds(estimate, style),
        n=cell.n_scored,
        missing=", ".join(f"{count:,} {word}" for count, word in missing if count),
        base=figure(against.baseline, style, estimate.n) if against else "",
        drop=dropped(against.drop, style) if against else "",
        outcome=min((check.outcome for check in checks), key=ORDER.index, default=None),
        heat=_heat(estimate.value, metric),
        few=cell.n_scored < FEW_CASES,
        reason=estimate.reason,
        cell=cell,
    )


def _heat(value: float | None, metric: Metric) -> int | None:
    """Place a value on six tints: the top twentieth of the range is 0, below half is 5."""
    if value is None or not metric.low < metric.high < float("inf"):
        return None
    share = (value - metric.low) / (metric.high - metric.low)
    good = share if metric.higher_is_better else 1 - share
    return sum(good < edge for edge in (0.95, 0.9, 0.8, 0.7, 0.5))


def _judge(agreement: Agreement) -> JudgeLine:
    share, n = Style("rate"), agreement.kappa.n
    return JudgeLine(
        name=f"{agreement.judge} on {agreement.metric}",
        kappa=estimated(agreement.kappa, Style("number")),
        observed=figure(agreement.observed, share, n),
        prevalence=figure(agreement.prevalence, share, n),
        sensitivity=figure(agreement.sensitivity, share, n),
        specificity=figure(agreement.specificity, share, n),
        n=n,
        agreement=agreement,
    )


def _resources(summary: Summary, names: tuple[str, ...], styles: Mapping[str, Style]) -> tuple[ResourceRow, ...]:
    """Latency and cost by cohort, `overall` first."""
    cells = {(cell.cohort, cell.metric): cell for cell in summary.cells if cell.metric in names}
    cohorts = sorted(dict.fromkeys(cohort for cohort, _ in cells), key=lambda cohort: cohort != OVERALL)
    return tuple(
        ResourceRow(
            cohort,
            tuple(
                estimated(cell.estimate, styles[name]) if (cell := cells.get((cohort, name))) else "" for name in names
            ),
        )
        for cohort in cohorts
    )


def _errors(state: str, kinds: Mapping[str, int], examples: Mapping[str, Example]) -> tuple[ErrorLine, ...]:
    ordered = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    return tuple(ErrorLine(state, kind, count, examples.get(kind)) for kind, count in ordered)


def _incomparable(comparison: Comparison | None) -> tuple[str, ...]:
    if comparison is None:
        return ()
    return tuple(
        f"{metric} is not compared with the baseline: its {part} differs"
        for metric, part in comparison.incomparable.items()
    )


def _overall_coverage(summary: Summary) -> tuple[int, int]:
    return summary.coverage.get(OVERALL, (summary.states.get("scored", 0), summary.expected))


def _share(scored: int, expected: int) -> str:
    """Write a share with its counts; without cases there is no share."""
    if not expected:
        return "undefined: no case was expected"
    return f"{figure(scored / expected, Style('rate'), expected)} ({scored:,} of {expected:,})"


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Flatten the manifest to `(golden.sha256, ...)` pairs; empty values are left out."""
    pairs: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{key}.")
        elif value not in (None, "", [], ()):
            text = " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
            pairs.append((f"{prefix}{key}", text))
    return pairs
