"""A sampled call of a monitor becomes a regression case."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from monitor_lab import MonitorLab, row
from test_alarms import ALARM
from typer.testing import CliRunner

from evalkit.cli.monitor import monitor
from evalkit.errors import InputError
from evalkit.monitor.alarms import write_alerts
from evalkit.monitor.sampled_texts import id_hash
from evalkit.operations.add_case import Review
from evalkit.operations.monitor_incident import incident_case

TEXT = """\
name: shop
logs: {format: jsonl, id: id, at: at, input: question, output: answer, contexts: docs}
cohorts: [topic]
scorers: [{length: {max: 3, unit: words}}]
sample: {per_day: 1000, most: 1.0}
KEEP
"""
REVIEW = Review(because="", reviewed_by="ana", today=datetime.date(2026, 9, 3), severity="high", reference="Nine.")


def lab_of(root: Path, keep: str = "keep: {days: 30}") -> MonitorLab:
    """A monitor with calls, of which one has personal data."""
    lab = MonitorLab(root, TEXT.replace("KEEP", keep))
    rows: list[dict[str, Any]] = [row(number, number * 60.0, answer="One two three four.") for number in range(60)]
    rows[57] |= {"question": "I am Ada, ada@post.example. When do you open?", "docs": ["We open at ten."]}
    lab.log(rows)
    lab.take()
    return lab


def test_a_call_becomes_a_case_without_personal_data(tmp_path: Path) -> None:
    """The id of the call is kept as a hash; contexts and answer of the failed call are no part of the case."""
    lab = lab_of(tmp_path)
    found = incident_case(lab.file, "call-57", REVIEW, tmp_path / "golden.jsonl")
    assert found.failed == ("length",)
    assert found.answer == "One two three four."
    made = dict(found.case.row)
    source = made.pop("source")
    assert {name: source[name] for name in ("monitor", "day")} == {"monitor": "shop", "day": "2026-09-01"}
    assert len(source["id_hash"]) == 16
    assert made == {
        "id": f"shop-2026-09-01-{source['id_hash'][:6]}",
        "input": "I am Ada, [EMAIL_1]. When do you open?",
        "cohorts": {"topic": "cards"},
        "kind": "regression",
        "severity": "high",
        "reference": "Nine.",
        "origin": "incident",
        "because": "monitor shop",
        "since": "2026-09-03",
        "reviewed_by": "ana",
    }
    assert "call-57" not in json.dumps(found.case.row)
    assert not (tmp_path / "golden.jsonl").exists()
    early = incident_case(lab.file, "call-3", REVIEW, tmp_path / "golden.jsonl")
    assert "cohorts" not in early.case.row  # `other` is the value of the first calls, not their topic


def test_the_command_shows_each_change_and_adds_the_case(tmp_path: Path) -> None:
    """A second time the case is refused as a copy."""
    lab = lab_of(tmp_path)
    words = ["incident", str(lab.file), "call-57", "--to", str(tmp_path / "golden.jsonl"), "--reviewed-by", "ana"]
    done = CliRunner().invoke(monitor, [*words, "--needs-reference"])
    assert done.exit_code == 0, done.output
    assert "changed  I am Ada, {-ada@post.example-}{+[EMAIL_1]+}. When do you open?" in done.stdout
    assert "failed   length" in done.stdout
    assert "it counts when its reference is written" in done.stderr
    assert json.loads((tmp_path / "golden.jsonl").read_text(encoding="utf-8"))["needs_reference"] is True
    again = CliRunner().invoke(monitor, [*words, "--reference", "x"])
    assert isinstance(again.exception, InputError)
    assert "nearly the same as" in str(again.exception)


def test_the_hash_of_an_id_names_the_call(tmp_path: Path) -> None:
    """As alarms hold it."""
    lab = lab_of(tmp_path)
    by_id, by_hash = (
        incident_case(lab.file, name, REVIEW, tmp_path / "golden.jsonl") for name in ("call-57", id_hash("call-57"))
    )
    assert by_hash.case.row == by_id.case.row


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"because": "mail of joe@bank.de"}, "personal data or secrets in --because: EMAIL"),
        ({"cohorts": ("risk=a\x1b[31m",)}, "--cohort: 'risk=a\\x1b[31m' has characters that cannot be printed"),
        ({"cohorts": ("topic=loans",)}, "--cohort: topic=loans contradicts the logged topic=cards; leave it out"),
    ],
)
def test_what_a_person_adds_is_checked_too(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    """Personal data in the reason, and cohorts that are hostile or contradict those of the call."""
    lab = lab_of(tmp_path)
    with pytest.raises(InputError) as raised:
        incident_case(lab.file, "call-57", replace(REVIEW, **change), tmp_path / "golden.jsonl")
    assert message in str(raised.value)
    same = replace(REVIEW, cohorts=("topic=cards",))
    assert incident_case(lab.file, "call-57", same, tmp_path / "golden.jsonl").case.row["cohorts"] == {"topic": "cards"}


@pytest.mark.parametrize(
    ("keep", "call", "message"),
    [
        ("keep: {days: 30}", "call-99", "no text of a call 'call-99' is kept; name a sampled call of the last 30 days"),
        ("keep: {text: none}", "call-57", "set `keep: {text: sampled}`"),
    ],
)
def test_a_call_without_a_text_is_refused(tmp_path: Path, keep: str, call: str, message: str) -> None:
    """With what to do."""
    lab = lab_of(tmp_path, keep)
    with pytest.raises(InputError) as raised:
        incident_case(lab.file, call, REVIEW, tmp_path / "golden.jsonl")
    assert message in str(raised.value)


def test_cohorts_that_every_case_of_the_set_has_are_asked_for(tmp_path: Path) -> None:
    """A suite that reports by one would refuse the set."""
    lab, golden = lab_of(tmp_path), tmp_path / "golden.jsonl"
    golden.write_text('{"id": "a", "input": "Who?", "cohorts": {"risk": "low"}}\n', encoding="utf-8")
    with pytest.raises(InputError, match="no cohort 'risk', which every case of the set has; give --cohort risk=VALUE"):
        incident_case(lab.file, "call-3", REVIEW, golden)
    words = ["incident", str(lab.file), "call-3", "--to", str(golden), "--reviewed-by", "ana", "--reference", "x"]
    done = CliRunner().invoke(monitor, [*words, "--cohort", "risk=high"])
    assert done.exit_code == 0, done.output
    assert json.loads(golden.read_text(encoding="utf-8").splitlines()[1])["cohorts"]["risk"] == "high"
    bad = CliRunner().invoke(monitor, [*words, "--cohort", "risk"])
    assert "write --cohort risk=high" in str(bad.exception)


def test_the_alarm_that_names_the_call_is_the_reason(tmp_path: Path) -> None:
    """If nobody gives another."""
    lab = lab_of(tmp_path)
    write_alerts(lab.folder, [replace(ALARM, examples=(id_hash("call-57"),))])
    found = incident_case(lab.file, "call-57", REVIEW, tmp_path / "golden.jsonl")
    assert found.case.row["because"] == f"alarm {ALARM.metric} {ALARM.cohort} since {ALARM.began}"
    other = incident_case(lab.file, "call-57", replace(REVIEW, because="INC-7"), tmp_path / "golden.jsonl")
    assert other.case.row["because"] == "INC-7"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With the command that makes it."""
    lab = lab_of(tmp_path)
    with pytest.raises(InputError, match=r"--to: .*golden is not a folder; make it first: mkdir .*golden"):
        incident_case(lab.file, "call-57", REVIEW, tmp_path / "golden" / "cases.jsonl")


def test_a_dry_run_shows_question_and_answer(tmp_path: Path) -> None:
    """They are the texts that the monitor keeps, with control characters escaped."""
    lab = lab_of(tmp_path)
    words = ["incident", str(lab.file), "call-57", "--to", str(tmp_path / "golden.jsonl"), "--needs-reference"]
    ended = CliRunner().invoke(monitor, [*words, "--reviewed-by", "YOU", "--dry-run"])
    assert ended.exit_code == 0, ended.output
    lines = ended.stdout.splitlines()
    assert "question I am Ada, ada@post.example. When do you open?" in lines
    assert "answer   One two three four." in lines
    assert not (tmp_path / "golden.jsonl").exists()
