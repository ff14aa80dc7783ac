"""Rules that changed with the system, in every place that a reader looks at."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
import report_samples
from rich.console import Console

from evalkit.report.console import print_view
from evalkit.report.html import write_html
from evalkit.report.markdown import page_of, summary_markdown
from evalkit.report.records import release_decision_markdown
from evalkit.report.view import View
from evalkit.results import Amendment

CHANGES = (
    Amendment(what="gate pass_rate.min", before="0.85", after="0.8", loosens=True),
    Amendment(what="3 cases removed", note="2 of them failing before", loosens=True),
    Amendment(what=f"labels {report_samples.HOSTILE}", before="60 labels", after="61 labels", loosens=False),
)


@pytest.fixture
def changed(view: View) -> View:
    """The hand-made run with changed rules."""
    return replace(view, amendments=CHANGES, amended_since="origin/main@9f2c1ab")


def test_the_summary_names_both_values(changed: View) -> None:
    """Value before and after, what is looser marked, and where the rules before stood."""
    text = summary_markdown(changed)
    visible, _, folded = text.partition("<details>")
    assert "Changed rules, looser: gate pass" in visible
    assert "<summary>Rules, labels and cases that changed since origin/main@" in folded
    assert "- \\! looser: `gate pass_rate.min` 0.85 → 0.8" in text
    assert "- \\! looser: `3 cases removed` (2 of them failing before)" in text


def test_changed_rules_are_news(changed: View) -> None:
    """An approved run whose gate was loosened is not a quiet one."""
    quiet = replace(changed, outcome="approved", comparison=None if changed.comparison is None else replace(
        changed.comparison, new_failures=(), fixed=(), removed=(), changed=(), added=()
    ))  # fmt: skip
    assert page_of(quiet).news
    assert not page_of(replace(quiet, amendments=())).news


def test_terminal_record_and_report_say_the_same(changed: View, tmp_path: Path) -> None:
    """The other places carry the same findings, and hostile names stay text."""
    file = io.StringIO()
    print_view(changed, Console(file=file, width=100, color_system=None, markup=False))
    assert "rules   ! looser gate pass_rate.min 0.85 → 0.8 since origin/main@9f2c1ab" in file.getvalue()
    record = release_decision_markdown(changed, report_samples.manifest())
    assert "`gate pass_rate.min` 0.85 → 0.8" in record.partition("## Rules, labels and cases that changed")[2]
    write_html(tmp_path / "r.html", changed, report_samples.stored_rows, None)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<b>! looser:</b> <code>gate pass_rate.min</code> 0.85 → 0.8" in page
    assert "<img src=x" not in page
