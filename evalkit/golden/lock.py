"""Lock a golden set: record the digest of every case, so that a changed set is noticed before it decides.

The lock lies beside the set, in `NAME.lock.json`. It holds digests and no text, and may be public. The first line of a
locked set is its canary string, which no prompt and no corpus may hold (Srivastava et al. 2022, arXiv 2206.04615).
"""

from __future__ import annotations

import datetime
import hashlib
import shlex
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

from evalkit.errors import InputError, Problem, what_and_fix
from evalkit.golden.held_out import held_file, interrupted, read_held
from evalkit.golden.json_lines import CANARY, read_jsonl
from evalkit.golden.read import read_all
from evalkit.golden.rotation_rule import RotationRule
from evalkit.golden.rows import unheard
from evalkit.golden.stored_lock import (
    HELD,
    HEX,
    Lock,
    LockedCase,
    LockedVersion,
    is_locked,
    lockable,
    read_lock,
    write_lock,
)
from evalkit.golden.survey import Lack
from evalkit.golden.write import put_first, refuse_other_kinds
from evalkit.types import Case


@dataclass(frozen=True, kw_only=True)
class LockSettings:
    """What a lock says besides its cases; what is not given stays as it was."""

    every: str | None = None
    """Period of the rotation, or `never` for none."""
    share: float | None = None
    anchor: float | None = None
    owners: tuple[str, ...] = ()
    readers_held: tuple[str, ...] = ()

    def of(self, before: Lock | None) -> _Settings:
        """Return the settings of a new lock.

        Raises:
            InputError: a value is out of range.
        """
        for name, given in (("--owner", self.owners), ("--reader-held", self.readers_held)):
            if not all(each.strip() for each in given):
                raise InputError(Problem(name, "is empty", "name a person or a team, such as @team"))
        return _Settings(
            rotation=self._rule(before.rotation if before is not None else None),
            owners=self.owners or (before.owners if before is not None else ()),
            readers_held=self.readers_held or (before.readers_held if before is not None else ()),
        )

    def _rule(self, before: RotationRule | None) -> RotationRule | None:
        named = {"every": self.every, "share": self.share, "anchor": self.anchor}
        given: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
        if not given:
            return before
        if given == {"every": "never"}:
            return None
        try:
            return replace(before or RotationRule(), **given)
        except ValueError as error:
            name, _, said = str(error).partition(": ")
            raise InputError(Problem(f"--{name}", *what_and_fix(said))) from None


class _Settings(TypedDict):
    rotation: RotationRule | None
    owners: tuple[str, ...]
    readers_held: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LockChanges:
    """The cases in which a set differs from its lock."""

    added: tuple[Case, ...] = ()
    changed: tuple[Case, ...] = ()
    """Cases with an id of the lock and another content, or of which the lock states another id or kind."""
    removed: tuple[str, ...] = ()
    """Keys of the lock's cases whose id the set does not have."""
    canary_lost: bool = False
    """Whether the line with the canary string is missing or another one."""

    def __bool__(self) -> bool:
        """Whether the set differs."""
        return bool(self.added or self.changed or self.removed or self.canary_lost)


AS_BEFORE = LockSettings()


def canary_of(file: Path | None) -> str:
    """Return the canary string of a set; empty if its first line is none."""
    if file is None or not lockable(file.name):
        return ""
    _, row = next(read_jsonl(file, str(file), unheard), (0, {}))
    return str(row[CANARY]) if set(row) == {CANARY} else ""


def make_lock(
    file: Path, today: datetime.date, settings: LockSettings = AS_BEFORE, *, rotated: bool = False
) -> tuple[Lock, bool]:
    """Lock a set as it is, and put a canary string into its first line if it has none.

    Args:
        file: the set, in JSON Lines.
        today: the day, which gives the version.
        settings: what the lock says besides the cases; other settings make no new version.
        rotated: whether the set was rotated.

    Returns:
        The lock, and whether it is new; if neither the set nor a setting changed since its lock, nothing is written.

    Raises:
        InputError: reports every problem of the set, or of an earlier lock, or a setting is out of range.
        StoreError: a file cannot be written.
    """
    refuse_other_kinds(file, str(file))
    splits = _read_splits(file)
    before = read_lock(file) if is_locked(file) else None
    canary = canary_of(file)
    said = settings.of(before)
    if before is not None and not _changes(splits, canary, before):
        lock = replace(before, **said)
        if lock != before:
            write_lock(file, lock)
        return lock, lock != before
    if not canary:
        canary = before.canary if before is not None else f"evalkit-canary {uuid.uuid4()}"
        put_first(file, str(file), {CANARY: canary})
    if HELD in splits and canary_of(held_file(file)) != canary:
        put_first(held_file(file), held_file(file).name, {CANARY: canary})
    known = before.cases if before is not None else {}
    version = _next_version(before.version if before is not None else "", today)
    locked = {
        key_of_case(case): LockedCase(
            id=id_hash(case.id),
            since=known[key_of_case(case)].since if key_of_case(case) in known else version,
            kind=case.kind,
            split=split,
        )
        for split, cases in splits.items()
        for case in cases
    }
    if HELD not in splits:  # not on this machine
        locked |= {key: case for key, case in known.items() if case.split == HELD}
    lock = Lock(
        set=file.name.partition(".")[0],
        version=version,
        created=today.isoformat(),
        n=len(locked),
        canary=canary,
        cases=locked,
        changelog=(*(before.changelog if before is not None else ()), _entry(version, today, known, locked, rotated)),
        **said,
    )
    write_lock(file, lock)
    return lock, True


def _entry(
    version: str,
    today: datetime.date,
    before: Mapping[str, LockedCase],
    after: Mapping[str, LockedCase],
    rotated: bool,
) -> LockedVersion:
    """Count what is new since the version before."""
    was, now = ({case.id: (key, case.kind, case.split) for key, case in side.items()} for side in (before, after))
    return LockedVersion(
        version=version,
        created=today.isoformat(),
        n=len(now),
        added=len(now.keys() - was.keys()),
        removed=len(was.keys() - now.keys()),
        changed=sum(was[name] != now[name] for name in was.keys() & now.keys()),
        rotated=rotated,
    )


def lock_changes(file: Path) -> LockChanges:
    """Compare a set with its lock.

    Raises:
        InputError: the set or the lock cannot be read.
    """
    lock = read_lock(file)
    return _changes(_read_splits(file), canary_of(file), lock)


def lock_problems(file: Path | None, shown: str) -> Iterator[Problem]:
    """Yield a problem if a set has a lock and differs from it.

    Args:
        file: the set; `None` if it is not a file.
        shown: its name in messages.
    """
    if file is None or not is_locked(file):
        return
    try:
        found = lock_changes(file)
    except InputError as error:
        yield from error.problems
        return
    if found:
        fix = "lock it again with `evalkit golden lock`, or run with --unlocked for a result without a decision"
        yield Problem(shown, f"differs from its lock: {described(found)}", fix)


def described(found: LockChanges) -> str:
    """Describe the changes in one sentence, with the first ids."""
    parts = []
    for word, cases in (("changed", found.changed), ("added", found.added)):
        if cases:
            parts.append(f"{len(cases)} {word} ({_few(cases)})")
    parts += [f"{len(found.removed)} removed"] if found.removed else []
    parts += ["the canary string is missing or changed"] if found.canary_lost else []
    return ", ".join(parts)


def _few(cases: Sequence[Case]) -> str:
    lack = Lack(cases[0].place)
    for case in cases:
        lack.add(case.id)
    return str(lack)


def _read_splits(file: Path) -> Mapping[str, list[Case]]:
    """Return split -> its cases; without the held-out ones if they are not on this machine.

    Raises:
        InputError: a file cannot be read, or a case is in both.
    """
    cases, held = read_all(file, str(file)), read_held(file) if lockable(file.name) else None
    if held is None:
        return {"open": cases}
    ids = {case.id for case in held}
    if both := [case for case in cases if case.id in ids]:
        what = f"{len(both)} cases are held out too"
        fix = f"remove them from one of the two files: {_few([_shown(case, HELD) for case in both])}"
        if interrupted(cases, held):
            again = f"evalkit golden lock {shlex.quote(str(file))} --held-out SHARE"
            fix = f"complete the split, which was interrupted: repeat `{again}`"
        raise InputError(Problem(str(file), what, fix))
    return {"open": cases, HELD: held}


def _changes(splits: Mapping[str, Sequence[Case]], canary: str, lock: Lock) -> LockChanges:
    known = {case.id for case in lock.cases.values()}
    ids = {id_hash(case.id) for cases in splits.values() for case in cases}
    others = [
        (case, split)
        for split, cases in splits.items()
        for case in cases
        if not _is_as_locked(case, split, lock.cases.get(key_of_case(case)))
    ]
    return LockChanges(
        added=tuple(_shown(*each) for each in others if id_hash(each[0].id) not in known),
        changed=tuple(_shown(*each) for each in others if id_hash(each[0].id) in known),
        removed=tuple(key for key, case in lock.cases.items() if case.split in splits and case.id not in ids),
        canary_lost=canary != lock.canary,
    )


def _shown(case: Case, split: str) -> Case:
    """Return a case as messages show it: of a held-out one, the hash of its id."""
    return case if split == "open" else replace(case, id=id_hash(case.id))


def _is_as_locked(case: Case, split: str, locked: LockedCase | None) -> bool:
    return locked is not None and (locked.id, locked.kind, locked.split) == (id_hash(case.id), case.kind, split)


def key_of_case(case: Case) -> str:
    """Return the first 16 hex digits of the digest of a case."""
    return case.digest[:HEX]


def id_hash(case_id: str) -> str:
    """Return the first 16 hex digits of the SHA-256 of an id."""
    return hashlib.sha256(case_id.encode("utf-8", "surrogatepass")).hexdigest()[:HEX]


def _next_version(before: str, today: datetime.date) -> str:
    """Return the version of a month, with a number if the month has one already."""
    month = f"{today:%Y.%m}"
    if before != month and not before.startswith(f"{month}."):
        return month
    number = before.removeprefix(month).removeprefix(".")
    return f"{month}.{int(number or 1) + 1}"
