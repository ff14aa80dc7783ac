"""Store the index of a golden set, so that an unchanged file is checked once.

The file is signed with a key that is not in the project: an index that another machine or a person wrote is not read.
It holds a magic line, the length of a record, the record as JSON, the blocks of the index, and a keyed BLAKE2b hash of
everything before it. Any fault means that the set is read anew.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import struct
import sys
import time
import unicodedata
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO, Protocol, overload

from evalkit import __version__
from evalkit.disk.files import Stamp, open_file, sha256_of, stamp_of
from evalkit.disk.writing import drafted
from evalkit.errors import Problem, StoreError
from evalkit.golden.index import CaseIndex, RowPlaces
from evalkit.golden.survey import Lack

LEAST_BYTES = 1 << 20
"""Size of a golden set from which an index saves time."""
_MAGIC = b"evalkit set 1\n"
_LENGTH = struct.Struct("<Q")
_SIGNED = b"evalkit set 1"
_SUM_BYTES = 32
_PIECE_BYTES = 1 << 16
_N_PIECES = 64
_MOST_RECORD_BYTES = 256 << 20
_SETTLED_NS = 2_000_000_000
"""Nanoseconds after a change from which any further change has another time, as for bytecode."""
_KEPT = 8
"""Number of indexes of a project."""
_ABANDONED_S = 3600.0
_UNLIMITED = 1 << 62


class CaseTally(Protocol):
    """Counts the cases of a set while they are read."""

    @property
    def names(self) -> Sequence[str]:
        """Cohorts by which it counts."""

    def record(self) -> Any:
        """Return the counts as a value of JSON."""

    def restore(self, record: Any) -> None:
        """Take the counts of an earlier reading."""


@dataclass(frozen=True)
class IndexStore:
    """Where the index of a set is stored, and what it depends on besides the file."""

    folder: Path
    parts: str
    """Everything that the meaning and the check of a row depend on."""
    secret: bytes
    """Key that the index is signed with."""
    counts: CaseTally
    problems: Sequence[Problem] = ()
    """Problems found while the cases were counted; if there is one, nothing is stored."""

    @property
    def file(self) -> Path:
        """The file of the index."""
        known = f"{__version__} {sys.version} {sys.byteorder} {unicodedata.unidata_version} {self.parts}"
        return self.folder / f"{hashlib.blake2b(known.encode(), key=self.secret, digest_size=16).hexdigest()}.idx"


@dataclass(frozen=True, kw_only=True)
class CheckedSet:
    """What a check of a set without a problem found."""

    file_sha256: str | None = None
    """SHA-256 of the file's bytes, if it was computed."""
    sha256: str
    n_cases: int
    checks: bool
    cohort_counts: Mapping[str, Mapping[str, int]]
    missing: Mapping[str, Lack]
    warnings: Sequence[Problem]
    waiting: RowPlaces
    """Rows that wait for their reference."""
    index: CaseIndex
    counts: Any = None
    """The counts of a stored check, for `CaseTally.restore`."""


@dataclass(frozen=True)
class FileState:
    """A file before it was read."""

    stamp: Stamp
    settled: bool
    """Whether any later change would show in the stamp."""


def state_of(file: Path) -> FileState | None:
    """Return the state of a golden set that is worth an index; `None` if it is not."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    settled = found.st_ctime_ns + _SETTLED_NS <= time.time_ns()
    return FileState(stamp_of(found), settled) if found.st_size >= LEAST_BYTES else None


def read_index(store: IndexStore, file: Path, shown: str) -> CheckedSet | None:
    """Return what an earlier check found, if the file has not changed since.

    Args:
        store: where the index is.
        file: the golden set.
        shown: its name in messages.
    """
    state = state_of(file)
    if state is None:
        return None
    try:
        with open_file(store.file, max_line_bytes=_UNLIMITED, block_bytes=_PIECE_BYTES) as stored:
            record, start = _signed_record(stored, store.secret)
            if record["name"] != store.file.name or not _is_current(record, file, state):
                return None
            packed = _StoredBlocks(store.file, os.dup(stored.fileno()), start, record["blocks"])
        return _decoded(record, shown, packed)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def write_index(store: IndexStore, file: Path, before: FileState, found: CheckedSet) -> CheckedSet | None:
    """Store an index and return it as it is read from its file; `None` if that is not possible.

    Args:
        store: where to store it.
        file: the golden set.
        before: its state before it was read; a file that has changed since is not indexed.
        found: what the check found.
    """
    if store.problems:
        return None
    packed = found.index.packed
    record: dict[str, Any] = {
        "name": store.file.name,
        "stamp": before.stamp if before.settled else None,
        "size": before.stamp[0],
        "sha256": found.sha256,
        "n_cases": found.n_cases,
        "checks": found.checks,
        "cohort_counts": found.cohort_counts,
        "missing": {name: [each.place, each.n, each.ids] for name, each in found.missing.items()},
        "warnings": [[each.place, each.what, each.fix] for each in found.warnings],
        "waiting": list(found.waiting),
        "counts": store.counts.record(),
        "likes": found.index.likes,
        "blocks": [len(each) for each in packed],
    }
    try:
        record |= {"pieces": _pieces_sum(file), "file_sha256": sha256_of(file)}
        if stamp_of(os.stat(file)) != before.stamp:
            return None
        _make_folder(store.folder)
        digest = hashlib.blake2b(key=store.secret, digest_size=_SUM_BYTES, person=_SIGNED)
        text = json.dumps(record, allow_nan=False).encode()
        with drafted(store.file) as draft:
            for piece in (_MAGIC, _LENGTH.pack(len(text)), text, *packed):
                digest.update(piece)
                draft.write(piece)
            draft.write(digest.digest())
    except (OSError, ValueError, TypeError):
        return None
    _prune(store)
    return read_index(store, file, found.index.shown)


def _signed_record(stored: BinaryIO, secret: bytes) -> tuple[dict[str, Any], int]:
    """Return the record of an index and the place of its first block.

    Raises:
        ValueError: it is damaged, or not signed with this key.
    """
    size = os.fstat(stored.fileno()).st_size - _SUM_BYTES
    digest = hashlib.blake2b(key=secret, digest_size=_SUM_BYTES, person=_SIGNED)
    head = stored.read(len(_MAGIC) + _LENGTH.size)
    digest.update(head)
    n_bytes = _LENGTH.unpack_from(head.ljust(len(_MAGIC) + _LENGTH.size), len(_MAGIC))[0]
    start = len(head) + n_bytes
    if not head.startswith(_MAGIC) or n_bytes > _MOST_RECORD_BYTES or start > size:
        raise ValueError("not an index")
    text = stored.read(n_bytes)
    digest.update(text)
    left = size - start
    while left > 0 and (piece := stored.read(min(_PIECE_BYTES, left))):
        digest.update(piece)
        left -= len(piece)
    if not hmac.compare_digest(digest.digest(), stored.read(_SUM_BYTES)):
        raise ValueError("damaged, or not signed with this key")
    record = json.loads(text)
    if start + sum(record["blocks"]) != size:
        raise ValueError("another length")
    return record, start


def _is_current(record: Mapping[str, Any], file: Path, state: FileState) -> bool:
    """Return whether a golden set has the bytes that were indexed."""
    if record["size"] != state.stamp[0]:
        return False
    if record["stamp"] == list(state.stamp) and record["pieces"] == _pieces_sum(file):
        return True
    return bool(record["file_sha256"] == sha256_of(file))  # as after a fresh checkout


def _pieces_sum(file: Path) -> str:
    """Hash pieces that are spread over a file."""
    digest = hashlib.blake2b(digest_size=_SUM_BYTES)
    with open_file(file, max_line_bytes=_UNLIMITED, block_bytes=_PIECE_BYTES) as held:
        last = max(0, os.fstat(held.fileno()).st_size - _PIECE_BYTES)
        for start in sorted({last * at // (_N_PIECES - 1) for at in range(_N_PIECES)}):
            held.seek(start)
            digest.update(held.read(_PIECE_BYTES))
    return digest.hexdigest()


def _decoded(record: Mapping[str, Any], shown: str, packed: Sequence[bytes]) -> CheckedSet:
    waiting = RowPlaces()
    for line, offset in record["waiting"]:
        waiting.add(line, offset)
    likes = [(kind, severity, tuple((name, value) for name, value in own)) for kind, severity, own in record["likes"]]
    return CheckedSet(
        file_sha256=record["file_sha256"],
        sha256=record["sha256"],
        n_cases=record["n_cases"],
        checks=record["checks"],
        cohort_counts=record["cohort_counts"],
        missing={name: Lack(*each) for name, each in record["missing"].items()},
        warnings=[Problem(*each) for each in record["warnings"]],
        waiting=waiting,
        index=CaseIndex(shown, likes, packed),
        counts=record["counts"],
    )


class _StoredBlocks(Sequence[bytes]):
    """The blocks of a stored index, read when they are needed."""

    def __init__(self, file: Path, fd: int, start: int, lengths: Sequence[int]) -> None:
        """Take a descriptor of the file, the place of the first block, and the length of each."""
        self._file, self._fd = file, fd
        self._ends = list(accumulate(lengths, initial=start))
        weakref.finalize(self, os.close, fd)

    def __len__(self) -> int:
        """Count the blocks."""
        return len(self._ends) - 1

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> list[bytes]: ...
    def __getitem__(self, at: int | slice) -> bytes | list[bytes]:
        """Read a block, or several.

        Raises:
            StoreError: it cannot be read any more.
        """
        if isinstance(at, slice):
            return [self[each] for each in range(len(self))[at]]
        at = range(len(self))[at]
        length = self._ends[at + 1] - self._ends[at]
        try:
            found = os.pread(self._fd, length, self._ends[at])
        except OSError as error:
            raise StoreError.of(self._file, error) from error
        if len(found) != length:
            raise StoreError(f"{self._file}: was cut while it was read; remove it, and run again")
        return found

    def __iter__(self) -> Iterator[bytes]:
        """Read the blocks in order."""
        return (self[at] for at in range(len(self)))


def _make_folder(folder: Path) -> None:
    """Create a folder that version control leaves out."""
    folder.mkdir(parents=True, exist_ok=True)
    ignored = folder.parent / ".gitignore"
    if not os.path.lexists(ignored):
        ignored.write_text("*\n", encoding="utf-8")


def _prune(store: IndexStore) -> None:
    """Remove all but the latest indexes, and what killed processes left."""
    with suppress(OSError):
        others = sorted(store.folder.glob("*.idx"), key=lambda each: each.stat().st_mtime_ns)
        drafts = [each for each in store.folder.glob(".*.tmp") if each.stat().st_mtime < time.time() - _ABANDONED_S]
        for each in (*others[:-_KEPT], *drafts):
            each.unlink(missing_ok=True)
