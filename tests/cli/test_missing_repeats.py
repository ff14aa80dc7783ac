"""`evalkit baseline save RUN --repeat 4`: the repeats that a run lacks are run, and all of them are saved."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from cli_project import Project
from forked import forked

SUITE = """\
name: sums
golden: cases.jsonl
system: {python: "bot:answer"}
scorers: [exact]
cohorts: [group]
concurrency: 4
gate:
  - pass_rate: {min: 0.3}
  - no_regression: {baseline: main}
"""
N = 24
SAVE = ("baseline", "save", "reports/one", "--name", "main", "--repeat", "4")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a run of one repeat in reports/one."""
    project = Project(tmp_path_factory.mktemp("repeats"))
    project.cases(N)
    project.suite(text=SUITE)
    assert project.run("run", "suite.yaml", "--out", "reports/one", "--no-report").returncode == 0
    return project.root


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Project:
    """A copy of it, in which no call is logged yet."""
    copied = Project.__new__(Project)
    copied.root = Path(shutil.copytree(made, tmp_path / "project"))
    (copied.root / "calls.log").unlink()
    return copied


def words(ran: subprocess.CompletedProcess[str]) -> str:
    """Everything that was printed, in one line."""
    return " ".join((ran.stdout + ran.stderr).split())


def saved_rows(project: Project, name: str = "main") -> list[dict[str, object]]:
    """The rows of a saved baseline, in order."""
    lines = gzip.decompress((project.root / f"reports/baselines/{name}/rows.jsonl.gz").read_bytes()).splitlines()
    return [json.loads(line)["row"] for line in lines]


def keys(rows: list[dict[str, object]]) -> Counter[str]:
    """How often each case was answered."""
    return Counter(str(row["case"]["id"]) for row in rows)  # type: ignore[index]


def files_of(folder: Path) -> dict[str, bytes]:
    """The files of a folder."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def test_only_the_missing_repeats_are_called_and_the_run_stays_as_it_was(project: Project) -> None:
    """Three calls a case; the estimate comes first; the saved baseline holds four repeats and needs no advice."""
    before = files_of(project.root / "reports/one")
    ran = project.run(*SAVE)
    assert ran.returncode == 0, words(ran)
    assert Counter(project.calls()) == Counter({case: 3 for case in set(project.calls())})
    assert len(project.calls()) == 3 * N
    assert "72 answers" in words(ran)
    assert "evalkit run" not in words(ran)
    assert set(keys(saved_rows(project)).values()) == {4}
    assert project.json("reports/baselines/main/manifest.json")["repeats"] == 4
    assert files_of(project.root / "reports/one") == before
    assert project.run("baseline", "verify", "main").returncode == 0


def test_the_result_is_that_of_a_run_with_four_repeats(project: Project) -> None:
    """The figures and the decision are equal; the rows are too, but for their order and times."""
    assert project.run(*SAVE).returncode == 0
    four = ("run", "suite.yaml", "--out", "reports/four", "--repeat", "4", "--no-report", "--baseline", "none")
    assert project.run(*four).returncode == 0
    assert project.run("baseline", "save", "reports/four", "--name", "four").returncode == 0
    ours, theirs = (project.json(f"reports/baselines/{name}/summary.json") for name in ("main", "four"))
    assert ours == theirs

    def content(name: str) -> list[str]:
        rows = saved_rows(project, name)
        for row in rows:
            row["output"].pop("latency_s", None)  # type: ignore[attr-defined]
        return sorted(json.dumps(row, sort_keys=True) for row in rows)

    assert content("main") == content("four")


def test_a_saved_baseline_can_be_filled_by_its_name(project: Project) -> None:
    """Its packed rows are the first repeat, and are not asked again."""
    assert project.run("baseline", "save", "reports/one", "--name", "main").returncode == 0
    shutil.rmtree(project.root / "reports/one")
    ran = project.run("baseline", "save", "main", "--name", "main", "--repeat", "4")
    assert ran.returncode == 0, words(ran)
    assert len(project.calls()) == 3 * N
    assert set(keys(saved_rows(project)).values()) == {4}


def test_a_run_with_enough_repeats_is_saved_without_a_call(project: Project) -> None:
    """And so is one that was filled before."""
    assert project.run(*SAVE).returncode == 0
    asked = len(project.calls())
    assert project.run(*SAVE).returncode == 0
    assert project.run("baseline", "save", "main", "--name", "other", "--repeat", "2").returncode == 0
    assert len(project.calls()) == asked


@pytest.mark.parametrize("change", ["system", "golden set"])
def test_another_system_or_set_is_refused_with_the_line_to_copy(project: Project, change: str) -> None:
    """Before the first call, and nothing is written."""
    if change == "system":
        bot = project.root / "bot.py"
        bot.write_text(bot.read_text(encoding="utf-8") + "\n# another one\n", encoding="utf-8")
    else:
        project.cases(N + 1)
    ran = project.run(*SAVE)
    assert ran.returncode == 2
    assert change in words(ran)
    assert "evalkit run suite.yaml --repeat 4" in words(ran)
    assert project.calls() == []
    assert sorted(path.name for path in (project.root / "reports").iterdir()) == ["one"]


def without_fingerprint() -> None:
    """Make systems unknown, as those without a version or a source are."""
    from evalkit.systems.python import PythonSystem

    PythonSystem.fingerprint = lambda self, shared: None  # type: ignore[method-assign]


def test_a_system_without_a_fingerprint_is_refused(project: Project) -> None:
    """Nobody can say whether it is the one of the run."""
    run = ("run", "suite.yaml", "--out", "reports/unknown", "--no-report")
    assert forked(project.root, *run, first=without_fingerprint).returncode == 0
    asked = len(project.calls())
    ran = forked(project.root, "baseline", "save", "reports/unknown", "--repeat", "4", first=without_fingerprint)
    assert ran.returncode == 2
    assert "no fingerprint" in words(ran)
    assert "evalkit run suite.yaml --repeat 4" in words(ran)
    assert len(project.calls()) == asked
    assert not (project.root / "reports/baselines").exists()


def die_in_row(count: int) -> None:
    """Die when so many rows have been appended."""
    from evalkit.store.journal import Journal

    append, left = Journal.append, [count]

    def killing(self: Journal, row: object) -> None:
        append(self, row)  # type: ignore[arg-type]
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    Journal.append = killing  # type: ignore[method-assign]


@pytest.mark.parametrize("source", ["reports/one", "main"])
@pytest.mark.parametrize("count", [1, 40, 72])
def test_a_kill_loses_no_row_and_the_same_command_goes_on(project: Project, count: int, source: str) -> None:
    """No finished call is made again, and the decision is that of a save that nobody killed."""
    if source == "main":
        assert project.run("baseline", "save", "reports/one", "--name", "main").returncode == 0
    command = ("baseline", "save", source, "--name", "main", "--repeat", "4")
    died = forked(project.root, *command, first=partial(die_in_row, count))
    assert died.returncode != 0
    ran = project.run(*command)
    assert ran.returncode == 0, words(ran)
    assert 3 * N <= len(project.calls()) <= 3 * N + 4
    assert set(keys(saved_rows(project)).values()) == {4}
    decision = project.json("reports/baselines/main/decision.json")
    assert decision["decided_before"] == []
    assert not any("rows" in str(reason) for reason in decision["reasons"])  # type: ignore[union-attr]


def test_an_interrupted_save_names_the_command_that_continues_it(project: Project) -> None:
    """Ctrl-C leaves the finished rows; the command is the same one."""
    process = subprocess.Popen(
        project.command(*SAVE), cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "BOT_DELAY_S": "0.2", "COLUMNS": "200"},
    )  # fmt: skip
    while len(project.calls()) < 6:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said = " ".join(process.communicate(timeout=60)[0].split())
    assert process.returncode == 130
    assert "Continue with: evalkit baseline save reports/one --name main --repeat 4" in said
    assert not (project.root / "reports/baselines/main").exists()


def test_a_budget_that_is_reached_saves_nothing(project: Project) -> None:
    """The exit code is that of no decision, and the rows are kept for the next try."""
    bot = (project.root / "bot.py").read_text(encoding="utf-8")
    bot = bot.replace("-> str:", "-> object:").replace(
        'return "no idea" if broken and id.startswith(broken) else right',
        'return {"text": right, "usage": {"cost_usd": 0.01}}',
    )
    (project.root / "bot.py").write_text(bot, encoding="utf-8")
    project.suite(text=SUITE + "budget_usd: 0.5\n")
    made = project.run("run", "suite.yaml", "--out", "reports/paid", "--no-report", "--baseline", "none")
    assert made.returncode == 0, words(made)
    ran = project.run("baseline", "save", "reports/paid", "--name", "main", "--repeat", "4")
    assert ran.returncode == 3, words(ran)
    assert "budget" in words(ran)
    assert not (project.root / "reports/baselines/main").exists()
    assert len(project.calls()) <= 50 + 4
