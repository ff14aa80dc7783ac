"""Resuming while files come and go beside the system: only a change of the system refuses it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cli_project import Project

BOT = """\
from pathlib import Path

HERE = Path(__file__).parent
PROMPT = (HERE / "tone.txt").read_text()

def answer(input):
    with (HERE / "seen.txt").open("a") as file:
        file.write(input)
    a, b = input.split("+")
    return str(int(a) + int(b))
"""


@pytest.fixture
def stopped(project: Project) -> Project:
    """A run of 20 cases of which ten are there, with its output redirected to a file beside the bot."""
    project.cases(20)
    project.suite()
    (project.root / "bot.py").write_text(BOT, encoding="utf-8")
    (project.root / "tone.txt").write_text("Be kind.", encoding="utf-8")
    suite = (project.root / "suite.yaml").read_text(encoding="utf-8")
    (project.root / "suite.yaml").write_text(suite.replace(', arguments: {broken: ""}', ""), encoding="utf-8")
    ran(project, "out.txt")
    rows = project.root / "first" / "rows.jsonl"
    rows.write_bytes(b"".join(rows.read_bytes().splitlines(keepends=True)[:10]))
    return project


def ran(project: Project, into: str, *words: str) -> tuple[int, str]:
    """Run the suite as a shell does with `> into`; gives the exit code and standard error."""
    command = project.command("run", "suite.yaml", "--out", "first", "--baseline", "none", "--no-report", *words)
    with Path(project.root / into).open("w", encoding="utf-8") as file:
        ended = subprocess.run(command, cwd=project.root, stdout=file, stderr=subprocess.PIPE, text=True, check=False)
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("into", ["out.txt", "other.txt", "run.md"])
def test_output_beside_the_bot_does_not_refuse_a_resume(stopped: Project, into: str) -> None:
    """The file of the first run has grown, the second run begins one, the bot has written its own: all the same."""
    for name in ("notes.md", "run.log", ".coverage", "results.jsonl"):
        (stopped.root / name).write_text("new", encoding="utf-8")
    code, said = ran(stopped, into, "--resume")
    assert code == 0, said


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("tone.txt", "Be rude.", "tone.txt changed"),
        ("bot.py", BOT + "\n# more\n", "bot.py changed"),
        ("helper.py", "x = 1", "helper.py added"),
    ],
)
def test_a_changed_source_refuses_a_resume_and_is_named(stopped: Project, name: str, text: str, word: str) -> None:
    """Two systems never share a run."""
    (stopped.root / name).write_text(text, encoding="utf-8")
    code, said = ran(stopped, "out.txt", "--resume")
    assert code == 2
    assert f"another system ({word})" in " ".join(said.split())
