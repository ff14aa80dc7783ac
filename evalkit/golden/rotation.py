"""Rotate a golden set: retire dead and old cases, and replace them by candidates of the kinds it lacks."""

from __future__ import annotations

import datetime
import hashlib
import shlex
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.errors import InputError, Problem
from evalkit.golden.stored_lock import is_locked, read_lock
from evalkit.golden.survey import FEW_CASES
from evalkit.types import Case

YOUNG = datetime.timedelta(days=180)
"""Age below which a critical regression case stays."""
MOST_SYNTHETIC = 0.2
"""Largest share of the new cases that may be synthetic."""
_SLACK = 1e-9


def late_rotation(file: Path, today: datetime.date) -> Iterator[Problem]:
    """Yield a warning if a set is to be rotated by the rule in its lock, and the day has come.

    Raises:
        InputError: the lock cannot be read.
    """
    due = read_lock(file).next_rotation if is_locked(file) else None
    if due is not None and due <= today:
        fix = f"run `{rotate_command(file)}`"
        yield Problem(str(file), f"a rotation is due since {due.isoformat()}", fix)


def rotate_command(file: Path) -> str:
    """Return the command that rotates a set."""
    return f"evalkit golden rotate {shlex.quote(str(file))} --pool candidates.jsonl"


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """The cases that go and those that come; as many of both."""

    retired: tuple[Case, ...]
    """Dead ones first, then the oldest."""
    added: tuple[Case, ...]


def choose_rotation(  # noqa: PLR0913 - what a choice depends on
    cases: Sequence[Case],
    pool: Sequence[Case],
    since: Mapping[str, str],
    *,
    share: float,
    seed: int,
    today: datetime.date,
    anchor: float = 0.0,
    dead: Collection[str] = (),
    production: Mapping[str, float] | None = None,
) -> Rotation:
    """Choose who goes and who comes, the same for the same seed.

    Canaries, anchors and critical regression cases younger than 180 days stay. Anchors are the cases with
    `anchor: true`, and a share of all that is drawn by the hash of their ids, so that it is the same in each rotation.

    Args:
        cases: the open cases of the set.
        pool: usable candidates.
        since: id -> version of the set in which the case has its content.
        share: share of the cases to replace, above 0 and at most 1.
        seed: breaks ties.
        today: the day.
        anchor: share of the anchors, from 0 to below 1.
        dead: ids of cases that have not failed for long, which go first.
        production: `name=value` -> share of production, by which new cases are chosen; the cohorts of today's cases if
            not given.

    Raises:
        InputError: a cohort would fall under its floor.
    """
    going = [case for case in cases if _may_go(case, since[case.id], today) and _place(case) >= anchor]
    going.sort(key=lambda case: (case.id not in dead, _age(since[case.id]), _draw(case, seed)))
    n = int(share * len(cases) + _SLACK)
    going = going[:n]
    added = _choose(pool, cases, going, production or {}, seed)
    # Each case is replaced by one candidate, so that the set keeps its size and the gate its power.
    while len(added) < len(going):
        going = going[: len(added)]
        added = _choose(pool, cases, going, production or {}, seed)
    found = Rotation(retired=tuple(going), added=tuple(added))
    if problems := tuple(_floors(cases, found)):
        raise InputError(problems)
    return found


def _may_go(case: Case, version: str, today: datetime.date) -> bool:
    if case.kind == "canary" or case.fields.get("anchor") is True:
        return False
    guards = case.kind == "regression" and case.severity == "critical"
    return not guards or today - _day_of(case, version) >= YOUNG


def _place(case: Case) -> float:
    """Return a number from 0 to below 1 that depends on the id alone."""
    return int.from_bytes(_draw(case, "anchor")[:6]) / 2**48


def _day_of(case: Case, version: str) -> datetime.date:
    """Return the day from which a case counts: its own `since`, else the first of the version's month."""
    try:
        return datetime.date.fromisoformat(str(case.fields.get("since")))
    except ValueError:
        year, month = version.split(".")[:2]
        return datetime.date(int(year), int(month), 1)


def _age(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _draw(case: Case, seed: int | str) -> bytes:
    return hashlib.blake2b(f"{seed}:{case.id}".encode("utf-8", "surrogatepass")).digest()


def _choose(
    pool: Sequence[Case], cases: Sequence[Case], going: Sequence[Case], production: Mapping[str, float], seed: int
) -> list[Case]:
    """Return as many candidates as go: each time one of the cell that lacks most."""
    names = sorted(
        {label.partition("=")[0] for label in production} or {name for case in cases for name in case.cohorts}
    )
    gone = {case.id for case in going}
    held = Counter(_cell(case, names) for case in cases if case.id not in gone)
    wanted = _wanted(cases, names, production)
    n_synthetic = int(MOST_SYNTHETIC * len(going) + _SLACK)
    rest: dict[tuple[str, ...], list[Case]] = defaultdict(list)
    for case in sorted(pool, key=lambda case: _draw(case, seed), reverse=True):
        rest[_cell(case, names)].append(case)
    chosen: list[Case] = []
    while rest and len(chosen) < len(going):
        cell = max(rest, key=lambda cell: (wanted.get(cell, 0.0) - held[cell], cell))
        best = rest[cell].pop()
        if not rest[cell]:
            del rest[cell]
        synthetic = best.fields.get("origin") == "synthetic"
        if synthetic and not n_synthetic:
            continue
        n_synthetic -= synthetic
        chosen.append(best)
        held[cell] += 1
    return chosen


def _wanted(
    cases: Sequence[Case], names: Sequence[str], production: Mapping[str, float]
) -> Mapping[tuple[str, ...], float]:
    """Return cell -> number of cases that it should have."""
    if not production:
        return Counter(_cell(case, names) for case in cases)
    cells: dict[tuple[str, ...], float] = {}
    for label, share in production.items():
        name, _, value = label.partition("=")
        cells[tuple(value if each == name else "" for each in names)] = share * len(cases)
    return cells


def _cell(case: Case, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(case.cohorts.get(name, "") for name in names)


def _floors(cases: Sequence[Case], found: Rotation) -> Iterator[Problem]:
    """Yield the cohorts that fall below 30 cases, or vanish."""
    before = Counter(label for case in cases for label in _labels(case))
    gone, come = (Counter(label for case in side for label in _labels(case)) for side in (found.retired, found.added))
    for label, was in sorted(before.items()):
        now = was - gone[label] + come[label]
        if now < FEW_CASES <= was or (now == 0 < was):
            least = FEW_CASES if was >= FEW_CASES else 1
            what = f"{label} falls from {was} to {now} cases, at least {least} are needed"
            yield Problem("rotation", what, "add candidates of this cohort to the pool, or lower --share")


def _labels(case: Case) -> Iterator[str]:
    yield from (f"{name}={value}" for name, value in case.cohorts.items())
