"""Lock a golden set: record the digest of every case, so that a changed set is noticed before it decides.

The lock lies beside the set, in `NAME.lock.json`. It holds digests and no text, and may be public. The first line of a
locked set is its canary string, which no prompt and no corpus may hold (Srivastava et al. 2022, arXiv 2206.04615).
"""

from __future__ import annotations

import datetime
import hashlib
import os
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path, PurePath
from typing import Any, get_args

from evalkit.disk.files import sha256_of
from evalkit.disk.json_files import read_json, to_json
from evalkit.disk.writing import drafted
from evalkit.errors import InputError, Problem, StoreError
from evalkit.golden.held_out import held_file, read_held
from evalkit.golden.json_lines import CANARY, read_jsonl
from evalkit.golden.read import read_all
from evalkit.golden.rows import unheard
from evalkit.golden.survey import Lack
from evalkit.golden.write import put_first, refuse_other_kinds
from evalkit.types import Case, Kind

_FORMAT = 1
_HEX = 16
_SHOWN = 5
_HELD = "held"
_NO_LOCK = "not a lock that evalkit wrote"
_RESTORE = "restore it, or remove it and lock the set again with `evalkit golden lock`"
_DIGEST = re.compile(f"[0-9a-f]{{{_HEX}}}")
_VERSION = re.compile(r"[0-9]{4}\.(0[1-9]|1[0-2])(\.[1-9][0-9]{0,8})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedCase:
    """A case of a lock."""

    id: str
    """The first 16 hex digits of the SHA-256 of its id."""
    since: str
    """Version of the set in which it has this content for the first time."""
    kind: str
    split: str = "open"
    """`open`, or `held` for a held-out case, whose text nobody sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedVersion:
    """One version of a set, in counts of cases."""

    version: str
    created: str
    """Day as an ISO date."""
    n: int
    added: int
    removed: int
    changed: int


@dataclass(frozen=True, kw_only=True)
class Lock:
    """The content of a golden set at one version."""

    set: str
    """Name of the set, without the ending of the file."""
    version: str
    """`YYYY.MM`, from the second of a month on with a number: `2026.11.2`."""
    created: str
    """Day as an ISO date."""
    n: int
    canary: str
    cases: Mapping[str, LockedCase]
    """First 16 hex digits of the digest -> case."""
    changelog: tuple[LockedVersion, ...] = ()
    """Every version, the oldest first; none in locks of earlier releases."""

    @property
    def n_held(self) -> int:
        """Number of held-out cases."""
        return sum(case.split == "held" for case in self.cases.values())


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


def lockable(name: str) -> bool:
    """Whether a set of this name can have a lock: only JSON Lines, packed or not."""
    return name.removesuffix(".gz").lower().endswith(".jsonl")


def stem_of(name: str) -> str:
    """Return the name of a set's file without its ending: `faq.v2` for `faq.v2.jsonl` and `faq.v2.jsonl.gz`."""
    return PurePath(name.removesuffix(".gz")).stem


def lock_name(name: str) -> str:
    """Return the file name of a set's lock: `faq.v2.lock.json` for `faq.v2.jsonl` and `faq.v2.jsonl.gz`."""
    return f"{stem_of(name)}.lock.json"


def lock_file(file: Path) -> Path:
    """Return the lock of a set, which may not exist."""
    return file.with_name(lock_name(file.name))


def is_locked(file: Path) -> bool:
    """Whether a set has a lock, if only a link that leads nowhere, which every reader refuses."""
    return lockable(file.name) and os.path.lexists(lock_file(file))


def lock_sha256(file: Path | None) -> str:
    """Return the SHA-256 (hex) of the lock of a set; empty if it has none."""
    if file is None or not is_locked(file) or not lock_file(file).is_file():
        return ""
    return sha256_of(lock_file(file))


def canary_of(file: Path | None) -> str:
    """Return the canary string of a set; empty if its first line is none."""
    if file is None or not lockable(file.name):
        return ""
    _, row = next(read_jsonl(file, str(file), unheard), (0, {}))
    return str(row[CANARY]) if set(row) == {CANARY} else ""


def make_lock(file: Path, today: datetime.date) -> tuple[Lock, bool]:
    """Lock a set as it is, and put a canary string into its first line if it has none.

    Args:
        file: the set, in JSON Lines.
        today: the day, which gives the version.

    Returns:
        The lock, and whether it is new; if the set did not change since its lock, nothing is written.

    Raises:
        InputError: reports every problem of the set, or of an earlier lock.
        StoreError: a file cannot be written.
    """
    refuse_other_kinds(file, str(file))
    splits = _read_splits(file)
    before = read_lock(file) if is_locked(file) else None
    canary = canary_of(file)
    if before is not None and not _changes(splits, canary, before):
        return before, False
    if not canary:
        canary = before.canary if before is not None else f"evalkit-canary {uuid.uuid4()}"
        put_first(file, str(file), {CANARY: canary})
    if _HELD in splits and canary_of(held_file(file)) != canary:
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
    if _HELD not in splits:  # not on this machine
        locked |= {key: case for key, case in known.items() if case.split == _HELD}
    lock = Lock(
        set=file.name.partition(".")[0],
        version=version,
        created=today.isoformat(),
        n=len(locked),
        canary=canary,
        cases=locked,
        changelog=(*(before.changelog if before is not None else ()), _entry(version, today, known, locked)),
    )
    try:
        with drafted(lock_file(file)) as draft:
            draft.write(to_json({"format": _FORMAT, **asdict(lock)}).encode())
    except OSError as error:
        raise StoreError.of(str(lock_file(file)), error, "then try again") from None
    return lock, True


def read_lock(file: Path) -> Lock:
    """Read the lock of a set.

    Raises:
        InputError: there is none, or it is not one that evalkit wrote.
    """
    if not lockable(file.name):
        fix = "save it as JSON Lines (.jsonl), one row per line"
        raise InputError(Problem(str(file), "only sets in JSON Lines have a lock", fix))
    if not is_locked(file):
        fix = f"write its lock with `evalkit golden lock {str(file).removesuffix('.gz')}`"
        raise InputError(Problem(str(file), "is not locked", fix))
    return parse_lock(lock_file(file), str(lock_file(file)))


def parse_lock(held: Path, shown: str) -> Lock:
    """Read the file of a lock.

    Args:
        held: the lock's file.
        shown: its name in messages.

    Raises:
        InputError: it cannot be read, or is not a lock that evalkit wrote.
    """
    try:
        record: Any = read_json(held)
        if record.pop("format") != _FORMAT:
            raise ValueError
        cases = {str(key): LockedCase(**case) for key, case in record.pop("cases").items()}
        changelog = tuple(LockedVersion(**each) for each in record.pop("changelog", ()))
        lock = Lock(cases=cases, changelog=changelog, **record)
    except OSError as error:
        fix = "check its permissions, and where it leads if it is a link"
        raise InputError(Problem(shown, f"cannot be read: {error.strerror}", fix)) from None
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError(Problem(shown, _NO_LOCK, _RESTORE)) from None
    if wrong := ", ".join(islice(_wrong_values(lock), _SHOWN)):
        raise InputError(Problem(shown, f"{_NO_LOCK} (wrong: {wrong})", _RESTORE))
    return lock


def _wrong_values(lock: Lock) -> Iterator[str]:
    """Yield the names of the values that evalkit would not write; a file may hold any type."""
    right = {
        "set": isinstance(lock.set, str),
        "version": _fits(_VERSION, lock.version),
        "created": _is_day(lock.created),
        "n": type(lock.n) is int and lock.n == len(lock.cases),
        "canary": isinstance(lock.canary, str) and lock.canary != "",
        "changelog": all(map(_is_entry, lock.changelog)),
    }
    yield from (name for name, fits in right.items() if not fits)
    for number, (key, case) in enumerate(lock.cases.items(), 1):
        digests = _fits(_DIGEST, key) and _fits(_DIGEST, case.id)
        known = case.kind in get_args(Kind) and case.split in ("open", _HELD)
        if not (digests and _fits(_VERSION, case.since) and known):
            yield f"case {number}"


def _is_entry(each: LockedVersion) -> bool:
    counts = (each.n, each.added, each.removed, each.changed)
    return _fits(_VERSION, each.version) and _is_day(each.created) and all(type(n) is int and n >= 0 for n in counts)


def _entry(
    version: str, today: datetime.date, before: Mapping[str, LockedCase], after: Mapping[str, LockedCase]
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
    )


def _fits(form: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None


def _is_day(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(datetime.date.fromisoformat(value))
    except ValueError:
        return False


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
        what, fix = f"{len(both)} cases are held out too: {_few(both)}", "remove them from one of the two files"
        raise InputError(Problem(str(file), what, fix))
    return {"open": cases, _HELD: held}


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
    return case.digest[:_HEX]


def id_hash(case_id: str) -> str:
    """Return the first 16 hex digits of the SHA-256 of an id."""
    return hashlib.sha256(case_id.encode("utf-8", "surrogatepass")).hexdigest()[:_HEX]


def _next_version(before: str, today: datetime.date) -> str:
    """Return the version of a month, with a number if the month has one already."""
    month = f"{today:%Y.%m}"
    if before != month and not before.startswith(f"{month}."):
        return month
    number = before.removeprefix(month).removeprefix(".")
    return f"{month}.{int(number or 1) + 1}"
