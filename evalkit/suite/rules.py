"""The rules that a run is judged by, as plain values: what a manifest keeps of them and later runs compare."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from evalkit.document import parse
from evalkit.errors import InputError
from evalkit.files import read_file
from evalkit.suite.build import Builder
from evalkit.suite.model import Suite, SuiteOptions

FINGERPRINT_HEX = 8
MAX_LABELS_BYTES = 512 << 20
"""Of a label file: more than a million labels."""
Read = Callable[[str], bytes | None]
"""A file that a suite names, `None` where it is not there."""


def rules_of(suite: Suite) -> dict[str, Any]:
    """The rules of a suite as it stands on disk."""

    def read(name: str) -> bytes | None:
        file = (suite.path.parent / name).resolve()
        return read_file(file, MAX_LABELS_BYTES) if file.is_file() else None

    return _rules(suite.options, read)


def rules_of_text(text: bytes, shown: str, read: Read) -> dict[str, Any] | None:
    """The rules that a suite file of another commit states, `None` where this evalkit cannot read it."""
    try:
        builder = Builder(parse(text, shown))
    except InputError:
        return None
    options = builder.build(SuiteOptions, builder.document.value, ())
    return None if options is None else _rules(options, read)


def _rules(options: SuiteOptions, read: Read) -> dict[str, Any]:
    return {
        "gate": [dict(item) if isinstance(item, dict) else item for item in options.gate],
        "require_evidence": options.require_evidence,
        "kappa_floors": dict(options.kappa_floors),
        "cohorts": list(options.cohorts),
        "repeat": options.repeat,
        "repeat_rule": options.repeat_rule,
        "production": dict(options.production),
        "labels": {name: _labels(data) for name in options.labels if (data := read(name)) is not None},
    }


def _labels(data: bytes) -> dict[str, Any]:
    """How many labels a file holds, and a fingerprint of each line, so that an edited one is told from an added one."""
    lines = [line.strip() for line in data.split(b"\n") if line.strip()]
    return {"n": len(lines), "rows": sorted(hashlib.sha256(line).hexdigest()[:FINGERPRINT_HEX] for line in lines)}
