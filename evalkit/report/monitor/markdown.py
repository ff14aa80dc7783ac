"""Write the status of a monitor as Markdown, for a comment or a page."""

from __future__ import annotations

from collections.abc import Iterator

from evalkit.report.monitor import words
from evalkit.report.monitor.status import Alarm, Status, StreamLine
from evalkit.text.printable import code, plain

MOST_STREAMS = 200


def status_markdown(status: Status) -> str:
    """Return the whole status."""
    return "\n\n".join(filter(None, _sections(status))) + "\n"


def _sections(status: Status) -> Iterator[str]:
    yield f"# {words.STATES[status.state].capitalize()}: {plain(status.monitor, 120)}"
    yield f"{plain(words.headline(status))}. {plain(words.facts_line(status))}, checked {status.checked}."
    yield "\n".join(f"- **{alarm.level.upper()}** {_alarm(alarm)}" for alarm in status.alarms)
    if status.cannot_say:
        yield "## What cannot be said\n\n" + "\n".join(f"- {plain(each)}" for each in status.cannot_say)
    if status.streams:
        rows = "\n".join(_row(each) for each in status.streams[:MOST_STREAMS])
        hidden = len(status.streams) - MOST_STREAMS
        more = f"\n\n{hidden} more streams are in the JSON." if hidden > 0 else ""
        head = "| | stream | cohort | reference | now | finds in 7 / 30 days |\n|---|---|---|---|---|---|"
        yield f"## Streams\n\n{head}\n{rows}{more}"
    others = [words.amount_line(each) for each in status.amounts]
    others += [words.spend_words(status.spend)] if status.spend else []
    others += [words.input_words(each) for each in status.inputs]
    yield "\n".join(f"- {plain(each)}" for each in (*others, *status.notes))
    if status.next:
        yield "## Next\n\n" + "\n".join(
            f"- {plain(step.text)}" + (f": {code(step.command)}" if step.command else "") for step in status.next
        )


def _alarm(alarm: Alarm) -> str:
    ids = f"; failed: {', '.join(code(each, 120) for each in alarm.examples)}" if alarm.examples else ""
    return f"{plain(words.alarm_name(alarm))}: {plain(words.alarm_what(alarm))}, {plain(words.alarm_why(alarm))}{ids}"


def _row(line: StreamLine) -> str:
    judged = "" if line.trusted else " (judge not trusted)"
    cells = (
        line.state,
        code(line.metric, 120, in_table=True) + judged,
        code(words.cohort_of(line), 120, in_table=True),
        plain(words.was_of(line)),
        plain(words.now_of(line)),
        plain(words.finds_of(line)),
    )
    return f"| {' | '.join(cells)} |"
