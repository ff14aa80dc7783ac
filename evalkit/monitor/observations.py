"""Store the figures of calls and of feedback, without any of their texts, in immutable Parquet files by day."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.disk.writing import drafted
from evalkit.errors import StoreError
from evalkit.monitor.series import MetricFacts, date_of, day_of

OBSERVATIONS = "observations"
"""Folder of the files in that of a monitor."""
MICRO = 1_000_000
_FORMAT = 1
_META = b"evalkit"
_COHORT = "cohort:"
_METRIC = "metric:"


@dataclass(frozen=True)
class Observations:
    """Calls, or feedback, of one batch on one day, by column; all arrays have the shape (n,).

    Attributes:
        batch: Number of the batch.
        day: Days since 1970.
        ids: Hashes of the ids of calls, or the keys of feedback.
        units: Hashes of the sessions or calls that are drawn; of feedback, those of its calls.
        at: Microseconds since 1970.
        pi: Probability of the draw.
        drawn: Whether a call is in the sample.
        cohorts: Cohort -> value of each call.
        metrics: Metric -> value of each call; NaN where it is unknown or does not apply.
        facts: What is known of the metrics.
    """

    batch: int
    day: int
    ids: NDArray[np.uint64]
    units: NDArray[np.uint64]
    at: NDArray[np.int64]
    pi: NDArray[np.float64]
    drawn: NDArray[np.bool_]
    cohorts: Mapping[str, Sequence[str]]
    metrics: Mapping[str, NDArray[np.float64]]
    facts: Sequence[MetricFacts]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.ids)


def observations_file(folder: Path, day: int, batch: int) -> Path:
    """Return the file of a batch on a day, in the folder of a monitor."""
    return folder / OBSERVATIONS / f"day={date_of(day)}" / f"{batch:05d}.parquet"


def stored_files(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Yield (day, batch, file) of every file there is, drafts and foreign files left out."""
    for file in sorted((folder / OBSERVATIONS).glob("day=*/*.parquet")):
        if file.stem.isdigit() and not file.name.startswith("."):
            try:
                yield day_of(file.parent.name.removeprefix("day=")), int(file.stem), file
            except ValueError:
                continue


def write_observations(folder: Path, found: Observations) -> Path:
    """Write a file, atomically, and return it.

    Raises:
        StoreError: the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {
        "id": _column(pa.uint64(), found.ids),
        "unit": _column(pa.uint64(), found.units),
        "at": _column(pa.timestamp("us", "UTC"), found.at),
        "pi": _column(pa.float64(), found.pi),
        "drawn": pa.Array.from_buffers(pa.bool_(), len(found), [None, _bits(found.drawn)]),
        **{_COHORT + name: _labels(values) for name, values in found.cohorts.items()},
        **{_METRIC + name: _column(pa.float64(), values) for name, values in found.metrics.items()},
    }
    record = {"format": _FORMAT, "batch": found.batch, "facts": [asdict(each) for each in found.facts]}
    table = pa.table(columns).replace_schema_metadata({_META: json.dumps(record).encode()})
    file = observations_file(folder, found.day, found.batch)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with drafted(file) as draft:
            pq.write_table(table, draft, compression="zstd", use_dictionary=[_COHORT + name for name in found.cohorts])
    except OSError as error:
        raise StoreError.of(file, error, "then run `evalkit monitor take` again") from error
    return file


def holds_any(file: Path, ids: NDArray[np.uint64]) -> bool:
    """Return whether a file holds any of some ids; only its ids are read.

    Raises:
        StoreError: the file cannot be read, or is not one of evalkit's.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(file, columns=["id"], partitioning=None)
        return bool(np.isin(_array(table, "id"), ids).any())
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise _damaged(file, error) from error


def read_observations(file: Path) -> Observations:
    """Read a file.

    Raises:
        StoreError: the file cannot be read, or is not one of evalkit's.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(file, partitioning=None)
        record = json.loads((table.schema.metadata or {})[_META])
        if record["format"] != _FORMAT:
            raise ValueError(f"format {record['format']}, this evalkit reads {_FORMAT}")
        names = table.column_names
        return Observations(
            batch=int(record["batch"]),
            day=day_of(file.parent.name.removeprefix("day=")),
            ids=_array(table, "id"),
            units=_array(table, "unit"),
            at=table["at"].cast(pa.int64()).to_numpy(),
            pi=_array(table, "pi"),
            drawn=_array(table, "drawn"),
            cohorts={name.removeprefix(_COHORT): table[name].to_pylist() for name in names if name.startswith(_COHORT)},
            metrics={name.removeprefix(_METRIC): _array(table, name) for name in names if name.startswith(_METRIC)},
            facts=[MetricFacts(**each) for each in record["facts"]],
        )
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> StoreError:
    what = f"{file}: not a file of observations, or damaged ({type(error).__name__})"
    return StoreError(f"{what}; restore it from a copy: it is written once and never changed")


# Arrays are made of their buffers, because `pyarrow.array` imports pandas.


def _column(kind: Any, values: NDArray[Any]) -> Any:
    import pyarrow as pa

    known = ~np.isnan(values) if values.dtype == np.float64 else None
    bits = None if known is None or known.all() else _bits(known)
    return pa.Array.from_buffers(kind, len(values), [bits, pa.py_buffer(np.ascontiguousarray(values))])


def _labels(values: Sequence[str]) -> Any:
    import pyarrow as pa

    codes = {value: code for code, value in enumerate(dict.fromkeys(values))}
    texts = [value.encode("utf-8", "replace") for value in codes]
    ends = np.cumsum([0, *map(len, texts)]).astype(np.int32)
    names = pa.StringArray.from_buffers(len(texts), pa.py_buffer(ends), pa.py_buffer(b"".join(texts)))
    own = np.fromiter(map(codes.__getitem__, values), np.int32, len(values))
    return pa.DictionaryArray.from_arrays(_column(pa.int32(), own), names)


def _bits(known: NDArray[np.bool_]) -> Any:
    import pyarrow as pa

    return pa.py_buffer(np.packbits(known, bitorder="little").tobytes())


def _array(table: Any, name: str) -> Any:
    column = table[name]
    if not column.null_count:
        return column.to_numpy()
    import pyarrow.compute as pc

    return pc.fill_null(column, float("nan")).to_numpy()
