"""Define one of several systems of a suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evalkit.gate.policy import Item, NoRegression
from evalkit.systems.base import SystemConfig


@dataclass(frozen=True, kw_only=True)
class NamedSystem:
    """One of several systems of a suite."""

    name: str
    factors: Mapping[str, str] = field(default_factory=dict)
    """Its values in the matrix, as text; empty for a system under `systems:`."""
    config: SystemConfig
    kind: str
    written: Mapping[str, Any]
    """Its options, as under `system:`."""
    place: str
    """Dotted key of its options in the suite."""
    concurrency: int | None = None
    budget_usd: float | None = None


REFERENCE = "(reference)"
"""Baseline of a `no_regression` that names none in a suite with several systems: the reference of the run."""


def of_run(check: Item) -> bool:
    """Return True for a check whose baseline is the reference of the same run."""
    return isinstance(check, NoRegression) and check.baseline == REFERENCE
