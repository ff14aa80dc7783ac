"""Two versions of a set are compared by file, lock or commit, without any text."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from evalkit import run
from evalkit.cli.golden import golden
from evalkit.errors import InputError

OLD: list[dict[str, Any]] = [
    {"id": f"c{at}", "input": f"secret question {at}", "reference": "yes", "output": "yes" if at < 6 else "no"}
    for at in range(10)
]
NEW: list[dict[str, Any]] = [
    *OLD[:3],
    {**OLD[3], "reference": "secret no", "severity": "high", "cohorts": {"topic": "fees"}},
    *OLD[4:8],
    {"id": "new", "input": "secret question of late", "reference": "yes", "output": "yes"},
]


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two versions."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    for name, rows in (("old", OLD), ("new", NEW)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path


def diff(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(golden, ["diff", *arguments])


def test_each_difference_is_a_line_without_text(sets: Path) -> None:
    """A changed case names its fields, and both values of what moves it."""
    ran = diff("old.jsonl", "new.jsonl")
    assert (ran.exit_code, ran.exception) == (0, None)
    *lines, counts, drop = ran.stdout.splitlines()
    assert lines == [
        "removed c8 (old.jsonl:9)",
        "removed c9 (old.jsonl:10)",
        "changed c3 (new.jsonl:4): reference, severity medium to high, cohorts.topic none to fees",
        "added new (new.jsonl:9)",
    ]
    assert counts == "2 removed, 1 changed, 1 added: 10 to 9 cases"
    assert drop.startswith("smallest drop that a gate finds 4 times in 5: ")
    shown = diff("old.jsonl", "new.jsonl", "--json")
    assert "secret" not in ran.output + shown.output
    record = json.loads(shown.stdout)
    assert record["removed"] == ["c8", "c9"]
    assert record["changed"][0]["moves"][0] == {"name": "severity", "before": "medium", "after": "high"}


def test_removed_cases_that_failed_are_seen(sets: Path) -> None:
    """Both removed cases had failed; of the eight others, six passed."""
    suite = "name: s\ngolden: old.jsonl\nsystem: {replay: golden}\nscorers: [exact]\ngate: [pass_rate: {min: 0.1}]\n"
    (sets / "suite.yaml").write_text(suite, encoding="utf-8")
    run("suite.yaml", out="run", reports=False)
    rates = json.loads(diff("old.jsonl", "new.jsonl", "--run", "run", "--json").stdout)["pass_rates"]
    assert (rates["chosen"]["value"], rates["others"]["value"]) == (0.0, 0.75)
    assert "pass rate of the removed cases  0%" in diff("old.jsonl", "new.jsonl", "--run", "run").stdout
    assert diff("old.jsonl", "old.jsonl", "--run", "run").stdout.splitlines()[-1].startswith("smallest drop")


def test_a_lock_and_a_commit_are_versions_too(sets: Path) -> None:
    """A lock knows digests only; a commit holds the whole set."""
    for words in (
        ["init", "-q"],
        ["add", "old.jsonl"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "m"],
    ):
        subprocess.run(["git", *words], cwd=sets, check=True)
    there = diff("git:HEAD:old.jsonl", "new.jsonl")
    assert there.stdout.splitlines()[0] == "removed c8 (git:HEAD:old.jsonl:9)"
    CliRunner().invoke(golden, ["lock", "old.jsonl"])
    locked = json.loads(diff("old.lock.json", "new.jsonl", "--json").stdout)
    assert [len(each) for each in locked["removed"]] == [16, 16]
    assert (locked["added"], locked["changed"]) == (["new"], [{"id": "c3", "fields": [], "moves": []}])
    ran = diff("old.lock.json", "new.jsonl", "--run", "none")
    assert isinstance(ran.exception, InputError)
    assert "a lock does not say" in str(ran.exception)


def test_a_version_that_is_not_there_is_named(sets: Path) -> None:
    """With the forms that are read."""
    ran = diff("old.jsonl", "none.jsonl")
    assert "none.jsonl: no such file; name a set, its lock, or git:REF:PATH" in str(ran.exception)
