"""Compare more than two systems of one file of results on one page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.aggregate.compare_systems import compare_systems
from evalkit.aggregate.system_columns import columns_of_run
from evalkit.aggregate.system_comparison import SystemComparison
from evalkit.errors import InputError, Problem
from evalkit.imports.result_columns import ResultColumns, choose_columns
from evalkit.imports.result_rows import PairedResults, rows_of
from evalkit.imports.result_table import ResultTable
from evalkit.operations.compare import tested_once
from evalkit.operations.compare_files import how_read, new_folder, write_side
from evalkit.operations.compare_sides import Comparing, side_of, tables_of
from evalkit.report.headline import AS_THEY_ARE
from evalkit.store.comparison import store_comparison
from evalkit.store.folder import COMPARISON, RunFolder
from evalkit.store.stored_run import load_run
from evalkit.store.systems_folder import folders_of
from evalkit.suite.systems import MOST_SYSTEMS

_Read = tuple[PairedResults, ResultColumns]


@dataclass(frozen=True)
class SeveralCompared:
    """A comparison, and its folder."""

    folder: Path
    comparison: SystemComparison

    @property
    def file(self) -> Path:
        """The comparison as JSON."""
        return self.folder / COMPARISON


def systems_of(request: Comparing) -> tuple[str, ...]:
    """Return the systems of the file to compare, the reference first; none if there are two or two of them are named.

    Raises:
        InputError: the file cannot be read, or holds no such reference.
    """
    if request.system is None or request.systems is not None or request.after is not None:
        return ()
    table = side_of(request.before, request)
    found = table.values(request.system) if isinstance(table, ResultTable) else []
    if len(found) <= 2:
        return ()
    if isinstance(table, ResultTable) and request.reference is not None:
        table.of_system(request.system, request.reference)
    return tuple(sorted(found, key=lambda name: name != request.reference))


def compare_several(request: Comparing, names: tuple[str, ...], out: Path | None = None) -> SeveralCompared:
    """Compare the systems of a file with the first of them, and write a run folder for each and `comparison.json`.

    Args:
        request: what to compare.
        names: values of its column of systems, the reference first.
        out: an empty folder; `reports/<id>` in the project if not given.

    Raises:
        InputError: with every problem of the file, the columns and the flags.
        StoreError: the disk refused a file.
    """
    problems = list(_unfit(request, names))
    table = side_of(request.before, request)
    if problems or not isinstance(table, ResultTable) or request.system is None:
        raise InputError(problems)
    tables = {name: table.of_system(request.system, name) for name in names}
    reads = [_read(tables[names[0]], tables[name], request) for name in names[1:]]
    primary = _primary(reads, names)
    folder = new_folder(out)
    sides = [reads[0][0].before, *(pair.after for pair, _ in reads)]
    places = folders_of(names)
    folders = {
        name: write_side(folder / places[name], side, read, table.name, request.seed)
        for name, side, read in zip(names, sides, [reads[0], *reads], strict=True)
    }
    comparison = _compared(folders, places, (table.name, primary), request.seed)
    comparison = replace(comparison, notes=(*_notes(dict(zip(names[1:], reads, strict=True))), *comparison.notes))
    store_comparison(folder, comparison)
    return SeveralCompared(folder, comparison)


def _unfit(request: Comparing, names: tuple[str, ...]) -> list[Problem]:
    decides = (("--gate", request.gate), ("--labels", request.labels or None))
    what = f"decides about two systems, and {request.before} holds {len(names)}"
    fix = "name the two with --before and --after"
    found = [Problem(flag, what, fix) for flag, given in decides if given is not None]
    if len(names) > MOST_SYSTEMS:
        found.append(Problem("--system", f"{len(names)} systems, at most {MOST_SYSTEMS} are compared", fix))
    return found


def _read(reference: ResultTable, other: ResultTable, request: Comparing) -> _Read:
    before, after, asked = tables_of(reference, other, request.asked)
    columns = choose_columns(before, after, asked)
    return rows_of(before, after, columns), columns


def _primary(reads: list[_Read], names: tuple[str, ...]) -> str:
    """Return the metric of ranks: the pass rate, or the first grade.

    Raises:
        InputError: the systems have different grades.
    """
    graded = [tuple(metric.name for metric in pair.metrics) for pair, _ in reads]
    for name, found in zip(names[1:], graded, strict=True):
        if found != graded[0]:
            what = f"{name!r} has the grades {', '.join(found)}, and {names[1]!r} {', '.join(graded[0])}"
            raise InputError(Problem("--system", what, "name the columns to compare: --metric COLUMN"))
    return tested_once(reads[0][0].metrics)[0]


def _notes(reads: Mapping[str, _Read]) -> Iterator[str]:
    """Say what the file cannot show and how it was read; what differs by system is said of each."""
    yield AS_THEY_ARE
    judged = dict.fromkeys(name for _, columns in reads.values() for name in columns.judged)
    if judged:
        yield f"a model gave the grades of {', '.join(judged)}; how well it agrees with people is unknown"
    said = {name: how_read(*read) for name, read in reads.items()}
    common = set.intersection(*map(set, said.values()))
    yield from dict.fromkeys(note for notes in said.values() for note in notes if note in common)
    for name, notes in said.items():
        yield from (f"{name}: {note}" for note in notes if note not in common)


def _compared(
    folders: Mapping[str, RunFolder], places: Mapping[str, str], named: tuple[str, str], seed: int
) -> SystemComparison:
    title, primary = named
    columns = [
        columns_of_run(load_run(folder).frame, name=name, primary=primary, folder=places[name])
        for name, folder in folders.items()
    ]
    # Nobody knows how the systems were called, so their latencies cannot be compared.
    reference = next(iter(folders))
    return compare_systems(columns, suite=title, primary=primary, reference=reference, seed=seed, interleaved=False)
