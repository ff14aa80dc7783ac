"""Annotate a job's log: failed checks in the suite, new failures in the golden set."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.disk.files import read_file
from evalkit.report.survey import first_wrong
from evalkit.text.printable import one_line
from evalkit.types import SEVERITIES, WRONG, Row, verdict_of

MOST = 8
"""Maximum number of errors; a step shows ten of each kind, and one of them reports that the step failed."""
MOST_CASES = 10
"""Maximum number of warnings, which have their own limit, so that cases do not displace checks."""
_MESSAGE_CHARS = 300
_LINED = (".jsonl", ".ndjson", ".csv")
"""Suffixes of golden sets that a code host shows line by line."""

_NUMBER = re.compile("[1-9][0-9]{0,8}")


def annotations_of(checks: Iterable[Mapping[str, Any]], suite: Path, workspace: Path) -> list[str]:
    """Return at most `MOST` error annotations, the blocking ones first.

    Args:
        checks: checks of a decision.json.
        suite: the suite file that they were read from.
        workspace: folder that annotations name files from.
    """
    failed = [check for check in checks if check["outcome"] in ("block", "no decision")]
    failed.sort(key=lambda check: check["outcome"] != "block")
    places = _gate_lines(suite)
    file = _shown(suite, workspace)
    return [
        command("error", _words(check), file=file, line=str(_line(check, places)), title=f"evalkit: {_subject(check)}")
        for check in failed[:MOST]
    ]


def case_annotations(
    rows: Iterable[Row],
    new_failures: Sequence[str],
    root: Path,
    workspace: Path,
    advisory: frozenset[str] = frozenset(),
) -> list[str]:
    """Return at most `MOST_CASES` warnings, one for each new failure on the line of its case, the most severe first.

    Args:
        rows: rows of the run.
        new_failures: ids of cases, worst first among those of one severity.
        root: the project, to which the path of the golden set is relative.
        workspace: folder that annotations name files from; a case of a file elsewhere has no line to show.
        advisory: metrics that do not affect the decision.
    """
    order = {case_id: place for place, case_id in enumerate(new_failures)}
    failed: dict[str, Row] = {}
    for row in rows:
        if row.case.id in order and verdict_of(row, advisory) in WRONG:
            failed.setdefault(row.case.id, row)
    worst = sorted(failed.values(), key=lambda row: (-SEVERITIES.index(row.case.severity), order[row.case.id]))
    found: list[str] = []
    for row in worst:
        file, _, line = row.case.place.rpartition(":")
        if len(found) < MOST_CASES and _NUMBER.fullmatch(line) and _is_lined(root / file, workspace):
            title = f"evalkit: new failure of {one_line(row.case.id, 80)} ({row.case.severity})"
            place = {"file": _shown(root / file, workspace), "line": line}
            found.append(command("warning", str(first_wrong(row, advisory)), **place, title=title))
    return found


def _is_lined(file: Path, workspace: Path) -> bool:
    try:
        whole = file.resolve()
        return file.suffix in _LINED and whole.is_file() and whole.is_relative_to(workspace.resolve())
    except (OSError, ValueError):  # a place of a stored row that no file can have
        return False


def command(name: str, message: str, **properties: str) -> str:
    """Format one runner command, escaped so that its text cannot end it or start another."""
    given = ",".join(f"{key}={_escaped(one_line(value, 200), ':,')}" for key, value in properties.items())
    return f"::{name}{' ' + given if given else ''}::{_escaped(one_line(message, _MESSAGE_CHARS))}\n"


def _escaped(text: str, more: str = "") -> str:
    return "".join(f"%{ord(char):02X}" if char in "%\r\n" + more else char for char in text)


def _subject(check: Mapping[str, Any]) -> str:
    what = check["metric"] or check["name"]
    return what if check["cohort"] in ("overall", "") else f"{what} in {check['cohort']}"


def _words(check: Mapping[str, Any]) -> str:
    seen = (check.get("observed") or {}).get("value")
    now = "" if seen is None else f"{seen:.3g}, "
    was = "" if check.get("baseline") is None else f"was {check['baseline']:.3g}, "
    reason = f": {check['reason']}" if check.get("reason") else ""
    return f"{check['name']} {now}{was}need {check['need']}{reason}"


def _gate_lines(suite: Path) -> list[tuple[str, str, int]]:
    """Return name, text and line of every entry below `gate:`; empty if the file cannot be read any more."""
    from evalkit.errors import EvalkitError
    from evalkit.formats.yaml_text import parse

    try:
        document = parse(read_file(suite), str(suite))
    except (OSError, EvalkitError):
        return []
    entries = document.value.get("gate")
    found = []
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        name = next(iter(entry), "") if isinstance(entry, dict) else str(entry)
        found.append((name, str(entry), document.marks.get(("gate", index), (1, 1))[0]))
    return found


def _line(check: Mapping[str, Any], places: list[tuple[str, str, int]]) -> int:
    """Return the line of the entry with that name and limit, else the first line."""
    own = [(text, line) for name, text, line in places if name == check["name"]]
    limit = next(iter(re.findall(r"\d+(?:\.\d+)?", check["need"])), None)
    same = [line for text, line in own if limit is not None and re.search(rf"\b{re.escape(limit)}\b", text)]
    return (same or [line for _, line in own] or [1])[0]


def _shown(suite: Path, workspace: Path) -> str:
    whole = suite.resolve()
    root = workspace.resolve()
    return whole.relative_to(root).as_posix() if whole.is_relative_to(root) else suite.as_posix()
