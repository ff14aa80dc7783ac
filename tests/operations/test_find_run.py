"""Find a stored run by its folder, by the name of a baseline, or as `latest`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import evalkit
from evalkit.cli.app import app
from evalkit.errors import InputError
from evalkit.operations.find_run import find_run

SUITE = """\
name: echo
golden: cases.jsonl
system: {python: "echo:answer"}
scorers: [exact]
gate:
  - pass_rate: {min: 0.5}
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two finished runs, of which the first is the baseline `main`; it is the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    sys.modules.pop("echo", None)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "echo.py").write_text("def answer(input: str) -> str:\n    return input\n", encoding="utf-8")
    (tmp_path / "cases.jsonl").write_text('{"id": "a", "input": "x", "reference": "x"}\n', encoding="utf-8")
    (tmp_path / "suite.yaml").write_text(SUITE, encoding="utf-8")
    evalkit.run("suite.yaml", out="reports/first")
    assert CliRunner().invoke(app, ["baseline", "save", "latest", "--name", "main"]).exit_code == 0
    evalkit.run("suite.yaml", out="reports/second")
    return tmp_path


def test_a_run_has_several_names(root: Path) -> None:
    """A folder, the name of a baseline, and `latest`, which is the run that finished last."""
    assert find_run("reports/first").path == Path("reports/first")
    assert find_run("main").path == root / "reports/baselines/main"
    assert find_run("latest").path.resolve() == root / "reports/second"
    assert evalkit.load_run("latest").manifest.run_id == evalkit.load_run("reports/second").manifest.run_id


def test_latest_is_no_run_without_a_decision(root: Path) -> None:
    """A run that was interrupted is not `latest`."""
    (root / "reports/second/decision.json").unlink()
    assert find_run("latest").path.resolve() == root / "reports/first"


def test_a_baseline_or_a_folder_called_latest_goes_first(root: Path) -> None:
    """Projects that write to `reports/latest` keep what they have; a new baseline cannot take the name."""
    shutil.copytree(root / "reports/baselines/main", root / "reports/baselines/latest")
    assert find_run("latest").path == root / "reports/baselines/latest"
    refused = CliRunner().invoke(app, ["baseline", "save", "reports/first", "--name", "latest"])
    assert "'latest' means the run that finished last" in str(refused.exception)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mian", "no run folder or saved baseline has this name"),
        ("reports/third", "no run there"),
        ("git:nowhere:reports/baselines/main", "git"),
    ],
)
def test_a_run_that_is_not_there_is_said_with_its_name(root: Path, name: str, said: str) -> None:
    """The message names what was asked for, and how to see the runs there are."""
    with pytest.raises(InputError, match=said) as refused:
        find_run(name)
    assert name in str(refused.value)


@pytest.mark.parametrize("name", ["compared", "reports/compared"])
def test_a_comparison_of_files_is_called_that(root: Path, name: str) -> None:
    """It is written by another command, which a run is not."""
    (root / name).mkdir(parents=True)
    (root / name / "comparison.json").write_text("{}", encoding="utf-8")
    for command in ("report", "gate"):
        refused = CliRunner().invoke(app, [command, name]).exception
        assert f"{name}: a comparison of files; run `evalkit compare` again" in str(refused)


def test_without_a_run_there_is_no_latest(tmp_path: Path) -> None:
    """An empty project has no finished run."""
    with pytest.raises(InputError, match="no finished run in reports"):
        find_run("latest", tmp_path)


@pytest.mark.parametrize("name", ["reports/second", "main", "latest"])
@pytest.mark.parametrize(
    "command",
    [
        "report RUN",
        "verify RUN",
        "diff main RUN",
        "diff RUN main --case a",
        "score RUN --suite suite.yaml --out reports/again",
        "baseline show RUN",
        "baseline verify RUN",
        "report reports/second --baseline RUN",
    ],
)
def test_every_command_takes_every_name(root: Path, command: str, name: str) -> None:
    """The same three names everywhere, without an error and without a call of the system."""
    code = "def answer(input: str) -> str:\n    raise RuntimeError('called')\n"
    (root / "echo.py").write_text(code, encoding="utf-8")
    ended = CliRunner().invoke(app, command.replace("RUN", name).split())
    assert ended.exit_code == 0, (ended.output, ended.exception)


def test_a_folder_without_a_run_does_not_hide_a_name(root: Path) -> None:
    """A source folder called `main` or `latest` is not what is meant."""
    for name in ("main", "latest"):
        Path(name).mkdir()
    assert find_run("main").path == root / "reports/baselines/main"
    assert find_run("latest").path.resolve() == root / "reports/second"
