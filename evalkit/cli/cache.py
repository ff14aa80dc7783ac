"""`evalkit cache`: inspect the cache of judge replies, and remove the oldest."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.errors import InputError, Problem

if TYPE_CHECKING:
    from evalkit.operations.cache import Contents

cache = typer.Typer(name="cache", help="Manage cached judge replies.", rich_markup_mode=None, no_args_is_help=True)
_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_BYTES = {"KB": 10**3, "MB": 10**6, "GB": 10**9}
Folder = Annotated[Path | None, typer.Argument(help="A folder of the project. Default: this one.")]
Json = Annotated[bool, typer.Option("--json", help="Print the figures as JSON, and nothing else.")]


@cache.callback()
def _group() -> None:
    """Inspect and prune the cache of judge replies."""


@cache.command()
def ls(folder: Folder = None, json: Json = False) -> None:
    """Show where cached replies are, and how many of each model.

    Their size and age are shown too.

    Example: evalkit cache ls

    Exit codes: 0, 2 if the file holds something else.
    """
    from evalkit.operations.cache import cache_file, contents

    file = cache_file(folder)
    found = contents(file)
    if json:
        _print_json(file, found)
    else:
        _show(file, found)


@cache.command()
def prune(
    folder: Folder = None,
    older_than: Annotated[str | None, typer.Option(help="Remove replies older than this: 30d, 12h, 2w, 90m.")] = None,
    max_size: Annotated[str | None, typer.Option(help="Keep the newest replies up to this size: 50MB, 1GB.")] = None,
    json: Json = False,
) -> None:
    """Remove old replies, or the oldest beyond a size.

    Later runs ask those questions again.

    Example: evalkit cache prune --older-than 30d --max-size 100MB

    Exit codes: 0, 2 if no limit is given or a run is using the replies, 4 if the disk fails.
    """
    import time

    from evalkit.operations.cache import cache_file, contents
    from evalkit.operations.cache import prune as pruned

    if older_than is None and max_size is None:
        raise InputError(
            Problem("cache prune", "no limit is given", "write --older-than 30d, --max-size 100MB or both")
        )
    now, file = time.time(), cache_file(folder)
    before = None if older_than is None else now - _read("--older-than", older_than, _SECONDS, "30d")
    most = None if max_size is None else int(_read("--max-size", max_size, _BYTES, "100MB"))
    gone = pruned(file, before=before, max_bytes=most)
    found = contents(file)
    if json:
        _print_json(file, found, gone)
        return
    typer.echo(f"{gone:,} {'reply' if gone == 1 else 'replies'} taken out")
    _show(file, found)


def _read(flag: str, text: str, units: dict[str, int], example: str) -> float:
    """Parse a number with its unit, into the smallest unit."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)\s*([A-Za-z]+)", text.strip())
    unit = next((unit for unit in units if found and unit.lower() == found[2].lower()), None)
    if found is None or unit is None:
        known = ", ".join(units)
        raise InputError(Problem(flag, f"{text!r} is not a number with one of {known}", f"write one such as {example}"))
    return float(found[1]) * units[unit]


def _print_json(file: Path, found: "Contents", gone: int | None = None) -> None:
    import dataclasses
    import json

    record = {"file": str(file), "n_replies": found.n_replies, **dataclasses.asdict(found)}
    typer.echo(json.dumps({**record, **({} if gone is None else {"n_taken_out": gone})}, indent=1, sort_keys=True))


def _show(file: Path, found: "Contents") -> None:
    import time

    from rich.table import Table
    from rich.text import Text

    from evalkit.cli.output import CommandOutput
    from evalkit.disk.paths import shown_path
    from evalkit.text.printable import one_line

    results, now = CommandOutput().results, time.time()
    if not found.n_replies:
        results.print(f"{shown_path(file)}: no cached replies", soft_wrap=True)
        return
    results.print(f"{shown_path(file)}: {found.n_replies:,} replies, {_size(found.n_bytes)} on disk", soft_wrap=True)
    table = Table(box=None, padding=(0, 3, 0, 0), show_edge=False, header_style="dim")
    table.add_column("  model", max_width=32, overflow="fold")
    for name in ("replies", "size", "oldest", "newest"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in found.models:
        ages = (_age(now - each.oldest), _age(now - each.newest))
        shown = Text(f"  {one_line(each.model, 60) or '(no name)'}")
        table.add_row(shown, f"{each.n_replies:,}", _size(each.n_bytes), *ages)
    results.print(table)


def _size(n_bytes: int) -> str:
    unit = next((unit for unit in ("GB", "MB", "KB") if n_bytes >= _BYTES[unit]), "")
    return f"{n_bytes / _BYTES[unit]:.3g} {unit}" if unit else f"{n_bytes} bytes"


def _age(seconds: float) -> str:
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"
