"""Read promptfoo's templates: `{{name}}` is filled or renamed, everything else of Nunjucks is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_SLOT = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*", re.ASCII)
_ENV = re.compile(r"(?:process\.)?env\.([A-Za-z_]\w*)|env\[['\"]([A-Za-z_]\w*)['\"]\]", re.ASCII)
FILE = "file://"
_MOST_CHARS = 1 << 20
"""Maximum length of a filled text, because a few variables can multiply it without limit."""
_ROUNDS = 5
"""Maximum depth of variables that name each other."""


class NotCarried(Exception):
    """Raised for a part of the source that has no counterpart here."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what, self.fix = what, fix


def render(value: Any, variables: Mapping[str, Any]) -> Any:
    """Fill every text of a value with the variables of a test, once.

    Raises:
        NotCarried: for files, other parts of Nunjucks, and names that the test does not have.
    """
    if isinstance(value, Mapping):
        return {key: render(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [render(each, variables) for each in value]
    return _rendered(value, variables) if isinstance(value, str) else value


def resolved(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return variables with their own placeholders filled, also those of the variables that they name.

    Raises:
        NotCarried: as `render`, or they name each other in a circle.
    """
    found = dict(variables)
    for _ in range(_ROUNDS):
        filled = {key: render(value, found) for key, value in found.items()}
        if filled == found:
            return found
        found = filled
    raise NotCarried("variables that name each other more than 5 levels deep", "write their values")


def _rendered(text: str, variables: Mapping[str, Any]) -> str:
    refuse_file(text)
    n_chars = len(text)

    def fill(found: re.Match[str]) -> str:
        nonlocal n_chars
        name = _plain(found[1])
        value: Any = variables
        for part in name.split("."):
            if not isinstance(value, Mapping) or part not in value:
                raise NotCarried(f"`{{{{{name}}}}}` is not a variable of the test", "write the value")
            value = value[part]
        filled = as_text(value)
        n_chars += len(filled)
        if n_chars > _MOST_CHARS:
            raise NotCarried(f"a text of more than {_MOST_CHARS:,} characters when it is filled", "shorten it")
        return filled

    return _SLOT.sub(fill, _without_blocks(text))


def renamed(text: str, fields: Mapping[str, str]) -> str:
    """Return a prompt with our names in its placeholders.

    Args:
        text: the prompt.
        fields: variable -> field of our rows.

    Raises:
        NotCarried: as `render`.
    """
    refuse_file(text)

    def rename(found: re.Match[str]) -> str:
        name = _plain(found[1])
        first, point, rest = name.partition(".")
        if first not in fields:
            raise NotCarried(f"`{{{{{name}}}}}` is not a variable of the tests", "write the value into the prompt")
        return f"{{{{{fields[first]}{point}{rest}}}}}"

    return _SLOT.sub(rename, _without_blocks(text))


def with_environment(text: str) -> tuple[str, list[str]]:
    """Return a setting with `${NAME}` for `{{env.NAME}}`, and the names.

    Raises:
        NotCarried: for other placeholders.
    """
    names: list[str] = []

    def rename(found: re.Match[str]) -> str:
        match = _ENV.fullmatch(found[1])
        if match is None:
            raise NotCarried(f"`{found[0]}` is not a variable of the environment", "write the value")
        names.append(match[1] or match[2])
        return f"${{{names[-1]}}}"

    return _SLOT.sub(rename, _without_blocks(text)), names


def names_in(text: str) -> list[str]:
    """Return the contents of the placeholders in a text."""
    return [found[1] for found in _SLOT.finditer(text)]


def refuse_file(text: str) -> None:
    """Refuse a text that names a file.

    Raises:
        NotCarried: it does.
    """
    if text.lstrip().startswith(FILE):
        raise NotCarried("names a file, which an import does not open", "write its content in place of the name")


def as_text(value: Any) -> str:
    """Return a value as promptfoo writes it into a text."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False)


def _without_blocks(text: str) -> str:
    if "{%" in text or "{#" in text:
        raise NotCarried("uses blocks of Nunjucks (`{% %}`)", "write the text out, one variant for each case")
    return text


def _plain(slot: str) -> str:
    if not _NAME.fullmatch(slot):
        raise NotCarried(f"`{{{{{slot[:40]}}}}}` uses more of Nunjucks than a name", "write the value")
    return slot
