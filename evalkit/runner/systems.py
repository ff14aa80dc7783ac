"""Prepare each of several systems of a run, once their suite is checked as a whole."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from evalkit.baselines.load import load_baseline
from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem, what_and_fix
from evalkit.formats.manifest import Manifest
from evalkit.gate.assess import Terms
from evalkit.gate.policy import Best, NoRegression, Policy
from evalkit.llm.budget import Budget
from evalkit.runner.terms import terms_of_stored
from evalkit.store.folder import MANIFEST, RunFolder
from evalkit.store.stored_run import load_run
from evalkit.store.systems_folder import SystemsFolder, around, folders_of
from evalkit.suite.named_system import NamedSystem, of_run
from evalkit.suite.systems import alone

_OF_ALL = ("release", "reference")
"""Amendments that concern every system of a run."""

if TYPE_CHECKING:
    from evalkit.aggregate.frame import Frame
    from evalkit.gate.best_system import Contender, Standings
    from evalkit.runner.prepare import Prepared
    from evalkit.suite.model import Suite


@dataclasses.dataclass(frozen=True)
class Ready:
    """One system of a run, ready to be asked."""

    system: NamedSystem
    prepared: Prepared
    """The checked suite, as if it named no other system."""
    terms: Terms
    """Terms of its decision; a baseline of the same run is yet to come."""


def prepared_each(whole: Prepared) -> list[tuple[NamedSystem, Prepared]]:
    """Return each system with its own suite, fingerprint, concurrency and budget; everything else is shared.

    Raises:
        InputError: two systems have one fingerprint.
    """
    found = [(each, _prepared(whole, each)) for each in whole.suite.systems]
    if problems := list(_twins(whole.suite, found)):
        raise InputError(problems)
    return found


def _prepared(whole: Prepared, system: NamedSystem) -> Prepared:
    suite = alone(whole.suite, system.name)
    shared = dataclasses.replace(whole.shared, concurrency=suite.options.concurrency)
    budget = whole.budget if system.budget_usd is None else Budget(system.budget_usd, whole=whole.budget)
    fingerprint = system.config.fingerprint(shared)
    return dataclasses.replace(whole, suite=suite, shared=shared, budget=budget, fingerprint=fingerprint)


def _twins(suite: Suite, found: Sequence[tuple[NamedSystem, Prepared]]) -> Iterator[Problem]:
    same: dict[str, list[NamedSystem]] = defaultdict(list)
    for system, prepared in found:
        if prepared.fingerprint is not None:
            same[prepared.fingerprint].append(system)
    for first, *others in same.values():
        for other in others:
            what, fix = f"{other.name!r} and {first.name!r} are the same system", "change one, or remove it"
            if other.config.version is not None:
                what = f"{other.name!r} and {first.name!r} have one `version`, so they are the same system"
                fix = "remove `version`, or give each its own"
            yield Problem(suite.place(other.place), what, fix)


Collect = Callable[["Prepared", str | None, bool], Terms]
"""(suite of one system, value of `--baseline`, whether cases of the base are asked too) -> terms of its decision."""


def ready_each(
    found: Sequence[tuple[NamedSystem, Prepared]], reference: str, baseline: str | None, collect: Collect
) -> list[Ready]:
    """Collect the terms of each system's decision.

    Args:
        found: the systems.
        reference: the one that the others are compared with.
        baseline: value of `--baseline`, `None` without it.
        collect: collects the terms of one system.
    """
    ready: list[Ready] = []
    compared: Terms | None = None
    for system, prepared in found:
        policy = prepared.suite.policy
        asked = dataclasses.replace(
            prepared, suite=without_reference(prepared.suite) if not baseline else prepared.suite
        )
        if policy.can_block or compared is None:
            terms = collect(asked, baseline if policy.can_block else None, policy.can_block)
        else:
            terms = compared
        if not policy.can_block:
            compared = terms
        terms = _of_compared(terms, policy)
        terms = with_checks_of(terms, prepared.suite, baseline or reference)
        ready.append(Ready(system, prepared.with_checks(terms.former), terms))
    return ready


def _of_compared(terms: Terms, policy: Policy) -> Terms:
    """Return terms for a system with this policy; if it is only compared, its own changes are not findings."""
    if policy.can_block:
        return terms
    kept = tuple(each for each in terms.amendments if each.what in _OF_ALL)
    return dataclasses.replace(terms, policy=policy, amendments=kept)


def without_reference(suite: Suite) -> Suite:
    """Return the suite without the checks against the reference of the run, which has no rows yet."""
    checks = tuple(check for check in suite.policy.checks if not of_run(check))
    return dataclasses.replace(suite, policy=dataclasses.replace(suite.policy, checks=checks))


def suite_of_run(suite: Suite, manifest: Manifest) -> Suite:
    """Return the suite of the system that a stored run tested, if the suite names several; its reference is not run."""
    known = any(each.name == manifest.system.name for each in suite.systems)
    return without_reference(alone(suite, manifest.system.name)) if known else suite


def with_checks_of(terms: Terms, suite: Suite, baseline: str) -> Terms:
    """Return terms with all checks of the suite of one system; those against the reference name the baseline."""
    checks = tuple(
        dataclasses.replace(check, baseline=baseline) if isinstance(check, NoRegression) and of_run(check) else check
        for check in suite.policy.checks
    )
    return dataclasses.replace(terms, policy=dataclasses.replace(terms.policy, checks=checks))


def with_reference(
    terms: Terms, name: str, reference: RunFolder, own: RunFolder, *, written_now: bool = False
) -> Terms:
    """Return terms whose baseline is the reference of the same run.

    Args:
        terms: terms of one system.
        name: the reference.
        reference: its run folder.
        own: the run folder of the system.
        written_now: whether this process has asked both.

    Raises:
        InputError: the rows of the reference cannot be read as a run.
    """
    key = own.manifest().conversation_key
    again = own if terms.policy.escalates else None
    return dataclasses.replace(
        terms,
        baseline=load_baseline(reference, terms.score_keys, again, key, same_run=True, written_now=written_now),
        baseline_folder=reference,
        baseline_title=name,
        same_run=True,
    )


def terms_of_stored_system(
    suite: Suite, manifest: Manifest, baseline: str | None, run: RunFolder, env: Mapping[str, str]
) -> Terms:
    """Collect the terms of a decision for a stored run of one of the suite's systems; see `terms_of_stored`.

    Raises:
        InputError: the suite has no such system, or as for a run.
    """
    name = manifest.system.name
    if name not in [each.name for each in suite.systems]:
        shown = f"its system {name!r} is not in the suite" if name else "the suite names several systems, the run none"
        raise InputError(Problem(shown_path(run.path), shown, "run the suite again, or name another with --suite"))
    own = alone(suite, name)
    asked = own if baseline else without_reference(own)
    terms = terms_of_stored(asked, manifest, baseline if own.policy.can_block else None, run, env)
    terms = _of_compared(terms, own.policy)
    terms = with_checks_of(terms, own, baseline or suite.reference.name)
    above = around(run)
    if compares_all(own.policy):
        terms = dataclasses.replace(terms, contender=_stored_contender(suite, manifest, run, above))
    if baseline is not None or not any(map(of_run, own.policy.checks)):
        return terms
    if above is None:
        what = f"the run of its reference {suite.reference.name!r} is not beside it"
        raise InputError(Problem(shown_path(run.path), what, "name a baseline with --baseline"))
    stored = above.read()
    if suite.reference.name not in [each.name for each in stored.systems]:
        what = f"the run does not have the reference {suite.reference.name!r}"
        raise InputError(Problem(shown_path(above.path), what, "name a baseline with --baseline"))
    reference = above.folder_of(stored, suite.reference.name)
    if manifest.baseline_system not in (None, reference.manifest().system.fingerprint):
        what = f"the run asked another system again than the reference {suite.reference.name!r}"
        raise InputError(Problem(shown_path(run.path), what, "run the suite again, or name a baseline with --baseline"))
    return with_reference(terms, suite.reference.name, reference, run)


def compares_all(policy: Policy) -> bool:
    """Return True if a check compares the system with every other one of its run."""
    return any(isinstance(check, Best) for check in policy.checks)


def standings_of(suite: Suite, frames: Mapping[str, Frame], seed: int) -> Standings:
    """Return the systems of a run for the checks that compare all of them.

    Args:
        suite: names the metric.
        frames: system -> its rows.
        seed: seed of the draws.

    Raises:
        InputError: a run has no such metric.
    """
    from evalkit.aggregate.system_columns import columns_of_run
    from evalkit.gate.best_system import Standings

    primary = suite.options.primary
    try:
        columns = [columns_of_run(frame, name=name, primary=primary) for name, frame in frames.items()]
    except ValueError as error:
        what, fix = what_and_fix(str(error).removeprefix("primary: "))
        raise InputError(Problem(suite.place("primary"), what, fix)) from None
    return Standings(tuple(columns), seed)


def compared_folders(suite: Suite, terms: Terms, run: RunFolder) -> list[RunFolder]:
    """Return the run folders of the other systems of a stored run that its decision depends on."""
    above = around(run)
    if terms.contender is not None and above is not None:
        places = folders_of([each.name for each in suite.systems])
        return [RunFolder(above.path / place) for name, place in places.items() if name != terms.contender.name]
    return [terms.baseline_folder] if terms.same_run and terms.baseline_folder is not None else []


def _stored_contender(suite: Suite, manifest: Manifest, run: RunFolder, above: SystemsFolder | None) -> Contender:
    """Return a system of a stored run among the others of the suite, whose runs are beside it.

    Raises:
        InputError: a run is missing, damaged or of another system.
    """
    from evalkit.gate.best_system import Contender

    frames = {}
    for name, place in folders_of([each.name for each in suite.systems]).items():
        folder = None if above is None else RunFolder(above.path / place)
        if folder is None or not folder.file(MANIFEST).is_file():
            what = f"the run of the system {name!r}, which `best` compares with, is not beside it"
            raise InputError(Problem(shown_path(run.path), what, "run the suite again"))
        if (own := folder.manifest().system.name) != name:
            what = f"is the run of {own!r}, not of {name!r}"
            raise InputError(Problem(shown_path(folder.path), what, "run the suite again"))
        frames[name] = load_run(folder).frame
    return Contender(manifest.system.name, standings_of(suite, frames, manifest.seed))
