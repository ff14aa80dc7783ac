"""Check a whole golden set once, then stream its cases.

Checking and reading are two passes over the file, so that every problem is reported before the first call, and no more
than one case is held in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from evalkit.disk.files import sha256_of
from evalkit.errors import InputError, Problem, noting
from evalkit.formats.manifest import GoldenFacts
from evalkit.golden.fields import waits
from evalkit.golden.index import RowPlaces
from evalkit.golden.json_lines import LastRow
from evalkit.golden.rows import PLAIN, read_cases, unheard
from evalkit.golden.source import GoldenSource, Reading
from evalkit.golden.stored_index import CheckedSet, IndexStore, read_index, state_of, write_index
from evalkit.golden.survey import GoldenSurvey, Lack, Need
from evalkit.types import Case


class Reopen(Protocol):
    """Streams the cases of a checked set again."""

    def __call__(self, chosen: Container[str] | None = None) -> Iterator[Case]:
        """Yield the cases in file order, only those with the digests in `chosen` if given.

        Raises:
            InputError: the set differs from the one that was checked.
        """


@dataclass(frozen=True)
class GoldenSet:
    """A checked golden set: its properties, and a way to stream its cases."""

    path: str
    """Name in messages."""
    sha256: str
    n_cases: int
    cohort_counts: Mapping[str, Mapping[str, int]]
    """Cohort name -> value -> number of cases."""
    missing: Mapping[str, Lack]
    """Required field -> cases without it."""
    warnings: tuple[Problem, ...]
    """Warnings about rows that are allowed but probably not intended."""
    open: Reopen
    outlines: Callable[[], Iterable[Case]]
    """Function that gives the cases with no more than what a choice depends on: the id, the digest, kind, severity and
    cohorts; the question has the right length, up to 32 words. The file is not read, except when a run without an index
    is resumed: then it streams the whole cases."""
    file_sha256: str | None = None
    """SHA-256 of the file's bytes, if it was computed already."""
    checks: bool = False
    """Whether a case carries checks of its own."""
    learnt: tuple[Problem, ...] = ()
    """Warnings about cases in training data or prompts."""
    leaked: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Kind of source -> ids of the cases that occur in it, for each kind that was searched."""
    card_gaps: tuple[str, ...] | None = None
    """What the data card of the set lacks; `None` if no check asked for it."""
    waiting: tuple[Case, ...] = ()
    """Cases with `needs_reference`, which are not among the others and never count."""


def open_golden(  # noqa: PLR0913 - each is a fact about the reading
    source: GoldenSource,
    file: Path | None,
    shown: str,
    *,
    need: Need | None = None,
    reading: Reading = PLAIN,
    cohorts: Sequence[str] = (),
    store: IndexStore | None = None,
) -> GoldenSet:
    """Check every row of a golden set.

    Args:
        source: source in the suite.
        file: the resolved file, `None` for a hub data set.
        shown: name of the file in messages.
        need: called for each valid case; the fields that it yields are collected in `missing`.
        reading: the meaning of columns in the rest of the suite.
        cohorts: names that the suite reports by, whose sizes are checked.
        store: where the index of an unchanged file is, which spares the check; one is written after it. `None` for no
            index.

    Raises:
        InputError: reports every problem found (at most 200).
    """
    where = _Where(source, file, shown, reading)
    if store is not None and file is not None and (stored := read_index(store, file, shown)) is not None:
        waiting = _waiting_again(where, stored.waiting)
        if len(waiting) == len(stored.waiting):
            store.counts.restore(stored.counts)
            return _checked(where, stored, waiting)
    before = state_of(file) if store is not None and file is not None else None
    problems: list[Problem] = []
    note = noting(problems)
    survey, cursor = GoldenSurvey(shown, note, need), LastRow()
    waiting, places = [], RowPlaces()

    def wait(case: Case) -> None:
        waiting.append(case)
        places.add(int(case.place.rpartition(":")[2]), cursor.offset)

    warn = survey.warnings.append
    for line, case in read_cases(source, file, shown, note, reading=reading, warn=warn, wait=wait, cursor=cursor):
        survey.add(case, line, cursor.offset)
    for problem in survey.repeated(waiting):
        note(problem)
    problems.extend(survey.spellings())
    problems.extend(survey.too_many_quarantined())
    if not survey.n_cases and not problems:
        fix = "write at least one row with an `id` and an `input`"
        what = "no case in it that has its reference" if waiting else "no case in it"
        problems.append(Problem(f"{shown}:1", what, fix))
    if problems:
        raise InputError(problems)
    warnings = (*survey.warnings, *survey.contradictions(), *survey.small(cohorts), *survey.waiting(waiting))
    found = CheckedSet(
        sha256=survey.sha256,
        n_cases=survey.n_cases,
        checks=survey.checks,
        cohort_counts={name: dict(sorted(each.items())) for name, each in sorted(survey.counts.items())},
        missing=survey.missing,
        warnings=warnings,
        waiting=places,
        index=survey.index,
    )
    del survey, wait  # which hold an entry for every case
    if store is not None and file is not None and before is not None:
        found = write_index(store, file, before, found) or found
    return _checked(where, found, waiting)


class _Where(NamedTuple):
    """The arguments of a reading."""

    source: GoldenSource
    file: Path | None
    shown: str
    reading: Reading


def _checked(where: _Where, found: CheckedSet, waiting: Sequence[Case]) -> GoldenSet:
    """Return a set by what its check found."""

    def again(chosen: Container[str] | None = None) -> Iterator[Case]:
        if chosen is None:
            return _again(where, found.sha256)
        return _chosen_again(where, found.index.places_of(chosen), chosen)

    return GoldenSet(
        path=where.shown,
        sha256=found.sha256,
        n_cases=found.n_cases,
        cohort_counts=found.cohort_counts,
        missing=found.missing,
        warnings=tuple(found.warnings),
        open=again,
        outlines=lambda: found.index,
        file_sha256=found.file_sha256,
        checks=found.checks,
        waiting=tuple(waiting),
    )


def _waiting_again(where: _Where, places: RowPlaces) -> list[Case]:
    """Return the cases that wait for their reference."""
    waiting: list[Case] = []
    if places:
        rows = read_cases(*where[:3], unheard, reading=where.reading, wait=waiting.append, places=places)
        with suppress(OSError, InputError):
            for _ in rows:
                continue
    return waiting


def read_all(file: Path, shown: str) -> list[Case]:
    """Read every case of a file, also those that wait for their reference; rows without an id get one.

    Raises:
        InputError: reports every problem of the rows.
    """
    problems: list[Problem] = []
    note = noting(problems)
    survey = GoldenSurvey(shown, note, None)
    cases: list[Case] = []
    source = GoldenSource(path=file.name, make_ids=True)
    for line, case in read_cases(source, file, shown, note, wait=cases.append):
        survey.add(case, line)
        cases.append(case)
    problems.extend(survey.repeated([case for case in cases if waits(case)]))
    if problems:
        raise InputError(problems)
    return cases


def known_golden(
    source: GoldenSource,
    file: Path | None,
    shown: str,
    facts: GoldenFacts,
    *,
    reading: Reading = PLAIN,
    store: IndexStore | None = None,
) -> GoldenSet | None:
    """Return the set as checked by a run with the same suite, if its file is unchanged.

    Args:
        source: source in the suite.
        file: the resolved file, `None` for a hub data set.
        shown: name of the file in messages.
        facts: facts of the run's manifest.
        reading: the meaning of columns in the rest of the suite.
        store: where the index of the file is; without one, the set is read to choose its cases.
    """
    if file is None:
        return None
    where = _Where(source, file, shown, reading)
    stored = read_index(store, file, shown) if store is not None else None
    if stored is not None and (stored.file_sha256, stored.sha256) == (facts.file_sha256, facts.sha256):
        known = replace(stored, cohort_counts={}, missing={}, warnings=())
        return _checked(where, known, ())
    if facts.file_sha256 != file_sha256(file):
        return None

    def again(chosen: Container[str] | None = None) -> Iterator[Case]:
        cases = _again(where, facts.sha256)
        return cases if chosen is None else (case for case in cases if case.digest in chosen)

    return GoldenSet(
        path=shown,
        sha256=facts.sha256,
        n_cases=facts.n_cases,
        cohort_counts={},
        missing={},
        warnings=(),
        open=again,
        outlines=again,
        file_sha256=facts.file_sha256,
        checks=facts.checks,
    )


def file_sha256(file: Path) -> str | None:
    """Return the SHA-256 (hex) of a file's bytes, `None` if it cannot be read."""
    try:
        return sha256_of(file)
    except OSError:
        return None


def _again(where: _Where, sha256: str) -> Iterator[Case]:
    """Yield the cases again, and raise if they are not those that were checked."""
    content = hashlib.sha256()
    try:
        for _, case in read_cases(*where[:3], _changed, reading=where.reading):
            content.update(case.digest.encode())
            yield case
    except OSError as error:
        _changed(Problem(where.shown, str(error.strerror)))
    if content.hexdigest() != sha256:
        _changed(Problem(where.shown, "these are not the cases that were checked"))


def _chosen_again(where: _Where, places: RowPlaces, chosen: Container[str]) -> Iterator[Case]:
    """Yield the cases with these places and digests, and raise if they are not there any more."""
    n_open = len(places)
    try:
        for _, case in read_cases(*where[:3], _changed, reading=where.reading, places=places) if n_open else ():
            if case.digest in chosen:
                n_open -= 1
                yield case
    except OSError as error:
        _changed(Problem(where.shown, str(error.strerror)))
    if n_open:
        _changed(Problem(where.shown, "these are not the cases that were checked"))


def _changed(problem: Problem) -> Any:
    fix = "leave the file alone during a run, and start a new one"
    raise InputError(Problem(problem.place, f"changed during the run: {problem.what}", fix))
