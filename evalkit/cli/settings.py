"""List the settings of a run with their sources."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from evalkit.cli.run import ENV_PREFIX
from evalkit.suite.model import Suite, SuiteOptions

_PARTS = frozenset({"name", "description", "version", "golden", "system", "scorers", "gate", "judge", "labels"}) | {
    "systems",
    "matrix",
}
"""Keys of a suite that are not settings."""
_FLAGS = {"repeat": "repeat", "concurrency": "concurrency", "seed": "seed"} | {
    "budget_usd": "budget",
    "deadline_s": "deadline",
    "system.timeout_s": "timeout",
}
"""Setting -> the flag of `run` that overrides it."""


def settings(suite: Suite, env: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield name, value and source of each setting."""
    values = {each.name: getattr(suite.options, each.name) for each in fields(SuiteOptions) if each.name not in _PARTS}
    for name, value in (values | {"system.timeout_s": suite.system.timeout_s}).items():
        variable = f"{ENV_PREFIX}_{_FLAGS[name].upper()}" if name in _FLAGS else ""
        if env.get(variable):
            yield name, env[variable], variable
        else:
            written = suite.lines.get(name) or suite.lines.get(name.replace(".", f".{suite.system_kind}."))
            yield name, _shown(value), written or "default"


def _shown(value: Any) -> str:
    if value is None or value in ((), {}):
        return "none"
    if isinstance(value, str):
        return value
    return ", ".join(value) if isinstance(value, tuple) else json.dumps(value, default=vars)
