"""The status of a monitor: alarms begin where something became worse, and what cannot be said is said."""

import json
import re
import shutil

import pytest
from watch_lab import FIRST, JUDGE, JUDGE_PARTS, OTHER_JUDGE, RULE, Lab, look, refer, trust_judge

from evalkit.errors import InputError
from evalkit.monitor.alarms import read_alerts
from evalkit.monitor.judge_comparisons import JudgeComparison, write_comparisons
from evalkit.monitor.sampled_texts import append_texts
from evalkit.monitor.series import SERIES, Counts, Series, SeriesCell, Stream, date_of
from evalkit.operations.monitor_status import since_days
from evalkit.report.monitor.status import Alarm, Status
from evalkit.report.next_steps import NextStep
from evalkit.scorers.embedding.embedders import WordLlama
from evalkit.stats.weighted_sums import WeightedSums
from evalkit.types import Case, Output, Row, Unscored


def lasting(status: Status, level: str = "alarm") -> list[Alarm]:
    """The alarms of a level that last."""
    return [each for each in status.lasting if each.level == level]


def test_nothing_is_said_before_calls_were_taken(lab: Lab) -> None:
    """The message has the command that takes them."""
    with pytest.raises(InputError, match=r"taken no calls; take logs first: evalkit monitor take .*support\.yaml LOGS"):
        look(lab)


def test_without_a_reference_nothing_can_be_said(lab: Lab) -> None:
    """Figures are shown, the exit code is 3, and the command makes a reference of the last whole weeks."""
    lab.add(20)
    lab.close_day()
    found = look(lab)
    assert (found.state, found.exit_code, found.reference) == ("cannot say", 3, None)
    assert "there is no reference yet" in found.cannot_say
    assert found.calls == 7 * 90
    assert {line.state for line in found.streams} == {"not watched"}
    command = next(step.command for step in found.next if "monitor reference" in step.command)
    assert f"--from {date_of(lab.first)} --to {date_of(lab.first + 13)}" in command


def test_unchanged_days_are_quiet(quiet: Lab) -> None:
    """Exit code 0, the figures of the last week, and the drop that each stream would show."""
    found = look(quiet)
    assert (found.state, found.exit_code, found.alarms, found.cannot_say) == ("quiet", 0, (), ())
    assert found.reference == (FIRST, date_of(quiet.first + 27))
    overall = next(line for line in found.streams if line.metric == "citation.passed" and not line.cohort)
    assert overall.now.low < overall.now.value < overall.now.high  # type: ignore[operator]
    assert overall.was == pytest.approx(0.867, abs=0.02)
    assert 0.02 < overall.finds_30 < overall.finds_7 < 0.15  # type: ignore[operator]
    # Error rate, coverage of the judge, steps and latency are watched too.
    watched = {line.metric for line in found.streams if line.state == "quiet"}
    assert {"error", "correctness.scored", "correctness.passed", "steps", "latency_s_above_p95"} <= watched


def test_a_fall_of_one_cohort_alarms(quiet: Lab) -> None:
    """Cards pass 60 % instead of 90: the alarm begins within days and names calls that failed; the rest is quiet."""
    quiet.rates["cards"] = 0.6
    quiet.add(5, texts=True)
    quiet.close_day()
    found = look(quiet)
    assert (found.state, found.exit_code) == ("alarm", 1)
    alarm = next(each for each in lasting(found) if each.metric == "citation.passed" and each.cohort == "topic=cards")
    assert date_of(quiet.first + 42) <= alarm.began <= date_of(quiet.first + 44)
    assert alarm.was == pytest.approx(0.9, abs=0.02)
    assert alarm.now == pytest.approx(0.6, abs=0.06)
    assert alarm.statistic > alarm.threshold > 3
    assert 1 <= len(alarm.examples) <= 5
    assert all(re.fullmatch("[0-9a-f]{16}", example) for example in alarm.examples)
    assert "call-" not in (quiet.folder / "alerts.json").read_text(encoding="utf-8")
    assert not any(each.cohort == "topic=loans" for each in lasting(found))
    assert found.streams[0].state == "alarm"
    # It is one alarm the next day too, whatever was kept in between.
    quiet.add(1)
    quiet.close_day()
    again = look(quiet)
    assert alarm.id in [each.id for each in lasting(again)]
    kept = [each.id for each in read_alerts(quiet.folder)]
    assert sorted(kept) == sorted(each.id for each in again.alarms)
    assert len(kept) == len(set(kept))


def test_slower_calls_alarm(quiet: Lab) -> None:
    """Twice the latency: more calls beyond the reference's quantiles; the quantiles are shown."""
    quiet.latency_s = 2.0
    quiet.add(4)
    quiet.close_day()
    found = look(quiet)
    assert {each.metric for each in lasting(found)} == {"latency_s_above_p50", "latency_s_above_p95"}
    latency = next(each for each in found.amounts if each.metric == "latency_s")
    assert latency.p95 > latency.was_p95  # type: ignore[operator]
    assert latency.was_p50 == pytest.approx(1.0, rel=0.05)


def test_a_judge_without_calibration_does_not_alarm(quiet: Lab) -> None:
    """Its falls are warnings, and the exit code says that nothing can be concluded."""
    trust_judge(quiet, "provisional")
    quiet.rates["cards"] = 0.5
    quiet.add(6)
    quiet.close_day()
    found = look(quiet)
    assert {each.metric for each in lasting(found)} == {"citation.passed"}
    assert "correctness.passed" in {each.metric for each in lasting(found, "warning")}
    assert found.state == "alarm"
    assert any("correctness does not show enough agreement with people" in why for why in found.cannot_say)
    quiet.file.write_text(quiet.file.read_text().replace("calibrations: [judge.json]\n", ""))
    assert "the judge is not trusted: correctness has no calibration" in look(quiet).cannot_say
    assert any("judge calibrate" in step.command for step in found.next)


def test_a_calibration_of_another_judge_does_not_count(quiet: Lab) -> None:
    """The score key has to be the same."""
    trust_judge(quiet, parts={"judge": "gpt-5", "rubric": "r"})
    found = look(quiet)
    assert found.exit_code == 3
    assert found.cannot_say == (
        "the judge is not trusted: the calibration of correctness is of another judge or rubric",
    )


COMPARED = JudgeComparison(
    metric="correctness",
    old=JUDGE,
    new=OTHER_JUDGE,
    judges=("gpt-4o", "gpt-5"),
    made="2026-07-20T00:00:00+00:00",
    n=200,
    n_ungraded=0,
    old_mean=0.84,
    new_mean=0.795,
    stricter=12,
    milder=3,
    p=0.02,
    test="McNemar mid-p",
)


def test_another_judge_begins_another_series(quiet: Lab) -> None:
    """Its figures stand beside no reference, alarms of the old one end, and it is said what to do."""
    quiet.rates["cards"] = 0.5
    quiet.add(5)
    quiet.close_day()
    before = look(quiet)
    assert any(each.score_key == JUDGE for each in lasting(before))
    quiet.judge_key, quiet.judge = OTHER_JUDGE, "gpt-5"
    quiet.add(3)
    quiet.close_day()
    found = look(quiet)
    said = f"the judge of correctness changed on {date_of(quiet.first + 47)} from gpt-4o to gpt-5"
    assert [each for each in found.cannot_say if said in each] == [f"{said}, and the new one has no reference"]
    assert f"{said}: its alarms start anew, and its figures are not compared with those before" in found.notes
    ended = [each for each in found.alarms if each.score_key == JUDGE]
    assert ended
    assert all((each.ended, each.end_reason) == (date_of(quiet.first + 47), said) for each in ended)
    lines = [line for line in found.streams if line.metric == "correctness.passed"]
    assert {(line.score_key, line.state, line.was) for line in lines} == {(OTHER_JUDGE, "not watched", None)}
    # The rule goes on alarming, whatever the judge does.
    assert {each.score_key for each in lasting(found)} == {RULE}
    assert any("when 2026-07-31 is over" in step.text for step in found.next)
    assert any((step.command or "").startswith("evalkit monitor rejudge") for step in found.next)
    write_comparisons(quiet.folder, [COMPARED])
    compared = look(quiet)
    assert f"correctness, graded by both judges: {COMPARED.what}" in compared.notes
    assert not any("rejudge" in (step.command or "") for step in compared.next)


def test_a_change_of_judge_within_the_reference_needs_no_other(lab: Lab) -> None:
    """Both keys are in the reference: the old one is not listed, and nothing is said."""
    lab.add(14)
    lab.judge_key, lab.judge = OTHER_JUDGE, "gpt-5"
    lab.add(21)
    lab.close_day()
    trust_judge(lab, parts={**JUDGE_PARTS, "judge": "gpt-5"})
    made = refer(lab)
    assert {each.score_key for each in made.reference.streams if each.metric == "correctness.passed"} == {
        JUDGE,
        OTHER_JUDGE,
    }
    found = look(lab)
    assert (found.cannot_say, found.notes) == ((), ())
    lines = [line for line in found.streams if line.metric == "correctness.passed"]
    assert {(line.score_key, line.state) for line in lines} == {(OTHER_JUDGE, "quiet")}


def test_a_judge_that_grades_too_little_cannot_say(quiet: Lab) -> None:
    """Two thirds of the sample have a grade: less than 90 %."""
    quiet.graded = 0.66
    quiet.add(7)
    quiet.close_day()
    found = look(quiet)
    assert any(
        why.startswith("correctness graded 6") and "of the sampled calls (need 90%)" in why for why in found.cannot_say
    )
    assert "correctness.scored" in {each.metric for each in lasting(found)}


def test_logs_that_stopped_are_noticed(quiet: Lab) -> None:
    """Five days without a call are not quiet."""
    found = look(quiet, now=quiet.now + 5 * 86_400)
    assert (found.exit_code, found.cannot_say) == (3, ("the newest call is 5 days old",))


def test_a_metric_that_vanished_is_not_quiet(quiet: Lab) -> None:
    """Ten days without the rule and without the column of steps: each is named, and neither is watched."""
    quiet.gone = frozenset({"citation.passed", "steps"})
    quiet.add(10)
    quiet.close_day()
    found = look(quiet)
    assert (found.state, found.exit_code) == ("cannot say", 3)
    dates = f"from {date_of(quiet.first + 45)} to {date_of(quiet.first + 51)}"
    assert found.cannot_say == tuple(
        f"{name} has no values {dates}, and the reference has some" for name in ("citation.passed", "steps")
    )
    lines = [line for line in found.streams if line.metric in quiet.gone]
    assert {(line.state, line.note) for line in lines} == {("not watched", "no values in these days")}
    assert {line.state for line in found.streams if line.metric not in quiet.gone} == {"quiet"}


def test_money_spent_too_fast_alarms(quiet: Lab) -> None:
    """24 dollars a day of a budget of 30 a month is 24 times the pace; it ends when the pace is back."""
    text = quiet.file.read_text().replace("scorers:", "alarms: {budget_usd_per_month: 30}\nscorers:")
    quiet.file.write_text(text)
    assert look(quiet).spend.rates[0].times < 14.4  # type: ignore[union-attr]
    quiet.hour_usd = 2.0
    quiet.add(1)
    quiet.close_day()
    found = look(quiet)
    (alarm,) = [each for each in lasting(found) if each.metric == "spend_usd_per_hour"]
    assert (alarm.per_year, alarm.threshold) == (None, 6.0)
    assert alarm.statistic == pytest.approx(48, rel=0.6)
    assert found.exit_code == 1


def test_a_call_from_the_future_does_not_hide_the_spend_alarm(quiet: Lab) -> None:
    """One clock is 22 hours ahead: the hours until now are looked at as without it."""
    text = quiet.file.read_text().replace("scorers:", "alarms: {budget_usd_per_month: 30}\nscorers:")
    quiet.file.write_text(text)
    quiet.hour_usd = 2.0
    quiet.add(1)
    quiet.close_day()
    before = look(quiet)
    assert before.exit_code == 1
    hour = int(quiet.now // 3600) + 22
    with Series(quiet.folder / SERIES) as series:
        cell = SeriesCell(Stream("cost_usd"), hour, WeightedSums())
        series.add(2_000_000, [cell], (), Counts({}))
    after = look(quiet)
    assert (after.exit_code, after.spend) == (1, before.spend)


def test_moved_inputs_warn(quiet: Lab) -> None:
    """Half of the questions are about something new: warned, never an alarm."""
    refer(quiet, embedder=WordLlama(), first=date_of(quiet.first + 28), last=date_of(quiet.first + 41))
    unchanged = look(quiet, embedder=WordLlama())
    assert unchanged.inputs == ()
    quiet.add(7, texts=True)
    quiet.close_day()
    assert [(each.name, each.moved) for each in look(quiet, embedder=WordLlama()).inputs] == [
        ("topic", False),
        ("texts", False),
    ]
    quiet.question = lambda at: f"how do I insure boat {at % 40}?" if at % 2 else f"question {at % 40} about cards"
    quiet.add(7, texts=True)
    quiet.close_day()
    found = look(quiet, embedder=WordLlama())
    assert [(each.name, each.moved) for each in found.inputs] == [("topic", False), ("texts", True)]
    assert (found.state, found.exit_code) == ("warning", 0)


def test_the_last_day_is_whole(quiet: Lab) -> None:
    """The call of the day that is not over does not count, and a clock that is late counts no day early."""
    found = look(quiet)
    assert found.last == date_of(quiet.first + 41)
    assert look(quiet, now=quiet.now - 86_400).last == date_of(quiet.first + 40)


def test_a_year_of_days_is_looked_at_at_once(quiet: Lab) -> None:
    """The alarms do not depend on how often you look: deleting them finds the same ones."""
    quiet.rates["loans"] = 0.4
    quiet.add(3)
    quiet.close_day()
    first = look(quiet)
    (quiet.folder / "alerts.json").unlink()
    assert look(quiet).alarms == first.alarms


def test_damaged_files_are_named(quiet: Lab) -> None:
    """Reference, alerts and calibration: each with its fix, none with a traceback."""
    for name, fix in (("reference.json", "make it again"), ("alerts.json", "move it away")):
        good = quiet.folder / name
        if not good.exists():
            look(quiet)
        kept = good.read_bytes()
        good.write_bytes(kept[: len(kept) // 2])
        with pytest.raises(InputError, match=fix):
            look(quiet)
        good.write_bytes(kept)
    (quiet.file.parent / "judge.json").write_text("{}")
    with pytest.raises(InputError, match="no calibration record"):
        look(quiet)
    (quiet.file.parent / "judge.json").unlink()
    with pytest.raises(InputError, match=r"calibrations.*no file 'judge.json'"):
        look(quiet)


@pytest.mark.parametrize("text", ["", "7", "0d", "-3d", "7h", "367d", "53w", "7d7", "d", "9" * 50 + "d"])
def test_a_period_is_days_or_weeks(text: str) -> None:
    """Anything else is refused with an example."""
    with pytest.raises(InputError, match="write 7d"):
        since_days(text)
    assert (since_days("7d"), since_days("4w"), since_days("366d")) == (7, 28, 366)


def test_days_are_summed_in_the_database_as_by_hour(quiet: Lab) -> None:
    """One query for all streams gives the sums of each stream's days."""
    with Series(quiet.folder / SERIES) as series:
        by_day = series.by_day(quiet.first, quiet.first + 10)
        for stream in (Stream("error"), Stream("citation.passed", "topic=cards", RULE)):
            single = series.days(stream, quiet.first, quiet.first + 10)
            assert by_day[stream].keys() == single.keys()
            for day, cell in single.items():
                assert by_day[stream][day].wy == pytest.approx(cell.sums.wy)
                assert by_day[stream][day].n == cell.sums.n


def test_the_alerts_are_a_documented_format(quiet: Lab) -> None:
    """Every field that the guide promises."""
    quiet.rates["cards"] = 0.3
    quiet.add(2)
    quiet.close_day()
    look(quiet)
    record = json.loads((quiet.folder / "alerts.json").read_text(encoding="utf-8"))
    fields = {"metric", "cohort", "score_key", "window", "was", "now", "statistic", "threshold", "per_year", "examples"}
    assert record["format"] == 1
    assert fields <= record["alerts"][0].keys()
    shutil.rmtree(quiet.folder / "observations")
    assert look(quiet).exit_code == 1


def test_a_scorer_that_grades_little_names_the_reason_and_the_next_step(quiet: Lab) -> None:
    """The most frequent kind among the kept texts."""
    quiet.graded = 0.0
    quiet.add(8)
    row = Row(
        case=Case(id="a", digest="d" * 64, input="?", fields={"at": 0.0, "pi": 1.0, "batch": 1}),
        output=Output(text="x"),
        scores={"correctness": Unscored("correctness", "judge_no_key", "no key")},
    )
    append_texts(quiet.folder, quiet.first + quiet.days - 2, [row])
    quiet.close_day()
    found = look(quiet)
    assert found.judged == 0
    line = next(each for each in found.streams if each.metric == "correctness.scored")
    assert line.state in ("alarm", "cannot say")
    assert "correctness graded 0% of the sampled calls (need 90%); most often judge_no_key" in found.cannot_say
    assert NextStep("fix the judge", "evalkit judge health SUITE.yaml") in found.next


def test_a_reference_is_suggested_from_the_oldest_day_with_calls(lab: Lab) -> None:
    """With fewer than two weeks, the day until which logs are needed."""
    lab.add(3)
    lab.close_day()
    said = "a reference needs 2 whole weeks of calls; there are 3 days: take logs until 2026-06-14"
    assert said in [each.text for each in look(lab).next]
    lab.add(13)
    lab.close_day()
    commands = [each.command for each in look(lab).next]
    assert any(each.endswith("--from 2026-06-01 --to 2026-06-14") for each in commands)


def test_failing_calls_are_shown_with_the_command_that_reads_them(quiet: Lab) -> None:
    """Nothing is written by it."""
    quiet.rates["cards"] = 0.5
    quiet.add(10, texts=True)
    quiet.close_day()
    step = next(
        each
        for each in look(quiet).next
        if each.text.startswith("read the calls that failed, by the hash of their id: ")
    )
    first = step.text.partition(": ")[2].partition(",")[0]
    assert step.command.endswith(
        f"support.yaml {first} --to golden.jsonl --needs-reference --reviewed-by YOU --dry-run"
    )


def test_a_scorer_that_has_always_graded_little_is_not_quiet(lab: Lab) -> None:
    """It did not become worse, and says nothing of the calls that it did not grade."""
    lab.graded = 0.5
    lab.add(36)
    lab.close_day()
    refer(lab)
    line = next(each for each in look(lab).streams if each.metric == "correctness.scored")
    assert line.state == "cannot say"
