"""One question, one answer: the smallest drop is the same in `power`, `baseline show`, the decision and the report."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cli_project import Project

BOT = """\
def answer(input: str, id: str, broken: str = "") -> str:
    return "no" if broken and id.startswith(broken) else "yes"
"""
SUITE = """\
name: sizes
golden: sizes.jsonl
system: {python: "bot:answer", arguments: {broken: "BROKEN"}}
scorers: [exact, {contains: [y]}]
cohorts: [group]
gate:
  - no_regression: {baseline: main, critical: [CRITICAL]}
"""
SIZES = {"tiny": 4, "eight": 8, "eleven": 11, "thirty": 30, "rest": 80}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A steady system whose cohorts have 4 to 80 cases."""
    made = Project(tmp_path)
    (tmp_path / "bot.py").write_text(BOT, encoding="utf-8")
    cases = [
        {"id": f"{name}-{i:02}", "input": f"{name} {i}", "reference": "yes", "cohorts": {"group": name}}
        for name, size in SIZES.items()
        for i in range(size)
    ]
    (tmp_path / "sizes.jsonl").write_text("".join(json.dumps(case) + "\n" for case in cases), encoding="utf-8")
    write(made)
    return made


def write(project: Project, broken: str = "", critical: str = "thirty") -> None:
    """The suite, with a cohort that fails."""
    project.suite(text=SUITE.replace("BROKEN", broken).replace("CRITICAL", critical))


def by_cohort(records: list[dict[str, object]]) -> dict[str, float | None]:
    """Smallest drops of the pass rate."""
    return {
        str(each["cohort"]): None if each["smallest_drop"] is None else round(float(str(each["smallest_drop"])), 6)
        for each in records
        if each["metric"] == "pass_rate"
    }


@pytest.mark.parametrize("repeat", [1, 4])
def test_the_smallest_drop_is_one_figure_everywhere(project: Project, repeat: int) -> None:
    """By single runs, where the noise is assumed, and by four, where it is known."""
    first = project.run("run", "suite.yaml", "--out", "first", "--repeat", str(repeat), "--baseline", "none")
    assert first.returncode == 0, first.stderr
    assert project.run("baseline", "save", "first", "--name", "main").returncode == 0
    ran = project.run("run", "suite.yaml", "--out", "second", "--verbose")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    checks = [each for each in project.json("second/decision.json")["checks"] if each["name"] == "no_regression"]
    stated = by_cohort([{"smallest_drop": None, **each} for each in checks])
    power = by_cohort(json.loads(project.run("power", "suite.yaml", "--json").stdout))
    shown = by_cohort(json.loads(project.run("baseline", "show", "main", "--json").stdout)["sees"])
    assert stated == power == shown
    assert stated["group=tiny"] is None
    assert stated["overall"] is not None
    sight = project.json("second/decision.json")["comparison"]["sight"]
    figure = re.search(r"from (\S+ pts) on", sight)[1]
    assert float(figure.split()[0]) == pytest.approx(100 * stated["overall"], abs=0.5)
    assert figure in project.run("power", "suite.yaml").stdout
    assert f"{figure.replace('pts', 'points')} in overall" in project.run("baseline", "show", "main").stdout
    assert f"from {figure} on" in (project.root / "second" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("cohort", "critical", "blocks"), [("eight", "rest", True), ("eleven", "rest", True), ("tiny", "rest", False)]
)
def test_none_is_never_said_of_a_cohort_that_then_blocks(
    project: Project, cohort: str, critical: str, blocks: bool
) -> None:
    """Cohorts of 8 and 11 that break as a whole block, and `power` and `baseline show` said that they can."""
    write(project, critical=critical)
    assert project.run("run", "suite.yaml", "--out", "first", "--baseline", "none").returncode == 0
    before = json.loads(project.run("power", "suite.yaml", "--json").stdout)
    assert project.run("baseline", "save", "first", "--name", "main").returncode == 0
    write(project, broken=cohort, critical=critical)
    after = json.loads(project.run("power", "suite.yaml", "--json").stdout)
    project.run("run", "suite.yaml", "--out", "second")
    checks = project.json("second/decision.json")["checks"]
    (check,) = [
        each
        for each in checks
        if (each["name"], each["metric"], each["cohort"]) == ("no_regression", "pass_rate", f"group={cohort}")
    ]
    assert (check["outcome"] == "block") is blocks
    for seen in (before, after):
        (found,) = [each for each in seen if each["cohort"] == f"group={cohort}"]
        assert found["can_block"] is blocks
    (line,) = [each for each in project.run("power", "suite.yaml").stdout.splitlines() if f"group={cohort} " in each]
    assert line.rstrip().endswith("none") is not blocks
