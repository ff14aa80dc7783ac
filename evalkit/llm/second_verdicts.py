"""Detect a second verdict in a judge's reply: under a key of its own, or in prose around the object."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

Node = Mapping[str, Any]
"""The JSON Schema of one value."""

_WORDS = frozenset(
    "verdict overall rating grade result decision judgment judgement conclusion outcome final assessment evaluation "
    "winner level".split()
)
"""Words of keys that may hold a verdict."""
_TRUTH_WORDS = frozenset(("pass", "passed", "correct"))
"""Words of keys that hold a verdict if their value is a truth value."""
_BESIDE = frozenset(
    "max min maximum minimum scale range confidence certainty probability reason reasoning explanation rationale "
    "breakdown details note notes weight threshold type id count criteria sub".split()
)
"""Words of keys that hold something about a verdict."""
_INNER_KEYS = ("value", "score", "verdict", "rating", "grade", "winner", "passed")
"""Keys that hold the verdict if an additional key holds an object."""
_KEY_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_YES = frozenset(("true", "yes", "pass", "passed", "correct", "right"))
_NO = frozenset(("false", "no", "fail", "failed", "incorrect", "wrong"))
_NUMBER = re.compile(r"([+-]?\d{1,15}(?:\.\d{1,15})?)(?:\s*(?:/|out of|of)\s*\d{1,15})?")
_MARKUP = " \t\r\n*_`\"'.!#"
MOST_VERDICT_CHARS = 15
"""Maximum length of a text with digits, such as `4-5`, that counts as another value of a field of that name."""
_LABELS = "score|verdict|rating|grade|winner|decision|judge?ment|overall"
_IN_PROSE = (
    r"\b(?:{labels})\b[\s*_`\"']{{0,9}}(?::|=|->|\u2192|\bis\b|\bshould be\b)[\s*_`\"']{{0,9}}"
    r"(-?\d{{1,15}}+(?:\.\d{{1,15}}+)?+(?!\d|\s*%)"
    r"|[^\W\d_]+(?=[ \t*_`\"')]{{0,9}}(?:[.,;:!\n]|$|(?<=\s)(?:because|since|as)\b)))"
)
_AT_LINE_START = r"(?m)^[\s*_#>-]{{0,9}}(?:\w{{1,15}} )?{stated}"


def holds_rival(key: str, value: Any, found: Node, known: Mapping[str, Node]) -> bool:
    """Return whether a key that is not in the schema may be meant as the verdict, and contradicts it.

    Its name contains that of a field, or a word for a verdict such as `overall`; its value reads as another verdict.

    Args:
        key: the additional key.
        value: its value.
        found: the reply, with the fields of the schema in their clear form.
        known: the fields of the schema.
    """
    words = {word.lower() for word in _KEY_WORDS.findall(key)}
    if words & _BESIDE:
        return False
    for name, node in known.items():
        if name in found and name.lower() in key.lower() and _is_verdict(node):
            return _contradicts(value, found[name], node) or _may_be_another(value, found[name])
    one = _only_verdict(known)
    if one is None or one not in found or not words & (_WORDS | _TRUTH_WORDS):
        return False
    if not words & _WORDS and _truth(value) is None:
        return False
    return _contradicts(value, found[one], known[one])


def rival_in_prose(before: str, after: str, found: Node, known: Mapping[str, Node]) -> str:
    """Return the words around an object that state another verdict; empty if none do.

    A draft before the object often weighs several levels, so only its last line such as `Score: 2` counts.
    """
    one = _only_verdict(known)
    if one is None or one not in found:
        return ""
    stated = _IN_PROSE.format(labels=f"{re.escape(one)}|{_LABELS}")
    drafts = list(re.finditer(_AT_LINE_START.format(stated=stated), before, re.IGNORECASE))
    for each in (*drafts[-1:], *re.finditer(stated, after, re.IGNORECASE)):
        said = each[1]
        if _is_on_scale(said, known[one]) and _contradicts(said, found[one], known[one]):
            return " ".join(each[0].strip(_MARKUP).split())
    return ""


def _is_verdict(node: Node) -> bool:
    return node.get("type") in ("integer", "number", "boolean") or bool(_choices(node))


def _only_verdict(known: Mapping[str, Node]) -> str | None:
    """Return the only field that holds a verdict; `None` if there are none or several."""
    names = [name for name, node in known.items() if _is_verdict(node)]
    return names[0] if len(names) == 1 else None


def _choices(node: Node) -> tuple[Any, ...]:
    return tuple(node.get("enum") or ((node["const"],) if "const" in node else ()))


def _contradicts(value: Any, verdict: Any, node: Node) -> bool:
    """Return whether a value states a verdict, and a different one."""
    if isinstance(value, Mapping):
        return any(_contradicts(value[key], verdict, node) for key in value if key.lower() in _INNER_KEYS)
    truth, own = _truth(value), _truth(verdict)
    if truth is not None:
        return _is_far(truth, verdict, _choices(node)) if own is None else own is not truth
    if isinstance(value, str):
        folded = value.strip(_MARKUP).casefold()
        if any(isinstance(each, str) and each.casefold() == folded for each in _choices(node)):
            return folded != str(verdict).casefold()
        number = _NUMBER.fullmatch(folded)
        value = float(number[1]) if number else None
    if not isinstance(value, int | float):
        return False
    if own is not None:
        return value in (0, 1) and bool(value) is not own
    return _is_number(verdict) and value != verdict


def _may_be_another(value: Any, verdict: Any) -> bool:
    """Return whether a short text under the name of a field may be another value of the field."""
    if not isinstance(value, str) or isinstance(verdict, str) or _NUMBER.fullmatch(value.strip()):
        return False
    return len(value) <= MOST_VERDICT_CHARS and any(map(str.isdigit, value))


def _truth(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    folded = value.strip(_MARKUP).casefold() if isinstance(value, str) else ""
    return True if folded in _YES else False if folded in _NO else None


def _is_far(truth: bool, verdict: Any, choices: Iterable[Any]) -> bool:
    """Return whether a truth value contradicts a level: the best level is not wrong, the worst not right."""
    levels = [each for each in choices if _is_number(each)]
    return len(levels) > 1 and verdict == (min(levels) if truth else max(levels))


def _is_on_scale(said: str, node: Node) -> bool:
    """Return whether a number is on the scale; any word may be."""
    levels = [each for each in _choices(node) if _is_number(each)]
    number = _NUMBER.fullmatch(said)
    return number is None or not levels or min(levels) <= float(number[1]) <= max(levels)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
