"""Write an import: suites, golden rows, stored outputs, labels, rubrics, and the list of what is missing."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evalkit.formats.yaml_flow import flow
from evalkit.imports.imported import FoundScorer, Imported, ImportedCase, ImportedSystem, StoredOutput
from evalkit.operations.import_systems import options_of, prompt_files, together
from evalkit.text.escaping import on_one_line
from evalkit.text.numbers import plural

SUITE, GOLDEN, ANSWERS, LABELS, NOTES, BOT = (
    *("suite.yaml", "golden.jsonl", "answers.jsonl", "labels.jsonl", "IMPORT.md", "bot.py"),
)
_STUB = {"command": ["python3", BOT]}
_STARTER = Path(__file__).with_name("starter") / "imported_bot.py"
_MOST_COHORTS, _MOST_VALUES = 10, 50
SIMULATOR = "gpt-4o"
"""Plays the users of an imported conversation until the suite names another model."""
_MOST_WORDS = 100_000
_NO_OTHER = "  # a suite needs a scorer; here the `checks` of each case decide"


def plays_user(imported: Imported) -> bool:
    """Tell whether a model is to play the user of a case, because no output of it is stored."""
    return any("user" in case.fields for case in imported.cases) and not imported.systems[0].outputs


def suite_files(imported: Imported) -> list[str]:
    """Return the names of the suites: one for all systems, or one for each if they cannot share it."""
    if together(imported.systems) is not None:
        return [SUITE]
    return [_numbered(SUITE, at) for at, _ in enumerate(imported.systems)]


def files_of(imported: Imported, source: str, counts_of: Mapping[str, tuple[int, int]]) -> dict[str, str]:
    """Return the text of every file by its name.

    Args:
        imported: what is to be written, all of it sound.
        source: name of the file that it comes from.
        counts_of: part -> how many there are, and how many are carried over.
    """
    files = {}
    alone = sum(len(system.outputs) for system in imported.systems) == len(
        {each.case_id for system in imported.systems for each in system.outputs}
    )
    recorded = {each.case_id: each.recorded for system in imported.systems for each in system.outputs if alone}
    rows = [_golden_row(case, recorded.get(case.id)) for case in imported.cases]
    several = together(imported.systems)
    for at, system in enumerate(imported.systems[:1] if several else imported.systems):
        files[_numbered(SUITE, at)] = _suite(imported, system, at, source, rows)
    files |= several.files if several else prompt_files(imported.systems)
    files[GOLDEN] = _json_lines(rows)
    for at, system in enumerate(imported.systems):
        if system.outputs:
            files[_numbered(ANSWERS, at)] = _json_lines(_answer_row(each) for each in system.outputs)
    if imported.labels:
        files[LABELS] = _json_lines(
            {
                "case_id": label.case_id,
                "answer_sha256": hashlib.sha256(label.text.encode("utf-8", "replace")).hexdigest(),
                "scorer": label.metric,
                "label": label.label,
                "rater": label.rater,
                "rater_kind": "person",
            }
            for label in imported.labels
        )
    files |= imported.rubrics
    if any(not system.outputs and system.options is None for system in imported.systems):
        files[BOT] = _STARTER.read_text(encoding="utf-8")
    files[NOTES] = _notes(imported, source, counts_of, [*files])
    return {name: text.encode("utf-8", "surrogatepass").decode("utf-8", "replace") for name, text in files.items()}


def _numbered(name: str, at: int) -> str:
    stem, dot, suffix = name.partition(".")
    return name if at == 0 else f"{stem}-{at + 1}{dot}{suffix}"


def _golden_row(case: ImportedCase, recorded: Mapping[str, Any] | None) -> dict[str, Any]:
    row = {"id": case.id, **case.fields}
    if case.checks:
        row["checks"] = [{each.kind: each.options} if each.options else each.kind for each in case.checks]
    values = {name: each.get("value") if isinstance(each, Mapping) else each for name, each in (recorded or {}).items()}
    if plain := {name: value for name, value in values.items() if isinstance(value, str | int | float)}:
        row["recorded"] = plain
    return row


def _answer_row(stored: StoredOutput) -> dict[str, Any]:
    ended = (
        {"output": stored.output}
        if stored.failure is None
        else {"failure": {"kind": "error", "message": stored.failure}}
    )
    return {
        "id": stored.case_id,
        "repeat": stored.repeat,
        **ended,
        **({"recorded": stored.recorded} if stored.recorded else {}),
    }


def _json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _suite(imported: Imported, system: ImportedSystem, at: int, source: str, rows: list[dict[str, Any]]) -> str:
    repeats = 1 + max((each.repeat for each in system.outputs), default=0)
    several = together(imported.systems)
    options = options_of(system, prompt_files(imported.systems))
    name = imported.name if several or len(imported.systems) == 1 else f"{imported.name} / {system.name}"
    replayed = {"replay": _numbered(ANSWERS, at)}
    scorers = _scorers(imported, system, rows)
    cohorts, decides = _cohorts(rows), _decides(scorers, rows)
    parts = [
        f"# Made by `evalkit import` from {on_one_line(source)}; {NOTES} says what is not carried over.",
        f"name: {flow(on_one_line(name)[:200])}",
        *([f"description: {flow(imported.description)}"] if imported.description else []),
        f"golden: {GOLDEN}",
        *(several.lines if several else (f"system: {flow(replayed if system.outputs else options or _STUB)}",)),
        *([f"release: {flow(several.names)}"] if several and decides else []),
        *([f"judge: {flow(imported.judge)}"] if imported.judge else []),
        *([f"conversation: {flow(_conversation(system, rows))}"] if imported.conversation else []),
        *([f"repeat: {repeats}"] if repeats > 1 else []),
        "scorers:",
        *(f"  - {flow({each.kind: each.options})[1:-1] if each.options else each.kind}" for each in scorers),
        *([_NO_OTHER] if scorers == [_any_answer(rows)] and not _decides(scorers, []) else []),
        *([f"cohorts: {flow(cohorts)}"] if cohorts else []),
        *([f"labels: [{LABELS}]"] if imported.labels else []),
        *(_gate(imported, several=bool(several)) if decides else ["# gate: no scorer of the source decides"]),
    ]
    return "".join(f"{part}\n" for part in parts)


def _conversation(system: ImportedSystem, rows: list[dict[str, Any]]) -> dict[str, Any]:
    longest = max(len(row.get("turns", ())) for row in rows)
    played = any("user" in row for row in rows) and not system.outputs
    return {"max_turns": max(20, longest), **({"user": {"chat": SIMULATOR}} if played else {})}


def _decides(scorers: list[FoundScorer], rows: list[dict[str, Any]]) -> bool:
    return any("checks" in row for row in rows) or not all(each.options.get("advisory") for each in scorers)


def _gate(imported: Imported, *, several: bool) -> list[str]:
    """Return the gate; several systems have no stored run in common to be compared with."""
    least = "failures: {severity: medium, max: 0}" if imported.all_pass else "pass_rate: {min: 0.80}"
    return ["gate:", f"  - {least}", *([] if several else ["  - no_regression: {baseline: main}"])]


def _scorers(imported: Imported, system: ImportedSystem, rows: list[dict[str, Any]]) -> list[FoundScorer]:
    """Return the scorers of the source, and others for what its rows expect beside them."""
    if imported.all_pass:  # the source says what makes a case pass
        return [*imported.scorers] or _scorers_for(rows, system) or [_any_answer(rows)]
    known = {each.kind for each in imported.scorers}
    found = [*imported.scorers, *(each for each in _scorers_for(rows, system) if each.kind not in known)]
    return found or [_any_answer(rows)]


def _any_answer(rows: list[dict[str, Any]]) -> FoundScorer:
    checked = any("checks" in row for row in rows)
    return FoundScorer("", "length", {"max": _MOST_WORDS, "advisory": True} if checked else {"min": 1, "max": 4000})


def _scorers_for(rows: list[dict[str, Any]], system: ImportedSystem) -> list[FoundScorer]:
    """Return scorers for the fields that the rows have."""
    checked = any("checks" in row for row in rows)
    reported = [each.output.keys() for each in system.outputs if each.output is not None]
    calls = all(keys & {"tool_calls", "messages", "trajectory"} for keys in reported)
    wanted = [
        ("token_f1", {"advisory": True} if checked else {"min": 0.5}, "reference"),
        *([("tool_calls", {"match": "any_order"}, "expected_tool_calls")] if calls else []),
        *([("state", {}, "expected_state")] if all("state" in keys for keys in reported) else []),
    ]
    found = []
    for kind, options, field in wanted:
        n_with = sum(row.get(field) not in (None, "") for row in rows)
        when = {} if n_with == len(rows) else {"when": {"has": field}}
        found += [FoundScorer("", kind, {**options, **when})] if n_with else []
    return found


def _cohorts(rows: list[dict[str, Any]]) -> list[str]:
    """Return the names of cohorts that every row has, with few values."""
    values: dict[str, list[str]] = {}
    for row in rows:
        for name, value in row.get("cohorts", {}).items():
            values.setdefault(name, []).append(value)
    few = [name for name, found in values.items() if len(found) == len(rows) and len(set(found)) <= _MOST_VALUES]
    return few[:_MOST_COHORTS]


def _notes(imported: Imported, source: str, counts: Mapping[str, tuple[int, int]], files: list[str]) -> str:
    lines = [
        f"# Import of {_cell(source)}",
        "",
        f"Format: {imported.kind}. Nothing was run, and no address was contacted.",
        "",
        "| what | in the source | carried over |",
        "| --- | --- | --- |",
        *(f"| {part}s | {found:,} | {carried:,} |" for part, (found, carried) in counts.items()),
        "",
        "## Not carried over, or in part",
        "",
    ]
    if imported.losses:
        lines += ["| place | what | what to do instead |", "| --- | --- | --- |"]
        lines += [f"| {_cell(loss.place)} | {_cell(loss.what)} | {_cell(loss.fix)} |" for loss in imported.losses]
    else:
        lines.append("Everything is carried over.")
    if plays_user(imported):
        lines += ["", f"The suite lets {SIMULATOR} play the user; name the model that you want under `conversation:`."]
    if imported.variables:
        lines += ["", "## Set before a run", ""]
        lines += [f"- `export {name}=...`: {_cell(what)}" for name, what in imported.variables.items()]
    lines += ["", "## Files", "", *(f"- `{_cell(name)}`" for name in files)]
    if any(each.recorded for system in imported.systems for each in system.outputs):
        n_recorded = Counter(bool(each.recorded) for system in imported.systems for each in system.outputs)[True]
        lines += [
            "",
            f"The other tool's verdicts on {plural(n_recorded, 'output')} are under `recorded`; they decide nothing.",
        ]
    return "".join(f"{line}\n" for line in lines)


def _cell(text: str) -> str:
    return on_one_line(text).replace("|", "\\|").replace("<", "&lt;")
