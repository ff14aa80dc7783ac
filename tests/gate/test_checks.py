"""Failures, canaries, coverage, partial runs, and what the outcomes add up to."""

import pytest
from gate_rows import JUDGE, RULE, a_case, a_decision, a_failure, a_row, decided, frozen, passing

from evalkit.errors import ExitCode
from evalkit.gate.decide import NeedsRepeats, exit_code
from evalkit.gate.policy import Canary, Coverage, Failures, NoRegression, Threshold
from evalkit.results import Decision
from evalkit.types import Row

EASY = Threshold(metric="pass_rate", min=0.01)


def test_failing_critical_cases_block_and_are_listed():
    """One failing critical case is one too many; failures of other severities do not count."""
    rows = passing(20, 18, severity="critical") + passing(20, 5, prefix="low", severity="low")
    decision = a_decision(frozen(rows), Failures())
    assert decision.outcome == "blocked"
    assert decision.checks[0].case_ids == ("c018", "c019")
    assert a_decision(frozen(rows), Failures(max=2)).outcome == "approved"


@pytest.mark.parametrize(
    ("rows", "check", "outcome"),
    [
        pytest.param(passing(9, 9, severity="low"), Failures(), "insufficient evidence", id="no such case"),
        pytest.param(
            passing(9, 0, severity="critical", kind="canary"), Failures(), "insufficient evidence", id="canary"
        ),
        pytest.param(
            [*passing(9, 9, severity="critical"), a_failure(a_case("x", severity="critical"))],
            Failures(),
            "insufficient evidence",
            id="a case without an answer might fail",
        ),
        pytest.param(
            passing(9, 8, kind="adversarial"), Failures(severity=None, kind="adversarial"), "block", id="kind"
        ),
        pytest.param(
            [a_row(a_case("x", severity="critical"), {"rule": float(k > 0)}, repeat=k) for k in range(3)],
            Failures(),
            "warn",
            id="fails in one repeat of three",
        ),
    ],
)
def test_failures_are_never_assumed_away(rows: list[Row], check: Failures, outcome: str):
    """Missing, unanswered and flaky cases are said, not passed over."""
    assert a_decision(frozen(rows), check, Coverage(min=0, by_cohort_min=0)).checks[0].outcome == outcome


def canary(*results: float | None) -> list[Row]:
    """One canary with its results by repeat, among ten good cases."""
    case = a_case("coal-mine", kind="canary")
    return [*passing(10, 10), *(a_row(case, {"rule": result}, repeat=k) for k, result in enumerate(results))]


def test_a_canary_that_failed_once_is_run_again():
    """`2 of 3` asks for three rows of a canary that failed, and only of that one."""
    assert decided(frozen(canary(0.0)), Canary()) == NeedsRepeats(("coal-mine",), 3)
    assert decided(frozen(canary(0.0, 1.0)), Canary()) == NeedsRepeats(("coal-mine",), 3)
    assert isinstance(decided(frozen(canary(1.0)), Canary()), Decision)
    assert isinstance(decided(frozen(canary(0.0)), Canary(), partial="--limit 11"), Decision)


@pytest.mark.parametrize(
    ("results", "rule", "outcome"),
    [
        pytest.param((1.0,), "2 of 3", "pass", id="passes"),
        pytest.param((0.0, 1.0, 1.0), "2 of 3", "warn", id="flaky"),
        pytest.param((0.0, 0.0, 1.0), "2 of 3", "block", id="two failures"),
        pytest.param((0.0, None, None), "2 of 3", "no decision", id="repeats without a grade"),
        pytest.param((None,), "2 of 3", "no decision", id="no grade"),
        pytest.param((0.0,), "strict", "block", id="strict"),
        pytest.param((None,), "strict", "no decision", id="strict without a grade"),
    ],
)
def test_canaries_follow_their_rule(results: tuple[float | None, ...], rule: str, outcome: str):
    """Two failures of three block, one warns; strict blocks at once; an unknown canary is never a pass."""
    check = a_decision(frozen(canary(*results)), Canary(rule=rule)).checks[0]  # type: ignore[arg-type]
    assert check.outcome == outcome
    assert check.case_ids == (() if outcome == "pass" else ("coal-mine",))


def test_a_policy_with_canaries_wants_one():
    """A canary check over a golden set without canaries is a condition."""
    assert a_decision(frozen(passing(5, 5)), Canary()).outcome == "approved with conditions"


def test_failures_and_canaries_need_a_trusted_judge():
    """Where the pass marks rest on an unproven judge neither check decides."""
    case = a_case("x", severity="critical", kind="canary")
    frame = frozen([a_row(case, {"judge": 1.0}), a_row(a_case("y", severity="critical"), {"judge": 1.0})], [JUDGE])
    assert [check.outcome for check in a_decision(frame, Failures(), Canary()).checks[:2]] == ["no decision"] * 2


@pytest.mark.parametrize(
    ("rules", "at_most", "outcome"),
    [
        ((0, 0, 1), 1, "block"),
        ((0, 0, 1), 2, "no decision"),
        ((1, 1, 1), 0, "no decision"),
        ((None, 0, 0), 1, "block"),
    ],
)
def test_cases_that_fail_whatever_an_unproven_judge_says_block(
    rules: tuple[int | None, ...], at_most: int, outcome: str
) -> None:
    """A judge without a vote neither fails a case nor saves one that a rule fails."""
    rows = [a_row(a_case(f"c{i}", severity="critical"), {"rule": rule, "judge": i % 2}) for i, rule in enumerate(rules)]
    frame = frozen(rows, (RULE, JUDGE))
    check = a_decision(frame, Failures(max=at_most)).checks[0]
    assert check.outcome == outcome
    if outcome == "block":
        assert check.reason.startswith("2 cases fail whatever the judge says (judge), need <= 1 failing")


@pytest.mark.parametrize(
    ("broken", "rule", "outcome"), [(3, "2 of 3", "block"), (1, "2 of 3", "no decision"), (1, "strict", "block")]
)
def test_a_canary_that_a_rule_fails_blocks_whatever_an_unproven_judge_says(
    broken: int, rule: str, outcome: str
) -> None:
    """The vote that the judge lacks cannot save it."""
    case = a_case("c", kind="canary")
    rows = [a_row(case, {"rule": i >= broken, "judge": 1}, repeat=i) for i in range(3)]
    check = a_decision(frozen(rows, (RULE, JUDGE)), Canary(rule=rule)).checks[0]
    assert check.outcome == outcome
    if outcome == "block":
        assert check.reason == "1 canary is broken whatever the judge says (judge): c"


def test_half_of_the_repeats_failed_by_a_rule_fail_the_case() -> None:
    """The suite's rule for repeats counts the verdicts of the rules alone."""
    case = a_case("c", severity="critical")
    for broken, outcome in ((2, "block"), (1, "no decision")):
        rows = [a_row(case, {"rule": i >= broken, "judge": 1}, repeat=i) for i in range(4)]
        assert a_decision(frozen(rows, (RULE, JUDGE)), Failures()).checks[0].outcome == outcome


@pytest.mark.parametrize(
    ("missing", "outcome"),
    [pytest.param(1, "approved", id="99 of 100"), pytest.param(2, "no decision", id="98 of 100")],
)
def test_coverage_is_gated_without_being_written(missing: int, outcome: str):
    """Below 99 % of the planned rows there is no decision; rows that never came count as missing."""
    rows = passing(100 - missing, 100 - missing)
    assert a_decision(frozen(rows), EASY, expected=100).outcome == outcome
    assert a_decision(frozen([*rows, *(a_failure(a_case(f"x{i}")) for i in range(missing))]), EASY).outcome == outcome


def cohort_rows(missing: int) -> list[Row]:
    """200 cases, of which 20 are of aml and `missing` of these unscored."""
    small = [
        a_row(a_case(f"a{i}", cohorts={"domain": "aml"}), {"rule": None if i < missing else 1.0}) for i in range(20)
    ]
    return [*passing(180, 180, cohorts={"domain": "tax"}), *small]


def test_a_cohort_may_miss_one_row_unless_it_is_critical():
    """One missing row of a cohort is allowed, a condition where the cohort is critical, and two are too many."""
    critical = Threshold(metric="latency_p95_s", max=3, by=("domain",), critical=("aml",))
    assert a_decision(frozen(cohort_rows(1)), EASY).outcome == "approved"
    one = a_decision(frozen(cohort_rows(1)), EASY, critical)
    assert "domain=aml: 19 of 20 rows are scored, and the cohort is critical" in one.reasons
    assert a_decision(frozen(cohort_rows(2)), EASY).outcome == "no decision"


def test_unscored_advisory_metrics_do_not_lower_coverage():
    """A judge that is only shown may fail without costing the decision."""
    rows = [a_row(a_case(f"c{i}"), {"rule": 1.0, "judge": None}) for i in range(30)]
    assert a_decision(frozen(rows, [RULE, JUDGE], advisory=["judge"]), EASY).outcome == "approved"
    assert a_decision(frozen(rows, [RULE, JUDGE]), EASY).outcome == "no decision"


def test_a_partial_run_is_no_gate():
    """Neither a pass nor a block stands when only a part was run, and the reason says so first."""
    for n_passing in (0, 100):
        decision = a_decision(
            frozen(passing(100, n_passing)), Threshold(metric="pass_rate", min=0.5), partial="--limit 100"
        )
        assert decision.outcome == "no decision"
        assert decision.reasons[0] == "partial run (--limit 100), not a gate"


def test_a_block_outweighs_a_missing_decision():
    """A failed check blocks even where another check cannot say."""
    decision = a_decision(
        frozen(passing(100, 10)), Threshold(metric="nowhere", min=0), Threshold(metric="pass_rate", min=0.9)
    )
    assert decision.outcome == "blocked"
    assert decision.reasons[0].startswith("pass_rate is 10%, need ≥ 90%")


def test_evidence_can_be_required():
    """Insufficient evidence is a condition, or no decision where the policy asks for evidence."""
    frame = frozen(passing(5, 5))
    assert a_decision(frame, NoRegression()).outcome == "approved with conditions"
    assert a_decision(frame, NoRegression(), require_evidence=True).outcome == "no decision"


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        ("approved", ExitCode.APPROVED),
        ("approved with conditions", ExitCode.APPROVED),
        ("blocked", ExitCode.BLOCKED),
        ("no decision", ExitCode.NO_DECISION),
    ],
)
def test_every_outcome_has_its_exit_code(outcome, code: ExitCode):
    """Only the two approvals give 0."""
    assert exit_code(Decision(outcome=outcome, checks=())) == code
