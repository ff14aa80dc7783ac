"""Open a page in the browser."""

from __future__ import annotations

import webbrowser

import typer


def open_page(address: str, shown: str) -> None:
    """Open an address; if there is no browser, say which page to open.

    Args:
        address: URL of the page.
        shown: how messages name it.
    """
    try:
        opened = webbrowser.open(address)
    except (OSError, webbrowser.Error):
        opened = False
    if not opened:
        typer.echo(f"no browser found; open {shown} yourself", err=True)
