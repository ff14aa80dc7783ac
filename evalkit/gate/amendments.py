"""Compare the rules of a run with those of its base: gate, evidence, labels, cases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from evalkit.formats.manifest import LabelFile, Rules
from evalkit.gate.policy import CHECKS, Coverage, Threshold
from evalkit.gate.suite_changes import NONE, is_number, part_changes, shown
from evalkit.results import KAPPA_FLOOR, Amendment, Comparison, Decision

_LESS_IS_LOOSER = ("min", "beats_by", "by_cohort_min", "alpha")
_MORE_IS_LOOSER = ("max", "margin", "within", "max_slowdown", "max_cost_ratio")
_FEWER_ARE_LOOSER = ("by", "critical", "metrics")
_UNTIL_GIVEN = {"metrics", "by"}
"""Keys of `no_regression` that mean "all" if they are not given."""
_NOT_RULES = ("why",)
_FAIR_RULES = ("mean", "all")
_SHOWN_IDS = 10
_COVERAGE = next(name for name, check in CHECKS.items() if check is Coverage)


def amendments(before: Rules, after: Rules) -> tuple[Amendment, ...]:
    """List every rule that differs, the looser ones first.

    Args:
        before: rules of the base branch, or of the baseline.
        after: rules of the run to decide.
    """
    found = [
        *_gate(before.gate, after.gate),
        *_plain(before, after),
        *_floors(before.kappa_floors, after.kappa_floors),
        *_labels(before.labels, after.labels),
        *part_changes(before, after),
    ]
    return tuple(sorted(found, key=lambda each: not each.loosens))


def amended(decision: Decision, found: Sequence[Amendment], since: str) -> Decision:
    """Add the amendments since the base to a decision; a looser rule is a condition of an approval."""
    if not found:
        return decision
    reasons = tuple(each.told(since) for each in found if each.loosens)
    outcome = "approved with conditions" if decision.outcome == "approved" and reasons else decision.outcome
    return replace(
        decision,
        outcome=outcome,
        reasons=(*decision.reasons, *reasons),
        amendments=tuple(sorted((*decision.amendments, *found), key=lambda each: not each.loosens)),
        amended_since=since,
    )


def case_changes(found: Comparison | None) -> tuple[Amendment, ...]:
    """List the cases removed, changed and quarantined since the baseline's run, if no old form of them was run."""
    if found is None:
        return ()
    listed = (
        ("removed", found.removed, found.removed_failing),
        ("changed", found.changed, found.changed_failing),
        ("quarantined", found.quarantined, found.quarantined_failing),
    )
    return tuple(
        Amendment(
            what=f"{len(ids):,} case{'' if len(ids) == 1 else 's'} {word}",
            note=f"{_named(ids) if word == 'quarantined' else ''}{len(failing):,} of them failing before",
            # A case that fails now and then may have passed in the baseline.
            loosens=bool(failing) or word == "quarantined",
        )
        for word, ids, failing in listed
        if ids
    )


def _named(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _SHOWN_IDS} more" if len(ids) > _SHOWN_IDS else ""
    return f"{', '.join(ids[:_SHOWN_IDS])}{more}; "


def _gate(before: Sequence[Any], after: Sequence[Any]) -> Iterator[Amendment]:
    old, new = _entries(before), _entries(after)
    for name, options in old.items():
        if name not in new:
            yield Amendment(what=f"gate {name}", before=shown(options), after="removed", loosens=True)
            continue
        defaults = _defaults(name)
        for key in sorted({*options, *new[name]} - {*_NOT_RULES}):
            was, now = (given.get(key, defaults.get(key)) for given in (options, new[name]))
            if was != now:
                loosens = _is_looser(name, key, was, now) or (key == "k" and "max" in new[name])
                yield Amendment(what=f"gate {name}.{key}", before=shown(was), after=shown(now), loosens=loosens)
    for name in new.keys() - old.keys():
        yield Amendment(what=f"gate {name}", before=NONE, after=shown(new[name]), loosens=False)


def _defaults(label: str) -> Mapping[str, Any]:
    """Return the defaults of the options that have one."""
    name = label.partition(" #")[0].partition("(")[0]
    given = {each.name: each.default for each in fields(CHECKS.get(name, Threshold))}
    return {key: value for key, value in given.items() if isinstance(value, int | float | str) and value != ""}


def _entries(gate: Sequence[Any]) -> dict[str, Mapping[str, Any]]:
    """Return the options by name; a repeated name is extended by its severity or kind, else by its number."""
    found: dict[str, Mapping[str, Any]] = {}
    if not any(item == _COVERAGE or (isinstance(item, Mapping) and _COVERAGE in item) for item in gate):
        found[_COVERAGE] = {}  # it holds where it is not written
    for item in gate:
        name, value = next(iter(item.items())) if isinstance(item, Mapping) and item else (str(item), None)
        options = _options(name, value)
        held = {**_defaults(name), **options}
        told = [str(held[key]) for key in ("severity", "kind") if held.get(key)]
        label = f"{name}({', '.join(told)})" if told else name
        number = sum(each == label or each.startswith(f"{label} #") for each in found)
        found[f"{label} #{number + 1}" if number else label] = options
    return found


def _options(name: str, value: Any) -> Mapping[str, Any]:
    """Return options as a mapping, with a single name as a list of one; a stored gate may hold any value."""
    shorthand: str = CHECKS.get(name, Threshold).shorthand
    options = value if isinstance(value, Mapping) else {} if value is None else {shorthand: value}
    return {
        key: [given] if key in _FEWER_ARE_LOOSER and not isinstance(given, list | None) else given
        for key, given in options.items()
    }


def _is_looser(name: str, key: str, was: Any, now: Any) -> bool:
    """Return True if the change makes passing easier, or if that cannot be determined."""
    if key in _LESS_IS_LOOSER + _MORE_IS_LOOSER and all(is_number(each) for each in (was, now)):
        return bool(now < was) is (key in _LESS_IS_LOOSER)
    if key in _LESS_IS_LOOSER + _MORE_IS_LOOSER and was is None and is_number(now):
        # A new limit is an additional one; a new error rate or margin replaces the default.
        return key in ("alpha", "margin")
    if key in _FEWER_ARE_LOOSER:
        everything = key in _UNTIL_GIVEN and name.startswith("no_regression")
        if was is None or now is None:
            return (was is None) is everything
        return not set(map(str, was)) <= set(map(str, now))
    if key == "k" and all(is_number(each) for each in (was, now)):
        return bool(now < was) is name.startswith("pass_all")
    if key == "on_fail":
        return str(now) == "warn"
    if key == "rule":
        return str(now) != "strict"
    if key == "corrected":
        return now is not True
    return True


def _plain(before: Rules, after: Rules) -> Iterator[Amendment]:
    """Compare the keys of the suite that affect the decision."""
    for key in ("require_evidence", "repeat", "repeat_rule", "cohorts", "production", "early_stop"):
        was, now = getattr(before, key), getattr(after, key)
        if was == now:
            continue
        if key == "cohorts":
            reordered = (
                bool(after.early_stop) and [*was][:1] != [*now][:1]
            )  # a run that may stop early has another order
            loosens = reordered or not set(was) <= set(now)
        elif key == "early_stop":
            loosens = (was or 0) < (now or 0)
        elif key == "repeat":
            loosens = now < was or _more_chances(after)
        else:
            loosens = not (key == "require_evidence" and now)
        yield Amendment(what=key, before=shown(was), after=shown(now), loosens=loosens)


def _more_chances(rules: Rules) -> bool:
    """Return True if repeats make it easier for a system with random answers to pass."""
    gate = _entries(rules.gate)
    any_of_all = any(name.startswith("pass_any") and options.get("k") is None for name, options in gate.items())
    return rules.repeat_rule not in _FAIR_RULES or any_of_all


def _floors(before: Mapping[str, float], after: Mapping[str, float]) -> Iterator[Amendment]:
    for cohort in sorted({*before, *after}):
        was, now = before.get(cohort, KAPPA_FLOOR), after.get(cohort, KAPPA_FLOOR)
        if was != now:
            what = f"kappa_floors {cohort}"
            yield Amendment(what=what, before=shown(was), after=shown(now), loosens=now < was)


def _labels(before: Mapping[str, LabelFile], after: Mapping[str, LabelFile]) -> Iterator[Amendment]:
    """Return label files by content; added ones change trust in a judge and the corrected figures."""
    for file in sorted({*before, *after}):
        was, now = before.get(file), after.get(file)
        if was == now:
            continue
        counts = [f"{each.n:,} labels" if each else NONE for each in (was, now)]
        lost = len({*was.rows} - {*now.rows}) if was and now else 0
        note = f"{lost:,} edited or removed" if lost else ""
        yield Amendment(what=f"labels {file}", before=counts[0], after=counts[1], note=note, loosens=True)
