"""Write the release decision and the analysis of failures, for people to complete."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from evalkit.formats.manifest import Manifest
from evalkit.report.gate_lines import GateLine
from evalkit.report.judges import JudgeLine
from evalkit.report.markdown import MARKS, judge_lines
from evalkit.report.markdown_changes import amendment_line
from evalkit.report.page import line_markdown
from evalkit.report.survey import FailedCase
from evalkit.report.view import View
from evalkit.results import OVERALL
from evalkit.text.numbers import RESOURCES, plural
from evalkit.text.printable import code, plain

BLANK = "(to be filled in)"
NO_REASON = "the suite gave none"
"""Placeholder for the reason of a threshold; a reason written after the run would not count as given before it."""
_RISKY_COHORTS = frozenset({"kind=adversarial", "kind=canary"})
"""Kinds of cases that count as safety cases."""
_SAFETY_RULES = frozenset({"canary", "attack_success"})
"""Rules of a gate that are about safety, whatever scorer they read."""
_LISTED = 100
_FEW_CHECKS = 12
_KINDS = 5
_TEXT_CHARS = 600


def release_decision_markdown(view: View, manifest: Manifest) -> str:
    """Write the record of a release gate: known facts are filled in, blanks are marked for people."""
    sections = [
        f"# Release decision: {plain(view.suite, 120)}",
        f"## Decision of the gate\n\n**{view.word}**: {plain(view.headline)}",
        "### Why\n\n" + _reasons(view),
        "### Next\n\n" + _next(view),
        "## What was judged\n\n" + _fields(_identity(view, manifest)),
        "## Quality\n\n" + _checks([line for line in view.gates if _topic(line, view) == "quality"]),
        "## Safety\n\n" + _checks([line for line in view.gates if _topic(line, view) == "safety"]),
        "## Privacy\n\n" + _checks([line for line in view.gates if _topic(line, view) == "privacy"]),
        "## Latency\n\n" + _resources(view, "seconds"),
        "## Cost\n\n" + _resources(view, "usd", "amount"),
        "## Trust in the judges\n\n" + _judges(view),
        "## Known failures\n\n" + _known_failures(view),
        "## Thresholds as they stood before the run\n\n" + _thresholds(view, manifest),
        "## Rules, labels and cases that changed\n\n" + _amendments(view),
        f"## Residual risk\n\n{BLANK}" + _bullets([*_unseen(view), *map(plain, view.notes)]),
        f"## Human oversight\n\n{BLANK}: who watches the system in use, and how it is stopped.",
        "## Required follow-up\n\n" + _follow_up(view),
        _sign_off(view),
    ]
    return "\n\n".join(sections) + "\n"


def _reasons(view: View) -> str:
    """Return each reason, the kinds of failures, and what else moved."""
    lines = [*view.reasons, *(str(line) for line in view.kinds[:_KINDS])]
    lines += [f"What else moved: {' · '.join(map(str, view.shifts))}"] * bool(view.shifts)
    return "\n".join(f"- {plain(line)}" for line in lines) or "No check asks for action."


def _next(view: View) -> str:
    steps = (f"- {plain(step.text)}" + (f": {code(step.command, 300)}" if step.command else "") for step in view.next)
    return "\n".join(steps) or "Nothing to do."


def _identity(view: View, manifest: Manifest) -> list[tuple[str, str]]:
    """Return the section on the system, the baseline and the data."""
    system, golden = manifest.system, manifest.golden
    found = view.comparison
    return [
        ("System", _known(system.kind)),
        ("Version", _known(system.identity)),
        ("Baseline", _known(found.baseline_id) if found else "none: nothing was compared"),
        ("Data", _known(golden.path)),
        ("Data version", f"{_known(golden.sha256)}, {golden.n_cases} cases"),
        ("Suite", _known(manifest.suite_file)),
        ("Suite version", _known(manifest.suite_sha256)),
        ("Commit", _known(manifest.commit)),
        ("Run", _known(manifest.run_id)),
        ("Run finished", _known(manifest.finished_at)),
        ("Coverage", plain(view.coverage)),
        ("Partial run", plain(view.partial) if view.partial else "no"),
    ]


def _topic(line: GateLine, view: View) -> str:
    """Choose the section that shows a check, by the `concern` of its scorer and not by its name."""
    check = line.check
    if view.styles[check.metric].unit in RESOURCES:
        return "resources"
    if check.name in _SAFETY_RULES or check.cohort in _RISKY_COHORTS:
        return "safety"
    metric = view.declared.get(check.metric) or view.declared.get(check.metric.removesuffix(".passed"))
    return metric.concern if metric else "quality"


def _checks(lines: list[GateLine]) -> str:
    """Return in full the checks that ask for action or passed overall; if there are many others, count them."""
    if not lines:
        return f"{BLANK}: no check of this suite bears on it (a scorer declares that with `concern:`)."
    shown = [line for line in lines if line.outcome != "insufficient evidence" and not _passed_in_a_cohort(line)]
    if len(lines) <= _FEW_CHECKS:
        shown = [line for line in lines if line.outcome != "insufficient evidence"]
    said = [
        _held(line)
        + (f", baseline {plain(line.base, 40)}, drop {plain(line.drop, 160)}" if line.drop else "")
        + (f": {plain(line.check.reason)}" if line.check.reason and not line.now else "")
        for line in shown
    ]
    counts = Counter(line.outcome for line in lines if line not in shown)
    said += [f"- {MARKS['pass']}: {plural(counts['pass'], 'check')} by cohort, in the report"] * bool(counts["pass"])
    thin = counts["insufficient evidence"]
    said += [f"- {MARKS['insufficient evidence']}: {plural(thin, 'check')}, in the report"] * bool(thin)
    return "\n".join(said)


def _held(line: GateLine) -> str:
    """Return a check with its figure, if it has one, and its requirement."""
    now = f" {plain(line.now, 160)}" if line.now else ""
    return f"- {MARKS[line.outcome]}: {code(line.subject, 100)}{now}, need {plain(line.need, 100)}"


def _passed_in_a_cohort(line: GateLine) -> bool:
    """Return whether a check is only counted, not listed."""
    return line.outcome == "pass" and line.check.cohort != OVERALL


def _resources(view: View, *units: str) -> str:
    """Return the overall figures with the given units, and the checks on them."""
    overall = view.resources[0].values if view.resources else ()
    by_cohort = [(name, value) for name, value in zip(view.resource_metrics, overall, strict=False) if value]
    measured = [*by_cohort, *view.resources_alone]
    said = [f"- {code(name, 60)}: {plain(value, 160)}" for name, value in measured if view.styles[name].unit in units]
    said += [_held(line) for line in view.gates if view.styles[line.check.metric].unit in units]
    return "\n".join(said) or f"{BLANK}: not measured in this run."


def _judges(view: View) -> str:
    lines = [f"- {line_markdown(line)}" for line in judge_lines(view)]
    lines += [
        f"- {code(line.name, 80)} in {code(line.agreement.cohort, 60)}, labels by {line.agreement.rater_kind}: "
        f"kappa of {line.scale} {plain(line.kappa, 160)}, {line.labels}: {line.verdict}"
        for line in view.judges
        if line.agreement.cohort != OVERALL
    ]
    lines += [f"- {plain(sentence)}" for sentence in view.cohort_corrections]
    return "\n".join(lines) or "No judge was compared with people in this run."


def _known_failures(view: View) -> str:
    """Return the worst failures with an empty remediation column."""
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
    runs = f" ({failed.runs})" if failed.runs else ""
    change = changes.get(row.case.id, "not compared")
    case_id = code(row.case.id, 80, in_table=True)
    return f"| {case_id} | {row.case.severity} | {metrics or row.state}{runs} | {change} | {BLANK} |"


def _thresholds(view: View, manifest: Manifest) -> str:
    """Return each threshold once, with the number of cohorts that it applies to."""
    held = Counter((line.check.name, line.check.metric, line.need, line.check.need) for line in view.gates)
    whys = _whys(manifest)
    rows = [
        f"| {code(name, 80, in_table=True)} | {code(metric, 80, in_table=True)} | {plain(need)} | {count} "
        f"| {plain(_why(name, written, whys)) or NO_REASON} |"
        for (name, metric, need, written), count in sorted(held.items())
    ]
    place = code(manifest.suite_file, 120)
    head = ["| Check | Metric | Need | Cohorts | Why this value |", "| --- | --- | --- | --- | --- |"]
    return f"Read from {place}, which was fixed before the first call of this run.\n\n" + "\n".join([*head, *rows])


def _whys(manifest: Manifest) -> list[tuple[str, str, str]]:
    """Return the name, text and reason of each gate entry, as recorded in the manifest before the first call."""
    found = []
    for entry in manifest.rules.gate if manifest.rules is not None else ():
        name, options = next(iter(entry.items())) if isinstance(entry, Mapping) and entry else (str(entry), None)
        why = options.get("why") if isinstance(options, Mapping) else None
        found.append((str(name), str(entry), str(why or "")))
    return found


def _why(name: str, need: str, whys: list[tuple[str, str, str]]) -> str:
    """Return the reason of the entry with that name; if there are several, the one with the same limit."""
    own = [(text, why) for entry, text, why in whys if entry == name]
    limit = re.search(r"\d+(?:\.\d+)?", need)
    same = [why for text, why in own if limit and re.search(rf"\b{re.escape(limit[0])}\b", text)]
    return next(iter(same or [why for _, why in own]), "")


def _amendments(view: View) -> str:
    lines = [f"- {line_markdown(amendment_line(each))}" for each in view.amendments]
    return "\n".join(lines) or "None that the base shows."


def _unseen(view: View) -> list[str]:
    """Return the drops that the run could not have detected."""
    thin = sum(line.outcome == "insufficient evidence" for line in view.gates)
    said = [f"{plural(thin, 'check')} had too little evidence to say anything."] if thin else []
    seen = [line for line in view.gates if line.smallest_drop and _passed_overall(line)]
    said += [
        f"{code(line.subject, 100)}: a drop below {plain(line.smallest_drop)} would probably not have been seen."
        for line in seen[:3]
    ]
    names = dict.fromkeys(line.name for panel in view.panels for line in panel.overall if _untrusted(line))
    return said + [f"{code(name, 80)} is not shown to agree with people." for name in names]


def _untrusted(line: JudgeLine) -> bool:
    return line.agreement.rater_kind == "person" and line.verdict != "trusted"


def _passed_overall(line: GateLine) -> bool:
    return line.outcome == "pass" and line.check.cohort == OVERALL


def _follow_up(view: View) -> str:
    said = [f"- [ ] {code(line.subject, 100)}: {MARKS[line.outcome]}" for line in view.pressing]
    return (
        "\n".join([f"{BLANK}: what is done, by whom and by when.\n", *said]) if said else f"{BLANK}: no check is open."
    )


def _sign_off(view: View) -> str:
    asked = view.reasons if view.outcome == "approved with conditions" else ()
    entries = {"Decision": "", "Conditions": "; ".join(map(plain, asked)), "Approvers": "", "Date": ""}
    rows = "\n".join(f"| {name} | {entry or BLANK} |" for name, entry in entries.items())
    return f"## Decision of the people\n\n| Field | Entry |\n| --- | --- |\n{rows}"


def _fields(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join(["| Field | Value |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in pairs)])


def _bullets(texts: Iterable[str]) -> str:
    lines = [f"- {text}" for text in texts]
    return "\n\n" + "\n".join(lines) if lines else ""


def _known(value: object) -> str:
    return code(str(value), 120, in_table=True) if value not in (None, "") else BLANK
