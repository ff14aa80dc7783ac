"""Compare the parts of a suite with its base: golden set, sample, system, judge, scorers, calibrations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from evalkit.formats.manifest import Rules
from evalkit.gate.policy import CHECKS, PASS_METRICS, Best, OfVariants
from evalkit.results import Amendment

Scorers = Mapping[str, Mapping[str, Any]]
"""Label -> options."""
NONE = "none"
_POLICY = "policy"
"""Key of the rules of a policy file among the options of its scorer."""
_PARTS = ("system", "judge", "embedding", "golden", "sample", "calibrations", "conversation")
_NO_RULE = ("why", "description")
_BEST = next(name for name, check in CHECKS.items() if check is Best)
_OF_VARIANTS = ("of", "per_case", "n", "severity", "words")
"""Keys beside the name of a transform."""
_SPENDING = ("budget_usd", "deadline_s")


def part_changes(before: Rules, after: Rules) -> Iterator[Amendment]:
    """Yield every option of a part that differs, with its dotted key.

    Args:
        before: rules of the base.
        after: rules of the run to decide.
    """
    for part in _PARTS:
        yield from _options(part, getattr(before, part), getattr(after, part), _LOOSER.get(part, _always))
    if before.vendors is not None:
        yield from _options("vendors", before.vendors, after.vendors or {}, _always)
    yield from _scorers(before.scorers, after.scorers, _capped(before.gate))
    yield from _released(before, after)
    yield from _variants(before, after)
    yield from _settings(before, after)


def _released(before: Rules, after: Rules) -> Iterator[Amendment]:
    """Yield a system that is no longer gated, and another reference: either may make passing easier."""
    if before.release != after.release:
        gone = set(before.release) - set(after.release)
        what, was, now = "release", before.release, after.release
        yield Amendment(what=what, before=shown(was), after=shown(now), loosens=bool(gone))
    if before.reference != after.reference:
        was, now = before.reference or NONE, after.reference or NONE
        yield Amendment(what="reference", before=was, after=now, loosens=True)
    yield from _rivals(before, after)


def _rivals(before: Rules, after: Rules) -> Iterator[Amendment]:
    """Yield systems that `best` no longer compares with, and another metric of it."""
    if not _is_gated(before.gate, _BEST):
        return
    gone = [name for name in before.systems if name not in after.systems]
    if gone:
        yield Amendment(what="systems", before=shown(before.systems), after=shown(after.systems), loosens=True)
    if before.primary and before.primary != after.primary:
        yield Amendment(what="primary", before=before.primary, after=after.primary or NONE, loosens=True)


def _variants(before: Rules, after: Rules) -> Iterator[Amendment]:
    """Yield transforms that were removed or changed; where variants are gated, either may make passing easier."""
    gated = any(_is_gated(before.gate, name) for name, check in CHECKS.items() if issubclass(check, OfVariants))
    was, now = _transforms(before.variants), _transforms(after.variants)
    for name in dict.fromkeys([*was, *now]):
        if was.get(name) != now.get(name):
            texts = [
                shown(each[name]) if name in each else missing for each, missing in ((was, NONE), (now, "removed"))
            ]
            loosens = gated and name in was
            yield Amendment(what=f"variants {name}", before=texts[0], after=texts[1], loosens=loosens)


def _transforms(entries: Sequence[Any]) -> dict[str, Any]:
    """Return the entries under `variants:` by the name of the transform; a stored one may hold any value."""
    found: dict[str, Any] = {}
    for entry in entries:
        options = dict(entry) if isinstance(entry, Mapping) else {str(entry): None}
        name = next((str(key) for key in options if key not in _OF_VARIANTS), "")
        inner = options.get(name)
        if isinstance(inner, Mapping) and "attribute" in inner:
            name = f"{name}_{inner['attribute']}"
        elif name == "file":
            path = inner.get("path") if isinstance(inner, Mapping) else inner
            name = PurePosixPath(str(path)).stem
        found[name] = {key: value or {} for key, value in options.items()}
    return found


def _is_gated(gate: Sequence[Any], name: str) -> bool:
    return any(item == name or (isinstance(item, Mapping) and name in item) for item in gate)


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


Loosens = Callable[[str, Any, Any], bool]
"""(option, value before, value after) -> True if the change makes passing easier, or if that cannot be determined."""


def _options(what: str, before: Mapping[str, Any], after: Mapping[str, Any], loosens: Loosens) -> Iterator[Amendment]:
    for key in sorted({*before, *after}, key=str):
        was, now = before.get(key), after.get(key)
        if was != now:
            name = f"{what} {key}"
            yield Amendment(what=name, before=_option(was), after=_option(now), loosens=loosens(key, was, now))


def _option(value: Any) -> str:
    """Return the value of an option, or its default if not written."""
    return "not set" if value is None else shown(value)


def _always(key: str, was: Any, now: Any) -> bool:
    return True


def _system(key: str, was: Any, now: Any) -> bool:
    """Return True unless only the timeout got shorter, which does not make passing easier."""
    return not (key == "timeout_s" and is_number(was) and is_number(now) and now < was)


def _golden(key: str, was: Any, now: Any) -> bool:
    """Return False for a new lock, and for the path of the golden set, because its cases are compared one by one."""
    return key != "path" and not (key == "lock" and was is None)


def _sample(key: str, was: Any, now: Any) -> bool:
    """Return False if more cases are sampled, or all of them, which does not make passing easier."""
    return now is not None and not (key == "n" and is_number(was) and is_number(now) and now > was)


_LOOSER: Mapping[str, Loosens] = {"system": _system, "golden": _golden, "sample": _sample}


def _capped(gate: Sequence[Any]) -> frozenset[str]:
    """Return the first parts of the metric names that a gate limits by `max`."""
    entries = [item for item in gate if isinstance(item, Mapping)]
    return frozenset(
        str(name).partition(".")[0]
        for item in entries
        for name, options in item.items()
        if isinstance(options, Mapping) and options.get("max") is not None
    )


def _scorers(before: Scorers, after: Scorers, capped: frozenset[str]) -> Iterator[Amendment]:
    """Return scorers by label; if a gate limits passes by `max`, a stricter scorer may make passing the gate easier."""
    all_capped = not capped.isdisjoint(PASS_METRICS)
    for label in sorted({*before, *after}, key=str):
        if label not in after:
            yield Amendment(what=f"scorer {label}", before=shown(before[label]), after="removed", loosens=True)
        elif label not in before:
            yield Amendment(what=f"scorer {label}", before=NONE, after=shown(after[label]), loosens=all_capped)
        else:
            was, now = before[label], after[label]
            negated = any(str(each.get("kind", "")).startswith("not_") for each in (was, now))
            capped_here = all_capped or label.partition(" #")[0].partition(".")[0] in capped
            loosens = _negated if negated or capped_here else _scorer
            if _POLICY in was and _POLICY in now and loosens is _scorer:
                yield from _policy(f"scorer {label}", was[_POLICY], now[_POLICY])
                loosens = _beside_policy
            yield from _options(f"scorer {label}", _without_policy(was), _without_policy(now), loosens)


def _policy(what: str, was: Any, now: Any) -> Iterator[Amendment]:
    """Return the rules of a policy that were removed or widened."""
    before, after = ([str(rule) for rule in rules] if isinstance(rules, list) else [] for rules in (was, now))
    from evalkit.scorers.agents.policy_strength import loosened

    for each in loosened(before, after):
        yield Amendment(what=f"{what} {each.rule}", before=each.before, after=each.after, loosens=True)


def _without_policy(options: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in options.items() if key != _POLICY}


def _beside_policy(key: str, was: Any, now: Any) -> bool:
    """Return False for the file, because its rules are compared one by one."""
    return key != "file" and not key.startswith("file ") and _scorer(key, was, now)


def _scorer(key: str, was: Any, now: Any) -> bool:
    """Return False for a higher pass mark, which does not make passing easier."""
    if key.startswith(("min", "pass")) and is_number(was) and is_number(now):
        return bool(now < was)
    if key.startswith("max") and is_number(was) and is_number(now):
        return bool(now > was)
    return _negated(key, was, now)


def _negated(key: str, was: Any, now: Any) -> bool:
    """Return False only if a scorer stops being advisory, because another vote does not make passing easier."""
    return key != "advisory" or now is not None


def _settings(before: Rules, after: Rules) -> Iterator[Amendment]:
    """Return single keys of the suite that matter less than rules but are shown."""
    drawn = bool(before.sample or after.sample or after.early_stop)  # the seed decides which cases are run
    for key in ("name", "seed", "concurrency", "traffic_per_month", *_SPENDING):
        was, now = getattr(before, key), getattr(after, key)
        if was == now:
            continue
        less = now is None or not is_number(was) or not is_number(now) or now < was
        looser = {"seed": drawn, "concurrency": less, "traffic_per_month": was is not None and less}
        loosens = looser.get(key, False)
        yield Amendment(what=key, before=shown(was), after=shown(now), loosens=loosens)
