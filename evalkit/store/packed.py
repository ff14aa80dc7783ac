"""Packed journals, unpacked while they are read: a baseline is data of whoever proposed it, and may be a bomb."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from evalkit.errors import InputError, Problem
from evalkit.paths import shown_path

SMALL_BYTES = 64 << 20
"""So much may always be unpacked, however small the file is."""
MAX_RATIO = 400
"""And so many times the file: real baselines have 8, those whose every row repeats one long context 230."""
MAX_LINE_BYTES = 64 << 20
"""An answer of 10 MB, each byte of it escaped, fits."""
_PIECE_BYTES = 1 << 16
_MEND = "name the folder of a run of your own, whose rows are not packed"


def unpacked_limit(packed_bytes: int) -> int:
    """How many bytes a file of so many may unpack to."""
    return max(SMALL_BYTES, MAX_RATIO * packed_bytes)


def open_packed(path: Path) -> BinaryIO:
    """The bytes of a packed journal.

    Raises:
        InputError: while reading, where it is cut or foreign, has a line beyond any row, or unpacks without end.
    """
    return io.BufferedReader(_Unpacked(path), _PIECE_BYTES)


class _Unpacked(io.RawIOBase):
    """Counts bytes and lines as they come out."""

    def __init__(self, path: Path) -> None:
        self._file = gzip.open(path, "rb")
        self._place = shown_path(path)
        self._packed_bytes = path.stat().st_size
        self._left = unpacked_limit(self._packed_bytes)
        self._line, self._line_bytes = 1, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, and count what went in."""
        try:
            piece = self._file.read1(len(buffer))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(Problem(self._place, f"is cut or foreign ({error})", _MEND)) from None
        self._count(piece)
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        """Close the file as well."""
        self._file.close()
        super().close()

    def _count(self, piece: bytes) -> None:
        self._left -= len(piece)
        if self._left < 0:
            what = f"unpacks to more than {MAX_RATIO} times its {self._packed_bytes} bytes"
            raise InputError(Problem(self._place, what, _MEND))
        end = piece.rfind(b"\n")
        self._line += piece.count(b"\n")
        self._line_bytes = len(piece) - end - 1 + (self._line_bytes if end < 0 else 0)
        if self._line_bytes > MAX_LINE_BYTES:
            what = f"a line longer than {MAX_LINE_BYTES >> 20} MiB"
            raise InputError(Problem(f"{self._place}:{self._line}", what, _MEND))
