"""Read the samples of OpenAI evals, `{input, ideal}`, and the events that `oaieval` records.

Source: `evals.record` of openai/evals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from evalkit.golden.source_file import SourceFile
from evalkit.imports.collector import Collector
from evalkit.imports.ids_and_fields import is_number, own_field, texts_of
from evalkit.imports.imported import Imported

_READ = frozenset({"input", "ideal"})
_MOST_REPEATS = 100


def is_samples(source: SourceFile) -> bool:
    """Tell whether a file holds samples."""
    return bool(source.rows) and "input" in source.first and "ideal" in source.first


def read_samples(source: SourceFile, limit: int | None = None) -> Imported:
    """Read samples: the input is a text or a chat, each ideal answer is acceptable."""
    found = Collector(source)
    for _, place, row in found.rows(limit):
        ideal = row.get("ideal")
        texts = texts_of(ideal)
        if ideal is not None and not texts:
            found.lose(f"{place} ideal", "not a text or a list of texts", "quote each answer")
        fields: dict[str, Any] = {"input": row.get("input"), "reference": texts or None}
        found.rest(fields, row, _READ)
        found.case(place, None, fields)
    return found.imported("OpenAI evals samples")


def is_events(source: SourceFile) -> bool:
    """Tell whether a file holds the events of a run, which begin with its `spec`."""
    spec = source.first.get("spec")
    return bool(source.rows) and isinstance(spec, Mapping) and "eval_name" in spec


def read_events(source: SourceFile, limit: int | None = None) -> Imported:
    """Read the events of a run: each sample is a case with what was sampled, and what the eval said is recorded."""
    found = Collector(source)
    samples: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {}
    for _, place, row in found.rows(None):
        name, data = row.get("sample_id"), row.get("data")
        if isinstance(name, str) and isinstance(data, Mapping):
            samples.setdefault(name, []).append((place, str(row.get("type")), data))
    for name, events in [*samples.items()][:limit]:
        _sample(found, name, events)
    return found.imported("OpenAI evals events", str(source.first["spec"]["eval_name"]))


def _sample(found: Collector, name: str, events: list[tuple[str, str, Mapping[str, Any]]]) -> None:
    sampled = [(place, data) for place, kind, data in events if kind == "sampling"]
    place = events[0][0]
    if not sampled:
        found.lose(place, f"the sample {name[:60]!r} was not sampled", "run the eval to its end", "case")
        return
    verdicts = [data for _, kind, data in events if kind not in ("sampling", "raw_sample", "error")]
    failed = next((data for _, kind, data in events if kind == "error"), None)
    expected = next((each["expected"] for each in verdicts if each.get("expected") is not None), None)
    case_id = found.case(place, name, {"input": sampled[0][1].get("prompt"), "reference": texts_of(expected) or None})
    recorded = {own_field(key): value for key, value in _said(verdicts)}
    if len(sampled) > 1:
        fix = "import an eval that samples once for each sample"
        found.lose(sampled[1][0], f"{len(sampled):,} samplings, of which the first is the answer", fix)
    texts = texts_of(sampled[0][1].get("sampled"))
    if failed is not None or not texts:
        said = str((failed or {}).get("message") or (failed or {}).get("type") or "no output")[:2000]
        found.output(sampled[0][0], case_id, failure=said, recorded=recorded)
        return
    for repeat, text in enumerate(texts[:_MOST_REPEATS]):
        found.output(sampled[0][0], case_id, repeat=repeat, output={"text": text}, recorded={} if repeat else recorded)


def _said(verdicts: list[Mapping[str, Any]]) -> list[tuple[str, Any]]:
    """Return name and value of what the events of a sample say: truth values, numbers and choices, each name once."""
    pairs = [(str(key), value) for each in verdicts for key, value in each.items()]
    counts = Counter(key for key, _ in pairs)
    return [
        (key, value)
        for key, value in pairs
        if counts[key] == 1 and (isinstance(value, bool) or is_number(value) or key == "choice")
    ]
