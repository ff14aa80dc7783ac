"""Commands are imported when they are called; what lists them is a table that says what they say."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import pytest
from typer.core import TyperGroup
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.cli.commands import COMMANDS, command

SHOW_IMPORTED = """
import sys
from evalkit.__main__ import main
try:
    main()
finally:
    print(*sorted(name for name in sys.modules if name.startswith("evalkit.")), file=sys.stderr)
"""
NEEDED = {
    "evalkit.__main__",
    "evalkit.cli",
    "evalkit.cli.app",
    "evalkit.cli.child_process",
    "evalkit.cli.commands",
    "evalkit.cli.streams",
    "evalkit.errors",
    "evalkit.text",
    "evalkit.text.escaping",
}


@pytest.mark.parametrize(
    ("words", "env", "said"),
    [
        (["--help"], {}, "Commands:"),
        ([], {}, "Commands:"),
        (["--version"], {}, "evalkit "),
        ([], {"_EVALKIT_COMPLETE": "complete_bash", "COMP_WORDS": "evalkit ", "COMP_CWORD": "1"}, "baseline"),
    ],
    ids=str,
)
def test_what_lists_the_commands_imports_none_of_them(words: list[str], env: dict[str, str], said: str) -> None:
    """Neither a module of a command nor anything behind it is imported for the overview or the version.

    Completion blots secrets out of what it prints, which needs more modules, but no command's.
    """
    ended = subprocess.run(
        [sys.executable, "-c", SHOW_IMPORTED, *words],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said in ended.stdout + ended.stderr
    imported = set(ended.stderr.splitlines()[-1].split())
    assert imported & {f"evalkit.cli.{each.module}" for each in COMMANDS.values()} == set()
    if not env:
        assert imported - NEEDED == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_what_the_command_says(name: str) -> None:
    """The line in the overview is the first paragraph of the command's own help, and its name is the command's."""
    found = command(name)
    assert found.name == name
    assert inspect.cleandoc(found.help or "").split("\n\n")[0] == COMMANDS[name].line


def test_a_command_that_is_not_there_is_told_from_one_that_is() -> None:
    """A typo is answered with the command that was meant, also one inside a group."""
    for words, meant in ((["rnu"], "'run'"), (["baseline", "sav"], "'save'")):
        ended = CliRunner().invoke(app, words)
        assert ended.exit_code == 2
        assert f"Did you mean {meant}?" in ended.output


def test_every_line_of_an_overview_fits_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 columns no help of a group of commands cuts a line short."""
    monkeypatch.setenv("COLUMNS", "80")
    for words in ([], *([name] for name in COMMANDS if isinstance(command(name), TyperGroup))):
        shown = CliRunner().invoke(app, [*words, "--help"]).output
        assert "Commands:" in shown
        assert not [line for line in shown.splitlines() if line.endswith("...") and "Usage:" not in line]
