"""Logs of the demonstration's assistant: one cohort gets worse on day 21, some users write personal data."""

from __future__ import annotations

import asyncio
import datetime
import io
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from evalkit.monitor.deidentify import NameList, deidentify, kinds_left
from evalkit.operations.monitor_take import TakeRequest, take
from suites.compliance.traffic import DOMAINS, Traffic, TrafficCall, days_of, main

ROOT = Path(__file__).parents[2]
UNTIL = datetime.date(2026, 11, 28)
TRAFFIC = Traffic(until=UNTIL, calls=4_000)


@pytest.fixture(scope="module")
def days() -> list[tuple[datetime.date, list[TrafficCall]]]:
    """Thirty days of calls."""
    return list(days_of(TRAFFIC))


def refused(calls: list[TrafficCall], domain: str) -> float:
    """Share of the answers in a domain without a source."""
    own = [call for call in calls if call.domain == domain]
    return sum(not call.docs for call in own) / len(own)


def test_one_domain_gets_worse_on_day_21(days: list[tuple[datetime.date, list[TrafficCall]]]) -> None:
    """The others stay within ten points; the last day is that of the request, and weekends are quieter."""
    assert [date for date, _ in days] == [UNTIL - datetime.timedelta(days=back) for back in reversed(range(30))]
    before = [call for _, calls in days[:20] for call in calls]
    after = [call for _, calls in days[20:] for call in calls]
    assert len(before) + len(after) == pytest.approx(4_000, abs=30)
    for domain in DOMAINS:
        fall = refused(after, domain) - refused(before, domain)
        assert fall > 0.2 if domain == "aml" else abs(fall) < 0.1, domain
    counts = {date: len(calls) for date, calls in days}
    assert max(n for date, n in counts.items() if date.weekday() >= 5) < min(
        n for date, n in counts.items() if date.weekday() < 5
    )


def test_personal_data_can_be_removed(days: list[tuple[datetime.date, list[TrafficCall]]]) -> None:
    """About six in a hundred questions hold some, of four kinds, all invented; nothing is left of them."""
    from suites.compliance.traffic import NAMES

    names = NameList.of(NAMES)
    asked = [call.question for _, calls in days for call in calls][:1_000]
    kinds = Counter(kind for question in asked for kind in kinds_left(question, names))
    assert set(kinds) == {"EMAIL", "PHONE", "IBAN", "NAME"}
    assert 0.04 < sum(kinds.values()) / len(asked) < 0.08
    assert kinds_left(deidentify(asked, names).value, names) == ()


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    """A file a day; another seed gives other calls."""
    words = ["--until", "2026-11-28", "--days", "3", "--calls", "90"]
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert main([str(tmp_path / name), *words, "--seed", seed]) == 0
    files = {name: [file.read_bytes() for file in sorted((tmp_path / name).iterdir())] for name in "abc"}
    assert len(files["a"]) == 3
    assert files["a"] == files["b"] != files["c"]


MONITOR = """\
name: traffic-NAME
logs: LOGS
cohorts: COHORTS
scorers: [leak]
sample: {per_day: 1000, most: 1.0}
keep: {days: 60}
"""


@pytest.mark.parametrize("kind", ["jsonl", "otlp"])
def test_a_monitor_takes_every_call(tmp_path: Path, kind: str) -> None:
    """With question, answer, passages, session and cohorts, from rows and from traces."""
    (tmp_path / "pyproject.toml").touch()
    main([str(tmp_path / "logs"), "--until", "2026-11-28", "--days", "2", "--calls", "120", "--format", kind])
    logs = {
        "jsonl": "{format: jsonl, input: question, output: answer, contexts: docs, session: session}",
        "otlp": "{format: otlp}",
    }[kind]
    cohorts = {"jsonl": "[domain, tier]", "otlp": "{domain: app.domain, tier: app.tier}"}[kind]
    file = tmp_path / "monitor.yaml"
    file.write_text(MONITOR.replace("NAME", kind).replace("LOGS", logs).replace("COHORTS", cohorts), encoding="utf-8")
    now = datetime.datetime(2026, 11, 29, 12, tzinfo=datetime.UTC).timestamp() + 3_600
    request = TakeRequest(
        file=file, logs=[str(tmp_path / "logs")], env={}, now=lambda: max(now, _soon()), stdin=io.BytesIO()
    )
    taken = asyncio.run(take(request))
    n_calls = sum(len(calls) for _, calls in days_of(Traffic(until=UNTIL, days=2, calls=120)))
    assert (taken.n_scored, taken.n_refused) == (n_calls, 0)
    rows = [
        json.loads(line)
        for each in sorted((tmp_path / "monitors" / f"traffic-{kind}" / "sampled").rglob("rows.jsonl"))
        for line in each.read_text(encoding="utf-8").splitlines()
    ]
    assert len(rows) == taken.n_sampled > 60
    assert any("Article" in json.dumps(row) for row in rows)


def _soon() -> float:
    """A minute from now: a trace counts when its file has not grown for half a minute."""
    return datetime.datetime.now(datetime.UTC).timestamp() + 60


def test_the_demonstration_ends_as_it_should() -> None:
    """An alarm names the cohort, its incident becomes a case, and the case holds the next release."""
    script = ROOT / "suites" / "monitoring_demonstration.py"
    ran = subprocess.run(
        [sys.executable, str(script), "--calls", "6000"], capture_output=True, text=True, check=False, timeout=900
    )
    assert ran.returncode == 0, ran.stdout[-3_000:] + ran.stderr[-3_000:]
    assert "it names the cohort, after day 21: as it should be" in ran.stdout
