"""Look up passages about a claim with a function of the project."""

from __future__ import annotations

import asyncio
import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.disk.files import sha256_of
from evalkit.disk.project_code import SPELLING, load_callable, module_file, project_file, raised_at
from evalkit.disk.sources import imported_files
from evalkit.scorers.base import OwnProject
from evalkit.scorers.rules.claim_types import ClaimType
from evalkit.text.values import one_line, shown

HASH_HEX = 16
MOST_PASSAGES = 20
"""Maximum number of passages of one claim."""
_FORM = "return a list of {text, source, as_of}, empty if nothing is known"


@dataclass(frozen=True, kw_only=True)
class KnowledgeOptions:
    """A source of passages about claims, outside the contexts."""

    python: str
    """`package.module:function`, sync or async: `(claim, type) -> [{text, source, as_of}]`."""
    fresh_days: float | None = None
    """Age in days from which a passage with `as_of` is called stale in the reason."""
    timeout_s: float = 30.0
    """Longest wait for one claim."""

    def __post_init__(self) -> None:
        if not SPELLING.fullmatch(self.python):
            raise ValueError(f"python: expected `module:function`, got {self.python!r}; write `facts:lookup`")
        if self.fresh_days is not None and not 0 < self.fresh_days < math.inf:
            raise ValueError(f"fresh_days: expected days above 0, got {self.fresh_days:g}; write 30")
        if not 0 < self.timeout_s < math.inf:
            raise ValueError(f"timeout_s: expected seconds above 0, got {self.timeout_s:g}; write 30")


@dataclass(frozen=True, slots=True)
class KnownPassage:
    """A passage that was looked up."""

    text: str
    source: str = ""
    as_of: datetime.date | None = None
    """Day on which it was true."""


class LookupFailed(Exception):
    """A claim could not be looked up."""


class Knowledge:
    """Calls the function of a project."""

    def __init__(self, options: KnowledgeOptions, project: OwnProject) -> None:
        """Import the function.

        Raises:
            InputError: it cannot be imported or called; the problem's place is the option.
        """
        self.options, self._project = options, project
        self._function = load_callable(options.python, project.root, "knowledge.python")
        module = options.python.partition(":")[0]
        file = module_file(module, project.root)
        files = imported_files(file, module, project.root, project.inputs) if file else {}
        self.key_parts: Mapping[str, str] = {f"file {name}": _hash(path) for name, path in files.items()}

    async def look_up(self, claim: str, kind: ClaimType) -> tuple[KnownPassage, ...]:
        """Return the passages about a claim; none if nothing is known.

        Raises:
            LookupFailed: the function raised, took too long, or returned something else.
        """
        place = self.options.python
        try:
            async with asyncio.timeout(self.options.timeout_s):
                found = await self._project.code.call(lambda: self._function(claim, kind), _read)
        except TimeoutError:
            raise LookupFailed(f"{place}: no result within {self.options.timeout_s:g} s") from None
        except ValueError as error:
            raise LookupFailed(f"{raised_at(error, self._project.root) or place}: {one_line(error)}") from None
        except Exception as error:
            where = raised_at(error, self._project.root) or place
            raise LookupFailed(f"{where}: {type(error).__name__}: {one_line(error)}") from None
        return found  # type: ignore[no-any-return]

    def is_stale(self, passage: KnownPassage, today: datetime.date) -> bool:
        """Return whether a passage is older than `fresh_days`."""
        most = self.options.fresh_days
        return most is not None and passage.as_of is not None and (today - passage.as_of).days > most


def knowledge_file(options: KnowledgeOptions, project: Path) -> Path | None:
    """Return the file of the project that holds the function; `None` for an installed module."""
    return project_file(options.python.partition(":")[0], project)


def _read(value: Any) -> tuple[KnownPassage, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise ValueError(f"the lookup returned {shown(value)}; {_FORM}")
    if len(value) > MOST_PASSAGES:
        raise ValueError(f"the lookup returned {len(value)} passages; return at most {MOST_PASSAGES}, the best first")
    return tuple(map(_passage, value))


def _passage(value: Any) -> KnownPassage:
    if not isinstance(value, Mapping) or not isinstance(value.get("text"), str) or not value["text"].strip():
        raise ValueError(f"the lookup returned the passage {shown(value)}; {_FORM}")
    source = value.get("source")
    return KnownPassage(value["text"], "" if source is None else str(source), _day(value.get("as_of")))


def _day(value: Any) -> datetime.date | None:
    if isinstance(value, datetime.datetime):
        return value.date()
    if value is None or isinstance(value, datetime.date):
        return value
    try:
        return datetime.datetime.fromisoformat(value).date()
    except (TypeError, ValueError):
        raise ValueError(f"as_of is {shown(value)}; return a date such as '2026-11-28'") from None


def _hash(path: Path) -> str:
    try:
        return sha256_of(path)[:HASH_HEX]
    except OSError:
        return "absent"
