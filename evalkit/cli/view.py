"""`evalkit view`: the runs of a folder as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PORT = 8484


def view(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder around run folders. Default: reports in the project.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The page. Default: index.html in the folder.")
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve the page and the reports on 127.0.0.1 instead, until Ctrl-C.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, metavar="N", help=f"Port of --serve; 0 for any free one. Default: {PORT}."),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Write a page that lists all runs of a folder.

    It shows outcomes and trends, links to the reports, and sets any two runs side by side.

    Example: evalkit view --open

    Exit codes: 0, also after Ctrl-C; 2 if there is no such folder, or the port is taken.
    """
    from evalkit.cli.browser import open_page
    from evalkit.disk.paths import shown_path
    from evalkit.errors import InputError, Problem
    from evalkit.operations.view import folder_to_view, write_page

    if serve and out is not None:
        raise InputError(Problem("--out", "--serve writes no file", "give one of them"))
    if port is not None and not serve:
        raise InputError(Problem("--port", "nothing is served without --serve", "add --serve, or leave it out"))
    place = folder_to_view(folder)
    if serve:
        _serve(place, PORT if port is None else port, open_=open_)
        return
    page = write_page(place, out)
    typer.echo(f"wrote    {shown_path(page)}")
    if open_:
        open_page(page.as_uri(), shown_path(page))


def _serve(folder: Path, port: int, *, open_: bool) -> None:
    """Serve until the first Ctrl-C."""
    import threading

    from evalkit.cli.browser import open_page
    from evalkit.cli.stopping import until_stopped
    from evalkit.operations.serve import RunsServer

    with RunsServer(folder, port) as server, until_stopped() as stopped:
        threading.Thread(target=server.serve_forever, name="pages", daemon=True).start()
        typer.echo(f"serving  {server.url}  (Ctrl-C ends)")
        if open_:
            open_page(server.url, server.url)
        stopped.within(None)
        server.shutdown()
    stopped.leave()
