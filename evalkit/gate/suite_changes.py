"""Compare the parts of a suite with its base: golden set, sample, system, judge, scorers, calibrations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from evalkit.gate.policy import PASS_METRICS
from evalkit.results import Amendment

NONE = "none"
_PARTS = ("system", "judge", "embedding", "golden", "sample", "calibrations")
_NO_RULE = ("why", "description")
_SPENDING = ("budget_usd", "deadline_s")


def part_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Amendment]:
    """Yield every option of a part that differs, by its dotted key.

    Args:
        before: rules of the base; a part that it does not hold is not compared.
        after: of the run to decide.
    """
    for part in _PARTS:
        yield from _options(part, _mapping(before, part), _mapping(after, part), _LOOSER.get(part, _always))
    if "scorers" in before:
        was, now = (_mapping(rules, "scorers") or {} for rules in (before, after))
        yield from _scorers(was, now, _capped(before.get("gate")))
    yield from _settings(before, after)


def shown(value: Any) -> str:
    """Format the value of a rule."""
    if value is None:
        return NONE
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {shown(each)}" for key, each in value.items() if key not in _NO_RULE) or "defaults"
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value)) or NONE
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_number(value: Any) -> bool:
    """Return True for a number that is not true or false."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _mapping(rules: Mapping[str, Any], part: str) -> Mapping[str, Any] | None:
    """Return a part of stored rules as a mapping; the stored value may be of any type."""
    found = rules.get(part)
    return found if isinstance(found, Mapping) else None


Loosens = Callable[[str, Any, Any], bool]
"""(option, value before, value after) -> True if it lets more through, or if that cannot be determined."""


def _options(
    what: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, loosens: Loosens
) -> Iterator[Amendment]:
    if before is None:
        return
    now_all = after or {}
    for key in sorted({*before, *now_all}, key=str):
        was, now = before.get(key), now_all.get(key)
        if was != now:
            name = f"{what} {key}"
            yield Amendment(what=name, before=_option(was), after=_option(now), loosens=loosens(key, was, now))


def _option(value: Any) -> str:
    """Return the value of an option, or its default if not written."""
    return "not set" if value is None else shown(value)


def _always(key: str, was: Any, now: Any) -> bool:
    return True


def _system(key: str, was: Any, now: Any) -> bool:
    """Return True unless only the time-out got shorter, which lets nothing more through."""
    return not (key == "timeout_s" and is_number(was) and is_number(now) and now < was)


def _golden(key: str, was: Any, now: Any) -> bool:
    """Return False for the path of the set, whose cases are compared one by one."""
    return key != "path"


def _sample(key: str, was: Any, now: Any) -> bool:
    """Return False if more cases are sampled, or all of them, which lets nothing more through."""
    return now is not None and not (key == "n" and is_number(was) and is_number(now) and now > was)


_LOOSER: Mapping[str, Loosens] = {"system": _system, "golden": _golden, "sample": _sample}


def _capped(gate: Any) -> frozenset[str]:
    """Return the first words of the metrics that a gate limits with a `max`."""
    entries = [item for item in gate if isinstance(item, Mapping)] if isinstance(gate, list | tuple) else []
    return frozenset(
        str(name).partition(".")[0]
        for item in entries
        for name, options in item.items()
        if isinstance(options, Mapping) and options.get("max") is not None
    )


def _scorers(before: Mapping[str, Any], after: Mapping[str, Any], capped: frozenset[str]) -> Iterator[Amendment]:
    """Compare scorers by label; if a gate limits passes with a `max`, letting fewer pass may let more through."""
    all_capped = not capped.isdisjoint(PASS_METRICS)
    for label in sorted({*before, *after}, key=str):
        was, now = before.get(label), after.get(label)
        if now is None:
            yield Amendment(what=f"scorer {label}", before=shown(was), after="removed", loosens=True)
        elif label not in before:
            yield Amendment(what=f"scorer {label}", before=NONE, after=shown(now), loosens=all_capped)
        elif isinstance(was, Mapping) and isinstance(now, Mapping):
            negated = any(str(each.get("kind", "")).startswith("not_") for each in (was, now))
            capped_here = all_capped or label.partition(" #")[0].partition(".")[0] in capped
            yield from _options(f"scorer {label}", was, now, _negated if negated or capped_here else _scorer)


def _scorer(key: str, was: Any, now: Any) -> bool:
    """Return False for a higher pass mark, which lets nothing more through."""
    if key.startswith(("min", "pass")) and is_number(was) and is_number(now):
        return bool(now < was)
    if key.startswith("max") and is_number(was) and is_number(now):
        return bool(now > was)
    return _negated(key, was, now)


def _negated(key: str, was: Any, now: Any) -> bool:
    """Return False only if a scorer stops being advisory: a further vote lets nothing more through."""
    return key != "advisory" or now is not None


def _settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Amendment]:
    """Compare single keys of the suite that are shown but weigh less than a rule."""
    sampled = bool(before.get("sample") or after.get("sample"))
    for key in ("name", "seed", "concurrency", "traffic_per_month", *_SPENDING):
        if key not in before or before[key] == after.get(key):
            continue
        was, now = before[key], after.get(key)
        less = now is None or not is_number(was) or not is_number(now) or now < was
        looser = {"seed": sampled, "concurrency": less, "traffic_per_month": was is not None and less}
        loosens = looser.get(key, False)
        yield Amendment(what=key, before=shown(was), after=shown(now), loosens=loosens)
