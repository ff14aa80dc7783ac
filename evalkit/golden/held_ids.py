"""Know the held-out cases of a set by hashes of their ids, also where their file is not on the machine."""

from __future__ import annotations

from pathlib import Path

from evalkit.errors import InputError
from evalkit.golden.held_out import read_held
from evalkit.golden.lock import id_hash
from evalkit.golden.stored_lock import is_locked, lockable, read_lock
from evalkit.text.numbers import plural


def held_ids(file: Path | None) -> frozenset[str]:
    """Return the hashes of the ids of a set's held-out cases, by its lock and by their file.

    A lock or a file that cannot be read adds none: checks of the set report it.

    Args:
        file: the set; `None` if it is not a file.
    """
    if file is None or not lockable(file.name):
        return frozenset()
    found: set[str] = set()
    try:
        if is_locked(file):
            found.update(case.id for case in read_lock(file).cases.values() if case.split == "held")
        found.update(id_hash(case.id) for case in read_held(file) or ())
    except InputError:
        pass
    return frozenset(found)


def held_notice(file: Path | None, why: str) -> str:
    """Say how many held-out cases a run leaves out; empty if it leaves out none.

    Args:
        file: the set; `None` if it is not a file.
        why: why the run leaves them out, `several systems are run`; empty if it does not.
    """
    n = len(held_ids(file)) if why else 0
    return f"{plural(n, 'held-out case')} left out: {why}" if n else ""
