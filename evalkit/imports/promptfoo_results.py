"""Read promptfoo's results: each column of its table is a system with stored outputs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from evalkit.formats.tool_calls import read_calls
from evalkit.golden.source_file import SourceFile
from evalkit.imports.ids_and_fields import is_number, own_field
from evalkit.imports.imported import Imported, ImportedSystem, PersonsLabel, StoredOutput
from evalkit.imports.promptfoo_assertions import MS
from evalkit.imports.promptfoo_tests import FoundTest, ReadTest, ReadTests, mapping_of, title_of


def is_results(source: SourceFile) -> bool:
    """Tell whether a file holds results: the JSON or the JSON Lines that `promptfoo eval -o` writes."""
    return _rows_of(source) is not None


def _rows_of(source: SourceFile) -> tuple[list[Any], tuple[str | int, ...]] | None:
    """Return the rows of results and their path; `None` for another file."""
    value = source.value
    if isinstance(value, Mapping):
        inner = value.get("results")
        keys: tuple[str | int, ...] = ("results",)
        named = "config" in value or "evalId" in value
        if isinstance(inner, Mapping):  # a list is what a program that calls promptfoo writes, or version 1
            inner, keys = inner.get("results"), ("results", "results")
        first = inner[0] if isinstance(inner, list) and inner else None
        named = named or (isinstance(first, Mapping) and {"gradingResult", "success", "prompt"} <= first.keys())
        return (inner, keys) if isinstance(inner, list) and named and (len(keys) > 1 or first is not None) else None
    first = source.first
    if source.rows and {"promptIdx", "testCase"} <= first.keys() and "success" in first:
        return source.rows, ()
    return None


def read_results(source: SourceFile, limit: int | None = None) -> Imported:
    """Read results: each column of the table is a system whose outputs are stored."""
    found = _rows_of(source)
    rows, keys = found if found is not None else ([], ())
    reader = ReadTests(source, stored=True)
    outputs: dict[tuple[int, str], list[StoredOutput]] = {}
    seen: dict[str, ReadTest | None] = {}
    repeats: Counter[tuple[int, str, str]] = Counter()
    labels: list[PersonsLabel] = []
    graded = _graded_by(rows)
    prompts: dict[tuple[str, str], int] = {}
    """Provider and prompt -> column, in results before version 3, which do not number the columns."""
    n_outputs = 0
    for at, row in enumerate(rows):
        place = source.at(*keys, at)
        test = _test_of(row, graded) if isinstance(row, Mapping) else None
        if not isinstance(test, Mapping):
            reader.lose(place, "a result without its test", "export the results again", "output")
            n_outputs += 1
            continue
        given = {**test, "vars": row.get("vars") or test.get("vars") or {}}
        key = json.dumps([given.get(name) for name in ("vars", "description", "assert", "metadata")], sort_keys=True)
        if key not in seen:
            if limit is not None and len(seen) >= limit:
                continue
            options = {**mapping_of(test.get("options")), "disableVarExpansion": True}
            name = f"test-{len(seen) + 1}"
            written = FoundTest(source, (*keys, at, "testCase"), {**given, "options": options})
            read = reader.read(written, {}, name)
            seen[key] = read[0] if read else None
        n_outputs += 1
        if (case := seen[key]) is None:
            continue
        column = row.get("promptIdx"), _label(row)
        prompt = mapping_of(row.get("prompt"))
        title = str(prompt.get("label") or prompt.get("display"))
        number = column[0] if isinstance(column[0], int) else prompts.setdefault((column[1], title), len(prompts))
        kept = outputs.setdefault((number, column[1]), [])
        repeats[number, column[1], case.id] += 1
        stored = _stored(row, place, case.id, repeats[number, column[1], case.id] - 1)
        kept.append(stored)
        labels += _labels(row, stored)
    systems = [
        ImportedSystem(name=label, place=next(each.place for each in stored), outputs=tuple(stored))
        for (_, label), stored in sorted(outputs.items())
    ]
    reader.fields()
    config = mapping_of(source.value.get("config")) if isinstance(source.value, Mapping) else {}
    return reader.imported(
        "promptfoo results",
        title_of(config, source),
        distinct(systems) or [ImportedSystem(name="", place=source.shown)],
        found={"output": n_outputs},
        labels=tuple(labels),
    )


def _graded_by(rows: list[Any]) -> dict[str, list[Any]]:
    """Return variables -> the assertions that graded them, for results before version 3, which do not hold the tests.

    A call that failed was graded by none, so the longest list of the same variables counts.
    """
    found: dict[str, list[Any]] = {}
    for row in rows:
        if isinstance(row, Mapping) and "testCase" not in row:
            parts = mapping_of(row.get("gradingResult")).get("componentResults")
            given = [mapping_of(part).get("assertion") for part in (parts if isinstance(parts, list) else [])]
            kept = [each for each in given if isinstance(each, Mapping)]
            key = json.dumps(row.get("vars"), sort_keys=True)
            found[key] = max(found.get(key, []), kept, key=len)
    return found


def _test_of(row: Mapping[str, Any], graded: Mapping[str, list[Any]]) -> Any:
    """Return the test of a result."""
    if "testCase" in row or not isinstance(row.get("vars"), Mapping):
        return row.get("testCase")
    return {"vars": row["vars"], "assert": graded[json.dumps(row["vars"], sort_keys=True)]}


def distinct(systems: list[ImportedSystem]) -> list[ImportedSystem]:
    """Return the systems, with a number after each name that occurs twice."""
    names = [each.name for each in systems]
    return [
        ImportedSystem(
            name=f"{each.name}, prompt {at + 1}" if names.count(each.name) > 1 else each.name,
            place=each.place,
            outputs=each.outputs,
        )
        for at, each in enumerate(systems)
    ]


def _label(row: Mapping[str, Any]) -> str:
    provider = mapping_of(row.get("provider"))
    return str(provider.get("label") or provider.get("id") or "system")[:100]


_ERROR = 2
"""`failureReason` of a call that failed; 1 is a failed assertion."""


def _stored(row: Mapping[str, Any], place: str, case_id: str, repeat: int) -> StoredOutput:
    response = mapping_of(row.get("response"))
    error = response.get("error") or row.get("error")
    answer = response.get("output")
    recorded = _recorded(row)
    if row.get("failureReason") == _ERROR or answer is None:
        text = str(error or "no output")[:2000]
        return StoredOutput(place=place, case_id=case_id, repeat=repeat, failure=text, recorded=recorded)
    output: dict[str, Any] = {"text": answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)}
    if (calls := _calls(answer)) is not None:
        output["tool_calls"] = calls
    messages = mapping_of(response.get("metadata")).get("messages") or mapping_of(row.get("metadata")).get("messages")
    if isinstance(messages, list) and messages:
        output["messages"] = messages
    if is_number(row.get("latencyMs")) and row["latencyMs"] >= 0 and not response.get("cached"):
        output["latency_s"] = row["latencyMs"] / MS
    if usage := _usage(row, response):
        output["usage"] = usage
    return StoredOutput(place=place, case_id=case_id, repeat=repeat, output=output, recorded=recorded)


def _calls(answer: Any) -> list[Any] | None:
    """Return the tool calls that an output is: those of OpenAI, or a message with them; `None` for another output."""
    calls = answer.get("tool_calls") if isinstance(answer, Mapping) else answer
    if not isinstance(calls, list) or not all(isinstance(each, Mapping) and "function" in each for each in calls):
        return None
    try:
        return calls if read_calls("tool_calls", calls) else None
    except ValueError:
        return None


def _usage(row: Mapping[str, Any], response: Mapping[str, Any]) -> dict[str, Any]:
    """Return tokens and cost; a provider that counts none writes 0, which is unknown."""
    tokens = {**mapping_of(row.get("tokenUsage")), **mapping_of(response.get("tokenUsage"))}
    usage: dict[str, Any] = {}
    pairs = (("input_tokens", "prompt"), ("output_tokens", "completion"))
    if any(tokens.get(theirs) for _, theirs in pairs):
        usage = {ours: tokens[theirs] for ours, theirs in pairs if isinstance(tokens.get(theirs), int)}
    if is_number(row.get("cost")) and row["cost"] > 0:
        usage["cost_usd"] = row["cost"]
    return usage


def _labels(row: Mapping[str, Any], stored: StoredOutput) -> list[PersonsLabel]:
    """Return a person's verdict on an output in promptfoo's viewer."""
    if stored.output is None:
        return []
    parts = mapping_of(row.get("gradingResult")).get("componentResults")
    said = [
        part["pass"]
        for part in (parts if isinstance(parts, list) else [])
        if isinstance(part, Mapping)
        and mapping_of(part.get("assertion")).get("type") == "human"
        and isinstance(part.get("pass"), bool)
    ]
    label = "pass" if said and said[-1] else "fail"
    text = stored.output["text"]
    return [PersonsLabel(stored.place, stored.case_id, text, "human", label, "promptfoo")] if said else []


def _recorded(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return promptfoo's verdicts on an output."""
    grading = mapping_of(row.get("gradingResult"))
    parts = grading.get("componentResults")
    found: dict[str, Any] = {key: row[key] for key in ("score",) if is_number(row.get(key))}
    named = mapping_of(row.get("namedScores"))
    found.update({metric_field(name): value for name, value in named.items() if is_number(value)})
    if isinstance(row.get("success"), bool):
        found["pass"] = row["success"]
    found["assertions"] = [
        {
            "type": mapping_of(part.get("assertion")).get("type"),
            **{key: part[key] for key in ("pass", "score", "reason") if part.get(key) is not None},
        }
        for part in (parts if isinstance(parts, list) else [])
        if isinstance(part, Mapping)
    ]
    return found


def metric_field(name: str) -> str:
    """Return the name under which a named score of promptfoo is recorded, beside the score and verdict of the test."""
    return own_field(f"metric_{name}" if name in ("pass", "score", "assertions") else name)
