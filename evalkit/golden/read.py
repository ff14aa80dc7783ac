"""Golden sets: check a whole set once, then stream its cases.

Checking and reading are two passes over the file, so that every problem is told before the first call and no more than
one case is held in memory.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.errors import InputError, Problem
from evalkit.golden.fields import to_case
from evalkit.golden.lines import Note, RawRow, read_csv, read_jsonl
from evalkit.types import Case

MAX_PROBLEMS = 200


@dataclass(frozen=True, kw_only=True)
class GoldenSource:
    """Where a golden set comes from: a file, a remote file, or a data set of a hub."""

    path: str | None = None
    """JSON Lines (`.jsonl`, `.jsonl.gz`), CSV, Parquet or Arrow, relative to the suite."""
    url: str | None = None
    """A remote file of the same kinds (http or https), fetched and cached by `datasets`."""
    hub: str | None = None
    """Name of a data set on a hub, read through `datasets`."""
    split: str = "test"
    revision: str | None = None
    """Commit of the hub data set; without it a run cannot be made again."""
    make_ids: bool = False
    """Give rows without an id one made of their content."""

    def __post_init__(self) -> None:
        """Refuse a source that names nothing, or several things."""
        if sum(one is not None for one in (self.path, self.url, self.hub)) != 1:
            raise ValueError("path: give exactly one of `path`, `url` and `hub`; write `golden: cases.jsonl`")
        if self.url is not None and not self.url.startswith(("http://", "https://")):
            raise ValueError("url: no http or https address; write `path` for a file of the project")


@dataclass(frozen=True)
class GoldenSet:
    """A checked golden set: facts about all of it, and a way to stream its cases."""

    path: str
    """As shown to people."""
    sha256: str
    n_cases: int
    cohort_counts: Mapping[str, Mapping[str, int]]
    """Cohort name -> value -> number of cases."""
    missing: Mapping[str, tuple[str, ...]]
    """Field -> the first ids of cases that lack it, for the fields that were asked about."""
    open: Callable[[], Iterator[Case]]
    """Streams the cases again, in file order."""


Need = Callable[[Case], Iterator[str]]
"""Names what a case lacks for the scorers that apply to it."""


def open_golden(source: GoldenSource, file: Path | None, shown: str, *, need: Need | None = None) -> GoldenSet:
    """Check every row of a golden set.

    Args:
        source: what the suite says.
        file: the resolved file, `None` for a hub data set.
        shown: how the file is named in messages.
        need: called for each sound case; what it yields is gathered in `missing`.

    Raises:
        InputError: with every problem found (at most 200).
    """
    problems: list[Problem] = []

    def note(problem: Problem) -> None:
        problems.append(problem)
        if len(problems) >= MAX_PROBLEMS:
            raise InputError(problems)

    lines: dict[str, int] = {}
    counts: dict[str, Counter[str]] = {}
    missing: dict[str, list[str]] = {}
    digest = hashlib.sha256()
    for line, case in _cases(source, file, shown, note):
        first = lines.setdefault(case.id, line)
        if first != line:
            note(Problem(case.place, f"`id` {case.id!r} repeats line {first}", "give each case its own id"))
        digest.update(case.digest.encode())
        for name, value in case.cohorts.items():
            counts.setdefault(name, Counter())[value] += 1
        for field in need(case) if need else ():
            missing.setdefault(field, []).append(case.id)
    problems.extend(_spelling(counts, shown))
    if not lines and not problems:
        problems.append(Problem(shown, "no case in it", 'write one JSON object a line: {"id": "...", "input": "..."}'))
    if problems:
        raise InputError(problems)
    return GoldenSet(
        path=shown,
        sha256=digest.hexdigest(),
        n_cases=len(lines),
        cohort_counts={name: dict(sorted(counter.items())) for name, counter in sorted(counts.items())},
        missing={field: tuple(ids) for field, ids in missing.items()},
        open=lambda: (case for _, case in _cases(source, file, shown, _changed)),
    )


def _cases(source: GoldenSource, file: Path | None, shown: str, note: Note) -> Iterator[tuple[int, Case]]:
    for line, raw in _raw_rows(source, file, shown, note):
        place = f"{shown}:{line}"
        label = f"{place} id {str(raw.get('id'))[:60]}" if "id" in raw else place

        def complain(what: str, mend: str, label: str = label) -> None:
            note(Problem(label, what, mend))

        case = to_case(raw, place, complain, make_id=source.make_ids)
        if case is not None:
            yield line, case


def _raw_rows(source: GoldenSource, file: Path | None, shown: str, note: Note) -> Iterator[RawRow]:
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


def _spelling(counts: Mapping[str, Counter[str]], shown: str) -> Iterator[Problem]:
    """Cohort values that differ by letter case only would split a cohort in two."""
    for name, counter in counts.items():
        folded: dict[str, str] = {}
        for value in counter:
            other = folded.setdefault(value.casefold(), value)
            if other != value:
                yield Problem(shown, f"cohort {name} is spelled {other!r} and {value!r}", "choose one spelling")


def _changed(problem: Problem) -> Any:
    raise InputError(
        Problem(problem.place, f"changed while it was read: {problem.what}", "leave the file alone during a run")
    )
