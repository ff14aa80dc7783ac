"""Read the two sides of a comparison: files of results, runs, or two systems of one file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from evalkit.disk.files import sha256_of
from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem, gathered
from evalkit.imports.result_flags import ColumnFlags
from evalkit.imports.result_metric_rows import widened
from evalkit.imports.result_table import (
    BINARY,
    SEPARATED,
    WORKBOOKS,
    ResultRow,
    ResultTable,
    fold,
    quoted,
    read_results,
)
from evalkit.operations.find_run import find_run
from evalkit.store.folder import RunFolder
from evalkit.store.git import PREFIX, file_at
from evalkit.store.journal import read_rows
from evalkit.store.stored_run import load_run
from evalkit.text.numbers import plural
from evalkit.types import Metric, Row, Score

_SUFFIXES = tuple(".csv .tsv .jsonl .ndjson .json .yaml .yml .xlsx .xlsm .parquet .arrow .feather .eval".split())
Side = ResultTable | RunFolder


@dataclass(frozen=True, kw_only=True)
class Comparing:
    """Two results to compare, and what the user says about them."""

    before: str
    """A file of results, `git:REF:PATH` of one, a run folder, the name of a saved baseline, or `latest`."""
    after: str | None = None
    """The same; `None` for another system of the same file."""
    asked: ColumnFlags = field(default_factory=ColumnFlags)
    system: str | None = None
    """Column that tells the systems of a file apart."""
    systems: tuple[str, str] | None = None
    """The values of that column to compare."""
    reference: str | None = None
    """The value that more than two systems are compared with; the first in the file if not given."""
    gate: Path | None = None
    """File of further checks."""
    labels: tuple[Path, ...] = ()
    """Files of people's labels; with them a model that graded must be trusted to decide."""
    sheet: str | None = None
    separator: str | None = None
    encoding: str | None = None
    seed: int = 0


def sides_of(request: Comparing) -> tuple[Side, Side]:
    """Read both sides.

    Raises:
        InputError: with the problems of both.
    """
    problems: list[Problem] = []
    sides: list[Side] = []
    for name in [request.before] if request.after is None else [request.before, request.after]:
        with gathered(problems):
            sides.append(side_of(name, request))
    problems = problems or list(_unread_flags(sides, request))
    if problems:
        raise InputError(problems)
    old, new = sides[0], sides[-1]
    if request.system is not None:
        return _of_systems(old, new, request.system, request.systems)
    if request.after is None:
        fix = "name a second file or run, or the column of systems: --system COLUMN --before A --after B"
        raise InputError(Problem(request.before, "nothing to compare it with", fix))
    return old, new


def _unread_flags(sides: Sequence[Side], request: Comparing) -> Iterator[Problem]:
    """Yield a problem for each flag that no file of its kind takes."""
    kinds = {side.kind for side in sides if isinstance(side, ResultTable)}
    flags = (
        ("sheet", request.sheet, kinds & WORKBOOKS, "no workbook is compared"),
        ("separator", request.separator, kinds & SEPARATED, "no CSV file is compared"),
        ("encoding", request.encoding, kinds - BINARY, "no text file is compared"),
    )
    for name, given, read, what in flags:
        if given is not None and not read:
            yield Problem(f"--{name}", what, "leave it out")


def side_of(name: str, request: Comparing) -> Side:
    """Read one side: a file, or the run of that name.

    Raises:
        InputError: it cannot be read.
    """
    path = Path(name)
    is_table = path.name.lower().removesuffix(".gz").endswith(_SUFFIXES) and not path.is_dir()
    if name.startswith(PREFIX):
        path = file_at(name, Path.cwd()) if is_table else path
    elif path.is_file() and path.suffix != ".zip":
        is_table = True
    if not is_table:
        return find_run(name)
    shown = name if name.startswith(PREFIX) else shown_path(path)
    return read_results(path, shown=shown, sheet=request.sheet, separator=request.separator, encoding=request.encoding)


def _of_systems(old: Side, new: Side, column: str, systems: tuple[str, str] | None) -> tuple[Side, Side]:
    """Return the rows of two systems, which one file or both hold."""
    if not isinstance(old, ResultTable) or not isinstance(new, ResultTable):
        raise InputError(Problem("--system", "a run is of one system", "remove the flag"))
    if systems is None:
        values = old.values(column)
        first, second = (*values, "A", "B")[:2]
        line = f"--system {quoted(column)} --before {quoted(first)} --after {quoted(second)}"
        what = f"{plural(len(values), 'system')} in the column {column!r}"
        raise InputError(Problem("--system", what, f"say which two are compared: {line}"))
    if old is new and systems[0] == systems[1]:
        what = f"{systems[0]!r} would be compared with itself"
        raise InputError(Problem("--after", what, "name the other system, or a second file"))
    return old.of_system(column, systems[0]), new.of_system(column, systems[1])


def tables_of(old: Side, new: Side, asked: ColumnFlags) -> tuple[ResultTable, ResultTable, ColumnFlags]:
    """Return both sides as tables with one row a case, and what is known of their columns.

    Raises:
        InputError: a run is damaged, or a metric is on one side alone.
    """
    if isinstance(old, ResultTable) and isinstance(new, ResultTable):
        return widened(old, new, asked)
    metrics: list[Metric] = []
    tables = [side if isinstance(side, ResultTable) else _table_of_run(side, metrics) for side in (old, new)]
    file = old if isinstance(old, ResultTable) else new
    assert isinstance(file, ResultTable)  # noqa: S101 - two runs are compared as runs
    return tables[0], tables[1], _as_in_run(asked, [each for each in metrics if fold(each.name) in file.names])


def _table_of_run(folder: RunFolder, metrics: list[Metric]) -> ResultTable:
    """Return the rows of a run as a table, and add its metrics that count to `metrics`."""
    manifest, shown = folder.manifest(), shown_path(folder.path)
    stored = load_run(folder)
    missing = manifest.expected - len(stored.frame)
    if stored.damaged or missing > 0:
        what = (
            f"{plural(len(stored.damaged), 'row')} damaged" if stored.damaged else f"{plural(missing, 'row')} missing"
        )
        fix = "continue it with `evalkit run SUITE --out RUN --resume`, or name another run"
        raise InputError(Problem(shown, what, fix))
    metrics += [metric for metric in manifest.metrics if metric.name not in manifest.advisory]
    own = ["id", "repeat", "input", "output", "cluster"]
    own += [f"cohorts.{name}" for name in manifest.cohorts] + [metric.name for metric in metrics]
    # A row that was asked again follows its first one, and replaces it.
    last = {(row.case.digest, row.repeat): (at, row) for at, row in enumerate(read_rows(folder.rows_file, []), 1)}
    rows = [
        ResultRow(line, {fold(name): cell for name, cell in _cells(row, metrics).items()})
        for line, row in last.values()
    ]
    return ResultTable(
        shown=shown,
        kind="evalkit run",
        sha256=sha256_of(folder.rows_file),
        names={fold(name): name for name in own},
        rows=tuple(rows),
    )


def _cells(row: Row, metrics: Sequence[Metric]) -> dict[str, Any]:
    described = {
        "id": row.case.id,
        "repeat": row.repeat,
        "input": row.case.question,
        "output": row.output.text if row.output is not None and row.output.text_known else None,
        "cluster": row.case.cluster,
        **{f"cohorts.{name}": value for name, value in row.case.cohorts.items()},
    }
    if row.failure is not None:
        return {**described, **{metric.name: "error" for metric in metrics}, "error": row.failure.message}
    grades = {name: grade.value for name, grade in row.scores.items() if isinstance(grade, Score)}
    return {**described, **{metric.name: grades.get(metric.name) for metric in metrics}}


def _as_in_run(asked: ColumnFlags, metrics: Sequence[Metric]) -> ColumnFlags:
    """Add what a run knows of its metrics to what the user says."""
    wanted = {fold(name) for name in (*asked.metrics, *asked.passes)}
    metrics = [metric for metric in metrics if not wanted or fold(metric.name) in wanted]
    said = {fold(name) for name in (*asked.higher, *asked.lower)}
    names = [metric.name for metric in metrics]
    known = [metric for metric in metrics if fold(metric.name) not in said]
    marks = {metric.name: metric.pass_at for metric in metrics if metric.pass_at is not None}
    ranges = {metric.name: (metric.low, metric.high) for metric in metrics if metric.high < float("inf")}
    return replace(
        asked,
        metrics=asked.metrics if asked.metrics or asked.passes else tuple(names),
        higher=(*asked.higher, *(metric.name for metric in known if metric.higher_is_better)),
        lower=(*asked.lower, *(metric.name for metric in known if not metric.higher_is_better)),
        thresholds={**marks, **asked.thresholds},
        scales={**ranges, **asked.scales},
    )
