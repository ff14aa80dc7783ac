"""A sample of a large golden set: declared in the suite it decides, as a flag it is a partial run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_project import Project

SUITE = """\
name: sums
golden: many.jsonl
system: {python: "bot:answer"}
scorers: [exact]
cohorts: [topic]
SAMPLE
gate:
  - pass_rate: {min: 0.5}
  - no_regression: {baseline: main}
"""
BOT = """\
def answer(input: str) -> str:
    number = int(input)
    return str(number if number < 900 or number % 2 else -1)
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A set of 1,000 cases; the rare topic's even half fails."""
    made = Project(tmp_path)
    (tmp_path / "bot.py").write_text(BOT, encoding="utf-8")
    topics = ["rare" if number >= 900 else "common" for number in range(1000)]
    rows = [
        {"id": f"c{number:03}", "input": str(number), "reference": str(number), "cohorts": {"topic": topic}}
        for number, topic in enumerate(topics)
    ]
    (tmp_path / "many.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return made


def write(project: Project, sample: str = "") -> None:
    """The suite, with a sample or without."""
    project.suite(text=SUITE.replace("SAMPLE", sample))


def test_a_declared_sample_decides_with_figures_of_the_whole_set(project: Project) -> None:
    """200 of 1,000 cases, at least 80 of either topic: the rare half failures weigh a tenth."""
    write(project, "sample: {n: 200, by: topic, floor: 80}")
    ran = project.run("run", "suite.yaml", "--out", "first")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    manifest, summary = project.json("first/manifest.json"), project.json("first/summary.json")
    assert manifest["sample"]["strata"] == {"topic=common": [900, 120], "topic=rare": [100, 80]}
    assert manifest["partial"] is None
    (overall,) = [c for c in summary["cells"] if (c["metric"], c["cohort"]) == ("pass_rate", "overall")]
    assert overall["n_scored"] == 200
    assert 0.93 <= overall["estimate"]["value"] <= 0.97
    assert "a sample: 200 cases represent 1000" in ran.stdout.replace("\n", " ").replace("  ", " ")


def test_a_sampled_run_is_compared_with_one_of_the_whole_set_and_with_itself(project: Project) -> None:
    """Cases that were not drawn are not removed."""
    write(project)
    assert project.run("run", "suite.yaml", "--out", "whole").returncode == 0
    assert project.run("baseline", "save", "whole").returncode == 0
    write(project, "sample: {n: 200, floor: 80}")
    for out in ("first", "second"):
        ran = project.run("run", "suite.yaml", "--out", out)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        found = project.json(f"{out}/decision.json")["comparison"]
        assert (found["n_paired"], found["overlap"], found["removed"]) == (200, 1.0, [])
        assert project.run("baseline", "save", out).returncode == 0
    assert project.run("gate", "second").returncode == 0


def test_a_sampled_run_goes_on_with_its_own_cases(project: Project) -> None:
    """Another size is another run."""
    write(project, "sample: 200")
    assert project.run("run", "suite.yaml", "--out", "first").returncode == 0
    rows = project.root / "first" / "rows.jsonl"
    rows.write_text("".join(rows.read_text(encoding="utf-8").splitlines(keepends=True)[:50]), encoding="utf-8")
    (project.root / "first" / "decision.json").unlink()
    assert project.run("run", "suite.yaml", "--out", "first", "--resume").returncode == 0
    assert len(rows.read_text(encoding="utf-8").splitlines()) == 200


def test_the_flag_is_a_partial_run(project: Project) -> None:
    """Who chooses the size after the fact could draw until it is green."""
    write(project)
    ran = project.run("run", "suite.yaml", "--out", "few", "--sample", "100")
    assert ran.returncode == 3, ran.stdout + ran.stderr
    assert "partial run (--sample 100), not a gate" in project.json("few/decision.json")["reasons"]
    assert project.json("few/manifest.json")["sample"]["by"] == "topic"
    assert len((project.root / "few" / "rows.jsonl").read_text(encoding="utf-8").splitlines()) == 100


@pytest.mark.parametrize(
    ("sample", "flags", "message"),
    [
        ("sample: 0", (), "sample: 0 cases are not a sample"),
        ("sample: {n: 10, by: tpoic}", (), "'tpoic' is not a cohort of the suite"),
        ("sample: {n: 10, floor: -1}", (), "-1 is negative"),
        ("", ("--sample", "10", "--limit", "5"), "two choices of cases"),
        (
            "sample: 3",
            (),
            "suite.yaml:6:1 sample: 3 cases cannot hold all 0 canaries and 2 of each topic; take at least 4",
        ),
    ],
)
def test_samples_that_cannot_be_meant_are_refused(
    project: Project, sample: str, flags: tuple[str, ...], message: str
) -> None:
    """Before the first call."""
    write(project, sample)
    ran = project.run("run", "suite.yaml", "--out", "none", *flags)
    assert ran.returncode == 2
    assert message in ran.stderr.replace("\n", " ")


def test_a_sampled_run_goes_on_after_the_golden_set_was_edited(project: Project) -> None:
    """Paid answers stay; the counts of the strata are those of the set as it is now."""
    write(project, "sample: 200")
    assert project.run("run", "suite.yaml", "--out", "first").returncode == 0
    (project.root / "first" / "decision.json").unlink()
    cases = project.root / "many.jsonl"
    cases.write_text("".join(cases.read_text(encoding="utf-8").splitlines(keepends=True)[1:]), encoding="utf-8")
    ran = project.run("run", "suite.yaml", "--out", "first", "--resume")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert project.json("first/manifest.json")["sample"]["strata"]["topic=common"][0] == 899


def test_power_and_check_speak_of_the_sample(project: Project) -> None:
    """They tell what a run will do."""
    write(project, "sample: 200")
    assert "a run makes 200 calls" in project.run("check", "suite.yaml").stdout
    told = json.loads(project.run("power", "suite.yaml", "--json").stdout)
    assert json.dumps(told).count('"n": 200') >= 1
