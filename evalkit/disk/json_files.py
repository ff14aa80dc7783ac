"""Read JSON files from untrusted sources, and write deterministic JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evalkit.disk.files import Unfit, read_file

_MAX_JSON_BYTES = 16 << 20


def read_json(file: Path) -> Any:
    """Read the value of an untrusted file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not JSON, or is longer or deeper than evalkit's own files.
    """
    try:
        data = read_file(file, _MAX_JSON_BYTES)
    except Unfit as error:
        raise ValueError(str(error.strerror)) from None
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deep") from None


def to_json(value: Any) -> str:
    """Serialise a value as sorted, indented JSON; equal values give equal bytes.

    Raises:
        ValueError: the value holds NaN or infinity; unknown values must be written in words.
    """
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
