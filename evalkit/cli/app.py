"""Define the `evalkit` command, and turn errors into exit codes."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from evalkit import __version__
from evalkit.cli.child_process import promise, promised
from evalkit.cli.commands import Commands
from evalkit.cli.streams import LISTENER, discreet, spelled, tamed, unheard
from evalkit.errors import EvalkitError, ExitCode, fix_of

COMPLETING = "_EVALKIT_COMPLETE"
"""Set by a shell that asks for completions."""
_NO_PATH = (errno.ENAMETOOLONG, errno.ELOOP)
_FILES = (errno.EMFILE, errno.ENFILE, errno.EBADF)
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"evalkit {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="evalkit",
    cls=Commands,
    help="Eval harness and regression gate for LLM systems.",
    no_args_is_help=True,
    # Rich help takes three times as long to start as everything else.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Eval harness and regression gate for LLM systems."""


def _shown(text: str) -> str:
    """Return a message without secrets of the environment and without terminal control characters."""
    from evalkit.systems.secrets import redact, secrets_of
    from evalkit.text.escaping import visible

    return visible(redact(text, secrets_of(os.environ)))


def is_brief(words: Sequence[str], env: Mapping[str, str]) -> bool:
    """Return whether a command line only asks for the list of commands, or the version."""
    return list(words) in ([], ["--help"], ["--version"]) and COMPLETING not in env


def _call(*, closed: bool) -> None:
    """Run the command. Exit with 0 only if the output was printed, or if a decision on disk gives the exit code.

    Raises:
        BrokenPipeError: the reader closed the output before its end.
    """
    LISTENER.left = closed
    promise(None)
    if not is_brief(sys.argv[1:], os.environ):  # that text is evalkit's own
        sys.stdout, sys.stderr = discreet(sys.stdout, os.environ), discreet(sys.stderr, os.environ)
    try:
        app(prog_name="evalkit")
    except SystemExit as leaving:
        unread = type(sys.stdout).__name__ == "PacifyFlushWrapper"  # typer's, which ends with 1 then
        if not promised() and (unread or (LISTENER.left and not leaving.code)):
            raise BrokenPipeError from None
        raise
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()  # what cannot be printed is known before the exit code is


def main() -> None:
    """Run the command line, and exit with the code of its result."""
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
        # The reader of the output has gone (`| head`), or there was none.
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
            typer.echo(f"{place}: {error.strerror}; free the disk; the run folder holds the decision", err=True)
            sys.exit(ExitCode.INTERNAL_ERROR)
        if isinstance(error, UnicodeEncodeError) and error.encoding == sys.getfilesystemencoding():
            name = error.object.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            what = f"{name[:200]}: this file name cannot be written in {error.encoding}"
            typer.echo(_shown(f"{what}; export PYTHONUTF8=1 before the run"), err=True)
            sys.exit(ExitCode.INVALID_INPUT)
        typer.echo(_shown(traceback.format_exc()), err=True)
        typer.echo(
            f"evalkit: a bug in evalkit ({type(error).__name__}); please report it with the lines above", err=True
        )
        sys.exit(ExitCode.INTERNAL_ERROR)
