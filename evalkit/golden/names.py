"""List the fields of a golden row, and the column names of other tools for them."""

from __future__ import annotations

import re
from collections.abc import Mapping

ALIASES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "case_id"),
    "input": ("input", "user_input", "question", "query", "prompt", "inputs", "vars", "messages"),
    "reference": (
        "reference",
        "expected_output",
        "ground_truth",
        "ground_truths",
        "expected",
        "reference_outputs",
    ),
    "contexts": ("contexts", "retrieved_contexts", "retrieval_context"),
    "output": ("output", "response", "actual_output", "answer"),
    "cohorts": ("cohorts", "cohort"),  # one word under `cohort` is the cohort of that name
}
"""Field -> the column names that are read as it: evalkit, ragas, deepeval, promptfoo, langsmith.

What promptfoo expects (`__expected`, `assert`) may be more than an answer: see `golden.promptfoo`."""
FIELD_OF: Mapping[str, str] = {alias: name for name, aliases in ALIASES.items() for alias in aliases}
"""Column name -> field."""
OWN_FIELDS = frozenset({"id", "input", "reference", "contexts", "kind", "severity", "cohorts", "cluster"})
"""Fields of a case; all others are for scorers and systems."""
CLOSED = ("kind", "severity")
"""Fields with fixed words, in which case and blanks do not matter."""
TEXT_LISTS = frozenset(
    {
        *("contexts", "reference", "required", "forbidden", "reference_contexts", "canary_strings", "relevant_ids"),
        "expected_source",
    }
)
"""Fields that hold a list of texts, or one text."""
RECORD_LISTS = frozenset({"checks", "assert", "expected_tool_calls", "reference_tool_calls"})
"""Fields that hold a list of mappings."""
EXPECTATIONS = ("__expected", "assert")
"""Prefixes of promptfoo's columns with expectations."""
WRAPPERS = frozenset({"inputs", "vars", "outputs", "reference_outputs"})
"""Columns of langsmith and promptfoo that hold a mapping with the value inside."""
TRUTH_FIELDS = frozenset({"refuse", "needs_reference"})
"""Fields that are true or false."""
KNOWN_FIELDS = OWN_FIELDS | TEXT_LISTS | RECORD_LISTS | TRUTH_FIELDS | {"output", "rubrics", *FIELD_OF}
"""All names with a meaning, in any tool's spelling."""


def plain_name(column: str) -> str:
    """Return a column name in the form for comparison: trimmed, in lower case, with `_` for blanks and hyphens."""
    return re.sub(r"[\s_-]+", "_", trimmed(column).casefold())


def trimmed(column: str) -> str:
    """Return a column name without blanks and invisible characters at its ends."""
    return column.strip().strip("\ufeff\u200b").strip()


def field_of(column: str) -> str:
    """Return the field that a column name gives, or the name itself."""
    return FIELD_OF.get(column, column)
