"""Item analysis: what stored runs say about single cases of a golden set, besides how good the system is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evalkit.golden.near_duplicates import NearPair, near_duplicates, near_text, numbers_in, plain_text
from evalkit.types import Case

DEAD_VERSIONS = 20
IMPOSSIBLE_VERSIONS = 5
FLAKY_RUNS = 10
"""Runs of one version from which a case can be called flaky: of 3 to 5, a sound case near its mark looks flaky."""
FLAKY_SHARES = (0.2, 0.8)
AGREEING = 0.75
"""Share of the systems that must give the same answer against the reference."""
AGREEING_SYSTEMS = 3
Rule = Literal["flaky", "reference doubtful", "impossible", "contradictory", "redundant", "dead"]
RULES: tuple[Rule, ...] = ("flaky", "reference doubtful", "impossible", "contradictory", "redundant", "dead")
QUARANTINES: tuple[Rule, ...] = ("flaky", "reference doubtful", "impossible")
"""Rules that put the case itself in doubt, those with the least doubt about the finding first."""
_MEANINGS = frozenset({"number", "negation", "name"})
_NUMBER = re.compile(r"[-+]?[$€£]?\d[\d.,\u00a0\u202f' ]*\s?[%€$£]?\.?")


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRuns:
    """The runs of a case with one version of the system."""

    n_passed: int
    n: int
    """Runs that passed or failed; others say nothing about the case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemHistory:
    """A case with its stored runs."""

    case: Case
    versions: Mapping[str, VersionRuns]
    """Version of the system -> its runs, the oldest version first."""
    answers: Mapping[str, str]
    """System -> its latest answer that failed; empty for an answer that passed. Only of runs of several systems."""

    @property
    def n_passed(self) -> int:
        """Number of versions of which every run passed."""
        return sum(each.n_passed == each.n for each in self.versions.values())

    @property
    def n_failed(self) -> int:
        """Number of versions of which every run failed."""
        return sum(each.n_passed == 0 for each in self.versions.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFinding:
    """A case, or a pair of cases, for a person to look at."""

    rule: Rule
    case: Case
    what: str
    """What was seen, in words; without any text of the case."""
    other: Case | None = None
    """The second case of a pair."""

    @property
    def reason(self) -> str:
        """The reason that a case in quarantine carries."""
        return f"{self.rule}: {self.what}"


def item_findings(items: Sequence[ItemHistory]) -> tuple[ItemFinding, ...]:
    """Apply every rule, in the order of `RULES`, then of the set."""
    cases = {item.case.id: item for item in items}
    pairs = near_duplicates([near_text(item.case) for item in items]).pairs
    found = [finding for item in items for finding in _of_case(item)]
    found += _contradictory(items, pairs, cases)
    found += _redundant(pairs, cases)
    return tuple(sorted(found, key=lambda each: RULES.index(each.rule)))


def suspects(items: Iterable[ItemHistory]) -> tuple[Case, ...]:
    """Return the cases whose runs of one version differ, with too few runs to call them flaky."""
    return tuple(
        item.case
        for item in items
        if any(0 < each.n_passed < each.n for each in item.versions.values())
        and all(each.n < FLAKY_RUNS for each in item.versions.values())
    )


def _of_case(item: ItemHistory) -> Iterator[ItemFinding]:
    case, n = item.case, len(item.versions)
    low, high = FLAKY_SHARES
    flaky = [each for each in item.versions.values() if each.n >= FLAKY_RUNS and low <= each.n_passed / each.n <= high]
    if flaky:
        last = flaky[-1]
        yield ItemFinding(rule="flaky", case=case, what=f"{last.n_passed} of {last.n} runs of one version passed")
    if (agreed := _agreed(item)) is not None:
        what = f"{agreed[0]} of {agreed[1]} systems agree against the reference"
        yield ItemFinding(rule="reference doubtful", case=case, what=what)
    if n >= IMPOSSIBLE_VERSIONS and item.n_failed == n:
        yield ItemFinding(rule="impossible", case=case, what=f"failed in all {n} versions")
    if n >= DEAD_VERSIONS and item.n_passed == n and case.kind != "canary":
        yield ItemFinding(rule="dead", case=case, what=f"has not failed in {n} versions")


def _agreed(item: ItemHistory) -> tuple[int, int] | None:
    """Return how many of how many systems give the same wrong answer; `None` if too few do."""
    if len(item.answers) < AGREEING_SYSTEMS or not item.case.reference:
        return None
    wrong = Counter(_normalised(answer, item.case) for answer in item.answers.values() if answer)
    n_agreed = wrong.most_common(1)[0][1] if wrong else 0
    enough = n_agreed >= max(AGREEING_SYSTEMS, AGREEING * len(item.answers))
    return (n_agreed, len(item.answers)) if enough else None


def _normalised(answer: str, case: Case) -> str:
    """Return the words of an answer; its last number if the reference is a number."""
    if any(_NUMBER.fullmatch(each.strip()) for each in case.reference) and (numbers := numbers_in(answer)):
        return numbers[-1]
    return plain_text(answer)


def _contradictory(
    items: Iterable[ItemHistory], pairs: Iterable[NearPair], cases: Mapping[str, ItemHistory]
) -> Iterator[ItemFinding]:
    """Yield cases that ask the same with another reference, and pairs of another meaning with the same reference."""
    asked: dict[tuple[str, tuple[str, ...]], Case] = {}
    for item in items:
        case = item.case
        if not case.reference:
            continue
        first = asked.setdefault((plain_text(near_text(case).text), case.contexts), case)
        if _reference(first) != _reference(case):
            what = f"asks the same as {first.id}, with another reference"
            yield ItemFinding(rule="contradictory", case=case, other=first, what=what)
    for pair in pairs:
        first, second = cases[pair.first.id].case, cases[pair.second.id].case
        tells = [each for each in pair.differences if each in _MEANINGS]
        if tells and second.reference and _reference(first) == _reference(second):
            what = f"asks something else than {first.id} ({', '.join(tells)}), with the same reference"
            yield ItemFinding(rule="contradictory", case=second, other=first, what=what)


def _reference(case: Case) -> frozenset[str]:
    return frozenset(map(plain_text, case.reference))


def _redundant(pairs: Iterable[NearPair], cases: Mapping[str, ItemHistory]) -> Iterator[ItemFinding]:
    """Yield near-duplicates that never ended differently and are not in one cluster."""
    for pair in pairs:
        first, second = cases[pair.first.id], cases[pair.second.id]
        n = len(first.versions)
        if n < DEAD_VERSIONS or first.versions != second.versions:
            continue
        if first.case.cluster is None or first.case.cluster != second.case.cluster:
            what = f"nearly the same as {first.case.id}, with the same result in all {n} versions"
            yield ItemFinding(rule="redundant", case=second.case, other=first.case, what=what)


def quarantine_plan(
    findings: Iterable[ItemFinding], n_room: int, never: Mapping[str, str]
) -> tuple[tuple[ItemFinding, ...], tuple[ItemFinding, ...]]:
    """Choose the cases to put in quarantine.

    Args:
        findings: as from `item_findings`.
        n_room: number of cases that may still be put there.
        never: field -> its value in cases that always count.

    Returns:
        The first finding of each case that goes, and of each that would and has no room; cases that always count, and
        those that are there, are in neither.
    """
    first: dict[str, ItemFinding] = {}
    for finding in findings:
        always = any(getattr(finding.case, name) == value for name, value in never.items())
        if finding.rule in QUARANTINES and not always and not finding.case.quarantine:
            first.setdefault(finding.case.id, finding)
    chosen = list(first.values())
    return tuple(chosen[:n_room]), tuple(chosen[n_room:])
