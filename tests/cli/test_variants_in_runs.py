"""A run executes `variants:`: own rows, own figures, and nothing of the originals changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_project import SUITE, Project

KILL_AT = Path(__file__).parents[1] / "faults" / "kill_at.py"
SUMS = """\
import pathlib

def answer(input: str, id: str) -> str:
    with pathlib.Path(__file__).with_name("calls.log").open("a") as file:
        file.write(id + "\\n")
    if "A customer asks" in input and "left" in id:
        return "no idea"
    a, b = input.split(":")[-1].split("+")
    return str(int(a) + int(b))
"""
VARIANTS = """\
variants:
  - spaces
  - {forward: {language: en}, of: {group: [left, right]}}
  - lower
"""


@pytest.fixture
def varied(project: Project) -> Project:
    """A system that fails on half of the forwarded questions."""
    (project.root / "bot.py").write_text(SUMS, encoding="utf-8")
    project.cases(60)
    text = SUITE.replace(', arguments: {broken: "BROKEN"}', "").replace("  - no_regression: {baseline: main}\n", "")
    project.suite(text=text + VARIANTS)
    return project


def run(project: Project, *words: str) -> subprocess.CompletedProcess[str]:
    """Run without reports."""
    return project.run("run", "suite.yaml", "--no-report", "--progress", "none", *words)


def summary(project: Project, folder: str) -> dict[str, Any]:
    """The summary of a run."""
    found: dict[str, Any] = json.loads((project.root / folder / "summary.json").read_text(encoding="utf-8"))
    return found


def rows(project: Project, folder: str) -> list[str]:
    """Ids of the stored variants."""
    lines = (project.root / folder / "variant_rows.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["row"]["case"]["id"] for line in lines]


def by_name(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The figures of each transform."""
    return {each["name"]: each for each in found["variants"]["transforms"]}


def test_variants_are_run_and_count_in_no_figure_of_the_originals(varied: Project) -> None:
    """60 calls for the originals, 120 for variants; the other cells are those of a run without `variants:`."""
    ran = run(varied, "--out", "with")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "variants of the cases are run too: spaces, forward, lower" in ran.stderr
    assert len(varied.calls()) == 180
    assert len(rows(varied, "with")) == 120
    found = summary(varied, "with")
    figures = by_name(found)
    assert figures["spaces"]["gap"]["value"] == 0
    assert figures["forward"]["gap"]["value"] == pytest.approx(0.5)
    assert (figures["forward"]["n_variants"], figures["forward"]["gap"]["n"]) == (60, 60)
    assert (figures["forward"]["worst_cohort"], figures["forward"]["worst_cohort_gap"]) == ("group=left", 1)
    assert figures["forward"]["p_value"] < 0.001 < figures["spaces"]["p_value"]
    assert figures["forward"]["consistency"]["value"] == pytest.approx(0.5)
    assert figures["forward"]["repeat_consistency"] is None
    assert figures[""]["gap"]["value"] == pytest.approx(0.25)
    assert found["variants"]["left_out"] == {"lower": {"nothing changes": 60}}
    suite = varied.root / "suite.yaml"
    suite.write_text(suite.read_text(encoding="utf-8").replace(VARIANTS, ""), encoding="utf-8")
    assert run(varied, "--out", "without").returncode == 0
    other = summary(varied, "without")
    assert "variants" not in other
    assert {key: found[key] for key in other} == other


def test_the_run_is_verified_decided_again_and_scored_with_its_variants(varied: Project) -> None:
    """An altered row of a variant is found; `gate` and `score` give the same figures without a call."""
    assert run(varied, "--out", "one").returncode == 0
    first = summary(varied, "one")["variants"]
    n_calls = len(varied.calls())
    assert varied.run("gate", "one").returncode == 0
    assert summary(varied, "one")["variants"] == first
    scored = varied.run("score", "one", "--suite", "suite.yaml", "--out", "two")
    assert scored.returncode == 0, scored.stderr
    assert summary(varied, "two")["variants"] == first
    assert len(varied.calls()) == n_calls
    assert varied.run("verify", "one").returncode == 0
    file = varied.root / "one" / "variant_rows.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[1:]))
    ran = varied.run("verify", "one")
    assert ran.returncode != 0
    assert "gone from variant_rows.jsonl" in ran.stdout + ran.stderr
    again = varied.run("gate", "one")
    assert again.returncode == 3, again.stdout
    assert by_name(summary(varied, "one"))["spaces"]["n_unknown"] == 1


def test_repeats_tell_how_consistent_the_originals_are(varied: Project) -> None:
    """With `repeat: 2` the same share is given for plain repeats; variants are run once."""
    assert run(varied, "--out", "one", "--repeat", "2").returncode == 0
    assert len(varied.calls()) == 240
    assert by_name(summary(varied, "one"))["forward"]["repeat_consistency"]["value"] == 1


def test_a_kill_between_two_variants_changes_nothing(varied: Project) -> None:
    """After a resume the rows that were there stand, the others are run, and the figures are the same."""
    assert run(varied, "--out", "whole").returncode == 0
    words = [str(KILL_AT), "evalkit.store.journal:Journal.append", "after", "70"]
    words += ["run", "suite.yaml", "--out", "killed", "--progress", "none", "--no-report"]
    died = subprocess.run(
        [sys.executable, *words], cwd=varied.root, env={**os.environ}, capture_output=True, check=False
    )
    assert died.returncode == -9, died.stderr
    kept = (varied.root / "killed" / "variant_rows.jsonl").read_bytes()
    assert kept.count(b"\n") == 10
    n_calls = len(varied.calls())
    assert run(varied, "--out", "killed", "--resume").returncode == 0
    assert len(varied.calls()) == n_calls + 110
    assert (varied.root / "killed" / "variant_rows.jsonl").read_bytes().startswith(kept)
    assert summary(varied, "killed")["variants"] == summary(varied, "whole")["variants"]
    assert varied.run("verify", "killed").returncode == 0


def test_a_resumed_run_drops_variants_that_the_suite_no_longer_makes(varied: Project) -> None:
    """Their rows are set aside; nothing else is run again."""
    assert run(varied, "--out", "one", "--limit", "10").returncode == 3
    suite = varied.root / "suite.yaml"
    suite.write_text(suite.read_text(encoding="utf-8").replace("  - spaces\n", ""), encoding="utf-8")
    n_calls = len(varied.calls())
    ran = run(varied, "--out", "one", "--limit", "10", "--resume")
    assert ran.returncode == 3, ran.stderr
    assert len(varied.calls()) == n_calls
    assert {id_.split("~")[1] for id_ in rows(varied, "one")} == {"forward"}
    assert len((varied.root / "one" / "set_aside.jsonl").read_text(encoding="utf-8").splitlines()) == 10


def test_a_dry_run_counts_variants(varied: Project) -> None:
    """Answers and grades include them, and nothing is sent."""
    found = json.loads(varied.run("run", "suite.yaml", "--dry-run", "--json").stdout)
    assert (found["n_rows"], found["n_variants"], found["n_grades"]) == (180, 120, 180)
    assert found["calls"]["system"]["likely"] == 180
    shown = varied.run("run", "suite.yaml", "--dry-run").stdout
    assert "180 answers: 1 a case and 120 variants" in shown
    assert varied.calls() == []


def test_shards_are_merged_with_their_variants(varied: Project) -> None:
    """Two shards give the figures of one run."""
    assert run(varied, "--out", "whole").returncode == 0
    for number in (1, 2):
        assert run(varied, "--out", f"part{number}", "--shard", f"{number}/2").returncode == 3
    merged = varied.run("merge", "part1", "part2", "--out", "merged")
    assert merged.returncode == 0, merged.stderr
    assert summary(varied, "merged")["variants"] == summary(varied, "whole")["variants"]
