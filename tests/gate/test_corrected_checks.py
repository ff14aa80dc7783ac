"""`no_regression: {corrected: true}`: people's labels of both versions block where the judge is not trusted."""

from __future__ import annotations

import pytest
from gate_rows import JUDGE, RULE, a_case, a_row, frozen

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.aggregate.summary import summarise
from evalkit.gate.decide import decide
from evalkit.gate.pairing import Baseline
from evalkit.gate.policy import NoRegression, Policy
from evalkit.gate.policy_problems import policy_problems
from evalkit.results import CorrectedDrop, Decision, Estimate
from evalkit.trust.judges import with_judges
from evalkit.types import Metric

OTHER = Metric(name="other", binary=True, judge="local:other")


def run_of(n_passing: int, *metrics: Metric) -> FrozenFrame:
    """100 cases of which the judges pass the first ones."""
    names = [each.name for each in metrics or (JUDGE,)]
    return frozen(
        [a_row(a_case(f"c{i:03}"), dict.fromkeys(names, float(i < n_passing))) for i in range(100)], metrics or [JUDGE]
    )


def a_drop(p_value: float | None, metric: str = "judge", not_gated: str = "") -> CorrectedDrop:
    """A drop of ten points by labels of 60 cases."""
    drop = Estimate(value=0.1, low=0.03, high=0.17, n=60)
    return CorrectedDrop(
        metric=metric, drop=drop, judged=0.04, labelled="both", labels=(60, 60), p_value=p_value, not_gated=not_gated
    )


def decided(*drops: CorrectedDrop, metrics: tuple[Metric, ...] = (JUDGE,), **options: object) -> Decision:
    """Decide 100 unchanged cases of judges without labels."""
    frame = run_of(80, *metrics)
    policy = NoRegression(metrics=tuple(each.name for each in metrics), **{"corrected": True, **options})  # type: ignore[arg-type]
    summary = with_judges(frame, summarise(frame, suite="demo", expected=100), ())
    found = decide(
        frame, summary, Policy((policy,)), baseline=Baseline("main", frame, {}, {}), partial=None, seed=1, drops=drops
    )
    assert isinstance(found, Decision)
    return found


def test_a_drop_by_peoples_labels_blocks_where_the_judge_is_not_trusted() -> None:
    """The reason names the labels, the interval, the p value and what the judge alone says."""
    found = decided(a_drop(0.004))
    assert found.outcome == "blocked"
    assert found.reasons[0] == (
        "judge by people's labels of 60 cases in both runs: drop 10 pts [3, 17], p = 0.0040; by the judge alone 4 pts"
    )
    (check,) = [each for each in found.checks if each.metric == "judge"]
    assert (check.outcome, check.p_value, check.drop) == ("block", 0.004, a_drop(0.004).drop)


def test_without_the_option_the_drop_is_shown_and_decides_nothing() -> None:
    """The comparison holds it, and the metric keeps its `no decision`."""
    found = decided(a_drop(0.004), corrected=False)
    assert found.outcome == "no decision"
    assert found.comparison is not None
    assert found.comparison.corrected == (a_drop(0.004),)
    assert "people's labels" not in found.reasons[0]


def test_without_labels_the_reason_says_how_to_get_them() -> None:
    """The labels that trust needs are of one run; a corrected drop needs those of both."""
    assert "labels sample RUN --both BASELINE" in decided().reasons[0]
    assert "--both" not in decided(corrected=False).reasons[0]


@pytest.mark.parametrize("drop", [a_drop(0.011), a_drop(0.004, not_gated="the labels were not drawn"), a_drop(None)])
def test_any_other_drop_leaves_no_decision(drop: CorrectedDrop) -> None:
    """Labels that show no drop do not make an untrusted judge's metric pass; the reason says what they show."""
    found = decided(drop)
    assert found.outcome == "no decision"
    assert "evalkit labels sample" in found.reasons[0]
    assert "by people's labels of 60 cases" in found.reasons[0]
    assert drop.not_gated in found.reasons[0]


def test_p_values_are_adjusted_over_the_untrusted_metrics() -> None:
    """Holm: .008 of two becomes .016, and .004 becomes .008."""
    both = (JUDGE, OTHER)
    assert decided(a_drop(0.008), a_drop(0.5, "other"), metrics=both).outcome == "no decision"
    found = decided(a_drop(0.004), a_drop(0.5, "other"), metrics=both)
    assert found.outcome == "blocked"
    assert [each.p_value for each in found.checks if each.metric == "judge"] == [0.008]


def test_a_trusted_judges_metric_is_left_to_the_judge() -> None:
    """A rule needs no people, and its drop is not one that labels may block."""
    frame = frozen([a_row(a_case(f"c{i:03}"), {"rule": 1.0}) for i in range(100)], [RULE])
    summary = summarise(frame, suite="demo", expected=100)
    policy = Policy((NoRegression(metrics=("rule",), corrected=True),))
    baseline = Baseline("main", frame, {}, {})
    found = decide(frame, summary, policy, baseline=baseline, partial=None, seed=1, drops=(a_drop(0.001, "rule"),))
    assert isinstance(found, Decision)
    assert found.outcome == "approved"


def test_a_suite_without_a_judge_cannot_ask_for_it() -> None:
    """The option would do nothing, so it is a problem before the first call."""
    policy = Policy((NoRegression(corrected=True),))
    assert policy_problems(policy, [JUDGE], []) == []
    ((place, what, fix),) = policy_problems(policy, [RULE], [])
    assert (place, fix) == (0, "remove it, or add a judge")
    assert "no judge" in what
