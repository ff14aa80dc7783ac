"""Lock a golden set, and compare a set with its lock."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from evalkit.golden.lock import Lock, LockChanges, lock_changes, lock_file, make_lock


@dataclass(frozen=True, kw_only=True)
class LockedSet:
    """A set that was locked."""

    lock: Lock
    file: Path
    """The lock's file."""
    new: bool
    """False if the set did not change since it was locked, so that nothing was written."""


@dataclass(frozen=True, kw_only=True)
class LockReport:
    """How a set differs from its lock."""

    file: Path
    changes: LockChanges

    @property
    def differs(self) -> bool:
        """Whether the set is another one than was locked."""
        return bool(self.changes)


def lock_set(file: Path, today: datetime.date) -> LockedSet:
    """Lock a set as it is.

    Args:
        file: the set, in JSON Lines; it gets a canary string in its first line if it has none.
        today: the day, which gives the version.

    Raises:
        InputError: reports every problem of the set, or of an earlier lock.
        StoreError: a file cannot be written.
    """
    lock, new = make_lock(file, today)
    return LockedSet(lock=lock, file=lock_file(file), new=new)


def check_lock(file: Path) -> LockReport:
    """Compare a set with its lock.

    Raises:
        InputError: there is no lock, or set or lock cannot be read.
    """
    return LockReport(file=file, changes=lock_changes(file))
