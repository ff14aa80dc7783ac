"""Lock a golden set, and compare a set with its lock."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from evalkit.golden.held_out import hold_out
from evalkit.golden.lock import AS_BEFORE, LockChanges, lock_changes, make_lock
from evalkit.golden.lock import LockSettings as LockSettings
from evalkit.golden.stored_lock import Lock, is_locked, lock_file, read_lock
from evalkit.golden.write import refuse_other_kinds


@dataclass(frozen=True, kw_only=True)
class LockedSet:
    """A set that was locked."""

    lock: Lock
    file: Path
    """The lock's file."""
    new: bool
    """False if the set did not change since it was locked, so that nothing was written."""
    n_moved: int = 0
    """Number of cases that were held out now."""

    @property
    def needs_baseline(self) -> bool:
        """Whether the cases left are too few for a decision against a baseline from before."""
        from evalkit.gate.no_regression import MIN_OVERLAP

        return 1 - self.n_moved / self.lock.n < MIN_OVERLAP


@dataclass(frozen=True, kw_only=True)
class LockReport:
    """How a set differs from its lock."""

    file: Path
    changes: LockChanges

    @property
    def differs(self) -> bool:
        """Whether the set is another one than was locked."""
        return bool(self.changes)


def lock_set(
    file: Path,
    today: datetime.date,
    *,
    held_out: float | None = None,
    seed: int = 1,
    commit: bool = False,
    settings: LockSettings = AS_BEFORE,
) -> LockedSet:
    """Lock a set as it is, or after some of its cases were held out.

    Args:
        file: the set, in JSON Lines; it gets a canary string in its first line if it has none.
        today: the day, which gives the version.
        held_out: share of the cases to move into the file of held-out cases; `None` for none.
        seed: of the draw.
        commit: whether the file of held-out cases may be committed to git.
        settings: what the lock says besides the cases.

    Raises:
        InputError: reports every problem of set or lock, the share cannot be held out, or a setting
            is out of range.
        StoreError: a file cannot be written.
    """
    settings.of(read_lock(file) if is_locked(file) else None)
    n_moved = 0
    if held_out is not None:
        refuse_other_kinds(file, str(file))
        n_moved = hold_out(file, held_out, seed, commit=commit)
    lock, new = make_lock(file, today, settings)
    return LockedSet(lock=lock, file=lock_file(file), new=new, n_moved=n_moved)


def check_lock(file: Path) -> LockReport:
    """Compare a set with its lock.

    Raises:
        InputError: there is no lock, or set or lock cannot be read.
    """
    return LockReport(file=file, changes=lock_changes(file))
