"""Add a case of a stored run to a golden set, and prove regression cases from two runs."""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evalkit.errors import InputError, Problem
from evalkit.golden.fields import NEEDS_REFERENCE, row_of
from evalkit.golden.proofs import Proof, ReplayedRun, add_proof, read_proofs, since_of
from evalkit.golden.read import read_all
from evalkit.monitor.deidentify import NO_NAMES, kinds_left, read_names
from evalkit.monitor.sampled_texts import id_hash
from evalkit.operations.find_run import find_run
from evalkit.operations.new_case import NewCase, new_case
from evalkit.store.folder import RunFolder
from evalkit.store.stored_run import StoredRun, load_run
from evalkit.types import KINDS, SEVERITIES, Case, Verdict, case_verdict, verdict_of

ORIGINS = ("incident", "expert", "production", "synthetic", "public")
"""Where a case comes from."""


@dataclass(frozen=True, kw_only=True)
class Review:
    """What a person says about a case that is added."""

    because: str
    """Why it is added, such as the number of an incident."""
    reviewed_by: str
    """The person who looked at it."""
    today: datetime.date
    severity: str = "medium"
    kind: str = "regression"
    origin: str = "incident"
    reference: str | None = None
    needs_reference: bool = False
    names: Path | None = None
    """List of names that are personal data."""
    replace_data: bool = False
    """Whether personal data are replaced by placeholders instead of refused."""
    id: str | None = None
    """Id of the case in the set; default: the one that it has."""
    cohorts: tuple[str, ...] = ()
    """Cohorts that it has besides its own, or instead: `name=value`."""


@dataclass(frozen=True, kw_only=True)
class RegressionCase:
    """A regression case of a set, and its proof."""

    case: Case
    since: datetime.date | None
    proof: Proof | None


def case_of_run(name: str, review: Review, file: Path) -> NewCase:
    """Return the case of a stored run as it joins a set; nothing is written.

    Args:
        name: `RUN:CASE`, the run as other commands take it, and the id of the case.
        review: what a person says about it.
        file: the set.

    Raises:
        InputError: there is no such run or case, or something keeps it out of the set.
    """
    refuse_lost_folder(file, "SET")
    folder, case = _case_in_run(name)
    row = row_of(case)
    row = {name: value for name, value in row.items() if name != NEEDS_REFERENCE and not _is_provenance(name, value)}
    source = {"run": folder.manifest().run_id, "case": case.id}
    return reviewed_case(row, source, review, file)


def refuse_lost_folder(file: Path, place: str) -> None:
    """Reject a set in a folder that does not exist.

    Args:
        file: the set.
        place: flag or argument that names it.

    Raises:
        InputError: gives the command that makes the folder.
    """
    if not file.parent.is_dir():
        fix = f"make it first: mkdir {shlex.quote(str(file.parent))}"
        raise InputError(Problem(place, f"{file.parent} is not a folder", fix))


def reviewed_case(row: dict[str, object], source: dict[str, str], review: Review, file: Path) -> NewCase:
    """Return a row with what a person says about it as it joins a set; nothing is written.

    Raises:
        InputError: reports everything that keeps it out of the set.
    """
    _check(review, has_reference=bool(review.reference or row.get("reference")))
    row |= {"kind": review.kind, "severity": review.severity}
    if review.id is not None:
        row["id"] = review.id
    if review.cohorts:
        own = row.get("cohorts")
        row["cohorts"] = {**(own if isinstance(own, dict) else {}), **dict(map(cohort_of, review.cohorts))}
    if review.reference is not None:
        row["reference"] = review.reference
    if review.needs_reference:
        row[NEEDS_REFERENCE] = True
    row |= {
        "origin": review.origin,
        "because": review.because.strip(),
        "since": review.today.isoformat(),
        "reviewed_by": review.reviewed_by.strip(),
    }
    names = NO_NAMES if review.names is None else read_names(review.names)
    if kinds_left(source.get("case"), names):
        source = {name: value for name, value in source.items() if name != "case"} | {
            "id_hash": id_hash(source["case"])
        }
    row["taken_from" if "source" in row else "source"] = source  # `source` may be the user's: the passage to cite
    return new_case(row, file, names=names, replace_data=review.replace_data or review.names is not None)


def _is_provenance(name: str, value: object) -> bool:
    """Return whether a field says how the case came into its own set."""
    return name in ("origin", "because", "since", "reviewed_by", "taken_from") or (
        name == "source" and isinstance(value, dict)
    )


def prove_case(file: Path, case_id: str, failed: str, passed: str, today: datetime.date) -> tuple[Proof, Path]:
    """Record that one version failed a case and another passed it; return the proof and its file.

    Args:
        file: the set.
        case_id: id of the case, whose content must be that of both runs.
        failed: run of the version before the fix.
        passed: run of the fixed version.
        today: the day to record.

    Raises:
        InputError: the runs do not prove it, with every reason.
    """
    case = next((each for each in read_all(file, str(file)) if each.id == case_id), None)
    if case is None:
        raise InputError(Problem(str(file), f"no case {case_id!r}", "name the id of a row"))
    runs = [load_run(find_run(name)) for name in (failed, passed)]
    problems = [
        *_unproven(case, runs[0], "--failed", "failed"),
        *_unproven(case, runs[1], "--passed", "passed"),
        *_incomparable(*runs),
    ]
    if problems:
        raise InputError(problems)
    replayed = [
        ReplayedRun(run=run.run_id, head=run.manifest.head, system=run.manifest.system.identity) for run in runs
    ]
    proof = Proof(id=case.id, digest=case.digest, failed=replayed[0], passed=replayed[1], at=today.isoformat())
    return proof, add_proof(file, proof)


def regression_cases(file: Path) -> tuple[RegressionCase, ...]:
    """Return the regression cases of a set with their proofs, in the order of the file.

    Raises:
        InputError: reports every problem of the set and of its proofs.
    """
    proofs = read_proofs(file)
    return tuple(
        RegressionCase(case=case, since=since_of(case), proof=proofs.get(case.digest))
        for case in read_all(file, str(file))
        if case.kind == "regression"
    )


def _check(review: Review, *, has_reference: bool) -> None:
    problems = [
        Problem(flag, "is empty", "write a short text") for flag, text in _texts(review) if not text.strip()
    ] + [
        Problem(flag, f"{given!r} is unknown", f"choose from {', '.join(known)}")
        for flag, given, known in (
            ("--kind", review.kind, KINDS),
            ("--severity", review.severity, SEVERITIES),
            ("--origin", review.origin, ORIGINS),
        )
        if given not in known
    ]
    problems += [
        Problem("--cohort", f"{each!r} is not NAME=VALUE", "write --cohort risk=high")
        for each in review.cohorts
        if not all(cohort_of(each))
    ] + [
        Problem("--cohort", f"{each!r} has characters that cannot be printed", "write it without them")
        for each in review.cohorts
        if not each.isprintable()
    ]
    if review.needs_reference and has_reference:
        problems.append(Problem("--needs-reference", "the case has a reference", "leave out --needs-reference"))
    if problems:
        raise InputError(problems)


def cohort_of(text: str) -> tuple[str, str]:
    """Return name and value of `name=value`; one is empty if the text is something else."""
    name, _, value = text.partition("=")
    return name.strip(), value.strip()


def _texts(review: Review) -> Iterator[tuple[str, str]]:
    yield "--because", review.because
    yield "--reviewed-by", review.reviewed_by


def _case_in_run(name: str) -> tuple[RunFolder, Case]:
    """Find the run and the case of `RUN:CASE`; both may hold colons, so the longest name of a run is tried first."""
    cuts = [at for at, char in enumerate(name) if char == ":"]
    error = InputError(
        Problem("--from", f"{name!r} is not RUN:CASE", "write a run and the id of a case: latest:aml-01")
    )
    for at in reversed(cuts):
        run, case_id = name[:at], name[at + 1 :]
        if not run or not case_id:
            continue
        try:
            folder = find_run(run)
        except InputError as unknown:
            error = unknown
            continue
        case = next((row.case for row in folder.rows() if row.case.id == case_id), None)
        if case is not None:
            return folder, case
        error = InputError(Problem("--from", f"{folder.shown} has no case {case_id!r}", "see its report for the ids"))
    raise error


def _unproven(case: Case, run: StoredRun, flag: str, wanted: Verdict) -> Iterator[Problem]:
    """Yield why a run does not show that the case got the wanted verdict."""
    shown = run.folder.shown
    rows = [row for row in run.folder.rows() if row.case.id == case.id]
    same = [row for row in rows if row.case.digest == case.digest]
    if not same:
        what = f"{shown} has case {case.id!r} in another form" if rows else f"{shown} has no case {case.id!r}"
        yield Problem(flag, what, "run this version with the set as it is now")
        return
    advisory = frozenset(run.manifest.advisory)
    verdict = case_verdict([verdict_of(row, advisory) for row in same], run.manifest.repeat_rule)
    if verdict != wanted:
        yield Problem(flag, f"the case is {verdict.replace('_', ' ')} in {shown}", f"name a run in which it {wanted}")


def _incomparable(failed: StoredRun, passed: StoredRun) -> Iterator[Problem]:
    """Yield why two runs differ in more than the version of the system, or not in it."""
    if failed.run_id == passed.run_id:
        yield Problem("--passed", "is the same run as --failed", "name the run of the fixed version")
        return
    ours, theirs = failed.manifest.system.identity, passed.manifest.system.identity
    if ours and ours == theirs:
        yield Problem("--passed", "has the same version of the system as --failed", "run the fixed version")
    changed = sorted(name for name, key in failed.score_keys.items() if passed.score_keys.get(name) not in (None, key))
    if changed:
        what = f"graded {', '.join(changed)} in another way than --failed"
        yield Problem("--passed", what, "grade one of the runs again with `evalkit score RUN`")
