"""Read whole lines of growing logs in blocks, each with the cursor that follows it."""

from __future__ import annotations

import codecs
import gzip
import os
import shlex
import stat
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from evalkit.disk.files import MAX_LINE_BYTES, Unfit, open_file
from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem
from evalkit.monitor.cursors import HEAD_BYTES, PACKED, Cursor, Cursors, cursor_at, is_log

BLOCK_BYTES = 4 << 20
STDIN = "-"
_PIECE_BYTES = 1 << 20
_UNPACK = {".gz": "gzip -dc", ".zst": "zstd -dc", ".bz2": "bzip2 -dc", ".xz": "xz -dc", ".zip": "unzip -p"}


@dataclass(frozen=True, slots=True)
class LogBlock:
    """Some whole lines of one log.

    Attributes:
        shown: The log in messages.
        first: Number of the first line, from 1.
        lines: Without their line feeds.
        start: Byte at which the first line begins, after a byte order mark.
        end: Byte after the last line.
        cursor: Cursor after the last line; `None` for standard input, which has none.
    """

    shown: str
    first: int
    lines: Sequence[bytes]
    start: int
    end: int
    cursor: Cursor | None


@dataclass(frozen=True, slots=True)
class LogNote:
    """Something about a log that is not an error: a rotation, or a line that is not yet whole."""

    place: str
    what: str


class UnreadableLog(InputError):
    """A log that cannot be read; other logs of the same look can."""


def log_paths(given: Iterable[str], take: str) -> list[Path]:
    """Return the files that are named, and those of folders that are; `-` is left out.

    Files of a folder are ordered by the time of their last change, so that rotated ones come first.

    Args:
        given: Names of files and folders.
        take: Command that takes standard input, for the fix of an error.

    Raises:
        InputError: reports every path that cannot be read.
    """
    problems: list[Problem] = []
    found: dict[Path, None] = {}
    for name in given:
        path = Path(name)
        if name == STDIN:
            continue
        if path.is_dir():
            try:
                found |= dict.fromkeys(_of_folder(path))
            except OSError as error:
                problems.append(Problem(name, f"cannot be read: {error.strerror}", "check its permissions"))
        elif not path.exists():
            problems.append(Problem(name, "no such file or folder", "check the path"))
        elif path.suffix in PACKED:
            problems.append(Problem(name, "a packed file", f"unpack it: `{_unpacked(path, take)}`"))
        else:
            found[path] = None
    if problems:
        raise InputError(problems)
    return list(found)


def _of_folder(folder: Path) -> list[Path]:
    known = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):  # a broken link, or a file that was rotated away meanwhile
                if is_log(entry.name) and stat.S_ISREG(entry.stat().st_mode):
                    known.append((entry.stat().st_mtime_ns, entry.name))
    return [folder / name for _, name in sorted(known)]


def skipped_logs(given: Iterable[str], cursors: Cursors, take: str) -> Iterator[LogNote]:
    """Yield what the folders hold that is not read: packed files with unread lines, subfolders, pipes, broken links.

    Args:
        given: Files and folders, as in `log_paths`.
        cursors: Of the files that were read.
        take: Command that takes standard input, as in `log_paths`.

    Raises:
        InputError: a folder cannot be read.
    """
    for folder in dict.fromkeys(Path(name) for name in given if name != STDIN):
        if not folder.is_dir():
            continue
        try:
            inside = sorted(each for each in folder.iterdir() if not each.name.startswith("."))
        except OSError as error:
            raise InputError(
                Problem(str(folder), f"cannot be read: {error.strerror}", "check its permissions")
            ) from None
        if not any(is_log(each.name) and each.is_file() for each in inside):
            yield LogNote(shown_path(folder), "a folder without a log: check the path")
        for each in inside:
            if each.is_dir():
                yield LogNote(shown_path(each), "a folder inside a folder is not read: name it too")
            elif is_log(each.name) and not each.is_file():
                what = "a link that leads nowhere" if each.is_symlink() and not each.exists() else "not a regular file"
                yield LogNote(shown_path(each), f"{what}: it is not read")
            elif each.suffix in PACKED and not _was_read(each, cursors):
                what = f"packed, with lines that were not read: run `{_unpacked(each, take)}`"
                yield LogNote(shown_path(each), what)


def _was_read(packed: Path, cursors: Cursors) -> bool:
    """Return whether a file was read to its end before it was packed; only gzip says how long it was."""
    if packed.suffix != ".gz":
        return False
    try:
        with gzip.open(packed) as file:
            head = file.read(HEAD_BYTES)
        with packed.open("rb") as file:
            file.seek(-4, os.SEEK_END)
            size = int.from_bytes(file.read(4), "little")
    except (OSError, EOFError, zlib.error):
        return False
    return cursors.was_read(head, size)


def _unpacked(packed: Path, take: str) -> str:
    """Return the command that takes a packed file."""
    return f"{_UNPACK[packed.suffix]} {shlex.quote(shown_path(packed))} | {take}"


def read_log(path: Path, cursors: Cursors, notes: list[LogNote]) -> Iterator[LogBlock]:
    """Yield the new whole lines of a file.

    Args:
        path: The file.
        cursors: Of the files that were read.
        notes: Gets what is worth a word about the file.

    Raises:
        UnreadableLog: the file cannot be read.
        InputError: it is no file, or a line is too long.
    """
    shown = shown_path(path)
    try:
        with open_file(path) as file:
            yield from _new_lines(file, shown, cursors, notes)
    except Unfit as error:
        raise InputError(Problem(shown, str(error.strerror), "name a log with one call a line")) from None
    except FileNotFoundError:
        return  # rotated away since the folder was listed; it is read under its new name
    except OSError as error:
        raise UnreadableLog(Problem(shown, f"cannot be read: {error.strerror}", "check its permissions")) from None


def _new_lines(file: BinaryIO, shown: str, cursors: Cursors, notes: list[LogNote]) -> Iterator[LogBlock]:
    place = cursors.place_in(file)
    if place.begin == "truncated":
        notes.append(LogNote(shown, "truncated or replaced since it was read: it is read from the beginning"))
    elif place.begin == "moved":
        notes.append(LogNote(f"{shown}:{place.lines + 1}", "a copy of a log that was read up to here"))
        end = cursor_at(file, place.offset, place.lines)
        yield LogBlock(shown, place.lines + 1, (), place.offset, place.offset, end)
    size = os.fstat(file.fileno()).st_size
    file.seek(place.offset)
    read = _limited(file, size - place.offset)
    at, line = place.offset, place.lines + 1
    for block in _blocks(read, shown, line, at, notes, is_whole=False):
        at, line = block.end, block.first + len(block.lines)
        yield replace(block, cursor=cursor_at(file, at, line - 1))


def cursor_in(path: Path, like: Cursor, offset: int, lines: int, taken: Iterable[str]) -> Cursor | None:
    """Return a cursor at an earlier line of a file; `None` if the path no longer leads to it.

    Args:
        path: The file.
        like: Another cursor of it.
        offset: Byte at which the line begins.
        lines: Lines before it.
        taken: Traces after it that were taken.
    """
    try:
        with open_file(path) as file:
            found = cursor_at(file, offset, lines)
    except OSError:
        return None
    return replace(found, taken=tuple(sorted(taken))) if found.name == like.name else None


def read_stream(stream: BinaryIO, notes: list[LogNote]) -> Iterator[LogBlock]:
    """Yield the lines of standard input, the last one also without a line feed."""
    pieces = iter(lambda: stream.read(_PIECE_BYTES), b"")
    yield from _blocks(pieces, "<stdin>", 1, 0, notes, is_whole=True)


def _limited(file: BinaryIO, n_bytes: int) -> Iterator[bytes]:
    while n_bytes > 0 and (piece := file.read(min(_PIECE_BYTES, n_bytes))):
        n_bytes -= len(piece)
        yield piece


def _blocks(
    pieces: Iterator[bytes], shown: str, line: int, at: int, notes: list[LogNote], *, is_whole: bool
) -> Iterator[LogBlock]:
    """Cut pieces into blocks of whole lines.

    Raises:
        InputError: a line is too long.
    """
    kept: list[bytes] = []
    size = 0
    for piece in pieces:
        kept.append(piece)
        size += len(piece)
        if size < BLOCK_BYTES or b"\n" not in piece:
            if size > MAX_LINE_BYTES + BLOCK_BYTES:
                what = f"a line longer than {MAX_LINE_BYTES >> 20} MiB"
                raise InputError(Problem(f"{shown}:{line}", what, "pass a log with one call a line"))
            continue
        data = b"".join(kept)
        end = data.rfind(b"\n") + 1
        block = _block(shown, line, at, data[:end])
        kept, size = [data[end:]], len(data) - end
        at, line = at + end, line + len(block.lines)
        yield block
    data = b"".join(kept)
    if is_whole and data and not data.endswith(b"\n"):
        data += b"\n"
    end = data.rfind(b"\n") + 1
    if end:
        block = _block(shown, line, at, data[:end])
        line += len(block.lines)
        yield block
    if len(data) > end:
        notes.append(LogNote(f"{shown}:{line}", "the last line has no line feed yet: it is read once it has one"))


def _block(shown: str, line: int, at: int, data: bytes) -> LogBlock:
    lines, start = data.split(b"\n"), at
    del lines[-1]
    if line == 1 and lines[0].startswith(codecs.BOM_UTF8):
        lines[0], start = lines[0].removeprefix(codecs.BOM_UTF8), at + len(codecs.BOM_UTF8)
    return LogBlock(shown, line, lines, start, at + len(data), None)
