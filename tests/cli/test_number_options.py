"""An option that takes a number says which, with a line to copy."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from evalkit.cli.commands import COMMANDS, command


def found(words: str) -> tuple[Any, list[str]]:
    """The command of a command line, and the words after its name."""
    name, *rest = words.split()
    found = command(name)
    while rest and rest[0] in getattr(found, "commands", {}):
        found = found.commands[rest.pop(0)]
    return found, rest


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("run s.yaml --deadline 1s", "'1s' is not a number of seconds of at least 0.001; write --deadline 1"),
        ("run s.yaml --timeout 0", "'0' is not a number of seconds of at least 0.001; write --timeout 1"),
        ("run s.yaml --budget $5", "'$5' is not a number of US dollars of at least 0.0001; write --budget 1"),
        ("run s.yaml --budget nan", "'nan' is not a number of US dollars of at least 0.0001; write --budget 1"),
        ("run s.yaml --limit 2.5", "'2.5' is not a whole number of at least 1; write --limit 1"),
        ("run s.yaml --seed x", "'x' is not a whole number; write --seed 1"),
        ("power s.yaml --flips 2", "'2' is not a number of at least 0 and at most 1; write --flips 1"),
        ("judge health s.yaml -n 5000", "'5000' is not a whole number of at least 2 and at most 1,000; write -n 20"),
        ("monitor take m.yaml --every 1m", "'1m' is not a number of seconds of at least 1; write --every 60"),
        ("monitor reference m.yaml --years ten", "'ten' is not a whole number of at least 40 and at most 10,000"),
    ],
)
def test_another_value_is_answered_with_what_the_option_takes(words: str, message: str) -> None:
    """No word of a library's about ranges."""
    given, rest = found(words)
    with pytest.raises(typer.BadParameter) as caught:
        given.make_context("evalkit", rest)
    assert message in caught.value.format_message()


def test_what_is_proposed_is_accepted() -> None:
    """Of every option of every command."""

    def options(given: Any) -> list[Any]:
        return [*given.params, *(each for one in getattr(given, "commands", {}).values() for each in options(one))]

    proposed = {}
    for each in [each for name in COMMANDS for each in options(command(name))]:
        if each.param_type_name == "option" and each.type.name.split()[0] in ("int", "integer", "float"):
            with pytest.raises(typer.BadParameter) as caught:
                each.type.convert("nothing", each, None)
            flag, text = str(caught.value).rpartition("write ")[2].split()
            assert flag in each.opts
            proposed[flag] = each.type.convert(text, each, None)
    assert len(proposed) > 15
