"""Read one logged call from a row of a log; a row that cannot be read is refused with its place."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from typing import Any, NamedTuple, get_args

from evalkit.formats.contexts import read_contexts
from evalkit.formats.fields import read_amount, read_count
from evalkit.formats.messages import read_messages
from evalkit.guard.settings import Action
from evalkit.monitor.settings import Monitor
from evalkit.systems.output import to_output
from evalkit.types import Case, Failure, Origin, Output

DAY_S = 86_400.0
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
_MOST_ID = 1_000
_MOST_COHORT = 200
_THUMBS: Mapping[Any, bool] = {"up": True, "down": False, 1: True, -1: False, False: False}
MISSING = "(missing)"
"""Value of a cohort that a call does not have."""
AMOUNTS = ("latency_s", "cost_usd", "steps", "tool_errors", "input_tokens", "output_tokens")
"""Figures that the log itself holds."""
_REAL = ("latency_s", "cost_usd")
_NAMED = ("contexts", "session", *AMOUNTS)
"""Columns that are missed if no row has one."""
_REPEATED = re.compile(r""", got |; | \(|: [^:]* is too large| (?:\w+ )?['"`]""")


class RowRefused(ValueError):
    """A row that is not a call: `what; fix`. The text repeats no value of the row."""


class LoggedCall(NamedTuple):
    """One call of the system in production.

    Attributes:
        id: Hash of its id, 64 bits.
        unit: Hash of its session, or of its id, with the salt of the draw; 64 bits.
        at: Seconds since 1970.
        cohorts: Value of each cohort of the monitor.
        case: What was asked; `None` if the call failed.
        output: The answer; `None` if the call failed.
        thumb: Whether the user was content; `None` if unknown.
        is_blocked: Whether the guard blocked the answer; `None` if unknown.
        amounts: As `AMOUNTS`; `None` where unknown.
        place: File and line.
    """

    id: int
    unit: int
    at: float
    cohorts: tuple[str, ...]
    case: Case | None
    output: Output | None
    thumb: bool | None
    is_blocked: bool | None
    amounts: tuple[float | None, ...]
    place: str


@dataclass(frozen=True)
class Identity:
    """Hashes ids of calls and sessions, so that neither is stored.

    Attributes:
        name: Name of the monitor, part of the hash of ids.
        salt: Text that the draw depends on.
        by_session: Whether whole sessions are drawn.
    """

    name: bytes
    salt: bytes
    by_session: bool

    @classmethod
    def of(cls, monitor: Monitor) -> Identity:
        """Return the hashes of a monitor."""
        return cls(monitor.name.encode(), monitor.salt.encode(), monitor.options.sample.unit == "session")

    def id_of(self, text: str) -> int:
        """Return the hash of an id."""
        return hash64(self.name, text)

    def unit_of(self, text: str, session: str | None) -> int:
        """Return the hash of the unit that is drawn; it decides on the draw."""
        return hash64(self.salt, f"s {session}" if self.by_session and session else f"c {text}")


def hash64(salt: bytes, text: str) -> int:
    """Return the first 8 bytes of blake2b(salt | text) as a number."""
    data = salt + b"\0" + text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


class RowReader:
    """Reads rows with the columns of a monitor."""

    def __init__(self, monitor: Monitor, now: float) -> None:
        """Set the columns.

        Args:
            monitor: Names them.
            now: Seconds since 1970; calls more than a day later are refused.
        """
        self._options = monitor.options.logs
        self._identity = Identity.of(monitor)
        self._names = tuple(monitor.cohorts)
        self._cohorts = [getter(column) for column in monitor.cohorts.values()]
        self._latest = now + DAY_S
        options = self._options
        self._id, self._at, self._input, self._output = map(
            getter, (options.id, options.at, options.input, options.output)
        )
        self._contexts, self._session, self._error, self._thumb, self._action = map(
            getter, (options.contexts, options.session, options.error, options.thumb, options.action)
        )
        amounts = ((at, name, getattr(options, name)) for at, name in enumerate(AMOUNTS))
        self._amounts = [(at, name in _REAL, column, getter(column)) for at, name, column in amounts if column]
        self._unknown: list[float | None] = [None] * len(AMOUNTS)
        # Errors and ratings are left out: calls without them are usual.
        named = [
            (f"logs: {{{name}: {column}}}", getter(column)) for name in _NAMED if (column := getattr(options, name))
        ]
        cohorts = [(cohort_label(name, column), _plain(getter(column))) for name, column in monitor.cohorts.items()]
        self._absent, self._n_rows = [*cohorts, *named], 0

    def absent(self) -> list[str]:
        """Return the cohorts and columns that no row had a value of; none without a row."""
        return [label for label, _ in self._absent] if self._n_rows else []

    def read(self, row: Any, place: str) -> LoggedCall:
        """Read one row.

        Raises:
            RowRefused: the row is not a call.
        """
        if not isinstance(row, Mapping):
            raise RowRefused("not an object; write one JSON object a line")
        options = self._options
        self._n_rows += 1
        if self._absent:
            self._absent = [(label, get) for label, get in self._absent if get(row) is None]
        text = read_id(self._id(row), options.id, "id")
        at = read_time(self._at(row), options.at, self._latest)
        session = self._session(row)
        session = None if session is None else read_id(session, options.session or "", "session")
        cohorts = tuple([cohort_value(get(row)) for get in self._cohorts])
        amounts = self._unknown.copy()
        for number, is_real, column, get in self._amounts:
            amounts[number] = _amount(column, get(row), is_real=is_real)
        case = output = None
        if not _has_failed(self._error(row), options.error or ""):
            case, output = self._asked(row, text, cohorts)
        return LoggedCall(
            self._identity.id_of(text),
            self._identity.unit_of(text, session),
            at,
            cohorts,
            case,
            output,
            None if options.thumb is None else read_thumb(self._thumb(row), options.thumb),
            None if options.action is None else read_action(self._action(row), options.action),
            tuple(amounts),
            place,
        )

    def _asked(self, row: Mapping[str, Any], text: str, cohorts: tuple[str, ...]) -> tuple[Case, Output]:
        options = self._options
        asked, answer, contexts = self._input(row), self._output(row), self._contexts(row)
        given: Any = asked
        if type(asked) is not str:
            try:
                given = read_messages(options.input, asked)
            except (ValueError, TypeError):
                given = None
            if not given:
                raise RowRefused(
                    f"{options.input}: neither a text nor a list of messages; name the column of the question"
                )
        if answer is None:
            fix = "name the column of errors as `logs: {error: ...}` if the call failed"
            raise RowRefused(f"{options.output}: no answer; {fix}")
        output = Output(text=answer) if type(answer) is str else to_output(answer)
        if isinstance(output, Failure):
            raise RowRefused(f"{options.output}: {_without_value(output.message)}; write a text or an output object")
        texts: tuple[str, ...] = ()
        origins: tuple[Origin, ...] = ()
        if type(contexts) is list and all([type(each) is str for each in contexts]):
            texts = tuple(contexts)
        elif contexts is not None:
            try:
                texts, origins = read_contexts(options.contexts or "", contexts)
            except (ValueError, TypeError) as error:
                raise RowRefused(f"{_without_value(error)}; write a list of texts") from None
        labels = dict(zip(self._names, cohorts, strict=True))
        case = Case(id=text, input=given, contexts=texts, origins=origins, cohorts=labels, fields=row)
        return case, output


Get = Callable[[Mapping[str, Any]], Any]


def getter(column: str | None) -> Get:
    """Return the function that finds a column in a row, also as a path of objects; `None` if it is not there."""
    if column is None:
        return lambda row: None
    if "." not in column:
        return lambda row: row.get(column)  # a mapping of any kind, so no `itemgetter`
    parts = column.split(".")

    def find(row: Mapping[str, Any]) -> Any:
        if column in row:
            return row[column]
        found: Any = row
        for part in parts:
            if not isinstance(found, Mapping):
                return None
            found = found.get(part)
        return found

    return find


def _has_failed(error: Any, column: str) -> bool:
    """Return whether the column of errors says that the call failed; empty values say that it did not."""
    if error is None or (type(error) in (bool, str, int, float, list) and not error):
        return False
    if type(error) is bool or type(error) is str:
        return True
    if isinstance(error, Mapping):
        return bool(error)
    raise RowRefused(
        f"{column}: not a text, boolean or object; write the message of the error, or null if there is none"
    )


def cohort_label(name: str, column: str) -> str:
    """Return how the file of a monitor names the column of a cohort."""
    return f"cohorts: {{{name}: {column}}}"


def _plain(get: Get) -> Get:
    """Return the function that finds a value of a cohort; `None` if it is missing or not a plain one."""
    return lambda row: None if (value := cohort_value(get(row))) == MISSING else value


def read_id(value: Any, column: str, field: str) -> str:
    """Return the id of a call or session.

    Raises:
        RowRefused: it is missing, or not a plain text.
    """
    if type(value) is int:
        return str(value)
    if type(value) is not str or not value or len(value) > _MOST_ID:
        if value is None or value == "":
            raise RowRefused(f"{column}: missing; name the column of the {field} under `logs: {{{field}: ...}}`")
        raise RowRefused(
            f"{column}: not a text of up to {_MOST_ID:,} characters; write a {field} that has 1 to {_MOST_ID:,}"
        )
    if not value.isprintable():
        raise RowRefused(f"{column}: characters that cannot be printed; write the {field} without them")
    return value


def read_time(value: Any, column: str, latest: float) -> float:
    """Return a time in seconds since 1970.

    Raises:
        RowRefused: it is missing, not a time, before the year 2000, or after `latest`.
    """
    fix = "write ISO 8601 such as 2026-09-01T08:30:00Z, or seconds since 1970"
    if type(value) is str:
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            raise RowRefused(f"{column}: not a time; {fix}") from None
        at = (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    elif type(value) in (int, float):
        at = float(value) if abs(value) < 1e18 else float("inf")
    elif isinstance(value, datetime):
        at = (value if value.tzinfo is not None else value.replace(tzinfo=UTC)).timestamp()
    else:
        raise RowRefused(f"{column}: {'missing' if value is None else 'not a time'}; {fix}")
    return _plausible(at, column, latest, fix)


def check_time(at: float | None, name: str, now: float) -> float:
    """Return the seconds since 1970 of a call.

    Raises:
        RowRefused: the time is missing, before the year 2000, or more than a day ahead of the clock.
    """
    if at is None:
        raise RowRefused(f"{name}: missing; every call needs a time")
    return _plausible(at, name, now + DAY_S, "check the clock of the emitter")


def _plausible(at: float, name: str, latest: float, fix: str) -> float:
    if not _EARLIEST <= at <= latest:
        raise RowRefused(f"{name}: before the year 2000, or more than a day ahead of the clock; {fix}")
    return at


def cohort_value(value: Any) -> str:
    """Return the value of a cohort as a text; `MISSING` if it is none, or not a plain one."""
    if type(value) is str:
        return value if 0 < len(value) <= _MOST_COHORT and value.isprintable() and "|" not in value else MISSING
    if type(value) is bool:
        return str(value).lower()
    return str(value) if type(value) is int or (type(value) is float and isfinite(value)) else MISSING


def _amount(column: str, value: Any, *, is_real: bool) -> float | None:
    if value is None:
        return None
    if is_real and type(value) is float and 0 <= value < 1e9:
        return value
    if isinstance(value, Decimal):  # of Parquet
        value = float(value)
    try:
        found = read_amount(column, value) if is_real else read_count(column, value)
    except (ValueError, TypeError) as error:
        raise RowRefused(f"{_without_value(error)}; write a number of at least 0, or null if it is unknown") from None
    return None if found is None else float(found)


def read_thumb(value: Any, column: str) -> bool | None:
    """Return a rating of a user: whether it is up; `None` if there is none.

    Raises:
        RowRefused: it is not a rating.
    """
    if value is None or value == "" or (value == 0 and value is not False):
        return None
    try:
        found = _THUMBS.get(value)
    except TypeError:
        found = None
    if found is None:
        raise RowRefused(f"{column}: not a rating; write `up` or `down`, 1 or -1, true or false, or null")
    return found


def read_action(value: Any, column: str) -> bool | None:
    """Return whether a guard blocked an answer; `None` if its action is unknown.

    Raises:
        RowRefused: it is not an action of a guard.
    """
    if value is None or value == "":
        return None
    if value not in get_args(Action):
        raise RowRefused(f"{column}: not an action of the guard; write `pass`, `warn` or `block`")
    return bool(value == "block")


def _without_value(said: object) -> str:
    """Return the text of an error up to the value or key of the row that it repeats, which may be private."""
    return _REPEATED.split(str(said), maxsplit=1)[0]
