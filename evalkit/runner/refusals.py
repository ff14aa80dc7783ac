"""End a run if an endpoint refuses its key, cannot be reached or is not paid for; keep single refusals as rows."""

from __future__ import annotations

import re
from collections.abc import Iterator

from evalkit.types import USER_ERROR, Row, Score, Unscored

DENIED = frozenset({"http_401", "http_403"})
UNREACHED = frozenset({"connection"})
"""Failures of a system after all attempts, which took the whole time of the case."""
UNPAID = "http_402"
_NO_QUOTA = "insufficient_quota"
"""Code in OpenAI's 429 reply if the account is empty."""
ENOUGH = 3
"""After this many refused rows, with none accepted, the key is considered invalid, or the address dead."""
_SYSTEM, _ADDRESS, _USER = "", ":address", ":user"
"""Parts that can refuse: the system, its address, and the simulated user. Other parts are names of metrics."""
_REFUSED_USER = re.compile(r"plays the user: (http_40[13]: .*)", re.DOTALL)
"""Text in the message of a `user_error` if the endpoint refused the key."""
_WHO = {_SYSTEM: "the system under test", _USER: "the model that plays the user"}


class Refusals:
    """Holds back rows that say more about an endpoint than about their case, until that endpoint accepts one.

    These rows were refused with 401 or 403 by a system, a judge or a simulated user that had not accepted any row, or
    belong to a system that could not be reached or whose account is empty.
    """

    def __init__(self, in_flight: int = 1) -> None:
        """Start with no accepted rows.

        Args:
            in_flight: number of calls at once. A short outage fails that many together, so it takes more to end a run
                that has had answers.
        """
        self._in_flight = in_flight
        self._accepted: set[str] = set()
        self._held: list[tuple[Row, set[str]]] = []
        """Held rows, each with the parts that have not accepted any row yet."""

    def take(self, row: Row) -> list[Row]:
        """Take a row, and return the rows that may now be journalled."""
        accepting = set(_accepting(row))
        self._accepted |= accepting
        for _, parts in self._held:
            parts -= accepting
        self._held.append((row, {part for part, _ in _denials(row)} - self._accepted | set(_unreached(row))))
        ready = [each for each, parts in self._held if not parts]
        self._held = [(each, parts) for each, parts in self._held if parts]
        return ready

    def release(self) -> list[Row]:
        """Release and return the rows that are still held."""
        held, self._held = self._held, []
        return [row for row, _ in held]

    @property
    def reason(self) -> str:
        """Reason why the run cannot continue, empty if it can."""
        if len(self._held) < ENOUGH:
            return ""
        row, parts = self._held[0]
        for part, why in _denials(row):
            if part in parts:
                who = _WHO.get(part, f"the judge of {part}")
                return f"{who} refused the first calls: {why}; fix the key and continue with --resume"
        if _ADDRESS in self._accepted and len(self._held) < self._in_flight + ENOUGH:
            return ""
        what, fix = "cannot be reached", "start it or fix its address"
        if _is_unpaid(row):
            what, fix = "refuses calls that nobody pays for", "top up the account"
        return f"the system under test {what}; {fix}, and continue with --resume ({_said(row).partition(';')[0]})"


def _said(row: Row) -> str:
    return f"{row.failure.kind}: {row.failure.message}" if row.failure is not None else ""


def _denials(row: Row) -> Iterator[tuple[str, str]]:
    """Yield each part that refused (a metric's name, or empty for the system), with its message."""
    if row.failure is not None and row.failure.kind in DENIED:
        yield _SYSTEM, _said(row)
    if (user := _of_user(row)) and (refused := _REFUSED_USER.search(user)):
        yield _USER, refused[1]
    for name, grade in row.scores.items():
        if isinstance(grade, Unscored) and grade.kind.removeprefix("judge_") in DENIED:
            yield name, f"{grade.kind.removeprefix('judge_')}: {grade.message}"


def _of_user(row: Row) -> str:
    """Return why the simulated user failed; empty if it did not."""
    return row.failure.message if row.failure is not None and row.failure.kind == USER_ERROR else ""


def _is_unpaid(row: Row) -> bool:
    failure = row.failure
    return (
        failure is not None and failure.kind != USER_ERROR and (failure.kind == UNPAID or _NO_QUOTA in failure.message)
    )


def _unreached(row: Row) -> Iterator[str]:
    if row.failure is not None and (row.failure.kind in UNREACHED or _is_unpaid(row)):
        yield _ADDRESS


def _accepting(row: Row) -> Iterator[str]:
    if row.output is not None:
        yield _SYSTEM
    output = row.output or (row.failure.partial if row.failure is not None else None)
    if output is not None and output.user_usage is not None:
        yield _USER
    answered = row.failure is not None and row.failure.kind.startswith("http_") and not _is_unpaid(row)
    if row.output is not None or answered:
        yield _ADDRESS
    yield from (name for name, grade in row.scores.items() if isinstance(grade, Score))
