"""A monitor's file: what is read, and that every problem is reported at once with its place and fix."""

import re
from pathlib import Path

import pytest

from evalkit.errors import InputError
from evalkit.monitor.settings import load_monitor

GOOD = """\
name: support-prod
logs: {format: jsonl, id: trace_id, at: started_at, input: question, output: answer, contexts: docs, session: chat}
cohorts: [topic, language]
scorers: [{length: {max: 400}}, citation, {refusal: {}}]
judge: {chat: {model: gpt-4o-mini}}
sample: {per_day: 500, suspects: 0.5, budget_usd_per_day: 2}
alarms: {false_alarms: 0.05 per year, warn: 1 per month}
keep: {text: sampled, days: 14}
"""


def write(folder: Path, text: str) -> Path:
    """A monitor in a project."""
    (folder / "pyproject.toml").write_text("", encoding="utf-8")
    file = folder / "MONITOR.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_monitor_is_read(tmp_path: Path) -> None:
    """Columns, cohorts, scorers, the judge, the sample and the alarms."""
    monitor = load_monitor(write(tmp_path, GOOD))
    assert monitor.name == monitor.salt == "support-prod"
    assert monitor.cohorts == {"topic": "topic", "language": "language"}
    assert [entry.kind for entry in monitor.scorers] == ["length", "citation", "refusal"]
    assert monitor.judge is not None
    assert (monitor.options.logs.at, monitor.options.logs.latency_s) == ("started_at", None)
    assert (monitor.options.sample.per_day, monitor.options.sample.floor) == (500, 30)
    assert (monitor.options.alarms.alarms_per_year, monitor.options.alarms.warnings_per_year) == (0.05, 12.0)
    assert monitor.folder == tmp_path / "monitors" / "support-prod"
    assert monitor.suite.options.budget_usd == 2
    assert "OPENAI_API_KEY" in monitor.variables


def test_cohorts_may_have_other_columns(tmp_path: Path) -> None:
    """Name -> column."""
    text = "name: m\nlogs: {format: otlp}\ncohorts: {tier: app.customer.tier}\n"
    assert load_monitor(write(tmp_path, text)).cohorts == {"tier": "app.customer.tier"}


def test_a_monitor_cannot_wait_for_batches(tmp_path: Path) -> None:
    """It judges its calls at once."""
    with pytest.raises(InputError, match=r"judge: batch: a monitor judges its calls at once.*remove `batch: true`"):
        load_monitor(write(tmp_path, GOOD.replace("gpt-4o-mini}", "gpt-4o-mini, batch: true}")))


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    """Each with file, line and fix."""
    text = """\
name: support/prod
logs: {format: csv, ids: x}
scorers: [lenght]
judge: {local: mine}
sample: {per_day: 0, mots: 1}
alarms: {false_alarms: often}
keep: {text: all}
"""
    with pytest.raises(InputError) as caught:
        load_monitor(write(tmp_path, text), "MONITOR.yaml")
    shown = [re.sub(r"MONITOR.yaml:(\d+):\d+ ", r" \1 ", str(problem)) for problem in caught.value.problems]
    for part in (
        " 2 logs.format: expected one of jsonl, otlp, parquet, got 'csv'; choose from",
        " 2 logs.ids: unknown key; did you mean `id`?",
        " 3 scorers[0]: no scorer called 'lenght'; did you mean `length`?",
        " 4 judge.local: no local judge 'mine'",
        " 5 sample.mots: unknown key; did you mean `most`?",
        " 6 alarms.false_alarms: 'often' is not a rate above 0; write a number and its period",
        " 7 keep.text: expected one of sampled, none, got 'all'",
    ):
        assert any(line.startswith(part) for line in shown), (part, shown)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("name: a/b", "name: it names a folder"),
        ("sample: {per_day: 0}", "per_day: must be at least 1"),
        ("sample: {most: 0}", "most: must be above 0"),
        ("sample: {suspects: 1}", "suspects: must be at least 0"),
        ("sample: {budget_usd_per_day: 0}", "budget_usd_per_day: must be above 0"),
        ("alarms: {warn: 0.01 per year}", "warn: fewer false warnings than false alarms"),
        ("keep: {days: 0}", "days: must be 1 to 3,650"),
        ("cohorts: [a, a]", "cohorts: a name occurs twice"),
        ("cohorts: ['a=b']", "cohorts: 'a=b' cannot name a cohort"),
        ("concurrency: 0", "concurrency: expected 1"),
        ("logs: {format: otlp, id: x}", "id: a trace has its fields by convention"),
        ("logs: {format: jsonl, id: ''}", "id: empty; name the column"),
        ("scorers: [{length: {max: 9, over: turn}}]", "calls are graded one by one"),
    ],
)
def test_values_out_of_range_are_refused(tmp_path: Path, line: str, said: str) -> None:
    """With the key and the fix."""
    parts = {"name": "name: m", "logs": "logs: {format: jsonl}", line.partition(":")[0]: line}
    with pytest.raises(InputError) as caught:
        load_monitor(write(tmp_path, "\n".join(parts.values())))
    assert said in str(caught.value)


def test_a_missing_file_and_a_folder_are_problems(tmp_path: Path) -> None:
    """As for a suite."""
    write(tmp_path, GOOD)
    with pytest.raises(InputError, match=r"did you mean `MONITOR.yaml`"):
        load_monitor(tmp_path / "MONITR.yaml")
    with pytest.raises(InputError, match=r"not a monitor file"):
        load_monitor(tmp_path)
