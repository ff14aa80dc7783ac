"""Compare two versions of a golden set, each given by its cases or by its lock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from evalkit.golden.lock import id_hash, key_of_case
from evalkit.golden.old_cases import edited_parts
from evalkit.golden.stored_lock import Lock
from evalkit.types import Case


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionedCase:
    """A case of one version."""

    key: str
    """The first 16 hex digits of its digest."""
    kind: str
    case: Case | None = None
    """`None` if only the lock is known."""

    @property
    def name(self) -> str:
        """The id, else the key."""
        return self.key if self.case is None else self.case.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A property of a case that decides in which figures it counts, with both values."""

    name: str
    """`kind`, `severity`, `cluster` or `cohorts.NAME`."""
    before: str
    """Empty if the case has none."""
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EditedCase:
    """A case with the same id and another content."""

    before: VersionedCase
    after: VersionedCase
    fields: tuple[str, ...]
    """Names of the fields that differ; empty if a side is a lock."""
    moves: tuple[Move, ...]


@dataclass(frozen=True, kw_only=True)
class VersionChanges:
    """The cases in which two versions differ, in the order of the sets."""

    added: tuple[VersionedCase, ...]
    removed: tuple[VersionedCase, ...]
    edited: tuple[EditedCase, ...]
    n_before: int
    n_after: int


Versioned = Mapping[str, VersionedCase]
"""Hash of the id -> case."""


def of_cases(cases: Iterable[Case]) -> Versioned:
    """Return the cases of a set as a version."""
    return {id_hash(case.id): VersionedCase(key=key_of_case(case), kind=case.kind, case=case) for case in cases}


def of_lock(lock: Lock) -> Versioned:
    """Return the cases of a lock as a version, without held-out ones, which are not in the set."""
    return {case.id: VersionedCase(key=key, kind=case.kind) for key, case in lock.cases.items() if case.split == "open"}


def version_changes(before: Versioned, after: Versioned) -> VersionChanges:
    """Compare two versions of a set."""
    return VersionChanges(
        added=tuple(case for id_, case in after.items() if id_ not in before),
        removed=tuple(case for id_, case in before.items() if id_ not in after),
        edited=tuple(_edited(before[id_], case) for id_, case in after.items() if _differs(before.get(id_), case)),
        n_before=len(before),
        n_after=len(after),
    )


def _differs(before: VersionedCase | None, after: VersionedCase) -> bool:
    return before is not None and before.key != after.key


def _edited(before: VersionedCase, after: VersionedCase) -> EditedCase:
    if before.case is None or after.case is None:
        moves = [Move(name="kind", before=before.kind, after=after.kind)] if before.kind != after.kind else []
        return EditedCase(before=before, after=after, fields=(), moves=tuple(moves))
    fields = edited_parts(before.case, after.case)
    return EditedCase(before=before, after=after, fields=fields, moves=tuple(_moves(before.case, after.case)))


def _moves(before: Case, after: Case) -> Iterator[Move]:
    for name in ("kind", "severity", "cluster"):
        was, now = getattr(before, name) or "", getattr(after, name) or ""
        if was != now:
            yield Move(name=name, before=was, after=now)
    for name in sorted({*before.cohorts, *after.cohorts}):
        was, now = before.cohorts.get(name, ""), after.cohorts.get(name, "")
        if was != now:
            yield Move(name=f"cohorts.{name}", before=was, after=now)
