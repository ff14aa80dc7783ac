"""`evalkit golden coverage` in a process of its own."""

from __future__ import annotations

import json

import pytest
from cli_project import Project


def test_a_declared_mix_is_held_against_the_set(project: Project) -> None:
    """60 cases cover their half, nothing covers what the set does not hold; the rest is named."""
    ran = project.run("golden", "coverage", "suite.yaml", "--mix", "left=0.5,right=0.3,up=0.2")
    assert ran.returncode == 0, ran.stderr
    assert "covers 80.0% of production" in ran.stdout
    assert "30 more to cover it" in ran.stdout
    assert max(map(len, ran.stdout.splitlines())) <= 80
    assert project.calls() == []


def test_a_sample_of_production_has_a_bound(project: Project) -> None:
    """Counts of calls give an interval, and one kind seen once hints at others unseen."""
    calls = ["left"] * 60 + ["right"] * 39 + ["up"]
    lines = [json.dumps({"cohorts": {"group": value}, "input": "x"}) for value in calls]
    (project.root / "calls.jsonl").write_text("\n".join(lines), encoding="utf-8")
    ran = project.run("golden", "coverage", "suite.yaml", "--production", "calls.jsonl", "--json")
    found = json.loads(ran.stdout)
    assert found["coverage"]["value"] == pytest.approx(0.99 * 0.99)
    assert found["coverage"]["low"] < 0.98
    assert found["coverage"]["n"] == 100
    assert found["effective_n"] == pytest.approx(99**2 / (60**2 / 60 + 39**2 / 60))
    assert [(row["cell"], row["golden_cases"]) for row in found["cells"]] == [
        (["left"], 60),
        (["right"], 60),
        (["up"], 0),
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give either it or --mix"),
        (["--mix", "left=0.5"], "the shares sum to 0.5"),
        (["--mix", "left"], "holds no share"),
        (["--mix", "left=1", "--by", "tenant"], "no cohort 'tenant'"),
        (["--production", "gone.jsonl"], "no file 'gone.jsonl'"),
        (["--production", "cases.jsonl", "--by", "group", "--mix", "a=1"], "give either it or --mix"),
    ],
)
def test_what_cannot_be_used_is_named(project: Project, words: list[str], message: str) -> None:
    """Exit 2, and no traceback."""
    ran = project.run("golden", "coverage", "suite.yaml", *words)
    assert ran.returncode == 2
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_rate_at_productions_mix_is_shown_and_gated(project: Project) -> None:
    """A set that is half `left` passes by its plain rate, and not by that of a production that is nearly all `left`."""
    text = (
        (project.root / "suite.yaml")
        .read_text(encoding="utf-8")
        .replace("arguments: {broken: ", "arguments: {broken: left-0")
    )
    text = text.replace("  - no_regression: {baseline: main}\n", "  - pass_rate_production: {min: 0.5}\n")
    mix = "production: {group=left: 0.9, group=right: 0.1}\n"
    (project.root / "suite.yaml").write_text(mix + text.replace('left-0""', '"left-0"'), encoding="utf-8")
    ran = project.run("run", "suite.yaml", "--out", "first", "--baseline", "none")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "pass rate production is 25%" in ran.stdout.replace("\n", " ")
