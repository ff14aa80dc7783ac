"""Read which original a variant has, and what an attack wants the system to say."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.types import Case

VARIANT = "variant"
"""Field of a variant with its origin, and the cohort with the name of its transform."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantMark:
    """The field `variant` of a case."""

    of: str
    """Id of the original."""
    name: str
    """Name of the transform."""
    goal: str = ""
    """Text that an attack wants in the answer; empty for other variants."""
    tool: str = ""
    """Tool that an attack wants to be called; empty for other variants."""
    wording: str = ""
    """Wording or encoding of an attack."""
    place: str = ""
    """Part of the case that holds the attack: `input` or `contexts`."""
    alone: bool = False
    """Whether an attack replaces the question, so that no scorer of the original applies."""
    attribute: str = ""
    """The attribute that `swap` changes."""
    value: str = ""
    """Its value in this variant."""
    original_value: str = ""
    """Its value in the original."""

    @property
    def is_attack(self) -> bool:
        """Whether the variant is an attack."""
        return bool(self.goal or self.tool)


def mark_of(case: Case) -> VariantMark | None:
    """Return what the field `variant` says; `None` if the case is not a variant."""
    found = case.fields.get(VARIANT)
    if not isinstance(found, dict) or not all(isinstance(found.get(key), str) for key in ("of", "name")):
        return None
    texts = {key: found[key] for key in _TEXTS if isinstance(found.get(key), str)}
    return VariantMark(**texts, alone=found.get("alone") is True)


_TEXTS = ("of", "name", "goal", "tool", "wording", "place", "attribute", "value", "original_value")
