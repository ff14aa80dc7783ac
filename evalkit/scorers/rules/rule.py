"""Share code between rule and text scorers: the declaration of a single metric, and reading a case."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any, ClassVar

from evalkit.types import Case, Concern, Metric, Output, Score, Unscored


class PassFail:
    """One pass/fail metric with the scorer's name; a scorer inherits it and adds its own options."""

    name: str
    concern: ClassVar[Concern] = "quality"
    """The concern of the metric."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The one metric, 1 for a pass and 0 for a fail."""
        return (Metric(self.name, binary=True, concern=self.concern),)

    @property
    def needs(self) -> frozenset[str]:
        """No case fields, unless the scorer overrides this."""
        return frozenset()

    def grade(self, passed: bool, reason: str, **details: Any) -> Score:
        """Build the score of a pass or a fail."""
        return Score(self.name, float(passed), passed, reason, details)


class Share:
    """One metric from 0 to 1 with the scorer's name; a scorer inherits it and adds its own options."""

    name: str

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The one metric, from 0 to 1."""
        return (Metric(self.name),)

    @property
    def needs(self) -> frozenset[str]:
        """No case fields, unless the scorer overrides this."""
        return frozenset()


_UNSEEN = string.whitespace + "\u00a0\u00ad\u200b\u200c\u200d\u2060\ufeff"
"""Characters that a text cannot consist of alone: a search for it would find it everywhere or nowhere."""


def check_share(field: str, value: float | None) -> None:
    """Raise ValueError unless `value` is `None` or within 0 and 1."""
    if value is not None and not 0.0 <= value <= 1.0:
        raise ValueError(f"{field}: expected a number from 0 to 1, got {value}; write 0.9 for 90 %")


_OWN = ("reference", "contexts")
"""Fields of a row that a case holds apart from those of scorers."""


def has_texts(case: Case, field: str) -> bool:
    """Return True if the case has the field; an empty list of a scorer's field is there."""
    return bool(getattr(case, field)) if field in _OWN else field in case.fields


def case_texts(case: Case, field: str) -> tuple[str, ...]:
    """Read a list of strings from a case field, `reference` and `contexts` included; an absent field is empty.

    Raises:
        ValueError: the field is not a list of non-blank strings.
    """
    found = getattr(case, field) if field in _OWN else case.fields.get(field, ())
    texts = (found,) if isinstance(found, str) else found
    if not isinstance(texts, list | tuple) or not all(map(_is_visible, texts)):
        raise ValueError(f'`{field}` must be a list of non-blank strings; write ["..."]')
    return tuple(texts)


def _is_visible(text: Any) -> bool:
    return isinstance(text, str) and bool(text.strip(_UNSEEN))


def passages(case: Case, output: Output) -> tuple[str, ...] | None:
    """Return the contexts of an answer, `None` if neither the system nor the case has any.

    If the system reports an empty list, return an empty tuple, because that is known, not missing. Contexts with only
    an id are missing.
    """
    found, origins = (case.contexts, case.origins) if output.contexts is None else (output.contexts, output.origins)
    if (output.contexts is None and not found) or (origins and not any(found)):
        return None
    return found


def no_contexts(metric: str) -> Unscored:
    """Return `Unscored` for missing contexts."""
    return Unscored(metric, "missing_contexts", "neither the system nor the case gave `contexts`")


def no_reference(metric: str) -> Unscored:
    """Return `Unscored` for a missing reference."""
    return Unscored(metric, "missing_reference", "the case has no `reference`")


def shown(texts: Mapping[str, Any] | tuple[str, ...] | list[str], limit: int = 5) -> str:
    """List texts for a reason: quoted, the first `limit` of them, each cut at 60 characters."""
    listed = [f"'{text[:57]}...'" if len(text) > 60 else f"'{text}'" for text in list(texts)[:limit]]
    hidden = len(texts) - len(listed)
    return ", ".join([*listed, f"and {hidden} more"] if hidden > 0 else listed)
