"""Two arms of the traffic: the answer, the units, and what cannot be compared."""

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from watch_lab import JUDGE, OTHER_JUDGE, Lab, make_lab

from evalkit.errors import InputError
from evalkit.monitor.observations import read_observations, stored_files, write_observations
from evalkit.operations.monitor_compare import CompareRequest, compare_arms
from evalkit.report.monitor.arms import ArmComparison, ArmLine, arms_json, print_arms
from evalkit.stats.sequence import arm_mean, half_width


def compared(lab: Lab, arm: str = "topic=cards", against: str = "topic=loans", **settings: object) -> ArmComparison:
    """Compare the two topics as if they were releases."""
    given = {"margin": 0.03} | settings
    return compare_arms(CompareRequest(file=lab.file, arm=arm, against=against, **given))  # type: ignore[arg-type]


def of_rule(found: ArmComparison) -> ArmLine:
    """The line of the rule."""
    return next(line for line in found.lines if line.metric == "citation.passed")


def test_a_worse_arm_is_called_worse(lab: Lab) -> None:
    """Loans pass 20 points less: exit code 1, from the other side better by the margin."""
    lab.per_day, lab.rates = 300, {"cards": 0.9, "loans": 0.7}
    lab.add(10)
    worse = compared(lab, "topic=loans", "topic=cards")
    assert (of_rule(worse).answer, worse.exit_code) == ("worse", 1)
    better = compared(lab)
    assert (of_rule(better).answer, better.exit_code) == ("better", 0)
    assert of_rule(better).difference == pytest.approx(-of_rule(worse).difference)  # type: ignore[operator]
    assert {line.metric for line in better.lines} == {"citation.passed", "correctness.passed", "error"}


def test_equal_arms_are_no_worse_after_some_days(lab: Lab) -> None:
    """At first nothing can be said; a wide margin is shown first."""
    lab.per_day, lab.rates = 300, {"cards": 0.9, "loans": 0.9}
    lab.add(2)
    assert (of_rule(compared(lab)).answer, compared(lab).exit_code) == ("not yet", 3)
    lab.add(18)
    assert of_rule(compared(lab, margin=0.1)).answer == "no worse"
    assert of_rule(compared(lab, margin=0.1)).low > -0.1  # type: ignore[operator]


def test_the_interval_is_that_of_the_statistics(lab: Lab) -> None:
    """On day 10: all answers of both arms, level .05 by three metrics, progress 10/14."""
    lab.add(10)
    found = of_rule(compared(lab))
    values: dict[str, list[float]] = {"cards": [], "loans": []}
    for _, _, file in stored_files(lab.folder):
        one = read_observations(file)
        for topic, value in zip(one.cohorts["topic"], one.metrics["citation.passed"], strict=True):
            values[topic].append(float(value))
    arms = [arm_mean(each, np.ones(len(each)), np.arange(len(each)), rate=True) for each in values.values()]
    half = float(half_width(np.hypot(arms[0].error, arms[1].error), 10 / 14, level=0.05 / 3))
    assert found.difference == pytest.approx(arms[0].mean - arms[1].mean)
    assert found.high - found.low == pytest.approx(2 * half)  # type: ignore[operator]
    assert found.n == (len(values["cards"]), len(values["loans"]))


def test_after_two_weeks_progress_is_measured(lab: Lab) -> None:
    """The information of 20 days relative to that of the first 14: about 20/14."""
    lab.add(20)
    found = of_rule(compared(lab))
    n = np.array(found.n)
    error = float(np.sqrt(sum(m * (1 - m) / k for m, k in zip((found.mean, found.against), n, strict=True))))  # type: ignore[operator]
    half = float(half_width(error, 20 / 14, level=0.05 / 3))
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.03)  # type: ignore[operator]


def test_few_units_say_nothing(lab: Lab) -> None:
    """Thirty of each arm are needed, whatever the difference."""
    lab.per_day = 60
    lab.rates = {"cards": 1.0, "loans": 0.0}
    lab.add(1)
    found = of_rule(compared(lab))
    assert (found.answer, found.low) == ("not yet", None)
    assert found.note == "20 units in one arm; 30 are needed"


def test_units_of_both_arms_are_left_out(lab: Lab) -> None:
    """A user who saw both releases belongs to neither."""
    lab.add(4)
    for _, _, file in list(stored_files(lab.folder)):
        found = read_observations(file)
        units = found.units.copy()
        units[:6] = 7
        write_observations(lab.folder, dataclasses.replace(found, units=units))
    shown = compared(lab)
    assert shown.mixed == 1
    assert sum(of_rule(shown).n) == 4 * (lab.per_day - 6)
    assert "1 sessions were in both arms; their answers are left out" in shown.notes


def test_another_judge_is_compared_by_itself(lab: Lab) -> None:
    """Two score keys are two lines, never one."""
    lab.add(4)
    lab.judge_key, lab.judge = OTHER_JUDGE, "gpt-5"
    lab.add(4)
    found = compared(lab, metrics=["correctness.passed"])
    assert [line.score_key for line in found.lines] == sorted([JUDGE, OTHER_JUDGE])
    assert any("several score keys" in note for note in found.notes)


def test_the_last_days_alone(lab: Lab) -> None:
    """`--since` leaves out what was before."""
    lab.add(9)
    assert (compared(lab).days, compared(lab, days=3).days) == (9, 3)
    assert sum(of_rule(compared(lab, days=3)).n) == 3 * lab.per_day


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"arm": "cards"}, "--arm: 'cards' names no value; write it as version=v2"),
        ({"arm": "version=v2"}, "--arm: the monitor has no cohort 'version'"),
        ({"against": "topic="}, "--against: 'topic=' names no value"),
        ({"against": "topic=cards"}, "--against: the same arm as --arm"),
        ({"arm": "topic=card"}, "--arm: no calls of topic=card; .*topic=cards.*until it has 50 calls"),
        ({"margin": 10.0}, "--margin: 10 is 1000 points of a rate; write 0.1 for 10 points"),
        ({"days": 91}, "--since: at most 90 days are compared; write 90d"),
        ({"margin": 0.0}, "--margin: must be above 0"),
        ({"margin": float("nan")}, "--margin: must be above 0"),
        ({"metrics": ["correctnes.passed"]}, "--metric: both arms have no 'correctnes.passed'; .*correctness.passed"),
    ],
)
def test_what_cannot_be_compared_is_explained(quiet: Lab, settings: dict[str, object], message: str) -> None:
    """Each with what to write."""
    with pytest.raises(InputError, match=message):
        compared(quiet, **settings)  # type: ignore[arg-type]


def test_the_answers_fit_a_terminal_of_80_columns(tmp_path: Path) -> None:
    """The answer comes first; the record has the same."""
    lab = make_lab(tmp_path, per_day=300)
    lab.rates = {"cards": 0.9, "loans": 0.7}
    lab.add(6)
    found = compared(lab, "topic=loans", "topic=cards")
    file = io.StringIO()
    print_arms(found, Console(width=80, file=file, highlight=False, markup=False, emoji=False))
    text = file.getvalue()
    assert text.startswith("WORSE  topic=loans against topic=cards\n")
    assert max(map(len, text.splitlines())) <= 80
    assert "stop the new arm" in text
    record = json.loads(arms_json(found))
    assert (record["format"], record["lines"][0]["metric"]) == (1, "citation.passed")


def test_a_cohort_that_was_added_later_counts_from_the_next_take(lab: Lab) -> None:
    """More logs of the same calls would not help."""
    lab.add(3)
    text = lab.file.read_text(encoding="utf-8")
    lab.file.write_text(text.replace("cohorts: [topic]", "cohorts: [topic, version]"), encoding="utf-8")
    said = "no calls of version=v2 and version=v1; a cohort counts from the first take after it was added"
    with pytest.raises(InputError, match=said):
        compared(lab, "version=v2", "version=v1")
