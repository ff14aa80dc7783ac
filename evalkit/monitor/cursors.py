"""Remember how far a growing log was read, and tell rotation from truncation."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Literal

HEAD_BYTES = 4096
"""Bytes at the beginning of a file, and before the cursor, that identify it."""
Begin = Literal["new", "grown", "moved", "truncated"]


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far one file was read.

    Attributes:
        device: Number of its disk.
        inode: Number of the file on it, which a rename keeps.
        offset: Bytes read, up to the end of a line; rows, for Parquet.
        lines: Lines read.
        head: Hash of the first bytes, at most 4 KiB, of those read.
        tail: Hash of the last bytes read, at most 4 KiB.
        taken: Traces after the offset that were taken, by their ids: some of their lines also hold traces that were not
            complete.
    """

    device: int
    inode: int
    offset: int
    lines: int
    head: str
    tail: str
    taken: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Key of the cursor."""
        return f"{self.device}:{self.inode}"

    def encoded(self) -> str:
        """Encode the cursor as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def decoded(cls, text: str) -> Cursor:
        """Decode `encoded`."""
        record = json.loads(text)
        return cls(**{**record, "taken": tuple(record["taken"])})


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """Where to begin in a file.

    Attributes:
        offset: Bytes to skip.
        lines: Lines to skip.
        begin: `new`; `grown` since it was read, or not; `moved`: it was read elsewhere (a rename keeps the inode, so
            this is a copy); `truncated`: it was read before and begins anew.
    """

    offset: int
    lines: int
    begin: Begin


def place_in(file: BinaryIO, cursors: Iterable[Cursor]) -> StartingPoint:
    """Find where to go on in an open file.

    The cursor of its inode counts if the bytes that were read are still there: by the hashes of the first and the last
    4 KiB before it. If they are not, the file was truncated, and is read from the beginning. The cursor of another
    inode counts if the same bytes are in this file: a copy, as `copytruncate` of logrotate makes.
    """
    found = os.fstat(file.fileno())
    own, others = None, []
    for cursor in cursors:
        if (cursor.device, cursor.inode) == (found.st_dev, found.st_ino):
            own = cursor
        elif cursor.offset <= found.st_size:
            others.append(cursor)
    if own is not None and own.offset == 0:
        return StartingPoint(0, 0, "grown")
    if own is not None and own.offset <= found.st_size and _fits(file, own):
        return StartingPoint(own.offset, own.lines, "grown")
    for cursor in sorted(others, key=lambda each: -each.offset):
        if cursor.offset and _fits(file, cursor):
            return StartingPoint(cursor.offset, cursor.lines, "moved")
    return StartingPoint(0, 0, "new" if own is None else "truncated")


def cursor_at(file: BinaryIO, offset: int, lines: int) -> Cursor:
    """Return the cursor of an open file of which `offset` bytes were read."""
    found = os.fstat(file.fileno())
    head, tail = _ends(file, offset)
    return Cursor(found.st_dev, found.st_ino, offset, lines, head, tail)


def is_whole(head: bytes, size: int, cursors: Iterable[Cursor]) -> bool:
    """Return whether a log was read to its end before it was packed.

    Args:
        head: Its first bytes unpacked, up to `HEAD_BYTES`.
        size: Its bytes unpacked, modulo 2^32.
        cursors: Of the files that were read.
    """
    return any(
        each.offset and each.offset % (1 << 32) == size and each.head == _hash(head[: each.offset]) for each in cursors
    )


def _fits(file: BinaryIO, cursor: Cursor) -> bool:
    return _ends(file, cursor.offset) == (cursor.head, cursor.tail)


def _ends(file: BinaryIO, offset: int) -> tuple[str, str]:
    fd = file.fileno()
    start = max(0, offset - HEAD_BYTES)
    return _hash(os.pread(fd, min(offset, HEAD_BYTES), 0)), _hash(os.pread(fd, offset - start, start))


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def is_log(name: str) -> bool:
    """Return whether a file in a log folder is a log: not hidden, temporary, packed or a database."""
    return not name.startswith(".") and Path(name).suffix not in PACKED | {".tmp", ".sqlite"}


PACKED = {".gz", ".zst", ".bz2", ".xz", ".zip"}
"""Endings of packed files, which cannot grow."""
