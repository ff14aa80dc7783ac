"""Seal a decided run: record the rows and files behind its decision, and every decision of the run.

`seal.txt` begins with one checksummed line of JSON. Each following line is a row: the number of its journal (0 for
`rows.jsonl`, 1 for `baseline_rows.jsonl`, 2 for `former_rows.jsonl`, 3 for `variant_rows.jsonl`), its checksum, and
the beginning of its JSON, which names case and repeat.
"""

from __future__ import annotations

import hashlib
import json
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, BinaryIO

from evalkit.disk.files import open_file
from evalkit.disk.writing import drafted
from evalkit.errors import StoreError
from evalkit.formats.line import body_of, seal
from evalkit.formats.shapes import fits
from evalkit.results import Decided, Outcome
from evalkit.store.chain import Scan
from evalkit.store.folder import MANIFEST, SEAL, SUMMARY, TIMINGS, RunFolder
from evalkit.store.row_sums import RowSums, in_order

FORMAT = 1
FILES = (MANIFEST, SUMMARY, TIMINGS)
"""Files that are sealed by their SHA-256; `decision.json` is sealed by its head."""
_MAX_LINE_BYTES = 64 << 20
_SUM_DIGITS = 32
_OUTCOMES = typing.get_args(Outcome)
_DECIDED = {each.name for each in fields(Decided)}
_EDITED = "edited or cut since the decision"


@dataclass(frozen=True)
class Seal:
    """The contents of a seal."""

    head: str
    files: Mapping[str, str]
    """File name -> SHA-256."""
    decisions: tuple[Decided, ...]
    """Every decision of the run, latest last, after those taken over from another run."""
    rows: tuple[RowSums, ...]
    """For each journal: row name -> checksum of the row that counted."""


def write_seal(
    folder: RunFolder, head: str, journals: Sequence[Scan], decisions: Sequence[Decided], files: Mapping[str, str]
) -> None:
    """Seal a decision, atomically.

    Args:
        folder: folder of the run.
        head: head of its rows and decision.
        journals: its rows, in the order of `RunFolder.journals`.
        decisions: every decision so far, this one last.
        files: name -> SHA-256 of the files behind the decision.

    Raises:
        StoreError: the seal cannot be written.
    """
    target = folder.file(SEAL)
    digest = hashlib.sha256()
    for line in _lines(journals):
        digest.update(line)
    record = {
        "format": FORMAT,
        "head": head,
        "files": dict(files),
        "decisions": [asdict(each) for each in decisions],
        "rows_sha256": digest.hexdigest(),
    }
    try:
        with drafted(target) as file:
            file.write(seal(json.dumps(record, sort_keys=True, allow_nan=False).encode()))
            file.writelines(_lines(journals))
    except OSError as error:
        raise StoreError.of(target, error) from error


def _lines(journals: Sequence[Scan]) -> Iterator[bytes]:
    for number, journal in enumerate(journals):
        for name, checksum in in_order(journal.sums):
            yield b"%d %b %b\n" % (number, checksum, name)


def read_seal(folder: RunFolder) -> Seal | None:
    """Read the seal of a run folder, `None` if there is none.

    Raises:
        ValueError: it was edited or cut, or another version wrote it.
    """
    try:
        file = open_file(folder.file(SEAL))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None
    with file:
        body = body_of(file.readline(_MAX_LINE_BYTES))
        if body is None:
            raise ValueError(_EDITED)
        try:
            record = json.loads(body)
            found = record["format"], record["rows_sha256"]
            head, files, decisions = record["head"], record["files"], [decided_of(each) for each in record["decisions"]]
        except (KeyError, TypeError, RecursionError):
            raise ValueError(_EDITED) from None
        if found[0] != FORMAT:
            raise ValueError(f"format {str(found[0])[:40]}, this evalkit reads {FORMAT}")
        rows, digest = _rows(file, len(folder.journals))
    if digest != found[1] or not decisions or not fits(head, str) or not fits(files, dict[str, str]):
        raise ValueError(_EDITED)
    return Seal(head, files, tuple(decisions), rows)


def decided_of(record: Any) -> Decided:
    """Decode an earlier decision.

    Raises:
        ValueError: the value is not a decision.
    """
    if not fits(record, dict[str, str]) or record.keys() != _DECIDED or record["outcome"] not in _OUTCOMES:
        raise ValueError(_EDITED)
    return Decided(**record)


def file_sums(folder: RunFolder) -> dict[str, str]:
    """Map the name of each existing file of `FILES` to its SHA-256.

    Raises:
        StoreError: one cannot be read.
    """
    try:
        found = {name: folder.file(name) for name in FILES if folder.file(name).is_file()}
        return {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in found.items()}
    except OSError as error:
        raise StoreError(f"{folder.path}: cannot be read ({error}); check its permissions") from error


def _rows(file: BinaryIO, n_journals: int) -> tuple[tuple[RowSums, ...], str]:
    """Read the sealed rows by journal, and the SHA-256 of their lines."""
    rows = tuple(RowSums() for _ in range(n_journals))
    digest = hashlib.sha256()
    while line := file.readline(_MAX_LINE_BYTES):
        digest.update(line)
        number, _, rest = line.rstrip(b"\n").partition(b" ")
        checksum, _, name = rest.partition(b" ")
        if number.isdigit() and int(number[:3]) < n_journals:
            if len(checksum) != _SUM_DIGITS:
                raise ValueError(_EDITED)
            rows[int(number)].add(name, checksum)
    return rows, digest.hexdigest()
