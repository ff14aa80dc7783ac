"""Read the main figures of earlier runs of a suite, for trends."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from evalkit.disk.json_files import read_json
from evalkit.disk.paths import is_project, project_of
from evalkit.errors import InputError
from evalkit.formats.manifest import Manifest
from evalkit.results import OVERALL, Estimate
from evalkit.store.folder import DECISION, FOLDERS, HELD_FIGURES, MANIFEST, SUMMARY, SYSTEMS, TIMINGS, RunFolder
from evalkit.store.run_index import RunIndex
from evalkit.store.systems_folder import SystemsFolder

MOST_RUNS = 50
UNFINISHED = "not finished"
COMPARED = "compared"
"""Outcome of the run of a system that was compared with others, and on which no gate decided."""
INDEX = ".evalkit/runs.sqlite"
MOST_READ = 500
_RATE = "pass_rate"
_READ = (MANIFEST, DECISION, SUMMARY, TIMINGS, HELD_FIGURES)


@dataclass(frozen=True, slots=True)
class CohortRate:
    """The pass rate of one cohort of a run, or its difference from that of another system."""

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, kw_only=True)
class PastRun:
    """The overall figures of one finished run, with its score keys."""

    run_id: str
    finished_at: str
    """ISO 8601."""
    outcome: str
    golden_sha256: str
    score_keys: Mapping[str, Mapping[str, str]]
    values: Mapping[str, float]
    """Metric -> overall value; undefined values are left out."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Metric -> number of cases behind the value."""
    suite: str = ""
    folder: str = ""
    partial: str | None = None
    advisory: tuple[str, ...] = ()
    """Metrics that do not affect the decision."""
    system: str = ""
    """Version, else fingerprint, of the system; empty if neither is known."""
    commit: str = ""
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Metric -> 95 % interval of its overall value; values without one are left out."""
    cohorts: Mapping[str, CohortRate] = field(default_factory=dict)
    """`name=value` -> pass rate of the cohort; undefined rates are left out."""
    reference_system: str = ""
    """Version of the suite's reference system, if the run was compared with it."""
    held_gap: CohortRate | None = None
    """Pass rate of the open cases minus that of the held-out ones; `None` if undefined."""
    reference: CohortRate | None = None
    """Pass rate minus that of the reference system on the same cases; `None` if undefined."""


_FIELDS = frozenset(each.name for each in fields(PastRun))


def stored_runs(folder: Path, *, suite: str | None = None, most_read: int | None = None) -> tuple[PastRun, ...]:
    """List every run in a folder and in its baselines, oldest first, including partial and unfinished runs.

    An index in the project's `.evalkit/` caches runs that were read. An entry is valid while none of the run's files
    has changed, and the index can be deleted at any time. Outside a project there is no index.

    Args:
        folder: the folder around run folders, such as `reports`.
        suite: only its runs.
        most_read: number of folders to read, the latest first; `None` for all.
    """
    found: dict[str, PastRun] = {}
    with index_around(folder) as index:
        files = [*folder.glob(f"*/{MANIFEST}"), *folder.glob(f"baselines/*/{MANIFEST}")]
        if most_read is not None and len(files) > most_read:
            files = sorted(files, key=_last_changed, reverse=True)[:most_read]
        for file in files:
            past = indexed_run(RunFolder(file.parent), index)
            if past is not None and suite in (None, past.suite):
                found.setdefault(past.run_id, past)
    return by_time(found.values())


def by_time(runs: Iterable[PastRun]) -> tuple[PastRun, ...]:
    """Sort runs, the one that finished first before the others."""
    return tuple(sorted(runs, key=_finished))


def compared_only(folder: Path) -> Collection[Path]:
    """Return the run folders of the systems of a run that were compared, and on which no gate decided."""
    around = SystemsFolder(folder)
    try:
        run, outcome = around.read(), read_json(folder / DECISION)["outcome"]
    except (InputError, OSError, ValueError, KeyError, TypeError):
        return ()
    failed = outcome == "no decision" and not run.release
    names = [] if failed else [each.name for each in run.systems if each.name not in run.release]
    return [around.folder_of(run, name).path for name in names]


def as_compared(past: PastRun, compared: Collection[Path]) -> PastRun:
    """Return a run with the outcome `compared` if its folder is one of those, and it was finished."""
    is_one = Path(past.folder) in compared and past.outcome == "no decision"
    return replace(past, outcome=COMPARED) if is_one else past


def released_runs(folder: Path) -> Iterator[PastRun]:
    """Yield the runs of the release systems of each run of several systems in a folder, of all if none is released."""
    for file in folder.glob(f"*/{SYSTEMS}"):
        around = SystemsFolder(file.parent)
        try:
            run = around.read()
        except InputError:
            continue  # as any run that cannot be read
        wanted = [around.folder_of(run, name).path for name in run.release or [each.name for each in run.systems]]
        compared = compared_only(file.parent)
        found = (past for past in stored_runs(file.parent / FOLDERS) if Path(past.folder) in wanted)
        yield from (as_compared(past, compared) for past in found)


def index_around(folder: Path) -> RunIndex:
    """Return the index of the project around a folder, which is to be entered; outside a project it stays empty."""
    project = project_of(folder)
    return RunIndex(project / INDEX if is_project(project) else None)


def newest_run(folder: Path) -> Path | None:
    """Return the folder of the run in `folder` that finished last, partial or not; `None` if none has finished.

    A run of several systems is one run, and a baseline saved from it is not another one.
    """
    finished: list[tuple[str, int, str, str]] = []
    inside: set[str] = set()
    for file in folder.glob(f"*/{SYSTEMS}"):
        runs = [past for past in stored_runs(file.parent / FOLDERS) if past.outcome != UNFINISHED]
        if runs and (file.parent / DECISION).is_file():
            finished.append((*max(map(_finished, runs)), str(file.parent)))
            inside.update(past.run_id for past in runs)
    alone = (past for past in stored_runs(folder) if past.outcome != UNFINISHED and past.run_id not in inside)
    finished += [(*_finished(past), past.folder) for past in alone]
    return Path(max(finished)[-1]) if finished else None


def break_between(before: PastRun, run: PastRun, metric: str, *, own: bool, one_set: bool = True) -> str:
    """Explain why a figure is not comparable with the previous run's; empty if it is.

    Args:
        before: the earlier run.
        run: the later one.
        metric: metric of one scorer, which is cut where that scorer changed, or of all scorers, cut where any counting
            one changed.
        own: whether the metric is one scorer's.
        one_set: whether the figures must be of the same golden set.
    """
    if one_set and before.golden_sha256 != run.golden_sha256:
        return "another golden set"
    scorer = metric.removesuffix(".passed")
    everyone = {*before.score_keys, *run.score_keys} - {*before.advisory, *run.advisory}
    names = [scorer] if own or scorer in run.score_keys else sorted(everyone)
    keys = {name: (before.score_keys.get(name, {}), run.score_keys.get(name, {})) for name in names}
    changed = [name for name, (was, now) in keys.items() if was != now]
    judged = [name for name in changed if keys[name][0].get("judge") != keys[name][1].get("judge")]
    others = [name for name in changed if name not in judged]
    parts = [f"another judge: {', '.join(judged)}"] if judged else []
    return "; ".join([*parts, f"another scorer: {', '.join(others)}"] if others else parts)


def past_runs(run: RunFolder, baseline: RunFolder | None, suite: str) -> tuple[PastRun, ...]:
    """List the last runs of a suite in the folder around a run, oldest first, with its baseline and the run itself.

    Partial runs and folders that cannot be read are left out, because a trend without a point is better than none.

    Args:
        run: a finished run; at most `MOST_RUNS` runs around it are listed, the newest ones.
        baseline: its baseline, even if its suite has another name.
        suite: name of the suite.
    """
    around = stored_runs(run.path.resolve().parent, suite=suite, most_read=MOST_READ)
    own = [past for folder in (run, baseline) if folder is not None and (past := read_past_run(folder)) is not None]
    newest_first = [past for past in (*own, *reversed(around)) if past.outcome != UNFINISHED and not past.partial]
    found = {past.run_id: past for past in reversed(newest_first)}
    kept = list(dict.fromkeys(past.run_id for past in newest_first))[:MOST_RUNS]
    return by_time(found[run_id] for run_id in kept)


def _finished(past: PastRun) -> tuple[str, int, str]:
    # Times are stored in whole seconds, so the file system decides between runs of the same second.
    return past.finished_at, _last_changed(Path(past.folder) / DECISION), past.run_id


def _last_changed(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def indexed_run(folder: RunFolder, index: RunIndex) -> PastRun | None:
    """Take a run from the index if its files are unchanged, else read and index it; `None` if it cannot be read."""
    stamp = index.stamp([folder.file(name) for name in _READ])
    known = index.get(folder.path, stamp)
    past = None if known is None else _of_record({**known, "folder": str(folder.path)})
    # The index may be from another version, or was edited: then the run is read again.
    if past is None and (past := read_past_run(folder)) is not None:
        index.put(folder.path, stamp, asdict(past))
    return past


def _of_record(known: Mapping[str, Any]) -> PastRun | None:
    import msgspec  # no run has to wait for it before its first call

    try:
        past = msgspec.convert(known, PastRun) if known.keys() >= _FIELDS else None
    except msgspec.ValidationError:
        past = None
    if past is None:
        return None
    figures = [*past.values.values(), *(end for ends in past.intervals.values() for end in ends)]
    rates = [*past.cohorts.values(), *(each for each in (past.reference, past.held_gap) if each is not None)]
    figures += [end for rate in rates for end in (rate.value, rate.low or 0.0, rate.high or 0.0)]
    return past if all(map(math.isfinite, figures)) else None


def read_past_run(folder: RunFolder) -> PastRun | None:
    """Read one run folder, `None` if it cannot be read."""
    try:
        manifest, decision = folder.manifest(), folder.decision()
        if decision is None:
            return _past_run(folder, manifest, UNFINISHED, [])
        files = [file for file in (folder.file(SUMMARY), folder.file(TIMINGS)) if file.exists()]
        records = [read_json(file) for file in files]
        if not folder.file(SUMMARY).exists():
            return None
        cells = [cell for each in records for cell in each["cells"]]
        past = _past_run(folder, manifest, decision["outcome"], cells)
        held = read_json(folder.file(HELD_FIGURES)) if folder.file(HELD_FIGURES).exists() else {"cells": []}
        return replace(_with_reference(past, records[0].get("reference")), held_gap=_held_gap(cells, held["cells"]))
    except (InputError, OSError, ValueError, KeyError, TypeError):
        return None


def _past_run(folder: RunFolder, manifest: Manifest, outcome: str, cells: Sequence[Mapping[str, Any]]) -> PastRun:
    defined = [(cell["cohort"], cell["metric"], cell["estimate"]) for cell in cells]
    defined = [each for each in defined if each[2]["value"] is not None]
    known = {metric: estimate for cohort, metric, estimate in defined if cohort == OVERALL}
    return PastRun(
        run_id=manifest.run_id,
        finished_at=manifest.finished_at or manifest.started_at,
        outcome=outcome,
        golden_sha256=manifest.golden.sha256,
        score_keys=manifest.score_keys,
        values={metric: estimate["value"] for metric, estimate in known.items()},
        counts={metric: estimate["n"] for metric, estimate in known.items()},
        suite=manifest.suite,
        folder=str(folder.path),
        partial=manifest.partial,
        advisory=manifest.advisory,
        system=manifest.system.identity,
        commit=manifest.commit or "",
        intervals={metric: (each["low"], each["high"]) for metric, each in known.items() if _has_ends(each)},
        cohorts={
            cohort: CohortRate(estimate["value"], estimate.get("low"), estimate.get("high"), estimate["n"])
            for cohort, metric, estimate in defined
            if metric == _RATE and cohort != OVERALL
        },
    )


def _held_gap(cells: Sequence[Mapping[str, Any]], held: Sequence[Mapping[str, Any]]) -> CohortRate | None:
    """Return the pass rate of the open cases minus that of the held-out ones, with an interval."""
    import msgspec

    def rate(among: Sequence[Mapping[str, Any]]) -> Estimate | None:
        found = [cell["estimate"] for cell in among if (cell["metric"], cell["cohort"]) == (_RATE, OVERALL)]
        return msgspec.convert(found[0], Estimate) if found else None

    ours, theirs = rate(cells), rate(held)
    if ours is None or theirs is None:
        return None
    from evalkit.stats.intervals import independent_difference

    gap = independent_difference(ours, theirs)
    return None if gap.value is None else CohortRate(gap.value, gap.low, gap.high, gap.n)


def _with_reference(past: PastRun, found: Mapping[str, Any] | None) -> PastRun:
    if found is None or found["difference"]["value"] is None:
        return past
    estimate = found["difference"]
    rate = CohortRate(estimate["value"], estimate.get("low"), estimate.get("high"), estimate["n"])
    return replace(past, reference_system=found["system"], reference=rate)


def _has_ends(estimate: Mapping[str, Any]) -> bool:
    return estimate.get("low") is not None and estimate.get("high") is not None
