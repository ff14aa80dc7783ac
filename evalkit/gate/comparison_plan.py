"""Plan a comparison with a baseline: the repeats that count, the systems that run suspects again, and the levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from evalkit.gate.critical_cases import RUNS
from evalkit.gate.pairing import Pairing, Repeats
from evalkit.gate.policy import NoRegression, Policy
from evalkit.gate.regression import ALPHA, CONFIRMED_ALPHA, DRAWS, Gate, Tested, gates_of, run_tests

Again = Literal["neither", "candidate", "both"]
NOT_AGAIN: Mapping[Again, str] = {
    "candidate": "its cases were not run again on the candidate, so the planned runs decide this alone",
    "both": "the old system did not answer again, so this is decided by single runs",
}
"""Reasons why a gate that looked worse had no second look."""


@dataclass(frozen=True)
class ComparisonPlan:
    """How a run is compared with its baseline."""

    policy: NoRegression
    """The `no_regression` check: metrics and cohorts."""
    critical: frozenset[str]
    """Cohorts tested in a separate family."""
    seed: int
    """Seed of the sign flips."""
    planned: Repeats = (None, None)
    """Repeats of each case that count in the first look, for baseline and candidate."""
    again: Again = "neither"
    """Systems that run suspect cases again for a second look."""
    uncompared: str = ""
    """Reason why the named baseline is not compared."""
    calls: bool = False
    """Whether the candidate's answers come from calls, so that cases could be run again."""
    n_deciding: int = 1
    """Systems of the run that share alpha (Bonferroni)."""

    @property
    def alpha(self) -> float:
        """Probability that any gate blocks this system if it is unchanged."""
        default = ALPHA if self.again == "neither" else CONFIRMED_ALPHA
        return (default if self.policy.alpha is None else self.policy.alpha) / self.n_deciding

    def tested(
        self, pairing: Pairing, may_block: Mapping[str, bool], draws: int = DRAWS
    ) -> tuple[list[Gate], list[Tested]]:
        """Return every gate, and the tests of those that are large enough."""
        gates = gates_of(pairing, self.policy, may_block, self.critical)
        return gates, run_tests(pairing.candidate, gates, alpha=self.alpha, seed=self.seed, draws=draws)


def trial_of(
    check: NoRegression,
    policy: Policy,
    critical: frozenset[str],
    seed: int,
    repeats: tuple[int | None, int | None],
    stored: int,
) -> ComparisonPlan:
    """Plan how two runs are compared.

    If the baseline's system can be called, both run suspect cases again. Otherwise a candidate with one repeat runs
    them again alone, if the baseline holds as many repeats as the candidate will then have. With more repeats the same
    noise would stay in both looks. From 4 x 1 to 4 x 4, an unchanged system is blocked in 0.6 % of its runs; from 4 x
    2, in 1.2 %.

    Args:
        check: metrics and cohorts to compare.
        policy: the policy of the check.
        critical: cohorts tested in a family of their own.
        seed: seed of the sign flips.
        repeats: planned ones of baseline and candidate, `None` if the plan is not known.
        stored: runs of each case that the baseline holds.
    """
    theirs, ours = repeats
    asked = policy.repeats if ours is None else ours
    planned = ComparisonPlan(check, critical, seed, repeats, calls=policy.asks_again, n_deciding=policy.n_deciding)
    if policy.escalates:
        return replace(planned, planned=(policy.repeats if theirs is None else theirs, asked), again="both")
    if policy.asks_again and asked == 1 and stored >= RUNS:
        return replace(planned, planned=(theirs, asked), again="candidate")
    return planned
