"""The page of all runs: what it lists, what it draws, and what it never hides."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from stored_runs import HOSTILE, a_run

from evalkit.operations.view import page_of_runs
from evalkit.store.folder import DECISION, MANIFEST, ROWS
from evalkit.store.run_tree import run_tree


def rows_of(page: str) -> list[str]:
    """The lines of the list as text, without tags."""
    body = page.partition('<tbody id="runs">')[2].partition("</tbody>")[0]
    rows = re.findall(r"<tr.*?</tr>", body, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]*>", " ", row).split()) for row in rows]


def data_of(page: str) -> dict[str, Any]:
    """The figures that the page holds for its script."""
    text = page.partition('<script type="application/json" id="data">')[2].partition("</script>")[0]
    return dict(json.loads(text))


def test_a_run_is_listed_with_its_figures_and_a_link(tmp_path: Path) -> None:
    """When, suite, system, commit, outcome, pass rate with interval, cases, cost, report; newest first."""
    a_run(tmp_path / "first", 1)
    a_run(
        tmp_path / "second run",
        2,
        outcome="blocked",
        rate=0.5,
        system={"version": "v7"},
        commit="0123456789abcdef",
        suite="other",
    )
    page = page_of_runs(tmp_path)
    rows = rows_of(page)
    assert rows == [
        "second run ✗ blocked 50% [40, 60] 40 unknown 2026-01-03 10:01 other v7 0123456789",
        "first ✓ approved 80% [70, 90] 40 unknown 2026-01-02 10:01 compliance – –",
    ]
    assert '<a href="second%20run/report.html">second run</a>' in page


def test_nothing_is_hidden(tmp_path: Path) -> None:
    """Folders that are damaged, begun, partial or in baselines are listed as that; others are not."""
    a_run(tmp_path / "whole", 1)
    a_run(tmp_path / "part", 2, partial="--limit 3")
    a_run(tmp_path / "stopped", 3).file(DECISION).unlink()
    a_run(tmp_path / "torn", 5).file("summary.json").write_text("{", encoding="utf-8")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / ROWS).touch()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / MANIFEST).write_text("[]", encoding="utf-8")
    a_run(tmp_path / "baselines" / "main", 1)
    a_run(tmp_path / "baselines" / "old", 0)
    (tmp_path / "notes").mkdir()
    a_run(tmp_path / "watch" / "20260101", 7)
    rows = {row.split(" ")[0]: row for row in rows_of(page_of_runs(tmp_path))}
    assert rows.keys() == {"whole", "part", "stopped", "torn", "begun", "odd", "baselines/old"}
    assert rows["whole"].startswith("whole baseline main ✓ approved")
    assert rows["baselines/old"].startswith("baselines/old baseline old ✓ approved")
    assert rows["part"].startswith("part partial --limit 3 80%")
    assert rows["stopped"].startswith("stopped not finished –")
    assert "unreadable summary.json is missing or damaged" in rows["torn"]
    assert "unreadable no manifest.json in it" in rows["begun"]
    assert "unreadable format null" in rows["odd"]
    assert "<li>7 runs</li>" in page_of_runs(tmp_path)
    assert "<li>3 unreadable</li>" in page_of_runs(tmp_path)


def test_a_comparison_is_one_entry_with_its_systems_beneath(tmp_path: Path) -> None:
    """Its systems can be compared with each other, and no trend mixes them."""
    a_run(tmp_path / "alone", 1)
    (tmp_path / "matrix").mkdir()
    (tmp_path / "matrix" / "comparison.json").write_text("{}", encoding="utf-8")
    (tmp_path / "matrix" / "report.html").write_text("x", encoding="utf-8")
    for number, name in enumerate(("gpt", "llama"), 5):
        a_run(tmp_path / "matrix" / "systems" / name, number)
    page = page_of_runs(tmp_path)
    rows = [row.split(" ✓")[0] for row in rows_of(page)]
    assert rows[0].startswith("matrix comparison of 2 systems")
    assert rows[1:] == ["matrix/systems/gpt", "matrix/systems/llama", "alone"]
    assert '<a href="matrix/report.html">' in page
    assert '<a href="matrix/systems/gpt/report.html">' in page
    assert "<svg" not in page
    assert len(data_of(page)) == 3


def test_the_trend_has_a_band_and_is_cut_where_values_are_not_comparable(tmp_path: Path) -> None:
    """One band for each stretch of comparable runs; partial runs and other suites are not in it."""
    for number in range(1, 6):
        changes = {} if number < 4 else {"golden": {"path": "g.jsonl", "sha256": "cd", "n_cases": 1}}
        a_run(tmp_path / f"run-{number}", number, rate=0.7 + number / 50, **changes)
    a_run(tmp_path / "part", 6, rate=0.1, partial="--limit 3")
    a_run(tmp_path / "alone", 7, suite="other")
    page = page_of_runs(tmp_path)
    drawn = re.findall(r"<svg.*?</svg>", page)
    assert len(drawn) == 1
    bands = re.findall(r'<path class="band" d="M(.*?) Z"/>', drawn[0])
    assert [len(band.split(" L")) for band in bands] == [6, 4]
    assert drawn[0].count('class="need"') == 1
    assert "between 72% and 80%" in page


def test_two_runs_have_the_line_to_compare_them(tmp_path: Path) -> None:
    """Words for the shell, quoted; baselines by name; figures of each metric and cohort; what makes them unlike."""
    a_run(tmp_path / "a b;rm", 1)
    a_run(tmp_path / "baselines" / "main", 2)
    found = {each["word"]: each for each in data_of(page_of_runs(tmp_path)).values()}
    assert set(found) == {f"'{tmp_path}/a b;rm'", "main"}
    assert found["main"]["metrics"] == [
        ["pass_rate", "80%", "[70, 90]", 40],
        ["latency_p95_s", "1.50 s", "[1.40, 1.60]", 40],
    ]
    assert found["main"]["cohorts"] == [[f"topic={HOSTILE}", "40%", "[30, 50]", 10]]


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    """No name of a suite, folder, system or cohort becomes markup, nor ends the data; a link out is not followed."""
    outside = tmp_path / "outside"
    a_run(outside / "secret", 1)
    inside = tmp_path / "reports"
    a_run(inside / "<b>bold", 2, suite=HOSTILE, system={"version": "</script><i>"}, partial="</td><script>")
    (inside / "linked").symlink_to(outside / "secret")
    (inside / "<b>bold" / "systems").mkdir()
    page = page_of_runs(inside)
    assert "<img" not in page
    assert "<b>bold" not in page
    assert "<script>alert" not in page
    assert page.count("</script>") == 3
    assert 'href="linked' not in page
    assert 'href="%3Cb%3Ebold/report.html"' in page


def test_a_running_process_is_named(tmp_path: Path) -> None:
    """The lock of another process shows as running."""
    a_run(tmp_path / "now", 1).file(DECISION).unlink()
    code = (
        "import sys; from pathlib import Path; from evalkit.store.running import Running\n"
        "with Running(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "now")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        row = rows_of(page_of_runs(tmp_path))[0]
        process.communicate(b"")
    assert row.startswith(f"now running process {process.pid}")
    assert rows_of(page_of_runs(tmp_path))[0].startswith("now not finished")


def test_an_edited_index_is_not_believed(tmp_path: Path) -> None:
    """A record whose figures are not numbers is read again."""
    (tmp_path / "pyproject.toml").touch()
    folder = tmp_path / "reports"
    a_run(folder / "one", 1)
    first = run_tree(folder)
    with sqlite3.connect(tmp_path / ".evalkit" / "runs.sqlite") as base:
        text = base.execute("SELECT record FROM runs").fetchone()[0]
        for wrong in ('"values": {"pass_rate": NaN', '"values": {"pass_rate": "x"', '"value": {"pass_rate": 0.8'):
            base.execute("UPDATE runs SET record = ?", (text.replace('"values": {"pass_rate": 0.8', wrong),))
            base.commit()
            assert run_tree(folder) == first
    base.close()
