"""Earlier runs of a suite beside a run, as a few figures each: what a trend is drawn from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalkit.errors import InputError
from evalkit.results import OVERALL
from evalkit.store.folder import MANIFEST, SUMMARY, RunFolder

MOST_RUNS = 50
_MOST_READ = 500


@dataclass(frozen=True, kw_only=True)
class PastRun:
    """The overall figures of one finished run, and what they were made by."""

    run_id: str
    finished_at: str
    """ISO 8601."""
    outcome: str
    golden_sha256: str
    score_keys: Mapping[str, Mapping[str, str]]
    values: Mapping[str, float]
    """Metric -> overall value; undefined ones are left out."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Metric -> cases behind the value."""


def past_runs(run: RunFolder, baseline: RunFolder | None, suite: str) -> tuple[PastRun, ...]:
    """The last runs of a suite in the folder around a run, oldest first, with its baseline and the run itself.

    Partial runs and folders that cannot be read are left out: a trend that lacks a point is better than none.

    Args:
        run: a finished run; the folders beside it are looked through, the newest `MOST_RUNS` count.
        baseline: what it was compared with, whatever its suite is called.
        suite: name of the suite.
    """
    found: dict[str, PastRun] = {}
    for folder, wanted in [
        (run, None),
        *((each, suite) for each in _beside(run)),
        *([(baseline, None)] if baseline else []),
    ]:
        past = _past(folder, wanted)
        if past is not None:
            found.setdefault(past.run_id, past)
        if len(found) >= MOST_RUNS:
            break
    return tuple(sorted(found.values(), key=lambda past: (past.finished_at, past.run_id)))


def _beside(run: RunFolder) -> Iterator[RunFolder]:
    """Run folders beside a run, the newest first."""
    dated = []
    for file in run.path.resolve().parent.glob(f"*/{MANIFEST}"):
        try:
            dated.append((file.stat().st_mtime_ns, file))
        except OSError:
            continue
    for _, file in sorted(dated, reverse=True)[:_MOST_READ]:
        if file.parent != run.path.resolve():
            yield RunFolder(file.parent)


def _past(folder: RunFolder, suite: str | None) -> PastRun | None:
    try:
        manifest = folder.manifest()
        decision = folder.decision()
        if decision is None or manifest.get("partial") or suite not in (None, manifest["suite"]):
            return None
        return _read(manifest, decision, folder.file(SUMMARY))
    except (InputError, OSError, ValueError, KeyError, TypeError):
        return None


def _read(manifest: Mapping[str, Any], decision: Mapping[str, Any], summary: Path) -> PastRun:
    overall = [cell for cell in json.loads(summary.read_bytes())["cells"] if cell["cohort"] == OVERALL]
    known = {cell["metric"]: cell["estimate"] for cell in overall if cell["estimate"]["value"] is not None}
    return PastRun(
        run_id=manifest["run_id"],
        finished_at=manifest.get("finished_at") or manifest["started_at"],
        outcome=decision["outcome"],
        golden_sha256=manifest["golden"]["sha256"],
        score_keys=manifest["score_keys"],
        values={metric: estimate["value"] for metric, estimate in known.items()},
        counts={metric: estimate["n"] for metric, estimate in known.items()},
    )
