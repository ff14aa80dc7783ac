"""One HTML file: a static head that reads without JavaScript, and every case as data that opens on demand."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from evalkit.report.charts import histogram_rows, histogram_svg, range_svg
from evalkit.report.cohort_table import FEW_CASES
from evalkit.report.files import replacing
from evalkit.report.numbers import Style, figure
from evalkit.report.payload import write_payload
from evalkit.report.survey import Rows, changes_of
from evalkit.report.texts import clipped
from evalkit.report.view import GateLine, View
from evalkit.types import Score
from evalkit.visible import visible

_TEMPLATES = Path(__file__).parent / "templates"
_SCRIPTS = ("data.js", "parts.js", "cases.js", "case.js", "app.js")
_DATA_MARK = "<!--data-->"
_WORST = 10
_UNFOLDED = 6
_TEXT_CHARS = 1_200
ICONS = {"pass": "✓", "warn": "!", "block": "✗", "insufficient evidence": "?", "no decision": "?"}
SHORT = {"warn": "warn", "block": "block", "insufficient evidence": "unproven", "no decision": "undecided"}
TONES = {"approved": "pass", "approved with conditions": "warn", "blocked": "block", "no decision": "no-decision"}


def write_html(path: Path, view: View, rows: Rows, baseline_rows: Rows | None) -> None:
    """Write the report file; rows are streamed, so memory does not grow with their texts.

    Args:
        path: where the file goes; an older one is replaced when the new one is whole.
        view: what the head shows.
        rows: the candidate's rows, walked once.
        baseline_rows: the baseline's rows, walked once, `None` where there is no baseline.
    """
    head, _, tail = _page(view).partition(_DATA_MARK)
    with replacing(path) as file:
        file.write(head)
        write_payload(file, view, rows, baseline_rows)
        file.write(tail)


def _page(view: View) -> str:
    """Render everything but the data."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    environment.filters["clipped"] = lambda text: clipped(text, _TEXT_CHARS)
    assets = {"style": _read("report.css"), "theme": _read("theme.js"), "script": _script()}
    return environment.get_template("report.html.j2").render(
        view=view,
        policy=_policy(assets),
        **{name: Markup(text) for name, text in assets.items()},  # noqa: S704 - our own files
        **_helpers(view, Markup),
    )


def _helpers(view: View, safe: type[str]) -> dict[str, Any]:
    """Words, drawings and lookups that the template needs."""
    return {
        "icons": ICONS,
        "few_cases": FEW_CASES,
        "gate_groups": _gate_groups(view),
        "short": SHORT,
        "overlap": figure(view.comparison.overlap, Style("rate"), view.comparison.n_paired) if view.comparison else "",
        "tone": TONES[view.outcome],
        "worst": view.failing[:_WORST],
        "was": _was,
        "changes": _change_counts(view),
        "range_svg": lambda line: safe(range_svg(line, view.styles[line.check.metric])),
        "histograms": [
            (entry, safe(histogram_svg(entry, view.declared[entry.metric])), histogram_rows(entry))
            for entry in view.histograms
        ],
    }


def _gate_groups(view: View) -> list[tuple[str, list[GateLine], bool]]:
    """The checks by outcome, the most urgent first, and whether a group is shown unfolded."""
    groups: dict[str, list[GateLine]] = {}
    for line in view.gates:
        groups.setdefault(line.outcome, []).append(line)
    return [(name, lines, len(lines) <= _UNFOLDED) for name, lines in groups.items()]


def _was(failed: Any, metric: str) -> float | None:
    """The baseline's value of the same score."""
    grade = failed.before.scores.get(metric) if failed.before else None
    return grade.value if isinstance(grade, Score) else None


def _change_counts(view: View) -> list[tuple[str, int]]:
    """How many cases the comparison lists for each kind of change."""
    counts: dict[str, int] = dict.fromkeys(("new failure", "still failing", "fixed", "changed", "added", "removed"), 0)
    for change in changes_of(view.comparison).values():
        counts[change] += 1
    return list(counts.items()) if view.comparison else []


def _policy(assets: dict[str, str]) -> str:
    """The content security policy: nothing but our own script and style runs, nothing is fetched."""
    scripts = " ".join(_hash(assets[name]) for name in ("theme", "script"))
    return (
        f"default-src 'none'; script-src {scripts}; style-src {_hash(assets['style'])}; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _script() -> str:
    """Join the scripts in one scope."""
    parts = "\n".join(_read(name) for name in _SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}\n}})();'


def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8").strip()
