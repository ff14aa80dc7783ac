"""Write the status of a monitor as JSON."""

from __future__ import annotations

from dataclasses import asdict

from evalkit.disk.json_files import to_json
from evalkit.report.monitor.status import FORMAT, Status


def status_json(status: Status) -> str:
    """Return the record; an unknown figure is null, with the reason beside it where there is one."""
    return to_json({"format": FORMAT, **asdict(status)})
