"""Survey a golden set while it is checked: repeats, cohorts, missing fields."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, pairwise

from evalkit.errors import Problem
from evalkit.golden.index import CaseIndex
from evalkit.golden.json_lines import Note
from evalkit.text.numbers import plural
from evalkit.types import Case

FEW_CASES = 30
"""Number of cases below which a cohort has wide intervals and weak tests."""
SHOWN_IDS = 5
MOST_QUARANTINED = 0.05
"""Largest share of the cases that may be in quarantine."""

Need = Callable[[Case], Iterator[str]]
"""Function that returns the fields that a case lacks for the scorers that apply to it."""


@dataclass(slots=True)
class Lack:
    """Cases that lack one field: their number, the first ids, and the position of the first."""

    place: str
    n: int = 0
    ids: list[str] = field(default_factory=list)

    def add(self, case_id: str) -> None:
        """Count one case."""
        self.n += 1
        if len(self.ids) < SHOWN_IDS:
            self.ids.append(case_id)

    def __str__(self) -> str:
        """Format the ids for messages."""
        more = f" and {self.n - len(self.ids)} more" if self.n > len(self.ids) else ""
        return ", ".join(self.ids) + more


class GoldenSurvey:
    """Collects every valid case of a set once, in file order."""

    def __init__(self, shown: str, note: Note, need: Need | None) -> None:
        """Start empty.

        Args:
            shown: name of the file in messages.
            note: called for problems of the cases.
            need: called for each case; the fields that it yields are collected in `missing`.
        """
        self._shown, self._note, self._need = shown, note, need
        self.index = CaseIndex(shown)
        self._lines = array("I")
        self._ids, self._asked, self._wanted = array("q"), array("q"), array("q")
        """Per case the hash of its id, of its question (0 without a reference) and of its reference."""
        self._n_alike, self._first_alike = array("I"), array("I")
        """Per kind, severity and cohorts the number of cases and the first line."""
        self._content = hashlib.sha256()
        self.missing: dict[str, Lack] = {}
        self.warnings: list[Problem] = []
        self.checks = False
        self._quarantined: Lack | None = None

    @property
    def n_cases(self) -> int:
        """Number of cases."""
        return len(self._lines)

    @property
    def sha256(self) -> str:
        """SHA-256 of the content of every case, in file order."""
        return self._content.hexdigest()

    def add(self, case: Case, line: int, offset: int = 0) -> None:
        """Take one case, which begins at a byte of its file."""
        like = self.index.add(case, line, offset)
        if like == len(self._n_alike):
            self._n_alike.append(0)
            self._first_alike.append(line)
        self._n_alike[like] += 1
        self._lines.append(line)
        self._ids.append(hash(case.id))
        self._asked.append(hash((_asked(case), case.contexts)) if case.reference else 0)
        self._wanted.append(hash(case.reference))
        self._content.update(case.digest.encode())
        self.checks = self.checks or bool(case.fields.get("checks"))
        if case.quarantine:
            self._quarantined = self._quarantined or Lack(case.place)
            self._quarantined.add(case.id)
        for lacked in self._need(case) if self._need else ():
            self.missing.setdefault(lacked, Lack(case.place)).add(case.id)

    @cached_property
    def counts(self) -> dict[str, dict[str, int]]:
        """Cohort name -> value -> number of cases, in file order; complete once every case was added."""
        counts: dict[str, dict[str, int]] = {}
        for (_, _, cohorts), n in zip(self.index.likes, self._n_alike, strict=True):
            for name, value in cohorts:
                of_name = counts.setdefault(name, {})
                of_name[value] = of_name.get(value, 0) + n
        return counts

    @cached_property
    def _first(self) -> dict[tuple[str, str], str]:
        """Cohort name and value -> place of its first case."""
        first: dict[tuple[str, str], str] = {}
        for (_, _, cohorts), line in zip(self.index.likes, self._first_alike, strict=True):
            for cohort in cohorts:
                first.setdefault(cohort, f"{self._shown}:{line}")
        return first

    def repeated(self, waiting: Sequence[Case]) -> Iterator[Problem]:
        """Yield the ids that several cases have, those that wait included."""
        first: dict[str, int] = {}
        rows = _rows_of(self._ids, _repeated(self._ids) | {hash(case.id) for case in waiting})
        of_rows = zip(self.index.ids_at(rows), (self._lines[row] for row in rows), strict=True)
        of_waiting = ((case.id, int(case.place.rpartition(":")[2])) for case in waiting)
        for case_id, line in chain(of_rows, of_waiting):
            if first.setdefault(case_id, line) != line:
                what = f"`id` {case_id!r} repeats line {first[case_id]}"
                yield Problem(f"{self._shown}:{line}", what, "give each case its own id")

    def contradictions(self) -> Iterator[Problem]:
        """Yield a warning for each case that asks what another one asks and expects something else: one must fail."""
        first: dict[int, int] = {}
        found = []
        for row in _rows_of(self._asked, _repeated(self._asked) - {0}):
            other = first.setdefault(self._asked[row], row)
            if self._wanted[other] != self._wanted[row]:
                found.append((row, self._lines[other]))
        for (row, line), case_id in zip(found, self.index.ids_at(row for row, _ in found), strict=True):
            what = f"asks what line {line} asks but has another reference"
            place = f"{self._shown}:{self._lines[row]} id {case_id}"
            yield Problem(place, what, "keep one, or list both references")

    def too_many_quarantined(self) -> Iterator[Problem]:
        """Yield a problem if more than 5 % of the cases are in quarantine."""
        found, most = self._quarantined, most_quarantined(self.n_cases)
        if found is not None and found.n > most:
            what = f"{plural(found.n, 'case')} of {self.n_cases} in quarantine, at most {most} can be (5 %): {found}"
            yield Problem(found.place, what, "repair or remove cases, or take some out of quarantine")

    def waiting(self, waiting: Sequence[Case]) -> Iterator[Problem]:
        """Yield a warning if cases do not count because they have no reference yet."""
        if not waiting:
            return
        lack = Lack(waiting[0].place)
        for case in waiting:
            lack.add(case.id)
        what = f"{plural(lack.n, 'case')} with `needs_reference` left out until the reference is written: {lack}"
        yield Problem(lack.place, what, "write `reference`, and remove `needs_reference`")

    def spellings(self) -> Iterator[Problem]:
        """Yield cohort values that differ by case only, which would split a cohort."""
        for name, counts in self.counts.items():
            folded: dict[str, str] = {}
            for value in counts:
                other = folded.setdefault(value.casefold(), value)
                if other != value:
                    first = self._first[name, other].rpartition(":")[2]
                    what = f"cohort {name} is spelled {value!r}, and {other!r} on line {first}"
                    yield Problem(self._first[name, value], what, "choose one spelling")

    def small(self, names: Iterable[str]) -> Iterator[Problem]:
        """Yield the cohorts of these names that have too few cases."""
        for name in names:
            counts = self.counts.get(name, {})
            few = [value for value, n in counts.items() if n < FEW_CASES]
            if few:
                value = min(few, key=lambda each: (counts[each], each))
                share = f"{len(few)} of {len(counts)} values of cohort {name}"
                what = f"{share} have fewer than {FEW_CASES} cases, the fewest {value!r} with {counts[value]}"
                yield Problem(self._first[name, value], what, "expect wide intervals, or add cases")


def most_quarantined(n_cases: int) -> int:
    """Return how many cases of a set may be in quarantine."""
    return int(MOST_QUARANTINED * n_cases + 1e-9)


def _repeated(hashes: array[int]) -> set[int]:
    """Return the hashes that occur more than once."""
    return {one for one, other in pairwise(sorted(hashes)) if one == other}


def _rows_of(hashes: array[int], wanted: Collection[int]) -> list[int]:
    return [row for row, each in enumerate(hashes) if each in wanted] if wanted else []


def _asked(case: Case) -> str:
    """Return the question of a case, including the whole chat."""
    return case.input if isinstance(case.input, str) else repr(case.input)
