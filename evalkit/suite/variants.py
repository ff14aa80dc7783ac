"""Read the transforms under `variants:` of a suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.formats.build import Builder, choices, show
from evalkit.golden.variants.make import VariantPlan
from evalkit.golden.variants.transforms import TRANSFORMS, Transform
from evalkit.suite.scorer_entry import When
from evalkit.suite.scorers import read_when

COMMON = ("of", "per_case")
"""Keys beside the name of a transform."""
MOST_PER_CASE = 100


@dataclass(frozen=True, kw_only=True)
class VariantEntry:
    """One line under `variants:`."""

    name: str
    """Name of the transform."""
    transform: Transform
    of: When
    """The cases of which variants are made."""
    per_case: int = 1
    """Variants of each case."""

    @property
    def plan(self) -> VariantPlan:
        """The transform with the cases that it is applied to."""
        return VariantPlan(name=self.name, transform=self.transform, applies=self.of.matches, per_case=self.per_case)


def read_variants(builder: Builder, items: Sequence[Any]) -> tuple[VariantEntry, ...]:
    """Return the transforms that can be built; the problems of the others are noted."""
    entries: list[VariantEntry] = []
    for index, item in enumerate(items):
        entry = _entry(builder, item, ("variants", index))
        if entry is None:
            continue
        if any(entry.name == other.name for other in entries):
            fix = "keep one, with a higher `per_case` for more variants of a case"
            builder.problem(("variants", index), f"{entry.name} is listed twice", fix)
            continue
        entries.append(entry)
    return tuple(entries)


def _entry(builder: Builder, item: Any, path: tuple[str | int, ...]) -> VariantEntry | None:
    given = {item: {}} if isinstance(item, str) else item
    names = [key for key in given if key not in COMMON] if isinstance(given, Mapping) else []
    if len(names) != 1:
        fix = "write `- typos`, or `- {typos: {rate: 0.1}, per_case: 2}`"
        builder.problem(path, f"expected the name of one transform, got {show(item)}", fix)
        return None
    name = str(names[0])
    if name not in TRANSFORMS:
        builder.problem(path, f"no transform called {show(names[0])}", choices(name, list(TRANSFORMS)))
        return None
    before = len(builder.problems)
    value = given[name]
    transform = builder.build(TRANSFORMS[name], {} if value is None else value, (*path, name))
    of = read_when(builder, given.get("of", {"kind": "golden"}), (*path, "of"))
    per_case = builder.value(given.get("per_case", 1), int, (*path, "per_case"))
    if isinstance(per_case, int) and not 1 <= per_case <= MOST_PER_CASE:
        builder.problem(
            (*path, "per_case"), f"expected 1 to {MOST_PER_CASE}, got {per_case}", "write 1 for a single one"
        )
    if of is None or len(builder.problems) > before:
        return None
    return VariantEntry(name=name, transform=transform, of=of, per_case=per_case)
