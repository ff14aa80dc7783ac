"""Comparison with a baseline on the same cases."""

import re

import numpy as np
import pytest
from gate_rows import GRADE, JUDGE, RULE, a_case, a_decision, a_row, frozen, passing
from statsmodels.stats.contingency_tables import mcnemar

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.gate.pairing import Baseline
from evalkit.gate.policy import Failures, NoRegression
from evalkit.gate.words import SHOWN_CASES
from evalkit.results import Check
from evalkit.types import Metric, Row

ONLY_PASS_RATE = NoRegression(metrics=("pass_rate",))


def flips(n: int, broken: int, fixed: int = 0, **changes: object) -> tuple[FrozenFrame, FrozenFrame]:
    """Baseline and candidate of `n` cases: the first `broken` newly fail, the next `fixed` newly pass."""
    cases = [a_case(f"c{i:03}", **changes) for i in range(n)]
    before = [a_row(case, {"rule": float(not broken <= i < broken + fixed)}) for i, case in enumerate(cases)]
    after = [a_row(case, {"rule": float(i >= broken)}) for i, case in enumerate(cases)]
    return frozen(before), frozen(after)


def the_check(decision, metric: str = "pass_rate", cohort: str = "overall") -> Check:
    """Find the check of one gate."""
    (found,) = [
        check
        for check in decision.checks
        if (check.name, check.metric, check.cohort) == ("no_regression", metric, cohort)
    ]
    return found


def test_without_a_baseline_the_approval_has_a_condition():
    """The first run is approved with the condition to save it."""
    decision = a_decision(frozen(passing(50, 50)), NoRegression())
    assert decision.outcome == "approved with conditions"
    assert "no baseline `main` yet: save it with `evalkit baseline save RUN --name main`" in decision.reasons[0]


def test_the_same_rows_twice_are_approved():
    """A run compared with itself has no drop, and says which drop it could have seen."""
    frame = frozen(passing(200, 170))
    decision = a_decision(frame, NoRegression(), baseline=frame)
    check = the_check(decision)
    assert decision.outcome == "approved"
    assert check.drop is not None and check.drop.value == 0
    assert check.smallest_drop is not None and 0 < check.smallest_drop < 0.2
    assert decision.comparison is not None and decision.comparison.overlap == 1


def test_every_case_that_moved_is_counted_and_a_check_lists_the_worst():
    """A list cut at 100 would be read as a count: 250 new failures are 250, of which a check names 100."""
    before, after = flips(600, broken=250, fixed=110)
    decision = a_decision(after, ONLY_PASS_RATE, baseline=before)
    assert decision.comparison is not None
    assert (len(decision.comparison.new_failures), len(decision.comparison.fixed)) == (250, 110)
    assert len(the_check(decision).case_ids) == SHOWN_CASES
    again = a_decision(after, ONLY_PASS_RATE, Failures(severity="medium", max=0), baseline=after)
    assert again.comparison is not None
    assert len(again.comparison.still_failing) == 250
    (failures,) = [check for check in again.checks if check.name == "failures"]
    assert "and 245 more" in failures.reason
    assert len(failures.case_ids) == SHOWN_CASES


def test_a_comparison_says_which_drops_it_could_have_seen():
    """The smallest overall drop of the pass rate, and how often drops of 5 and 10 points are found."""
    small, large = (frozen(passing(n, n - 9)) for n in (60, 2000))
    told = [a_decision(each, NoRegression(), baseline=each).comparison.sight for each in (small, large)]
    check = the_check(a_decision(large, NoRegression(), baseline=large))
    assert f"4 times in 5 from {100 * check.smallest_drop:.1f} pts on" in told[1]
    assert told[1].endswith(" pts on, one of 5.0 pts in 100% and one of 10.0 pts in 100% of runs")
    assert "one of 5 pts in 100%" not in told[0]
    few = frozen(passing(6, 6))
    assert (
        "too few cases to find a drop of pass_rate overall of any size (6 cases)"
        in a_decision(few, NoRegression(), baseline=few).comparison.sight
    )
    rows = [
        a_row(a_case(f"c{i:03}", cluster=f"k{i // 5}"), {"rule": float(i % 20 > 0)}, repeat=repeat)
        for i in range(300)
        for repeat in (0, 1)  # which says that the system never flips
    ]
    clustered = a_decision(frozen(rows), NoRegression(), baseline=frozen(rows)).comparison.sight
    alone, together = (float(found) for found in re.findall(r"from (\S+) pts on where", clustered))
    assert 1 < alone < together / 4


def test_one_gate_agrees_with_exact_mcnemar():
    """With one pass/fail gate the p value is McNemar's exact one-sided one."""
    before, after = flips(60, broken=9, fixed=2)
    check = the_check(a_decision(after, ONLY_PASS_RATE, baseline=before))
    oracle = mcnemar(np.array([[49, 9], [2, 0]]), exact=True).pvalue / 2
    assert check.p_value == pytest.approx(oracle, abs=0.004)
    assert check.drop is not None and check.drop.value == pytest.approx(7 / 60)
    assert check.drop.method == "newcombe"
    assert "9 of 60 cases newly fail, 2 newly pass" in check.reason


@pytest.mark.parametrize(
    ("broken", "outcome"),
    [
        # All flips one way: p = 2^-b, so .0625 at 4, .016 at 6 and .002 at 9 cases.
        pytest.param(2, "pass", id="p = .25"),
        pytest.param(4, "warn", id="p = .06"),
        pytest.param(6, "warn", id="p = .016"),
        pytest.param(9, "block", id="p = .002"),
    ],
)
def test_the_p_value_decides(broken: int, outcome: str):
    """Block at alpha, warn at .10."""
    before, after = flips(100, broken)
    check = the_check(a_decision(after, ONLY_PASS_RATE, baseline=before))
    assert check.outcome == outcome
    assert check.case_ids == (tuple(f"c{i:03}" for i in range(broken)) if outcome != "pass" else ())


def test_a_critical_cohort_has_a_family_of_its_own():
    """Half of alpha goes to the critical cohorts: 7 flips (p = .0078) block only without one."""
    before, after = flips(100, 7, cohorts={"domain": "aml"})
    plain = a_decision(after, NoRegression(metrics=("pass_rate",), by=()), baseline=before)
    halved = a_decision(after, NoRegression(metrics=("pass_rate",), critical=("aml",)), baseline=before)
    assert the_check(plain).outcome == "block"
    assert the_check(halved, cohort="domain=aml").outcome == "warn"
    before, after = flips(100, 8, cohorts={"domain": "aml"})
    halved = a_decision(after, NoRegression(metrics=("pass_rate",), critical=("aml",)), baseline=before)
    assert the_check(halved, cohort="domain=aml").outcome == "block"


def test_where_lower_is_better_a_rise_is_the_regression():
    """A metric of the opposite direction blocks when it rises and never when it falls."""
    bad = Metric(name="bad", binary=True, higher_is_better=False)
    low, high = (frozen([a_row(a_case(f"c{i}"), {"bad": float(i < n)}) for i in range(50)], [bad]) for n in (0, 15))
    risen, fallen = a_decision(high, NoRegression(), baseline=low), a_decision(low, NoRegression(), baseline=high)
    check = the_check(risen, "bad")
    assert (check.outcome, fallen.outcome) == ("block", "approved")
    assert check.drop is not None and check.drop.value == pytest.approx(0.3)
    assert check.reason.startswith("bad rose 0% → 30%")


def test_graded_scores_and_repeats_are_compared_by_case():
    """Repeats are averaged before the test; the drop is the mean over cases."""
    cases = [a_case(f"c{i:02}") for i in range(40)]

    def run(shift: float) -> FrozenFrame:
        return frozen(
            [
                a_row(case, {"grade": 4 + 0.5 * (k - 1) - shift * (i % 2)}, repeat=k)
                for i, case in enumerate(cases)
                for k in range(3)
            ],
            [GRADE],
        )

    check = the_check(a_decision(run(1), NoRegression(), baseline=run(0)), "grade")
    assert check.outcome == "block"
    assert check.drop is not None and (check.drop.value, check.drop.n) == (0.5, 40)
    assert "20 of 40 cases are worse" in check.reason


def test_one_case_is_said_as_one():
    """Sentences are read aloud in meetings."""
    before, after = flips(60, broken=9, fixed=1)
    assert (
        "9 of 60 cases newly fail, 1 newly passes"
        in the_check(a_decision(after, ONLY_PASS_RATE, baseline=before)).reason
    )
    before, after = flips(60, broken=1, fixed=0)
    assert (
        "1 of 60 cases newly fails, 0 newly pass"
        in the_check(a_decision(after, ONLY_PASS_RATE, baseline=before)).reason
    )


def test_clusters_are_one_piece_of_evidence_each():
    """Ten broken cases of two documents are two flips, not ten: no block."""

    def rows(broken: int) -> list[Row]:
        return [a_row(a_case(f"c{i:03}", cluster=f"doc{i // 5}"), {"rule": float(i >= broken)}) for i in range(100)]

    check = the_check(a_decision(frozen(rows(10)), ONLY_PASS_RATE, baseline=frozen(rows(0))))
    assert check.p_value == pytest.approx(0.25, abs=0.01)
    assert check.drop is not None and "cluster" in check.drop.method


def test_gates_of_fewer_than_five_pairs_are_not_tested():
    """A cohort of 4 cases is marked without a condition, unless it is critical."""
    rows = passing(100, 100, cohorts={"domain": "tax"}) + passing(4, 4, prefix="x", cohorts={"domain": "aml"})
    frame = frozen(rows)
    plain = a_decision(frame, ONLY_PASS_RATE, baseline=frame)
    assert plain.outcome == "approved"
    assert the_check(plain, cohort="domain=aml").outcome == "insufficient evidence"
    critical = a_decision(frame, NoRegression(critical=("aml",)), baseline=frame)
    assert critical.outcome == "approved with conditions"


def test_a_partial_run_is_not_told_to_replace_its_baseline():
    """Its few cases are its own choice: the whole suite is what to run."""
    decision = a_decision(
        frozen(passing(20, 20)), ONLY_PASS_RATE, baseline=frozen(passing(100, 100)), partial="--limit 20"
    )
    found = [reason for reason in decision.reasons if "20 of 100" in reason]
    assert found == ["only 20 of 100 cases of the baseline are in this run: run the whole suite to compare"]


def test_too_little_overlap_gives_no_decision():
    """Below 90 % of the baseline's cases nothing is compared; added, removed and changed cases are listed."""
    before = passing(100, 100)
    changed = [a_row(a_case("c000", digest="ab" * 32), {"rule": 1.0})]
    after = [*before[1:88], *changed, *passing(2, 2, prefix="new")]
    decision = a_decision(frozen(after), NoRegression(), baseline=frozen(before))
    found = decision.comparison
    assert decision.outcome == "no decision"
    assert "only 87 of 100 cases" in decision.reasons[0]
    assert found is not None
    assert (found.n_paired, found.added, found.changed) == (87, ("new000", "new001"), ("c000",))
    assert found.removed == tuple(f"c{i:03}" for i in range(88, 100))


def test_new_cases_hide_no_regression_and_block_no_comparison():
    """A run with as many new cases as old ones is compared on the old ones."""
    before = passing(100, 100)
    new = passing(100, 100, prefix="new")
    assert a_decision(frozen([*before, *new]), NoRegression(), baseline=frozen(before)).outcome == "approved"
    worse = [*passing(100, 70), *new]
    decision = a_decision(frozen(worse), NoRegression(), baseline=frozen(before))
    assert decision.outcome == "blocked"
    assert decision.comparison is not None
    assert (decision.comparison.n_paired, len(decision.comparison.added)) == (100, 100)


def test_moves_between_the_runs_are_listed():
    """New failures, fixed cases and lasting failures, the most severe first."""
    severities = ("low", "critical", "medium", "medium")
    cases = [a_case(f"m{i}", severity=severity) for i, severity in enumerate(severities)]
    ballast = passing(20, 20)
    before = [a_row(case, {"rule": float(i < 2)}) for i, case in enumerate(cases)]
    after = [a_row(case, {"rule": float(i == 2)}) for i, case in enumerate(cases)]
    found = a_decision(frozen([*ballast, *after]), NoRegression(), baseline=frozen([*ballast, *before])).comparison
    assert found is not None
    assert (found.new_failures, found.fixed, found.still_failing) == (("m1", "m0"), ("m2",), ("m3",))


def test_scores_made_differently_are_not_compared():
    """A changed rubric takes the metric and the pass rate that rests on it out of the comparison, and is named."""
    frame = frozen(passing(50, 50))
    keys = {"rule": {"version": "1", "rubric": "a"}}
    decision = a_decision(
        frame, NoRegression(), baseline=Baseline("old", frame, keys, {"rule": {"version": "1", "rubric": "b"}})
    )
    assert decision.outcome == "no decision"
    assert decision.comparison is not None
    assert decision.comparison.incomparable == {"pass_rate": "rule: rubric", "rule": "rubric"}


def test_a_scorer_that_the_baseline_lacks_is_not_compared():
    """A new scorer changes what the pass rate means."""
    before = frozen(passing(50, 50))
    after = frozen([a_row(row.case, {"rule": 1.0, "judge": 1.0}) for row in passing(50, 50)], [RULE, JUDGE])
    found = a_decision(after, NoRegression(), baseline=before).comparison
    assert found is not None
    assert found.incomparable["judge"] == "the baseline does not have the metric"
    assert found.incomparable["pass_rate"] == "scorers that make it up differ: judge"


def judged(n: int, broken: int, advisory: bool = False) -> FrozenFrame:
    """Runs in which an unlabelled judge that has no vote in the pass rate falls on the first `broken` cases."""
    graded = Metric(name="grade", low=1, high=5, judge="local:grade")
    rows = [a_row(a_case(f"c{i:03}"), {"rule": 1.0, "grade": 1.0 if i < broken else 5.0}) for i in range(n)]
    return frozen(rows, [RULE, graded], advisory=["grade"] if advisory else [])


def test_an_untrusted_judge_can_warn_but_not_block():
    """Its own metric is compared and shown; alone it cannot block, and where it is asked for there is no decision."""
    before, after = judged(100, 0), judged(100, 30)
    decision = a_decision(after, NoRegression(), baseline=before)
    assert the_check(decision, "grade").outcome == "warn"
    assert decision.outcome == "approved with conditions"
    asked = a_decision(after, NoRegression(metrics=("grade",)), baseline=before)
    assert asked.outcome == "no decision"
    assert "evalkit labels sample" in asked.reasons[0]


def test_advisory_metrics_are_not_compared_by_default():
    """A metric that is only shown has no gate."""
    decision = a_decision(judged(50, 30, advisory=True), NoRegression(), baseline=judged(50, 0, advisory=True))
    assert decision.outcome == "approved"
    assert {check.metric for check in decision.checks if check.name == "no_regression"} == {"pass_rate", "rule"}


def test_two_broken_cohorts_are_both_named():
    """Each of two independent causes has its own sentence."""

    def run(broken: bool) -> FrozenFrame:
        rows = []
        for domain in ("aml", "tax", "trade", "labour"):
            bad = 15 if broken and domain in ("aml", "tax") else 0
            rows += [
                a_row(a_case(f"{domain}{i:02}", cohorts={"domain": domain}), {"rule": float(i >= bad)})
                for i in range(40)
            ]
        return frozen(rows)

    decision = a_decision(run(True), ONLY_PASS_RATE, baseline=run(False))
    starts = [reason.split(" fell")[0] for reason in decision.reasons if "fell" in reason]
    assert starts == ["domain=aml: pass_rate", "domain=tax: pass_rate"]


def test_a_drop_everywhere_is_named_as_overall():
    """When all cohorts fall alike the overall figure is the cause."""

    def run(broken: bool) -> FrozenFrame:
        return frozen(
            [
                a_row(a_case(f"c{i:03}", cohorts={"domain": f"d{i % 4}"}), {"rule": float(not broken or i % 5 != 0)})
                for i in range(200)
            ]
        )

    decision = a_decision(run(True), ONLY_PASS_RATE, baseline=run(False))
    assert decision.reasons[0].startswith("pass_rate fell 100% → 80.0% (40 of 200 cases newly fail")
