"""Decide whether a case may join a golden set: no personal data, no copy of another case, something expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalkit.errors import InputError, Problem
from evalkit.golden.fields import NEEDS_REFERENCE, to_case
from evalkit.golden.held_out import is_held_file, read_held
from evalkit.golden.near_duplicates import NearPair, near_text, nearest
from evalkit.golden.read import read_all
from evalkit.golden.synthetic import is_synthetic, synthetic_faults
from evalkit.golden.write import add_row, refuse_other_kinds
from evalkit.monitor.deidentify import NO_NAMES, NameList, deidentify, kinds_left, texts_in
from evalkit.text.changes import changes
from evalkit.types import Case

EXPECTED = ("reference", "required", "forbidden", "refuse", "checks", "expected_tool_calls", "expected_state")
"""Fields that say what a right answer is."""
_BOOKKEEPING = ("id", "source", "taken_from", "since", "because", "origin", "reviewed_by", "of", "by")
"""Fields of a new case in which evalkit's own words are, not those of a user."""
_OF_PERSONS = (
    ("id", "its id", "give another one with --id"),
    ("because", "--because", "write it without them"),
)
"""Fields that are checked for personal data and never changed: name, how a message names it, and what to do."""


@dataclass(frozen=True, kw_only=True)
class NewCase:
    """A case that joins a set."""

    file: Path
    row: Mapping[str, Any]
    changes: tuple[str, ...] = ()
    """What de-identification changed, one line each."""
    replaced: Mapping[str, int] = field(default_factory=dict)
    """Word of a placeholder -> number of different data."""
    variants: tuple[NearPair, ...] = ()
    """Cases that resemble it and are likely to mean something else."""

    @property
    def id(self) -> str:
        """Id of the case."""
        return str(self.row["id"])

    @property
    def needs_reference(self) -> bool:
        """Whether its reference is still to be written."""
        return self.row.get(NEEDS_REFERENCE) is True


def new_case(
    row: Mapping[str, Any],
    file: Path,
    *,
    names: NameList = NO_NAMES,
    replace_data: bool = False,
    known: Sequence[Case] | None = None,
) -> NewCase:
    """Check a row, and return the case that it adds to a set; nothing is written.

    A variant of a case of the set gets that case's cluster, if it has one.

    Args:
        row: the row; if its id is taken, a number is added.
        file: the set, a JSON Lines file that need not exist yet.
        names: names that count as personal data.
        replace_data: whether to replace personal data by placeholders instead of refusing them.
        known: cases to compare with; `None` for those of the file.

    Raises:
        InputError: reports everything that keeps the row out of the set.
    """
    refuse_other_kinds(file, str(file))
    if known is None:
        known = read_all(file, str(file)) if file.exists() else []
    held = read_held(file) or ()
    told: list[str] = []
    replaced: Mapping[str, int] = {}
    own = {name: value for name, value in row.items() if _is_own(name, value)}
    texts = {name: value for name, value in row.items() if not _is_own(name, value)}
    if replace_data:
        clean = deidentify(texts, names)
        replaced = clean.counts
        for before, after in zip(texts_in(texts), texts_in(clean.value), strict=True):
            told += changes(before, after)
        texts = clean.value
    made = {**own, **texts, "id": _free_id(str(row["id"]), {case.id for case in (*known, *held)})}
    made = {name: made[name] for name in ("id", *(key for key in row if key != "id"))}
    problems: list[Problem] = []
    place = "case" if kinds_left(made["id"], names) else f"case {made['id']}"
    case = to_case(made, place, lambda what, fix: problems.append(Problem(place, what, fix)))
    pairs = [] if case is None else [*nearest(near_text(case), map(near_text, known))]
    problems += _faults(made, place, names, pairs)
    problems += _lacking_cohorts(made, place, known)
    problems += [] if case is None else [Problem(place, *said) for said in synthetic_faults(known, case)]
    problems += [] if case is None else [Problem(place, *said) for said in _held_faults(case, file, held)]
    if problems:
        raise InputError(problems)
    variants = tuple(pair for pair in pairs if pair.kind == "variant")
    cluster = next(
        (case.cluster for case in known for pair in variants if case.id == pair.first.id and case.cluster), None
    )
    if cluster is not None and made.get("cluster") is None:
        made["cluster"] = cluster
    return NewCase(file=file, row=made, changes=tuple(told), replaced=replaced, variants=variants)


def _held_faults(case: Case, file: Path, held: Sequence[Case]) -> Iterator[tuple[str, str]]:
    """Yield what and fix if a synthetic case would be held out, or an open one would show a held-out one."""
    if is_synthetic(case) and is_held_file(file):
        yield "a synthetic case, and those are never held out", "add it to the open set"
    if any(pair.kind == "same" for pair in nearest(near_text(case), map(near_text, held))):
        yield "nearly the same as a held-out case", "leave it out: the set has such a case, which nobody sees"


def write_case(case: NewCase) -> None:
    """Append a checked case to its set.

    Raises:
        StoreError: the set cannot be written.
    """
    add_row(case.file, str(case.file), case.row)


def _faults(row: Mapping[str, Any], place: str, names: NameList, pairs: list[NearPair]) -> Iterator[Problem]:
    left = kinds_left({name: value for name, value in row.items() if not _is_own(name, value)}, names)
    for name, said, fix in _OF_PERSONS:
        if kinds := kinds_left(row.get(name), names):
            yield Problem(place, f"personal data or secrets in {said}: {', '.join(kinds)}", fix)
    if left:
        fix = "replace them with --deidentify, or in the row by hand"
        yield Problem(place, f"personal data or secrets in it: {', '.join(left)}", fix)
    for pair in pairs:
        if pair.kind == "same":
            what = f"nearly the same as {pair.first.place} {pair.first.id} ({pair.jaccard:.2f})"
            yield Problem(place, what, "edit that case instead")
    expects = any(row.get(name) not in (None, "", []) for name in EXPECTED)
    if not expects and row.get(NEEDS_REFERENCE) is not True:
        fix = "give --reference TEXT, or --needs-reference to write it later"
        yield Problem(place, "nothing says what a right answer is", fix)


def _lacking_cohorts(row: Mapping[str, Any], place: str, known: Sequence[Case]) -> Iterator[Problem]:
    """Yield the cohorts that every case of the set has and the row lacks: a suite that reports by one refuses it."""
    own = row.get("cohorts")
    common = set.intersection(*(set(case.cohorts) for case in known)) if known else set()
    # A suite reads a field of its cohort's name, such as `origin`, as the cohort.
    for name in sorted(common - set(own if isinstance(own, dict) else ()) - row.keys()):
        what = f"no cohort {name!r}, which every case of the set has"
        yield Problem(place, what, f"give --cohort {name}=VALUE")


def _is_own(name: str, value: object) -> bool:
    """Return whether a field is of evalkit or of the person who adds the case; a `source` of text is the user's."""
    return name in _BOOKKEEPING and not (name == "source" and isinstance(value, str))


def _free_id(wanted: str, taken: set[str]) -> str:
    """Return the id, with a number if it is taken."""
    number = 2
    name = wanted
    while name in taken:
        name, number = f"{wanted}-{number}", number + 1
    return name
