"""Score the steps of an answer against the steps that were expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from evalkit.scorers.agents.acts import Act, ActMatcher, Arguments
from evalkit.scorers.agents.expected import missing, refuse_vacuous
from evalkit.scorers.agents.matching import VACUOUS, Match, in_order, is_match
from evalkit.scorers.agents.steps import NO_STEPS, steps_of_kinds
from evalkit.scorers.rules.rule import check_share
from evalkit.text.escaping import cut
from evalkit.types import STEP_KINDS, Case, Metric, Output, Score, StepKind, Unscored

ALTERNATIVES = "expected_trajectories"
_KEYS = {"kind", "name", "arguments"}
_PATH_CHARS = 200


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """Compare the steps of an answer with the expected ones, by kind, name and arguments.

    The case field `expected_trajectory` lists the steps: `name`, `kind:name` or `{kind, name, arguments}`. If an item
    has no kind or no arguments, those are not compared. Instead, `expected_trajectories` can list several such lists,
    and the best match counts. Only steps of the given `kinds` are compared.

    `<name>.similarity` is 2 x LCS / (expected + made), from 0 to 1, where LCS is the number of steps in the longest
    sequence that both have in the same order; 1 if both are empty. `<name>.match` is 1 or 0 by `match`:

    - `exact` (the default): the same steps in the same order
    - `any_order`: the same steps, each as often
    - `in_order`: the expected steps in their order, with others between them
    - `at_least`: all the expected steps, and perhaps others
    - `at_most`: no step that is not expected

    The answer passes if it matches; with `min_similarity` it passes if the similarity reaches that, and there is no
    `<name>.match`. `at_least` and `in_order` are rejected for a case that expects no step, because any steps would
    satisfy them. If the steps are not known, the answer is unscored.

    It cannot see whether another way was as good: use it to explain failures, and gate on `state` or `tool_calls`.
    """

    name: str = "trajectory"
    kinds: tuple[StepKind, ...] = ("tool", "node", "agent")
    """Kinds of steps that are compared."""
    match: Match | None = None
    """How steps must match; `exact` unless `min_similarity` is given."""
    arguments: Arguments = "exact"
    """How arguments are compared, if an item has any: `exact`; `at_least`, which allows extra ones; `at_most`, which
    allows missing ones; or `ignore`."""
    min_similarity: float | None = None
    """Smallest similarity that passes, instead of `match`."""
    field: str = "expected_trajectory"
    """The case field with the expected steps."""

    version: ClassVar[str] = "1"
    without_text: ClassVar[bool] = True
    shorthand: ClassVar[str] = "match"

    def __post_init__(self) -> None:
        check_share("min_similarity", self.min_similarity)
        if not self.kinds:
            raise ValueError("kinds: the list is empty; name one, such as `tool`")
        if self.match is not None and self.min_similarity is not None:
            raise ValueError(f"min_similarity: `match: {self.match}` decides already; remove one of the two")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The similarity, and whether the steps match."""
        similarity = Metric(f"{self.name}.similarity", pass_at=self.min_similarity)
        if self.min_similarity is not None:
            return (similarity,)
        return similarity, Metric(f"{self.name}.match", binary=True)

    @property
    def needs(self) -> frozenset[str]:
        """No single field: `check_case` requires one of two."""
        return frozenset()

    def check_case(self, case: Case) -> None:
        """Reject a row whose expected steps are missing, have the wrong form, or would be matched by any steps."""
        for steps in self._expected(case):
            if self.min_similarity is None:
                refuse_vacuous(self.field, self._match, len(steps))

    def score(self, case: Case, output: Output) -> tuple[Score | Unscored, ...]:
        """Compare with each expectation, and keep the best result."""
        names = [metric.name for metric in self.metrics]
        if self.field not in case.fields and ALTERNATIVES not in case.fields:
            return missing(names, f"missing_{self.field}", f"the case has no `{self.field}`")
        steps = steps_of_kinds(output, self.kinds)
        if steps is None:
            return missing(names, "missing_trajectory", NO_STEPS)
        made = [Act(step.name, step.arguments or {}, step.kind) for step in steps]
        grades = [self._graded(expected, made) for expected in self._expected(case)]
        return max(grades, key=lambda each: [grade.value if isinstance(grade, Score) else -1.0 for grade in each[::-1]])

    @property
    def _match(self) -> Match:
        return self.match or "exact"

    def _graded(self, expected: Sequence[Act], made: Sequence[Act]) -> tuple[Score | Unscored, ...]:
        matcher = ActMatcher(self.arguments)
        total = len(expected) + len(made)
        value = 2 * in_order(expected, made, matcher) / total if total else 1.0
        reason = f"expected {_path(expected)}; made {_path(made)}"
        if self.min_similarity is not None:
            return (Score(f"{self.name}.similarity", value, value >= self.min_similarity, reason),)
        similarity, name = Score(f"{self.name}.similarity", value, None, reason), f"{self.name}.match"
        if self._match in VACUOUS and not expected:
            return similarity, Unscored(name, "nothing_expected", f"{self._match} of nothing passes anything")
        fits = is_match(self._match, expected, made, matcher)
        return similarity, Score(name, float(fits), fits, f"{self._match}: {reason}")

    def _expected(self, case: Case) -> list[list[Act]]:
        given = [name for name in (self.field, ALTERNATIVES) if case.fields.get(name) is not None]
        if len(given) != 1:
            what = "both `{0}` and `{1}` are given" if given else "there is neither `{0}` nor `{1}`"
            fix = "keep one of them" if given else f"add the steps, or give the scorer `when: {{has: {self.field}}}`"
            raise ValueError(f"{what.format(self.field, ALTERNATIVES)}; {fix}")
        value = case.fields[given[0]]
        if given[0] != ALTERNATIVES:
            return [self._steps(given[0], value)]
        if not isinstance(value, list | tuple) or not value:
            raise ValueError(f"`{ALTERNATIVES}` must be a list of lists of steps; write [[...], [...]]")
        return [self._steps(f"{ALTERNATIVES}[{at}]", each) for at, each in enumerate(value)]

    def _steps(self, place: str, value: Any) -> list[Act]:
        if not isinstance(value, list | tuple):
            raise ValueError(f"`{place}` must be a list of steps; write [] where none is expected")
        return [self._act(f"{place}[{at}]", item) for at, item in enumerate(value)]

    def _act(self, place: str, item: Any) -> Act:
        act = _read(place, item)
        if act.kind is not None and act.kind not in self.kinds:
            if act.kind not in STEP_KINDS:
                fix = f"choose from {', '.join(STEP_KINDS)}"
                raise ValueError(f"`{place}`: {act.kind} is not a kind of step; {fix}")
            fix = f"add it to {', '.join(self.kinds)}, or remove the step"
            raise ValueError(f"`{place}`: {act.kind} is not among the `kinds` of the scorer; {fix}")
        return act


def _read(place: str, item: Any) -> Act:
    if isinstance(item, str) and item:
        prefix, _, name = item.partition(":")
        return Act(name, None, prefix) if name and prefix in STEP_KINDS else Act(item)
    if isinstance(item, Mapping) and isinstance(item.get("name"), str) and item.keys() <= _KEYS:
        arguments, kind = item.get("arguments"), item.get("kind")
        if (arguments is None or isinstance(arguments, Mapping)) and (kind is None or isinstance(kind, str)):
            return Act(item["name"], arguments, kind)
    raise ValueError(f"`{place}` is not a step; write name, kind:name or {{kind, name, arguments}}")


def _path(acts: Sequence[Act]) -> str:
    return cut(" -> ".join(act.name for act in acts), _PATH_CHARS) or "nothing"
