"""The guide to hallucinations: its commands run on a labelled file, and print what it shows."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import evalkit
from evalkit.cli.app import app

PAGE = (Path(__file__).parents[2] / "docs" / "hallucinations.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def section(title: str) -> dict[str, str]:
    """The last block of each language below a heading."""
    text = PAGE[PAGE.index(f"## {title}") :].removeprefix("## ")
    return dict(BLOCK.findall(text.partition("\n## ")[0]))


def test_the_command_of_the_guide_writes_a_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 good and 20 bad answers like the row of the page give the output of the page."""
    found = section("How do I hold back an answer before it is delivered?")
    row = json.loads(found["json"])
    bad = {"output": "The fee is 70 EUR [7].", "good": False}
    rows = [{**row, **(bad if n >= 100 else {}), "input": f"{n}: {row['input']}"} for n in range(120)]
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "monitor.yaml").write_text(found["yaml"], encoding="utf-8")
    (tmp_path / "labelled.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (line,) = found["sh"].splitlines()
    ended = CliRunner().invoke(app, shlex.split(line)[1:])
    assert ended.exit_code == 0, (ended.output, ended.exception)
    assert ended.stdout == found["text"]
    assert evalkit.guard.load("guard.json").settings.promise.false_block == 0.05


def test_the_suites_of_the_guide_grade_stored_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first suite runs as it is."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "suite.yaml").write_text(section("Which checks need no model?")["yaml"], encoding="utf-8")
    rows = [
        {"id": f"c{n}", "input": "q", "output": f"{n} EUR [1]", "contexts": [f"It is {n} EUR."]} for n in range(100)
    ]
    (tmp_path / "golden.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    ended = evalkit.run("suite.yaml", out="first", baseline="none")
    assert ended.summary.cell("facts").estimate.value == 1.0
    assert "facts.citation" in {cell.metric for cell in ended.summary.cells}
