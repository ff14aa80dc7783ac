"""Keep the shards of a run that several processes work on: their cases, the attempts at them, and their seals.

    shards/RANDOM/                 one for each process that drives the run
        plan.json                  what every worker must know and the manifest does not say
        budget.json, limits.json   what is left of the budget, and when each endpoint may be called again
        stop, cut                  tell the workers to stop, and to cancel the calls in flight
        0007/cases.jsonl           the cases and repeats of a shard, as rows without a result, or with a stored answer
        0007/a1.HOST-PID-RANDOM/   an attempt, with its journal `rows.jsonl`
        0007/done.json             which bytes of which attempts count

Each attempt has a journal of its own, so that a process that was taken for dead and goes on writing does not damage the
rows of another. The first attempt that completes a shard seals it; whatever is written later does not count.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import socket
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from evalkit.disk.json_files import read_json, to_json
from evalkit.errors import StoreError
from evalkit.formats.rows import decode_row, encode_row
from evalkit.store.folder import ROWS
from evalkit.store.running import deaths_in
from evalkit.store.shared_limits import SharedBudget, SharedTimetable
from evalkit.text.numbers import plural
from evalkit.types import Case, Row

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

P = TypeVar("P")
SHARDS = "shards"
PLAN = "plan.json"
_STOP, _CUT, _CASES, _DONE = "stop", "cut", "cases.jsonl", "done.json"
_BUDGET, _LIMITS = "budget.json", "limits.json"
_SEAL_FORMAT = 1
_FLUSHED_BYTES = 1 << 16
_OPEN = "not run yet"
Key = tuple[str, int]
"""(digest of the case, repeat)."""


@dataclass(frozen=True)
class Attempt:
    """The rows of one attempt at a shard, as far as they had been written when they were read."""

    name: str
    data: bytes
    """Whole lines of its journal."""

    @property
    def seal(self) -> tuple[str, int, str]:
        """Name, number of bytes and BLAKE2b of what counts."""
        return self.name, len(self.data), hashlib.blake2b(self.data, digest_size=16).hexdigest()

    def rows(self) -> Iterator[tuple[bytes, Row]]:
        """Yield each intact line, with its row, in the order written."""
        for line in self.data.splitlines(keepends=True):
            if (row := decode_row(line)) is not None:
                yield line, row


@dataclass(frozen=True)
class ShardFolder:
    """The folder of one shard."""

    path: Path

    @property
    def done(self) -> bool:
        """Whether an attempt has sealed it."""
        return (self.path / _DONE).exists()

    def work(self) -> Iterator[Row]:
        """Yield the cases and repeats of the shard, with their stored answers if these are scored.

        Raises:
            FileNotFoundError: the shard was taken already, or its run is over.
        """
        for line in (self.path / _CASES).read_bytes().splitlines(keepends=True):
            row = decode_row(line)
            if row is None:
                raise StoreError(f"{self.path / _CASES}: a line is damaged; continue the run with --resume")
            yield row

    def new_attempt(self, number: int) -> Path:
        """Create the folder of an attempt; no other process has the same, even if it has the same number."""
        host = "".join(char for char in socket.gethostname() if char.isalnum())[:20]
        folder = self.path / f"a{number}.{host}-{os.getpid()}-{secrets.token_hex(3)}"
        folder.mkdir()
        return folder

    def attempts(self) -> list[Attempt]:
        """Read what the attempts have written so far, the earliest first."""
        found = []
        for folder in sorted(self.path.glob("a*"), key=_number):
            with suppress(FileNotFoundError):
                data = (folder / ROWS).read_bytes()
                found.append(Attempt(folder.name, data[: data.rfind(b"\n") + 1]))
        return found

    def deaths(self) -> Counter[Key]:
        """Count for each case how many attempts were not ended after it had begun."""
        died: Counter[Key] = Counter()
        for folder in self.path.glob("a*"):
            died += deaths_in(folder)
        return died

    def seal(self, attempts: Iterable[Attempt], left_open: Iterable[Key]) -> None:
        """Seal the shard with the rows of these attempts; if another process has sealed it, that seal holds.

        Args:
            attempts: their rows count; of two rows of a key, the first.
            left_open: cases that ended the process of several attempts, and were not run in this one.

        Raises:
            StoreError: it cannot be written.
        """
        record = {
            "format": _SEAL_FORMAT,
            "files": [attempt.seal for attempt in attempts],
            "open": sorted(left_open),
        }
        draft, target = self.path / f".{secrets.token_hex(6)}.tmp", self.path / _DONE
        try:
            with draft.open("wb") as file:
                file.write(to_json(record).encode())
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(draft, target)
            draft.unlink()
        except OSError as error:
            raise StoreError.of(target, error) from error

    def sealed(self) -> tuple[list[Attempt], frozenset[Key]]:
        """Read what the seal lists: the rows that count, and the cases that were left open.

        Raises:
            StoreError: a file does not hold the bytes that were sealed.
        """
        record = read_json(self.path / _DONE)
        attempts = []
        for name, n_bytes, digest in record["files"]:
            file = self.path / name / ROWS
            attempt = Attempt(name, file.read_bytes()[:n_bytes])
            if attempt.seal != (name, n_bytes, digest):
                what = f"{file}: does not hold the {n_bytes:,} bytes that its worker sealed"
                raise StoreError(f"{what}; check that all workers see the same disk, then continue with --resume")
            attempts.append(attempt)
        return attempts, frozenset((digest, repeat) for digest, repeat in record["open"])

    def remove(self) -> None:
        """Remove the folder, whose rows are in the journal of the run."""
        shutil.rmtree(self.path, ignore_errors=True)


def _number(folder: Path) -> tuple[int, str]:
    number = folder.name[1:].partition(".")[0]
    return int(number) if number.isdecimal() else 0, folder.name


@dataclass(frozen=True, kw_only=True)
class WorkPlan:
    """What every worker must know, and the manifest does not say."""

    suite: str
    """Path of the suite, the same on every machine."""
    overrides: Mapping[str, float]
    """Options of the suite that flags have set."""
    replies: Literal["taken", "renewed", "none"]
    """How to use judge replies of earlier runs."""
    workers: int
    """Number of workers, among which calls in flight and limits are divided."""
    checks: bool
    """Whether a case of the run carries checks of its own."""


@dataclass(frozen=True)
class SharedWork:
    """The folder of the shards that one process plans and takes."""

    path: Path

    @staticmethod
    def new(run: Path) -> SharedWork:
        """Name one in a run folder; workers of an earlier process that still write have another."""
        return SharedWork(run / SHARDS / secrets.token_hex(4))

    def shard(self, number: int) -> ShardFolder:
        """Return the folder of a shard, whose numbers start at 1."""
        return ShardFolder(self.path / f"{number:04d}")

    def check(self) -> None:
        """Try whether the folder can be read here.

        Raises:
            OSError: it cannot, or the run is over.
        """
        (self.path / PLAN).read_bytes()

    def plan(self, kind: type[P]) -> P:
        """Read what the workers must know.

        Args:
            kind: what was written: `WorkPlan` for a run.

        Raises:
            FileNotFoundError: the run is over.
        """
        return kind(**read_json(self.path / PLAN))

    def write(self, plan: DataclassInstance, work: Iterable[tuple[int, Row]]) -> list[int]:
        """Write the plan and the cases of further shards, and return the numbers of those that hold any.

        Args:
            plan: what the workers must know.
            work: number of the shard, and the case and repeat, as a row that is open or holds a stored answer.

        Raises:
            StoreError: the disk refuses.
        """
        waiting: dict[int, bytearray] = {}
        seen: set[int] = set()

        def flush(number: int) -> None:
            folder = self.shard(number).path
            folder.mkdir(exist_ok=True)
            with (folder / _CASES).open("ab") as file:
                file.write(waiting.pop(number))

        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / PLAN).write_text(to_json(asdict(plan)), encoding="utf-8")
            for number, row in work:
                lines = waiting.setdefault(number, bytearray())
                lines += encode_row(row)
                seen.add(number)
                if len(lines) > _FLUSHED_BYTES:
                    flush(number)
            for number in list(waiting):
                flush(number)
        except OSError as error:
            raise StoreError.of(self.path, error) from error
        return sorted(seen)

    @property
    def budget(self) -> SharedBudget:
        """What the workers may spend together."""
        return SharedBudget(self.path / _BUDGET)

    def timetable(self, who: str) -> SharedTimetable:
        """Return when the limits of an endpoint let the next call of any worker pass."""
        return SharedTimetable(self.path / _LIMITS, who)

    def stop(self, *, at_once: bool) -> None:
        """Tell the workers to stop once the calls in flight have ended, or to cancel these as well."""
        with suppress(OSError):  # nothing was planned, or everything is taken
            (self.path / _STOP).touch()
            if at_once:
                (self.path / _CUT).touch()

    @property
    def stopped(self) -> bool:
        """Whether the workers are to stop, also because the folder is gone."""
        return (self.path / _STOP).exists() or not (self.path / PLAN).exists()

    @property
    def cut(self) -> bool:
        """Whether they are to cancel the calls in flight."""
        return (self.path / _CUT).exists()


def open_row(case: Case, repeat: int) -> Row:
    """Return a case and repeat that has not been run."""
    return Row(case=case, repeat=repeat, skipped=_OPEN)


def written_rows(run: Path) -> Iterator[tuple[bytes, Row]]:
    """Yield each line and row in the shards of a run: of a sealed one what its seal lists, else of all attempts."""
    for path in sorted((run / SHARDS).glob("*/[0-9]*")):
        shard = ShardFolder(path)
        attempts = shard.attempts()
        if shard.done:
            with suppress(StoreError, OSError, ValueError):
                attempts, _ = shard.sealed()
        for attempt in attempts:
            yield from attempt.rows()


def unended(run: Path) -> str:
    """Say how many rows are in the shards of a run that has not ended; empty if there are none."""
    n_rows = len({(row.case.digest, row.repeat) for _, row in written_rows(run)})
    lie = "lies" if n_rows == 1 else "lie"
    left = f"{plural(n_rows, 'row')} of a run that has not ended {lie} in {SHARDS}/"
    return f"{left}; continue it with --resume, which takes them over" if n_rows else ""


def remove_shards(run: Path) -> None:
    """Remove the shards of a run, whose rows are in its journal."""
    shutil.rmtree(run / SHARDS, ignore_errors=True)
