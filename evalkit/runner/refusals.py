"""End a run when the endpoint refuses its key from the start; keep single refusals as rows."""

from __future__ import annotations

from collections.abc import Iterator

from evalkit.types import Row, Score, Unscored

DENIED = frozenset({"http_401", "http_403"})
ENOUGH = 3
"""After this many refused rows, with none accepted, the key is considered invalid."""
_SYSTEM = ""


class Refusals:
    """Holds back rows that a system or a judge refused with 401 or 403, until the same part accepts one."""

    def __init__(self) -> None:
        """Start with nothing accepted."""
        self._accepted: set[str] = set()
        self._held: list[Row] = []

    def take(self, row: Row) -> list[Row]:
        """Take a row, and return the rows that may be journalled now."""
        self._accepted.update(_accepting(row))
        ready = [each for each in (*self._held, row) if self._accepted.issuperset(dict(_denials(each)))]
        self._held = [each for each in (*self._held, row) if each not in ready]
        return ready

    def release(self) -> list[Row]:
        """Release and return the rows that are still held."""
        held, self._held = self._held, []
        return held

    @property
    def reason(self) -> str:
        """Reason why the run cannot continue, empty if it can."""
        if len(self._held) < ENOUGH:
            return ""
        part, why = next((part, why) for part, why in _denials(self._held[0]) if part not in self._accepted)
        who = f"the judge of {part}" if part else "the system under test"
        return f"{who} refused the first calls: {why}; fix the key and continue with --resume"


def _denials(row: Row) -> Iterator[tuple[str, str]]:
    """Yield each part that refused (a metric's name, or empty for the system), with its message."""
    if row.failure is not None and row.failure.kind in DENIED:
        yield _SYSTEM, f"{row.failure.kind}: {row.failure.message}"
    for name, grade in row.scores.items():
        if isinstance(grade, Unscored) and grade.kind.removeprefix("judge_") in DENIED:
            yield name, f"{grade.kind.removeprefix('judge_')}: {grade.message}"


def _accepting(row: Row) -> Iterator[str]:
    if row.output is not None:
        yield _SYSTEM
    yield from (name for name, grade in row.scores.items() if isinstance(grade, Score))
