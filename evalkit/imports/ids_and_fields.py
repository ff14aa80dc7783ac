"""Give imported cases their ids, and imported values their fields."""

from __future__ import annotations

import math
import unicodedata
from typing import Any

from evalkit.formats.conversation import DURING
from evalkit.golden.names import KNOWN_FIELDS

MOST_CHARS = 200
_READ_BY_SCORERS = frozenset(
    {
        "turns",
        "user",
        "state",
        "approvals",
        "recorded",
        "expected_state",
        "expected_trajectory",
        "expected_trajectories",
    }
)
TAKEN = KNOWN_FIELDS | frozenset(DURING) | _READ_BY_SCORERS
"""Fields with a meaning of their own in a golden row."""


class Ids:
    """Unique ids for the cases of one source."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def of(self, wanted: Any, otherwise: str) -> str:
        """Return an id that no other case has.

        Args:
            wanted: the name in the source, if it is a text or a whole number.
            otherwise: the id of a case without a name.
        """
        text = str(wanted) if isinstance(wanted, str | int) and not isinstance(wanted, bool) else ""
        kept = "".join(" " if unicodedata.category(char) in ("Cc", "Cs") else char for char in text[: MOST_CHARS * 2])
        name = unicodedata.normalize("NFC", " ".join(kept.split()))[: MOST_CHARS - 10].strip() or otherwise
        number, unique = 1, name
        while unique in self._used:
            number += 1
            unique = f"{name}-{number}"
        self._used.add(unique)
        return unique


def own_field(name: str) -> str:
    """Return the field for a value that the source calls `name`: another one if evalkit gives the name a meaning."""
    return f"var_{name}" if name in TAKEN else name


def is_number(value: Any) -> bool:
    """Tell whether a value is a finite number, and not true or false."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def label_of(value: Any) -> str | float | None:
    """Return what a person said of an answer as a label: `pass`, `fail` or a number; `None` if it is neither."""
    if isinstance(value, str) and value.lower() in ("yes", "no", "true", "false", "pass", "fail"):
        value = value.lower() in ("yes", "true", "pass")
    if isinstance(value, bool):
        return "pass" if value else "fail"
    return float(value) if is_number(value) else None


def texts_of(value: Any) -> list[str]:
    """Return the texts in a value: one text, or those of a list; nothing for any other value."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str) and item.strip()]


def cohorts_of(value: Any) -> dict[str, str]:
    """Return the entries of a mapping that can be cohorts: short texts, whole numbers and truth values."""
    found: dict[str, str] = {}
    for name, each in value.items() if isinstance(value, dict) else ():
        text = str(each).lower() if isinstance(each, bool) else str(each) if isinstance(each, str | int) else ""
        if text.strip() and len(text) <= MOST_CHARS and "\n" not in text:
            found[str(name)] = text.strip()
    return found
