"""Show variants that failed, with the parts that differ from their originals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evalkit.formats.manifest import Manifest
from evalkit.golden.variants.original import VARIANT, mark_of
from evalkit.scorers.agents.attack_goal import goal_met
from evalkit.store.folder import RunFolder
from evalkit.store.journal import read_rows
from evalkit.text.escaping import visible
from evalkit.types import Case, verdict_of

MOST = 3
"""Examples of each transform."""
_BEFORE, _LENGTH = 80, 320
"""Characters shown before the first change, and in all."""


@dataclass(frozen=True, slots=True)
class VariantExample:
    """A variant that failed, or an attack that met its goal."""

    id: str
    original: str
    """Id of the case that it was made of."""
    transform: str
    parts: tuple[tuple[str, bool], ...]
    """The changed text in parts, each with whether it differs from the original."""


def variant_examples(folder: RunFolder, manifest: Manifest) -> tuple[VariantExample, ...]:
    """Return the first variants of each transform, by id, that failed or met the goal of an attack."""
    found: dict[str, dict[str, VariantExample]] = {}
    prompts, advisory = {each.name: each.prompt for each in manifest.variants}, frozenset(manifest.advisory)
    for row in read_rows(folder.variant_rows_file) if folder.variant_rows_file.exists() else ():
        mark = mark_of(row.case)
        if mark is None:
            continue
        examples = found.setdefault(mark.name, {})
        examples.pop(row.case.id, None)  # the last row counts
        if mark.is_attack:
            is_found = goal_met(row, mark, prompts.get(mark.name, "")) is True
        else:
            is_found = verdict_of(row, advisory) == "failed"
        if is_found and (len(examples) < MOST or row.case.id < max(examples)):
            examples[row.case.id] = VariantExample(row.case.id, mark.of, mark.name, tuple(_parts(row.case)))
            if len(examples) > MOST:
                del examples[max(examples)]
    return tuple(examples[id_] for _, examples in sorted(found.items()) for id_ in sorted(examples))


def _parts(case: Case) -> Iterator[tuple[str, bool]]:
    """Yield the parts of the question, or of the context that was changed."""
    changed = [each for each in case.fields[VARIANT].get("changed", ()) if isinstance(each, Mapping)]
    text = _text(case, changed[0] if changed else {})
    spans = [each["span"] for each in changed if "span" in each and _text(case, each) == text]
    if not spans and changed and changed[0].get("in") == "contexts" and "at" in changed[0]:
        spans = [[0, len(text)]]  # a whole context came in
    start = max(0, min((first for first, _ in spans), default=0) - _BEFORE)
    end = min(len(text), start + _LENGTH)
    at = start
    if start:
        yield "…", False
    for first, last in spans:
        if first < end:
            yield visible(text[at:first]), False
            yield visible(text[first : min(last, end)]), True
            at = min(last, end)
    yield visible(text[at:end]) + ("…" if end < len(text) else ""), False


def _text(case: Case, change: Mapping[str, Any]) -> str:
    at = change.get("at")
    if change.get("in") == "contexts" and isinstance(at, int) and at < len(case.contexts):
        return case.contexts[at]
    return case.question
