"""Define a label, a rater's grade of one answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Floors = Mapping[str, float]
"""Cohort (`overall`, or `name=value`) -> kappa that a judge must reach in it; `overall` covers the others."""
RaterKind = Literal["person", "author", "program"]


@dataclass(frozen=True, slots=True)
class Label:
    """One rater's label of one answer."""

    case_id: str
    answer_sha256: str
    """Hex digest of the answer's UTF-8 text, or of a conversation's `labelled_text`; labels of other texts do not
    count."""
    metric: str
    label: str | float
    """`pass` or `fail`, or a number on the metric's scale."""
    rater: str
    rater_kind: RaterKind = "person"
    rubric_sha256: str | None = None
    inclusion_probability: float | None = None
    """Probability with which the answer was drawn for labelling, if answers were not drawn alike."""
    place: str = field(default="", compare=False)
    """`file:line` of the label."""
