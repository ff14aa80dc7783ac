"""The guide to comparisons: its example runs and prints what the page shows, and its tables are complete."""

from __future__ import annotations

import random
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.imports.result_case_columns import CLUSTER_NAMES, ID_NAMES, INPUT_NAMES, REPEAT_NAMES
from evalkit.imports.result_columns import (
    AMOUNTS,
    ANSWER_NAMES,
    COHORT_NAMES,
    GRADE_ENDS,
    PASS_NAMES,
    SCORE_NAMES,
    WEAK_PASS_NAMES,
)
from evalkit.imports.result_metric_rows import METRIC_NAMES, VALUE_NAMES
from evalkit.imports.result_names import CLEAR_ENDS, LOWER_WORDS, TURNING_WORDS, UNCLEAR_WORDS

PAGE = (Path(__file__).parents[2] / "docs" / "compare.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
TOPICS = ("billing", "shipping", "returns")


def blocks(language: str) -> list[str]:
    """Fenced blocks of the page."""
    return [text for kind, text in BLOCKS if kind == language]


def results(seed: int, drop: float = 0.0) -> str:
    """500 rows of an eval script; `drop` breaks cases of billing."""
    truth, run = random.Random(1), random.Random(seed)
    lines = ["question_id,question,topic,correct"]
    for number in range(500):
        topic = TOPICS[number % 3]
        chance = (0.95 if truth.random() < 0.85 else 0.3) - (drop if topic == "billing" else 0)
        lines.append(f"q{number:03},Where is order {number}?,{topic},{'true' if run.random() < chance else 'false'}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the guide."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    before, after = results(2), results(3, 0.35)
    (tmp_path / "before.csv").write_text(before, encoding="utf-8")
    (tmp_path / "after.csv").write_text(after, encoding="utf-8")
    models = [line + ",small" for line in before.splitlines()[1:]] + [
        line + ",large" for line in after.splitlines()[1:]
    ]
    head = before.splitlines()[0] + ",model"
    (tmp_path / "all.csv").write_text("\n".join([head, *models]) + "\n", encoding="utf-8")
    (tmp_path / "gate.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    return tmp_path


def test_the_example_prints_what_the_page_shows(project: Path) -> None:
    """The rows of the page are those of the file, and every line of the output is as printed."""
    assert (project / "before.csv").read_text(encoding="utf-8").startswith(blocks("csv")[0])
    command = blocks("sh")[0].splitlines()[0]
    ended = CliRunner(env={"COLUMNS": "100"}).invoke(app, shlex.split(command)[1:])
    assert ended.exit_code == 1, ended.output
    shown = [line.rstrip() for line in blocks("text")[0].splitlines()]
    assert shown == [line.rstrip() for line in ended.stdout.splitlines()]


def test_every_command_of_the_page_runs(project: Path) -> None:
    """Top to bottom; a comparison ends with 0 or 1."""
    for line in (line for text in blocks("sh") for line in text.splitlines() if line.startswith("evalkit ")):
        ended = CliRunner().invoke(app, shlex.split(line, comments=True)[1:])
        assert ended.exit_code in (0, 1), (line, ended.output, ended.exception)


@pytest.mark.parametrize(
    "names",
    [
        *(ID_NAMES, INPUT_NAMES, REPEAT_NAMES, CLUSTER_NAMES, PASS_NAMES, WEAK_PASS_NAMES, SCORE_NAMES, GRADE_ENDS),
        *(
            ANSWER_NAMES,
            COHORT_NAMES,
            LOWER_WORDS,
            UNCLEAR_WORDS,
            CLEAR_ENDS,
            TURNING_WORDS,
            METRIC_NAMES,
            VALUE_NAMES,
            AMOUNTS,
        ),
    ],
)
def test_every_name_that_is_recognised_is_on_the_page(names: tuple[str, ...]) -> None:
    """No name of a column is a secret."""
    assert {name for name in names if f"`{name}`" not in PAGE} == set()
