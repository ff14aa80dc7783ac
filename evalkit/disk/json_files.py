"""Read JSON files from untrusted sources, and write JSON whose bytes depend on the value alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evalkit.disk.files import Unfit, read_file

_MAX_JSON_BYTES = 16 << 20


def read_json(file: Path) -> Any:
    """The value in a file, which may be anybody's.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no JSON, or longer or deeper than what evalkit writes.
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
    """Sorted, indented JSON; the same value always gives the same bytes.

    Raises:
        ValueError: for NaN or infinity, which are unknowns and must be said in words.
    """
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
