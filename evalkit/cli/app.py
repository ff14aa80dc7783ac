"""The `evalkit` command: its sub-commands, and one place where errors become exit codes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from evalkit import __version__
from evalkit.cli.baseline import baseline
from evalkit.cli.check import check
from evalkit.cli.diff import diff
from evalkit.cli.doctor import doctor
from evalkit.cli.gate import gate
from evalkit.cli.golden import golden
from evalkit.cli.init import init
from evalkit.cli.judge import judge
from evalkit.cli.noise import noise, power
from evalkit.cli.report import report
from evalkit.cli.run import run
from evalkit.cli.score import score
from evalkit.errors import EvalkitError, ExitCode

app = typer.Typer(
    name="evalkit",
    help="Eval harness and regression gate for LLM systems.",
    no_args_is_help=True,
    # Rich help costs three times the start-up of everything else.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for command in (init, check, run, gate, report, diff, score, noise, power, doctor):
    app.command()(command)
app.add_typer(baseline)
app.add_typer(judge)
app.add_typer(golden)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"evalkit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Eval harness and regression gate for LLM systems."""


def main() -> None:
    """Run the command line; every ending has its exit code."""
    try:
        app()
    except EvalkitError as error:
        typer.echo(str(error), err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): what was decided is on disk.
        sys.stderr.close()
        sys.exit(ExitCode.INTERNAL_ERROR)
    except Exception as error:
        import traceback

        traceback.print_exc()
        typer.echo(
            f"evalkit: a bug in evalkit ({type(error).__name__}); please report it with the lines above", err=True
        )
        sys.exit(ExitCode.INTERNAL_ERROR)
