"""Write the page that lists the runs of a folder, with trends, and compares any two runs of a suite."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from evalkit.disk.paths import shown_path
from evalkit.report.charts import trend_svg
from evalkit.report.html import environment, policy_of, read_asset
from evalkit.report.html_words import ICONS, TONES
from evalkit.report.trend import Trend, trend_of
from evalkit.results import Estimate
from evalkit.store.folder import REPORT
from evalkit.store.history import MOST_RUNS, UNFINISHED, PastRun
from evalkit.store.run_tree import FoundRun
from evalkit.text.numbers import Style, bounds, figure, plural, style_of

_RATE, _COST = "pass_rate", "cost_per_case_usd"
_IDENTITY_CHARS, _COMMIT_CHARS, _KEY_CHARS = 12, 10, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """One line of the list."""

    number: int
    """Position in the list, which also names the run in the data of the page."""
    name: str
    """Its folder, relative to the listed folder."""
    link: str = ""
    """Relative address of its report; empty if it has none."""
    when: str
    """End of the run, else its start; empty if neither can be read."""
    suite: str = ""
    system: str = ""
    commit: str = ""
    state: str
    tone: str = "no-decision"
    note: str = ""
    """Why it cannot be read, which process runs in it, or why it is partial."""
    rate: str = ""
    interval: str = ""
    n: str = ""
    cost: str = ""
    saved_as: tuple[str, ...] = ()
    """Names of the baselines that hold this run."""
    inside: bool = False
    """Whether it is one system of the comparison above it."""
    comparable: bool = False
    """Whether it has figures to show beside another run's."""

    @property
    def icon(self) -> str:
        """The sign of its state."""
        return ICONS[self.tone.replace("-", " ")]


def runs_page(folder: Path, found: Sequence[FoundRun], beside: Path) -> str:
    """Return the page as HTML; it needs no other file and sends nothing.

    Args:
        folder: the listed folder.
        found: its runs.
        beside: the folder of the page, to which links are relative.
    """
    from markupsafe import Markup

    listed = list(_listed(found))
    names = _baseline_names(found)
    lines = [_line(number, each, names, folder) for number, (each, _) in enumerate(listed)]
    real = os.path.realpath(folder) + os.sep
    lines = [
        replace(line, link=_link(each, real, beside), inside=inside)
        for line, (each, inside) in zip(lines, listed, strict=True)
    ]
    assets = {
        "style": read_asset("report.css") + "\n" + read_asset("runs/runs.css"),
        "theme": read_asset("theme.js"),
        "script": read_asset("runs/runs.js"),
    }
    trends = [(suite, trend, n, Markup(trend_svg(trend))) for suite, trend, n in _trends(found)]  # noqa: S704 - ours
    return (
        environment()
        .get_template("runs/runs.html.j2")
        .render(
            folder=shown_path(folder),
            lines=lines,
            suites=sorted({line.suite for line in lines if line.suite}),
            counts=_counts(lines),
            trends=trends,
            most=MOST_RUNS,
            policy=policy_of(assets),
            **{name: Markup(text) for name, text in assets.items()},  # noqa: S704 - our own files
            data=Markup(_data(listed, names)),  # noqa: S704 - JSON without "<"
        )
    )


def _listed(found: Sequence[FoundRun]) -> Iterator[tuple[FoundRun, bool]]:
    """Yield the runs, newest first, each comparison before its systems; baselines whose run is listed are left out."""
    own = {each.past.run_id for each in found if each.past is not None and not each.is_baseline}
    shown = [each for each in found if not (each.is_baseline and each.past is not None and each.past.run_id in own)]
    for each in sorted(shown, key=_time_of, reverse=True):
        yield each, False
        yield from ((system, True) for system in each.systems)


def _time_of(found: FoundRun) -> tuple[str, int, str]:
    """Return a key that sorts by the end of the run, else by the last change of its folder."""
    finished = found.past.finished_at if found.past is not None else ""
    finished = finished or max((each.past.finished_at for each in found.systems if each.past is not None), default="")
    return (finished or _iso(found.changed_ns), found.changed_ns, found.folder.path.name)


def _iso(changed_ns: int) -> str:
    return datetime.fromtimestamp(changed_ns / 1e9, UTC).isoformat(timespec="seconds")


def _baseline_names(found: Sequence[FoundRun]) -> Mapping[str, tuple[str, ...]]:
    names: dict[str, tuple[str, ...]] = {}
    for each in found:
        if each.is_baseline and each.past is not None:
            names[each.past.run_id] = (*names.get(each.past.run_id, ()), each.folder.path.name)
    return names


def _line(number: int, found: FoundRun, names: Mapping[str, tuple[str, ...]], folder: Path) -> RunLine:
    past, name = found.past, os.path.relpath(found.folder.path, folder)
    known = past is not None or any(each.past is not None for each in found.systems)
    when = _time_of(found)[0][:16].replace("T", " ") if known else ""
    common: dict[str, Any] = {"number": number, "name": name, "when": when}
    if found.is_comparison:
        suites = sorted({each.past.suite for each in found.systems if each.past is not None})
        return RunLine(**common, suite=", ".join(suites), state=f"comparison of {len(found.systems)} systems")
    if past is None:
        return RunLine(
            **common, state="running" if found.running else "unreadable", note=found.running or found.problem
        )
    state = "running" if found.running else past.outcome
    value = past.values.get(_RATE)
    return RunLine(
        **common,
        suite=past.suite,
        system=past.system[:_IDENTITY_CHARS],
        commit=past.commit[:_COMMIT_CHARS],
        state="partial" if past.partial and past.outcome != UNFINISHED else state,
        tone="no-decision" if past.partial else TONES.get(past.outcome, "no-decision"),
        note=found.running or (past.partial or ""),
        rate="" if value is None else figure(value, Style("rate"), past.counts.get(_RATE, 0)),
        interval=_interval(past, _RATE),
        n=f"{past.counts[_RATE]:,}" if _RATE in past.counts else "",
        cost=figure(past.values[_COST], style_of(_COST)) if _COST in past.values else "",
        saved_as=names.get(past.run_id, ()),
        comparable=bool(past.values),
    )


def _link(found: FoundRun, real: str, beside: Path) -> str:
    """Return the address of the report; empty if there is none, or a link leads out of the listed folder.

    Args:
        found: the run.
        real: the listed folder without links, with a separator at its end.
        beside: the folder of the page.
    """
    report = found.folder.file(REPORT)
    inside = report.is_file() and os.path.realpath(report).startswith(real)
    return quote(os.fsencode(os.path.relpath(report, beside))) if inside else ""


def _counts(lines: Sequence[RunLine]) -> list[str]:
    """Describe the list in a few words each."""
    runs = [line for line in lines if not line.state.startswith("comparison of")]
    suites = {line.suite for line in runs if line.suite}
    facts = [plural(len(runs), "run"), *([plural(len(suites), "suite")] if suites else [])]
    for state in ("running", UNFINISHED, "unreadable"):
        n = sum(line.state == state for line in runs)
        facts += [f"{n:,} {state}"] if n else []
    return facts


def _trends(found: Sequence[FoundRun]) -> Iterator[tuple[str, Trend, int]]:
    """Yield suite, trend of its pass rate and number of whole runs, for each suite with two of them."""
    runs: dict[str, dict[str, tuple[FoundRun, PastRun]]] = {}
    for each in sorted(found, key=_time_of):
        past = each.past
        if past is not None and not past.partial and past.outcome != UNFINISHED and _RATE in past.values:
            runs.setdefault(past.suite, {}).setdefault(past.run_id, (each, past))
    for suite in sorted(runs):
        whole = [past for _, past in runs[suite].values()]
        if len(whole) > 1:
            yield suite, trend_of(whole[-MOST_RUNS:], _RATE, Style("rate"), own=False), len(whole)


def _data(listed: Sequence[tuple[FoundRun, bool]], names: Mapping[str, tuple[str, ...]]) -> str:
    """Return the figures of every run as JSON that is safe inside a script element."""
    records = {
        number: _record(found, names) for number, (found, _) in enumerate(listed) if found.past and found.past.values
    }
    return json.dumps(records, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")


def _record(found: FoundRun, names: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    past = found.past
    assert past is not None  # noqa: S101 - chosen by the caller
    metrics = [
        [name, figure(value, _style(name), past.counts.get(name, 0)), _interval(past, name), past.counts.get(name, 0)]
        for name, value in sorted(past.values.items(), key=lambda item: (item[0] != _RATE, item[0]))
    ]
    cohorts = [
        [name, figure(rate.value, Style("rate"), rate.n), _bounds(rate.value, (rate.low, rate.high), rate.n), rate.n]
        for name, rate in sorted(past.cohorts.items())
    ]
    return {
        "suite": past.suite,
        "at": past.finished_at,
        "golden": past.golden_sha256[:_KEY_CHARS],
        "keys": {name: _key(key) for name, key in past.score_keys.items()},
        "counted": sorted({*past.score_keys} - {*past.advisory}),
        "metrics": metrics,
        "cohorts": cohorts,
        "word": _word(found, names.get(past.run_id, ())),
    }


def _style(metric: str) -> Style:
    return Style("rate") if metric.endswith(".passed") else style_of(metric)


def _key(parts: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:_KEY_CHARS]


def _word(found: FoundRun, names: Sequence[str]) -> str:
    """Return the word that names the run on a command line."""
    return shlex.quote(names[0] if found.is_baseline and names else shown_path(found.folder.path.absolute()))


def _interval(past: PastRun, metric: str) -> str:
    if metric not in past.intervals:
        return ""
    return _bounds(past.values[metric], past.intervals[metric], past.counts.get(metric, 0), _style(metric))


def _bounds(value: float, ends: tuple[float | None, float | None], n: int, style: Style = Style("rate")) -> str:  # noqa: B008 - frozen
    return bounds(Estimate(value=value, low=ends[0], high=ends[1], n=n), style)
