"""Scorers of installed packages, found by the entry-point group `evalkit.scorers`."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from cli_project import Project, Ran
from git_project import commit_all, git, start

SCHEMA = Path(__file__).parents[2] / "docs" / "suite.schema.json"
CODE = """\
from dataclasses import dataclass
from typing import ClassVar
from evalkit.types import Metric, Score

@dataclass(frozen=True, kw_only=True)
class Tone:
    "Says a word."
    name: str = "tone"
    word: str = "please"
    version: ClassVar[str] = "1"
    shorthand: ClassVar[str] = "word"
    needs: ClassVar[frozenset] = frozenset()

    def __post_init__(self):
        if not self.word:
            raise ValueError("word: empty; write one")

    @property
    def metrics(self):
        return (Metric(self.name, binary=True),)

    def score(self, case, output):
        passed = self.word in output.text.lower()
        return Score(self.name, float(passed), passed, "has the word" if passed else "lacks the word")
"""
SUITE = """\
name: packaged
golden: cases.jsonl
system: {replay: golden}
scorers:
  - acme.tone: please
gate:
  - tone: {min: 0.8}
"""


class Installed:
    """A project beside a folder that holds one installed distribution."""

    def __init__(self, root: Path) -> None:
        self.project = Project(root)
        self.site = root.parent / f"{root.name}-site"
        self.site.mkdir()
        rows = [{"id": f"c{n}", "input": "q", "answer": "Please wait."} for n in range(60)]
        (root / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        self.install()
        self.suite()

    def install(self, version: str = "1.2.0", code: str = CODE, points: str = "acme.tone = acme_scorers:Tone") -> None:
        """Install the distribution `acme-scorers`, or replace it."""
        for old in self.site.glob("*.dist-info/*"):
            old.unlink()
        info = self.site / f"acme_scorers-{version}.dist-info"
        info.mkdir(exist_ok=True)
        (self.site / "acme_scorers.py").write_text(code, encoding="utf-8")
        head = f"Metadata-Version: 2.1\nName: acme-scorers\nVersion: {version}\n"
        (info / "METADATA").write_text(head, encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[evalkit.scorers]\n{points}\n", encoding="utf-8")
        for folder in self.site.glob("*.dist-info"):
            if not any(folder.iterdir()):
                folder.rmdir()

    def suite(self, scorer: str = "- acme.tone: please", gate: str = "") -> None:
        """Write the suite with one scorer."""
        text = SUITE.replace("- acme.tone: please", scorer) + gate
        (self.project.root / "suite.yaml").write_text(text, encoding="utf-8")

    def run(self, *words: str) -> Ran:
        """Run the command where the distribution can be imported."""
        return self.project.run(*words, env={"PYTHONPATH": str(self.site), "PYTHONDONTWRITEBYTECODE": "1"})


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    """A project and an installed package with the scorer `acme.tone`."""
    return Installed(tmp_path)


def test_a_scorer_of_a_package_grades_gates_and_is_shown(installed: Installed) -> None:
    """By its name, with its shorthand, negated, and blocking."""
    ended = installed.run("run", "suite.yaml", "--out", "first")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    installed.suite("- not_acme.tone: {name: tone}")
    blocked = installed.run("run", "suite.yaml", "--out", "second")
    assert blocked.returncode == 1, blocked.stdout + blocked.stderr
    assert "not: has the word" in (installed.project.root / "second" / "report.html").read_text(encoding="utf-8")


def test_another_version_of_the_package_makes_scores_incomparable(installed: Installed) -> None:
    """The distribution's name and version are part of the score key."""
    installed.suite(gate="  - no_regression: {baseline: main}\n")
    assert installed.run("run", "suite.yaml", "--out", "first", "--baseline", "none").returncode == 0
    key = installed.project.json("first/manifest.json")["score_keys"]["tone"]  # type: ignore[index]
    assert key["package"] == "acme-scorers 1.2.0"
    assert installed.run("baseline", "save", "first", "--name", "main").returncode == 0
    installed.install("1.3.0")
    refused = installed.run("run", "suite.yaml", "--out", "second")
    assert refused.returncode == 2
    assert "its tone was scored differently (package)" in " ".join(refused.stderr.split())


def test_a_package_in_the_repository_is_compared_with_the_base(installed: Installed) -> None:
    """A pull request that edits its scorer, under the same version, is approved on a condition that names the file."""
    installed.site = installed.project.root / "src"
    installed.site.mkdir()
    installed.install()
    start(installed.project.root)
    commit_all(installed.project.root)
    git(installed.project.root, "checkout", "-q", "-b", "change")
    installed.install(code=CODE.replace("passed = self.word", "passed = True or self.word"))
    commit_all(installed.project.root)
    assert installed.run("run", "suite.yaml", "--out", "first").returncode == 0
    decision = installed.project.json("first/decision.json")
    reasons = [each for each in decision["reasons"] if "acme" in each]  # type: ignore[index]
    assert len(reasons) == 1
    assert reasons[0].startswith("scorer acme.tone (src/acme_scorers.py changed)")


@pytest.mark.parametrize(
    ("points", "code", "said"),
    [
        ("acme.tune = acme_scorers:Tone", CODE, "no scorer called 'acme.tone'; did you mean `acme.tune`?"),
        (
            "acme.tone = acme_scorers:Tone\nexact = acme_scorers:Tone",
            CODE,
            "the package acme-scorers 1.2.0 brings a scorer called 'exact', a name that evalkit uses; remove",
        ),
        ("acme.tone = acme_scorers:Tone", "1 / 0\n", "importing acme_scorers:Tone of acme-scorers 1.2.0 failed: Zero"),
        ("acme.tone = acme_scorers:Tone", "Tone = dict\n", "is not a frozen dataclass with `score` or `bind`"),
        (
            "acme.tone = acme_scorers:Tone",
            CODE.replace('raise ValueError("word: empty; write one")', "...").replace(
                "def metrics(self):", "def metrics(self):\n        1 / 0"
            ),
            "acme-scorers 1.2.0 raised ZeroDivisionError: division by zero",
        ),
    ],
    ids=["unknown", "clash", "import", "no dataclass", "raises"],
)
def test_a_package_that_cannot_be_used_is_a_problem(installed: Installed, points: str, code: str, said: str) -> None:
    """With the place in the suite and the package's name and version."""
    installed.install(points=points, code=code)
    ended = installed.run("check", "suite.yaml")
    assert ended.returncode == 2, ended.stdout
    text = " ".join(ended.stderr.split())
    assert text.startswith("suite.yaml:5:")
    assert said in text


def test_what_a_package_returns_is_checked(installed: Installed) -> None:
    """A grade that could not be stored leaves the answer unscored; it does not end the run."""
    installed.install(code=CODE.replace('"has the word" if', '{"has"} if'))
    ended = installed.run("run", "suite.yaml", "--out", "first")
    assert ended.returncode == 3, ended.stdout + ended.stderr
    assert "returned a reason that is set" in " ".join(ended.stdout.split())


def test_the_options_of_a_package_are_checked_as_all_others(installed: Installed) -> None:
    """Unknown keys and bad values, each with its place."""
    installed.suite("- acme.tone: {wrod: please}")
    assert "acme.tone.wrod: unknown key; did you mean `word`?" in installed.run("check", "suite.yaml").stderr
    installed.suite('- acme.tone: {word: ""}')
    assert "word: empty; write one" in installed.run("check", "suite.yaml").stderr


def test_packages_are_not_read_for_shipped_scorers(installed: Installed) -> None:
    """A broken package does not matter to a suite that names none."""
    installed.install(points="exact = acme_scorers:Tone", code="1 / 0\n")
    installed.suite("- contains: {name: tone, all: Please}")
    found = installed.run("check", "suite.yaml")
    assert found.returncode == 0, found.stderr


def test_the_schema_for_editors_accepts_names_with_a_dot() -> None:
    """Others are taken for misspelt."""
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    for scorer, sound in (("acme.tone", True), ({"not_acme.tone": {"word": "x"}}, True), ("exakt", False)):
        assert validator.is_valid(yaml.safe_load(SUITE) | {"scorers": [scorer]}) is sound
