"""A project's own scorers, from five lines of Python to a blocked release."""

from __future__ import annotations

import json
from pathlib import Path

import git_project
import pytest
from cli_project import Project
from forked import forked

POLITE = """\
from own_words import WORDS

def polite(text):
    "Says please."
    return any(word in text.lower() for word in WORDS)
"""
SUITE = """\
name: own
golden: cases.jsonl
system: {python: "bot:answer"}
concurrency: 2
scorers:
  - python: {call: "own_scorers:polite"}
gate:
  - polite: {min: 0.8}
GATE"""
BOT = """\
import pathlib

def answer(input: str, id: str) -> str:
    with pathlib.Path(__file__).with_name("calls.log").open("a") as file:
        file.write(id + "\\n")
    return input
"""


@pytest.fixture
def own(tmp_path: Path) -> Project:
    """A project whose scorer passes 90 of 100 answers."""
    project = Project(tmp_path)
    write(project, polite=90)
    (tmp_path / "bot.py").write_text(BOT, encoding="utf-8")
    (tmp_path / "own_scorers.py").write_text(POLITE, encoding="utf-8")
    (tmp_path / "own_words.py").write_text("WORDS = ['please']\n", encoding="utf-8")
    suite(project)
    return project


def write(project: Project, polite: int) -> None:
    """A golden set of 100 cases, so many of which the bot answers politely."""
    rows = [{"id": f"c{n}", "input": f"{'Please' if n < polite else 'Go'} wait {n}"} for n in range(100)]
    (project.root / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def suite(project: Project, gate: str = "", **words: str) -> None:
    """Write the suite, with a further check and words replaced."""
    text = SUITE.replace("GATE", gate)
    for old, new in words.items():
        text = text.replace(old, new)
    (project.root / "suite.yaml").write_text(text, encoding="utf-8")


def flat(text: str) -> str:
    """Text of a terminal without its line breaks."""
    return " ".join(text.split())


def test_five_lines_grade_gate_and_are_shown(own: Project) -> None:
    """The function's name is the metric: it blocks a rude bot, and the report says why each answer failed."""
    passed = forked(own.root, "run", "suite.yaml", "--out", "first")
    assert passed.returncode == 0, passed.stdout + passed.stderr
    write(own, polite=20)
    blocked = forked(own.root, "run", "suite.yaml", "--out", "second")
    assert blocked.returncode == 1
    assert "polite is 20%, need ≥ 80%" in flat(blocked.stdout)
    page = (own.root / "second" / "report.html").read_text(encoding="utf-8")
    assert "polite" in page
    assert "returned False" in page


def test_an_edited_scorer_is_not_compared_with_its_former_self(own: Project) -> None:
    """Exit code 2 names the file, also of a module that the scorer imports; `evalkit score` grades again."""
    suite(own, "  - no_regression: {baseline: main}\n")
    assert forked(own.root, "run", "suite.yaml", "--out", "first", "--baseline", "none").returncode == 0
    assert forked(own.root, "baseline", "save", "first", "--name", "main").returncode == 0
    (own.root / "own_words.py").write_text("WORDS = ['please', 'wait']\n", encoding="utf-8")
    refused = forked(own.root, "run", "suite.yaml", "--out", "second")
    assert refused.returncode == 2
    assert "its polite was scored differently (file own_words.py)" in flat(refused.stderr)
    again = forked(own.root, "score", "main", "--suite", "suite.yaml", "--out", "again")
    assert again.returncode == 0, again.stdout + again.stderr
    assert own.json("again/summary.json") != own.json("first/summary.json")


def test_an_edited_bot_leaves_the_scores_comparable(own: Project) -> None:
    """The scorer does not import it."""
    suite(own, "  - no_regression: {baseline: main}\n")
    assert forked(own.root, "run", "suite.yaml", "--out", "first", "--baseline", "none").returncode == 0
    assert forked(own.root, "baseline", "save", "first", "--name", "main").returncode == 0
    (own.root / "bot.py").write_text(BOT + "# new\n", encoding="utf-8")
    compared = forked(own.root, "run", "suite.yaml", "--out", "second")
    assert compared.returncode == 0, compared.stdout + compared.stderr


def test_a_resumed_run_grades_again_with_an_edited_scorer(own: Project) -> None:
    """The system is not called for the answers that are there."""
    assert forked(own.root, "run", "suite.yaml", "--out", "first").returncode == 0
    (own.root / "calls.log").unlink()
    (own.root / "own_scorers.py").write_text(POLITE.replace("return any", "return not any"), encoding="utf-8")
    resumed = forked(own.root, "run", "suite.yaml", "--out", "first", "--resume")
    assert resumed.returncode == 1, resumed.stdout + resumed.stderr
    assert "polite is 10%" in flat(resumed.stdout)
    assert own.calls() == []


def test_a_change_of_the_scorer_is_a_change_of_the_rules(own: Project) -> None:
    """The base branch's scorer is read from git: the approval names each file that differs."""
    git_project.start(own.root)
    git_project.commit_all(own.root)
    git_project.git(own.root, "checkout", "-q", "-b", "change")
    (own.root / "own_words.py").write_text("WORDS = ['please', 'go']\n", encoding="utf-8")
    git_project.commit_all(own.root)
    assert forked(own.root, "run", "suite.yaml", "--out", "first", env={"GITHUB_BASE_REF": "main"}).returncode in (0, 3)
    found = {each["what"]: each for each in own.json("first/decision.json")["amendments"]}  # type: ignore[attr-defined]
    assert "scorer polite file own_words.py" in found, found
    assert found["scorer polite file own_words.py"]["loosens"]
    assert "scorer polite file own_scorers.py" not in found


def test_negation_when_advisory_and_concern_work_as_for_every_scorer(own: Project) -> None:
    """`not_python` is named after the function unless the suite names it."""
    scorer = '- not_python: {call: "own_scorers:polite", when: {kind: golden}, concern: safety}'
    suite(own, **{'- python: {call: "own_scorers:polite"}': scorer, "- polite": "- not_polite"})
    ended = forked(own.root, "run", "suite.yaml", "--out", "first")
    assert ended.returncode == 1
    assert "not polite is 10%" in flat(ended.stdout)


def test_every_problem_of_a_scorer_is_reported_before_the_first_call(own: Project) -> None:
    """With file and line of the suite or of the row, beside all other problems."""
    scorers = (
        '- python: {call: "own_scorers:kind"}\n  - python: {call: "missing:f"}\n'
        '  - python: {call: "own_scorers:toned", metric: {name: tone}}\n  - python: polite'
    )
    (own.root / "own_scorers.py").write_text("def toned(text, tone): ...\n", encoding="utf-8")
    suite(own, **{'- python: {call: "own_scorers:polite"}': scorers})
    ended = forked(own.root, "check", "suite.yaml")
    assert ended.returncode == 2
    assert "suite.yaml:9:5 scorers[3].python.call: expected `module:function`, got 'polite'" in flat(ended.stderr)
    suite(own, **{'- python: {call: "own_scorers:polite"}': scorers.rpartition("\n")[0]})
    said = flat(forked(own.root, "check", "suite.yaml").stderr)
    assert "suite.yaml:6:14 scorers[0].python.call: module 'own_scorers' has no attribute 'kind'" in said
    assert "suite.yaml:7:14 scorers[1].python.call: importing missing failed: ModuleNotFoundError" in said
    assert "cases.jsonl:1 id c0: scorer tone: own_scorers.py:1 takes `tone`, which this row does not have" in said
    assert own.calls() == []


def test_what_a_scorer_raises_is_counted_as_unknown(own: Project) -> None:
    """The approval is not given on answers that nobody graded."""
    (own.root / "own_scorers.py").write_text("def polite(text):\n    return text[1000]\n", encoding="utf-8")
    ended = forked(own.root, "run", "suite.yaml", "--out", "first")
    assert ended.returncode == 3, ended.stdout
    assert "own_scorers.py:2: IndexError: string index out of range" in flat(ended.stdout)
