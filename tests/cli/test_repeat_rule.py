"""`repeat_rule` decides which cases fail, and every list and count of a run says the same."""

from __future__ import annotations

import csv
import json
import re
from xml.etree import ElementTree

import pytest
from cli_project import Project

BOT = """\
ASKED = {}

def answer(input):
    ASKED[input] = ASKED.get(input, 0) + 1
    return "wrong" if ASKED[input] <= 10 - int(input) else "right"
"""
SUITE = """\
name: rule
golden: cases.jsonl
system: {python: "bot:answer"}
scorers: [exact]
repeat: 10
repeat_rule: "rate:0.8"
concurrency: 1
gate:
  - failures: {severity: critical, max: 0}
"""


@pytest.fixture
def ruled(project: Project) -> Project:
    """Three critical cases that pass 7, 8 and 10 of 10 times under `rate:0.8`."""
    (project.root / "bot.py").write_text(BOT, encoding="utf-8")
    project.suite(text=SUITE)
    cases = [{"id": f"c{n}", "input": str(n), "reference": "right", "severity": "critical"} for n in (7, 8, 10)]
    (project.root / "cases.jsonl").write_text("".join(json.dumps(case) + "\n" for case in cases), encoding="utf-8")
    return project


def test_one_case_of_three_fails_and_is_named_once_everywhere(ruled: Project) -> None:
    """Exit code, console, Markdown, JUnit, records and table: c7 fails, c8 does not."""
    ran = ruled.run("run", "suite.yaml", "--out", "first")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "1 failing ✗ c7 critical · 3 of 10 runs" in " ".join(ran.stdout.split())
    first = ruled.root / "first"
    summary = (first / "summary.md").read_text(encoding="utf-8")
    assert "Worst failures" in summary
    assert re.search(r"\(1 of 1\)", summary)
    assert "3 of 10 runs" in summary
    assert "`c8`" not in summary
    analysis = (first / "failure_analysis.md").read_text(encoding="utf-8")
    assert "1 of 3 cases failed. Of 30 runs, 0 had no answer" in analysis
    assert "| `exact` | 1 |" in analysis
    assert "`c8`" not in analysis
    record = (first / "release_decision.md").read_text(encoding="utf-8")
    assert "| `c7` | critical | `exact` (3 of 10 runs) |" in record
    assert "| `c8` |" not in record
    root = ElementTree.parse(first / "junit.xml").getroot()  # noqa: S314 - our own output
    failed = [case.get("name") for case in root.iter("testcase") if case.find("failure") is not None]
    assert failed == ["c7", "c7 #1", "c7 #2"]
    noted = [case.get("name") for case in root.iter("testcase") if case.find("system-out") is not None]
    assert noted == ["c8", "c8 #1"]
    assert root.get("failures") == "3"


def test_the_table_tells_a_failed_run_from_a_failed_case(ruled: Project) -> None:
    """A run that failed inside a case that does not is `flaky`."""
    ruled.run("run", "suite.yaml", "--out", "first")
    ran = ruled.run("report", "first", "--csv", "first.csv")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    with (ruled.root / "first.csv").open(encoding="utf-8-sig", newline="") as file:
        found = {(row["case_id"], row["verdict"]) for row in csv.DictReader(file)}
    assert found == {("c7", "failed"), ("c7", "passed"), ("c8", "flaky"), ("c8", "passed"), ("c10", "passed")}


def test_failed_from_asks_the_failing_cases(ruled: Project) -> None:
    """c7 alone is run again."""
    ruled.run("run", "suite.yaml", "--out", "first")
    again = ruled.run("run", "suite.yaml", "--out", "again", "--failed-from", "first")
    rows = (ruled.root / "again" / "rows.jsonl").read_text(encoding="utf-8")
    assert again.returncode == 3, again.stdout + again.stderr
    assert {name for name in ("c7", "c8", "c10") if f'"id":"{name}"' in rows.replace(": ", ":")} == {"c7"}


def test_fail_fast_counts_cases_that_can_no_longer_pass(ruled: Project) -> None:
    """Two missed runs of ten leave `rate:0.8` within reach, so c8 is not counted; c7 is at its third miss."""
    enough = ruled.run("run", "suite.yaml", "--out", "two", "--fail-fast", "2")
    assert enough.returncode == 1, enough.stdout + enough.stderr
    stopped = ruled.run("run", "suite.yaml", "--out", "one", "--fail-fast", "1")
    assert stopped.returncode == 3, stopped.stdout + stopped.stderr


def test_diff_lists_what_newly_fails_by_the_rule(ruled: Project) -> None:
    """c8 falls from 8 to 7 of 10."""
    ruled.run("run", "suite.yaml", "--out", "first")
    (ruled.root / "bot.py").write_text(BOT.replace("10 - int(input)", "11 - int(input)"), encoding="utf-8")
    ruled.run("run", "suite.yaml", "--out", "second")
    ran = ruled.run("diff", "first", "second")
    said = " ".join(ran.stdout.split())
    assert "1 new failure · 0 fixed · 1 still failing" in said
    assert "1 newly failing c8" in said
