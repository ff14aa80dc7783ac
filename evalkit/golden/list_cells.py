"""Split the cells of list fields by the suite's separators, and warn about cells that look like lists."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evalkit.errors import Problem
from evalkit.golden.header import RawTable
from evalkit.golden.names import TEXT_LISTS, field_of
from evalkit.golden.source import GoldenSource
from evalkit.text.escaping import cut
from evalkit.text.numbers import plural

_SIGNS = re.compile(r"[;|\n]|, ")
_SIGNS_IN_PROSE = re.compile(r";(?=\S)|\|")
"""Fields of prose, in which a semicolon followed by a blank does not separate items."""
_SHOWN_CHARS = 60


@dataclass
class _Found:
    line: int
    cell: str
    sign: str
    n: int = 0


class ListCells:
    """The list fields of one file."""

    def __init__(self, source: GoldenSource, table: RawTable, own: frozenset[str] = frozenset()) -> None:
        self._source, self._table = source, table
        self._names = TEXT_LISTS | own | (set(source.lists) if isinstance(source.lists, Mapping) else set())
        self._found: dict[str, _Found] = {}
        self._brackets: dict[str, _Found] = {}
        self._objects: dict[str, _Found] = {}

    def holds(self, name: str) -> bool:
        """Return whether a field holds a list."""
        return field_of(name) in self._names or name in self._names

    def read(self, row: dict[str, Any], name: str, line: int) -> None:
        """Split the text of a list field in place, or count it if it looks like a list."""
        known, text = field_of(name), row[name]
        if known == "reference" and self._source.lists is None:
            return
        sign = self._source.separator_of(known) or self._source.separator_of(name)
        if sign is not None:
            items = [item.strip() for item in text.split(sign) if item.strip()]
            # A cell that holds only separators is a mistake, not an empty list, which would expect nothing.
            row[name] = text if not items or (known == "reference" and len(items) < 2) else items
            return
        if known == "contexts" and (self._table.kind == "cells" or known in self._source.columns):
            row[name] = [text]
        self._count(known, text, line)

    def note_objects(self, name: str, items: list[Any], line: int) -> None:
        """Count a list of references that are objects, which may be one answer: a JSON array."""
        n_objects = sum(isinstance(item, Mapping) for item in items)
        if n_objects and field_of(name) == "reference":
            self._objects.setdefault(name, _Found(line, plural(n_objects, "object"), "")).n += 1

    def _count(self, name: str, text: str, line: int) -> None:
        if name == "reference":
            return
        if text.startswith("[") and text.endswith("]"):
            self._brackets.setdefault(name, _Found(line, text, "")).n += 1
            return
        found = (_SIGNS_IN_PROSE if name in ("contexts", "reference_contexts") else _SIGNS).search(text)
        if found:
            self._found.setdefault(name, _Found(line, text, found[0])).n += 1

    def warnings(self) -> Iterator[Problem]:
        """Yield a warning for each field with cells that look like lists."""
        for name, found in self._brackets.items():
            typed = self._table.kind == "typed"
            why = "the type of its column is text" if typed else "it is not a list of texts in JSON"
            fix = "store it as a list" if typed else 'write ["...", "..."]'
            what = f"{cut(found.cell, _SHOWN_CHARS)!r} is read as one text, as {why}"
            yield Problem(f"{self._table.shown}:{found.line} {name}", what, f"if it is a list, {fix}")
        for name, found in self._objects.items():
            n = found.cell.partition(" ")[0]
            what = f"a list with {found.cell} is read as {plural(int(n), 'right answer')}"
            if found.n > 1:
                what += f", and so is the list of {plural(found.n - 1, 'other row')}"
            fix = f'if the list is the answer, write it as text: "{name}": "[{{...}}]"'
            yield Problem(f"{self._table.shown}:{found.line} {name}", what, fix)
        for name, found in self._found.items():
            # The separator as found, and for these fields only, because texts of other fields may contain it.
            sign = found.sign
            given = self._source.lists if isinstance(self._source.lists, Mapping) else {}
            setting = {**given, **{each: one.sign for each, one in self._found.items()}}
            what = f"{cut(found.cell, _SHOWN_CHARS)!r} is read as one text"
            if found.n > 1:
                verb = "is" if found.n == 2 else "are"
                what += f", and so {verb} {plural(found.n - 1, 'other cell')} with {sign!r}"
            fix = f"if it is a list, write `{self._source.line(lists=setting)}`"
            yield Problem(f"{self._table.shown}:{found.line} {name}", what, fix)
