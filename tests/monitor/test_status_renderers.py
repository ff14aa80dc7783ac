"""One status, shown in a terminal, as Markdown, for Prometheus and as JSON."""

import dataclasses
import io
import json
import re

import pytest
from rich.console import Console

from evalkit.report.monitor.console import print_status
from evalkit.report.monitor.markdown import status_markdown
from evalkit.report.monitor.prometheus import status_prometheus
from evalkit.report.monitor.record import status_json
from evalkit.report.monitor.status import Alarm, AmountLine, InputLine, SpendLine, Status, StreamLine
from evalkit.report.next_steps import NextStep
from evalkit.results import Estimate
from evalkit.stats.burn_rate import burn_rates

ALARM = Alarm(
    id="alarm citation.passed topic=cards 2026-07-14",
    level="alarm",
    metric="citation.passed",
    cohort="topic=cards",
    score_key="aaaaaaaaaaaa",
    is_rate=True,
    began="2026-07-14",
    ended=None,
    end_reason="",
    window=7,
    at="2026-07-19",
    was=0.897,
    now=0.794,
    n=1399.7,
    statistic=8.73,
    threshold=4.6,
    per_year=0.05,
    examples=("call-1", "call-2"),
)
LINE = StreamLine(
    metric="citation.passed",
    cohort="topic=cards",
    score_key="aaaaaaaaaaaa",
    is_rate=True,
    higher_is_better=True,
    judge="",
    trusted=True,
    was=0.897,
    now=Estimate(value=0.794, low=0.772, high=0.814, n=1400),
    state="alarm",
    statistic=8.73,
    window=7,
    finds_7=0.049,
    finds_30=0.030,
    a_day=200.0,
)
STATUS = Status(
    monitor="support",
    checked="2026-07-20T00:01:00+00:00",
    state="alarm",
    exit_code=1,
    cannot_say=("the judge is not trusted: correctness has no calibration",),
    reference=("2026-06-01", "2026-06-28"),
    first="2026-07-13",
    last="2026-07-19",
    calls=2100,
    judged=1081,
    alarm_threshold=4.6,
    warning_threshold=3.95,
    alarms_per_year=0.05,
    warnings_per_year=1.0,
    alarms=(ALARM,),
    streams=(
        LINE,
        dataclasses.replace(LINE, cohort="", metric="correctness.passed", judge="gpt-4o", trusted=False, state="quiet"),
        dataclasses.replace(
            LINE, cohort="", metric="steps", is_rate=False, was=2.5, finds_7=0.2, finds_30=None, state="quiet"
        ),
        dataclasses.replace(
            LINE, metric="new", was=None, state="not watched", finds_7=None, finds_30=None, note="not in the reference"
        ),
        dataclasses.replace(
            LINE,
            metric="rare",
            state="quiet",
            now=Estimate(value=None, reason="no values"),
            finds_7=None,
            finds_30=None,
        ),
    ),
    amounts=(AmountLine(metric="latency_s", n=2100, p50=0.99, p95=2.3, was_p50=0.99, was_p95=2.2),),
    spend=SpendLine(period_usd=16.8, budget_usd=100.0, rates=burn_rates([0.1] * 6, 100.0), times_last_week=1.2),
    inputs=(InputLine(name="topic", p=0.003, moved=True, psi=0.12, what="topic=loans 4.0% → 11.0%"),),
    notes=("no calls on 2026-07-15",),
    next=(NextStep("make a reference", "evalkit monitor reference support.yaml --from 2026-06-01 --to 2026-06-28"),),
)


def printed(status: Status, *, verbose: bool = False) -> str:
    """What a terminal of 80 columns shows."""
    file = io.StringIO()
    print_status(status, Console(width=80, file=file, highlight=False, markup=False, emoji=False), verbose=verbose)
    return file.getvalue()


def test_a_terminal_shows_what_why_and_what_next() -> None:
    """State first, then the alarm with its reason; no line is wider than 80 columns but a command to copy."""
    text = printed(STATUS)
    lines = text.splitlines()
    assert lines[0] == "ALARM  support: 1 alarm, inputs moved: topic"
    at = lines.index("ALARM   citation.passed, topic=cards")
    assert lines[at + 1].strip() == "89.7% → 79.4% in 7 days, 1,400 effective answers"
    assert lines[at + 2].strip() == "since 2026-07-14 · T 8.7, threshold 4.6 · by chance once in 20 years"
    assert "4.9 / 3.0 pts" in text
    assert "cannot say  the judge is not trusted" in text
    assert "correctness.passed *" in text
    assert "inputs by topic: moved (p 0.003, PSI 0.12): topic=loans 4.0% → 11.0%" in " ".join(text.split())
    wide = [line for line in lines if len(line) > 80]
    assert all("evalkit monitor reference" in line for line in wide)
    assert "rare" not in text
    assert "none: too few answers" in printed(STATUS, verbose=True)


def test_a_quiet_monitor_says_so_in_one_line() -> None:
    """Without alarms nothing shouts."""
    quiet = dataclasses.replace(STATUS, state="quiet", exit_code=0, alarms=(), cannot_say=(), inputs=(), next=())
    assert printed(quiet).splitlines()[0] == "QUIET  support: nothing has become worse than the reference"
    without = dataclasses.replace(quiet, state="cannot say", reference=None)
    assert printed(without).splitlines()[0] == "CANNOT SAY  support: no reference to compare with"


def test_alarms_that_ended_are_shown_on_request() -> None:
    """With the reason."""
    ended = dataclasses.replace(ALARM, ended="2026-07-19", end_reason="the figures are back")
    status = dataclasses.replace(STATUS, alarms=(ended,), state="quiet")
    assert "until 2026-07-19" not in printed(status)
    assert "until 2026-07-19 (the figures are back)" in " ".join(printed(status, verbose=True).split())


def test_a_budget_is_exceeded_in_words() -> None:
    """Without a chance, as it is a rule."""
    burn = {"was": 0.14, "now": 2.5, "n": 6.0, "statistic": 18.0, "threshold": 6.0, "per_year": None}
    spend = dataclasses.replace(ALARM, metric="spend_usd_per_hour", is_rate=False, **burn)  # type: ignore[arg-type]
    text = printed(dataclasses.replace(STATUS, alarms=(spend,)))
    assert "$2.50 an hour in the last 6 hours, 18.0 times the pace of the budget" in text
    assert "allowed: 6 times" in text


def test_a_step_with_a_hostile_id_is_one_line_of_the_terminal() -> None:
    """No escape sequence and no line of its own reaches the screen, in the text or in the command."""
    from evalkit.report.next_steps import NextStep

    hostile = "\x1b[31mjoe@bank.de\n20642-7<b>"
    text = printed(dataclasses.replace(STATUS, next=(NextStep(f"read {hostile}", f"evalkit x '{hostile}'"),)))
    assert "\x1b" not in text
    assert "<U+001B>[31mjoe@bank.de 20642-7<b>:" in text
    assert "evalkit x '<U+001B>[31mjoe@bank.de<U+000A>20642-7<b>'" in text


def test_markdown_escapes_what_comes_from_logs() -> None:
    """A cohort with a pipe, a link and a line end stays in its cell."""
    hostile = "topic=a|b](http://x)\n# heading `code`"
    status = dataclasses.replace(
        STATUS,
        alarms=(dataclasses.replace(ALARM, cohort=hostile, examples=("id`|\n",)),),
        streams=(dataclasses.replace(LINE, cohort=hostile),),
    )
    text = status_markdown(status)
    assert not re.search(r"^# heading", text, re.MULTILINE)
    rows = [line for line in text.splitlines() if line.startswith("| alarm")]
    assert len(rows) == 1
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 7
    assert text.count("\n# ") == 0
    assert "\x1b" not in printed(dataclasses.replace(status, monitor="a\x1b[2J"))


def test_prometheus_reads_what_is_written() -> None:
    """Gauges with their type once, labels escaped, no times, and no sample of what is unknown."""
    status = dataclasses.replace(STATUS, streams=(*STATUS.streams, dataclasses.replace(LINE, cohort='topic=a"b\\c\nd')))
    text = status_prometheus(status)
    sample = re.compile(r'[a-z_]+\{([a-z]+="(?:[^"\\\n]|\\["\\n])*",?)+\} -?[0-9.e+-]+')
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(sample.fullmatch(line) for line in samples), [line for line in samples if not sample.fullmatch(line)]
    assert len(samples) == len({line.rpartition(" ")[0] for line in samples})
    rate = 'evalkit_rate{monitor="support",metric="citation.passed",cohort="topic=cards",key="aaaaaaaaaaaa"} 0.794'
    assert rate in samples
    assert 'cohort="topic=a\\"b\\\\c\\nd"' in text
    assert (
        'evalkit_alarm{monitor="support",metric="citation.passed",cohort="topic=cards",key="aaaaaaaaaaaa"} 1' in samples
    )
    assert not any('metric="rare"' in line and line.startswith("evalkit_rate") for line in samples)
    assert not any('metric="new"' in line and line.startswith("evalkit_alarm") for line in samples)
    assert text.count("# TYPE evalkit_rate gauge") == 1
    assert text.endswith("\n")


def test_the_record_holds_everything() -> None:
    """Unknown figures are null, never 0."""
    record = json.loads(status_json(STATUS))
    assert record["format"] == 1
    assert record["alarms"][0]["examples"] == ["call-1", "call-2"]
    assert record["streams"][4]["now"]["value"] is None
    assert record["next"][0]["command"].startswith("evalkit monitor reference")
    assert {field.name for field in dataclasses.fields(Status)} <= record.keys()


@pytest.mark.parametrize("render", [status_markdown, status_prometheus, status_json])
def test_an_empty_status_renders(render) -> None:  # type: ignore[no-untyped-def]
    """Nothing is needed but the monitor."""
    lists = ("alarms", "streams", "amounts", "inputs", "notes", "next", "cannot_say")
    nothing: dict[str, object] = {name: () for name in lists} | {"spend": None, "reference": None}
    empty = dataclasses.replace(STATUS, **nothing)  # type: ignore[arg-type]
    assert render(empty)
    assert printed(empty)
