"""Append rows to `rows.jsonl` so that a kill at any moment loses no finished row."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from evalkit.errors import StoreError
from evalkit.formats.rows import decode_row, encode_row
from evalkit.store.chain import Damage, lines_of, note_damage
from evalkit.types import Row

SYNC_INTERVAL_S = 0.1


def read_rows(path: Path, damaged: list[Damage] | None = None) -> Iterator[Row]:
    """Yield intact rows in the order written; torn and altered lines are skipped and added to `damaged`.

    Raises:
        InputError: it is not a journal.
        StoreError: the file cannot be read.
    """
    for number, line in enumerate(lines_of(path), 1):
        row = decode_row(line)
        if row is not None:
            yield row
        elif damaged is not None:
            note_damage(damaged, path, number, line)


class Journal:
    """Append-only file of rows; each is written at once (it survives a kill) and synced about every 100 ms."""

    def __init__(self, path: Path) -> None:
        """Open `path` for appending, cutting off a torn last line."""
        self._path = path
        self._dirty = threading.Event()
        self._closed = threading.Event()
        self._sync_error: OSError | None = None
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            _cut_torn_tail(self._fd)
            self._size = os.fstat(self._fd).st_size
        except OSError as error:
            raise self._failed(error) from error
        self._syncer = threading.Thread(target=self._sync_often, name="journal-sync", daemon=True)
        self._syncer.start()

    def append(self, row: Row) -> None:
        """Write one row.

        Raises:
            StoreError: the row cannot be written; earlier rows are intact and the run can be resumed.
        """
        self.append_line(encode_row(row))

    def append_line(self, line: bytes) -> None:
        """Write one row as it is in another journal.

        Raises:
            StoreError: see `append`.
        """
        if self._sync_error is not None:
            raise self._failed(self._sync_error)
        try:
            _write(self._fd, line)
        except OSError as error:
            raise self._failed(error, len(line)) from error
        self._size += len(line)
        self._dirty.set()

    def sync(self) -> None:
        """Wait until the rows so far are on the disk.

        Raises:
            StoreError: the disk fails.
        """
        try:
            _sync(self._fd)
        except OSError as error:
            raise self._failed(error) from error

    def __enter__(self) -> Self:
        """Enter the journal's context."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Sync and close."""
        self._closed.set()
        self._dirty.set()
        self._syncer.join()
        try:
            _sync(self._fd)
            _refuse_changed(self._fd, self._path, self._size)
        except OSError as failure:
            self._sync_error = self._sync_error or failure
        os.close(self._fd)
        # A sync after a failed one may report success for data that never reached the disk.
        if self._sync_error is not None and error is None:
            raise self._failed(self._sync_error) from self._sync_error

    def _sync_often(self) -> None:
        while not self._closed.is_set():
            self._dirty.wait()
            self._dirty.clear()
            try:
                _sync(self._fd)
            except OSError as error:
                self._sync_error = error
                return
            self._closed.wait(SYNC_INTERVAL_S)

    def _failed(self, error: OSError, n_bytes: int = 0) -> StoreError:
        return StoreError.of(self._path, error, needed=f"{n_bytes} bytes needed" if n_bytes else "")


def _write(fd: int, line: bytes) -> None:
    written = os.write(fd, line)
    while written < len(line):
        written += os.write(fd, line[written:])


def _sync(fd: int) -> None:
    os.fsync(fd)


def _refuse_changed(fd: int, path: Path, size: int) -> None:
    """Raise if the file was deleted, replaced, cut or added to meanwhile."""
    written = os.fstat(fd)
    try:
        found = path.stat()
    except FileNotFoundError:
        found = None
    if found is None or (found.st_dev, found.st_ino) != (written.st_dev, written.st_ino):
        raise OSError(errno.ESTALE, "deleted or replaced while the run wrote to it")
    if written.st_size != size:
        what = f"{written.st_size:,} bytes, but the run wrote {size:,}: something else has written there"
        raise OSError(errno.ESTALE, what)


def _cut_torn_tail(fd: int) -> None:
    """Truncate after the last line feed, so that the next row starts a line."""
    end = size = os.fstat(fd).st_size
    while end > 0:
        start = max(0, end - 65536)
        found = os.pread(fd, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end < size:
        os.ftruncate(fd, end)
