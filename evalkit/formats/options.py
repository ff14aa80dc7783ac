"""Options of scorers and systems, as keys are made of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

LATER: Mapping[str, Any] = {"later": True}
"""Metadata of an option that was added to a scorer or a system: left out of its key while it has its default, so that
what was stored before stays comparable."""


def is_left_out(option: dataclasses.Field[Any], value: Any) -> bool:
    """Return True for an option that came later and has its default."""
    made = option.default_factory
    default = option.default if made is dataclasses.MISSING else made()
    return bool(option.metadata.get("later") and value == default)
