"""Read the samples of OpenAI evals: `{input, ideal}`."""

from __future__ import annotations

from typing import Any

from evalkit.golden.source_file import SourceFile
from evalkit.imports.collector import Collector
from evalkit.imports.ids_and_fields import texts_of
from evalkit.imports.imported import Imported

_READ = frozenset({"input", "ideal"})


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
