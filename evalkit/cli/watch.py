"""`evalkit run --watch`: run again what a saved file changes. As a module, it is the process of one round."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from evalkit.operations.watch import Round, RoundRequest

_SHOWN_IDS = 10
_END_S = 5.0
_PROCESS = (sys.executable, "-m", "evalkit.cli.watch")


def watch_suite(asked: RoundRequest) -> None:
    """Watch until Ctrl-C, which exits with 0; a suite that is bad at the start exits with its code."""
    from evalkit.cli.stopping import until_stopped
    from evalkit.operations.watch import watch
    from evalkit.text.escaping import visible

    first = True

    def show(found: Round, saved: Sequence[str]) -> None:
        nonlocal first
        if found.problem:
            typer.echo(visible(found.problem), err=True)
            if first:
                raise typer.Exit(found.exit_code)
            typer.echo("watch   no result; save a file to try again", err=True)
        else:
            for line in _lines(found, saved, first=first):
                typer.echo(line)
        if first:
            typer.echo("watch   save a file of the suite to run what it changes (Ctrl-C ends)", err=True)
        first = False

    with until_stopped() as stopped:
        watch(asked, _PROCESS, stopped.within, show)
    stopped.leave()


def _lines(found: Round, saved: Sequence[str], *, first: bool) -> list[str]:
    from evalkit.disk.paths import shown_path
    from evalkit.text.numbers import plural
    from evalkit.text.printable import one_line

    work = plural(found.n_rows, "answer") + " asked for or graded again" if found.n_rows else "nothing to run again"
    why = f"  saved {one_line(', '.join(saved), 60)}" if saved else ""
    lines = [
        f"{time.strftime('%H:%M:%S')}  pass_rate {found.pass_rate}, {len(found.failing)} of {found.n_cases} failing"
    ]
    lines.append(f"  {work}{why}")
    if first:
        lines += [_ids("failing", found.failing), f"  in {shown_path(Path(found.folder))}"]
    lines += [_ids("newly failing", found.newly_failing), _ids("newly passing", found.newly_passing)]
    return [line for line in lines if line]


def _ids(title: str, ids: Sequence[str]) -> str:
    """Return a line with the first ids; empty without any."""
    from evalkit.text.printable import one_line

    more = f" and {len(ids) - _SHOWN_IDS} more" if len(ids) > _SHOWN_IDS else ""
    return f"  {title}: {', '.join(one_line(each, 40) for each in ids[:_SHOWN_IDS])}{more}" if ids else ""


def main() -> None:
    """Make one round: read the request from standard input, write the result, and end with the parent."""
    import asyncio

    import msgspec

    from evalkit.cli.output import CommandOutput
    from evalkit.cli.progress import Reporter
    from evalkit.cli.streams import discreet, spelled, tamed, unheard
    from evalkit.operations.watch import RoundRequest, make_round

    asked = msgspec.json.decode(sys.stdin.buffer.readline(), type=RoundRequest)
    results = os.dup(1)
    os.dup2(2, 1)  # what the system prints is not a result
    sys.stderr = discreet(unheard(tamed(spelled(sys.stderr), os.environ)), os.environ)
    sys.stdout = sys.stderr
    threading.Thread(target=_end_with_parent, daemon=True).start()
    code = 0
    try:
        with Reporter(CommandOutput().messages, asked.progress) as reporter:
            said = msgspec.json.encode(make_round(asked, reporter.watcher))
        while said:
            said = said[os.write(results, said) :]
    except (KeyboardInterrupt, asyncio.CancelledError, BrokenPipeError):
        code = 130
    sys.stderr.flush()
    os._exit(code)  # threads of the system have no say


def _end_with_parent() -> None:
    """Cancel the calls in flight once the parent closes the input, and end at the latest after some seconds."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(_END_S)
    os._exit(1)


if __name__ == "__main__":
    main()
