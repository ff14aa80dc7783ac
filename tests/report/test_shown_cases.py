"""The page of a huge run holds the cases that matter, and a sample of the others."""

import random
from pathlib import Path

import pytest
import report_samples
from test_report_html import blocks

from evalkit.report import shown_cases
from evalkit.report.html import write_html
from evalkit.report.shown_cases import CaseDraw, draw_of
from evalkit.report.view import build_view
from evalkit.types import Case


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page holds 24 cases, four of which its head lists."""
    monkeypatch.setattr(shown_cases, "MOST_CASES", 24)
    monkeypatch.setattr(shown_cases, "LISTED_CASES", 4)


def draw(numbers: list[int], seed: int = 1) -> frozenset[str]:
    """The cases that are drawn of a hundred: ten fail, ten are canaries, ten are new."""
    found = CaseDraw(seed)
    for number in numbers:
        kind = "canary" if number % 10 == 1 else "golden"
        case = Case(id=f"c{number}", input="?", kind=kind)
        found.add(case, "failed" if number % 10 == 0 else "passed", "added" if number % 10 == 2 else "")
    return found.shown(["c99"]).ids


@pytest.mark.usefixtures("few")
def test_failures_and_canaries_come_first() -> None:
    """All ten of each are there; the room left is of the changed cases, and listed cases are added."""
    ids = draw([*range(100)])
    assert ids >= {f"c{number}" for number in range(100) if number % 10 < 2} | {"c99"}
    assert len(ids) == 21


@pytest.mark.usefixtures("few")
def test_the_sample_depends_on_the_seed_and_not_on_the_order() -> None:
    """Passing cases are drawn by hash."""
    numbers = [number for number in range(100) if number % 10 > 2]
    shuffled = random.Random(0).sample(numbers, len(numbers))
    assert draw(numbers) == draw(shuffled) != draw(numbers, seed=2)
    assert len(draw(numbers)) in (20, 21)


def test_the_page_of_a_huge_run_says_what_it_holds(tmp_path: Path, few: None) -> None:
    """Rows of cases that are not shown are left out, and all are counted."""
    manifest, summary, decision = report_samples.manifest(), report_samples.summary(), report_samples.decision()
    rows, old = report_samples.candidate_rows, report_samples.baseline_rows
    view = build_view(summary, decision, rows, old, manifest)
    assert view.shown is not None
    write_html(tmp_path / "report.html", view, rows, old)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    index = blocks(tmp_path / "report.html")["index"]
    columns = index["legend"]["columns"]
    named = [dict(zip(columns, row, strict=True)) for row in index["rows"]]
    assert {line["id"] for line in named} == view.shown.ids
    assert len(named) <= 24 < view.shown.of == 41
    assert f"report.html holds {len(named)} of 41 cases" in text
    everyone = {row.case.id: row for row in rows()}
    failed = {case_id for case_id in view.failing_ids if case_id in everyone}
    assert failed <= view.shown.ids


def test_a_run_that_fits_is_shown_whole() -> None:
    """50,000 cases fit."""
    assert draw_of(50_000, 0) is None
    assert draw_of(50_001, 0) is not None
