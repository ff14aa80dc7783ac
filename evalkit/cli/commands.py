"""List the commands by name.

Each is imported when it is called, so that `--help` and `--version` cost little more than typer.
"""

from __future__ import annotations

from importlib import import_module
from keyword import iskeyword
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup


class Listed(NamedTuple):
    """A command in the overview."""

    module: str
    """Module of `evalkit.cli` that has a function of the command's name."""
    line: str
    """First line of the command's help."""


COMMANDS = {
    "init": Listed("init", "Write a suite, five cases, a small system and a workflow."),
    "check": Listed("check", "Check a suite and all that it names, without calling anything."),
    "import": Listed(
        "import_",
        "Make a suite from another eval tool's file.",
    ),
    "run": Listed("run", "Run a suite: call the system, grade every answer, decide."),
    "merge": Listed("merge", "Make one run of all shards of a suite, and decide."),
    "gate": Listed("gate", "Decide again from the rows of a run, without calling anything."),
    "report": Listed(
        "report",
        "Write the reports of a run again, and print its decision.",
    ),
    "compare": Listed(
        "compare",
        "Compare the results of two systems, and decide if one is worse.",
    ),
    "diff": Listed("diff", "Compare two runs: what fell or rose, and which cases changed."),
    "runs": Listed(
        "runs",
        "List stored runs by suite, newest last, with a trend.",
    ),
    "view": Listed(
        "view",
        "Write a page that lists all runs of a folder.",
    ),
    "score": Listed(
        "score",
        "Score stored answers again, without calling the system.",
    ),
    "verify": Listed("verify", "Check that a run is whole and unchanged since its decision."),
    "noise": Listed(
        "noise",
        "Run one system several times and compare it with itself.",
    ),
    "power": Listed("noise", "Show the drops that a suite's gate would detect."),
    "doctor": Listed("doctor", "Check the installation: Python, packages, offline embedding."),
    "docs": Listed(
        "docs",
        "Print the reference of this version as one Markdown page.",
    ),
    "baseline": Listed("baseline", "Save, show and verify baselines."),
    "judge": Listed("judge", "Probe and calibrate judges."),
    "labels": Listed("labels", "Draw answers to label, and import labels."),
    "golden": Listed("golden", "Check, lock and describe golden sets, and add cases."),
    "monitor": Listed("monitor", "Watch the calls of a system in production."),
    "cache": Listed("cache", "Manage cached judge replies."),
}


def command(name: str) -> Any:
    """Import a command, or a group of commands, and build its flags."""
    from typer.main import get_group

    from evalkit.cli.number_options import explain_numbers

    # `import` is a word of Python, so the function is called `import_`.
    found = getattr(import_module(f"evalkit.cli.{COMMANDS[name].module}"), f"{name}_" if iskeyword(name) else name)
    made = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    made.callback()(lambda: None)
    if isinstance(found, typer.Typer):
        made.add_typer(found)
    elif name == "run":
        from evalkit.cli.run import ENV_PREFIX

        made.command(cls=_FromEnvironment, context_settings={"auto_envvar_prefix": ENV_PREFIX})(found)
    else:
        made.command(name)(found)
    built = get_group(made).commands[name]
    explain_numbers(built)
    return built


class Commands(TyperGroup):
    """The group of all commands: it lists them from the table, and imports one to call it or to complete its flags."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, listed in COMMANDS.items():
            self.add_command(TyperCommand(name, help=listed.line, rich_markup_mode=None))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command by its full name."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, command(name) if name is not None and listed is not None else None, rest


class _FromEnvironment(TyperCommand):
    """A command whose options can be set in the environment, except `--help`; its help groups them."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options under the titles of their groups, without their variables, which the docstring explains."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            param.show_envvar = False  # type: ignore[attr-defined]
            title = "Arguments" if param.param_type_name == "argument" else getattr(param, "rich_help_panel", None)
            if (record := param.get_help_record(ctx)) is not None:
                groups.setdefault(title or "Other", []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)

    def get_help_option(self, ctx: Any) -> Any:
        found = super().get_help_option(ctx)
        if found is not None:
            found.allow_from_autoenv = False  # a forgotten variable would end a gate with 0
        return found
