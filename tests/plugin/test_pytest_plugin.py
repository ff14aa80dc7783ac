"""The pytest plugin as its users have it: loaded by its entry point, in a pytest of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BOT = "def answer(input: str) -> str:\n    return input.upper()\n"
SUITE = """\
name: shouting
golden: cases.jsonl
system: {python: "bot:answer"}
scorers: [exact]
gate:
  - pass_rate: {min: MIN}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A suite whose system is right about every case but those that hold a digit."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "bot.py").write_text(BOT, encoding="utf-8")
    rows = [f'{{"id": "c{i}", "input": "q{i}", "reference": "{"Q" if i % 10 else "no"}{i}"}}\n' for i in range(50)]
    (tmp_path / "cases.jsonl").write_text("".join(rows), encoding="utf-8")
    return tmp_path


def run_pytest(project: Path, test: str, *, at_least: str = "0.5") -> subprocess.CompletedProcess[str]:
    """Run one test file against the suite."""
    (project / "suite.yaml").write_text(SUITE.replace("MIN", at_least), encoding="utf-8")
    (project / "test_gate.py").write_text(test, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:deepeval", "-p", "no:langsmith_plugin", "--no-cov"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, timeout=600)


THREE_LINES = 'def test_gate(evalkit_gate):\n    decision = evalkit_gate("suite.yaml")\n    assert decision.outcome\n'


def test_an_approved_suite_passes_its_test(project: Path) -> None:
    """Three lines, no import, no configuration."""
    ran = run_pytest(project, THREE_LINES)
    assert ran.returncode == 0, ran.stdout


def test_a_blocked_suite_fails_with_the_reason_and_the_report(project: Path) -> None:
    """The test's failure is the decision in words, without a traceback, and its report is there."""
    ran = run_pytest(project, THREE_LINES, at_least="0.99")
    assert ran.returncode == 1
    assert "shouting: blocked" in ran.stdout
    assert "pass_rate" in ran.stdout
    assert "Traceback" not in ran.stdout
    report = re.findall(r"(/\S+report\.html)", ran.stdout)
    assert Path(report[0]).read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_suite_with_several_systems_is_gated_by_those_that_it_releases(project: Path) -> None:
    """Their decision is returned; a suite that releases none decides nothing, and fails the test."""
    systems = 'systems: {old: {python: "bot:answer", version: "1"}, new: {python: "bot:answer", version: "2"}}\n'
    gated = SUITE.replace('system: {python: "bot:answer"}\n', f"{systems}release: [new]\n")
    (project / "several.yaml").write_text(gated.replace("MIN", "0.5"), encoding="utf-8")
    test = THREE_LINES.replace("suite.yaml", "several.yaml")
    ran = run_pytest(project, test)
    assert ran.returncode == 0, ran.stdout
    (project / "several.yaml").write_text(gated.replace("release: [new]\n", "").replace("MIN", "0.5"), encoding="utf-8")
    ran = run_pytest(project, test)
    assert ran.returncode == 1
    assert "shouting: compared" in ran.stdout
    assert "no system is under `release:`" in ran.stdout


def test_a_broken_suite_fails_with_its_problems(project: Path) -> None:
    """What `evalkit check` would say is what the test says."""
    ran = run_pytest(project, THREE_LINES, at_least="many")
    assert ran.returncode == 1
    assert "suite.yaml:6" in ran.stdout
    assert "During handling" not in ran.stdout
    assert "Traceback" not in ran.stdout


def test_folder_and_baseline_can_be_chosen(project: Path) -> None:
    """A run that is kept is the baseline of the next one."""
    test = (
        "from pathlib import Path\n"
        "def test_gate(evalkit_gate):\n"
        '    evalkit_gate("suite.yaml", out=Path("first"), baseline="none")\n'
        '    assert evalkit_gate("suite.yaml", baseline="first").outcome == "approved"\n'
        '    assert Path("first/decision.json").exists()\n'
    )
    ran = run_pytest(project, test)
    assert ran.returncode == 0, ran.stdout


def test_the_plugin_costs_a_pytest_run_next_to_nothing() -> None:
    """Nothing of the package but the plugin is imported before the fixture is used."""
    code = "import sys, evalkit.pytest_plugin; print([m for m in sys.modules if m.startswith('evalkit.')])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "['evalkit.pytest_plugin']"


@pytest.mark.parametrize("body", ["os._exit(0)", "os.execv('/bin/true', ['true'])", "raise SystemExit(0)"])
def test_a_system_does_not_end_pytest(body: str, project: Path) -> None:
    """No parent checks how pytest ends, so what would end it is a failure of the case."""
    (project / "bot.py").write_text(f"import os\ndef answer(input):\n    {body}\n", encoding="utf-8")
    ran = run_pytest(project, THREE_LINES)
    assert ran.returncode == 1, ran.stdout
    assert "1 failed" in ran.stdout
