"""Select the options of scorers and systems that are part of keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

LATER: Mapping[str, Any] = {"later": True}
"""Metadata of an option that was added to a scorer or a system later. With its default it is left out of the key, so
that older runs stay comparable."""


def is_left_out(option: dataclasses.Field[Any], value: Any) -> bool:
    """Return True for an option that was added later and has its default."""
    made = option.default_factory
    default = option.default if made is dataclasses.MISSING else made()
    return bool(option.metadata.get("later") and value == default)
