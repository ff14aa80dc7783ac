"""Inspect the cache of replies and remove the oldest entries."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from evalkit.errors import InputError, Problem, StoreError
from evalkit.llm.cache import connect, in_use

# Values are cast, because a damaged row may hold anything.
_REPLY = "CAST(reply AS TEXT)"
_MODEL = (
    f"CASE WHEN json_valid({_REPLY}) THEN CAST(coalesce(json_extract({_REPLY}, '$.model'), '') AS TEXT) ELSE '' END"
)
_SIZE = "coalesce(length(CAST(reply AS BLOB)), 0) + coalesce(length(key), 0) + coalesce(length(sum), 0)"
_KEPT_AT = "CAST(kept_at AS REAL)"
_BEYOND = f"""
    DELETE FROM replies WHERE key IN (
        SELECT key FROM (SELECT key, sum({_SIZE}) OVER (ORDER BY {_KEPT_AT} DESC, key) AS filled FROM replies)
        WHERE filled > ?
    )
"""  # noqa: S608 - made of our own words only
_COLUMNS = {"key", "sum", "reply"}


@dataclass(frozen=True)
class Kept:
    """Cached replies of one model."""

    model: str
    """Name of the model; empty if the reply does not name it."""
    n_replies: int
    n_bytes: int
    oldest: float
    """Seconds since the epoch."""
    newest: float


@dataclass(frozen=True)
class Contents:
    """Contents of a file of cached replies."""

    n_bytes: int
    """Size on disk, in bytes."""
    models: tuple[Kept, ...]

    @property
    def n_replies(self) -> int:
        """Number of replies of all models."""
        return sum(each.n_replies for each in self.models)


def contents(file: Path) -> Contents:
    """Count the cached replies; none if there is no file.

    Raises:
        InputError: it is not a file of cached replies.
    """
    if not _is_there(file):
        return Contents(0, ())
    with _told(file), closing(_reading(file)) as db:
        # The age of replies from an earlier version is unknown, so it is counted from today.
        kept_at = _KEPT_AT if "kept_at" in _columns(file, db) else repr(time.time())
        found = f"SELECT {_MODEL}, count(*), sum({_SIZE}), min({kept_at}), max({kept_at}) FROM replies"  # noqa: S608
        models = tuple(Kept(*row) for row in db.execute(f"{found} GROUP BY 1 ORDER BY 2 DESC, 1"))
    return Contents(_on_disk(file), models)


def prune(file: Path, *, before: float | None = None, max_bytes: int | None = None) -> int:
    """Remove the oldest replies, and free their space on disk.

    Args:
        file: the file of cached replies.
        before: seconds since the epoch; replies stored earlier are removed.
        max_bytes: limit of the size; the oldest replies beyond it are removed.

    Returns:
        Number of replies removed.

    Raises:
        InputError: it is not a file of cached replies, or a run is using it.
        StoreError: the file cannot be written.
    """
    if not _is_there(file):
        return 0
    with _told(file), closing(_reading(file)) as db:
        _columns(file, db)
    with in_use(file, alone=True) as free:
        if not free:
            raise InputError(Problem(str(file), "a run is using it", "wait for it to end"))
        with _told(file), closing(connect(file)) as db:
            gone = 0
            if before is not None:
                gone += db.execute("DELETE FROM replies WHERE CAST(kept_at AS REAL) < ?", (before,)).rowcount
            if max_bytes is not None:
                gone += db.execute(_BEYOND, (max_bytes,)).rowcount
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return gone


def _is_there(file: Path) -> bool:
    """Return whether the database has content; an empty file does not become a database."""
    return file.is_file() and file.stat().st_size > 0


def _reading(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=5)


def _columns(file: Path, db: sqlite3.Connection) -> set[str]:
    """Return the columns of cached replies; another database is rejected before any write."""
    found = {column[1] for column in db.execute("PRAGMA table_info(replies)")}
    if found - {"kept_at"} != _COLUMNS:
        raise InputError(Problem(str(file), "not a file of cached replies: another database", "move it elsewhere"))
    return found


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """Convert errors of SQLite to errors of evalkit."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StoreError(f"{file}: {error}; close what holds it, or free the disk") from None
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        what = f"not a file of cached replies: {error}"
        raise InputError(Problem(str(file), what, "remove it; the next run creates a new one")) from None


def _on_disk(file: Path) -> int:
    """Return the size of the database and its write-ahead log, in bytes."""
    parts = (file, file.with_name(f"{file.name}-wal"))
    return sum(os.stat(part).st_size for part in parts if part.exists())
