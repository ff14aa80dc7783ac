"""Write the headline: outcome, cause and cohort in one sentence."""

from __future__ import annotations

from dataclasses import replace

from evalkit.aggregate.statuses import node_amount
from evalkit.results import OVERALL, Check, CheckOutcome, Decision
from evalkit.text.numbers import Style, change, difference, figure, needed, plural, with_signs
from evalkit.text.printable import one_line

WORDS = {
    "approved": "APPROVED",
    "approved with conditions": "APPROVED WITH CONDITIONS",
    "blocked": "BLOCKED",
    "no decision": "NO DECISION",
}
AS_THEY_ARE = (
    "these grades are taken as they are: "
    "the files do not say who or what gave them, or whether both sides were graded alike"
)
ORDER: tuple[CheckOutcome, ...] = ("block", "no decision", "warn", "insufficient evidence", "pass")
"""Outcomes of a check, most urgent first."""
_DECIDED_BY: dict[str, tuple[CheckOutcome, ...]] = {
    "blocked": ("block",),
    "no decision": ("no decision", "insufficient evidence"),
    "approved with conditions": ("warn", "insufficient evidence"),
}
_VERBS: dict[CheckOutcome, tuple[str, str]] = {
    "block": ("blocks", "block"),
    "warn": ("warns", "warn"),
    "no decision": ("cannot say", "cannot say"),
    "insufficient evidence": ("is unproven", "are unproven"),
}
"""Verb for one check, and for several."""
_HEADLINE_CHARS = 300


def for_people(decision: Decision) -> Decision:
    """Return a decision whose reasons are written as pages show them."""
    checks = tuple(replace(check, reason=with_signs(check.reason)) for check in decision.checks)
    return replace(decision, checks=checks, reasons=tuple(map(with_signs, decision.reasons)))


def lead_of(decision: Decision) -> Check | None:
    """Return the check that the headline is about: the most urgent one that decided."""
    causes = _causes(decision)
    return causes[0] if causes else None


def headline(decision: Decision, styles: dict[str, Style], partial: str | None) -> str:
    """Explain the decision: the first cause with its cohort, and the number of others.

    An approval with conditions begins with what passed.
    """
    if decision.outcome == "no decision" and partial:
        return one_line(f"partial run, not a gate: {partial}", _HEADLINE_CHARS)
    causes = _causes(decision)
    if decision.outcome == "approved with conditions" and decision.checks:
        return one_line(f"{_passed(decision)}; {_conditions(decision, causes, styles)}", _HEADLINE_CHARS)
    if causes:
        others = sum(check.outcome == causes[0].outcome for check in causes[1:])
        more = f"; {plural(others, 'more check')} {_VERBS[causes[0].outcome][others > 1]}" if others else ""
        cause = _cause(causes[0], styles.get(causes[0].metric) or Style("number"))
        return one_line(cause, _HEADLINE_CHARS - len(more)) + more
    if decision.reasons:
        return one_line(decision.reasons[0], _HEADLINE_CHARS)
    return _passed(decision)


def _causes(decision: Decision) -> list[Check]:
    causes = [check for check in decision.checks if check.outcome in _DECIDED_BY.get(decision.outcome, ())]
    return sorted(causes, key=lambda check: (ORDER.index(check.outcome), not _named_first(check, decision.reasons)))


def _conditions(decision: Decision, causes: list[Check], styles: dict[str, Style]) -> str:
    """Return the first condition, and the number of other reasons."""
    first = decision.reasons[0] if decision.reasons else ""
    if causes and causes[0].reason == first:
        first = _cause(causes[0], styles.get(causes[0].metric) or Style("number"))
    others = len(decision.reasons) - 1
    return f"condition: {first}" if others < 1 else f"{others + 1} conditions, the first: {first}"


def _passed(decision: Decision) -> str:
    """Count the checks that passed, and those that had too little evidence."""
    if not decision.checks:
        return "no check was asked for"
    passed = sum(check.outcome == "pass" for check in decision.checks)
    unproven = sum(check.outcome == "insufficient evidence" for check in decision.checks)
    if passed == len(decision.checks):
        return f"all {plural(passed, 'check')} passed"
    if passed + unproven == len(decision.checks) and decision.outcome == "approved":
        return f"{plural(passed, 'check')} passed, {unproven} had too little evidence"
    return f"{passed:,} of {plural(len(decision.checks), 'check')} passed"


def spoken(name: str) -> str:
    """Turn `latency_p95_s` into `latency p95`, and `cost_usd:planner` into `cost of planner`."""
    if of_node := node_amount(name):
        return f"{spoken(of_node[0])} of {of_node[1]}"
    bare = name if name.endswith("_per_s") else name.removesuffix("_s").removesuffix("_usd")
    return bare.replace("_usd_per_", "_per_").replace("_", " ")


def subject(check: Check) -> str:
    """Return the subject of a check: `pass rate in domain=aml`."""
    what = spoken(check.metric or check.name)
    return what if check.cohort in (OVERALL, "") else f"{what} in {check.cohort}"


def titled(check: Check) -> str:
    """Return the name of a check in a list: its subject, preceded by the check's own name if that is different."""
    if counts_cases(check):
        return subject(replace(check, metric=""))
    return subject(check) if names_metric(check) or not check.metric else f"{spoken(check.name)}: {subject(check)}"


def counts_cases(check: Check) -> bool:
    """Return whether a check limits a number of cases, so that its metric, the pass rate, says nothing."""
    return check.name in ("failures", "critical cases")


def names_metric(check: Check) -> bool:
    """Return whether a check has the name of its metric, such as `pass_all` of `pass_all_3`."""
    return check.metric.startswith(check.name)


def _cause(check: Check, style: Style) -> str:
    """Return one clause with subject, cohort and distance from the limit; the gate's reason if there is no figure."""
    seen = check.observed
    if check.name == "best" and check.outcome in ("block", "warn"):  # the reason names the other system
        return check.reason.replace(check.metric, spoken(check.metric), 1)
    if check.outcome in ("no decision", "insufficient evidence") or seen is None or seen.value is None:
        return _in_words(check)
    name, now = subject(check), figure(seen.value, style, seen.n)
    need = f" (need {needed(check.need, style)})" if check.need.startswith((">", "<")) else ""
    if check.baseline is not None and check.baseline != seen.value:
        verb = "fell" if seen.value < check.baseline else "rose"
        return f"{name} {verb} {change(check.baseline, seen.value, style, seen.n)}{need}"
    if check.drop is not None and check.drop.value is not None:
        return f"{name} is {now}, worse by {difference(check.drop.value, style, check.drop.n)}{need}"
    return f"{name} is {now}, need {needed(check.need, style)}"


def _in_words(check: Check) -> str:
    """Return the reason of a check, preceded by its subject if the reason does not name it."""
    reason = check.reason or f"need {check.need}"
    names_cohort = check.cohort in (OVERALL, "") or check.cohort in reason
    says_metric = check.metric in reason or not names_metric(check)
    return reason if names_cohort and says_metric else f"{subject(check)}: {reason}"


def _named_first(check: Check, reasons: tuple[str, ...]) -> bool:
    """Return whether the gate's most important reason is that of this check."""
    return bool(reasons and check.reason) and check.reason == reasons[0]
