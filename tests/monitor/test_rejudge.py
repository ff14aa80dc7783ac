"""`monitor rejudge`: both judges grade the same answers, so a change of the judge is told apart from drift."""

import json
from pathlib import Path

import pytest
from monitor_lab import DAY, MonitorLab, row
from test_take_judges import closed_port, judge_at
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.errors import InputError, RunError
from evalkit.monitor.judge_comparisons import read_comparisons
from evalkit.monitor.sampled_texts import kept_days, sampled_rows
from evalkit.testing import FakeModel


def grade(mark: int) -> str:
    """A reply of the judge."""
    return json.dumps({"reason": "it says so", "score": mark})


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MonitorLab:
    """60 calls that the first judge graded 4; the file names another judge afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVALKIT_CACHE_KEY", "a key for tests")
    with FakeModel(lambda request: grade(4)) as model:
        made = MonitorLab(tmp_path, judge_at(model.base_url))
        made.log([row(i, i) for i in range(60)])
        made.take()
    return made


def changed_to(lab: MonitorLab, address: str) -> None:
    """Name another model as the judge."""
    lab.file.write_text(judge_at(address).replace("toy", "newer"), encoding="utf-8")


def test_both_judges_are_compared_on_the_same_answers(lab: MonitorLab) -> None:
    """The newest 40 answers; every fourth is worse for the new judge, who is stricter: exit 1, kept in judges.json."""
    marks = iter([3, 4, 4, 4] * 50)
    with FakeModel(lambda request: grade(next(marks))) as model:
        changed_to(lab, model.base_url)
        ended = CliRunner().invoke(app, ["monitor", "rejudge", "monitor.yaml", "--answers", "40"])
        assert len(model.requests) == 40
    assert ended.exit_code == 1, ended.output
    assert "judge: chat:toy → chat:newer\n  on the same 40 answers, mean 4 → 3.75, 10 graded worse" in ended.stdout
    assert ended.stdout.endswith(": the new one is stricter\n")
    (found,) = read_comparisons(lab.folder)
    assert (found.n, found.stricter, found.milder, found.n_ungraded) == (40, 10, 0, 0)
    assert found.old != found.new
    assert b"It is" not in (lab.folder / "judges.json").read_bytes()


def test_a_judge_that_agrees_shows_no_difference(lab: MonitorLab) -> None:
    """Exit 0; answers that it cannot grade are counted."""
    replies = iter([grade(4)] * 50)
    with FakeModel(lambda request: next(replies, "no JSON")) as model:
        changed_to(lab, model.base_url)
        ended = CliRunner().invoke(app, ["monitor", "rejudge", "monitor.yaml"])
    assert ended.exit_code == 0, ended.output
    assert ": no difference shown\n" in ended.stdout
    assert "answers could not be graded by the new judge" in ended.stdout


def test_without_a_changed_judge_there_is_nothing_to_compare(lab: MonitorLab) -> None:
    """Exit 2 with what to do."""
    ended = CliRunner().invoke(app, ["monitor", "rejudge", "monitor.yaml"])
    assert isinstance(ended.exception, InputError)
    assert "change the judge in the file first" in str(ended.exception)


def test_a_new_judge_that_does_not_answer_ends_the_command(lab: MonitorLab) -> None:
    """Exit 3, not after the retries of every answer; one that grades nothing ends with 2, and says what to check."""
    changed_to(lab, closed_port())
    ended = CliRunner().invoke(app, ["monitor", "rejudge", "monitor.yaml"])
    assert isinstance(ended.exception, RunError)
    assert "cannot be reached; start it, then run the command again" in str(ended.exception)
    with FakeModel(lambda request: "no JSON") as model:
        changed_to(lab, model.base_url)
        ended = CliRunner().invoke(app, ["monitor", "rejudge", "monitor.yaml"])
    assert isinstance(ended.exception, InputError)
    assert "check the address, key and model of `judge:`, then run `evalkit monitor rejudge` again" in str(
        ended.exception
    )


def test_answers_of_the_new_judge_are_not_compared(lab: MonitorLab) -> None:
    """Calls that were taken since the change do not push out those of the old judge."""
    old = len(list(sampled_rows(lab.folder, kept_days(lab.folder))))
    with FakeModel(lambda request: grade(3)) as model:
        changed_to(lab, model.base_url)
        lab.log([row(i, DAY + i) for i in range(60, 120)], "b.jsonl")
        lab.take()
        ended = CliRunner().invoke(app, ["monitor", "rejudge", "monitor.yaml", "--json"])
    assert ended.exit_code == 1
    (found,) = json.loads(ended.stdout)
    assert (found["n"], found["old_mean"], found["new_mean"]) == (old, 4.0, 3.0)
