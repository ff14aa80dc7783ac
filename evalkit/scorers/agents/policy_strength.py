"""Compare two versions of a policy, and find the rules that the later one loosens."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Any

from evalkit.scorers.agents.policy_checks import split
from evalkit.scorers.agents.policy_file import ToolPolicy

_WORDS = ("why", "severity")
"""Parts of a rule that do not affect what it allows."""


@dataclass(frozen=True)
class Loosened:
    """A rule that was removed or widened."""

    rule: str
    """The rule's key and its tools."""
    before: str
    after: str
    """`removed`, or the rule as it is now."""


def rule_texts(policy: ToolPolicy) -> tuple[str, ...]:
    """Write each rule as its key and sorted JSON options; policies that decide alike give equal lines."""
    found = [f"forbid {_json({'of': [glob]})}" for rule in policy.forbidden for glob in rule.of]
    if policy.allowed is not None:
        found.append(f"allow {_json({'of': sorted({glob for rule in policy.allowed for glob in rule.of})})}")
    for key, rule in policy.rules:
        if key != "forbid":
            options = {each.name: getattr(rule, each.name) for each in fields(rule) if each.name not in _WORDS}
            found.append(f"{key} {_json({name: _plain(name, value) for name, value in options.items()})}")
    return tuple(sorted(set(found)))


def _plain(name: str, value: Any) -> Any:
    if name == "schema":
        return hashlib.sha256(_json(value).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return sorted(set(value)) if isinstance(value, tuple) else value


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def loosened(before: Sequence[str], after: Sequence[str]) -> Iterator[Loosened]:
    """Yield each rule of the base for which the run has no rule that is at least as strict.

    Args:
        before: rules of the base, as `rule_texts` writes them; a text in any other form is kept only by an equal one.
        after: rules of the run.
    """
    kept = set(after)
    now = [rule for rule in map(_read, after) if rule is not None]
    for text in before:
        was = _read(text)
        if text in kept or (was and any(_keeps(was, rule) for rule in now)):
            continue
        key, options = was or (text.partition(" ")[0], {})
        like = [rule for other, rule in now if other == key and rule.get("of") == options.get("of")]
        if key in ("allow", "first", "last"):  # there is only one of each
            like = [rule for other, rule in now if other == key]
        about = _listed(options.get("of", [])) if key != "allow" else ""
        yield Loosened(f"{key} {about}".rstrip(), _told(options, key), _told(like[0], key) if like else "removed")


def _told(options: Mapping[str, Any], key: str) -> str:
    """Write the options of a rule other than its tools."""
    parts = []
    for name, value in options.items():
        text = _listed(value) if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else str(value)
        if key == "allow":
            parts.append(text or "nothing")
        elif name != "of" and text:
            parts.append(f"{name} {text}" if value is not None else "without a limit")
    return "; ".join(parts) or "forbidden"


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


Read = tuple[str, Mapping[str, Any]]


def _read(text: str) -> Read | None:
    key, _, options = text.partition(" ")
    try:
        found = json.loads(options)
    except ValueError:
        return None
    return (key, found) if isinstance(found, dict) and key in _NARROWER else None


def _keeps(was: Read, now: Read) -> bool:
    """Return True if every answer that breaks the base's rule also breaks the run's rule."""
    (key, old), (other, new) = was, now
    try:
        return key == other and _NARROWER[key](old, new)
    except (KeyError, TypeError, AttributeError):  # a baseline is data
        return False


def _covered(narrow: Any, wide: Any) -> bool:
    """Return True if each glob is covered by one of the others."""
    return all(any(_covers(glob, other) for other in wide) for glob in narrow)


def _covers(narrow: str, wide: str) -> bool:
    """Return True if one glob matches every name that another matches; False if that is uncertain."""
    if narrow == wide:
        return True
    (kind, glob), (other, pattern) = split(narrow), split(wide)
    plain = not set(pattern) & set("?[") and "[" not in glob
    return kind == other and plain and fnmatchcase(glob, pattern)


def _most(old: Any, new: Any) -> bool:
    """Return True if a limit did not rise; no limit counts as the highest."""
    return bool(old is None or (new is not None and new <= old))


_NARROWER: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], bool]] = {
    "allow": lambda old, new: _covered(new["of"], old["of"]),
    "forbid": lambda old, new: _covered(old["of"], new["of"]),
    "arguments": lambda old, new: _covered(old["of"], new["of"]) and old["schema"] == new["schema"],
    "before": lambda old, new: (
        _covered(old["of"], new["of"]) and _covered(new["needs"], old["needs"]) and set(old["same"]) <= set(new["same"])
    ),
    "never_after": lambda old, new: _covered(old["of"], new["of"]) and _covered(old["step"], new["step"]),
    "at_most": lambda old, new: (
        _covered(old["of"], new["of"]) and new["per"] in (old["per"], "conversation") and _most(old["n"], new["n"])
    ),
    "approve": lambda old, new: _covered(old["of"], new["of"]) and _most(old["expires_s"], new["expires_s"]),
    "no_blind_retry": lambda old, new: _covered(old["of"], new["of"]) and _covered(new["reads"], old["reads"]),
    "first": lambda old, new: _covered(new["step"], old["step"]) and _kinds(new["step"]) == _kinds(old["step"]),
    "last": lambda old, new: _covered(new["step"], old["step"]) and _kinds(new["step"]) == _kinds(old["step"]),
}
"""Key of a rule -> whether the second one is at least as strict as the first."""


def _kinds(globs: Any) -> set[str]:
    return {split(glob)[0] for glob in globs}
