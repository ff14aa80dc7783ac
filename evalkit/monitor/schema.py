"""Generate the JSON Schema (draft 2020-12) of a monitor from its dataclasses."""

from __future__ import annotations

from typing import Any

from evalkit.monitor.settings import MonitorOptions
from evalkit.suite.schema import grading_schemas, object_schema, with_title


def monitor_schema() -> dict[str, Any]:
    """Build the schema of a monitor file, for editors. `evalkit monitor` rejects every file that the schema rejects."""
    schema = object_schema(MonitorOptions)
    schema["properties"] |= grading_schemas()
    return with_title("evalkit monitor", schema)
