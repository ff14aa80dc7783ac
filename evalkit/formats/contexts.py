"""Read and write the contexts of an answer or a case: texts, or texts with their origins."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.formats.fields import read_id, read_list, read_text
from evalkit.formats.plain import plain
from evalkit.text.values import shown
from evalkit.types import Origin

_KEYS = ("id", "text", "score", "source")


def read_contexts(place: str, value: object) -> tuple[tuple[str, ...], tuple[Origin, ...]]:
    """Return the texts, and their origins: empty if every context is a text alone.

    Raises:
        ValueError: A context cannot be read; the message names the place.
    """
    items = read_list(place, value)
    found = [_context(f"{place}[{at}]", item) for at, item in enumerate(items)]
    origins = tuple(origin for _, origin in found)
    return tuple(text for text, _ in found), origins if any(origin != Origin() for origin in origins) else ()


def context_records(texts: Sequence[str], origins: Sequence[Origin]) -> Sequence[str | dict[str, Any]]:
    """Return contexts as rows store them; as plain texts if nothing else is known."""
    if not origins:
        return texts
    return [text if origin == Origin() else _record(text, origin) for text, origin in zip(texts, origins, strict=True)]


def _context(place: str, value: Any) -> tuple[str, Origin]:
    if isinstance(value, str):
        return str.__str__(value), Origin()
    if not isinstance(value, Mapping) or (value.get("text") is None and value.get("id") is None):
        raise ValueError(f"{place}: expected a text or {{id, text, score}}, got {shown(value)}")
    text = "" if value.get("text") is None else read_text(f"{place}.text", value["text"])
    details = {key: item for key, item in value.items() if key not in _KEYS and item is not None}
    source = value.get("source")
    return text, Origin(
        id=read_id(f"{place}.id", value.get("id")),
        score=_score(f"{place}.score", value.get("score")),
        source="" if source is None else read_text(f"{place}.source", source),
        details=plain(place, details),
    )


def _score(place: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise ValueError(f"{place}: expected a finite number, got {shown(value)}")
    return int(value) if isinstance(value, int) else float(value)


def _record(text: str, origin: Origin) -> dict[str, Any]:
    known = {"id": origin.id, "text": text, "score": origin.score, "source": origin.source}
    return {key: value for key, value in known.items() if key == "text" or value not in ("", None)} | dict(
        origin.details
    )
