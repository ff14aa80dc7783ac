"""What scorers bear on, from the suite to the sections of the release decision."""

from __future__ import annotations

import json
import re

from cli_project import Project

SUITE = """\
name: concerns
golden: cases.jsonl
system: {python: "bot:answer"}
scorers:
  - leak: {name: mails}
  - contains: {name: privacy_notice, any_field: wanted}
  - not_contains: {name: slurs, any_field: slurs, concern: safety}
  - exact: {name: shown, advisory: true, concern: privacy}
cohorts: [product]
gate:
  - mails: {min: 0.1}
  - privacy_notice: {min: 0.1, by: product}
  - slurs: {min: 0.1}
  - shown: {min: 0.0}
  - pass_rate: {min: 0.1, by: product}
"""


def test_each_check_stands_where_its_scorer_says(project: Project) -> None:
    """`leak` under privacy, the suite's own word before the scorer's, and a cohort's name under nothing."""
    case = {"input": "1+1", "reference": "2", "wanted": ["2"], "slurs": ["fool"]}
    rows = [{"id": f"c{n}", **case, "cohorts": {"product": ("personal loans", "privacy")[n % 2]}} for n in range(20)]
    (project.root / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (project.root / "bot.py").write_text("def answer(input): return '2'\n", encoding="utf-8")
    project.suite(text=SUITE)
    ran = project.run("run", "suite.yaml", "--out", "first")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for _ in range(2):
        text = (project.root / "first" / "release_decision.md").read_text(encoding="utf-8")
        sections = dict(re.findall(r"## (\w+)\n\n(.*?)(?=\n\n## )", text, re.DOTALL))
        subjects = {title: set(re.findall(r"pass: `([^`]*)`", body)) for title, body in sections.items()}
        assert subjects["Privacy"] == {"mails", "shown"}
        assert subjects["Safety"] == {"slurs"}
        assert {"privacy notice", "privacy notice in product=privacy", "pass rate in product=personal loans"} <= (
            subjects["Quality"]
        )
        assert project.run("report", "first").returncode == 0


def test_an_unknown_concern_is_refused(project: Project) -> None:
    """With the line and the choices."""
    project.suite(text=SUITE.replace("concern: safety", "concern: policy"))
    ran = project.run("check", "suite.yaml")
    assert ran.returncode == 2
    said = " ".join(ran.stderr.split())
    assert "suite.yaml:7" in said
    assert "quality, safety, privacy" in said
