"""Gather what is known about a golden set: coverage, near-duplicates, leaks, items, lock, card and age."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem
from evalkit.golden.rotation import late_rotation, rotate_command
from evalkit.golden.stored_lock import read_lock
from evalkit.operations.coverage import golden_coverage
from evalkit.operations.data_card import card_file, golden_card
from evalkit.operations.dedup import find_duplicates, next_steps
from evalkit.operations.golden_items import MOST_RUNS, golden_items
from evalkit.operations.leaks import golden_leaks
from evalkit.operations.lock import check_lock
from evalkit.report.golden_page import GoldenPart, write_golden_page
from evalkit.report.next_steps import NextStep
from evalkit.suite.model import Suite
from evalkit.suite.parse import load_suite
from evalkit.text.numbers import Style, bounds, figure, plural

COVERED = 0.95
"""Share of production whose lower bound a set should reach."""
_RATE = Style("rate")


@dataclass(frozen=True, kw_only=True)
class CallShares:
    """What production asks: a file of calls, or declared shares; both empty for the suite's `production`."""

    by: Sequence[str] | None = None
    production: Path | None = None
    mix: str | None = None


@dataclass(frozen=True, kw_only=True)
class GoldenReport:
    """The parts of the page of a golden set."""

    suite: str
    facts: tuple[str, ...]
    parts: tuple[GoldenPart, ...]


def golden_report(
    suite_file: Path, shares: CallShares, n_runs: int = MOST_RUNS, today: date | None = None
) -> GoldenReport:
    """Gather the parts; what cannot be said of this set says why, and how to change that.

    Args:
        suite_file: the suite.
        shares: what production asks.
        n_runs: number of stored runs to read, the newest.
        today: the day on which a rotation may be due; `None` for the one of the clock.

    Raises:
        InputError: the suite, the set, or the file of calls cannot be used.
    """
    suite = load_suite(suite_file)
    if suite.golden_file is None:
        raise InputError(Problem(suite.place("golden"), "the set is not a file", "name a file of this project"))
    file = Path(shown_path(suite.golden_file))
    card, today = golden_card(file), today or datetime.now(UTC).date()
    parts = (
        _coverage(suite, suite_file, shares),
        _known("Near-duplicates", lambda: _near_duplicates(file)),
        _known("Leaks", lambda: _leaks(suite_file)),
        _known("Items", lambda: _items(suite_file, n_runs)),
        _known("Lock", lambda: _lock(file)),
        _card(file, card.gaps),
        _known("Age", lambda: _age(file, today)),
    )
    facts = (str(file), plural(card.n_cases, "case"), *([f"version {card.version}"] if card.version else []))
    return GoldenReport(suite=suite.name, facts=facts, parts=parts)


def write_report(report: GoldenReport, out: Path, today: date) -> None:
    """Write the page.

    Raises:
        StoreError: the file cannot be written.
    """
    write_golden_page(out, report.suite, (*report.facts, f"looked at {today.isoformat()}"), report.parts)


def _known(name: str, part: Callable[[], GoldenPart]) -> GoldenPart:
    """Return a part, or why it is not known."""
    try:
        return part()
    except InputError as error:
        first = error.problems[0]
        return GoldenPart(
            name=name,
            tone="no decision",
            finding=f"{first.place}: {first.what}.",
            notes=tuple(str(each) for each in error.problems[1:]),
            next=(NextStep(first.fix),),
        )


def _coverage(suite: Suite, suite_file: Path, shares: CallShares) -> GoldenPart:
    by, mix = shares.by, shares.mix
    if shares.production is None and mix is None:
        if not suite.options.production:
            step = NextStep("name calls of production, or declare their shares", "evalkit golden report --help")
            what = "neither calls nor shares of production are given."
            return GoldenPart(name="Coverage", tone="no decision", finding=what, next=(step,))
        names = {cohort.partition("=")[0] for cohort in suite.options.production}
        by = sorted(names)
        mix = ",".join(f"{cohort.partition('=')[2]}={share!r}" for cohort, share in suite.options.production.items())
    found = golden_coverage(suite_file, by, production=shares.production, mix=mix)
    estimate = found.estimate
    thin = [each for each in found.cells if each.n_missing]
    reached = estimate.low if estimate.low is not None else estimate.value
    interval = f" {bounds(estimate, _RATE)}" if estimate.low != estimate.high else ""
    return GoldenPart(
        name="Coverage",
        tone="pass" if reached is not None and reached >= COVERED else "warn",
        finding=f"The cases cover {figure(estimate.value, _RATE)}{interval} of production.",
        headings=("Kind of call", "Share of production", "Cases", "Missing"),
        rows=tuple(
            (", ".join(each.cell), figure(each.share, _RATE), f"{each.n_cases:,}", f"{each.n_missing:,}")
            for each in thin
        ),
        next=(NextStep("add cases of these kinds, the most frequent first"),) if thin else (),
    )


def _near_duplicates(file: Path) -> GoldenPart:
    found = find_duplicates(file)
    n_same = sum(pair.kind == "same" for pair in found.open_pairs)
    finding = f"{plural(len(found.open_pairs), 'pair')} of {plural(found.n_cases, 'case')}: {n_same} likely the same, "
    finding += f"{len(found.open_pairs) - n_same} likely another meaning."
    accepted = f"{plural(found.n_accepted, 'other pair')} in one cluster already"
    return GoldenPart(
        name="Near-duplicates",
        tone="warn" if found.open_pairs else "pass",
        finding=finding,
        headings=("Case", "Resembles", "Kind", "Similarity"),
        rows=tuple(
            (pair.first.id, f"{pair.second.id} ({pair.second.place})", pair.kind, f"{pair.jaccard:.2f}")
            for pair in found.open_pairs
        ),
        notes=tuple([accepted] if found.n_accepted else [])
        + (() if found.complete else ("The set holds many cases of one template, so pairs may be missing.",)),
        next=next_steps(file) if found.open_pairs else (),
    )


def _leaks(suite_file: Path) -> GoldenPart:
    report = golden_leaks(suite_file)
    found = report.leaks
    counts = [
        f"{len(found.cases_in(source))} of {found.n_cases:,} in {plural(n_files, 'file')} of {source}"
        for source, n_files in found.searched.items()
    ]
    known = bool(found.found)
    return GoldenPart(
        name="Leaks",
        tone="block" if found.cases_in("prompts") else "warn" if known or found.unread else "pass",
        finding=f"Cases that were found: {'; '.join(counts)}.",
        headings=("Found in", "Case", "Rule"),
        rows=tuple((f"{each.source} {each.place}", each.case_id or "canary", each.rule) for each in found.found),
        notes=tuple(f"not read: {each}" for each in found.unread),
        next=(NextStep("remove the texts, or replace the cases", _command("leaks", suite_file)),) if known else (),
    )


def _items(suite_file: Path, n_runs: int) -> GoldenPart:
    report = golden_items(suite_file, n_runs)
    runs = f"{plural(report.n_runs, 'run')} of {plural(len(report.versions), 'version')}"
    aside = [f"{case.id} is in quarantine: {case.quarantine}" for case in report.aside]
    return GoldenPart(
        name="Items",
        tone="warn" if report.findings else "pass",
        finding=f"{runs}: {plural(len(report.findings), 'finding')} about single cases.",
        headings=("Case", "Finding", "What was seen"),
        rows=tuple((f"{each.case.id} ({each.case.place})", each.rule, each.what) for each in report.findings),
        notes=(*report.notes, *aside),
        next=(NextStep("look at each case", _command("items", suite_file)),) if report.findings else (),
    )


def _lock(file: Path) -> GoldenPart:
    lock, report = read_lock(file), check_lock(file)
    changes = report.changes
    held = f", {plural(lock.n_held, 'held-out case')}" if lock.n_held else ""
    state = "The set is the one that was locked" if not report.differs else "The set differs from its lock"
    rows = [("added", case.id, case.place) for case in changes.added]
    rows += [("changed", case.id, case.place) for case in changes.changed]
    rows += [("removed", key, "") for key in changes.removed]
    people = (("Owners", lock.owners), ("Readers of held-out cases", lock.readers_held))
    step = NextStep("look at the differences, then lock the new version", f"evalkit golden check-lock {_quoted(file)}")
    return GoldenPart(
        name="Lock",
        tone="block" if report.differs else "pass",
        finding=f"{state} as version {lock.version} on {lock.created}{held}.",
        headings=("Change", "Case", "Place"),
        rows=tuple(rows),
        notes=(
            *(["The line with the canary string is missing or another one."] if changes.canary_lost else []),
            *(f"{whose}: {', '.join(names)}." for whose, names in people if names),
        ),
        next=(step,) if report.differs else (),
    )


def _card(file: Path, gaps: Sequence[str]) -> GoldenPart:
    step = NextStep(f"fill in {card_file(file).name}", f"evalkit golden card {_quoted(file)}")
    finding = f"Missing or wrong: {', '.join(gaps)}." if gaps else "Every required field says something."
    return GoldenPart(name="Card", tone="warn" if gaps else "pass", finding=finding, next=(step,) if gaps else ())


def _age(file: Path, today: date) -> GoldenPart:
    """Count the cases by the version in which they came."""
    lock = read_lock(file)
    late = [f" {each.what[0].upper()}{each.what[1:]}." for each in late_rotation(file, today)]
    rule = lock.rotation
    kept = "" if rule is None or not rule.anchor else f"; {figure(rule.anchor, _RATE)} always stay"
    planned = [] if rule is None else [f"{figure(rule.share, _RATE)} are to be replaced every {rule.every}{kept}."]
    counts = Counter(case.since for case in lock.cases.values())
    oldest, n = min(counts), len(lock.cases)
    return GoldenPart(
        name="Age",
        tone="warn" if late else "pass",
        finding=f"The oldest cases are as they were in version {oldest}: {counts[oldest]:,} of {n:,}.{''.join(late)}",
        headings=("Since version", "Cases", "Share"),
        rows=tuple(_ages(counts, n)),
        notes=tuple(planned),
        next=(NextStep("replace dead and old cases", rotate_command(file)),) if late else (),
    )


def _ages(counts: Counter[str], n: int) -> Iterator[tuple[str, str, str]]:
    for version in sorted(counts, reverse=True):
        yield version, f"{counts[version]:,}", figure(counts[version] / n, _RATE)


def _command(name: str, suite_file: Path) -> str:
    return f"evalkit golden {name} {_quoted(suite_file)}"


def _quoted(file: Path) -> str:
    return shlex.quote(str(file))
