"""Check a whole golden set once, then stream its cases.

Checking and reading are two passes over the file, so that every problem is told before the first call and no more than
one case is held in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.disk.files import sha256_of
from evalkit.errors import InputError, Problem, noting
from evalkit.formats.manifest import GoldenFacts
from evalkit.golden.fields import to_case
from evalkit.golden.lines import Note, RawRow, read_csv, read_jsonl
from evalkit.golden.survey import GoldenSurvey, Lack, Need
from evalkit.text.escaping import cut
from evalkit.types import Case


@dataclass(frozen=True, kw_only=True)
class GoldenSource:
    """The source of a golden set: a file, a remote file, or a data set of a hub."""

    path: str | None = None
    """JSON Lines (`.jsonl`, `.jsonl.gz`), CSV, Parquet or Arrow, relative to the suite."""
    url: str | None = None
    """A remote file of the same kinds (http or https), fetched and cached by `datasets`."""
    hub: str | None = None
    """Name of a data set on a hub, read through `datasets`."""
    split: str = "test"
    revision: str | None = None
    """Commit of the hub data set; without it a run cannot be reproduced."""
    make_ids: bool = False
    """Whether to make ids from the content of rows without an id."""
    trained_on: tuple[str, ...] = ()
    """Training data or prompt examples of the system or a judge: files of the same kinds as `path`."""

    def __post_init__(self) -> None:
        """Refuse a source that names nothing, or several things."""
        given = [one for one in (self.path, self.url, self.hub) if one is not None]
        if len(given) != 1 or not given[0].strip():
            raise ValueError("path: give exactly one of `path`, `url` and `hub`; write `golden: cases.jsonl`")
        if self.url is not None and not self.url.startswith(("http://", "https://")):
            raise ValueError("url: not an http or https URL; write `path` for a file of the project")


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
    """Required field -> the cases that lack it."""
    warnings: tuple[Problem, ...]
    """Warnings: allowed, but probably not intended."""
    open: Callable[[], Iterator[Case]]
    """Streams the cases again, in file order.

    Raises:
        InputError: when the set turns out not to be the one that was checked.
    """
    checks: bool = False
    """Whether a case carries checks of its own."""
    learnt: tuple[Problem, ...] = ()
    """Warnings about cases that the system or its judge was trained on; see `overlap`."""


def open_golden(
    source: GoldenSource, file: Path | None, shown: str, *, need: Need | None = None, cohorts: Sequence[str] = ()
) -> GoldenSet:
    """Check every row of a golden set.

    Args:
        source: what the suite says.
        file: the resolved file, `None` for a hub data set.
        shown: how the file is named in messages.
        need: called for each sound case; what it yields is gathered in `missing`.
        cohorts: names that the suite reports by, whose sizes are looked at.

    Raises:
        InputError: with every problem found (at most 200).
    """
    problems: list[Problem] = []
    note = noting(problems)
    survey = GoldenSurvey(note, need)
    for line, case in read_cases(source, file, shown, note):
        survey.add(case, line)
    problems.extend(survey.spellings())
    if not survey.n_cases and not problems:
        fix = 'write one JSON object a line: {"id": "...", "input": "..."}'
        problems.append(Problem(f"{shown}:1", "no case in it", fix))
    if problems:
        raise InputError(problems)
    counts = {name: dict(sorted(found.items())) for name, found in sorted(survey.counts.items())}
    return GoldenSet(
        path=shown,
        sha256=survey.sha256,
        n_cases=survey.n_cases,
        cohort_counts=counts,
        missing=survey.missing,
        warnings=(*survey.warnings, *survey.small(cohorts)),
        open=lambda: _again(source, file, shown, survey.sha256),
        checks=survey.checks,
    )


def known_golden(source: GoldenSource, file: Path | None, shown: str, facts: GoldenFacts) -> GoldenSet | None:
    """The set as a run with the same suite has checked it, while not a byte of its file has changed.

    Args:
        source: what the suite says.
        file: the resolved file, `None` for a hub data set.
        shown: how the file is named in messages.
        facts: of the run's manifest.
    """
    if file is None or facts.file_sha256 != file_sha256(file):
        return None
    return GoldenSet(
        path=shown,
        sha256=facts.sha256,
        n_cases=facts.n_cases,
        cohort_counts={},
        missing={},
        warnings=(),
        open=lambda: _again(source, file, shown, facts.sha256),
        checks=facts.checks,
    )


def file_sha256(file: Path) -> str | None:
    """Return the SHA-256 (hex) of a file's bytes, `None` if it cannot be read."""
    try:
        return sha256_of(file)
    except OSError:
        return None


def _again(source: GoldenSource, file: Path | None, shown: str, sha256: str) -> Iterator[Case]:
    """Yield the cases again, and raise if they are not those that were checked."""
    content = hashlib.sha256()
    try:
        for _, case in read_cases(source, file, shown, _changed):
            content.update(case.digest.encode())
            yield case
    except OSError as error:
        _changed(Problem(shown, str(error.strerror)))
    if content.hexdigest() != sha256:
        _changed(Problem(shown, "other cases than those that were checked"))


def read_cases(source: GoldenSource, file: Path | None, shown: str, note: Note) -> Iterator[tuple[int, Case]]:
    """Yield the valid cases of a set with their lines; `note` is called for every problem."""
    for line, raw in raw_rows(source, file, shown, note):
        place = f"{shown}:{line}"
        label = f"{place} id {cut(str(raw.get('id')), 60)}" if "id" in raw else place

        def complain(what: str, fix: str, label: str = label) -> None:
            note(Problem(label, what, fix))

        case = to_case(raw, place, complain, make_id=source.make_ids)
        if case is not None:
            yield line, case


def raw_rows(source: GoldenSource, file: Path | None, shown: str, note: Note) -> Iterator[RawRow]:
    """Return the raw rows of a set with their lines; `note` is called for unreadable ones."""
    if source.url is not None:
        from evalkit.golden.tables import fetch

        file = fetch(source.url, shown)
    if file is None or file.suffix in (".parquet", ".arrow"):
        from evalkit.golden.tables import read_table

        return read_table(source, file, shown, note)
    name = file.name.removesuffix(".gz")
    if name.endswith((".jsonl", ".ndjson")):
        return read_jsonl(file, shown, note)
    if name.endswith((".csv",)):
        return read_csv(file, shown, note)
    raise InputError(
        Problem(shown, f"unknown kind of golden set {file.suffix!r}", "use .jsonl, .csv, .parquet or .arrow")
    )


def _changed(problem: Problem) -> Any:
    fix = "leave the file alone during a run, and start a new one"
    raise InputError(Problem(problem.place, f"changed during the run: {problem.what}", fix))
