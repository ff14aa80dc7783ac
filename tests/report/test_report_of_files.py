"""The report of results that were read from files claims nothing that the files do not hold."""

from __future__ import annotations

from pathlib import Path

import chromium
import pytest
from chromium import Tab
from test_report_browser import browse

import evalkit

pytestmark = pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed")
TEXT = "document.querySelector('#case').innerText"


def report_of(folder: Path, head: str, cells: str) -> Path:
    """Compare two files in which the first 12 of 30 cases break."""
    for name, n_failing in (("before", 0), ("after", 12)):
        rows = [f"q{i:02},What is {i}?,{'no' if i < n_failing else 'yes'}{cells}" for i in range(30)]
        (folder / f"{name}.csv").write_text("\n".join([f"id,question,correct{head}", *rows]) + "\n", encoding="utf-8")
    evalkit.compare(folder / "before.csv", folder / "after.csv", out=folder / "out")
    return folder / "out" / "after" / "report.html"


def first_case(folder: Path, report: Path) -> str:
    """The text of the page of the first case."""
    found: list[str] = []

    async def visit(tab: Tab) -> None:
        await tab.open(report, "#/case/q00")
        await tab.until(f"{TEXT}.includes('q00')")
        found.append(await tab.value(TEXT))

    browse(folder, visit)
    return found[0]


def test_a_file_without_answers_has_no_empty_answers(tmp_path: Path) -> None:
    """No answer, time or severity is shown where the file has none."""
    text = first_case(tmp_path, report_of(tmp_path, "", ""))
    assert "What is 0?" in text and "after.csv:2" in text
    for claim in ("The answer is", "Answer", "latency", "medium", "golden"):
        assert claim not in text


def test_answers_times_and_other_columns_are_shown(tmp_path: Path) -> None:
    """As far as the file holds them."""
    report = report_of(tmp_path, ",answer,latency_s,author", ",Sunny.,0.25,ana")
    text = first_case(tmp_path, report)
    for part in ("Sunny.", "250 ms", "author", "ana"):
        assert part in text
