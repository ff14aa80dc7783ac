"""Names beyond ASCII work where the locale is C, the default of many containers."""

from __future__ import annotations

import json
import os

import pytest
from cli_project import Project

SUITE = """\
name: prüfung
golden: fälle.jsonl
system: {SYSTEM}
scorers: [exact]
cohorts: [größe]
gate:
  - pass_rate: {min: 0.4}
"""
CASES = [
    {"id": "fäll-1", "input": "Grüße", "reference": "Grüße", "cohorts": {"größe": "groß"}},
    {"id": "fäll-2", "input": "日本", "reference": "東京", "cohorts": {"größe": "klein"}},
]
SYSTEMS = {
    "python": 'python: "prüfung.böt:answer"',
    "command": 'command: ["python3", "böt.py"]',
    "replay": "replay: antworten-ü.jsonl",
}
BOT = """\
import json, sys

def answer(input):
    return input

if __name__ == "__main__":
    print(json.load(sys.stdin)["input"])
"""


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment with the C locale."""
    without = ("LANG", "LC_ALL", "LC_CTYPE", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONCOERCECLOCALE")
    return {**{name: text for name, text in os.environ.items() if name not in without}, "LC_ALL": "C", **more}


@pytest.fixture
def named(project: Project) -> Project:
    """A project whose folder, suite, golden set and module have names beyond ASCII."""
    folder = project.root / "prüfung"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "böt.py").write_text(BOT, encoding="utf-8")
    lines = "".join(json.dumps(case, ensure_ascii=False) + "\n" for case in CASES)
    (folder / "fälle.jsonl").write_text(lines, encoding="utf-8")
    stored = [{"id": case["id"], "output": case["input"]} for case in CASES]
    (folder / "antworten-ü.jsonl").write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in stored), encoding="utf-8"
    )
    return project


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
def test_names_and_contents_in_the_c_locale(named: Project, system: str) -> None:
    """A suite is checked, run, resumed, reported, saved and compared; all of it is shown as it is written."""
    (named.root / "prüfung" / "ü.yaml").write_text(SUITE.replace("SYSTEM", system), encoding="utf-8")
    env = environment()
    checked = named.run("check", "prüfung/ü.yaml", env=env)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "prüfung/fälle.jsonl" in checked.stdout
    for more in ([], ["--resume"]):
        ran = named.run("run", "prüfung/ü.yaml", "--out", "läufe/erst", "--baseline", "none", *more, env=env)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "answer  日本" in ran.stdout
    assert "größe=klein" in (named.root / "läufe/erst/summary.md").read_text(encoding="utf-8")
    for command in (
        ["report", "läufe/erst", "--csv", "läufe/ü.csv"],
        ["baseline", "save", "läufe/erst", "--name", "größe"],
        ["verify", "läufe/erst"],
        ["gate", "läufe/erst"],
    ):
        ended = named.run(*command, env=env)
        assert ended.returncode == 0, (command, ended.stdout, ended.stderr)
    assert (named.root / "läufe/ü.csv").exists()


def test_a_locale_without_such_names_is_told(named: Project) -> None:
    """Where Python is forbidden to use UTF-8, the name and the setting are shown, not a traceback."""
    (named.root / "prüfung" / "ü.yaml").write_text(SUITE.replace("SYSTEM", SYSTEMS["python"]), encoding="utf-8")
    env = environment(PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    ended = named.run("check", "prüfung/ü.yaml", env=env)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert "this file name cannot be written in ascii; export PYTHONUTF8=1 before the run" in ended.stderr
