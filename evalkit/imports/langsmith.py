"""Read LangSmith's examples and runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from evalkit.golden.source_file import SourceFile
from evalkit.imports.collector import Collector
from evalkit.imports.imported import Imported
from evalkit.imports.otlp import ONE_FILE, RUNS, TraceOptions, imported_answers
from evalkit.imports.questions_and_answers import answer_text, asked_fields
from evalkit.traces.langsmith import holds_runs
from evalkit.traces.texts import ANSWERS

__all__ = ["holds_runs", "is_examples", "joined", "read_examples", "read_runs"]


_OF_EXAMPLES = frozenset(
    "id inputs outputs metadata attachments dataset_id dataset_split split name created_at modified_at source_run_id"
    " attachment_urls".split()
)


def is_examples(source: SourceFile) -> bool:
    """Tell whether a file holds examples of a data set: by its id, or because no row of another kind has these keys."""
    keys = source.first.keys()
    named = bool({"dataset_id", "dataset_split"} & keys) or (keys <= _OF_EXAMPLES and _is_mapping(source.first))
    return bool(source.rows) and "inputs" in keys and "outputs" in keys and named


def _is_mapping(row: Mapping[str, Any]) -> bool:
    return isinstance(row.get("inputs"), Mapping) and isinstance(row.get("outputs"), Mapping | None)


def read_examples(source: SourceFile, limit: int | None = None) -> Imported:
    """Read examples: the inputs are the question, the outputs the reference."""
    found = Collector(source)
    for _, place, row in found.rows(limit):
        fields = asked_fields(row.get("inputs"))
        refer_to(fields, row.get("outputs"))
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


def read_runs(source: SourceFile, limit: int | None = None, options: TraceOptions = ONE_FILE) -> Imported:
    """Read runs as traces; the runs of one example are its repeats."""
    return imported_answers(RUNS, source, limit, options)


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


def refer_to(fields: dict[str, Any], outputs: Any) -> None:
    """Add the reference in some outputs to the fields of a case; what else they hold is expected too."""
    if outputs in (None, "", [], {}):
        return
    answer = answer_text(outputs)
    fields["reference"] = answer
    if isinstance(outputs, Mapping):
        names = [key for key in ANSWERS if key in outputs] or ([next(iter(outputs))] if len(outputs) == 1 else [])
        rest = {str(key): value for key, value in outputs.items() if names and key != names[0]}
        fields.update({f"expected_{key}": value for key, value in rest.items()})
