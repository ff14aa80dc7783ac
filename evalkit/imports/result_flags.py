"""Hold what the user says about the columns of two files, and refuse flags without effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from evalkit.errors import Problem
from evalkit.imports.result_table import ResultTable, fold, quoted
from evalkit.text.values import one_line


@dataclass(frozen=True, kw_only=True)
class ColumnFlags:
    """What the user says about the columns: names as they are in the files."""

    id: str | None = None
    passes: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    cohorts: tuple[str, ...] = ()
    cluster: str | None = None
    repeat: str | None = None
    higher: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()
    scales: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    judged: tuple[str, ...] = ()
    """Columns that a model graded."""


def refuse_unknown(
    before: ResultTable, after: ResultTable, asked: ColumnFlags, note: Callable[[Problem], None]
) -> None:
    """Note each column that a flag names and a file lacks."""
    flags = {
        "--id": (asked.id,),
        "--pass": asked.passes,
        "--metric": asked.metrics,
        "--cohort": asked.cohorts,
        "--cluster": (asked.cluster,),
        "--repeat": (asked.repeat,),
        "--higher": asked.higher,
        "--lower": asked.lower,
        "--scale": tuple(asked.scales),
        "--threshold": tuple(asked.thresholds),
        "--judge": asked.judged,
    }
    for flag, names in flags.items():
        for name in (name for name in names if name is not None):
            for table in (before, after):
                if fold(name) not in table.names:
                    what = f"no column {one_line(name, 60)!r} in {table.shown}"
                    note(Problem(flag, what, f"its columns are {table.listed()}"))


def refuse_uncompared(
    compared: Sequence[str], after: ResultTable, asked: ColumnFlags, note: Callable[[Problem], None]
) -> None:
    """Note each flag without effect, because its column is not compared, and each column with both directions."""
    flags = {
        "--higher": asked.higher,
        "--lower": asked.lower,
        "--scale": tuple(asked.scales),
        "--threshold": tuple(asked.thresholds),
        "--judge": asked.judged,
    }
    for flag, names in flags.items():
        for name in (name for name in names if fold(name) not in compared):
            every = " ".join(f"--metric {quoted(after.names[column])}" for column in (*compared, fold(name)))
            what = f"the column {one_line(name, 60)!r} is not compared"
            note(Problem(flag, what, f"name every column to compare: {every}"))
    for name in (name for name in asked.lower if fold(name) in map(fold, asked.higher)):
        what = f"{one_line(name, 60)!r} is named by --higher too"
        note(Problem("--lower", what, "keep the one that is right"))
