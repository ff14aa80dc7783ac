"""Find gates on figures that a suite can never give, before the first call.

Such a gate would end every run without a decision, or pass without checking anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evalkit.aggregate.cohorts import cohort_value
from evalkit.aggregate.measured import PER_SUCCESS
from evalkit.aggregate.statuses import node_amount
from evalkit.errors import Problem
from evalkit.gate.policy import PASS_METRICS, Canary, Failures, Item, NoRegression, Threshold, is_critical
from evalkit.runner.chat_clients import user_of
from evalkit.runner.grading import Grader
from evalkit.systems.chat import ChatSystem
from evalkit.systems.http import HttpSystem
from evalkit.systems.replay import ReplaySystem
from evalkit.text.numbers import plural

if TYPE_CHECKING:
    from evalkit.golden.survey import Need
    from evalkit.suite.model import Suite
    from evalkit.types import Case, Metric

Reach = tuple[int, int]
"""Number of cases, and the number for which a scorer can give the figure."""
_VOTED = (*PASS_METRICS, "pass_spread")
_REPEATED = ("pass_any", "pass_all", "pass_spread")
_COSTS = ("cost_per_case_usd", "monthly_cost_usd", "cost_usd_per_success")
_ADD_MARK = "give one a pass mark such as `min:` or `pass:`, or add one that passes or fails"
_UNJUDGED = "chat"
"""Name of a judge without an endpoint."""


@dataclass
class CaseCounts:
    """Case counts for the checks of the gate, collected while the golden set is checked."""

    graders: Sequence[Grader]
    names: tuple[str, ...] = ()
    """Cohorts that gates are split by."""
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(kind, severity) -> number of cases."""
    voted_kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(kind, severity) -> number of cases to which a voting scorer applies."""
    labels: Counter[str] = field(default_factory=Counter)
    """Cohort label -> number of cases."""
    voted_labels: Counter[str] = field(default_factory=Counter)
    applied: Counter[tuple[int, str]] = field(default_factory=Counter)
    """(index of a grader with `when`, cohort label or empty for all) -> cases that it applies to."""

    def __post_init__(self) -> None:
        """Find the graders that have a `when`."""
        voting = [grader for grader in self.graders if votes(grader)]
        self._voting_when = [grader for grader in voting if grader.when is not None]
        self._all_voted = len(self._voting_when) < len(voting)
        self._with_when = [(at, grader) for at, grader in enumerate(self.graders) if grader.when is not None]

    @property
    def n_cases(self) -> int:
        """Number of cases; 0 if an earlier run checked the set and it was not read again."""
        return sum(self.kinds.values())

    def counting(self, need: Need) -> Need:
        """Count the cases of a golden set as they are read."""

        def counted(case: Case) -> Iterator[str]:
            self._add(case)
            return need(case)

        return counted

    def _add(self, case: Case) -> None:
        voted = self._all_voted or any(grader.applies(case) for grader in self._voting_when)
        labels = [f"{name}={value}" for name in self.names if (value := cohort_value(case, name)) is not None]
        self.kinds[case.kind, case.severity] += 1
        self.voted_kinds[case.kind, case.severity] += voted
        for label in labels:
            self.labels[label] += 1
            self.voted_labels[label] += voted
        for at, grader in self._with_when:
            if grader.applies(case):
                for label in ("", *labels):
                    self.applied[at, label] += 1

    def record(self) -> list[list[Any]]:
        """Return the counts as lists, which JSON can hold."""
        return [[[*_listed(key), n] for key, n in each.items()] for each in self._counters]

    def restore(self, record: Sequence[Sequence[Any]]) -> None:
        """Take the counts of `record`."""
        for counter, stored in zip(self._counters, record, strict=True):
            counter.update({key[0] if len(key) == 1 else tuple(key): n for *key, n in stored})

    @property
    def _counters(self) -> tuple[Counter[Any], ...]:
        return self.kinds, self.voted_kinds, self.labels, self.voted_labels, self.applied

    def idle(self) -> list[Grader]:
        """Return the graders whose `when` leaves out every case."""
        return [grader for at, grader in self._with_when if not self.applied[at, ""]]

    def of_kind(self, *, kind: str | None, severity: str | None) -> Reach:
        """Count cases of a kind (`None`: all but canaries) and severity."""
        keys = [
            key for key in self.kinds if (key[0] == kind if kind else key[0] != "canary") and severity in (None, key[1])
        ]
        return sum(self.kinds[key] for key in keys), sum(self.voted_kinds[key] for key in keys)

    def of_metric(self, metric: str, label: str = "") -> Reach:
        """Count the cases of a cohort, and those to which a metric's scorer applies; measured metrics apply to all."""
        total = self.labels[label] if label else self.n_cases
        if metric in _VOTED:
            return total, self.voted_labels[label] if label else sum(self.voted_kinds.values())
        at = next((i for i, grader in self._with_when if metric in _names(grader)), None)
        return total, total if at is None else self.applied[at, label]


def _listed(key: str | tuple[Any, ...]) -> tuple[Any, ...]:
    return (key,) if isinstance(key, str) else key


def votes(grader: Grader) -> bool:
    """Return whether a scorer's pass marks count in `pass_rate`."""
    return not grader.advisory and any(metric.votes for metric in grader.scorer.metrics)


def case_counts(suite: Suite, graders: Sequence[Grader]) -> CaseCounts:
    """Create an empty count for the gates of a suite."""
    names = [name for check in suite.policy.checks if isinstance(check, Threshold) for name in check.by]
    return CaseCounts(graders, tuple(dict.fromkeys(name for name in names if name in suite.options.cohorts)))


def reach_problems(suite: Suite, counts: CaseCounts, *, has_judge: bool) -> Iterator[Problem]:
    """Find the gates whose figure the suite can never produce.

    Args:
        suite: the policy, the system and the options.
        counts: counts of the cases; only its graders are used if nothing was counted.
        has_judge: whether the suite has a judge endpoint.

    Yields:
        At most one problem for each check, at `gate[i].<key>`.
    """
    if not counts.graders:
        return  # their own problems are told
    for index, check in enumerate(suite.policy.checks):
        key = check.metric if isinstance(check, Threshold) else _KEYS.get(type(check), "")
        found = next(_unreachable(suite, counts, check, has_judge), None)
        if isinstance(check, Threshold) and check.k is not None and check.k > suite.options.repeat:
            repeats = plural(suite.options.repeat, "repeat")
            fix = f"write at most {suite.options.repeat}, or raise `repeat`"
            yield Problem(f"gate[{index}].{key}.k", f"{check.k} of {repeats}", fix)
        elif found:
            yield Problem(f"gate[{index}].{key}", *found)


_KEYS: dict[type[Item], str] = {Failures: "failures", Canary: "canary", NoRegression: "no_regression"}
_Fault = tuple[str, str]
"""(fault, fix)."""


def _unreachable(suite: Suite, counts: CaseCounts, check: Item, has_judge: bool) -> Iterator[_Fault]:
    if isinstance(check, Failures):
        yield from _voteless(counts, "a failure")
        yield from _no_voted_case(counts, check.kind, check.severity)
    elif isinstance(check, Canary):
        yield from _voteless(counts, "a canary's verdict")
        yield from _no_voted_case(counts, "canary", None)
    elif isinstance(check, Threshold):
        if check.k is None:
            yield from _unmeasured(suite, check.metric, has_judge)
        yield from _unscored(counts, check.metric)
        for label in counts.labels if counts.n_cases else ():
            if is_critical(label, check.critical) and label.split("=", 1)[0] in check.by:
                yield from _unreached(counts, check.metric, label)
    elif isinstance(check, NoRegression):
        for name in check.metrics or ():
            yield from _unmeasured(suite, name, has_judge)
            yield from _unscored(counts, name)
        if check.metrics is None and all(grader.advisory for grader in counts.graders):
            yield "every scorer is advisory, so nothing is compared", "take `advisory` off one, or name `metrics:`"
        if check.max_slowdown is not None:
            yield from _unmeasured(suite, "latency_p95_s", has_judge)
        if check.max_cost_ratio is not None:
            yield from _unmeasured(suite, "cost_per_case_usd", has_judge)


def _voteless(counts: CaseCounts, figure: str) -> Iterator[_Fault]:
    """Yield a problem if no scorer that counts has a pass mark."""
    voting = [grader for grader in counts.graders if votes(grader)]
    if not voting:
        marked = [grader.scorer.name for grader in counts.graders if any(m.votes for m in grader.scorer.metrics)]
        if marked:
            what = f"{', '.join(marked)} would, but {'is' if len(marked) == 1 else 'are'} advisory"
            yield f"no scorer counts towards {figure}: {what}", "take `advisory` off one"
        else:
            yield f"no scorer has a pass mark, so nothing counts towards {figure}", _ADD_MARK


def _no_voted_case(counts: CaseCounts, kind: str | None, severity: str | None) -> Iterator[_Fault]:
    total, voted = counts.of_kind(kind=kind, severity=severity)
    if total and not voted:
        what = f"a scorer with a pass mark applies to 0 of {plural(total, 'case')} of {_words(kind, severity)}"
        yield what, "let such a scorer apply to them (`when:`), or remove the gate"


def _words(kind: str | None, severity: str | None) -> str:
    words = [*([f"kind {kind}"] if kind else []), *([f"severity {severity}"] if severity else [])]
    return " and ".join(words) or "any kind"


def _unscored(counts: CaseCounts, name: str) -> Iterator[_Fault]:
    """Yield a problem for a metric of scores or passing runs that no answer can have."""
    if name in _VOTED or name in PER_SUCCESS:
        yield from _voteless(counts, f"`{name}`")
        yield from _unreached(counts, "pass_rate")
        return
    base = name.removesuffix(".passed")
    for grader in counts.graders:
        metric = next((each for each in grader.scorer.metrics if each.name == base), None)
        if metric is not None:
            if name != base and not metric.votes:
                yield f"{base} has no pass mark, so there is no `{name}`", "give it one such as `min:` or `pass:`"
            yield from _unreached(counts, base)


def _unreached(counts: CaseCounts, metric: str, label: str = "") -> Iterator[_Fault]:
    if not counts.n_cases:
        return
    total, reached = counts.of_metric(metric.removesuffix(".passed"), label)
    if total and not reached:
        who = "a scorer with a pass mark" if metric in _VOTED else f"the scorer of {metric}"
        where = f"of {label}" if label else "of the golden set"
        yield f"{who} applies to 0 of {plural(total, 'case')} {where}", "widen its `when:`, or remove the gate"


def _unmeasured(suite: Suite, metric: str, has_judge: bool) -> Iterator[_Fault]:
    """Yield a problem for a measured figure that this system or these options cannot give."""
    system, options = suite.system, suite.options
    timed = metric.startswith(("latency_", "ttft_", "seconds_")) or metric == "tokens_per_s"
    if timed and isinstance(system, ReplaySystem):
        yield f"stored answers have no fresh times, so there is no {metric}", "remove the gate, or call the system"
    if metric.startswith("ttft_") and isinstance(system, ChatSystem) and not system.stream:
        yield f"without `stream: true` there is no {metric}", "add `stream: true` to the system, or gate latency_p95_s"
    for part in _picked(metric):
        if _leaves_out(system, part):
            other = ", or gate latency_p95_s" if part == "ttft_s" else ""
            yield f"`pick` names no `{part}`, so there is no {metric}", f"add it to `pick:`{other}"
    if metric in _COSTS and isinstance(system, ChatSystem) and system.prices is None:
        fix = "write `prices: {input_usd_per_million: ..., output_usd_per_million: ...}`"
        yield f"the price of {system.chat} is unknown, so there is no {metric}", fix
    if metric == "monthly_cost_usd" and options.traffic_per_month is None:
        yield "the suite has no `traffic_per_month`, so there is no monthly_cost_usd", "add it, such as 100000"
    if metric == "judge_cost_usd_per_case" and not has_judge:
        yield "the suite asks no judge that costs money, so there is no judge_cost_usd_per_case", "remove the gate"
    if metric == "user_cost_usd_per_case" and user_of(suite) is None:
        yield "no model plays a user in the suite, so there is no user_cost_usd_per_case", "remove the gate"
    if metric == "pass_rate_production" and not options.production:
        yield "the suite has no `production:` mix, so there is no pass_rate_production", "add it, or gate pass_rate"
    if metric in _REPEATED and options.repeat < 2:
        yield f"each case is run once, so there is no {metric}", "write `repeat: 3`, or gate pass_rate"


def _picked(metric: str) -> tuple[str, ...]:
    """Return the parts of a reply that a measured figure needs."""
    if metric.startswith("ttft_"):
        return ("ttft_s",)
    if node_amount(metric):
        return ("trajectory",)
    if metric in _COSTS:
        return ("usage.cost_usd",)
    if metric in ("tokens_per_case", "tokens_per_success"):
        return "usage.input_tokens", "usage.output_tokens"
    return ("tool_calls",) if metric in ("tool_calls_per_case", "tool_calls_per_success") else ()


def _leaves_out(system: object, part: str) -> bool:
    """Return whether an http system's `pick` leaves out this part of a reply."""
    if not isinstance(system, HttpSystem) or not system.pick:
        return False
    return not {part, part.partition(".")[0]} & system.pick.keys()


def reach_doubts(suite: Suite, counts: CaseCounts, *, has_judge: bool) -> Iterator[Problem]:
    """Find the gates that cover fewer cases than they seem to or need a missing judge, as warnings."""
    for grader in counts.graders:
        unasked = any(metric.judge == _UNJUDGED for metric in grader.scorer.metrics)
        if unasked and not has_judge and not grader.advisory:
            what = f"{grader.scorer.name} asks a judge, and the suite has none: without its scores no gate can decide"
            fix = "add `judge: {chat: {model: ..., base_url: ...}}`, or make the scorer advisory"
            yield Problem(suite.place(f"scorers[{grader.index}]"), what, fix)
    if not counts.n_cases:
        return
    for grader in counts.idle():
        if grader.index < len(suite.scorers):
            what = f"{grader.scorer.name} applies to no case of the golden set"
            place = f"scorers[{grader.index}].{suite.scorers[grader.index].written}.when"
            yield Problem(suite.place(place), what, "correct `when`, or remove the scorer")
    for index, check in enumerate(suite.policy.checks):
        if isinstance(check, Failures | Canary):
            is_canary = isinstance(check, Canary)
            kind, severity = ("canary", None) if isinstance(check, Canary) else (check.kind, check.severity)
            total, voted = counts.of_kind(kind=kind, severity=severity)
            key = "canary" if is_canary else "failures"
            if not total:
                what = f"the golden set has no case of {_words(kind, severity)}, so nothing is checked"
                yield Problem(suite.place(f"gate[{index}].{key}"), what, "add one, or remove the gate")
            elif 0 < voted < total:
                what = (
                    f"no scorer with a pass mark applies to {total - voted} of its {total} cases, so they cannot fail"
                )
                yield Problem(suite.place(f"gate[{index}].{key}"), what, "let one apply to them (`when:`)")
        elif isinstance(check, Threshold):
            yield from _thin(suite, counts, index, check)


def _thin(suite: Suite, counts: CaseCounts, index: int, check: Threshold) -> Iterator[Problem]:
    metric = check.metric.removesuffix(".passed")
    inside = [label for label in sorted(counts.labels) if label.split("=", 1)[0] in check.by]
    labels = [label for label in inside if counts.of_metric(metric, label)[1] == 0]
    if labels:
        what = f"no scorer gives it in {', '.join(labels)}, so nothing is checked there"
        yield Problem(suite.place(f"gate[{index}].{check.metric}"), what, "let one apply to these cases (`when:`)")


def _names(grader: Grader) -> tuple[str, ...]:
    metrics: tuple[Metric, ...] = grader.scorer.metrics
    return tuple(metric.name for metric in metrics)
