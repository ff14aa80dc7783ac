"""Rotate a golden set: check the pool, choose, and write set, retired cases and lock."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.errors import InputError, Problem
from evalkit.golden.held_out import read_held
from evalkit.golden.lock import id_hash, lock_problems, make_lock
from evalkit.golden.near_duplicates import near_duplicates, near_text
from evalkit.golden.read import read_all
from evalkit.golden.rotation import Rotation, choose_rotation
from evalkit.golden.rotation_rule import RotationRule
from evalkit.golden.stored_lock import Lock, read_lock, stem_of
from evalkit.golden.write import refuse_other_kinds, replace_lines
from evalkit.operations.golden_items import golden_items
from evalkit.operations.new_case import EXPECTED
from evalkit.suite.parse import load_suite
from evalkit.types import Case


@dataclass(frozen=True, kw_only=True)
class RotatedSet:
    """A rotation, written or not."""

    rotation: Rotation
    unusable: Counter[str]
    """Why candidates were left out -> how many."""
    lock: Lock | None
    """The new lock; `None` after a dry run."""
    retired_file: Path


def rotate_set(  # noqa: PLR0913 - each is a flag of the command
    file: Path,
    pool: Path,
    *,
    today: datetime.date,
    share: float | None = None,
    seed: int = 1,
    suite_file: Path | None = None,
    dry_run: bool = False,
) -> RotatedSet:
    """Replace a share of the cases of a locked set by candidates, and lock it.

    Held-out cases are not touched. The retired cases are appended to `SET.retired.jsonl`.

    Args:
        file: the set, in JSON Lines, as it was locked.
        pool: candidates, in JSON Lines; the file stays as it is.
        today: the day, which gives the version.
        share: share of the cases to replace, above 0 and at most 1; `None` for that of the lock, else one in ten.
        seed: breaks ties.
        suite_file: suite whose stored runs say which cases are dead, and whose `production:` says which ones are
            needed.
        dry_run: whether to write nothing.

    Raises:
        InputError: the set is not as locked, no candidate can be used, or a cohort would become too small.
        StoreError: a file cannot be written.
    """
    for each in (file, pool):
        refuse_other_kinds(each, str(each))
    if share is not None and not 0 < share <= 1:
        raise InputError(Problem("--share", f"{share:g} is not a share", "write a number above 0, up to 1"))
    lock = read_lock(file)
    rule = lock.rotation or RotationRule()
    if problems := tuple(lock_problems(file, str(file))):
        raise InputError(problems)
    retired_file = file.with_name(f"{stem_of(file.name)}.retired.jsonl")
    cases, candidates = read_all(file, str(file)), read_all(pool, str(pool))
    known = read_all(retired_file, str(retired_file)) if retired_file.exists() else []
    usable, unusable = _usable(candidates, cases, [*known, *(read_held(file) or ())])
    if not usable:
        what = "; ".join(f"{n} {why}" for why, n in unusable.items()) or "it is empty"
        raise InputError(Problem(str(pool), f"no candidate can be used: {what}", "add other candidates"))
    suite = None if suite_file is None else load_suite(suite_file)
    dead = [each.case.id for each in golden_items(suite.path).findings if each.rule == "dead"] if suite else []
    since = {case.id: case.since for case in lock.cases.values()}
    rotation = choose_rotation(
        cases,
        usable,
        {case.id: since[id_hash(case.id)] for case in cases},
        share=rule.share if share is None else share,
        anchor=rule.anchor,
        seed=seed,
        today=today,
        dead=dead,
        production=suite.options.production if suite else None,
    )
    if not rotation.retired:
        raise InputError(Problem(str(file), "no case can go", "raise --share: each case stays by rule, or none fits"))
    if not dry_run:
        lines = {_line(case) for case in rotation.retired}
        replace_lines(file, str(file), lines, retired_file, (pool, [_line(case) for case in rotation.added]))
        lock, _ = make_lock(file, today, rotated=True)
    return RotatedSet(rotation=rotation, unusable=unusable, lock=None if dry_run else lock, retired_file=retired_file)


def _line(case: Case) -> int:
    return int(case.place.rpartition(":")[2])


def _usable(
    candidates: Sequence[Case], cases: Sequence[Case], known: Sequence[Case]
) -> tuple[list[Case], Counter[str]]:
    """Return the candidates that may join the set, and why the others may not."""
    taken = {case.id for case in cases} | {case.id for case in known}
    texts = [near_text(case) for case in [*cases, *candidates]]
    firsts = {id(text): at for at, text in enumerate(texts)}
    same = {firsts[id(pair.second)] for pair in near_duplicates(texts).pairs if pair.kind == "same"}
    unusable: Counter[str] = Counter()
    usable = []
    for at, case in enumerate(candidates, len(cases)):
        expects = bool(case.reference) or any(case.fields.get(name) not in (None, "", []) for name in EXPECTED)
        if case.id in taken:
            unusable["has an id of the set"] += 1
        elif not expects or case.fields.get("needs_reference") is True:
            unusable["without an expectation"] += 1
        elif at in same:
            unusable["nearly the same as another case"] += 1
        else:
            usable.append(case)
    return usable, unusable
