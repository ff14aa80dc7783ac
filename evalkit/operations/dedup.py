"""Find near-duplicates in a golden set, and put the pairs that a person accepts into one cluster."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.disk.json_files import read_json
from evalkit.errors import InputError, Problem, noting
from evalkit.golden.near_duplicates import NearPair, NearPairs, near_duplicates, near_text
from evalkit.golden.read import read_all
from evalkit.golden.write import refuse_other_kinds, set_fields
from evalkit.report.next_steps import NextStep
from evalkit.types import Case

_COPY = "give the output of `evalkit golden dedup SET --json` without the pairs that you reject"


@dataclass(frozen=True, kw_only=True)
class Deduplicated:
    """The near-duplicates of a golden set."""

    n_cases: int
    open_pairs: tuple[NearPair, ...]
    """Pairs that no person has accepted yet."""
    n_accepted: int
    """Number of pairs whose cases are in one cluster."""
    complete: bool
    """False if pairs may be missing; see `NearPairs`."""
    n_cut: int = 0
    """Number of cases of which only the first 50,000 characters were compared."""


@dataclass(frozen=True, kw_only=True)
class AcceptedPairs:
    """What accepting pairs changed in a set."""

    n_pairs: int
    clusters: Mapping[str, tuple[str, ...]]
    """Cluster -> ids of its cases; only clusters that the pairs made or enlarged."""
    n_changed: int
    """Number of rows with another cluster than before."""


def find_duplicates(file: Path) -> Deduplicated:
    """Find the near-duplicate cases of a golden set.

    Args:
        file: the set, of any kind that a suite reads.

    Raises:
        InputError: reports every problem of the set.
    """
    cases = read_all(file, str(file))
    texts = [near_text(case) for case in cases]
    found: NearPairs = near_duplicates(texts)
    clusters = {case.id: case.cluster for case in cases}
    pairs = [pair for pair in found.pairs if not _in_one(clusters, pair.first.id, pair.second.id)]
    return Deduplicated(
        n_cases=len(cases),
        open_pairs=tuple(pairs),
        n_accepted=len(found.pairs) - len(pairs),
        complete=found.complete,
        n_cut=sum(bool(each.ending) for each in texts),
    )


def next_steps(file: Path) -> tuple[NextStep, ...]:
    """Return how to accept pairs of a set, with commands to copy."""
    command = f"evalkit golden dedup {shlex.quote(str(file))}"
    return (
        NextStep("to count pairs as one, write them to a file", f"{command} --json > pairs.json"),
        NextStep("remove the pairs that are not duplicates from it, then", f"{command} --accept pairs.json"),
    )


def accept_duplicates(file: Path, accepted: Path) -> AcceptedPairs:
    """Write the cluster of accepted pairs into a golden set, so that they do not count as independent.

    The cases of pairs that share one, directly or through others, get the cluster that the first of them has; if it
    has none, another's, and if none has one, `near-` and the id of the first. No case is removed.

    Args:
        file: the set, in JSON Lines.
        accepted: JSON with `pairs`, a list of objects with the ids `a` and `b`.

    Raises:
        InputError: reports every problem of both files; the set is unchanged.
    """
    refuse_other_kinds(file, str(file))
    cases = read_all(file, str(file))
    pairs = _accepted(accepted, {case.id for case in cases})
    changes: dict[int, dict[str, str]] = {}
    clusters: dict[str, tuple[str, ...]] = {}
    for group in _groups(cases, pairs):
        name = next((case.cluster for case in group if case.cluster is not None), None) or _free_name(cases, group[0])
        clusters[name] = tuple(case.id for case in group)
        for case in group:
            if case.cluster != name:
                changes[int(case.place.rpartition(":")[2])] = {"cluster": name}
    if changes:
        set_fields(file, str(file), changes)
    return AcceptedPairs(n_pairs=len(pairs), clusters=clusters, n_changed=len(changes))


def _in_one(clusters: Mapping[str, str | None], one: str, other: str) -> bool:
    return clusters[one] is not None and clusters[one] == clusters[other]


def _accepted(file: Path, ids: set[str]) -> list[tuple[str, str]]:
    """Read the accepted pairs."""
    shown = str(file)
    try:
        record: Any = read_json(file)
    except (OSError, ValueError) as error:
        raise InputError(Problem(shown, f"cannot be read: {error}", _COPY)) from None
    listed = record.get("pairs") if isinstance(record, dict) else None
    if not isinstance(listed, list) or not listed:
        raise InputError(Problem(shown, "no list `pairs` in it, or an empty one", _COPY))
    problems: list[Problem] = []
    note = noting(problems)
    pairs = []
    for at, pair in enumerate(listed):
        one, other = (pair.get("a"), pair.get("b")) if isinstance(pair, dict) else (None, None)
        if not isinstance(one, str) or not isinstance(other, str) or one == other:
            note(Problem(f"{shown} pairs[{at}]", "does not name two cases", 'write {"a": "ID", "b": "ID"}'))
            continue
        for unknown in sorted({one, other} - ids):
            note(
                Problem(f"{shown} pairs[{at}]", f"the set has no case {unknown!r}", "run `evalkit golden dedup` again")
            )
        pairs.append((one, other))
    if problems:
        raise InputError(problems)
    return pairs


def _groups(cases: Iterable[Case], pairs: Iterable[tuple[str, str]]) -> list[list[Case]]:
    """Return the cases that accepted pairs or existing clusters connect, in file order."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = name = parent[parent[name]]
        return name

    named = {id_ for pair in pairs for id_ in pair}
    by_id = {case.id: case for case in cases}
    for case in by_id.values():
        if case.cluster is not None:
            parent[root(_of_case(case.id))] = root(_of_cluster(case.cluster))
    for one, other in pairs:
        parent[root(_of_case(one))] = root(_of_case(other))
    touched = {root(_of_case(id_)) for id_ in named}
    groups: dict[str, list[Case]] = {}
    for case in by_id.values():
        if (top := root(_of_case(case.id))) in touched:
            groups.setdefault(top, []).append(case)
    return list(groups.values())


def _of_case(name: str) -> str:
    return f"case {name}"


def _of_cluster(name: str) -> str:
    return f"cluster {name}"


def _free_name(cases: Iterable[Case], first: Case) -> str:
    """Return a name that no cluster has yet."""
    taken = {case.cluster for case in cases}
    name = f"near-{first.id}"
    while name in taken:
        name += "+"
    return name
