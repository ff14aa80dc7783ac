"""Analyse the cases of a golden set from the stored runs of a suite, and put doubtful ones in quarantine."""

from __future__ import annotations

import math
import shlex
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem
from evalkit.formats.labelled_text import labelled_text
from evalkit.golden.fields import NEVER_QUARANTINED
from evalkit.golden.items import ItemFinding, ItemHistory, VersionRuns, item_findings, quarantine_plan, suspects
from evalkit.golden.read import open_golden
from evalkit.golden.survey import most_quarantined
from evalkit.golden.write import refuse_other_kinds, set_fields
from evalkit.stats.item_analysis import negative_p_values, rest_correlations
from evalkit.stats.multiplicity import benjamini_hochberg
from evalkit.store.folder import FOLDERS, SYSTEMS, RunFolder
from evalkit.store.history import UNFINISHED, PastRun, by_time, stored_runs
from evalkit.store.journal import read_rows
from evalkit.suite.model import Suite
from evalkit.suite.parse import load_suite
from evalkit.text.numbers import plural
from evalkit.types import QUARANTINE, Case, Row, verdict_of

MOST_RUNS = 20
FALSE_DISCOVERIES = 0.1
_NOT_ASKED = frozenset({QUARANTINE, "because", "since", "origin", "source", "reviewed_by", "taken_from", "output"})
"""Fields that change neither the question nor what a right answer is; `output` is an answer."""


@dataclass(frozen=True, kw_only=True)
class ItemFigures:
    """The figures of one case."""

    history: ItemHistory
    difficulty: float | None
    """Share of failed runs, the mean over versions, from 0 to 1; `None` without a run."""
    discrimination: float | None
    """Correlation with the mean of the other cases over versions, from -1 to 1; `None` if undefined."""
    negative: bool
    """Whether it is negative, if one in ten of those that are called so may be called so by chance."""
    n_flips: int
    """Number of versions whose repeats passed and failed."""
    cost_usd: float | None
    """Mean of the runs with a known cost."""
    latency_s: float | None
    """Mean of the runs that called the system."""
    last_failed: str
    """Time of the last run in which it failed, ISO 8601; empty if it never did."""


@dataclass(frozen=True, kw_only=True)
class ItemReport:
    """The item analysis of a golden set."""

    file: Path | None
    """The set; `None` if it is not a file."""
    items: tuple[ItemFigures, ...]
    """One for each case, in the order of the set."""
    findings: tuple[ItemFinding, ...]
    suspects: tuple[Case, ...]
    """Cases whose repeats differ and are too few to call them flaky."""
    n_runs: int
    versions: tuple[str, ...]
    """The oldest first."""
    n_systems: int
    notes: tuple[str, ...] = ()
    """What was left out, and why."""

    @property
    def aside(self) -> tuple[Case, ...]:
        """The cases in quarantine."""
        return tuple(item.history.case for item in self.items if item.history.case.quarantine)


@dataclass(frozen=True, kw_only=True)
class Quarantined:
    """The cases that were put in quarantine."""

    put: tuple[ItemFinding, ...]
    no_room: tuple[ItemFinding, ...]
    """Those for which the 5 % left no room."""


def golden_items(suite_file: Path, n_runs: int = MOST_RUNS) -> ItemReport:
    """Analyse the cases of a suite's golden set.

    Runs that were graded by other scorers than the newest one are left out, and so are rows of a case whose question,
    reference, contexts or expectations have changed since.

    Args:
        suite_file: the suite.
        n_runs: number of runs to read, the newest.

    Raises:
        InputError: suite, set or runs cannot be used, or there is no run.
    """
    suite = load_suite(suite_file)
    golden = open_golden(suite.golden, suite.golden_file, suite.golden_shown, reading=suite.reading)
    cases = {case.id: case for case in golden.open()}
    runs, notes = _comparable(suite, n_runs)
    seen = _Seen(cases)
    for past in runs:
        seen.read(past)
    histories = [seen.history(case) for case in cases.values()]
    if seen.n_edited:
        notes.append(f"{plural(seen.n_edited, 'row')} of cases that have changed since {_are(seen.n_edited)} left out")
    systems = {name for name in seen.systems if name}
    if len(systems) < 3:
        notes.append("references were not checked: that needs runs of at least 3 systems")
    return ItemReport(
        file=suite.golden_file,
        items=tuple(_items(histories, seen)),
        findings=item_findings(histories),
        suspects=suspects(histories),
        n_runs=len(runs),
        versions=tuple(seen.versions),
        n_systems=max(1, len(systems)),
        notes=tuple(notes),
    )


def put_in_quarantine(report: ItemReport) -> Quarantined:
    """Write `quarantine: reason` into the cases that are flaky, doubtful or impossible, up to 5 % of the set.

    Canaries and critical cases are never written. A locked set has to be locked again.

    Raises:
        InputError: the set is not a file in JSON Lines, or cannot be changed.
        StoreError: it cannot be written.
    """
    if report.file is None:
        raise InputError(Problem("golden", "the set is not a file", "save it as JSON Lines (.jsonl)"))
    refuse_other_kinds(report.file, str(report.file))
    room = max(0, most_quarantined(len(report.items)) - len(report.aside))
    put, no_room = quarantine_plan(report.findings, room, NEVER_QUARANTINED)
    if put:
        changes = {int(each.case.place.rpartition(":")[2]): {QUARANTINE: each.reason} for each in put}
        set_fields(report.file, str(report.file), changes)
    return Quarantined(put=put, no_room=no_room)


def days_since(moment: str, now: datetime) -> int | None:
    """Return the whole days since a time in ISO 8601; `None` if it is not one."""
    try:
        return max(0, (now - datetime.fromisoformat(moment)).days)
    except (ValueError, TypeError):
        return None


def _comparable(suite: Suite, n_runs: int) -> tuple[Sequence[PastRun], list[str]]:
    """Return the newest finished runs that the newest one's scorers graded, oldest first, and what was left out.

    Raises:
        InputError: there is none.
    """
    folder = suite.root / "reports"
    found = list(stored_runs(folder, suite=suite.name))
    for file in folder.glob(f"*/{SYSTEMS}"):
        found += stored_runs(file.parent / FOLDERS, suite=suite.name)
    distinct = {past.run_id + past.folder: past for past in found if past.outcome != UNFINISHED}
    finished = by_time(distinct.values())
    if not finished:
        fix = f"run it with `evalkit run {shlex.quote(shown_path(suite.path))}`"
        raise InputError(Problem(f"suite {suite.name}", f"no finished run in {folder.name}", fix))
    notes = []
    graded = [past for past in finished if _scorers(past) == _scorers(finished[-1])]
    if n := len(finished) - len(graded):
        notes.append(f"{plural(n, 'run')} graded by other scorers {_are(n)} left out; grade again with `evalkit score`")
    named = [past for past in graded if past.system]
    if n := len(graded) - len(named):
        notes.append(f"{plural(n, 'run')} without a known version {_are(n)} left out; set `version:` of the system")
    if not named:
        fix = "set `version:` of the system, and run the suite again"
        raise InputError(Problem(f"suite {suite.name}", "the version of the system is not known in any run", fix))
    return named[-n_runs:], notes


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def _scorers(past: PastRun) -> Mapping[str, Any]:
    return {name: dict(key) for name, key in past.score_keys.items() if name not in past.advisory}


class _Seen:
    """What the rows of the runs say about each case."""

    def __init__(self, cases: Mapping[str, Case]) -> None:
        self._cases = cases
        self._asked = {case_id: _asked(case) for case_id, case in cases.items()}
        self._passed: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._runs: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._answers: dict[str, dict[str, str]] = defaultdict(dict)
        self.costs: dict[str, list[float]] = defaultdict(list)
        self.latencies: dict[str, list[float]] = defaultdict(list)
        self.last_failed: dict[str, str] = {}
        self.versions: dict[str, None] = {}
        self.systems = Counter[str]()
        self.n_edited = 0

    def read(self, past: PastRun) -> None:
        """Count the rows of a run.

        Raises:
            InputError: its manifest or a row cannot be read.
        """
        folder = RunFolder(Path(past.folder))
        name = folder.manifest().system.name
        version = f"{name} {past.system}".strip()
        self.versions.setdefault(version)
        self.systems[name] += 1
        last = {(row.case.id, row.repeat): row for row in read_rows(folder.rows_file) if row.case.id in self._cases}
        for row in last.values():
            if _asked(row.case) == self._asked[row.case.id]:
                self._count(row, version, name, past)
            else:
                self.n_edited += 1

    def _count(self, row: Row, version: str, name: str, past: PastRun) -> None:
        verdict, case_id, output = verdict_of(row, past.advisory), row.case.id, row.output
        if output is not None and not output.replayed and output.latency_s is not None:
            self.latencies[case_id].append(output.latency_s)
        if output is not None and output.usage is not None and output.usage.cost_usd is not None:
            self.costs[case_id].append(output.usage.cost_usd)
        if verdict not in ("passed", "failed"):
            return
        self._passed[case_id][version] += verdict == "passed"
        self._runs[case_id][version] += 1
        if verdict == "failed":
            self.last_failed[case_id] = past.finished_at
        if name and row.repeat == 0 and output is not None and output.text_known:
            self._answers[case_id][name] = labelled_text(row.case, output) if verdict == "failed" else ""

    def history(self, case: Case) -> ItemHistory:
        """Return the runs of a case by version."""
        passed, runs = self._passed[case.id], self._runs[case.id]
        versions = {each: VersionRuns(n_passed=passed[each], n=runs[each]) for each in self.versions if each in runs}
        return ItemHistory(case=case, versions=versions, answers=self._answers[case.id])


def _asked(case: Case) -> tuple[Any, ...]:
    """Return what the runs of a case must share to be runs of the same item."""
    fields = {name: value for name, value in case.fields.items() if name not in _NOT_ASKED}
    return case.input, case.reference, case.contexts, fields


def _items(histories: Sequence[ItemHistory], seen: _Seen) -> Iterator[ItemFigures]:
    import numpy as np

    shares = [
        [each.versions[name].n_passed / each.versions[name].n if name in each.versions else math.nan for name in names]
        for names in (tuple(seen.versions),)
        for each in histories
    ]
    table = np.array(shares, np.float64).reshape(len(histories), len(seen.versions))
    correlations = rest_correlations(table)
    p_values = negative_p_values(correlations, (~np.isnan(table)).sum(axis=1))
    negative = np.zeros(len(histories), bool)
    known = ~np.isnan(p_values)
    negative[known] = benjamini_hochberg(p_values[known]) <= FALSE_DISCOVERIES
    for at, each in enumerate(histories):
        case_id, passed = each.case.id, [run.n_passed / run.n for run in each.versions.values()]
        yield ItemFigures(
            history=each,
            difficulty=1 - _mean(passed) if passed else None,  # type: ignore[operator]
            discrimination=None if np.isnan(correlations[at]) else float(correlations[at]),
            negative=bool(negative[at]),
            n_flips=sum(0 < run.n_passed < run.n for run in each.versions.values()),
            cost_usd=_mean(seen.costs[case_id]),
            latency_s=_mean(seen.latencies[case_id]),
            last_failed=seen.last_failed.get(case_id, ""),
        )


def _mean(values: Collection[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
