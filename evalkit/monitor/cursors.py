"""Remember how far a growing log was read, and tell rotation from truncation."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
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


class Cursors:
    """The cursors of the files that were read, found by file or by the bytes at its beginning."""

    def __init__(self, known: Iterable[Cursor] = ()) -> None:
        """Begin with the cursors of earlier looks."""
        self._by_name: dict[str, Cursor] = {}
        self._by_head: dict[int, dict[str, set[str]]] = {}  # bytes of the head -> its hash -> names of cursors
        self.seen: set[str] = set()
        """Names of the files that were looked at."""
        for cursor in known:
            self.add(cursor)

    def __iter__(self) -> Iterator[Cursor]:
        """Yield every cursor."""
        return iter(self._by_name.values())

    def __contains__(self, name: str) -> bool:
        """Return whether a file has a cursor."""
        return name in self._by_name

    def add(self, cursor: Cursor) -> None:
        """Set the cursor of a file."""
        old = self._by_name.get(cursor.name)
        if old is not None:
            self._alike(old).discard(old.name)
        self._by_name[cursor.name] = cursor
        self._alike(cursor).add(cursor.name)

    def place_in(self, file: BinaryIO, *, only_whole: bool = False) -> StartingPoint:
        """Find where to go on in an open file.

        The cursor of its inode counts if the bytes that were read are still there: by the hashes of the first and the
        last 4 KiB before it. If they are not, the file was truncated, and is read from the beginning. The cursor of
        another inode counts if the same bytes are in this file: a copy, as `copytruncate` of logrotate makes.

        Args:
            file: The file.
            only_whole: Whether cursors before its end do not count, because it never grows.
        """
        found = os.fstat(file.fileno())
        name = _name(found)
        self.seen.add(name)
        own = self._by_name.get(name)
        if only_whole and own is not None and own.offset != found.st_size:
            own = None
        if own is not None and own.offset == 0:
            return StartingPoint(0, 0, "grown")
        if own is not None and own.offset <= found.st_size and _fits(file, own):
            return StartingPoint(own.offset, own.lines, "grown")
        least = found.st_size if only_whole else 1
        for cursor in sorted(self._begun_alike(file), key=lambda each: -each.offset):
            if cursor is not own and least <= cursor.offset <= found.st_size and _fits(file, cursor):
                return StartingPoint(cursor.offset, cursor.lines, "moved")
        return StartingPoint(0, 0, "new" if own is None else "truncated")

    def was_read(self, head: bytes, size: int) -> bool:
        """Return whether a log was read to its end before it was packed.

        Args:
            head: Its first bytes unpacked, up to `HEAD_BYTES`.
            size: Its bytes unpacked, modulo 2^32.
        """
        names = self._by_head.get(len(head), {}).get(_hash(head), ())
        return bool(head) and any(self._by_name[name].offset % (1 << 32) == size for name in names)

    def _alike(self, cursor: Cursor) -> set[str]:
        return self._by_head.setdefault(min(cursor.offset, HEAD_BYTES), {}).setdefault(cursor.head, set())

    def _begun_alike(self, file: BinaryIO) -> Iterator[Cursor]:
        """Yield the cursors of files with the same beginning."""
        head = os.pread(file.fileno(), HEAD_BYTES, 0)
        for size, by_hash in self._by_head.items():
            if 0 < size <= len(head):
                yield from (self._by_name[name] for name in by_hash.get(_hash(head[:size]), ()))


def cursor_at(file: BinaryIO, offset: int, lines: int) -> Cursor:
    """Return the cursor of an open file of which `offset` bytes were read."""
    found = os.fstat(file.fileno())
    head, tail = _ends(file, offset)
    return Cursor(found.st_dev, found.st_ino, offset, lines, head, tail)


def _fits(file: BinaryIO, cursor: Cursor) -> bool:
    return _ends(file, cursor.offset) == (cursor.head, cursor.tail)


def _ends(file: BinaryIO, offset: int) -> tuple[str, str]:
    fd = file.fileno()
    start = max(0, offset - HEAD_BYTES)
    return _hash(os.pread(fd, min(offset, HEAD_BYTES), 0)), _hash(os.pread(fd, offset - start, start))


def _name(found: os.stat_result) -> str:
    return f"{found.st_dev}:{found.st_ino}"


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def is_log(name: str) -> bool:
    """Return whether a file in a log folder is a log: not hidden, temporary, packed or a database."""
    return not name.startswith(".") and Path(name).suffix not in PACKED | {".tmp", ".sqlite"}


PACKED = {".gz", ".zst", ".bz2", ".xz", ".zip"}
"""Endings of packed files, which cannot grow."""
