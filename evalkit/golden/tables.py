"""Read Parquet and Arrow files, and hub data sets through `datasets`.

Values have the types that the file declares. Nothing is inferred, so "007", "2024-01-01" and "NA" stay text.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from evalkit.disk.files import MAX_RATIO, unpacked_limit
from evalkit.disk.writing import drafted
from evalkit.errors import InputError, Problem
from evalkit.golden.header import RawTable
from evalkit.golden.json_lines import MAX_COLUMNS, RawRow, Unreadable
from evalkit.golden.names import KNOWN_FIELDS
from evalkit.golden.source import GoldenSource
from evalkit.text.escaping import cut

_BATCH_ROWS = 1_000
"""Number of rows held at a time."""
_MOST_ROWS = 100_000_000
MAX_FETCHED_BYTES = 2_000_000_000
"""Size limit of a remote file, counted after decompression."""
_PIECE_BYTES = 1 << 20
_NAME_CHARS = 60
"""Suffix of a file's name in the cache, which shows its kind."""
_ARROW_FILE = b"ARROW1"
_SCALARS = (str, int, float, bool)


def read_table(source: GoldenSource, file: Path | None, table: RawTable) -> Iterator[RawRow]:
    """Yield the rows of a Parquet or Arrow file, or of a hub data set; the row number serves as line number.

    Raises:
        InputError: the file or the data set cannot be opened.
    """
    shown = table.shown
    rows = _hub_rows(source, shown) if file is None else _whole(_file_rows(file, table), file, shown)
    for number, row in enumerate(rows, 1):
        kept = {name: _plain(value) for name, value in row.items()}
        if type(kept.get("id")) is int:
            kept["id"] = str(kept["id"])
        yield number, kept


@functools.cache
def fetch(url: str, shown: str) -> Path:
    """Fetch a remote file into the cache of `datasets`, unless it has this version; its suffix gives its format.

    The server identifies versions by `ETag` or `Last-Modified`. Without these, each process fetches the file.

    Raises:
        InputError: it cannot be fetched, or has more than `MAX_FETCHED_BYTES`.
    """
    from urllib.parse import urlsplit

    _quiet()
    import datasets
    import fsspec

    folder = Path(datasets.config.DOWNLOADED_DATASETS_PATH)
    try:
        remote, path = fsspec.url_to_fs(url, client_kwargs={"trust_env": True})  # proxies of the environment
        facts = remote.info(path)
        _refuse_above_limit(facts["size"] or 0, shown)
        version = facts.get("ETag") or facts.get("Last-Modified") or ""
        name = (
            f"{hashlib.sha256(f'{url} {version}'.encode()).hexdigest()}.{Path(urlsplit(url).path).name[-_NAME_CHARS:]}"
        )
        if version and (folder / name).is_file():
            return folder / name
        folder.mkdir(parents=True, exist_ok=True)
        with drafted(folder / name) as draft, remote.open(path, "rb", block_size=0) as body:
            while piece := body.read(_PIECE_BYTES):
                draft.write(piece)
                _refuse_above_limit(draft.tell(), shown)
    except InputError:
        raise
    except Exception as error:
        # For any exception of the client, the user can only fix the address.
        what = f"cannot be fetched: {type(error).__name__}: {_first_line(error)}"
        raise InputError(Problem(shown, what, "check the address and the connection")) from None
    return folder / name


def _refuse_above_limit(n_bytes: int, shown: str) -> None:
    if n_bytes > MAX_FETCHED_BYTES:
        what = f"not fetched: more than {MAX_FETCHED_BYTES:,} bytes"
        raise InputError(Problem(shown, what, "name a smaller file, or download it and write `path` for it"))


def _quiet() -> None:
    # The client sends usage figures by default; evalkit requests only the data set itself.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def _file_rows(file: Path, table: RawTable) -> Iterator[Mapping[str, Any]]:
    try:
        if file.suffix.lower() == ".parquet":
            batches = _parquet_batches(file) if _checked_parquet(file, table.shown) else iter(())
        else:
            batches = _arrow_batches(file)
    except (OSError, ValueError) as error:
        raise _unreadable(error, file, table.shown) from None
    kept: list[int] | None = None
    for batch in batches:
        kept = _named_once(batch.schema.names, table) if kept is None else kept
        yield from batch.select(kept).to_pylist()


def _named_once(names: Sequence[str], table: RawTable) -> list[int]:
    """Return the positions of the columns whose name no other column has.

    Raises:
        InputError: two columns have the name of a field.
    """
    counts = Counter(names)
    for name in (name for name, n in counts.items() if n > 1):
        if name in KNOWN_FIELDS:
            what = f"{counts[name]} columns are called {name!r}"
            raise InputError(Problem(table.shown, what, "name each column once"))
        table.leave_out(name, 1, f"{counts[name]} columns have its name", "give it a name of its own")
    return [at for at, name in enumerate(names) if counts[name] == 1]


def _parquet_batches(file: Path) -> Iterator[Any]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(file) as table:
        yield from table.iter_batches(batch_size=_BATCH_ROWS)


def _arrow_batches(file: Path) -> Iterator[Any]:
    """Yield the batches of an Arrow stream, or of an Arrow file with random access (Feather)."""
    import pyarrow

    with pyarrow.memory_map(str(file)) as mapped:
        if mapped.read(len(_ARROW_FILE)) == _ARROW_FILE:
            reader = pyarrow.ipc.open_file(mapped)
            batches = (reader.get_batch(at) for at in range(reader.num_record_batches))
        else:
            mapped.seek(0)
            batches = iter(pyarrow.ipc.open_stream(mapped))
        for batch in batches:
            for start in range(0, batch.num_rows, _BATCH_ROWS):
                yield batch.slice(start, _BATCH_ROWS)


def _whole(rows: Iterator[Mapping[str, Any]], file: Path, shown: str) -> Iterator[Mapping[str, Any]]:
    """Yield the rows; a page may be damaged even if the file's header is valid."""
    try:
        yield from rows
    except (OSError, ValueError) as error:
        raise _unreadable(error, file, shown) from None


def _unreadable(error: Exception, file: Path, shown: str) -> InputError:
    what = f"cannot be read as {file.suffix[1:]}: {_first_line(error)}"
    return InputError(Problem(shown, what, "write it again with pandas or `datasets`"))


def _checked_parquet(file: Path, shown: str) -> int:
    """Check a Parquet file and return its number of rows.

    Raises:
        InputError: the file has more columns or rows than any golden set, or unpacks to a multiple of its size.
    """
    import pyarrow.parquet

    facts = pyarrow.parquet.read_metadata(file)
    packed = file.stat().st_size
    unpacked = sum(facts.row_group(at).total_byte_size for at in range(facts.num_row_groups))
    what = ""
    if facts.num_columns > MAX_COLUMNS:
        what = f"{facts.num_columns:,} columns, at most {MAX_COLUMNS:,} are read"
    elif facts.num_rows > _MOST_ROWS:
        what = f"{facts.num_rows:,} rows, at most {_MOST_ROWS:,} are read"
    elif unpacked > unpacked_limit(packed):
        what = f"it unpacks to {unpacked:,} bytes, more than {MAX_RATIO} times its {packed:,}"
    if what:
        raise InputError(Problem(shown, what, "write a smaller file, or JSON Lines"))
    return int(facts.num_rows)


def _hub_rows(source: GoldenSource, shown: str) -> Iterator[Mapping[str, Any]]:
    _quiet()
    import datasets

    datasets.disable_progress_bars()
    try:
        return iter(datasets.load_dataset(source.hub, split=source.split, revision=source.revision, streaming=True))
    except Exception as error:
        # For any exception of the hub's client (connection, missing data set, missing split), the fix is the same.
        what = f"the data set cannot be opened: {type(error).__name__}: {_first_line(error)}"
        fix = f"check name, split {source.split!r} and connection, or save it as Parquet and give its `path`"
        raise InputError(Problem(shown, what, fix)) from None


def _plain(value: Any) -> Any:
    """Return plain values: text, numbers, lists and mappings without null values; dates and decimals as text.

    A value that holds any other type is `Unreadable` as a whole. pandas stores a missing value as NaN.
    """
    if isinstance(value, float) and math.isnan(value):
        return None
    try:
        return _converted(value)
    except TypeError as error:
        return Unreadable(str(error))


def _converted(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise TypeError(f"{value} is not a number that JSON can hold")
    if value is None or isinstance(value, _SCALARS):
        return value
    if isinstance(value, list | tuple):
        return [_converted(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _converted(item) for key, item in value.items() if item is not None}
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    raise TypeError(f"a value of type {type(value).__name__}")


def _first_line(error: Exception) -> str:
    return cut((str(error).splitlines() or [""])[0], 200)
