"""Collect everything other than rows that a decision depends on: gate, baseline, base, labels, calibrations."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from evalkit.baselines.load import (
    NO_BASELINE,
    baseline_name_of,
    baseline_title,
    find_baseline_of,
    load_baseline,
    named_baselines,
)
from evalkit.baselines.rules_before import cases_before, state_before
from evalkit.formats.manifest import Manifest, ScoreKeys
from evalkit.gate.amendments import amendments
from evalkit.gate.assess import Terms
from evalkit.golden.held_ids import held_ids
from evalkit.golden.lock import id_hash
from evalkit.results import Amendment
from evalkit.runner.case_checks import METRIC, checks_grader
from evalkit.runner.conversation_key import conversation_key
from evalkit.runner.draw import draw
from evalkit.suite.rubric_examples import example_cases, example_notes, without_examples
from evalkit.suite.rules import rules_of
from evalkit.text.numbers import plural
from evalkit.trust.calibration_files import read_calibrations

if TYPE_CHECKING:
    from evalkit.baselines.rules_before import Draw, Former, RulesBefore
    from evalkit.runner.plan import Selection
    from evalkit.runner.prepare import Prepared
    from evalkit.store.folder import RunFolder
    from evalkit.suite.model import Sample, Suite
    from evalkit.trust.labels import Label
    from evalkit.types import Case, Metric


def terms_of_run(
    prepared: Prepared,
    env: Mapping[str, str],
    *,
    baseline: str | None,
    selection: Selection,
    asks: bool,
) -> Terms:
    """Collect the terms of a decision for a run that is about to begin.

    Args:
        prepared: the checked suite.
        env: the environment, in which CI names the target branch.
        baseline: value of `--baseline`, `None` without it.
        selection: the choice of cases; a shard runs its part of the base's cases too.
        asks: whether the system is called, so that cases of the base can be asked too.

    Raises:
        InputError: the labels, the calibrations, the baseline or the base branch cannot be read.
    """
    suite, partial, shard = prepared.suite, selection.partial, selection.shard
    sample = suite.options.sample_of(selection.sample)
    # Former cases may carry checks even if no current case does.
    keys = {METRIC: checks_grader(0).key, **prepared.score_keys}
    # `score` and `noise` compare with nothing unless asked to.
    asked = None if baseline == NO_BASELINE and not asks else baseline
    before = state_before(suite, asked, find_baseline_of(suite, baseline), env)
    terms = dataclasses.replace(
        _terms(suite, baseline, before, _Made(suite.options.repeat, keys, conversation_key(suite))),
        labels=read_labels_of(suite),
        partial=partial,
        seed=suite.options.seed,
        leaked=prepared.golden.leaked,
        card_gaps=prepared.golden.card_gaps,
        notes=(*prepared.notices, *_ungated(suite, baseline), *example_notes(suite)),
    )
    if (partial is not None and shard is None) or not asks:
        return terms
    drawing = None if sample is None else _drawing(sample, suite.options.seed)
    former = cases_before(before, suite, prepared.golden, drawing)
    crowded = _crowded_out(former, drawing(prepared.golden.outlines())) if drawing is not None and former.drawn else ()
    cases, held = _without_held(former.cases, prepared)
    found = tuple(each for each in (*former.found, *crowded, *held) if each not in terms.amendments)
    return dataclasses.replace(
        terms,
        former=cases if shard is None or cases is None else tuple(filter(shard.holds, cases)),
        former_blocks=former.of_commit,
        amendments=(*terms.amendments, *found),
        case_changes=found,
    )


def _drawing(sample: Sample, seed: int) -> Draw:
    def drawn(cases: Iterable[Case]) -> frozenset[str]:
        try:
            return draw(cases, sample, seed).digests
        except ValueError:  # too small a sample for that set: told where today's is drawn
            return frozenset()

    return drawn


def _without_held(
    cases: tuple[Case, ...] | None, prepared: Prepared
) -> tuple[tuple[Case, ...] | None, tuple[Amendment, ...]]:
    """Leave out the cases of the base that are held out now: their rows would show them. Their number is reported."""
    hidden = held_ids(prepared.suite.golden_file) if cases else frozenset[str]()
    if not hidden or cases is None:
        return cases, ()
    hidden -= {id_hash(case.id) for case in prepared.golden.outlines()}
    kept = tuple(case for case in cases if id_hash(case.id) not in hidden)
    n = len(cases) - len(kept)
    found = Amendment(what=f"{plural(n, 'case')} held out", note="no check counts them", loosens=True)
    return kept, (found,) if n else ()


def _crowded_out(former: Former, now: Collection[str]) -> tuple[Amendment, ...]:
    """Report how many cases of the base's sample are still in the set but not in the current sample."""
    n = len(former.drawn - {case.digest for case in former.cases or ()} - {*now})
    note = "still in the golden set, and not drawn any more because it holds others"
    return (Amendment(what=f"{plural(n, 'case')} of the sample", note=note, loosens=True),) if n else ()


def terms_of_stored(
    suite: Suite, manifest: Manifest, baseline: str | None, run: RunFolder, env: Mapping[str, str]
) -> Terms:
    """Collect the terms of a decision for a stored run.

    Args:
        suite: suite whose gate decides.
        manifest: manifest of the run.
        baseline: value of `--baseline`, `None` without it.
        run: its folder.
        env: the environment, in which CI names the target branch.

    Raises:
        InputError: as for a run.
    """
    before = state_before(suite, baseline, find_baseline_of(suite, baseline), env, manifest)
    former = () if manifest.former is not None else None
    made = _Made(manifest.repeats, manifest.score_keys, manifest.conversation_key)
    terms = _terms(suite, baseline, before, made, run)
    return dataclasses.replace(
        terms,
        former=former,
        amendments=(*terms.amendments, *manifest.case_changes),
        labels=read_labels_of(suite, manifest.metrics),
        partial=manifest.partial,
        seed=manifest.seed,
        leaked=manifest.leaked,
        card_gaps=manifest.card_gaps,
        notes=(*manifest.notices, *_ungated(suite, baseline), *example_notes(suite)),
    )


def _ungated(suite: Suite, baseline: str | None) -> tuple[str, ...]:
    """Say that a baseline was asked for and no check of the suite compares."""
    if baseline in (None, NO_BASELINE) or named_baselines(suite):
        return ()
    what = f"the gate compares nothing with --baseline {baseline}: it has no `no_regression`"
    return (f"{what}; add `- no_regression: {{baseline: main}}`",)


@dataclasses.dataclass(frozen=True)
class _Made:
    """The parts of a run that must be alike for runs to be compared."""

    repeats: int
    score_keys: ScoreKeys
    conversation_key: Mapping[str, str]


def _terms(suite: Suite, baseline: str | None, before: RulesBefore, made: _Made, run: RunFolder | None = None) -> Terms:
    """Return the terms that follow from suite, base and baseline; the others depend on the run."""
    compared, name = find_baseline_of(suite, baseline), baseline_name_of(suite, baseline)
    # The old system belongs to the run that the suite names beside it, and to no other.
    escalates = suite.policy.escalates and baseline in (None, *named_baselines(suite))
    policy = dataclasses.replace(
        suite.policy,
        escalates=escalates,
        repeats=made.repeats,
        uncompared="--baseline none" if baseline == NO_BASELINE else "",
    )
    return Terms(
        suite=suite.name,
        policy=policy,
        held_ids=held_ids(suite.golden_file) if compared is not None else frozenset(),
        baseline=load_baseline(compared, made.score_keys, run if escalates else None, made.conversation_key),
        baseline_folder=compared,
        baseline_title=baseline_title(name, compared),
        kappa_floors=suite.options.kappa_floors,
        calibrations=read_calibrations(suite.calibration_files, suite.root),
        score_keys=made.score_keys,
        production=suite.options.production,
        traffic_per_month=suite.options.traffic_per_month,
        amendments=(*before.found, *(amendments(before.rules, rules_of(suite)) if before.rules is not None else ())),
        amended_since=before.since,
    )


def read_labels_of(suite: Suite, metrics: Iterable[Metric] = ()) -> tuple[Label, ...]:
    """Read the labels that the suite names, without those of cases that a judge's rubric shows as examples.

    Args:
        suite: suite that names the files.
        metrics: metrics of the run that the labels are for, if known.

    Raises:
        InputError: reports every problem of the label files.
    """
    if not suite.label_files:
        return ()
    from evalkit.trust.label_files import read_labels

    shown = [file.relative_to(suite.root).as_posix() for file in suite.label_files]
    return without_examples(read_labels(suite.label_files, shown, metrics), example_cases(suite))
