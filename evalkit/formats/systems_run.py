"""Define the list of systems of one run (`systems.json`), and convert it to JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from evalkit.errors import Problem
from evalkit.formats.shapes import Faults, read

SYSTEMS_FORMAT = 1
BY_CASE, BY_SYSTEM = "by_case", "by_system"


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemEntry:
    """One system of a run."""

    name: str
    folder: str
    """Its run folder, relative to the folder of the run."""
    factors: Mapping[str, str] = field(default_factory=dict)
    """Its values in the matrix: factor -> value; empty for a system that stands alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemsRun:
    """A run of several systems."""

    format: int = SYSTEMS_FORMAT
    run_id: str
    suite: str
    suite_file: str
    """Relative to the project's root."""
    systems: tuple[SystemEntry, ...]
    """In the order of the suite."""
    reference: str
    """The system that the others are compared with."""
    release: tuple[str, ...] = ()
    """The systems whose gates give the exit code."""
    primary: str = "pass_rate"
    order: Literal["by_case", "by_system"] = "by_case"
    """Whether all systems were asked each case in turn, so that their latencies can be compared."""
    started_at: str = ""
    """ISO 8601."""
    command: str = ""
    """The command line that started the run."""

    def entry(self, name: str) -> SystemEntry:
        """Return a system by its name.

        Raises:
            KeyError: the run has no such system.
        """
        found = next((each for each in self.systems if each.name == name), None)
        if found is None:
            raise KeyError(name)
        return found


def systems_record(run: SystemsRun) -> dict[str, Any]:
    """Convert the list of systems to JSON."""
    return asdict(run)


def read_systems_run(record: Mapping[str, Any], file: str) -> tuple[SystemsRun | None, list[Problem]]:
    """Convert JSON to the list of systems.

    Args:
        record: JSON of the file.
        file: its name, for messages.

    Returns:
        The list and no problem, or `None` and each key that is missing or wrong.
    """
    faults, again = Faults(), "run the suite again"
    if record.get("format") != SYSTEMS_FORMAT:
        return None, [Problem(file, f"not of format {SYSTEMS_FORMAT}, which this evalkit reads", again)]
    run = read(SystemsRun, dict(record), faults)
    names = [each.name for each in run.systems] if run is not None else []
    if run is not None and (not names or len({*names}) < len(names)):
        faults.wrong.append("systems")
    elif run is not None:
        faults.wrong += ["reference"] * (run.reference not in names)
        faults.wrong += ["release"] * (not {*run.release} <= {*names})
    problems = [Problem(file, f"`{key}` is missing or invalid", again) for key in (*faults.missing, *faults.wrong)]
    return (None if problems else run), problems
