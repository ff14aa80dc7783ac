"""Find where an answer breaks the rules of a policy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from evalkit.formats.json_paths import MISSING, path_pattern, value_at
from evalkit.formats.json_values import json_text
from evalkit.scorers.agents.matching import largest_matching
from evalkit.scorers.agents.policy_file import (
    ApproveRule,
    ArgumentsRule,
    AtMostRule,
    BeforeRule,
    EdgeRule,
    NamedTools,
    NeverAfterRule,
    NoBlindRetryRule,
    ToolPolicy,
)
from evalkit.scorers.rules.json_schema import schema_errors
from evalkit.text.escaping import cut
from evalkit.types import STEP_KINDS, Severity, Step, StepKind

APPROVING = ("approved", "edited")
_GIVEN_CHARS = 80
_CALLS_ALONE = "the system reports tool calls without other steps"


@dataclass(frozen=True)
class Violation:
    """One step that breaks a rule."""

    rule: str
    """Key of the rule in the file."""
    at: int
    """Position of the step, from 1."""
    step: Step
    what: str
    why: str
    severity: Severity

    def __str__(self) -> str:
        """Write it on one line."""
        turn = f", turn {self.step.turn}" if self.step.turn is not None else ""
        return f"{self.rule}: {self.step.name} (step {self.at}{turn}) {self.what}{f' ({self.why})' if self.why else ''}"


@dataclass(frozen=True)
class Unclear:
    """A rule that cannot be decided from what the answer reports."""

    kind: str
    what: str


_BROKEN_BY_CALLS = (NamedTools, ArgumentsRule, AtMostRule, NeverAfterRule)
"""Rules that tool calls alone can break, regardless of other steps."""
Finding = Violation | Unclear
Found = Iterator[tuple[int, str] | Unclear]
"""Index of a step, and its violation."""


@dataclass(frozen=True)
class Trail:
    """The steps that a policy is checked against."""

    steps: Sequence[Step]
    whole: bool
    """Whether the other kinds of steps are also known, with their positions among the tool calls."""

    def of(self, globs: Iterable[str], *, denied: bool = False) -> list[tuple[int, Step]]:
        """Return the steps that a glob names, with their indices.

        Args:
            globs: globs such as `get_*` or `node:planner`.
            denied: whether to include steps that were refused before they took effect.
        """
        wanted = [split(glob) for glob in globs]
        return [
            (at, step)
            for at, step in enumerate(self.steps)
            if (denied or not is_denied(step))
            and any(step.kind == kind and fnmatchcase(step.name, glob) for kind, glob in wanted)
        ]


def split(glob: str) -> tuple[StepKind, str]:
    """Split `kind:glob`; without a known kind it means tools."""
    prefix, _, rest = glob.partition(":")
    for kind in STEP_KINDS:
        if kind == prefix and rest:
            return kind, rest
    return "tool", glob


def is_denied(step: Step) -> bool:
    """Return True for a step that was refused before it took effect."""
    return step.error is not None and step.error.startswith("denied")


def findings(policy: ToolPolicy, trail: Trail) -> tuple[list[Violation], list[Unclear]]:
    """Return every violation in the order of the steps, and every rule that could not be decided."""
    found: list[Finding] = list(_not_allowed(policy, trail))
    for key, rule in policy.rules:
        globs = [glob for option in ("of", "needs", "step", "reads") for glob in getattr(rule, option, ())]
        others = {kind for kind, _ in map(split, globs)} - {"tool"} or isinstance(rule, ApproveRule)
        if others and not trail.whole:
            if isinstance(rule, EdgeRule) or trail.of(rule.of) or any(split(glob)[0] != "tool" for glob in rule.of):
                found.append(Unclear("missing_trajectory", f"{key}: {_CALLS_ALONE}"))
            if not isinstance(rule, _BROKEN_BY_CALLS):
                continue
        for each in _CHECKS[type(rule)](rule, trail) if key != "last" else _last(rule, trail):
            if isinstance(each, Unclear):
                found.append(each)
            else:
                at, what = each
                found.append(Violation(key, at + 1, trail.steps[at], what, rule.why, rule.severity))
    violations = [each for each in found if isinstance(each, Violation)]
    return sorted(violations, key=lambda each: each.at), [each for each in found if isinstance(each, Unclear)]


def _not_allowed(policy: ToolPolicy, trail: Trail) -> Iterator[Finding]:
    if policy.allowed is None:
        return
    globs = [glob for each in policy.allowed for glob in each.of]
    rule = policy.allowed[0] if len(policy.allowed) == 1 else NamedTools(of=("*",))  # one rule has one reason
    named = {at for at, _ in trail.of(globs, denied=True)}
    if policy.allow is None:
        named |= {at for each in policy.forbidden for at, _ in trail.of(each.of, denied=True)}
    kinds = {"tool", *(kind for kind, _ in map(split, globs))}
    key, what = ("default", "is not named by the policy") if policy.allow is None else ("allow", "is not allowed")
    if len(kinds) > 1 and not trail.whole:
        yield Unclear("missing_trajectory", f"{key}: {_CALLS_ALONE}")
    for at, step in enumerate(trail.steps):
        if step.kind in kinds and at not in named:
            yield Violation(key, at + 1, step, what, rule.why, rule.severity)


def _forbidden(rule: NamedTools, trail: Trail) -> Found:
    for at, _ in trail.of(rule.of, denied=True):
        yield at, "is forbidden"


def _arguments(rule: ArgumentsRule, trail: Trail) -> Found:
    for at, step in trail.of(rule.of, denied=True):
        if errors := schema_errors(rule.schema, dict(step.arguments or {})):
            yield at, f"has arguments that do not fit: {errors[0]}"


def _before(rule: BeforeRule, trail: Trail) -> Found:
    needed = {at for at, step in trail.of(rule.needs) if step.error is None}
    checked = {at for at, _ in trail.of(rule.of)}
    seen: set[tuple[str, ...]] = set()
    lacks = f"without an earlier successful {' or '.join(rule.needs)}"
    alike = f" with the same {', '.join(rule.same)}" if rule.same else ""
    for at in sorted(needed | checked):
        values = _values(rule.same, trail.steps[at].arguments)
        if at in checked and (values is None or values not in seen):
            yield at, lacks + alike
        if at in needed and values is not None:
            seen.add(values)


def _values(paths: Sequence[str], arguments: Mapping[str, Any] | None) -> tuple[str, ...] | None:
    """Return the arguments under some paths as texts, `None` if one is missing."""
    found = [value_at(arguments or {}, path_pattern("same", path)) for path in paths]
    return None if any(value is MISSING for value in found) else tuple(map(json_text, found))


def _never_after(rule: NeverAfterRule, trail: Trail) -> Found:
    ends = trail.of(rule.step)
    if not ends:
        return
    first, step = ends[0]
    for at, _ in trail.of(rule.of):
        if at > first:
            yield at, f"comes after {step.name} (step {first + 1})"


def _at_most(rule: AtMostRule, trail: Trail) -> Found:
    made = trail.of(rule.of, denied=True)
    counts: dict[int | None, int] = defaultdict(int)
    if rule.per == "turn" and len(made) > rule.n and any(step.turn is None for _, step in made):
        yield Unclear("unknown_turn", f"at_most: the turns of {made[0][1].name} are not known")
        return
    for at, step in made:
        turn = step.turn if rule.per == "turn" else None
        counts[turn] += 1
        if counts[turn] > rule.n:
            yield at, f"is call {counts[turn]} of at most {rule.n}{' in a turn' if rule.per == 'turn' else ''}"


def _approve(rule: ApproveRule, trail: Trail) -> Found:
    """Match calls with approvals one to one, leaving each approval to the call that has no other."""
    calls, given = trail.of(rule.of), _approvals(trail)
    by_key: dict[tuple[str, str], list[int]] = defaultdict(list)
    by_id: dict[str, list[int]] = defaultdict(list)
    for number, (_, approval) in enumerate(given):
        if approval.arguments is not None:
            by_key[_key(approval)].append(number)
        if approval.call_id:
            by_id[approval.call_id].append(number)
    fitting: list[list[int]] = []
    timeless: set[int] = set()
    expired: set[int] = set()
    for own, (at, call) in enumerate(calls):
        named = [number for number in by_id.get(call.call_id, ()) if _is_equal(given[number][1], call)]
        found = [number for number in dict.fromkeys((*named, *by_key.get(_key(call), ()))) if given[number][0] < at]
        ages = {number: _age(given[number][1], call) for number in found}
        if rule.expires_s is not None and None in ages.values():
            timeless.add(own)
        fitting.append([number for number, age in ages.items() if _is_fresh(age, rule.expires_s)])
        if found and not fitting[-1]:
            expired.add(own)
    approved = {own for own, _ in largest_matching(fitting, len(given))}
    for own, (at, call) in enumerate(calls):
        if own not in approved and own in timeless:
            yield Unclear("unknown_time", f"approve: the time of {call.name} or of its approval is not known")
        elif own not in approved:
            why = f"was approved more than {rule.expires_s:g} s before" if own in expired else "was not approved"
            yield at, f"{why}: {cut(json_text(call.arguments or {}), _GIVEN_CHARS)}"


def _is_approval(step: Step) -> bool:
    """Return True if a person approved; a failed step is not an approval."""
    return step.kind == "approval" and step.decision in APPROVING and step.error is None


def _approvals(trail: Trail) -> list[tuple[int, Step]]:
    return [(at, step) for at, step in enumerate(trail.steps) if _is_approval(step)]


def _key(step: Step) -> tuple[str, str]:
    """Return the name and arguments by which a call is matched with other calls and with its approval."""
    return step.name, json_text(step.arguments or {})


def _is_equal(approval: Step, call: Step) -> bool:
    """Return True if the approval with a call's id has the same arguments."""
    return approval.arguments is None or json_text(approval.arguments) == json_text(call.arguments or {})


def _is_fresh(age_s: float | None, expires_s: float | None) -> bool:
    return expires_s is None or (age_s is not None and age_s <= expires_s)


def _age(approval: Step, call: Step) -> float | None:
    """Return the seconds from an approval to a call."""
    given = approval.started_s if approval.ended_s is None else approval.ended_s
    return None if given is None or call.started_s is None else call.started_s - given


def _no_blind_retry(rule: NoBlindRetryRule, trail: Trail) -> Found:
    reads = {at for at, step in trail.of(rule.reads) if step.error is None}
    retried = {at for at, _ in trail.of(rule.of)}
    last: dict[tuple[str, str], int] = {}
    read = -1
    for at in sorted(reads | retried):
        step = trail.steps[at]
        key = _key(step)
        if at in retried:
            if key in last and last[key] > read:
                before = "failed" if trail.steps[last[key]].error is not None else "succeeded"
                yield at, f"repeats step {last[key] + 1}, which {before}, without a look at the state between"
            last[key] = at
        if at in reads:
            read = at


def _edge(rule: EdgeRule, trail: Trail, at: int, word: str) -> Found:
    kinds = {kind for kind, _ in map(split, rule.step)}
    steps = trail.of([f"{kind}:*" for kind in kinds])
    if steps and steps[at][0] not in {place for place, _ in trail.of(rule.step)}:
        yield steps[at][0], f"is the {word} step, which must be {' or '.join(rule.step)}"


def _first(rule: EdgeRule, trail: Trail) -> Found:
    return _edge(rule, trail, 0, "first")


def _last(rule: Any, trail: Trail) -> Found:
    return _edge(rule, trail, -1, "last")


_CHECKS: Mapping[type, Any] = {
    NamedTools: _forbidden,
    ArgumentsRule: _arguments,
    BeforeRule: _before,
    NeverAfterRule: _never_after,
    AtMostRule: _at_most,
    ApproveRule: _approve,
    NoBlindRetryRule: _no_blind_retry,
    EdgeRule: _first,
}
