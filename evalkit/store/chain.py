"""Compute the head of a run: one hash over every row that counts and the decision.

It is a hash chain over the checksums of the rows in the order of their keys. It does not depend on which row was
finished first, on a resume, or on rows that were run again (the last row of a key counts).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import DEFAULT_BUFFER_SIZE
from pathlib import Path
from typing import Any, BinaryIO

from evalkit.disk.files import LONG_BLOCK, Unfit, open_file, open_packed
from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem, StoreError
from evalkit.formats.line import sum_of
from evalkit.formats.rows import row_name
from evalkit.store.row_sums import RowSums, in_order

_START = b"evalkit head 1"
_HEAD_BYTES = 16
_UNPACKED = "name the folder of a run of your own, whose rows are not packed"
MAX_DAMAGED = 10_000
HEAD = "head"
"""Key of the head in `decision.json`."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A damaged line of the journal."""

    line: int
    torn: bool
    """True for an unfinished last line, left by a kill; False for an altered line."""


@dataclass(frozen=True)
class Scan:
    """The contents of one journal."""

    sums: RowSums | Mapping[bytes, bytes]
    """Row name -> checksum of the row that counts."""
    n_rows: int
    """Number of intact rows, including superseded ones."""
    damaged: tuple[Damage, ...]

    @property
    def superseded(self) -> frozenset[bytes]:
        """Checksums of superseded rows."""
        return self.sums.superseded if isinstance(self.sums, RowSums) else frozenset()


def scan(path: Path) -> Scan:
    """Check every line of a journal; a missing file holds nothing.

    Raises:
        StoreError: it cannot be read.
    """
    sums = RowSums()
    damaged: list[Damage] = []
    n_lines = 0
    for n_lines, line in enumerate(lines_of(path) if os.path.lexists(path) else (), 1):
        name = row_name(line)
        if name is None:
            note_damage(damaged, path, n_lines, line)
        else:
            sums.add(name, sum_of(line))
    return Scan(sums, n_lines - len(damaged), tuple(damaged))


def note_damage(damaged: list[Damage], path: Path, number: int, line: bytes) -> None:
    """Add a damaged line.

    Raises:
        InputError: there are so many that the file is not a journal.
    """
    if len(damaged) == MAX_DAMAGED:
        fix = "run the suite again, or save the baseline again"
        raise InputError(Problem(shown_path(path), f"more than {MAX_DAMAGED:,} damaged rows", fix))
    damaged.append(Damage(number, torn=not line.endswith(b"\n")))


def head_of(journals: Iterable[Scan], decision: Mapping[str, Any] | None) -> str:
    """Return the head as 32 hex digits.

    Args:
        journals: the run's own rows, then those of the baseline's system.
        decision: the contents of `decision.json`, `None` if nothing was decided.
    """
    link = _link(_START, b"")
    for journal in journals:
        for _, checksum in in_order(journal.sums):
            link = _link(link, checksum)
    if decision is not None:
        said = {key: value for key, value in decision.items() if key != HEAD}
        link = _link(link, json.dumps(said, sort_keys=True, allow_nan=False).encode())
    return link.hex()


def lines_of(path: Path) -> Iterator[bytes]:
    """Yield the lines of a journal, which end at a line feed only; a saved baseline is decompressed.

    Raises:
        InputError: the file does not exist, is a folder, or is not a packed journal.
        StoreError: the disk fails.
    """
    fix = "run the suite again, or save the baseline again"
    try:
        with open_journal(path, LONG_BLOCK) as file:
            yield from file
    except FileNotFoundError:
        raise InputError(Problem(shown_path(path), "does not exist", fix)) from None
    except Unfit as error:
        raise InputError(Problem(shown_path(path), str(error.strerror), fix)) from None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error}); check the path and its permissions") from error


def open_journal(path: Path, block_bytes: int = DEFAULT_BUFFER_SIZE) -> BinaryIO:
    """Open the bytes of a journal; a saved baseline yields no more than `packed` allows."""
    return open_packed(path, _UNPACKED) if path.suffix == ".gz" else open_file(path, block_bytes=block_bytes)


def _link(before: bytes, added: bytes) -> bytes:
    return hashlib.blake2b(before + added, digest_size=_HEAD_BYTES).digest()
