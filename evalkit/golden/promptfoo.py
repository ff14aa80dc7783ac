"""Read the expectations of a promptfoo row; assertions that have no equivalent are refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Complain = Callable[[str, str], None]
"""Callback for one problem of the row: what is wrong, and the fix."""

_COLUMN = re.compile(r"__expected\d*")
_ASSERTION = re.compile(
    r"(file(?=://)|(?:not-)?(?:equals|i?contains(?:-[a-z]+)?|is-[a-z-]+|starts-with|regex|similar|levenshtein|"
    r"rouge-[lns]|bleu|gleu|meteor|word-count|[a-z]+-rubric|grade|g-eval|pi|factuality|"
    r"model-graded-[a-z-]+|(?:answer|conversation)-relevance|context-[a-z]+|javascript|fn|eval|python|ruby|webhook|"
    r"classifier|moderation|cost|latency|perplexity(?:-score)?|guardrails|finish-reason|tool-call-f1|skill-used|"
    r"trace-[a-z-]+|trajectory:[a-z-]+|select-best))"
    r"(?:\([^)]*\))?(?::|$)",
    re.ASCII,
)
_MEND = (
    "write the answer as `reference`, or the words it must hold as `required` (scorer `keywords`); "
    "what else is to be checked is a scorer of the suite"
)


def answers(raw: Mapping[str, Any], note: Complain) -> dict[str, Any]:
    """Map columns to expected answers: `__expected`, `__expected1` ..., and `assert` beside `vars`.

    `note` hears of every assertion that is not an answer, such as `contains: Paris`; `equals: Paris` is one. Source:
    promptfoo.dev/docs/configuration/expected-outputs.
    """
    found = {key: _cell(key, value, note) for key, value in raw.items() if _COLUMN.fullmatch(key) and value}
    if "vars" in raw and raw.get("assert") and isinstance(raw["assert"], list):
        found["assert"] = _list(raw["assert"], note)
    return found


def _cell(column: str, value: Any, note: Complain) -> Any:
    if isinstance(value, list):
        return [_cell(column, item, note) for item in value]
    match = _ASSERTION.match(value) if isinstance(value, str) else None
    if match is None:
        return value
    if match[1] == "equals":
        return value[match.end() :].strip()
    _refuse(column, match[1], note)
    return None


def _list(assertions: list[Any], note: Complain) -> list[str]:
    expected = []
    for item in assertions:
        kind, value = (item.get("type"), item.get("value")) if isinstance(item, Mapping) else (None, None)
        if kind == "equals" and isinstance(value, str | int | float):
            expected.append(str(value))
        else:
            _refuse("assert", str(kind), note)
    if len(expected) > 1:
        note("`assert` names several answers, which must all be met", "keep one of them")
    return expected


def _refuse(column: str, kind: str, note: Complain) -> None:
    note(f"`{column}` is an assertion of promptfoo ({kind})", _MEND)
