"""Find the format of a file by its content."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import NamedTuple

from evalkit.errors import InputError, Problem
from evalkit.imports.foreign import Foreign
from evalkit.imports.imported import Imported


class ForeignFormat(NamedTuple):
    """A kind of file of another tool: the functions that know it and read it."""

    format: str
    """Value of `--format`."""
    module: str
    """Module of `evalkit.imports`."""
    knows: str
    """Function that tells whether a file is of this kind."""
    reads: str
    """Function that reads one."""


FORMATS = (
    ForeignFormat("promptfoo", "promptfoo_results", "is_results", "read_results"),
    ForeignFormat("promptfoo", "promptfoo_config", "is_config", "read_config"),
    ForeignFormat("deepeval", "deepeval", "is_goldens", "read_goldens"),
    ForeignFormat("ragas", "ragas", "is_samples", "read_samples"),
)
"""In the order in which they are tried; no file is of two kinds."""
NAMES = tuple(dict.fromkeys(each.format for each in FORMATS))
WRITTEN_BY: Mapping[str, str] = {
    "promptfoo": "a config with `prompts`, or what `promptfoo eval -o results.json` writes",
    "deepeval": "goldens that `EvaluationDataset.save_as` writes, in JSON, JSON Lines or CSV",
    "ragas": "samples with `user_input`, in JSON Lines, JSON or CSV",
}
"""Format -> the files that are read."""


def read_foreign(source: Foreign, format: str | None, limit: int | None) -> Imported:
    """Read a file in the format that its content shows.

    Args:
        source: the file.
        format: one of `NAMES`, to try no other.
        limit: cases to read.

    Raises:
        InputError: it is of no known kind, or cannot be read.
    """
    for each in FORMATS:
        if format in (None, each.format):
            module = importlib.import_module(f"evalkit.imports.{each.module}")
            if getattr(module, each.knows)(source):
                imported: Imported = getattr(module, each.reads)(source, limit)
                return imported
    if format is not None:
        raise InputError(Problem(source.shown, f"not a file of {format}", f"it is {WRITTEN_BY[format]}"))
    fix = f"name a file of {', '.join(NAMES[:-1])} or {NAMES[-1]}"
    raise InputError(Problem(source.shown, f"no format is recognised in it ({_seen(source)})", fix))


def _seen(source: Foreign) -> str:
    keys = [key for key in list(source.first)[:5] if key.isprintable()]
    where = "keys" if keys else "no keys"
    return f"{source.kind} with {where} {', '.join(keys)}".strip()
