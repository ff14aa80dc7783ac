"""What a terminal or a CI runner would obey is shown, never obeyed."""

import io
from pathlib import Path

import pytest
from hostile_lab import SUITE, command, write_project

from evalkit.cli.streams import Tame
from evalkit.text.escaping import visible

ESCAPES = (
    "\x1b[2J\x1b[31mred",
    "\x1b]8;;http://evil.test\x07link\x1b]8;;\x07",
    "\x1b]52;c;cm0gLXJm\x07",
    "\x9b31m",
    "right\rwrong",
    "abc\b\b\bxyz",
    "\u202egnp.exe\u202c",
    "\u2066hidden\u2069",
    "zero\u200bwidth",
    "\U000e0041\U000e0042",
    "nul\x00",
    "two\u2028lines",
    "next\u0085line",
)
COMMANDS = (
    "::set-output name=x::1",
    "::add-mask::a",
    "::error file=a.py::bad",
    "  ::warning::indented",
    "::stop-commands::guess",
    "##[error]old",
    "##vso[task.setvariable variable=x]1",
    "x\n::set-env name=PATH::/evil",
)
BOT = """\
import json, pathlib

TEXTS = json.loads(pathlib.Path(__file__).with_name("texts.json").read_text())

def answer(input: str, id: str):
    number = int(id.removeprefix("c"))
    if number % 3 == 2:
        raise RuntimeError(TEXTS[number % len(TEXTS)])
    return TEXTS[number % len(TEXTS)]
"""


def hostile_streams(root: Path, texts: tuple[str, ...], env: dict[str, str]) -> str:
    """Everything that the commands print about a run whose every text is hostile."""
    import json

    rows = [
        {
            "id": f"c{number}",
            "input": text,
            "reference": text,
            "cohorts": {"topic": f"{text} {number % 2}"},
            "note": text,
        }
        for number, text in enumerate([*texts, *texts])
    ]
    for number, row in enumerate(rows):
        row["input"] = f"{row['input']} {number}"
    (root / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    name = json.dumps(texts[0])
    write_project(root, bot=BOT, suite=SUITE.replace("name: hostile", f"name: {name}"), cases=rows)
    said = ""
    for words in (
        ["check", "suite.yaml"],
        [
            "run",
            "suite.yaml",
            "--out",
            "run",
            "--progress",
            "lines",
            "--verbose",
            "--repeat",
            "2",
            "--summary",
            "step.md",
        ],
        ["run", "suite.yaml", "--out", "two", "--progress", "none"],
        ["gate", "run"],
        ["diff", "two", "run"],
        ["diff", "run", "two", "--case", "c0"],
        ["diff", "run", "two", "--case", "c2"],
        ["baseline", "save", "run", "--accept", texts[1]],
        ["noise", "run", "--trials", "10"],
        ["power", "suite.yaml"],
        ["golden", "coverage", "suite.yaml", "--by", "topic", "--mix", f"{texts[0].split('=')[0]}=1"],
        ["run", "suite.yaml", "--case", texts[0]],
        ["run", texts[0].replace("/", "")],
        ["run", "suite.yaml", "--out", "three", "--baseline", texts[1].replace("\0", "")],
        ["verify", "run"],
    ):
        ran = command(root, *(word.replace("\0", "") for word in words), env={"COLUMNS": "80", **env})
        assert "Traceback" not in ran.err, ran.err
        assert ran.code in (0, 1, 2, 3, 5)
        said += f"{ran.out}\n{ran.err}\n"
    return said


def test_no_escape_reaches_the_terminal(tmp_path: Path) -> None:
    """Colours, links, clipboards, cursors, directions and invisible characters of data are shown by their numbers."""
    said = hostile_streams(tmp_path, ESCAPES, {})
    odd = {f"U+{ord(char):04X}" for char in said if visible(char) != char or char == "\r"}
    assert odd == set()
    assert "<U+001B>" in said
    assert "<U+202E>" in said


@pytest.mark.parametrize("runner", ["GITHUB_ACTIONS", "TF_BUILD"])
def test_no_line_commands_the_runner(tmp_path: Path, runner: str) -> None:
    """No printed line begins a workflow command, wherever the text was wrapped."""
    said = hostile_streams(tmp_path, COMMANDS, {runner: "true"})
    lines = [line for line in said.splitlines() if line.lstrip().startswith("::") or "##[" in line or "##vso[" in line]
    assert lines == []
    assert "set-output" in said


def test_the_tamed_stream_changes_nothing_else() -> None:
    """Ordinary text, JSON and C++ names pass as they are; what is written piece by piece is seen whole."""
    out = io.StringIO()
    stream = Tame(out)
    stream.write('{"a": "::b"}\nstd::vector ::x\n')
    stream.write("  ")
    stream.write("::error::x")
    stream.flush()
    assert out.getvalue() == '{"a": "::b"}\nstd::vector ::x\n  <U+003A>:error::x'
