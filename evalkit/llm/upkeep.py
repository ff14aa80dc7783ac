"""What the file of kept replies holds, and taking the oldest of them out."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from evalkit.errors import InputError, Problem, StoreError
from evalkit.llm.cache import connect, in_use

_MODEL = "CASE WHEN json_valid(reply) THEN coalesce(json_extract(reply, '$.model'), '') ELSE '' END"
_SIZE = "length(CAST(reply AS BLOB)) + length(key) + length(sum)"
_BY_MODEL = f"""
    SELECT {_MODEL}, count(*), sum({_SIZE}), min(kept_at), max(kept_at) FROM replies GROUP BY 1 ORDER BY 2 DESC, 1
"""  # noqa: S608 - made of our own words only
_BEYOND = f"""
    DELETE FROM replies WHERE key IN (
        SELECT key FROM (SELECT key, sum({_SIZE}) OVER (ORDER BY kept_at DESC, key) AS filled FROM replies)
        WHERE filled > ?
    )
"""  # noqa: S608 - made of our own words only


@dataclass(frozen=True)
class Kept:
    """Replies of one model."""

    model: str
    """Empty where the reply does not say."""
    n_replies: int
    n_bytes: int
    oldest: float
    """Seconds since the epoch."""
    newest: float


@dataclass(frozen=True)
class Contents:
    """What a file of kept replies holds."""

    n_bytes: int
    """On the disk."""
    models: tuple[Kept, ...]

    @property
    def n_replies(self) -> int:
        """Replies of all models."""
        return sum(each.n_replies for each in self.models)


def contents(file: Path) -> Contents:
    """Count what is kept; nothing where there is no file.

    Raises:
        InputError: it is no file of kept replies.
    """
    if not file.is_file():
        return Contents(0, ())
    with _opened(file) as db:
        models = tuple(Kept(*row) for row in db.execute(_BY_MODEL))
    return Contents(_on_disk(file), models)


def prune(file: Path, *, before: float | None = None, max_bytes: int | None = None) -> int:
    """Take out the oldest replies, and give their room back to the disk.

    Args:
        file: of kept replies.
        before: seconds since the epoch; what was kept earlier goes.
        max_bytes: of replies that may stay; the oldest of the others go.

    Returns:
        Replies that were taken out.

    Raises:
        InputError: it is no file of kept replies, or a run is using it.
        StoreError: the disk refuses.
    """
    if not file.is_file():
        return 0
    with in_use(file, alone=True) as free:
        if not free:
            raise InputError(Problem(str(file), "a run is using it", "wait for it to end"))
        with _opened(file) as db:
            gone = 0
            if before is not None:
                gone += db.execute("DELETE FROM replies WHERE kept_at < ?", (before,)).rowcount
            if max_bytes is not None:
                gone += db.execute(_BEYOND, (max_bytes,)).rowcount
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return gone


@contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(connect(file)) as db:
            yield db
    except sqlite3.OperationalError as error:
        raise StoreError(f"{file}: {error}; close what holds it, or free the disk") from None
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        what = f"no file of kept replies: {error}"
        raise InputError(Problem(str(file), what, "remove it; the next run begins a new one")) from None


def _on_disk(file: Path) -> int:
    """Bytes of the database and of what it has not folded in yet."""
    parts = (file, file.with_name(f"{file.name}-wal"))
    return sum(os.stat(part).st_size for part in parts if part.exists())
