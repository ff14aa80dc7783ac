"""Read and write the lock of a golden set, which lies beside it in `NAME.lock.json`."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path, PurePath
from typing import Any, get_args

from evalkit.disk.files import sha256_of
from evalkit.disk.json_files import read_json, to_json
from evalkit.disk.writing import drafted
from evalkit.errors import InputError, Problem, StoreError
from evalkit.golden.rotation_rule import MONTHS, RotationRule, later
from evalkit.types import Kind

_FORMAT = 1
HEX = 16
_SHOWN = 5
HELD = "held"
_NO_LOCK = "not a lock that evalkit wrote"
_RESTORE = "restore it, or remove it and lock the set again with `evalkit golden lock`"
_DIGEST = re.compile(f"[0-9a-f]{{{HEX}}}")
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
    rotated: bool = False
    """Whether `evalkit golden rotate` made it."""


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
    rotation: RotationRule | None = None
    """How the set is rotated; `None` if nobody said so."""
    owners: tuple[str, ...] = ()
    """Who answers for the set."""
    readers_held: tuple[str, ...] = ()
    """Who may read its held-out cases."""

    @property
    def n_held(self) -> int:
        """Number of held-out cases."""
        return sum(case.split == HELD for case in self.cases.values())

    @property
    def next_rotation(self) -> datetime.date | None:
        """The day from which a rotation is due: a period after the last one, else after the first lock."""
        if self.rotation is None:
            return None
        rotated = [each.created for each in self.changelog if each.rotated]
        first = [each.created for each in self.changelog[:1]] or [self.created]
        return later(datetime.date.fromisoformat((rotated or first)[-1]), MONTHS[self.rotation.every])


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
        rule = record.pop("rotation", None)
        owners, readers = (_names(record.pop(name, [])) for name in ("owners", "readers_held"))
        rotation = None if rule is None else RotationRule(**rule)
        lock = Lock(cases=cases, changelog=changelog, rotation=rotation, owners=owners, readers_held=readers, **record)
    except OSError as error:
        fix = "check its permissions, and where it leads if it is a link"
        raise InputError(Problem(shown, f"cannot be read: {error.strerror}", fix)) from None
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError(Problem(shown, _NO_LOCK, _RESTORE)) from None
    if wrong := ", ".join(islice(_wrong_values(lock), _SHOWN)):
        raise InputError(Problem(shown, f"{_NO_LOCK} (wrong: {wrong})", _RESTORE))
    return lock


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) and each.strip() for each in value):
        raise ValueError
    return tuple(value)


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
        known = case.kind in get_args(Kind) and case.split in ("open", HELD)
        if not (digests and _fits(_VERSION, case.since) and known):
            yield f"case {number}"


def _is_entry(each: LockedVersion) -> bool:
    counts = (each.n, each.added, each.removed, each.changed)
    sound = all(type(n) is int and n >= 0 for n in counts) and type(each.rotated) is bool
    return sound and _fits(_VERSION, each.version) and _is_day(each.created)


def write_lock(file: Path, lock: Lock) -> None:
    """Write the lock of a set.

    Raises:
        StoreError: the file cannot be written.
    """
    try:
        with drafted(lock_file(file)) as draft:
            draft.write(to_json({"format": _FORMAT, **asdict(lock)}).encode())
    except OSError as error:
        raise StoreError.of(str(lock_file(file)), error, "then try again") from None


def _fits(form: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None


def _is_day(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(datetime.date.fromisoformat(value))
    except ValueError:
        return False
