"""Runs with different numbers of repeats: each side is the mean of its own rows, case by case."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from gate_rows import RULE, a_case, a_decision, a_failure, a_row, decided, frozen
from test_no_regression import the_check

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.aggregate.summary import summarise
from evalkit.formats.manifest import SampleFacts
from evalkit.gate.decide import NeedsRepeats, decide
from evalkit.gate.pairing import Baseline, pair
from evalkit.gate.policy import Failures, NoRegression, Policy
from evalkit.results import Decision
from evalkit.types import Row

PASS_RATE = NoRegression(metrics=("pass_rate",), by=())


def rows_of(verdicts: Sequence[Sequence[float | None]], *, first: int = 0, **changes: object) -> list[Row]:
    """Rows of cases `c000`, `c001` ...: a list of verdicts each, one a repeat from `first` on; `None` has no grade."""
    return [
        a_row(a_case(f"c{i:03}", **changes), {"rule": value}, repeat=first + k)
        for i, values in enumerate(verdicts)
        for k, value in enumerate(values)
    ]


def means(before: Sequence[Row], after: Sequence[Row]) -> tuple[list[float], list[float]]:
    """What each case of the candidate is compared by."""
    first, second = pair(frozen(after), frozen(before)).means("rule")
    return first.tolist(), second.tolist()


def test_each_side_is_the_mean_over_the_rows_that_it_has():
    """Four repeats against one: none of them is thrown away, whichever side holds them."""
    four, one = rows_of([[1, 0, 0, 0], [1, 1, 1, 1]]), rows_of([[1], [0]])
    assert means(four, one) == ([0.25, 1.0], [1.0, 0.0])
    assert means(one, four) == ([1.0, 0.0], [0.25, 1.0])


def test_the_numbers_of_the_repeats_play_no_part():
    """A run that holds other repeat numbers is compared all the same."""
    assert means(rows_of([[1, 1, 0]]), rows_of([[0, 1]], first=5)) == ([pytest.approx(2 / 3)], [0.5])


def test_a_repeat_without_a_grade_or_an_answer_is_left_out_of_its_own_side():
    """It is neither a failure nor a reason to drop the other side's repeats."""
    case = a_case("c000")
    failed = [a_row(case, {"rule": 1.0}), a_failure(case, repeat=1), a_row(case, {"rule": 0.0}, repeat=2)]
    assert means(failed, rows_of([[1]])) == ([0.5], [1.0])
    assert means(rows_of([[1]]), failed) == ([1.0], [0.5])
    assert means(rows_of([[None, 1, 1, 0]]), rows_of([[None, 1]])) == ([pytest.approx(2 / 3)], [1.0])


def test_a_case_without_a_graded_row_on_either_side_is_unknown():
    """No mean is made up for it, and it does not enter the test."""
    before, after = means(rows_of([[None, None], [1, 1], [1]]), rows_of([[1], [None], [1]]))
    assert np.isnan(before).tolist() == np.isnan(after).tolist() == [True, True, False]
    known = [[1.0]] * 30
    decision = a_decision(
        frozen(rows_of([[None], *known])), PASS_RATE, baseline=frozen(rows_of([[1, 1, 1, 1], *known]))
    )
    assert the_check(decision).drop.n == 30


def test_the_overlap_counts_cases_and_not_rows():
    """A case is paired once however many rows it has; one that either run lacks is not."""
    found = pair(frozen(rows_of([[1]] * 9)), frozen(rows_of([[1, 1, 1, 1]] * 10)))
    assert (found.n_cases, found.n_comparable, found.overlap) == (9, 10, 0.9)
    other_way = pair(frozen(rows_of([[1, 1, 1, 1]] * 10)), frozen(rows_of([[1]] * 9)))
    assert (other_way.n_cases, other_way.n_comparable, other_way.overlap) == (9, 9, 1)  # one is new
    nothing = pair(frozen(rows_of([[1]] * 3)), frozen([]))
    assert (nothing.n_cases, nothing.overlap) == (0, 0.0)
    assert [np.isnan(side).all() for side in pair(frozen(rows_of([[1]] * 3)), frozen(rows_of([]))).answered()] == [
        False,
        False,
    ]


def test_the_p_value_is_that_of_all_repeats():
    """Nine cases against four stored repeats each: the exact share of sign patterns, worked by enumeration."""
    before = [[1, 1, 1, 1]] * 5 + [[1, 1, 1, 0]] * 2 + [[1, 0, 0, 0]] * 2
    after = [[0]] * 7 + [[1]] * 2
    check = the_check(a_decision(frozen(rows_of(after)), PASS_RATE, baseline=frozen(rows_of(before)), final=True))
    drops = np.array([np.mean(b) - np.mean(a) for b, a in zip(before, after, strict=True)])
    patterns = np.array(list(itertools.product((1, -1), repeat=9)))
    exact = float(np.mean(patterns @ drops >= drops.sum() - 1e-9))
    alone = the_check(a_decision(frozen(rows_of(after)), PASS_RATE, baseline=frozen(rows_of([b[:1] for b in before]))))
    assert check.p_value == pytest.approx(exact)
    assert alone.p_value == pytest.approx(2.0**-7)
    assert exact == pytest.approx(2.0**-5)
    assert check.drop.value == pytest.approx(drops.mean())


def test_moves_are_by_the_majority_of_each_sides_repeats():
    """A case fails where half of its repeats do, however many there are on the other side."""
    before = [[1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0]]
    after = [[0], [1], [0], [1], [0]]
    ballast = [[1]] * 20
    found = a_decision(
        frozen(rows_of(after + ballast)), PASS_RATE, baseline=frozen(rows_of(before + ballast)), final=True
    ).comparison
    assert found.new_failures == ("c000",)
    assert found.fixed == ("c001",)
    assert set(found.still_failing) == {"c002", "c004"}
    assert found.overlap == 1


def test_repeats_that_moved_are_not_called_new_failures():
    """From four passes of four to three of four a case passes less often; it does not newly fail."""
    before, after = [[1, 1, 1, 1]] * 40, [[1, 1, 1, 0]] * 12 + [[1, 1, 1, 1]] * 28
    decision = a_decision(frozen(rows_of(after)), PASS_RATE, baseline=frozen(rows_of(before)))
    assert "12 of 40 cases pass less often, 0 pass more often" in the_check(decision).reason
    assert decision.comparison.new_failures == ()


def test_rows_that_were_asked_again_do_not_count_as_planned_ones():
    """Only what failed is asked again, so its mean would favour the side that asked; the plan decides."""
    again = rows_of([[0, 1, 1, 1]] * 3 + [[1]] * 40)
    planned = rows_of([[0]] * 3 + [[1]] * 40)
    other = frozen(rows_of([[1]] * 43))
    as_planned, as_asked = (
        the_check(a_decision(frozen(rows, planned_repeats=1), PASS_RATE, baseline=other)) for rows in (planned, again)
    )
    assert (as_asked.p_value, as_asked.drop) == (as_planned.p_value, as_planned.drop)
    stored = [
        the_check(a_decision(other, PASS_RATE, baseline=frozen(rows, planned_repeats=1))) for rows in (planned, again)
    ]
    assert stored[0].drop == stored[1].drop


@pytest.mark.parametrize("rule", ["mean", "all", "any", "majority", "rate:0.8"])
def test_a_rule_of_repeats_does_not_tilt_unequal_repeats(rule: str):
    """Under `all` four repeats pass less often than one, under `any` more often: the test compares shares."""
    before, after = [[1, 1, 1, 0]] * 40, [[0]] * 10 + [[1]] * 30
    pairs = [frozen(rows_of(each), repeat_rule=rule) for each in (before, after)]
    check = the_check(a_decision(pairs[1], PASS_RATE, baseline=pairs[0], final=True))
    assert check.drop.value == pytest.approx(0)
    assert check.outcome == "pass"
    swapped = the_check(a_decision(pairs[0], PASS_RATE, baseline=pairs[1]))
    assert swapped.drop.value == pytest.approx(0)


def test_clusters_are_summed_after_the_mean():
    """Ten broken cases in two clusters are two pieces of evidence, with four repeats as with one."""

    def run(repeats: int, broken: int) -> FrozenFrame:
        return frozen(
            a_row(a_case(f"c{i:03}", cluster=f"k{i // 5}"), {"rule": float(i >= broken)}, repeat=k)
            for i in range(100)
            for k in range(repeats)
        )

    check = the_check(a_decision(run(1, 10), PASS_RATE, baseline=run(4, 0), final=True))
    assert check.p_value == pytest.approx(0.25, abs=0.01)


def test_a_sample_is_paired_by_its_own_cases():
    """Cases that were not drawn are not missing, and the stored repeats of the others all count."""
    strata = SampleFacts(by="domain", strata={"domain=a": (40, 20)})
    drawn = frozen(rows_of([[1]] * 20, cohorts={"domain": "a"}), sample=strata)
    found = pair(drawn, frozen(rows_of([[1, 1, 1, 0]] * 40, cohorts={"domain": "a"})))
    assert (found.n_cases, found.n_comparable) == (20, 20)
    assert found.means("rule")[0].tolist() == [0.75] * 20


def test_cost_is_the_mean_of_each_sides_repeats_and_latency_its_first():
    """Four stored runs cost four times as much in total, which is not a cheaper candidate."""

    def run(repeats: int) -> FrozenFrame:
        cases = [a_case(f"c{i:03}") for i in range(40)]
        return frozen(
            a_row(case, {"rule": 1.0}, repeat=k, latency_s=1.0 + k, cost_usd=0.01)
            for case in cases
            for k in range(repeats)
        )

    policy = NoRegression(metrics=("pass_rate",), max_slowdown=1.1, max_cost_ratio=1.05)
    checks = {each.name: each for each in a_decision(run(1), policy, baseline=run(4), final=True).checks}
    assert checks["cost increase"].observed.value == pytest.approx(1)
    assert checks["slowdown"].observed.value == pytest.approx(1)


@pytest.mark.parametrize("n", range(1, 13))
@pytest.mark.parametrize("critical", [(), ("aml",)])
def test_small_cohorts_of_every_size_are_compared_or_said_to_be_too_small(n: int, critical: tuple[str, ...]):
    """Down to five cases with a p value of their own; below that untested, and never a crash."""
    small = [
        a_row(a_case(f"s{i:02}", cohorts={"domain": "aml"}), {"rule": 1.0}, repeat=k) for i in range(n) for k in (0, 1)
    ]
    rest = [a_row(a_case(f"c{i:03}", cohorts={"domain": "tax"}), {"rule": 1.0}) for i in range(60)]
    broken = [a_row(a_case(f"s{i:02}", cohorts={"domain": "aml"}), {"rule": 0.0}) for i in range(n)]
    policy = NoRegression(metrics=("pass_rate",), critical=critical)
    check = the_check(
        a_decision(frozen([*broken, *rest]), policy, baseline=frozen([*small, *rest])), cohort="domain=aml"
    )
    assert (check.p_value is None) == (n < 5)
    if n >= 5:
        assert check.p_value == pytest.approx(2.0**-n, rel=0.6)
        assert (check.outcome == "block") == (2.0**-n <= (0.005 if critical else 0.01))


def looks_worse(broken: int, *, repeats: int = 1, again: Sequence[Sequence[float]] | None = None) -> FrozenFrame:
    """A run of 60 cases in two halves: the first `broken` of the left half fail in the planned repeat."""
    return frozen(left_and_right(broken, repeats=repeats, again=again), cohorts=("side",), planned_repeats=repeats)


def left_and_right(broken: int, *, repeats: int, again: Sequence[Sequence[float]] | None = None) -> list[Row]:
    """The rows of `looks_worse`."""
    rows = []
    for i in range(60):
        case = a_case(f"c{i:03}", cohorts={"side": "left" if i < 30 else "right"})
        verdicts = [float(i >= broken)] * repeats
        if again is not None and i < 30:
            verdicts += again[i]
        rows += [a_row(case, {"rule": value}, repeat=k) for k, value in enumerate(verdicts)]
    return rows


def test_against_four_stored_repeats_the_candidate_alone_is_run_again():
    """Cases of the gates that look worse, three times more; then both looks have to find them."""
    policy, stored = NoRegression(metrics=("pass_rate",), by=("side",)), looks_worse(0, repeats=4)
    flaky = frozen(
        (row if row.case.id < "c006" or row.case.id >= "c012" or row.repeat else a_row(row.case, {"rule": 0.0}))
        for row in left_and_right(0, repeats=4)
    )
    waiting = decided(looks_worse(6), policy, baseline=stored)
    assert isinstance(waiting, NeedsRepeats)
    assert (waiting.repeats, waiting.both) == (4, False)
    assert {f"c{i:03}" for i in range(30)} <= set(waiting.case_ids)
    fine = a_decision(looks_worse(6, again=[[1.0] * 3] * 30), policy, baseline=flaky, final=True)
    assert the_check(fine, cohort="side=left").outcome != "block"
    bad = looks_worse(7, again=[[0.0] * 3] * 7 + [[1.0] * 3] * 23)
    decision = a_decision(bad, policy, baseline=stored, final=True)
    check = the_check(decision, cohort="side=left")
    assert (check.outcome, check.need) == ("block", "no drop at p <= 0.02")


def test_an_unchanged_run_is_not_asked_again():
    """Nothing looks worse, so there is a decision at once."""
    policy, stored = NoRegression(metrics=("pass_rate",), by=("side",)), looks_worse(0, repeats=4)
    assert a_decision(looks_worse(0), policy, baseline=stored).outcome == "approved"


@pytest.mark.parametrize(("ours", "theirs"), [(1, 1), (1, 3), (2, 4), (4, 4), (4, 1)])
def test_other_numbers_of_repeats_are_decided_in_one_look(ours: int, theirs: int):
    """Fewer than four stored repeats would keep their noise in both looks; four of the candidate need no further."""
    policy = NoRegression(metrics=("pass_rate",), by=("side",))
    decision = a_decision(looks_worse(9, repeats=ours), policy, baseline=looks_worse(0, repeats=theirs))
    assert the_check(decision, cohort="side=left").need == "no drop at p <= 0.01"
    assert decision.outcome == "blocked"


def test_stored_answers_have_no_second_look():
    """Asked again they would say the same, which is no further evidence."""
    policy = NoRegression(metrics=("pass_rate",), by=("side",))
    candidate, stored = looks_worse(6), looks_worse(0, repeats=4)
    whole = Policy((policy,), asks_again=False)
    summary = summarise(candidate, suite="s", expected=60)
    baseline = Baseline("main", stored, {}, {})
    decision = decide(candidate, summary, whole, baseline=baseline, partial=None, seed=1)
    assert isinstance(decision, Decision)
    assert the_check(decision, cohort="side=left").need == "no drop at p <= 0.01"


def test_a_second_look_that_could_not_be_had_is_said():
    """Decided from stored rows, the first look decides alone at its own level."""
    policy, stored = NoRegression(metrics=("pass_rate",), by=("side",)), looks_worse(0, repeats=4)
    check = the_check(a_decision(looks_worse(9), policy, baseline=stored, final=True), cohort="side=left")
    assert (check.outcome, check.need) == ("block", "no drop at p <= 0.01")
    assert "were not run again" in check.reason
    few = the_check(a_decision(looks_worse(6), policy, baseline=stored, final=True), cohort="side=left")
    assert few.outcome == "warn"


def test_stored_repeats_that_failed_are_no_second_look():
    """A baseline whose repeats mostly ended in errors holds one run of these cases, not four."""
    case_ids = [f"c{i:03}" for i in range(60)]
    rows = []
    for i, name in enumerate(case_ids):
        case = a_case(name, cohorts={"side": "left" if i < 30 else "right"})
        rows += [a_row(case, {"rule": 1.0}), *(a_failure(case, repeat=k) for k in (1, 2, 3))]
    stored = Baseline("main", frozen(rows, cohorts=("side",), planned_repeats=4), {}, {})
    policy = NoRegression(metrics=("pass_rate",), by=("side",))
    bad = looks_worse(7, again=[[0.0] * 3] * 7 + [[1.0] * 3] * 23)
    check = the_check(a_decision(bad, policy, baseline=stored, final=True), cohort="side=left")
    assert "were not run again" in check.reason


def test_failing_cases_of_other_checks_are_untouched_by_the_pairing():
    """`failures` counts the candidate's own cases."""
    decision = a_decision(
        frozen(rows_of([[0]] * 2 + [[1]] * 40)),
        PASS_RATE,
        Failures(severity="medium", max=0),
        baseline=frozen(rows_of([[1] * 4] * 42)),
        final=True,
    )
    (check,) = [each for each in decision.checks if each.name == "failures"]
    assert check.case_ids == ("c000", "c001")


def test_one_rule_metric_equals_the_pass_rate():
    """The scorer's own metric is averaged as the pass rate is."""
    frames = [frozen(rows_of(each), (RULE,)) for each in ([[1, 1, 0, 1]] * 20, [[0]] * 5 + [[1]] * 15)]
    decision = a_decision(frames[1], NoRegression(by=()), baseline=frames[0], final=True)
    assert the_check(decision, "rule").drop.value == the_check(decision).drop.value == pytest.approx(0)
