"""Read LangSmith's examples and runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from evalkit.golden.source_file import SourceFile
from evalkit.imports.collector import Collector
from evalkit.imports.imported import Imported
from evalkit.imports.questions_and_answers import answer_text, asked_fields
from evalkit.traces.texts import ANSWERS

_TOOL_RUNS = {"tool": "tool", "llm": "llm", "retriever": "retrieval", "embedding": "embedding", "chain": "node"}


def is_examples(source: SourceFile) -> bool:
    """Tell whether a file holds examples of a data set."""
    keys = source.first.keys()
    return bool(source.rows) and "inputs" in keys and "outputs" in keys and bool({"dataset_id", "dataset_split"} & keys)


def is_runs(source: SourceFile) -> bool:
    """Tell whether a file holds runs."""
    return bool(source.rows) and {"run_type", "trace_id"} <= source.first.keys()


def read_examples(source: SourceFile, limit: int | None = None) -> Imported:
    """Read examples: the inputs are the question, the outputs the reference."""
    found = Collector(source)
    for _, place, row in found.rows(limit):
        fields = asked_fields(row.get("inputs"))
        _refer(fields, row.get("outputs"))
        metadata = {**(row["metadata"] if isinstance(row.get("metadata"), Mapping) else {})}
        splits = metadata.pop("dataset_split", row.get("dataset_split"))
        found.metadata(fields, metadata)
        if isinstance(splits, list) and len(splits) == 1 and isinstance(splits[0], str):
            fields["cohorts"] = {**fields["cohorts"], "split": splits[0]}
        elif splits:
            fields["dataset_split"] = splits
        if row.get("attachments"):
            found.lose(f"{place} attachments", "files beside an example", "put what matters into its inputs")
        found.case(place, row.get("id"), fields)
    return found.imported("LangSmith examples")


def read_runs(source: SourceFile, limit: int | None = None) -> Imported:
    """Read runs: each root run is a case with its stored output; the runs below it are its steps."""
    found = Collector(source)
    rows = [(place, row) for _, place, row in found.rows(None)]
    children: dict[str, list[Mapping[str, Any]]] = {}
    for _, row in rows:
        if row.get("parent_run_id") is not None:
            children.setdefault(str(row.get("trace_id")), []).append(row)
    roots = {str(row.get("trace_id")) for _, row in rows if row.get("parent_run_id") is None}
    for place, row in rows:
        if row.get("parent_run_id") is not None and str(row.get("trace_id")) not in roots:
            found.lose(place, "a run whose root is not in the file", "export whole traces")
    cases: dict[str, str] = {}
    repeats: dict[str, int] = {}
    for place, row in rows:
        if row.get("parent_run_id") is not None:
            continue
        name = str(row.get("reference_example_id") or row.get("id"))
        if name not in cases:
            if limit is not None and len(cases) >= limit:
                continue
            fields = asked_fields(row.get("inputs"))
            extra = row.get("extra")
            found.metadata(fields, extra.get("metadata") if isinstance(extra, Mapping) else None)
            cases[name] = found.case(place, name, fields)
        repeats[name] = repeats.get(name, -1) + 1
        if row.get("feedback_stats"):
            found.lose(
                f"{place} feedback_stats", "means of feedback, not single verdicts", "export the feedback itself"
            )
        _stored(found, place, cases[name], repeats[name], row, children.get(str(row.get("trace_id")), []))
    return found.imported("LangSmith runs")


def joined(examples: Imported, runs: Imported) -> Imported:
    """Return examples with the outputs of the runs that name them."""
    (system,) = runs.systems
    return replace(
        examples,
        kind=f"{examples.kind} with runs",
        systems=(system,),
        losses=(*examples.losses, *runs.losses),
        found={**examples.found, "output": len(system.outputs)},
    )


def _refer(fields: dict[str, Any], outputs: Any) -> None:
    answer = answer_text(outputs)
    fields["reference"] = answer
    if isinstance(outputs, Mapping):
        names = [key for key in ANSWERS if key in outputs] or ([next(iter(outputs))] if len(outputs) == 1 else [])
        rest = {str(key): value for key, value in outputs.items() if names and key != names[0]}
        fields.update({f"expected_{key}": value for key, value in rest.items()})


def _stored(
    found: Collector, place: str, case_id: str, repeat: int, row: Mapping[str, Any], below: list[Mapping[str, Any]]
) -> None:
    text = answer_text(row.get("outputs"))
    if row.get("error") or text is None:
        found.output(place, case_id, repeat=repeat, failure=str(row.get("error") or "no output")[:2000])
        return
    output: dict[str, Any] = {"text": text}
    steps = [_step(each) for each in sorted(below, key=lambda each: str(each.get("dotted_order")))]
    if steps:
        output["trajectory"] = steps
    names = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens", "cost_usd": "total_cost"}
    if known := {ours: row[theirs] for ours, theirs in names.items() if row.get(theirs) is not None}:
        output["usage"] = known
    found.output(place, case_id, repeat=repeat, output=output)


def _step(row: Mapping[str, Any]) -> dict[str, Any]:
    kind = row.get("run_type")
    step: dict[str, Any] = {
        "kind": _TOOL_RUNS.get(kind, "other") if isinstance(kind, str) else "other",
        "name": str(row.get("name") or ""),
        "id": str(row.get("id") or ""),
        "parent": str(row.get("parent_run_id") or ""),
        "result": _result(row.get("outputs")),
    }
    if step["kind"] == "tool":
        step["arguments"] = _arguments(row.get("inputs"))
    if row.get("error"):
        step["error"] = str(row["error"])
    return {key: value for key, value in step.items() if value not in (None, "")}


def _result(outputs: Any) -> Any:
    return outputs["output"] if isinstance(outputs, Mapping) and set(outputs) == {"output"} else outputs


def _arguments(inputs: Any) -> Any:
    """Return the arguments of a call, which LangChain writes as text under `input`."""
    if isinstance(inputs, Mapping) and set(inputs) == {"input"} and isinstance(inputs["input"], str):
        try:
            value = json.loads(inputs["input"])
        except (ValueError, RecursionError):
            return inputs
        return value if isinstance(value, Mapping) else inputs
    return inputs if isinstance(inputs, Mapping) else {}
