"""Progress and messages as a terminal, a pipe and a CI job get them."""

import asyncio
import io
import json
import os
import pty
import re
import subprocess
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from cli_project import Project
from rich.console import Console

from evalkit.cli.progress import HEADER_CHARS, SHOWN_FAILURES, Reporter, header
from evalkit.cli.streams import spelled
from evalkit.llm.budget import Budget
from evalkit.net.waits import Waits
from evalkit.runner.earlier import Already
from evalkit.types import Case, Output, Row, Score, Usage

MOVES = re.compile(r"\x1b\[\d*[A-KJ]|\x1b\[\?25")
"""What redraws a line: cursor moves, erasing, hiding the cursor."""


def on_a_terminal(project: Project, *words: str, **env: str) -> str:
    """Everything that a run prints on a real terminal of 80 columns."""
    ours, theirs = pty.openpty()
    clean = {name: text for name, text in os.environ.items() if name not in ("CI", "NO_COLOR", "FORCE_COLOR", "TERM")}
    process = subprocess.Popen(
        project.command("run", "suite.yaml", "--no-report", *words),
        cwd=project.root, env={**clean, "TERM": "xterm-256color", "COLUMNS": "80", **env},
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    said = bytearray()

    def read() -> None:
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:
                return
            if not data:
                return
            said.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    process.wait(timeout=600)
    reader.join(timeout=600)
    os.close(ours)
    return said.decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("words", "env", "moves", "escapes"),
    [
        pytest.param((), {}, True, True, id="terminal"),
        pytest.param((), {"CI": "true", "FORCE_COLOR": "1"}, False, True, id="ci with forced colour"),
        pytest.param(("--progress", "bar"), {"CI": "true"}, False, True, id="ci with a bar asked for"),
        pytest.param((), {"TERM": "dumb"}, False, False, id="dumb"),
        pytest.param(("--progress", "lines"), {"NO_COLOR": "1"}, False, False, id="no colour"),
        pytest.param(("--progress", "lines", "--no-color"), {"FORCE_COLOR": "1"}, False, False, id="flag over force"),
    ],
)
def test_what_moves_and_what_is_coloured(
    project: Project, words: tuple[str, ...], env: dict[str, str], moves: bool, escapes: bool
) -> None:
    """Only a real terminal outside CI is drawn on; `NO_COLOR`, `--no-color` and dumb terminals get no escape at all."""
    project.cases(20)
    said = on_a_terminal(project, "--out", "run", *words, **env)
    assert "APPROVED" in said
    assert bool(MOVES.search(said)) is moves
    assert ("\x1b[" in said) is escapes


def test_a_pipe_gets_plain_lines_under_force_color(project: Project) -> None:
    """`FORCE_COLOR` colours a pipe and does not animate it; the answer of a failed case is beside its score."""
    project.cases(40)
    project.suite("left")
    ran = project.run("run", "suite.yaml", "--out", "run", "--no-report", env={"FORCE_COLOR": "1", "CI": ""})
    assert not MOVES.search(ran.stderr)
    assert re.search(r'✗ left-\d+  exact 0\.00 "no idea"', ran.stderr)


class Ticking:
    """A reporter of lines, and what it prints."""

    def __init__(self, expected: int, budget: Any = None) -> None:
        self.file = io.StringIO()
        self.reporter = Reporter(Console(file=self.file, width=100, color_system=None), "lines")
        suite = SimpleNamespace(name="s", scorers=[1], systems=(), options=SimpleNamespace(concurrency=1, repeat=1))
        self.waits = Waits()
        shared = SimpleNamespace(waits=self.waits)
        prepared: Any = SimpleNamespace(suite=suite, advisory=frozenset(), budget=budget, warnings=(), shared=shared)
        self.reporter.watcher.begin(prepared, expected, Already(), "")

    def row(self, number: int, *, passed: bool, usage: Usage | None = None) -> None:
        """One row ends."""
        case = Case(id=f"c{number}", input="q")
        score = Score("exact", float(passed), passed, "why", usage=usage)
        self.reporter.watcher.row(
            Row(case=case, output=Output(text="An answer\nof two lines"), scores={"exact": score})
        )

    @property
    def lines(self) -> list[str]:
        """What was printed."""
        return self.file.getvalue().splitlines()


@pytest.mark.parametrize(
    ("name", "repeat", "baseline", "line"),
    [
        pytest.param(
            "support-bot", 1, "main@9f2c1ab",
            "support-bot · 412 cases × 3 scorers · concurrency 16 · baseline main@9f2c1ab", id="all",
        ),
        pytest.param("support-bot", 1, "", "support-bot · 412 cases × 3 scorers · concurrency 16", id="no baseline"),
        pytest.param(
            "support-bot", 2, "main",
            "support-bot · 206 cases × 2 repeats × 3 scorers · concurrency 16 · baseline main", id="repeats",
        ),
        pytest.param(
            "compliance-of-the-whole-house", 1, "release/2026-07@9f2c1ab",
            "compliance-of… · 412 cases × 3 scorers · concurrency 16 · baseline release/2026…", id="long names",
        ),
    ],
)  # fmt: skip
def test_the_first_line_says_what_runs_against_what(name: str, repeat: int, baseline: str, line: str) -> None:
    """Suite, cases, scorers, concurrency and baseline stand in one line of a terminal; long names give way."""
    options = SimpleNamespace(concurrency=16, repeat=repeat)
    suite: Any = SimpleNamespace(name=name, scorers=[1, 2, 3], systems=(), options=options)
    assert header(suite, 412, baseline) == line
    assert len(line) <= HEADER_CHARS


def test_a_run_names_its_baseline_before_the_first_call(project: Project) -> None:
    """A name that is not saved yet is called so; a saved one stands with the commit that it was run at."""
    project.cases(4)
    first = project.run("run", "suite.yaml", "--out", "first", "--no-report", "--progress", "lines")
    assert "· baseline main (none yet)\n" in first.stderr
    assert project.run("baseline", "save", "first", "--name", "main").returncode == 0
    again = project.run("run", "suite.yaml", "--out", "again", "--no-report", "--progress", "lines")
    assert re.search(r"4 cases × 1 scorer · concurrency \d+ · baseline main(@[0-9a-f]{7})?\n", again.stderr)


def test_lines_come_every_twentieth_or_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fast run of many cases prints few lines, a slow one a line every ten seconds, also while nothing ends."""
    now = [0.0]
    monkeypatch.setattr("evalkit.cli.progress.time.monotonic", lambda: now[0])

    async def run() -> list[str]:
        ticking = Ticking(1_000)
        for number in range(999):
            now[0] += 0.1
            ticking.row(number, passed=True)
        return ticking.lines

    fast = asyncio.run(run())
    assert 15 <= len(fast) <= 25
    assert re.fullmatch(r"50/1000 5%  failed 0 · unknown 0 · 95 s left", fast[1])

    async def stand_still() -> list[str]:
        ticking = Ticking(1_000)
        ticking.row(0, passed=True)
        with ticking.waits.one("http_429", 30.0), ticking.waits.one("http_429", 8.0):
            now[0] += 11.0
            ticking.reporter._tick()
        return ticking.lines

    assert asyncio.run(stand_still())[-1].startswith("1/1000 0%  failed 0 · unknown 0 · retrying 2 (http_429, next ")


def test_twenty_failures_are_told_and_the_rest_is_announced_once() -> None:
    """Each with score, first words of the answer and reason; then one line that says where the others are."""

    async def run() -> list[str]:
        ticking = Ticking(50)
        for number in range(50):
            ticking.row(number, passed=False)
        return ticking.lines

    lines = asyncio.run(run())
    told = [line for line in lines if line.startswith("✗")]
    assert len(told) == SHOWN_FAILURES
    assert told[0] == '✗ c0  exact 0.00 "An answer of two lines" why'
    assert sum("the others are in the report" in line for line in lines) == 1


def test_money_and_kept_replies_are_counted() -> None:
    """Cost stands against its budget, and replies that were kept from earlier runs cost nothing again."""

    async def run() -> str:
        ticking = Ticking(2, budget=Budget(spent_usd=0.84, limit_usd=5.0))
        ticking.row(0, passed=True, usage=Usage(cost_usd=0.5, cached=True))
        ticking.row(1, passed=True, usage=Usage(cost_usd=0.5))
        return ticking.lines[-1]

    assert asyncio.run(run()).endswith("$0.8400 of $5.00 · cache 50%")


def test_json_is_one_document_and_everything_else_is_on_stderr(project: Project) -> None:
    """Stdout holds decision.json alone, whatever progress says."""
    import json

    project.cases(20)
    ran = project.run("run", "suite.yaml", "--out", "run", "--json", "--progress", "lines", env={"FORCE_COLOR": "1"})
    assert json.loads(ran.stdout)["outcome"] == "approved with conditions"
    assert "20/20 100%" in ran.stderr


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"COLUMNS": "9" * 30},
        {"COLUMNS": "0"},
        {"COLUMNS": "1"},
    ],
    ids=str,
)
def test_an_odd_terminal_ends_no_run(project: Project, env: dict[str, str]) -> None:
    """What its encoding lacks is spelled as in JSON, and its width is believed up to a point."""
    clean = {name: text for name, text in os.environ.items() if name not in ("PYTHONUTF8", "LC_ALL")}
    ran = project.run("run", "suite.yaml", "--no-report", "--out", "run", env={**clean, **env})
    assert "Traceback" not in ran.stderr
    assert ran.returncode == project.json("run/decision.json")["exit_code"]
    shown = project.run("gate", "run", "--json", env={**clean, **env})
    assert json.loads(shown.stdout) == project.json("run/decision.json")


def test_characters_beyond_an_encoding_are_spelled_as_in_json() -> None:
    """Those of the upper planes by their halves; what fits stands as it is."""
    file = io.BytesIO()
    stream = spelled(io.TextIOWrapper(file, encoding="latin-1"))
    stream.write("\xb7 ≤ \U0001f600")
    stream.flush()
    assert file.getvalue() == b"\xb7 \\u2264 \\ud83d\\ude00"


def test_the_last_line_of_a_resumed_run_counts_all_its_rows(project: Project) -> None:
    """Also those of the first process, each once; a row that is tried again counts as it ended then."""
    project.cases(40)
    project.suite("left")
    lines = ("run", "suite.yaml", "--out", "run", "--no-report", "--progress", "lines")
    first = project.run(*lines)
    assert "40/40 100%  failed 20 · unknown 0" in first.stderr
    rows = project.root / "run" / "rows.jsonl"
    kept = rows.read_text(encoding="utf-8").splitlines(keepends=True)[:30]
    rows.write_text("".join(kept), encoding="utf-8")
    n_failed = sum("no idea" in line for line in kept)
    resumed = project.run(*lines, "--resume")
    assert 0 < n_failed < 20
    assert "30 of 40 already there" in resumed.stderr
    assert resumed.stderr.rstrip().rpartition("40/40")[2].startswith(" 100%  failed 20 · unknown 0")
