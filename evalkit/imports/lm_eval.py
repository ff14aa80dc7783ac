"""Read the samples that lm-eval logs with `--log_samples`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.golden.source_file import SourceFile
from evalkit.imports.collector import Collector
from evalkit.imports.ids_and_fields import is_number, own_field, texts_of
from evalkit.imports.imported import Imported

_QUESTIONS = ("question", "query", "input", "prompt", "text")
"""Keys of a document that hold the question."""
_REPEATS = 100
_KEYS = frozenset(
    "doc_id doc target arguments resps filtered_resps filter metrics doc_hash prompt_hash target_hash".split()
)
"""Keys of a sample that are not its metrics, which versions before 0.4.5 do not list."""


def is_samples(source: SourceFile) -> bool:
    """Tell whether a file holds samples."""
    return {"doc_id", "resps"} <= source.first.keys()


def read_samples(source: SourceFile, limit: int | None = None) -> Imported:
    """Read samples: each document is a case with its prompt, and its filtered responses are stored outputs."""
    found = Collector(source)
    ids: dict[tuple[str, str], str] = {}
    for at, place, row in found.rows(None):
        prompt = _prompt(row)
        answers = _answers(row)
        if prompt is None or answers is None:
            what = "a choice by log-likelihood, which has no text" if prompt is not None else "no prompt in `arguments`"
            found.lose(place, what, "import tasks that generate text", "case")
            continue
        # A task has a row for each filter: the same document, filtered in another way, is another case.
        key = str(row.get("doc_id")), str(row.get("filter"))
        if key in ids:
            found.lose(place, f"document {key[0][:60]} again", "keep one of the two", "case")
            continue
        if limit is not None and len(ids) >= limit:
            break
        ids[key] = _case(found, place, row, prompt)
        if len(answers) > _REPEATS:
            what = f"{len(answers):,} responses, of which {_REPEATS} are kept"
            found.lose(source.at(at, "filtered_resps"), what, "split the run")
        for repeat, text in enumerate(answers[:_REPEATS]):
            recorded = _recorded(row) if repeat == 0 else {}
            found.output(place, ids[key], repeat=repeat, output={"text": text}, recorded=recorded)
    return found.imported("lm-eval samples")


def _case(found: Collector, place: str, row: Mapping[str, Any], prompt: str) -> str:
    document = row.get("doc")
    fields: dict[str, Any] = {"input": prompt, "reference": _reference(row.get("target"))}
    if isinstance(document, Mapping):
        fields.update({own_field(str(key)): value for key, value in document.items() if key not in _QUESTIONS})
    if isinstance(name := row.get("filter"), str):
        fields["cohorts"] = {"filter": name}
    return found.case(place, f"doc-{row.get('doc_id')}", fields)


def _reference(value: Any) -> Any:
    if is_number(value):
        return str(value)
    return texts_of(value) or None if isinstance(value, list) else value


def _prompt(row: Mapping[str, Any]) -> str | None:
    """Return the prompt that was sent, without the settings beside it."""
    arguments: Any = row.get("arguments")
    if isinstance(arguments, Mapping):  # gen_args_0: {arg_0: prompt, arg_1: {until: ...}}
        arguments = [[*each.values()] for each in arguments.values() if isinstance(each, Mapping)]
    first = arguments[0] if isinstance(arguments, list) and arguments else None
    text = first[0] if isinstance(first, list) and first else None
    return text if isinstance(text, str) and text.strip() else None


def _answers(row: Mapping[str, Any]) -> list[str] | None:
    """Return the texts that were graded; `None` if they are numbers, as for a choice by log-likelihood."""
    found = row.get("filtered_resps")
    items = found if isinstance(found, list) else []
    flat = [text for each in items for text in (each if isinstance(each, list) else [each])]
    if not flat or not all(isinstance(text, str) for text in flat):
        return None
    generates = isinstance(row.get("arguments"), list | Mapping) and not _is_choice(row)
    return flat if generates else None


def _is_choice(row: Mapping[str, Any]) -> bool:
    """Tell whether every response is a pair of a number and a truth value, as log-likelihoods are."""
    responses = row.get("resps")
    first = responses[0] if isinstance(responses, list) and responses else None
    first = first[0] if isinstance(first, list) and first else first
    return isinstance(first, list) and len(first) == 2 and not isinstance(first[0], str)


def _recorded(row: Mapping[str, Any]) -> dict[str, Any]:
    names = row.get("metrics")
    given = [name for name in names if isinstance(name, str)] if isinstance(names, list) else [*row.keys() - _KEYS]
    return {own_field(name): row[name] for name in sorted(given) if is_number(row.get(name))}
