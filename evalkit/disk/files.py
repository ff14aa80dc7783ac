"""Open untrusted files: regular files only, with size limits.

Every file that a user, a pull request or a stored run names is opened here. FIFOs and devices are refused
without waiting, reading stops if a file grows without end, packed files unpack to a bounded size, and no line is longer
than a row may be. The limits are checked once for each block that is read, so they add no cost per line.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import stat
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem

MAX_LINE_BYTES = 64 << 20
"""Longest line of a journal, enough for an answer of 10 MB with each byte escaped."""
MAX_GROWTH_BYTES = 64 << 20
"""Maximum growth of a file while it is read; a journal may grow while another process runs."""
MAX_TEXT_BYTES = 16 << 20
"""Size limit of a file that is read as a whole."""
MAX_SEARCHED_BYTES = 1 << 20
"""Size limit of a file of a system that is searched for the names of other files."""
MAX_GIT_TEXT_BYTES = 64 << 20
"""Size limit of a file of the base branch that is held in memory."""
SMALL_BYTES = 64 << 20
"""Size to which any compressed file may unpack."""
MAX_RATIO = 400
"""Maximum ratio of unpacked to packed size; real baselines reach 8, or 230 if rows repeat a context."""
LONG_BLOCK = 1 << 17
_PIECE_BYTES = 1 << 16
_UNLIMITED = 1 << 62
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Unfit(OSError):
    """Raised for a file that evalkit refuses to read regardless of permissions; `strerror` says why."""

    def __init__(self, what: str, path: Path) -> None:
        super().__init__(errno.EINVAL, what, str(path))


def open_file(
    path: Path, *, max_line_bytes: int = MAX_LINE_BYTES, block_bytes: int = io.DEFAULT_BUFFER_SIZE
) -> io.BufferedReader:
    """Open a regular file for reading.

    Args:
        path: the file.
        max_line_bytes: length of the longest line.
        block_bytes: bytes read at a time: `LONG_BLOCK` for whole files, less for single rows.

    Raises:
        Unfit: it is a folder, a pipe, a socket or a device; while reading, if a line is too long or the file grows
            without end.
        OSError: it cannot be opened.
    """
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Unfit("a link that leads back to itself", path) from None
        raise
    if kind != stat.S_IFREG:
        raise _not_regular(kind, path)
    # If a pipe replaced the file meanwhile, do not wait for it.
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        kind = stat.S_IFMT(os.fstat(fd).st_mode)
        if kind != stat.S_IFREG:
            raise _not_regular(kind, path)
        return io.BufferedReader(_Plain(fd, path, max_line_bytes), block_bytes)
    except BaseException:
        os.close(fd)
        raise


def read_file(path: Path, max_bytes: int = MAX_TEXT_BYTES) -> bytes:
    """Read all bytes of a regular file.

    Raises:
        Unfit: it is not a regular file, or longer than `max_bytes`.
        OSError: it cannot be read.
    """
    with open_file(path, max_line_bytes=_UNLIMITED) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        most = f"{max_bytes:,} bytes" if max_bytes % (1 << 20) else f"{max_bytes >> 20} MiB"
        raise Unfit(f"more than {most}", path)
    return data


Stamp = tuple[int, int, int, int]
"""Size, times of the last write and of the last change in nanoseconds, and inode."""


def stamp_of(found: os.stat_result) -> Stamp:
    """Return what differs once a file was written anew, even if its size and the time of the write were kept."""
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 (hex) of a regular file's bytes, in pieces.

    Raises:
        OSError: it cannot be read, or is not a regular file.
    """
    with open_file(path, max_line_bytes=_UNLIMITED) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_packed(path: Path, fix: str, *, max_line_bytes: int = MAX_LINE_BYTES) -> BinaryIO:
    """Open the decompressed bytes of a gzip file.

    Args:
        path: the file.
        fix: fix to suggest if it cannot be unpacked or is too long.
        max_line_bytes: length of the longest line.

    Raises:
        InputError: while reading: it is truncated or not gzip, has a longer line, or unpacks without end.
        OSError: it cannot be opened, or is not a regular file.
    """
    return io.BufferedReader(_Unpacked(path, fix, max_line_bytes), _PIECE_BYTES)


def unpacked_limit(packed_bytes: int) -> int:
    """Return how many bytes a file of a given size may unpack to."""
    return max(SMALL_BYTES, MAX_RATIO * packed_bytes)


def _not_regular(kind: int, path: Path) -> Unfit:
    return Unfit(f"{_KINDS.get(kind, 'something else')}, not a regular file", path)


class _Lines:
    """Check line lengths block by block."""

    def __init__(self, most_bytes: int) -> None:
        self.number, self._bytes, self._most = 1, 0, most_bytes

    def take(self, piece: Any) -> bool:
        """Take a block; return False if the line at its end is too long."""
        data = bytes(piece)
        end = data.rfind(b"\n")
        self.number += data.count(b"\n") if end >= 0 else 0
        self._bytes = len(data) - end - 1 + (self._bytes if end < 0 else 0)
        return self._bytes <= self._most


class _Plain(io.FileIO):
    """An open regular file with its limits."""

    def __init__(self, fd: int, path: Path, max_line_bytes: int) -> None:
        super().__init__(fd, "rb")
        self._path, self._most = path, max_line_bytes
        self._lines = _Lines(max_line_bytes)
        self._end = os.fstat(fd).st_size + MAX_GROWTH_BYTES
        self._left = self._end

    def readinto(self, buffer: Any) -> int | None:
        """Fill a buffer, and check the new bytes."""
        size = super().readinto(buffer)
        if not size:
            return size
        if not self._lines.take(memoryview(buffer)[:size]):
            raise Unfit(f"a line longer than {self._most >> 20} MiB (line {self._lines.number})", self._path)
        self._left -= size
        if self._left < 0 and self.tell() > self._end:  # what was read again after a seek counts once
            raise Unfit(f"it grew by more than {MAX_GROWTH_BYTES >> 20} MiB while it was read", self._path)
        return size

    def readall(self) -> bytes:
        """Read to the end, with the same limits."""
        return b"".join(iter(lambda: self.read(_PIECE_BYTES), b""))

    def read(self, size: int | None = -1) -> bytes:
        """Read at most `size` bytes, with the same limits."""
        if size is None or size < 0:
            return self.readall()
        data = bytearray(size)
        return bytes(data[: self.readinto(data) or 0])


class _Unpacked(io.RawIOBase):
    """Check sizes and line lengths of decompressed bytes."""

    def __init__(self, path: Path, fix: str, max_line_bytes: int) -> None:
        self._packed = open_file(path, max_line_bytes=_UNLIMITED)
        self._file = gzip.GzipFile(fileobj=self._packed, mode="rb")
        self._place, self._fix, self._most = shown_path(path), fix, max_line_bytes
        self._packed_bytes = os.fstat(self._packed.fileno()).st_size
        self._left = unpacked_limit(self._packed_bytes)
        self._lines = _Lines(max_line_bytes)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, and check the new bytes."""
        try:
            piece = self._file.read1(len(buffer))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(Problem(self._place, f"is cut or foreign ({error})", self._fix)) from None
        self._left -= len(piece)
        if self._left < 0:
            what = f"unpacks to more than {MAX_RATIO} times its {self._packed_bytes} bytes"
            raise InputError(Problem(self._place, what, self._fix))
        if not self._lines.take(piece):
            what = f"a line longer than {self._most >> 20} MiB"
            raise InputError(Problem(f"{self._place}:{self._lines.number}", what, self._fix))
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        """Close the underlying file too."""
        self._file.close()
        self._packed.close()
        super().close()
