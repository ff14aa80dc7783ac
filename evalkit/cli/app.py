"""The `evalkit` command: its sub-commands, and one place where errors become exit codes."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from evalkit import __version__
from evalkit.cli.baseline import baseline
from evalkit.cli.cache import cache
from evalkit.cli.check import check
from evalkit.cli.child_process import promise, promised
from evalkit.cli.diff import diff
from evalkit.cli.docs import docs
from evalkit.cli.doctor import doctor
from evalkit.cli.gate import gate
from evalkit.cli.golden import golden
from evalkit.cli.init import init
from evalkit.cli.judge import judge
from evalkit.cli.labels import labels
from evalkit.cli.noise import noise, power
from evalkit.cli.report import report
from evalkit.cli.run import ENV_PREFIX, run
from evalkit.cli.runs import runs
from evalkit.cli.score import score
from evalkit.cli.streams import LISTENER, discreet, spelled, tamed, unheard
from evalkit.cli.verify import verify
from evalkit.errors import EvalkitError, ExitCode, fix_of

COMMANDS = (init, check, run, gate, report, diff, runs, score, verify, noise, power, doctor, docs)
GROUPS = (baseline, judge, labels, golden, cache)

COMPLETING = "_EVALKIT_COMPLETE"
"""Set by a shell that asks for completions."""
_NO_PATH = (errno.ENAMETOOLONG, errno.ELOOP)
_FILES = (errno.EMFILE, errno.ENFILE, errno.EBADF)
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)


def _empty() -> typer.Typer:
    return typer.Typer(
        name="evalkit",
        help="Eval harness and regression gate for LLM systems.",
        no_args_is_help=True,
        # Rich help costs three times the start-up of everything else.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"evalkit {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Eval harness and regression gate for LLM systems."""


class _FromEnvironment(TyperCommand):
    """A command whose options, except `--help`, can be set in the environment; its help groups them."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options under the titles of their groups; the docstring names their variables."""
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


def _whole() -> typer.Typer:
    made = _empty()
    made.callback()(_root)
    for command in COMMANDS:
        if command is run:
            made.command(cls=_FromEnvironment, context_settings={"auto_envvar_prefix": ENV_PREFIX})(command)
        else:
            made.command()(command)
    for group in GROUPS:
        made.add_typer(group)
    return made


def overview() -> typer.Typer:
    """List the commands with their descriptions, without loading their flags, which is faster."""
    made = _empty()
    made.callback()(_root)
    described = [(command.__name__, command.__doc__) for command in COMMANDS]
    described += [(str(group.info.name), str(group.info.help)) for group in GROUPS]
    for name, text in described:
        made.command(name, help=text)(lambda: None)
    return made


app = _whole()


def _shown(text: str) -> str:
    """Return a message without secrets of the environment and terminal control characters."""
    from evalkit.systems.secrets import redact, secrets_of
    from evalkit.text.escaping import visible

    return visible(redact(text, secrets_of(os.environ)))


def is_brief(words: Sequence[str], env: Mapping[str, str]) -> bool:
    """Return whether a command line only asks for the list of commands or the version."""
    return list(words) in ([], ["--help"], ["--version"]) and COMPLETING not in env


def _call(*, closed: bool) -> None:
    """Run the command. Exit with 0 only if the output was printed, or if a decision on disk gives the exit code.

    Raises:
        BrokenPipeError: the reader closed the output before its end.
    """
    LISTENER.left = closed
    promise(None)
    brief = is_brief(sys.argv[1:], os.environ)
    if not brief:  # that text is evalkit's own
        sys.stdout, sys.stderr = discreet(sys.stdout, os.environ), discreet(sys.stderr, os.environ)
    try:
        (overview() if brief else app)(prog_name="evalkit")
    except SystemExit as leaving:
        unread = type(sys.stdout).__name__ == "PacifyFlushWrapper"  # typer's, which ends with 1 then
        if not promised() and (unread or (LISTENER.left and not leaving.code)):
            raise BrokenPipeError from None
        raise
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()  # what cannot be printed is known before the exit code is


def main() -> None:
    """Run the command line, and exit with the code of its ending."""
    closed = sys.stdout is None
    sys.stdout = tamed(spelled(sys.stdout), os.environ)
    sys.stderr = unheard(tamed(spelled(sys.stderr), os.environ))
    try:
        _call(closed=closed)
    except EvalkitError as error:
        typer.echo(_shown(str(error)), err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`), or there was none.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what stdout still holds would fail once more at the end
        sys.exit(ExitCode.INTERNAL_ERROR)
    except Exception as error:
        import traceback

        if isinstance(error, OSError) and error.errno in _NO_PATH:
            typer.echo(_shown(f"{str(error.filename)[:200]}: {error.strerror}; write another path"), err=True)
            sys.exit(ExitCode.INVALID_INPUT)
        if isinstance(error, OSError) and error.errno in _FILES:
            typer.echo(
                _shown(f"{error.filename or 'evalkit'}: {error.strerror}; {fix_of(error)}"),
                err=True,
            )
            sys.exit(ExitCode.INTERNAL_ERROR)
        if isinstance(error, OSError) and error.errno in _DISK:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what stdout still holds would fail once more at the end
            place = error.filename or "standard output"
            typer.echo(f"{place}: {error.strerror}; free the disk: what was decided is in the run folder", err=True)
            sys.exit(ExitCode.INTERNAL_ERROR)
        typer.echo(_shown(traceback.format_exc()), err=True)
        typer.echo(
            f"evalkit: a bug in evalkit ({type(error).__name__}); please report it with the lines above", err=True
        )
        sys.exit(ExitCode.INTERNAL_ERROR)
