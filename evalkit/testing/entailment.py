"""Provide a judge for tests that decides by a rule whether one answer entails another."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from evalkit.testing.instances import instance_of, requested_schema

_MARK = re.compile(r"mark: (\w+)")


def has_its_words(first: str, second: str) -> bool:
    """Return whether `first` has every word of `second`, in any case."""
    return _words(second) <= _words(first)


def entailment_judge(rule: Callable[[str, str], bool] = has_its_words) -> Callable[[dict[str, Any]], str]:
    """Return `replies` of a `FakeModel` that answers the questions of `evalkit noise --meaning`.

    Any other question gets the smallest valid instance of its schema.

    Args:
        rule: `(first, second) -> bool`, whether the first answer entails the second.
    """

    def reply(request: dict[str, Any]) -> str:
        schema = requested_schema(request)
        if schema is None or "relation" not in schema.get("properties", {}):
            return "ok" if schema is None else json.dumps(instance_of(schema))
        sent = next(turn["content"] for turn in request["messages"] if turn["role"] == "user")
        first, second = (_block(sent, name) for name in ("FIRST", "SECOND"))
        holds = rule(first, second)
        reason = "all of it follows" if holds else "some of it does not follow"
        return json.dumps({"reason": reason, "relation": "entailment" if holds else "neutral"})

    return reply


def _block(sent: str, name: str) -> str:
    """Return the text of one part of the case, which is between two lines with the mark of the message."""
    found = _MARK.match(sent)
    mark = found[1] if found else ""
    return sent.partition(f"<<<{name} {mark}\n")[2].partition(f"\n{name} {mark}>>>")[0]


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))
