"""Commands of the next steps on a terminal; which ones there are is tested in `tests/report/test_reviewer.py`."""

import io
import shlex
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.cli.judge_tables import print_tournament
from evalkit.operations.tournament import Preference, TournamentFound
from evalkit.report.console import _wrapped, print_steps
from evalkit.report.next_steps import NextStep
from evalkit.results import Estimate

WORDS = ["evalkit", "diff", "reports/first", "reports/a run", "--case", "golden-aml-040"]


@pytest.mark.parametrize("width", [60, 200])
def test_a_long_command_is_broken_where_a_shell_goes_on(width: int) -> None:
    """A narrow terminal gets a part a line; a shell reads the same words at every width."""
    text = _wrapped(shlex.join(WORDS), width)
    assert shlex.split(text.replace("\\\n", " ")) == WORDS
    assert ("\\\n" in text) is (width == 60)
    assert max(map(len, text.splitlines())) <= width


def test_a_long_step_is_wrapped_below_its_own_text() -> None:
    """The second line starts where the text does, not below the label."""
    console = Console(file=io.StringIO(), width=40, highlight=False)
    print_steps(
        [NextStep("add cases, about 1,900 in all, to tell the first two systems apart", "evalkit run")], console
    )
    assert isinstance(console.file, io.StringIO)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert lines == [
        "",
        "next    add cases, about 1,900 in all,",
        "        to tell the first two systems",
        "        apart:",
        "          evalkit run",
    ]


@pytest.mark.parametrize(("n", "said"), [(1, "reads 1 stored answer and"), (2, "reads 2 stored answers and")])
def test_stored_answers_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int, said: str) -> None:
    """One is not many."""
    (tmp_path / "pyproject.toml").touch()
    rows = [f'{{"id": "{at}", "input": "q", "reference": "a", "output": "a"}}\n' for at in range(n)]
    (tmp_path / "golden.jsonl").write_text("".join(rows), encoding="utf-8")
    text = "name: s\ngolden: golden.jsonl\nsystem: {replay: golden}\nscorers: [exact]\ngate: [{pass_rate: 0.1}]\n"
    (tmp_path / "suite.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert said in CliRunner().invoke(app, ["check", "suite.yaml"]).stdout


def test_a_system_that_won_or_lost_every_pair_is_named() -> None:
    """The size of its lead or gap is not known."""
    console = Console(file=io.StringIO(), width=200, highlight=False)
    share = Estimate(value=0.9, low=0.8, high=1.0, n=20)
    found = TournamentFound(
        judge="m",
        trust="not shown",
        systems=("a", "b"),
        preferences=(Preference(system="a", other="b", share=share),),
        position=0.5,
        undefeated=("a",),
        winless=("b",),
        n_cases=20,
        n_pairs=20,
        n_missing=0,
        missing_kinds={},
        usage=None,
    )
    print_tournament(found, console)
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert "undefeated, so the size of the lead is unknown: a\n" in said
    assert "without a win, so the size of the gap is unknown: b\n" in said
