"""Read the expectations of a promptfoo row: answers, and assertions that evalkit has as checks; others are rejected."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Complain = Callable[[str, str], None]
"""Function that is called with one problem of the row and its fix."""

_COLUMN = re.compile(r"__expected\d*")
_ASSERTION = re.compile(
    r"(file(?=://)|(?:not-)?(?:equals|i?contains(?:-[a-z]+)?|is-[a-z-]+|starts-with|regex|similar|levenshtein|"
    r"rouge-[lns]|bleu|gleu|meteor|word-count|[a-z]+-rubric|grade|g-eval|pi|factuality|"
    r"model-graded-[a-z-]+|(?:answer|conversation)-relevance|context-[a-z]+|javascript|fn|eval|python|ruby|webhook|"
    r"classifier|moderation|cost|latency|perplexity(?:-score)?|guardrails|finish-reason|tool-call-f1|skill-used|"
    r"trace-[a-z-]+|trajectory:[a-z-]+|select-best))"
    r"(?P<argument>\([^)]*\))?(?::|$)",
    re.ASCII,
)
_FIX = (
    "write the answer as `reference`, or the words it must hold as `required` (scorer `keywords`); "
    "what else is to be checked is a scorer of the suite"
)
_MS = 1_000


@dataclass
class Expected:
    """The expectations of a row."""

    answers: dict[str, Any] = field(default_factory=dict)
    """Column -> expected answer."""
    checks: list[Any] = field(default_factory=list)
    """Assertions as checks, in the syntax of a suite's scorers."""
    columns: set[str] = field(default_factory=set)
    """Columns that hold assertions."""


def expected_of(raw: Mapping[str, Any], note: Complain) -> Expected:
    """Read `__expected`, `__expected1` ..., and `assert` beside `vars`.

    `equals: Paris` and `Paris` are answers. `contains: Paris` and other assertions without a model are checks; `note`
    is called for all others. Source: promptfoo.dev/docs/configuration/expected-outputs.
    """
    found = Expected()
    for column, value in raw.items():
        if column[:2] == "__" and value and _COLUMN.fullmatch(column):
            found.columns.add(column)
            items = value if isinstance(value, list) else [value]
            answers = [answer for item in items for answer in _cell(column, item, found, note)]
            if answers:
                found.answers[column] = answers if isinstance(value, list) else answers[0]
    if "vars" in raw and raw.get("assert") and isinstance(raw["assert"], list):
        found.columns.add("assert")
        answers = [answer for item in raw["assert"] for answer in _listed(item, found, note)]
        if len(answers) > 1:
            note("`assert` names several answers, which must all be met", "keep one of them")
        if answers:
            found.answers["assert"] = answers
    return found


def _cell(column: str, value: Any, found: Expected, note: Complain) -> Iterator[Any]:
    """Return the answer in a cell; add an assertion to the checks."""
    match = _ASSERTION.match(value) if isinstance(value, str) else None
    if match is None:
        yield value
    elif match[1] == "equals":
        yield value[match.end() :].strip()
    else:
        check = None if match["argument"] else check_of(match[1], value[match.end() :].strip())
        _keep(column, match[1], check, found, note)


def _listed(item: Any, found: Expected, note: Complain) -> Iterator[str]:
    """Return the answer in an assertion; add other assertions to the checks."""
    given = dict(item) if isinstance(item, Mapping) else {}
    kind, value = str(given.pop("type", None)), given.pop("value", None)
    if kind == "equals" and isinstance(value, str | int | float):
        yield str(value)
        return
    limit = given.pop("threshold", None) if kind in ("latency", "cost") else None
    check = None if given else check_of(kind, value if limit is None else limit)
    _keep("assert", kind, check, found, note)


def _keep(column: str, kind: str, check: Any, found: Expected, note: Complain) -> None:
    if check is None:
        note(f"`{column}` is an assertion of promptfoo ({kind})", _FIX)
    else:
        found.checks.append(check)


def check_of(kind: str, value: Any) -> Any:
    """Return the check for an assertion; `None` if there is none."""
    plain = kind.removeprefix("not-")
    own = _of_text(plain, value) or _of_number(plain, value)
    if plain == "is-json" and (not value or isinstance(value, Mapping)):
        own = "json", {"schema": value} if value else {}
    if own is None:
        return None
    name, options = own
    return {f"not_{name}" if kind != plain else name: options}


def _of_text(kind: str, value: Any) -> tuple[str, Any] | None:
    texts = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        return None
    if kind == "regex" and isinstance(value, str):
        return "regex", value
    if kind == "starts-with" and isinstance(value, str):
        return "regex", r"\A" + re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", value)
    words = re.fullmatch(r"(i?)contains(-all|-any)?", kind)
    if words is None or (isinstance(value, list) and not words[2]):
        return None
    if words[2] and isinstance(value, str):
        texts = _split(value)
        if not texts:
            return None
    return "contains", {"any" if words[2] == "-any" else "all": texts, "ignore_case": bool(words[1])}


_QUOTED = re.compile(r'\s*"((?:[^"\\]|\\.|"")*)"\s*(?:,|$)', re.DOTALL)


def _split(value: str) -> list[str]:
    """Return the texts between commas, of which some may be quoted: `"a, b",c`; none if a quote is left open."""
    texts: list[str] = []
    at = 0
    while at < len(value):
        found = _QUOTED.match(value, at)
        if found is not None:
            texts.append(re.sub(r'\\(["\\])|""', lambda each: each[1] or '"', found[1]))
            at = found.end()
            continue
        text, _, _ = value[at:].partition(",")
        if text.lstrip().startswith('"'):
            return []
        texts.append(text.strip())
        at += len(text) + 1
    return [text for text in texts if text]


def _of_number(kind: str, value: Any) -> tuple[str, Any] | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return {"latency": ("latency", value / _MS), "cost": ("cost", value)}.get(kind)
