"""Survey a golden set while it is checked: repeats, cohorts, missing fields."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from evalkit.errors import Problem
from evalkit.golden.index import HASH_BYTES, KeyNumbers
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

    def __init__(self, note: Note, need: Need | None) -> None:
        """Start empty.

        Args:
            note: called for problems between cases.
            need: called for each case; the fields that it yields are collected in `missing`.
        """
        self._note, self._need = note, need
        self._ids, self._id_lines = KeyNumbers(HASH_BYTES), array("I")
        self._asked, self._asked_lines, self._wanted = KeyNumbers(8), array("I"), array("q")
        self._content = hashlib.sha256()
        self.counts: dict[str, dict[str, int]] = {}
        self._first: dict[tuple[str, str], str] = {}
        self.missing: dict[str, Lack] = {}
        self.warnings: list[Problem] = []
        self.checks = False
        self._quarantined: Lack | None = None

    @property
    def n_cases(self) -> int:
        """Number of cases with a unique id."""
        return len(self._ids)

    @property
    def sha256(self) -> str:
        """SHA-256 of the content of every case, in file order."""
        return self._content.hexdigest()

    def add(self, case: Case, line: int) -> None:
        """Take one case."""
        number = self._ids.number(_id_key(case.id))
        if number == len(self._id_lines):
            self._id_lines.append(line)
        first = self._id_lines[number]
        if first != line:
            self._note(Problem(case.place, f"`id` {case.id!r} repeats line {first}", "give each case its own id"))
        self._content.update(case.digest.encode())
        self.checks = self.checks or bool(case.fields.get("checks"))
        if case.quarantine:
            self._quarantined = self._quarantined or Lack(case.place)
            self._quarantined.add(case.id)
        self._compare(case, line)
        for name, value in case.cohorts.items():
            counts = self.counts.setdefault(name, {})
            if value not in counts:
                self._first[name, value] = case.place
            counts[value] = counts.get(value, 0) + 1
        for lacked in self._need(case) if self._need else ():
            self.missing.setdefault(lacked, Lack(case.place)).add(case.id)

    def repeated(self, waiting: Iterable[Case]) -> Iterator[Problem]:
        """Yield the ids of waiting cases that another case has."""
        lines: dict[str, int] = {}
        for case in waiting:
            line = int(case.place.rpartition(":")[2])
            number = self._ids.find(_id_key(case.id))
            first = lines.setdefault(case.id, line) if number is None else self._id_lines[number]
            if first != line:
                yield Problem(case.place, f"`id` {case.id!r} repeats line {first}", "give each case its own id")

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

    def _compare(self, case: Case, line: int) -> None:
        """Warn about two cases with the same input and different expectations, which cannot both pass."""
        if not case.reference:
            return
        wanted = hash(case.reference)
        number = self._asked.number(hash((_asked(case), case.contexts)).to_bytes(8, signed=True))
        if number == len(self._wanted):
            self._asked_lines.append(line)
            self._wanted.append(wanted)
        if self._wanted[number] != wanted:
            what = f"asks what line {self._asked_lines[number]} asks but has another reference"
            self.warnings.append(Problem(f"{case.place} id {case.id}", what, "keep one, or list both references"))

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


def _id_key(identity: str) -> bytes:
    return hashlib.blake2b(identity.encode(), digest_size=HASH_BYTES).digest()


def _asked(case: Case) -> str:
    """Return the question of a case, including the whole chat."""
    return case.input if isinstance(case.input, str) else repr(case.input)
