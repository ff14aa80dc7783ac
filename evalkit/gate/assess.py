"""Summarise rows and apply the gate; shared by `run` and `gate`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evalkit.aggregate.statuses import QUARANTINED
from evalkit.errors import InputError, Problem
from evalkit.results import Amendment, CorrectedDrop, Decision, HeldOut, StoppedEarly, Summary
from evalkit.store.folder import RunFolder

if TYPE_CHECKING:
    from evalkit.aggregate.frame import Frame
    from evalkit.aggregate.frozen import FrozenFrame
    from evalkit.aggregate.variants import VariantResult
    from evalkit.formats.manifest import VariantFacts
    from evalkit.gate.best_system import Contender
    from evalkit.gate.decide import NeedsRepeats
    from evalkit.gate.early_stop import Why
    from evalkit.gate.pairing import Baseline
    from evalkit.gate.policy import Policy
    from evalkit.gate.reference_system import ReferenceRun
    from evalkit.trust.calibration import Calibration
    from evalkit.trust.labels import Label
    from evalkit.types import Case


@dataclass(frozen=True, kw_only=True)
class Terms:
    """Everything that a decision depends on, other than the rows."""

    suite: str
    """Name of the suite."""
    policy: Policy
    baseline: Baseline | None = None
    baseline_folder: RunFolder | None = None
    """Location of the baseline's rows, for reports that show both answers."""
    baseline_title: str = ""
    """Short name of the baseline; empty if nothing is compared."""
    same_run: bool = False
    """Whether the baseline is a system of the same run, which was asked by turns with this one."""
    contender: Contender | None = None
    """The systems of the run, if there are several and a check compares all of them."""
    labels: tuple[Label, ...] = ()
    kappa_floors: Mapping[str, float] = field(default_factory=dict)
    calibrations: tuple[Calibration, ...] = ()
    """Calibration records of other runs."""
    score_keys: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Metric -> score key; a calibration made with another key has expired."""
    partial: str | None = None
    seed: int = 0
    production: Mapping[str, float] = field(default_factory=dict)
    traffic_per_month: int | None = None
    amendments: tuple[Amendment, ...] = ()
    """Rules that changed since the base."""
    amended_since: str = ""
    """Source of the earlier rules; empty if there are none."""
    former: tuple[Case, ...] | None = None
    """Cases of the base that were removed or edited; `None` if they are not known."""
    former_blocks: bool = False
    """Whether these cases may block. Only cases of a commit may, because the set may have changed since a stored
    baseline for good reasons.
    """
    case_changes: tuple[Amendment, ...] = ()
    """Amendments that only show in the base's golden set; kept with a stored run."""
    leaked: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Kind of source -> ids of the cases found in it, for each kind that was searched."""
    card_gaps: Sequence[str] | None = None
    """What the data card of the golden set lacks; `None` if no check asked for it."""
    held: HeldOut | None = None
    """Figures of the held-out cases; `None` if the set has none."""
    held_before: Baseline | None = None
    """The open cases of the run since which the gain on held-out cases is known; `None` if there is none."""
    reference: ReferenceRun | None = None
    """The run of the suite's reference system on this version of the set; `None` if the run is not compared with it."""
    held_ids: frozenset[str] = frozenset()
    """Hashes of the ids of held-out cases, which a comparison with an older run names by these alone."""
    stopped: StoppedEarly | None = None
    """Where the run ended before its last case, by a rule of its suite."""
    variants: tuple[VariantFacts, ...] = ()
    """The variants that were run."""
    variant_results: Sequence[VariantResult] = ()
    """How they ended."""
    notes: tuple[str, ...] = ()
    """Notes shown with the figures, such as the data on which a judge was measured."""

    @property
    def asks_both(self) -> bool:
        """Whether the baseline's system runs every case too, because its stored conversations used other settings."""
        return self.policy.escalates and self.baseline is not None and bool(self.baseline.other_conversation)


def assess(
    frame: Frame, terms: Terms, *, expected: int, wall_s: float | None = None, final: bool = False
) -> tuple[Summary, Decision | NeedsRepeats]:
    """Aggregate the rows and decide.

    Args:
        frame: the rows of the run.
        terms: suite, baseline and labels.
        expected: number of planned rows.
        final: nothing can be run again, so decide with the rows at hand.
        wall_s: seconds that the calls took, `None` if unknown (a resumed or stored run).
    """
    from evalkit.gate.amendments import amended, case_changes
    from evalkit.gate.decide import decide
    from evalkit.gate.held_out import unnamed

    frozen, summary = _summarised(frame, terms, expected, wall_s)
    expected -= frame.n_quarantined
    decision = decide(
        frozen,
        summary,
        terms.policy,
        baseline=terms.baseline,
        partial=terms.partial or _unfinished(frozen, expected, terms.policy.repeats),
        seed=terms.seed,
        contender=terms.contender,
        leaked=terms.leaked,
        card_gaps=terms.card_gaps,
        drops=_corrected_drops(frozen, terms),
        stopped=terms.stopped,
        final=final,
    )
    if isinstance(decision, Decision):
        comparison = decision.comparison and unnamed(decision.comparison, terms.held_ids)
        decision = dataclasses.replace(decision, comparison=comparison)
        # If the old cases are known, their results are added to the decision later.
        told = terms.former is None and terms.partial is None
        cases = case_changes(decision.comparison) if told else ()
        since = terms.amended_since or ("" if terms.baseline is None else f"baseline {terms.baseline.run_id}")
        decision = amended(decision, (*terms.amendments, *cases), since)
    return summary, decision


def certainty_of(frame: Frame, terms: Terms, *, expected: int) -> Why | None:
    """Return why the cases so far are enough for a decision, `None` if they are not; see `gate.early_stop`.

    Args:
        frame: the rows so far.
        terms: suite, baseline and labels.
        expected: number of rows that these cases should have.
    """
    from evalkit.gate.early_stop import certainty

    if terms.baseline is None or terms.baseline.other_conversation:
        return None
    frozen, summary = _summarised(frame, terms, expected, None)
    return certainty(frozen, summary, terms.policy, terms.baseline, terms.seed)


def _summarised(frame: Frame, terms: Terms, expected: int, wall_s: float | None) -> tuple[FrozenFrame, Summary]:
    """Return the rows, frozen, and their summary with the agreement of the judges."""
    from evalkit.aggregate.frozen import freeze
    from evalkit.aggregate.summary import summarise
    from evalkit.gate.attack_success import attack_notes
    from evalkit.gate.held_out import held_notes
    from evalkit.gate.quarantine import quarantine_checks

    frozen = freeze(frame)
    expected -= frame.n_quarantined
    summary = summarise(
        frozen,
        suite=terms.suite,
        expected=expected,
        repeats=terms.policy.repeats,
        production=terms.production,
        traffic_per_month=terms.traffic_per_month,
        wall_s=wall_s,
        asked=terms.policy.asked,
    )
    if terms.labels or terms.calibrations or any(metric.judge for metric in frozen.metrics):
        from evalkit.trust.judges import with_judges

        summary = with_judges(
            frozen,
            summary,
            terms.labels,
            floors=terms.kappa_floors,
            calibrations=terms.calibrations,
            score_keys=terms.score_keys,
        )
    if terms.variants:
        from evalkit.aggregate.variants import variant_figures

        figures = variant_figures(frozen, terms.variant_results, terms.variants, terms.seed)
        summary = dataclasses.replace(summary, variants=figures)
    checks = quarantine_checks(frozen.quarantined)
    against: Iterable[str] = ()
    if terms.reference is not None:
        from evalkit.gate.reference_system import against_reference, reference_notes

        difference = against_reference(frozen, terms.reference)
        summary, against = (
            dataclasses.replace(summary, reference=difference),
            reference_notes(difference, frozen.n_cases, has_ended=terms.reference.has_ended),
        )
    more = (
        *(check.reason for check in checks),
        *attack_notes(summary.variants),
        *held_notes(summary, terms.held, frozen, terms.held_before),
        *against,
        *terms.notes,
    )
    return frozen, dataclasses.replace(summary, notes=(*summary.notes, *more))


def _corrected_drops(frame: FrozenFrame, terms: Terms) -> tuple[CorrectedDrop, ...]:
    """Correct the drops of judges' metrics by the labels of both runs; empty if nothing is compared or labelled."""
    if not terms.labels or terms.baseline is None:
        return ()
    from evalkit.trust.corrected_drops import corrected_drops

    return corrected_drops(frame, terms.baseline.frame, terms.labels)


def _unfinished(frame: FrozenFrame, expected: int, repeats: int) -> str | None:
    """Explain why the rows are not the whole run, even if few are missing; `None` if they are."""
    left_out = sum(count for reason, count in frame.skipped_reasons.items() if reason.startswith(QUARANTINED))
    if left_out:
        return f"{left_out} quarantined; try again with --retry-errors"
    missing = expected - int((frame.repeats < repeats).sum())
    return f"{missing} of {expected} rows are missing; continue with --resume" if missing > 0 else None


def refuse_incomparable(decision: Decision) -> None:
    """Reject a decision whose baseline was scored by other scorers, rubrics or judges.

    Raises:
        InputError: names each metric and the part that differs.
    """
    found = decision.comparison
    if found is not None and found.incomparable:
        from evalkit.gate.comparable import score_again, unlike

        place = f"baseline {found.baseline_id}"
        raise InputError(Problem(place, unlike(name, part), score_again()) for name, part in found.incomparable.items())
