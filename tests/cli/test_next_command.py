"""The command that a red run ends with can be copied as it stands."""

from __future__ import annotations

import shlex

import pytest
from rich.console import Console

from evalkit.cli.output import CommandOutput


def said(capsys: pytest.CaptureFixture[str], width: int, case_id: str) -> str:
    """What stands under a red run, at a width."""
    output = CommandOutput()
    output.messages = Console(stderr=True, width=width, color_system=None, highlight=False, markup=False)
    output._say_next("reports/base line", "reports/new", case_id)
    return capsys.readouterr().err


@pytest.mark.parametrize("width", [60, 200])
def test_a_long_command_is_broken_where_a_shell_goes_on(capsys: pytest.CaptureFixture[str], width: int) -> None:
    """No line is wider than the terminal, and a shell reads all of them as one command."""
    text = said(capsys, width, "markets-and-instruments-0042")
    assert max(map(len, text.splitlines())) <= width
    assert (len(text.splitlines()) > 1) is (width == 60)
    words = shlex.split(text.replace("\\\n", " "))
    assert words == [
        "next",
        "evalkit",
        "diff",
        "reports/base line",
        "reports/new",
        "--case",
        "markets-and-instruments-0042",
    ]


@pytest.mark.parametrize("case_id", ["a\u202eb", "a\nb", "a  b"])
def test_an_id_that_cannot_be_shown_gives_no_command(capsys: pytest.CaptureFixture[str], case_id: str) -> None:
    """A command that would name another case is worse than none."""
    assert said(capsys, 200, case_id) == ""
