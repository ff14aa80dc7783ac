"""Parse YAML into plain values with the position of every key, rejecting the traps of YAML 1.1."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from evalkit.errors import InputError, Problem
from evalkit.text.values import not_utf8

Path = tuple[str | int, ...]

SUITE_KEYS = ("name", "golden", "system", "scorers", "gate")
MAX_BYTES = 1 << 20
MAX_DEPTH = 50
MAX_VALUES = 200_000
_OCTAL = re.compile(r"[-+]?0[0-9_]+$")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|nan)$", re.IGNORECASE)
_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in "str int float bool null timestamp value merge map seq".split()}
"""Tags of plain YAML values that need not be written."""
_OPEN = re.compile(r"(?:[\[{]\s*){51}")
"""Nesting limit; the cost of the parser's look-ahead is quadratic in the depth."""
_WHOLE = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_HALF = re.compile("[\ud800-\udfff]")
_WORDS_FOR_BOOL = {"yes", "no", "on", "off", "y", "n"}


@dataclass(frozen=True)
class Document:
    """The values of one YAML file and their positions."""

    source: str
    value: Mapping[str, Any]
    marks: Mapping[Path, tuple[int, int]] = field(default_factory=dict)
    """Path of keys and indices -> (line, column), both from 1."""

    def problem(self, path: Path, what: str, fix: str = "") -> Problem:
        """Create a problem at the nearest known position of `path`."""
        known = path
        while known and known not in self.marks:
            known = known[:-1]
        line, column = self.marks.get(known, (1, 1))
        place = f"{self.source}:{line}:{column}"
        return Problem(f"{place} {dotted(path)}" if path else place, what, fix)


def dotted(path: Path) -> str:
    """Format a path such as `("gate", 0, "min")` as `gate[0].min`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def parse(data: bytes, source: str, keys: Sequence[str] = SUITE_KEYS) -> Document:
    """Read one YAML mapping.

    Args:
        data: The text.
        source: Its file in messages.
        keys: Keys that such a file begins with, for the fix of an empty one.

    Raises:
        InputError: the text is not UTF-8, too large, too deep, has too many values, is not one mapping, or uses
            aliases, tags, repeated keys or scalars that YAML 1.1 converts.
    """
    node = _composed(_decode(data, source, MAX_BYTES), source, MAX_VALUES)
    if not isinstance(node, yaml.MappingNode):
        what = "the file is empty" if node is None else "the top level is not a mapping"
        raise InputError(Problem(f"{source}:1:1", what, f"start with {', '.join(f'`{key}:`' for key in keys)}"))
    reader = _Reader(source)
    value = reader.read(node, ())
    if reader.problems:
        raise InputError(reader.problems)
    return Document(source, value, reader.marks)


def parse_data(data: bytes, source: str, max_bytes: int) -> tuple[Any, Mapping[Path, tuple[int, int]]]:
    """Read the value of a data file, with the positions of its parts; `None` if it is empty.

    Raises:
        InputError: the text breaks a rule of `parse`; the top level may be any value.
    """
    node = _composed(_decode(data, source, max_bytes), source, max_bytes)
    if node is None:
        return None, {}
    reader = _Reader(source)
    value = reader.read(node, ())
    if reader.problems:
        raise InputError(reader.problems)
    return value, reader.marks


def parse_foreign(data: bytes, source: str, max_bytes: int) -> tuple[Any, Mapping[Path, tuple[int, int]]]:
    """Read a YAML file of another tool by YAML 1.2, with the positions of its parts; `None` if it is empty.

    `yes` and `1:30` are texts, as the tool reads them. Anchors, aliases and `<<` are resolved, within the limits.

    Raises:
        InputError: for text that breaks another rule of `parse`.
    """
    node = _composed(_decode(data, source, max_bytes), source, max_bytes, foreign=True)
    if node is None:
        return None, {}
    reader = _ForeignReader(source)
    value = reader.read(node, ())
    if reader.problems:
        raise InputError(reader.problems)
    return value, reader.marks


def _composed(text: str, source: str, max_values: int, *, foreign: bool = False) -> Any:
    """Return the node of a text, `None` if there is none."""
    if deep := _OPEN.search(text):
        place = f"{source}:{text.count(chr(10), 0, deep.start()) + 1}"
        raise InputError(Problem(place, f"nested deeper than {MAX_DEPTH} levels", "write it flatter"))
    try:
        loader = _ForeignLoader(text) if foreign else _Loader(text)
        loader.max_values = max_values
    except yaml.reader.ReaderError as error:
        what = f"a character that YAML does not allow: U+{error.character:04X}"
        place = f"{source}:{text.count(chr(10), 0, error.position) + 1}"
        raise InputError(Problem(place, what, "remove it")) from None
    try:
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise InputError(_syntax_problem(error, source)) from None
    except yaml.YAMLError as error:
        raise InputError(Problem(source, f"not readable as YAML: {error}", "remove the character")) from None
    finally:
        loader.dispose()


def _decode(data: bytes, source: str, max_bytes: int) -> str:
    if len(data) > max_bytes:
        what = f"{len(data)} bytes, more than {max_bytes >> 20} MiB"
        raise InputError(Problem(source, what, "keep data in the golden set"))
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(Problem(f"{source}:1:1", "UTF-16 text", "save the file as UTF-8"))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(10, 0, error.start) + 1
        raise InputError(Problem(f"{source}:{line}", not_utf8(error), "save the file as UTF-8")) from None


def _syntax_problem(error: yaml.MarkedYAMLError, source: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    place = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
    what = error.problem or "not readable as YAML"
    if "\\t" in what or "'\\t'" in str(error):
        return Problem(place, "a tab where YAML needs spaces", "indent with spaces")
    if "another document" in what:
        return Problem(place, "a second document begins", "keep one document a file")
    fix = "see the line above it for an open quote, bracket or a missing colon"
    return Problem(place, what, error.note or fix)


class _Loader(yaml.SafeLoader):
    """Composes nodes only; rejects aliases and deep nesting before they cost time."""

    depth = nodes = 0
    max_values = MAX_VALUES
    takes_aliases = False

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if not self.takes_aliases and (isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None)):
            raise yaml.MarkedYAMLError(
                problem="anchors (&name) and aliases (*name) are refused",
                problem_mark=event.start_mark,
                note="write the value out",
            )
        self.nodes += 1
        if self.nodes > self.max_values:
            raise yaml.MarkedYAMLError(
                problem=f"more than {self.max_values:,} keys and values",
                problem_mark=event.start_mark,
                note="keep data in the golden set",
            )
        self.depth += 1
        if self.depth > MAX_DEPTH:
            what = f"nested deeper than {MAX_DEPTH} levels"
            raise yaml.MarkedYAMLError(problem=what, problem_mark=event.start_mark, note="write it flatter")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _ForeignLoader(_Loader):
    """Composes what YAML 1.2 allows: aliases, and a question mark inside of a plain text between brackets."""

    takes_aliases = True
    _in_text = False

    def scan_plain(self) -> Any:
        self._in_text = True
        try:
            return super().scan_plain()
        finally:
            self._in_text = False

    def peek(self, index: int = 0) -> Any:
        char = super().peek(index)
        return "x" if self._in_text and char == "?" else char


class _Reader:
    """Turns nodes into values, and collects positions and problems."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.marks: dict[Path, tuple[int, int]] = {}
        self.problems: list[Problem] = []

    def read(self, node: Any, path: Path) -> Any:
        self.marks.setdefault(path, _mark(node))
        if node.tag not in _TAGS:
            self._problem(node, path, f"the tag {node.tag!r} is refused", "write plain values")
            return None
        if isinstance(node, yaml.MappingNode):
            return dict(self._pairs(node, path))
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, i)) for i, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _pairs(self, node: Any, path: Path) -> Iterator[tuple[str, Any]]:
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None or key == "<<" or _HALF.search(key):
                self._problem(key_node, path, "a key that is not plain text", "use a word as key")
                continue
            line = key_node.start_mark.line + 1
            if key in seen:
                self._problem(key_node, (*path, key), f"repeats the key of line {seen[key]}", "keep one of the two")
                continue
            seen[key] = line
            self.marks[(*path, key)] = _mark(key_node)
            yield key, self.read(value_node, (*path, key))

    def _scalar(self, node: Any, path: Path) -> Any:
        text, kind = node.value, node.tag.rpartition(":")[2]
        if _HALF.search(text):
            self._problem(node, path, "a lone surrogate, half of a character", "write the whole character")
            return None
        if node.style is not None or kind in ("str", "timestamp", "value", "merge"):
            return text
        trap = _trap(text, kind)
        if trap:
            self._problem(node, path, *trap)
            return None
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        digits = text.replace("_", "")
        if kind == "int" and len(digits) > 300:
            self._problem(node, path, f"an integer of {len(digits)} digits", 'put it in quotes: "..."')
            return None
        return int(digits, 0) if kind == "int" else float(digits)

    def _problem(self, node: Any, path: Path, what: str, fix: str) -> None:
        line, column = _mark(node)
        place = f"{self.source}:{line}:{column}"
        self.problems.append(Problem(f"{place} {dotted(path)}" if path else place, what, fix))


class _ForeignReader(_Reader):
    """Reads plain words by YAML 1.2, and expands aliases up to the limits of values and depth."""

    n_values = 0

    def read(self, node: Any, path: Path) -> Any:
        self.n_values += 1
        if len(path) > MAX_DEPTH or self.n_values > MAX_VALUES:
            what = f"more than {MAX_VALUES:,} values" if len(path) <= MAX_DEPTH else f"deeper than {MAX_DEPTH} levels"
            raise InputError(Problem(f"{self.source}:{_mark(node)[0]}", f"aliases make {what}", "write it flatter"))
        return super().read(node, path)

    def _pairs(self, node: Any, path: Path) -> Iterator[tuple[str, Any]]:
        own: list[Any] = []
        merged: list[Any] = []
        for key, value in node.value:
            is_merge = key.tag == "tag:yaml.org,2002:merge"
            (merged if is_merge else own).append((key, value))
        for _, value in merged:
            for each in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                yield from self.read(each, path).items() if isinstance(each, yaml.MappingNode) else ()
        yield from super()._pairs(yaml.MappingNode(node.tag, own), path)

    def _scalar(self, node: Any, path: Path) -> Any:
        text = node.value
        if node.style is not None or _HALF.search(text):
            return super()._scalar(node, path)
        if text in ("", "~", "null", "Null", "NULL"):
            return None
        if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
            return text.lower() == "true"
        if len(text) <= 300 and _WHOLE.fullmatch(text):
            return int(text, 0 if text[:2] in ("0x", "0o") else 10)
        if len(text) <= 300 and _DECIMAL.fullmatch(text) and abs(float(text)) < math.inf:
            return float(text)
        return text


def _mark(node: Any) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _trap(text: str, kind: str) -> tuple[str, str] | None:
    """Describe what YAML 1.1 would silently convert, and the fix."""
    quoted = f'"{text}"'
    if kind == "bool" and text.lower() in _WORDS_FOR_BOOL:
        return f"YAML reads `{text}` as true or false", f"write true or false, or {quoted} for the word"
    if kind in ("int", "float") and ":" in text:
        return f"YAML reads `{text}` as a base-60 number", f"write {quoted}"
    if kind == "int" and _OCTAL.match(text):
        return f"YAML reads `{text}` as an octal number", f"write {quoted} for the text, or drop the leading zero"
    if kind == "float" and _NOT_FINITE.match(text):
        return f"`{text}` is not a finite number", "write a number, or remove the key"
    return None
