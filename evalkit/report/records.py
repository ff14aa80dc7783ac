"""Two records for people to complete: the release decision and the analysis of failures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from evalkit.report.markdown import MARKS, score_change
from evalkit.report.numbers import plural
from evalkit.report.page import line_markdown
from evalkit.report.survey import FailedCase, Rows, failed_scores, verdict_of
from evalkit.report.texts import code, plain
from evalkit.report.view import GateLine, View
from evalkit.types import Row

BLANK = "(to be filled in)"
_SAFETY = re.compile(r"safe|toxic|bias|inject|jailbreak|harm|refus|adversarial|canary|hallucin|faithful", re.IGNORECASE)
_PRIVACY = re.compile(r"pii|privacy|leak|gdpr|secret|redact|personal", re.IGNORECASE)
_LISTED = 100
_TEXT_CHARS = 600


def release_decision_markdown(view: View, manifest: Mapping[str, Any]) -> str:
    """Write the record of a release gate: what the run knows is filled in, what a person must add says so."""
    sections = [
        f"# Release decision: {plain(view.suite, 120)}",
        _fields(_identity(view, manifest)),
        f"## Decision of the gate\n\n**{view.word}**: {plain(view.headline)}" + _bullets(map(plain, view.reasons)),
        "## Quality\n\n" + _checks([line for line in view.gates if _topic(line) == "quality"]),
        "## Safety\n\n" + _checks([line for line in view.gates if _topic(line) == "safety"]),
        "## Privacy\n\n" + _checks([line for line in view.gates if _topic(line) == "privacy"]),
        "## Latency\n\n" + _resources(view, "seconds"),
        "## Cost\n\n" + _resources(view, "usd"),
        "## Trust in the judges\n\n" + _judges(view),
        "## Known failures\n\n" + _known_failures(view),
        "## Thresholds as they stood before the run\n\n" + _thresholds(view, manifest),
        f"## Residual risk\n\n{BLANK}" + _bullets(map(plain, view.notes)),
        f"## Human oversight\n\n{BLANK}: who watches the system in use, and how it is stopped.",
        "## Required follow-up\n\n" + _follow_up(view),
        _sign_off(),
    ]
    return "\n\n".join(sections) + "\n"


def failure_analysis_markdown(view: View, rows: Rows) -> str:
    """Group the failing cases by severity, metric and cohort, then list the worst with room for cause and mend."""
    tally = _Tally()
    for row in rows():
        tally.add(row, view)
    title = "Worst new failures" if view.failing_are_new else "Worst failures"
    sections = [
        f"# Failure analysis: {plain(view.suite, 120)}",
        f"**{view.word}**: {plain(view.headline)}",
        f"{tally.n_failed:,} of {tally.n:,} rows failed, {tally.n_errors:,} had no answer, "
        f"{tally.n_unscored:,} could not be scored in full.",
        "## Where they are",
        _counts("Severity", tally.severities),
        _counts("Metric", tally.metrics),
        _counts("Cohort", tally.cohorts),
        _counts("Against the baseline", tally.changes),
        f"## {title} ({min(len(view.failing), _LISTED):,} of {view.n_failing:,})" if view.failing else "",
        *(_case(number, failed) for number, failed in enumerate(view.failing[:_LISTED], 1)),
        "## Errors and missing scores\n\n" + _errors(view),
        f"## Patterns and next steps\n\n{BLANK}",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


class _Tally:
    """Counts of the rows that did not pass."""

    def __init__(self) -> None:
        self.n = self.n_failed = self.n_errors = self.n_unscored = 0
        self.severities: Counter[str] = Counter()
        self.metrics: Counter[str] = Counter()
        self.cohorts: Counter[str] = Counter()
        self.changes: Counter[str] = Counter()

    def add(self, row: Row, view: View) -> None:
        """Count one row."""
        verdict = verdict_of(row, view.advisory)
        self.n += 1
        self.n_errors += verdict == "system_error"
        self.n_unscored += verdict == "unscored"
        if verdict != "failed":
            return
        self.n_failed += 1
        self.severities[row.case.severity] += 1
        self.metrics.update(score.metric for score in failed_scores(row, view.advisory))
        self.cohorts.update(f"{name}={value}" for name, value in row.case.cohorts.items())
        if change := view.changes.get(row.case.id):
            self.changes[change] += 1


def _identity(view: View, manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was judged, against what, on which data."""
    system, golden = manifest.get("system") or {}, manifest.get("golden") or {}
    found = view.comparison
    return [
        ("System", _known(system.get("kind"))),
        ("Version", _known(system.get("version") or system.get("fingerprint"))),
        ("Baseline", _known(found.baseline_id) if found else "none: nothing was compared"),
        ("Data", _known(golden.get("path"))),
        ("Data version", f"{_known(golden.get('sha256'))}, {golden.get('n_cases', golden.get('n', 'unknown'))} cases"),
        ("Suite", _known(manifest.get("suite_file") or view.suite)),
        ("Run", _known(manifest.get("run_id"))),
        ("Run finished", _known(manifest.get("finished_at"))),
        ("Coverage", plain(view.coverage)),
        ("Partial run", plain(view.partial) if view.partial else "no"),
    ]


def _topic(line: GateLine) -> str:
    """Sort a check into the section of the record that its name speaks of."""
    words = f"{line.check.name} {line.check.metric} {line.check.cohort}"
    if line.check.metric.endswith(("_s", "_usd")):
        return "resources"
    return "privacy" if _PRIVACY.search(words) else "safety" if _SAFETY.search(words) else "quality"


def _checks(lines: list[GateLine]) -> str:
    """Checks that passed or ask for action in full; those short of evidence as a count."""
    if not lines:
        return f"{BLANK}: no check of this suite is named for it."
    said = [
        f"- {MARKS[line.outcome]}: {code(line.subject, 100)} {plain(line.now, 160)}, need {plain(line.need, 100)}"
        + (f", baseline {plain(line.base, 40)}, drop {plain(line.drop, 160)}" if line.drop else "")
        + (f": {plain(line.check.reason)}" if line.check.reason and not line.now else "")
        for line in lines
        if line.outcome != "insufficient evidence"
    ]
    thin = len(lines) - len(said)
    return "\n".join(
        [*said, f"- {MARKS['insufficient evidence']}: {plural(thin, 'check')}, in the report"] if thin else said
    )


def _resources(view: View, unit: str) -> str:
    """Overall figures of one unit, and the checks on it."""
    overall = view.resources[0].values if view.resources else ()
    measured = [(name, value) for name, value in zip(view.resource_metrics, overall, strict=False) if value]
    said = [f"- {code(name, 60)}: {plain(value, 160)}" for name, value in measured if view.styles[name].unit == unit]
    said += [
        f"- {MARKS[line.outcome]}: {code(line.subject, 100)} {plain(line.now, 160)}, need {plain(line.need, 100)}"
        for line in view.gates
        if view.styles[line.check.metric].unit == unit
    ]
    return "\n".join(said) or f"{BLANK}: not measured in this run."


def _judges(view: View) -> str:
    lines = [
        f"- {code(line.name, 80)} against {plain(line.agreement.rater_kind, 40)} in {code(line.agreement.cohort, 60)}: "
        f"kappa {plain(line.kappa, 160)}, {line.n:,} labels: {line.verdict}"
        for line in view.judges
    ]
    lines += [f"- {plain(sentence, 300)}" for sentence in view.corrections]
    return "\n".join(lines) or "No judge was compared with people in this run."


def _known_failures(view: View) -> str:
    """The worst failures with an empty remediation column."""
    if not view.failing:
        return "None in this run."
    rows = [_known_failure(failed, view.changes) for failed in view.failing]
    hidden = view.n_failing - len(rows)
    tail = f"\n\n{hidden:,} more are in the report." if hidden > 0 else ""
    head = "| Case | Severity | Failed on | Against the baseline | Remediation |\n| --- | --- | --- | --- | --- |"
    return "\n".join([head, *rows]) + tail


def _known_failure(failed: FailedCase, changes: Mapping[str, str]) -> str:
    row = failed.row
    metrics = ", ".join(code(score.metric, 60, in_table=True) for score in failed.failed)
    change = changes.get(row.case.id, "not compared")
    case_id = code(row.case.id, 80, in_table=True)
    return f"| {case_id} | {row.case.severity} | {metrics or row.state} | {change} | {BLANK} |"


def _thresholds(view: View, manifest: Mapping[str, Any]) -> str:
    """Each threshold once, with the number of cohorts that it holds for."""
    held = Counter((line.check.name, line.check.metric, line.need) for line in view.gates)
    rows = [
        f"| {code(name, 80, in_table=True)} | {code(metric, 80, in_table=True)} | {plain(need)} | {count} | {BLANK} |"
        for (name, metric, need), count in sorted(held.items())
    ]
    place = code(str(manifest.get("suite_file") or view.suite), 120)
    head = ["| Check | Metric | Need | Cohorts | Why this value |", "| --- | --- | --- | --- | --- |"]
    return f"Read from {place}, which was fixed before the first call of this run.\n\n" + "\n".join([*head, *rows])


def _follow_up(view: View) -> str:
    said = [f"- [ ] {code(line.subject, 100)}: {MARKS[line.outcome]}; owner and date {BLANK}" for line in view.pressing]
    return "\n".join(said) or f"{BLANK}: no check is open."


def _sign_off() -> str:
    rows = "\n".join(f"| {name} | {BLANK} |" for name in ("Decision", "Conditions", "Approvers", "Date"))
    return f"## Decision of the people\n\n| Field | Entry |\n| --- | --- |\n{rows}"


def _case(number: int, failed: FailedCase) -> str:
    """One failing case with its texts and its blanks."""
    row = failed.row
    answer = row.output.text if row.output else f"no answer: {row.failure.message}" if row.failure else "no answer"
    lines = [
        f"### {number}. {code(row.case.id, 80)} ({row.case.severity}, {row.case.kind})",
        "",
        f"- Input: {code(row.case.question, _TEXT_CHARS)}",
        f"- Answer: {code(answer, _TEXT_CHARS)}",
        *(f"- Reference: {code(text, _TEXT_CHARS)}" for text in row.case.reference[:2]),
    ]
    if failed.before is not None and failed.before.output is not None:
        lines.append(f"- Answer of the baseline: {code(failed.before.output.text, _TEXT_CHARS)}")
    lines += [
        f"- {line_markdown(score_change(score, failed))}: {plain(score.reason) or 'no reason given'}"
        for score in failed.failed
    ]
    return "\n".join([*lines, f"- Cause: {BLANK}", f"- Remediation: {BLANK}"])


def _counts(title: str, counts: Counter[str]) -> str:
    if not counts:
        return ""
    rows = [
        f"| {code(name, 80, in_table=True)} | {count:,} |"
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    return "\n".join([f"| {title} | Failed |", "| --- | --- |", *rows[:_LISTED]])


def _errors(view: View) -> str:
    lines = [
        f"- {line.state} {code(line.kind, 60)} × {line.count:,}"
        + (f", first {code(line.example.case_id, 60)}: {code(line.example.message)}" if line.example else "")
        for line in view.errors
    ]
    return "\n".join(lines) or "None."


def _fields(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join(["| Field | Value |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in pairs)])


def _bullets(texts: Iterable[str]) -> str:
    lines = [f"- {text}" for text in texts]
    return "\n\n" + "\n".join(lines) if lines else ""


def _known(value: object) -> str:
    return code(str(value), 120, in_table=True) if value not in (None, "") else BLANK
