"""Open text files of any encoding as UTF-8."""

from __future__ import annotations

import codecs
import io
from pathlib import Path
from typing import BinaryIO

from evalkit.disk.files import LONG_BLOCK, open_file, open_packed

MAX_LINE_BYTES = 8 << 20
_LONGEST = 2 * MAX_LINE_BYTES
"""Maximum length of a line that is read, so that longer ones can be reported with their number."""
_BLOCK = 1 << 16
_HEAD_BYTES = 6
UTF8_MARK = codecs.BOM_UTF8
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks; a longer one is looked for first."""


_KINDS = {
    b"PK\x03\x04": ("a packed file, such as a workbook", "name it .xlsx if it is one"),
    b"\x1f\x8b": ("packed with gzip", "name it with .gz at the end"),
    b"PAR1": ("a Parquet file", "name it .parquet"),
    b"ARROW1": ("an Arrow file", "name it .arrow"),
    b"\xd0\xcf\x11\xe0": ("a file of an old Excel", "save it as .xlsx or as CSV UTF-8"),
}
"""First bytes of files that are not text, with the kind of file and the fix."""


class OtherKind(ValueError):
    """Raised for a file that is not text: `what`, and `fix`."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.fix = fix


class Undecodable(ValueError):
    """Raised while reading bytes that are invalid in the declared encoding."""

    def __init__(self, line: int, encoding: str, why: str) -> None:
        super().__init__(f"not {encoding} ({why})")
        self.line = line


def open_text(path: Path, encoding: str | None = None, *, max_line_bytes: int = _LONGEST) -> BinaryIO:
    """Open a text file, `.gz` included, as bytes in UTF-8 without a byte order mark.

    UTF-16 and UTF-32 are recognised by their byte order mark. Without one, the bytes are returned unchanged unless
    `encoding` is given; nothing is guessed.

    Raises:
        OSError: it cannot be opened.
        OtherKind: it is not text.
        Undecodable: while reading.
    """
    file = _open(path, max_line_bytes)
    head = file.peek(_HEAD_BYTES)[:_HEAD_BYTES]  # type: ignore[attr-defined]
    if kind := next((kind for first, kind in _KINDS.items() if head.startswith(first)), None):
        file.close()
        raise OtherKind(*kind)
    if head.startswith(UTF8_MARK):
        file.read(len(UTF8_MARK))
        return file
    found = next((name for mark, name in _MARKS.items() if head.startswith(mark)), None) or encoding
    if found is None or codecs.lookup(found).name == "utf-8":
        return file
    return io.BufferedReader(_Recoded(file, found), _BLOCK)


def is_unmarked_utf16(head: bytes) -> bool:
    """Return whether a text begins like UTF-16 without a byte order mark."""
    zeros = [not byte for byte in head[:4]]
    return zeros in ([False, True, False, True], [True, False, True, False])


def _open(path: Path, max_line_bytes: int) -> BinaryIO:
    if path.suffix == ".gz":
        return open_packed(path, "pack it again with gzip, or keep it unpacked", max_line_bytes=max_line_bytes)
    return open_file(path, max_line_bytes=max_line_bytes, block_bytes=LONG_BLOCK)


class _Recoded(io.RawIOBase):
    """Decode the bytes of a file, and encode them in UTF-8."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file, self._encoding = file, encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._ready = b""
        self._line = 1
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        """Fill a buffer."""
        while not self._ready and not self._ended:
            self._fill()
        view = memoryview(buffer)  # type: ignore[arg-type]
        size = min(len(view), len(self._ready))
        view[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _fill(self) -> None:
        piece = self._file.read(_BLOCK)
        self._ended = not piece
        try:
            text = self._decoder.decode(piece, final=self._ended)
            self._ready = text.encode("utf-8")
        except UnicodeError as error:
            before = error.object[: error.start] if isinstance(error, UnicodeDecodeError) else b""
            line = self._line + before.decode(self._encoding, "ignore").count("\n")
            raise Undecodable(line, self._encoding, getattr(error, "reason", "")) from None
        self._line += text.count("\n")

    def close(self) -> None:
        """Close the underlying file too."""
        self._file.close()
        super().close()
