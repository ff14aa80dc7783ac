"""Find what a span means, by the conventions that its keys show; a file may mix them."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from evalkit.traces import genai, older, openinference
from evalkit.traces.adk import meaning_of_adk
from evalkit.traces.attributes import text
from evalkit.traces.meaning import SpanMeaning, merged
from evalkit.traces.span import TracedSpan

_READERS: tuple[Callable[[TracedSpan], SpanMeaning | None], ...] = (
    older.meaning_of_vercel,
    openinference.meaning_of,
    genai.meaning_of,
    older.meaning_of_openllmetry,
    older.meaning_of_events,
    older.meaning_of_pydantic_ai,
    meaning_of_adk,
)
"""The first that says something counts."""
_SESSIONS = ("session.id", "thread_id", "langfuse.session.id", "mlflow.trace.session")
CASE_ID = "evalkit.case_id"


def meaning_of(span: TracedSpan) -> SpanMeaning | None:
    """Return what a span means; `None` if no convention knows its keys."""
    found = [meaning for read in _READERS if (meaning := read(span)) is not None]
    if not found:
        return None
    whole = reduce(merged, found)
    return whole if whole.session is not None else merged(whole, SpanMeaning(session=text(span.attributes, *_SESSIONS)))


def case_of(span: TracedSpan, meaning: SpanMeaning | None) -> str | None:
    """Return the case that a span says it is about, as an attribute or in the metadata."""
    attributes = span.attributes
    inside = (attributes[key] for key in attributes if key == CASE_ID or key.endswith(f".{CASE_ID}"))
    given = next(inside, None if meaning is None else meaning.metadata.get(CASE_ID))
    if isinstance(given, int) and not isinstance(given, bool):
        return str(given)
    return given if isinstance(given, str) and given.strip() else None
