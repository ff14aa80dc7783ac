"""Build the view model that all renderers share."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.formats.manifest import Manifest, manifest_record
from evalkit.golden.shards import shard_of_run
from evalkit.report.causes import KindLine, ShiftLine, kind_lines, shift_lines
from evalkit.report.cohort_table import (
    CohortRow,
    ResourceRow,
    cohort_rows,
    known_overall_only,
    overall_coverage,
    quality_metrics,
    resource_rows,
    share_of,
)
from evalkit.report.corrections import correction_lines, drop_lines
from evalkit.report.distributions import Histogram
from evalkit.report.gate_lines import GateLine, gate_lines
from evalkit.report.headline import AS_THEY_ARE, WORDS, for_people, headline, spoken
from evalkit.report.judges import JudgeLine, JudgePanel, judge_line, judge_panels
from evalkit.report.next_steps import NextStep, Places, next_steps
from evalkit.report.nodes import NodeLine, node_lines
from evalkit.report.outcomes import OutcomeTable, outcome_table
from evalkit.report.page import COMPARED_WORDS
from evalkit.report.reasons import ErrorLine, error_lines, missing, unpaired_sentence, why_of
from evalkit.report.shown_cases import ShownCases, draw_of
from evalkit.report.survey import FailedCase, Rows, Tally, changes_of, walk
from evalkit.report.trend import Trend, trends
from evalkit.report.variant_examples import VariantExample
from evalkit.report.variants import VariantTable, variant_tables
from evalkit.results import OVERALL, Amendment, Comparison, Decision, Outcome, Summary
from evalkit.store.history import PastRun
from evalkit.text.numbers import (
    RESOURCES,
    Style,
    duration,
    estimated,
    figure,
    plural,
    style_of,
    with_signs,
)
from evalkit.types import Metric

_FACTS = ("latency_p95_s", "cost_per_case_usd")
"""Metrics shown on the line below the verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything that the renderers show about a run, except single cases."""

    suite: str
    outcome: Outcome
    word: str
    headline: str
    reasons: tuple[str, ...]
    """Every reason of the decision."""
    why: tuple[str, ...]
    """The reasons that are neither in the headline nor in `amendments`."""
    next: tuple[NextStep, ...]
    kinds: tuple[KindLine, ...]
    """Failing cases, grouped by the failed scorer and by words in common."""
    shifts: tuple[ShiftLine, ...]
    """Measures other than metrics that moved: contexts, tokens, length of answers, latency."""
    facts: tuple[str, ...]
    """Size, baseline, missing results, time, latency, cost."""
    moves: tuple[str, ...]
    """How many cases newly fail or pass, in words; empty without a baseline."""
    partial: str | None
    compares: bool
    """Whether the results were read from files and nothing but a drop was looked for."""
    grades_only: bool
    """Whether they hold no answers."""
    caveat: str
    """What results that were read from files of other tools cannot say; empty for a run."""
    gates: tuple[GateLine, ...]
    metrics: tuple[Metric, ...]
    """Quality metrics, the columns of the cohort table."""
    declared: Mapping[str, Metric]
    """All metrics of the summary by name."""
    advisory: frozenset[str]
    """Metrics that are shown but do not affect the decision."""
    cohorts: tuple[CohortRow, ...]
    cohort_names: tuple[str, ...]
    """Cohort names that the suite reports by, including derived ones."""
    gated: tuple[str, ...]
    """Quality metrics that a check uses, in the order of the table."""
    judges: tuple[JudgeLine, ...]
    panels: tuple[JudgePanel, ...]
    """The same judges, by metric."""
    corrections: tuple[str, ...]
    """Corrected figures of the judges over the whole run, a sentence each."""
    cohort_corrections: tuple[str, ...]
    """The same by cohort."""
    coverage: str
    resource_metrics: tuple[str, ...]
    """Names of the metrics of latency and cost that cohorts have."""
    resources: tuple[ResourceRow, ...]
    resources_alone: tuple[tuple[str, str], ...]
    """Metrics of latency and cost with a value for the whole run only, or unknown: name and figure."""
    outcomes: OutcomeTable
    """Metrics of runs grouped by outcome, such as an error on the way; shown and never gated."""
    nodes: tuple[NodeLine, ...]
    """Tokens, cost and time of each node of an agent; empty without trajectories."""
    variants: tuple[VariantTable, ...]
    """Robustness, attacks and parity; empty if no variants were run."""
    failed_variants: tuple[VariantExample, ...]
    """Some of each transform that failed, or met the goal of an attack."""
    failing: tuple[FailedCase, ...]
    """The worst of the failing cases, or of the newly failing ones; `n_failing` counts all of these."""
    n_failing: int
    failing_are_new: bool
    n_unpaired: int
    """Failing cases that were added or edited."""
    failing_ids: frozenset[str]
    """Failing cases, new or not."""
    shown: ShownCases | None
    """The cases that the page holds; `None` for all."""
    tally: Tally
    """Counts of all cases and runs, and of the failing cases by group."""
    repeat_rule: str
    histograms: tuple[Histogram, ...]
    trends: tuple[Trend, ...]
    n_past_runs: int
    """Runs in the trends, including this one."""
    errors: tuple[ErrorLine, ...]
    notes: tuple[str, ...]
    provenance: tuple[tuple[str, str], ...]
    head: str
    """Argument of `evalkit verify --head`; empty if the run has none."""
    comparison: Comparison | None
    amendments: tuple[Amendment, ...]
    """Changes of the rules made together with the system, the looser ones first."""
    amended_since: str
    changes: Mapping[str, str]
    """Case id -> its change since the baseline."""
    styles: Mapping[str, Style]

    @property
    def news(self) -> bool:
        """Whether failing cases are new: newly failing, added or edited, or of a run without a baseline."""
        return self.failing_are_new or self.comparison is None or self.n_unpaired > 0

    @property
    def urgent(self) -> tuple[GateLine, ...]:
        """Checks to look at: those that decided or warn, and those with too few cases if they decided."""
        quiet = (
            {"pass"}
            if self.outcome in ("approved with conditions", "no decision")
            else {"pass", "insufficient evidence"}
        )
        return tuple(line for line in self.gates if line.outcome not in quiet)

    @property
    def pressing(self) -> tuple[GateLine, ...]:
        """Checks that ask for action: neither passed nor short of evidence."""
        return tuple(line for line in self.gates if line.outcome not in ("pass", "insufficient evidence"))


def build_view(  # noqa: PLR0913 - what a view is made of
    summary: Summary,
    decision: Decision,
    rows: Rows,
    baseline_rows: Rows | None,
    manifest: Manifest,
    *,
    past: Sequence[PastRun] = (),
    places: Places | None = None,
    leaks: Mapping[str, str] | None = None,
    failed_variants: tuple[VariantExample, ...] = (),
) -> View:
    """Build the view of a run; the rows are walked once.

    Args:
        summary: metrics by cohort, agreement, coverage.
        decision: the gate's decision.
        rows: returns the candidate's rows in a fixed order, each time it is called.
        baseline_rows: returns the baseline's rows; `None` without a baseline.
        manifest: the manifest of the run.
        past: stored runs of the suite with this one, the oldest first.
        places: the paths in the commands of the next steps.
        leaks: id of a variant -> part of its answer; see `leaked_answers`.
        failed_variants: examples of variants that failed.
    """
    decision = for_people(decision)
    styles, advisory = _styles(summary, decision), frozenset(manifest.advisory)
    repeat_rule = manifest.repeat_rule
    draw = draw_of(summary.n_cases, manifest.seed)
    found = walk(rows, baseline_rows, decision, summary.metrics, advisory, repeat_rule, draw)
    checked = {check.metric for check in decision.checks}
    quality = quality_metrics(summary, styles)
    if manifest.imported is not None and "pass_rate" not in checked:  # it is the one column of pass or fail
        quality = tuple(metric for metric in quality if metric.name != "pass_rate")
    gated = tuple(metric.name for metric in quality if metric.name in checked)
    resources = tuple(dict.fromkeys(cell.metric for cell in summary.cells if styles[cell.metric].unit in RESOURCES))
    corrections, cohort_corrections = correction_lines(summary, styles)
    alone = known_overall_only(summary, resources)
    partial, shard = decision.partial, shard_of_run(manifest.partial)
    errors = error_lines("system error", summary.error_kinds, found.errors)
    errors += error_lines("unscored", summary.unscored_kinds, found.unscored)
    compares = manifest.imported is not None and _finds_drops_alone(decision)
    return View(
        suite=summary.suite,
        outcome=decision.outcome,
        word=(COMPARED_WORDS if compares else WORDS)[decision.outcome],
        compares=compares,
        headline=headline(decision, styles, partial),
        reasons=decision.reasons,
        why=(*missing(decision, partial, errors), *why_of(decision, partial, found.n_unpaired)),
        next=next_steps(
            decision,
            found.failing,
            are_new=found.is_new,
            unknown=_unknown(summary, manifest),
            stopped=None
            if partial is None
            else manifest.partial is None or (shard is not None and shard.flag != partial),
            places=dataclasses.replace(places or Places(suite=manifest.suite_file or ""), shard=shard),
        ),
        kinds=kind_lines(found.kinds),
        shifts=shift_lines(found.shifts),
        facts=_facts(summary, decision, manifest, styles),
        moves=_moves(decision.comparison, found.n_unpaired),
        partial=partial,
        grades_only=manifest.imported is not None and "output" not in manifest.imported.columns,
        caveat=AS_THEY_ARE if manifest.imported else "",
        gates=gate_lines(decision, styles),
        metrics=quality,
        declared={metric.name: metric for metric in summary.metrics},
        advisory=advisory,
        cohorts=cohort_rows(summary, decision, quality, styles),
        cohort_names=manifest.cohorts,
        gated=gated,
        judges=tuple(judge_line(agreement) for agreement in summary.agreement),
        panels=judge_panels(summary, found.unread),
        corrections=(*drop_lines(decision.comparison, styles), *corrections),
        cohort_corrections=cohort_corrections,
        coverage=share_of(*overall_coverage(summary)),
        resource_metrics=tuple(name for name in resources if name not in alone),
        resources=resource_rows(summary, tuple(name for name in resources if name not in alone), styles),
        resources_alone=_overall_figures(summary, alone, styles),
        outcomes=outcome_table(summary, styles),
        nodes=node_lines(summary),
        variants=variant_tables(summary, leaks or {}),
        failed_variants=failed_variants,
        failing=tuple(found.failing),
        n_failing=found.n_failing,
        failing_are_new=found.is_new,
        n_unpaired=found.n_unpaired,
        failing_ids=frozenset(found.failing_ids),
        shown=found.shown,
        repeat_rule=repeat_rule,
        tally=found.tally,
        histograms=found.histograms,
        trends=trends(past, summary, gated, styles),
        n_past_runs=len(past),
        errors=errors,
        notes=(
            *_stopped(decision),
            *_sight(decision.comparison),
            *summary.notes,
            *_incomparable(decision.comparison),
            *_before(decision),
            *([f"SHA-256 of the lock of the golden set: {manifest.golden.lock[:16]}"] if manifest.golden.lock else ()),
        ),
        provenance=tuple(_flat({**manifest_record(manifest), "head": manifest.head})),
        head=manifest.head,
        comparison=decision.comparison,
        amendments=decision.amendments,
        amended_since=decision.amended_since,
        changes=changes_of(decision.comparison),
        styles=styles,
    )


def _styles(summary: Summary, decision: Decision) -> dict[str, Style]:
    """Return the style of each metric that is shown, declared or not."""
    declared = {metric.name: metric for metric in summary.metrics}
    names = [
        *declared,
        *(cell.metric for cell in (*summary.cells, *summary.outcomes)),
        *(check.metric for check in decision.checks),
    ]
    return {name: style_of(name, declared.get(name)) for name in names}


def _finds_drops_alone(decision: Decision) -> bool:
    """Tell whether no check asks for a level, so that nothing can be approved."""
    return all(check.name in ("no_regression", "coverage") for check in decision.checks)


def _unknown(summary: Summary, manifest: Manifest) -> int | None:
    """Count the runs without a result that can be run again; `None` if no run has an answer."""
    if manifest.answers or manifest.imported:
        return 0  # stored answers cannot be asked for again
    n_errors = sum(summary.error_kinds.values())
    return None if n_errors == summary.expected > 0 else n_errors + summary.states.get("unscored", 0)


def _facts(summary: Summary, decision: Decision, manifest: Manifest, styles: Mapping[str, Style]) -> tuple[str, ...]:
    """Return the line below the verdict: size, baseline, missing results, time, latency and cost."""
    # The gate may have run some cases more often; that is not the plan.
    repeats = f" × {manifest.repeats} repeats" if manifest.repeats > 1 else ""
    found = decision.comparison
    stopped = decision.stopped_early
    n_cases = plural(summary.n_cases, "case")
    if stopped is not None:
        n_cases = f"stopped early at {summary.n_cases:,} of {plural(stopped.of, 'case')}"
    facts = [n_cases + repeats, f"against {found.baseline_id}" if found else "no baseline"]
    scored, expected = overall_coverage(summary)
    if scored < expected or not expected:
        facts.append(f"coverage {share_of(scored, expected)}")
    if manifest.wall_s is not None:  # of a resumed run it is unknown: nobody waited between two commands
        facts.append(f"took {duration(manifest.wall_s)}")
    facts += [
        f"{spoken(cell.metric)} {figure(cell.estimate.value, styles[cell.metric], cell.estimate.n)}"
        for cell in summary.cells
        if cell.cohort == OVERALL and cell.metric in _FACTS
        if cell.estimate.value is not None or manifest.imported is None
    ]
    if manifest.imported is not None and manifest.imported.judged:
        facts.append(f"{', '.join(manifest.imported.judged)} by a model's grades")
    return tuple(facts)


def _moves(found: Comparison | None, n_unpaired: int) -> tuple[str, ...]:
    if found is None:
        return ()
    moved = (f"{len(found.fixed):,} fixed", f"{len(found.still_failing):,} still failing")
    cases = {"removed": found.removed, "changed": found.changed, "added": found.added}
    named = (f"{plural(len(ids), 'case')} {word}" for word, ids in cases.items() if ids)
    failing = (unpaired_sentence(n_unpaired),) if n_unpaired else ()
    return (plural(len(found.new_failures), "new failure"), *moved, *failing, *named)


def _overall_figures(
    summary: Summary, names: tuple[str, ...], styles: Mapping[str, Style]
) -> tuple[tuple[str, str], ...]:
    cells = [cell for cell in summary.cells if cell.cohort == OVERALL and cell.metric in names]
    return tuple((cell.metric, estimated(cell.estimate, styles[cell.metric])) for cell in cells)


def _sight(comparison: Comparison | None) -> tuple[str, ...]:
    return tuple(filter(None, (comparison.sight, comparison.advice))) if comparison else ()


def _stopped(decision: Decision) -> tuple[str, ...]:
    return (str(decision.stopped_early),) if decision.stopped_early is not None else ()


def _before(decision: Decision) -> tuple[str, ...]:
    """Return earlier blocks that do not affect this decision, such as those of another system at the same commit."""
    return tuple(text for each in decision.decided_before if (text := with_signs(str(each))) not in decision.reasons)


def _incomparable(comparison: Comparison | None) -> tuple[str, ...]:
    if comparison is None:
        return ()
    return tuple(
        f"{metric} is not compared with the baseline: {part}" for metric, part in comparison.incomparable.items()
    )


def _score_key(parts: Any) -> str:
    """Format the dependencies of a score in one line: `keywords 1, options 619a519312fa85bc`."""
    if not isinstance(parts, Mapping):
        return str(parts)
    named = [f"{name} {value}" for name, value in parts.items() if name != "scorer" and value not in (None, "")]
    return ", ".join([str(parts["scorer"]), *named] if "scorer" in parts else named)


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Flatten the manifest to `(golden.sha256, ...)` pairs; empty values and tables are left out."""
    pairs: list[tuple[str, str]] = []
    for key, value in values.items():
        if f"{prefix}{key}" in ("rules", "system_files"):
            continue  # what was changed in them is said in its own place
        if f"{prefix}{key}" == "score_keys" and isinstance(value, Mapping):
            pairs += [(f"scorer {name}", _score_key(parts)) for name, parts in value.items()]
            continue
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value):
            continue
        elif value not in (None, "", [], ()):
            shown = round(value, 3) if isinstance(value, float) else value
            text = " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(shown)
            pairs.append((f"{prefix}{key}", text))
    return pairs
