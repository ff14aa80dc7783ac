"""Read the tests and prompts of a promptfoo config that are in files beside it."""

from __future__ import annotations

import fnmatch
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.errors import InputError
from evalkit.formats.yaml_text import parse_foreign
from evalkit.golden.documents import text_of
from evalkit.golden.json_lines import SAVE_AS_UTF8
from evalkit.golden.source_file import SourceFile, open_source
from evalkit.imports.promptfoo_templates import FILE, NotCarried
from evalkit.imports.promptfoo_tests import FoundTest
from evalkit.imports.promptfoo_types import ASSERTIONS
from evalkit.text.numbers import plural

_READ = (".yaml", ".yml", ".json", ".jsonl", ".csv")
_PROMPTS = (".txt", ".md", ".j2", ".json", ".yaml", ".yml")
_CHATS = (".json", ".yaml", ".yml")
_BETWEEN = re.compile(r"^---[ \t]*$", re.MULTILINE)
"""Separates the prompts of a text file."""
_MOST_PROMPT_BYTES, _MOST_FILES = 1 << 20, 64
_EXPECTED = re.compile(r"__expected\d*")
_ASSERTION = re.compile(
    r"(?P<type>(?:not-)?[a-z][a-z0-9:-]*)(?:\((?P<threshold>[0-9]+(?:\.[0-9]+)?)\))?(?::\s*(?P<value>.*))?", re.DOTALL
)
_OTHER_NAMES = {"fn": "javascript", "eval": "javascript", "grade": "llm-rubric"}
_LISTS = ("contains-all", "contains-any", "icontains-all", "icontains-any")
_METADATA = "__metadata:"


def tests_of(value: Any, config: SourceFile, at: tuple[str | int, ...] = ("tests",)) -> Iterator[FoundTest]:
    """Yield the tests of a config, those in the files that it names included.

    Args:
        value: what the config has under `tests`.
        config: the config.
        at: path of the value in it.

    Raises:
        InputError: a file cannot be read.
    """
    if isinstance(value, str):
        try:
            yield from _in_file(value, config)
        except NotCarried as error:
            yield FoundTest(config, at, error)
    elif isinstance(value, list):
        for number, each in enumerate(value):
            if isinstance(each, str):
                yield from tests_of(each, config, (*at, number))
            else:
                yield FoundTest(config, (*at, number), each)
    else:
        yield FoundTest(config, at, NotCarried("neither a list of tests nor a file", "write the tests there"))


def prompts_of(name: str, config: SourceFile) -> list[str]:
    """Return the prompts in a file: texts between lines of `---`, or a list of messages in JSON or YAML.

    Args:
        name: what the config has under `prompts`; with `*` or `?` in it, several files, sorted by name.
        config: the config.

    Raises:
        NotCarried: one of them is not to be read, or holds no prompt.
    """
    name, folder = name.strip().removeprefix(FILE), config.path.resolve().parent
    names = _matching(name, folder) if set(name) & set("*?") else [name]
    return [prompt for each in names for prompt in _prompts_in(each, folder)]


def _matching(pattern: str, folder: Path) -> list[str]:
    """Return the names of the files that match a pattern, such as `prompts/*.txt`.

    Raises:
        NotCarried: there are none, or too many.
    """
    above, slash, last = pattern.rpartition("/")
    inside = _inside(above or ".", folder)
    found = sorted(fnmatch.filter(os.listdir(inside), last)) if os.path.isdir(inside) else []
    if not 0 < len(found) <= _MOST_FILES:
        what = f"{pattern[:60]!r} matches {plural(len(found), 'file')} beside the config"
        raise NotCarried(what, f"name 1 to {_MOST_FILES} files; `*` can only stand in the last part of a path")
    return [f"{above}{slash}{each}" for each in found]


def _prompts_in(name: str, folder: Path) -> list[str]:
    kinds, write = (_PROMPTS, "a text, JSON or YAML"), "write the text of the prompt there"
    path = _path(name, folder, kinds, write)
    try:
        text = text_of(path, name, None, SAVE_AS_UTF8, _MOST_PROMPT_BYTES)
        if path.suffix in (".yaml", ".yml"):
            value, _ = parse_foreign(text.encode(), name, _MOST_PROMPT_BYTES)
            text = "" if value is None else json.dumps(value, ensure_ascii=False)
    except InputError as error:
        raise NotCarried(error.problems[0].what, error.problems[0].fix) from None
    found = [text] if path.suffix in _CHATS else _BETWEEN.split(text)
    prompts = [prompt.strip() for prompt in found if prompt.strip()]
    if not prompts:
        raise NotCarried(f"{name[:60]!r} is empty", write)
    return prompts


def _in_file(name: str, config: SourceFile) -> Iterator[FoundTest]:
    """Yield the tests of a file beside the config.

    Raises:
        NotCarried: it is not to be read: it is code, or outside of the folder of the config.
        InputError: it cannot be read.
    """
    name, folder = name.strip().removeprefix(FILE), config.path.resolve().parent
    if set(name) & set("*?"):
        for each in _matching(name, folder):
            yield from _in_file(each, config)
        return
    path = _path(name, folder, (_READ, "YAML, JSON, JSON Lines or CSV"), "write the tests there")
    source = open_source(path, path.relative_to(folder).as_posix())
    if source.kind != "table" and not isinstance(source.value, list):
        raise NotCarried(f"{source.shown} holds no list of tests", "write one test after the other in it")
    for number, row in enumerate(source.rows):
        yield FoundTest(source, (number,), _of_table(row) if source.kind == "table" else row)


def _path(name: str, folder: Path, kinds: tuple[tuple[str, ...], str], write: str) -> Path:
    """Return the path of a file beside the config.

    Raises:
        NotCarried: it is of no kind that is read, outside of the folder, or not there.
    """
    suffixes, spoken = kinds
    if not name.lower().endswith(suffixes) or "://" in name or set(name) & set("*?[\0"):
        what = f"{name[:60]!r} is not the name of a file in {spoken}"
        raise NotCarried(what, f"{write}; an import runs nothing and fetches nothing")
    path = _inside(name, folder)
    if not os.path.isfile(path):  # also false for a name that is too long
        raise NotCarried(f"there is no file {name[:60]!r} beside the config", "correct the name")
    return path


def _inside(name: str, folder: Path) -> Path:
    """Return the path of something beside the config, which need not be there.

    Raises:
        NotCarried: it is outside of the folder.
    """
    try:
        path = (folder / name).resolve()
    except (OSError, RuntimeError, ValueError):
        path = folder.parent
    if not path.is_relative_to(folder):
        raise NotCarried(f"{name[:60]!r} is outside of the folder of the config", "copy it beside the config")
    return path


def _of_table(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the test of a row: columns are variables, those that begin with `__` say how it is checked.

    Source: promptfoo.dev/docs/configuration/test-cases.
    """
    test: dict[str, Any] = {"vars": {}, "assert": [], "metadata": {}}
    for column, cell in row.items():
        if _EXPECTED.fullmatch(column):
            test["assert"] += [_assertion(cell)] if isinstance(cell, str) and cell.strip() else []
        elif column.startswith(_METADATA):
            test["metadata"][column.removeprefix(_METADATA)] = cell
        elif column in ("__description", "__threshold"):
            test[column.removeprefix("__")] = cell
        elif column.startswith("__"):
            test[column] = cell
        else:
            test["vars"][column] = cell
    if isinstance(metric := test.pop("__metric", None), str) and metric.strip():
        test["assert"] = [{**each, "metric": metric} for each in test["assert"]]
    return test


def _assertion(cell: str) -> dict[str, Any]:
    """Return the assertion of a cell: `type: value`, `type(threshold): value`, or the text that is expected."""
    text = cell.strip()
    found = _ASSERTION.fullmatch(text)
    kind = "" if found is None else _OTHER_NAMES.get(found["type"], found["type"])
    if found is None or kind.removeprefix("not-") not in ASSERTIONS:
        return {"type": "equals", "value": text}
    made: dict[str, Any] = {"type": kind}
    if found["value"]:
        is_list = kind.removeprefix("not-") in _LISTS
        made["value"] = [part.strip() for part in found["value"].split(",")] if is_list else found["value"]
    if found["threshold"]:
        made["threshold"] = float(found["threshold"])
    return made
