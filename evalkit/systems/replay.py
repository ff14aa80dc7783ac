"""Replay stored answers; nothing is called."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.disk.files import Stamp, Unfit, open_file, stamp_of
from evalkit.errors import InputError, Problem, noting, what_and_fix
from evalkit.formats.fields import parse_json
from evalkit.formats.line import ROW_FORMAT, body_of, is_sealed
from evalkit.formats.options import LATER
from evalkit.systems.base import Answer, CallFailed, Shared, check_seconds, inside, timed
from evalkit.systems.fingerprint import config_hash
from evalkit.systems.output import to_output
from evalkit.systems.secrets import secrets_of
from evalkit.systems.tool_errors import check_tool_error
from evalkit.text.values import one_line, shown
from evalkit.types import Case, Failure, Output

_PLACE = "system.replay"
MAX_BLANK_LINES = 1_000_000
_OF_ITS_CALL = ("attempts", "replayed", "user_usage", "user_why")
"""Keys of a stored output that the system did not return."""
_Key = tuple[str, int]
_Span = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class ReplaySystem:
    """Return the stored answer of each case.

    Rows are JSON Lines `{id, output}`, with `repeat` if a case was answered more than once, or the rows of a run. A
    file of traces, in OTLP/JSON or as runs of LangSmith, holds answers too: those whose `evalkit.case_id`, example,
    session or trace is the id of a case. Where a trace has no content, the text of the answer is unknown: scorers that
    read it leave their metric unscored as `no_text`, the others grade the tool calls, the steps and the usage.
    Without a path, the answer is a field of the golden row itself. A case without a stored answer fails as
    `not_recorded`.
    """

    replay: str | None = None
    """A file of rows or traces, or a run's folder; `golden` or nothing for the golden rows themselves."""
    field: str = "output"
    """The field that holds the answer: a string or {text, contexts, usage, tool_calls, trajectory, messages ...}."""
    timeout_s: float = 60.0
    version: str | None = None
    tool_error: str | None = dataclasses.field(default=None, metadata=LATER)
    """Pattern (RE2) of the tool results that are errors, such as `^Error`, for tools that report them as plain text."""

    def __post_init__(self) -> None:
        if self.replay == "":
            raise ValueError("replay: the path is empty; name a file, or write `golden`")
        if not self.field:
            raise ValueError("field: empty; write the field that holds the answer, such as `output`")
        check_seconds("timeout_s", self.timeout_s)
        check_tool_error(self.tool_error)

    @property
    def from_golden(self) -> bool:
        """True if the golden rows hold the answers."""
        return self.replay in (None, "golden")

    def problems(self, shared: Shared) -> list[Problem]:
        """Read the whole file once: every line must be a row with an id and an answer."""
        if self.from_golden:
            return []
        path = self._path(shared)
        return [path] if isinstance(path, Problem) else self._keys(path)[1]

    def answered(self, shared: Shared) -> Callable[[Case], bool]:
        """Return a function that checks whether a case has a stored answer.

        It raises `ValueError` if the golden row's own answer cannot be read.
        """
        if self.from_golden:
            return lambda case: self.field in case.fields and _is_read(self.field, case.fields[self.field])
        path = self._path(shared)
        keys, problems = (set(), [path]) if isinstance(path, Problem) else self._keys(path)
        return lambda case: bool(problems) or (case.id, 0) in keys  # what cannot be read is told with its line

    @property
    def fix(self) -> str:
        """The fix to suggest if no case has an answer."""
        if self.from_golden:
            return f"add `{self.field}` to the rows of the golden set, or name theirs with `field:`"
        return "store answers under the ids of this golden set (a trace has its id as `evalkit.case_id`)"

    def fingerprint(self, shared: Shared) -> str | None:
        """Return a hash of the stored answers; those of golden rows are part of each case's own digest."""
        if self.version is not None:
            return self.version
        ignored = ("timeout_s", "version", "replay")
        if self.from_golden:
            return config_hash(self, ignored)
        path = self._path(shared)
        return None if isinstance(path, Problem) else config_hash(self, ignored, [("rows", path)])

    def open(self, shared: Shared) -> AbstractAsyncContextManager[Answer]:
        """Index the file and hold it open."""
        return self._open(shared)

    @asynccontextmanager
    async def _open(self, shared: Shared) -> AsyncIterator[Answer]:
        secrets = secrets_of(shared.env)
        if self.from_golden:
            yield timed(_golden_answer(self.field), self.timeout_s, secrets, self.tool_error)
            return
        path = self._path(shared)
        problems = [path] if isinstance(path, Problem) else self._keys(path)[1]
        if isinstance(path, Problem) or problems:
            raise InputError(problems)
        if (traced := _traced(path)) is not None:
            yield timed(_traced_answer(traced[0]), self.timeout_s, secrets, self.tool_error)
            return
        index, _ = _index(path, self.field)
        file = os.open(path, os.O_RDONLY)
        try:
            yield timed(_stored_answer(file, index, self.field), self.timeout_s, secrets, self.tool_error)
        finally:
            os.close(file)

    def _keys(self, path: Path) -> tuple[AbstractSet[_Key], list[Problem]]:
        """Return the case and repeat of each answer in a file."""
        traced = _traced(path)
        index, problems = _index(path, self.field) if traced is None else traced
        return index.keys(), problems

    def _path(self, shared: Shared) -> Path | Problem:
        path = inside(shared, self.replay or "")
        if path is None:
            return Problem(_PLACE, f"{self.replay!r} leaves the project", "keep stored answers inside it")
        if path.is_dir():
            path = path / "rows.jsonl"
        if not path.is_file():
            return Problem(
                _PLACE, f"no file {self.replay!r} in {shared.root}", "name a JSON Lines file or a run's folder"
            )
        return path


def _golden_answer(field: str) -> Answer:
    async def answer(case: Case, repeat: int) -> Output | Failure:
        if repeat or field not in case.fields:
            raise _not_recorded(case, repeat)
        return _replayed(case.fields[field])

    return answer


def _stored_answer(file: int, index: Mapping[_Key, _Span], field: str) -> Answer:
    async def answer(case: Case, repeat: int) -> Output | Failure:
        span = index.get((case.id, repeat))
        if span is None:
            raise _not_recorded(case, repeat)
        offset, length = span
        row = _row(os.pread(file, length, offset))
        failure = row.get("failure")
        if failure is not None:
            return Failure(str(failure["kind"]), str(failure.get("message", "")))
        if row.get(field) is None:  # a case that the stored run skipped
            raise _not_recorded(case, repeat)
        return _replayed(row[field], _is_run_row(row))

    return answer


def _traced(path: Path) -> tuple[Mapping[_Key, Mapping[str, Any] | Failure], list[Problem]] | None:
    """Return the answers of a file of traces and its problems; `None` for another file."""
    # With readers of YAML, which a system in an environment without it does not need.
    from evalkit.systems.replayed_traces import is_traces, traced_index

    return traced_index(path) if is_traces(path) else None


def _traced_answer(index: Mapping[_Key, Mapping[str, Any] | Failure]) -> Answer:
    async def answer(case: Case, repeat: int) -> Output | Failure:
        if (case.id, repeat) not in index:
            raise _not_recorded(case, repeat)
        found = index[case.id, repeat]
        return found if isinstance(found, Failure) else _replayed(found)

    return answer


def _not_recorded(case: Case, repeat: int) -> CallFailed:
    return CallFailed(
        "not_recorded", f"no stored answer for case {case.id!r}" + (f", repeat {repeat}" if repeat else "")
    )


def _replayed(answer: object, stored: bool = False) -> Output | Failure:
    """Convert an answer; `stored` says that a run stored it, so its steps may have the form of an earlier version."""
    why = answer.get("user_why") if stored and isinstance(answer, Mapping) else None
    if isinstance(answer, Mapping):
        answer = {key: value for key, value in answer.items() if key not in _OF_ITS_CALL}
    output = to_output(answer, stored=stored)
    return (
        output
        if isinstance(output, Failure)
        else replace(output, replayed=True, user_why=why if isinstance(why, str) else None)
    )


def _is_run_row(row: Mapping[str, Any]) -> bool:
    return isinstance(row.get("case"), Mapping)


def _is_read(field: str, answer: object, stored: bool = False) -> bool:
    """Return True if an answer can be replayed.

    Raises:
        ValueError: it cannot be replayed.
    """
    if isinstance(ended := _replayed(answer, stored), Failure):
        raise ValueError(f"`{field}`: {ended.message}")
    return True


def _index(path: Path, field: str) -> tuple[Mapping[_Key, _Span], list[Problem]]:
    """Return the offset of each answer in the file, so that memory holds ids and not answers."""
    index, problems = _indexed(path, field, stamp_of(path.stat()))
    return index, [*problems]


@functools.lru_cache(maxsize=2)
def _indexed(path: Path, field: str, _stamp: Stamp) -> tuple[Mapping[_Key, _Span], tuple[Problem, ...]]:
    """Return the cached index of an unchanged file."""
    index: dict[_Key, _Span] = {}
    lines: dict[_Key, int] = {}
    problems: list[Problem] = []
    note = noting(problems)
    try:
        for number, offset, line in _lines(path):
            try:
                key, is_run_row = _key(_row(line), field)
            except (ValueError, RecursionError) as error:
                said = what_and_fix(one_line(error, 300), "fix the line, or remove it")
                note(Problem(f"{path.name}:{number}", *said))
                continue
            if key in lines and not is_run_row:
                what = f"`id` {key[0]!r}, repeat {key[1]}, repeats line {lines[key]}"
                note(Problem(f"{path.name}:{number}", what, "give each answer its own id or `repeat`"))
            lines[key] = number
            index[key] = (offset, len(line))
    except InputError:
        return index, tuple(problems)  # so many that the rest is not read
    except OSError as error:
        problems.append(Problem(path.name, f"cannot be read: {error.strerror}", "name a file with one answer per line"))
    if not index and not problems:
        problems.append(Problem(f"{path.name}:1", "no answer in it", "name a file of answers, or a run that has rows"))
    return index, tuple(problems)


def _lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Yield (number, offset, bytes) of each line that is not blank, except the truncated last row of a killed run."""
    offset = 0
    with open_file(path) as file:
        blank = 0
        for number, line in enumerate(file, 1):
            torn = is_sealed(line) and not line.endswith(b"\n")  # its case was never answered
            if line.strip() and not torn:
                yield number, offset, line
            blank += len(line) <= 2 and not line.strip()
            if blank > MAX_BLANK_LINES:
                raise Unfit(f"more than {MAX_BLANK_LINES:,} blank lines", path)
            offset += len(line)


def _row(line: bytes) -> Any:
    """Decode a line: `{id, output}`, or a sealed row of a run."""
    if not is_sealed(line):
        return parse_json(line, strict=True)
    body = body_of(line)
    if body is None:
        raise ValueError("altered: checksum mismatch; run the case again, or remove the line")
    row = json.loads(body)
    if row.get("v", ROW_FORMAT) != ROW_FORMAT:
        raise ValueError(f"a row of format {shown(row['v'])}, this evalkit reads {ROW_FORMAT}; upgrade evalkit")
    return row


def _key(row: Any, field: str) -> tuple[_Key, bool]:
    """Return the id and repeat of a valid row, and whether a run wrote it.

    Raises:
        ValueError: it is invalid; the message has the form `what; fix`.
    """
    if not isinstance(row, Mapping):
        raise ValueError(f"expected an object, got {shown(row)}; write {{id, {field}}}")
    is_run_row = _is_run_row(row)
    identity = row["case"].get("id") if is_run_row else row.get("id")
    if isinstance(identity, bool) or not isinstance(identity, str | int) or identity == "":
        raise ValueError(f"`id`: expected text, got {shown(identity)}; give each row the id of its case")
    repeat = row.get("repeat", 0)
    if isinstance(repeat, bool) or not isinstance(repeat, int) or repeat < 0:
        raise ValueError(f"`repeat`: expected 0, 1, 2 ..., got {shown(repeat)}")
    failure = row.get("failure")
    if failure is not None and not (isinstance(failure, Mapping) and isinstance(failure.get("kind"), str)):
        raise ValueError(f"`failure`: expected {{kind, message}}, got {shown(failure)}")
    if row.get(field) is not None:
        _is_read(field, row[field], is_run_row)
    elif failure is None and not is_run_row:
        raise ValueError(f"no `{field}`; add the answer, or name its field with `field:`")
    return (str(identity), repeat), is_run_row
