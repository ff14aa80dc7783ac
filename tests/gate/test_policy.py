"""What a policy accepts, and what it says about a suite that does not fit."""

import math

import pytest

from evalkit.gate.policy import CHECKS, Canary, Coverage, Failures, NoRegression, Policy, Threshold
from evalkit.gate.policy_problems import policy_problems
from evalkit.types import Metric

METRICS = (Metric(name="correctness", low=1, high=5), Metric(name="toxicity", higher_is_better=False))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda: Threshold(metric="m"), "min: neither", id="no limit"),
        pytest.param(lambda: Threshold(metric="m", min=2, max=1), "min: 2 is above max 1; swap", id="crossed"),
        pytest.param(lambda: Threshold(metric="m", min=math.nan), "min: nan is not a limit", id="nan"),
        pytest.param(lambda: Threshold(metric="m", max=1, on_fail="shout"), "on_fail: `shout`", id="on_fail"),  # type: ignore[arg-type]
        pytest.param(lambda: Failures(severity="urgent"), "severity: `urgent`", id="severity"),
        pytest.param(lambda: Failures(kind="gold"), "kind: `gold`", id="kind"),
        pytest.param(lambda: Failures(max=-1), "max: -1 is negative", id="negative"),
        pytest.param(lambda: Canary(rule="1 of 2"), "rule: `1 of 2`", id="rule"),  # type: ignore[arg-type]
        pytest.param(lambda: Coverage(min=99), "min: 99 is not a share", id="percent"),
        pytest.param(lambda: Coverage(by_cohort_min=-0.1), "by_cohort_min: -0.1", id="cohort share"),
        pytest.param(lambda: NoRegression(alpha=0), "alpha: 0", id="alpha"),
        pytest.param(lambda: NoRegression(baseline=""), "baseline: empty", id="baseline"),
    ],
)
def test_impossible_options_are_refused_with_their_field(make, message: str):
    """A wrong option raises a ValueError that starts with its field."""
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        make()


def test_one_name_is_a_list_of_one():
    """`by: domain` reads like `by: [domain]`."""
    assert Threshold(metric="m", min=1, by="domain", critical="aml").by == ("domain",)  # type: ignore[arg-type]


def test_every_named_check_has_a_shorthand_that_is_one_of_its_options():
    """`{key: value}` can be read for every check."""
    for check in (*CHECKS.values(), Threshold):
        assert check.shorthand in check.__dataclass_fields__


def test_coverage_is_checked_even_where_it_is_not_written():
    """A policy without coverage has the default shares; a written one stands."""
    assert Policy((NoRegression(),)).coverage == Coverage(min=0.99, by_cohort_min=0.95)
    assert Policy((Coverage(min=0.5),)).coverage.min == 0.5


def test_critical_cohorts_are_collected_from_all_checks():
    """A cohort called critical anywhere is critical everywhere, by label or by value within the check's cohorts."""
    policy = Policy(
        (Threshold(metric="m", min=1, by=("domain",), critical=("aml",)), NoRegression(critical=("risk=high",)))
    )
    labels = ("overall", "domain=aml", "domain=tax", "risk=high", "topic=aml")
    assert policy.critical_in(labels) == {"domain=aml", "risk=high"}


@pytest.mark.parametrize(
    ("check", "what", "fix"),
    [
        pytest.param(Threshold(metric="corectness", min=4), "unknown metric `corectness`", "correctness", id="typo"),
        pytest.param(
            Threshold(metric="pass_rate", min=85), "min 85 is outside the range 0 .. 1", "scale", id="percent"
        ),
        pytest.param(
            Threshold(metric="correctness", min=0.8), "min 0.8 is outside the range 1 .. 5", "scale", id="0-1"
        ),
        pytest.param(
            Threshold(metric="pass_rate", min=0.8, by=("domian",)), "unknown cohort `domian`", "domain", id="by"
        ),
        pytest.param(
            Threshold(metric="latency_p95_s", min=3), "lower latency_p95_s is better", "max", id="latency min"
        ),
        pytest.param(Threshold(metric="toxicity", min=0.1), "lower toxicity is better", "max", id="direction"),
        pytest.param(Threshold(metric="throughput_per_s", min=3), "cannot be gated", "latency", id="throughput"),
        pytest.param(NoRegression(metrics=("latency_p95_s",)), "unknown quality metric", "known", id="latency fell"),
        pytest.param(NoRegression(by=("langauge",)), "unknown cohort `langauge`", "language", id="regression by"),
    ],
)
def test_a_check_that_does_not_fit_the_suite_is_named(check, what: str, fix: str):
    """The problem holds the check's position, what is wrong, and how to fix it."""
    ((index, found, advice),) = policy_problems(Policy((Canary(), check)), METRICS, ("domain", "language"))
    assert index == 1
    assert what in found
    assert fix in advice


@pytest.mark.parametrize("checks", [(), (Coverage(),)], ids=["empty", "coverage only"])
def test_a_policy_that_could_never_block_says_so(checks):
    """Coverage alone is no gate."""
    assert not Policy(checks).can_block
    assert Policy((*checks, Failures())).can_block
    assert policy_problems(Policy(checks), METRICS, ()) == []


def test_a_fitting_policy_has_no_problem():
    """The example of the documentation is accepted."""
    policy = Policy(
        (
            Threshold(metric="pass_rate", min=0.85, by=("domain",), critical=("aml",)),
            Threshold(metric="correctness.passed", min=0.9),
            Threshold(metric="latency_p95_s", max=3),
            Failures(),
            NoRegression(),
        )
    )
    assert policy_problems(policy, METRICS, ("domain",)) == []


def test_the_last_run_is_no_baseline_of_a_gate():
    """Each run would be compared with the one before, so a fall would be blocked only once."""
    with pytest.raises(ValueError, match="another run each time"):
        NoRegression(baseline="latest")
