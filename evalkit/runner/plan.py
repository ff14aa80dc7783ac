"""Plan the cases and repeats of a run."""

from __future__ import annotations

import hashlib
import heapq
import unicodedata
from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from evalkit.golden.index import CaseIndex, counted, labelled, named
from evalkit.golden.shards import Shard
from evalkit.store.row_keys import Key
from evalkit.types import Case


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The choice of `--case`, `--cohort`, `--limit`, `--sample` and `--shard`; empty for all cases of the suite."""

    limit: int | None = None
    sample: int | None = None
    case_ids: tuple[str, ...] = ()
    ids_of: str = ""
    """Source of the case ids, such as `--failed-from reports/first`; empty if each was named."""
    cohorts: tuple[str, ...] = ()
    """Cohorts as `name=value`, or `!name=value` to leave one out."""
    shard: Shard | None = None
    seed: int = 0
    watched: bool = False
    """Whether `--watch` asks, whose runs are never gated."""
    unlocked: bool = False
    """Whether `--unlocked` lets the golden set differ from its lock."""

    @property
    def partial(self) -> str | None:
        """Why the run is partial and so not gated; `None` for a whole run."""
        named = [self.ids_of] if self.ids_of else [f"--case {name}" for name in self.case_ids]
        parts = named + [f"--cohort {name}" for name in self.cohorts]
        parts += [f"--limit {self.limit}"] if self.limit is not None else []
        parts += [f"--sample {self.sample}"] if self.sample is not None else []
        parts += [self.shard.flag] if self.shard is not None else []
        parts += ["--watch"] if self.watched else []
        parts += ["--unlocked"] if self.unlocked else []
        return " ".join(parts) or None

    @property
    def whole(self) -> bool:
        """Whether no case, cohort or limit is named, so that a sample may be drawn."""
        return not self.case_ids and not self.ids_of and not self.cohorts and self.limit is None

    @property
    def names_ids(self) -> bool:
        """Whether `--case`, or a file of ids, chooses the cases."""
        return bool(self.case_ids or self.ids_of)

    @cached_property
    def ids(self) -> frozenset[str]:
        """The ids of `--case`, as a golden set gives them."""
        return frozenset(_as_read(each) for each in self.case_ids)

    def allows(self, case: Case) -> bool:
        """Return True if `--case`, `--cohort` and `--shard` select the case."""
        if self.shard is not None and not self.shard.holds(case):
            return False
        if self.names_ids and case.id not in self.ids:
            return False
        wanted = [cohort for cohort in self.cohorts if not cohort.startswith("!")]
        unwanted = [cohort[1:] for cohort in self.cohorts if cohort.startswith("!")]
        has = cohorts_of(case)
        return not has.intersection(unwanted) and (not wanted or bool(has.intersection(wanted)))


def _as_read(case_id: str) -> str:
    """Return an id in the form that a golden set gives it: trimmed, and in Unicode form NFC."""
    return unicodedata.normalize("NFC", case_id.strip())


def cohorts_of(case: Case) -> set[str]:
    """Return the names that `--cohort` accepts for a case: `name=value`, and each value alone."""
    has = {f"{name}={value}" for name, value in case.cohorts.items()} | {f"kind={case.kind}"}
    return has | {f"severity={case.severity}", *case.cohorts.values()}


def unknown_choices(cases: Iterable[Case], selection: Selection) -> list[tuple[str, str]]:
    """Return flag and value of each choice that matches no case, such as a misspelt one."""
    ids = set() if selection.ids_of else set(selection.case_ids)
    known = {case.id for case in named(cases, frozenset(map(_as_read, ids)))} if ids else set()
    cohorts = {cohort.removeprefix("!") for cohort in selection.cohorts}
    for has, _ in labelled(cases, cohorts_of) if cohorts else ():
        cohorts -= has
    unknown = sorted(each for each in ids if _as_read(each) not in known)
    return [*(("--case", word) for word in unknown), *(("--cohort", word) for word in sorted(cohorts))]


def select(cases: Iterable[Case], selection: Selection) -> frozenset[str] | None:
    """Return the digests of the chosen cases, `None` for all of them.

    `--limit` draws the same cases for the same seed: the first by hash, in proportion to the kinds of the set.

    Args:
        cases: the cases, or their index, which is walked several times instead of holding its cases.
        selection: the choice.
    """
    if selection.partial is None:
        return None
    if selection.names_ids:
        cases = [case for case in named(cases, selection.ids) if selection.allows(case)]
    elif not isinstance(cases, CaseIndex):
        cases = [case for case in cases if selection.allows(case)]

    def kind_of(case: Case) -> str:
        return case.kind if isinstance(cases, list) or selection.allows(case) else ""

    counts = counted(cases, kind_of)
    del counts[""]
    if selection.limit is None or selection.limit >= counts.total():
        return frozenset(digest for kind, digest in labelled(cases, kind_of) if kind)
    chosen: list[str] = []
    for kind, share in _shares(counts, selection.limit).items():
        members = (digest for other, digest in labelled(cases, kind_of) if other == kind)
        chosen += heapq.nsmallest(share, members, key=lambda digest: draw_key(digest, selection.seed))
    return frozenset(chosen)


def drawn(cases: Iterable[Case], n: int, seed: int, *, among: Collection[str] | None) -> frozenset[str]:
    """Return the digests of the first `n` cases by hash, among those in `among` if given."""
    digests = (digest for _, digest in labelled(cases, _no_label) if among is None or digest in among)
    return frozenset(heapq.nsmallest(n, digests, key=lambda digest: draw_key(digest, seed)))


def _no_label(case: Case) -> None:
    """Tell no case from another."""


def plan(
    cases: Iterable[Case], repeats: Iterable[int], *, chosen: Container[str] | None, done: Container[Key]
) -> Iterator[tuple[Case, int]]:
    """Yield every chosen case and repeat that is not done, repeat by repeat within a case."""
    for case in cases:
        if chosen is not None and case.digest not in chosen:
            continue
        for repeat in repeats:
            if (case.digest, repeat) not in done:
                yield case, repeat


def _shares(counts: Counter[str], limit: int) -> dict[str, int]:
    """Split `limit` in proportion to `counts`, largest remainders first, ties by name."""
    total = counts.total()
    shares = {kind: limit * count // total for kind, count in counts.items()}
    by_remainder = sorted(counts, key=lambda kind: (-(limit * counts[kind] % total), kind))
    for kind in by_remainder[: limit - sum(shares.values())]:
        shares[kind] += 1
    return dict(sorted(shares.items()))


def draw_key(digest: str, seed: int) -> bytes:
    """Return the sort key of a case in the order that a seed draws."""
    return hashlib.blake2b(f"{seed}:{digest}".encode(), digest_size=8).digest()
