"""Map the columns of a file to the fields of a row, and report the problem of a whole column once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, NamedTuple

from evalkit.errors import Problem
from evalkit.golden.cells import Reread, cell_value, number_text
from evalkit.golden.header import NAMELESS, RawTable
from evalkit.golden.json_lines import Note, Unreadable
from evalkit.golden.list_cells import ListCells
from evalkit.golden.names import EXPECTATIONS, KNOWN_FIELDS, TRUTH_FIELDS, field_of, plain_name
from evalkit.golden.proposal import MAY_BE_STORED, propose_columns
from evalkit.golden.source import GoldenSource, Reading
from evalkit.text.escaping import cut

_MAX_PLANS = 1_000
"""Maximum number of different sets of keys in the cache."""
_SHOWN_COLUMNS = 20
_NAME_CHARS = 60
_BESIDE_ANSWERS = ("id", "input", "contexts")
"""Fields proposed for the two meanings of `answer`."""
COHORTS = "cohorts"


class NamedRow(NamedTuple):
    """A row under the names of fields, or of other tools' columns."""

    row: dict[str, Any]
    cohorts: Mapping[str, Any]
    """Values of columns named under the suite's `cohorts:`."""
    reread: Mapping[str, Any]
    """Fields whose content for the digest differs from their value: JSON objects in columns of the user's own."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """The mapping of the columns of a table, or of rows with the same keys."""

    targets: tuple[tuple[str, str, str | None], ...]
    """Column, field, and name within the field or `None`."""
    cohorts: tuple[tuple[str, str], ...] = ()
    """Column and cohort."""
    same: bool = False
    """Whether all columns have the names of their fields."""
    fault: tuple[str, str] | None = None
    """The problem of all rows, and the fix."""
    answer: str | None = None
    """The column that may hold a stored answer as well as the expected one."""
    lists: tuple[str, ...] = ()
    """Fields that hold lists."""

    @property
    def plain(self) -> bool:
        """Whether there is no problem and no unclear column."""
        return self.fault is None and self.answer is None


@dataclass
class ColumnReader:
    """Reads the rows of one file, in file order."""

    source: GoldenSource
    reading: Reading
    table: RawTable
    note: Note
    warn: Note
    strict: bool = True
    """Whether each row becomes a case. If not, no column is required."""
    _plans: dict[tuple[str, ...], _Plan] = field(default_factory=dict)
    _met: set[str] = field(default_factory=set)
    """Columns under `columns:` that some row has."""
    _answers_are_outputs: bool = False
    """Whether a row shows the meaning of `answer`, because it also has a reference or is replayed."""
    _sound: bool = False
    """Whether a row had the required fields."""
    _faulty: bool = False
    """Whether a problem of all rows was reported."""

    def __post_init__(self) -> None:
        """Prepare the state that is collected over all rows."""
        self._lists = ListCells(self.source, self.table, self.reading.lists)

    def read(self, line: int, raw: dict[str, Any]) -> NamedRow | None:
        """Return the row under the names of fields; `None` if the columns as a whole cannot be used."""
        shape = tuple(raw)
        plan = self._plans.get(shape)
        if plan is None:
            plan = self._plan(shape)
            if len(self._plans) < _MAX_PLANS:
                self._plans[shape] = plan
        if self.strict and not (self._sound and plan.plain) and self._is_refused(plan, line, raw):
            return None
        row, reread = self._values(plan, line, raw)
        for name in plan.lists:
            if isinstance(row.get(name), str):
                self._lists.read(row, name, line)
            elif isinstance(row.get(name), list):
                self._lists.note_objects(name, row[name], line)
        return NamedRow(row, self._lifted(plan, line, raw, row) if plan.cohorts else {}, reread)

    def _is_refused(self, plan: _Plan, line: int, raw: dict[str, Any]) -> bool:
        """Return whether a row has a problem of all rows, reporting the first."""
        fault = self._ambiguous(plan, raw)
        if fault is None and not (self._sound and self.table.kind == "records"):
            fault = plan.fault
        self._sound = self._sound or fault is None
        if fault is not None and not self._faulty:
            at = line if self.table.kind == "records" else self.table.header_line
            self.note(Problem(f"{self.table.shown}:{at}", *fault))
        self._faulty = self._faulty or fault is not None
        return fault is not None

    def _lifted(self, plan: _Plan, line: int, raw: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
        """Return the values of columns that are cohorts by the suite, unless the row states the cohort itself."""
        own = row.get(COHORTS)
        lifted = {}
        for column, name in plan.cohorts:
            value = raw[column]
            if value is None or value == "" or (isinstance(own, Mapping) and name in own):
                continue
            if isinstance(value, Unreadable):
                self.note(Problem(f"{self.table.shown}:{line} {column}", value.what, value.fix))
            else:
                lifted[name] = value
        return lifted

    def finish(self) -> None:
        """Report the problems of columns after all rows were read."""
        unmet = [column for column in self.source.columns.values() if column not in self._met]
        if unmet and self._plans and not self._faulty and self.strict:
            shape = next(iter(self._plans))
            self.note(Problem(f"{self.table.shown}:1", *_no_column(unmet[0], shape)))
        for column, (line, why, fix) in self.table.left_out.items():
            self.warn(Problem(f"{self.table.shown}:{line} {column}", f"left out: {why}", f"{fix} if it is needed"))
        for problem in self._lists.warnings():
            self.warn(problem)

    def _values(self, plan: _Plan, line: int, raw: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        if self.table.kind == "records" and plan.same:
            return raw, {}
        row: dict[str, Any] = {}
        reread: dict[str, Any] = {}
        for column, name, inner in plan.targets:
            value = raw[column]
            if self.table.kind == "cells" and value is not None:
                value = self._cell(name, inner, column, line, value)
                if isinstance(value, Reread):
                    reread[name], value = value.content, value.text
            if value is None and self.table.kind != "records":
                continue
            if self.table.kind == "typed":
                value = _typed(name, value)
            if isinstance(value, Unreadable):
                self._unreadable(value, name, column, line)
                continue
            held = row.get(name)
            if inner is not None and (held is None or isinstance(held, dict)):
                row.setdefault(name, {})[inner] = value
            elif held is None:
                row[name] = value
            else:
                what = f"`{name}` is already filled by another column"
                self.note(Problem(f"{self.table.shown}:{line} {column}", what, "keep one of the two"))
        return row, {name: value for name, value in reread.items() if name in row}

    def _cell(self, name: str, inner: str | None, column: str, line: int, value: Any) -> Any:
        if value == "" or isinstance(value, Unreadable):
            return value or None
        if type(value) is str and name not in TRUTH_FIELDS and value[0] not in "[{ \t\r\n\xa0":
            return value
        return cell_value(name, inner, value, f"{self.table.shown}:{line} {column}", self.note)

    def _unreadable(self, value: Unreadable, name: str, column: str, line: int) -> None:
        if name in KNOWN_FIELDS or column in self.source.columns.values():
            self.note(Problem(f"{self.table.shown}:{line} {column}", value.what, value.fix))
        else:
            self.table.leave_out(column, line, value.what, value.fix)

    def _ambiguous(self, plan: _Plan, raw: Mapping[str, Any]) -> tuple[str, str] | None:
        """Describe an `answer` that may be the expected one."""
        column = plan.answer
        if column is None or self._answers_are_outputs or raw[column] in (None, ""):
            return None
        return self._two_meanings(column, tuple(raw))

    def _two_meanings(self, column: str, shape: Sequence[str]) -> tuple[str, str]:
        rest = {name: each for name, each in self._proposed(shape).items() if name in _BESIDE_ANSWERS}
        lines = [self._line({**rest, name: column}, shape) for name in ("reference", "output")]
        what = f"`{column}` may hold the expected answer, or an answer that a system gave"
        return what, f"write `{lines[0]}` if it is expected, or `{lines[1]}` if a system gave it"

    def _plan(self, shape: tuple[str, ...]) -> _Plan:
        plain = {name: plain_name(name) for name in shape}
        mapped, fault = self._mapped(shape, plain)
        targets = [(column, *_split(name)) for column, name in mapped.items()]
        stated = {field_of(name) for name in mapped.values()}
        for column in shape:
            name = None if column in mapped else self._own_name(column, plain, stated)
            if name is not None:
                targets.append((column, *self._own_split(name, shape)))
        names = {name for _, name, _ in targets}
        given = {field_of(name) for name in names}
        if any(name.startswith(EXPECTATIONS) for name in shape) or names >= {"inputs", "outputs"}:
            given.add("reference")
        certain = "reference" in given or self.reading.replays
        answer = next((column for column, name, _ in targets if name == "answer"), None)
        self._answers_are_outputs = self._answers_are_outputs or (answer is not None and certain)
        return _Plan(
            targets=tuple(targets),
            cohorts=tuple(self._cohorts(plain, mapped)),
            same=all(column == name for column, name, _ in targets) and len(targets) == len(shape),
            fault=fault or self._twice(targets) or self._lack(shape, given),
            lists=tuple(name for name in names if self._lists.holds(name)),
            answer=None if certain or fault or "input" not in given else answer,
        )

    def _mapped(self, shape: Sequence[str], plain: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, str] | None]:
        """Return column -> field of the suite's `columns`, and their problems."""
        mapped: dict[str, str] = {}
        for name, wanted in self.source.columns.items():
            found = [wanted] if wanted in plain else [each for each in shape if plain[each] == plain_name(wanted)]
            if len(found) == 1:
                self._met.add(wanted)
                mapped[found[0]] = name
            elif self.table.kind != "records":
                return mapped, _no_column(wanted, shape)
        return mapped, None

    def _own_name(self, column: str, plain: Mapping[str, str], mapped: set[str]) -> str | None:
        """Return the name under which a column is read; `None` if `columns` names another column for its field."""
        name = column
        if self._any_case(plain) and column not in KNOWN_FIELDS and plain[column] in KNOWN_FIELDS:
            same = [each for each in plain if field_of(plain[each]) == field_of(plain[column])]
            exact = [each for each in same if each in KNOWN_FIELDS]
            name = column if exact else plain[column]
            if exact and plain[column] == plain[exact[0]]:
                place = f"{self.table.shown}:{self.table.header_line} {column}"
                what = f"not read as `{field_of(plain[column])}`, because {exact[0]!r} is"
                self.warn(Problem(place, what, "remove one of the two"))
        if field_of(name) in mapped and name in KNOWN_FIELDS:
            why = "`columns` names another column for its field"
            self.table.leave_out(column, self.table.header_line, why, "map it to a name of your own")
            return None
        return name

    def _any_case(self, plain: Mapping[str, str]) -> bool:
        """Return whether names match in any case: in tables, and in rows without the exact name of an input."""
        return self.table.kind != "records" or not any(field_of(name) == "input" for name in plain)

    def _own_split(self, name: str, shape: Sequence[str]) -> tuple[str, str | None]:
        """Split the name of a column at its dot, unless another column has the name before it."""
        group, inner = _split(name)
        if self.table.kind != "cells" or (group in shape and group not in KNOWN_FIELDS):
            return name, None
        return group, self._cohort(inner) if group == COHORTS and inner else inner

    def _cohort(self, name: str) -> str:
        """Return a cohort as the suite spells it, if only case and blanks differ."""
        same = [each for each in self.reading.cohorts if plain_name(each) == plain_name(name)]
        return same[0] if len(same) == 1 else name

    def _cohorts(self, plain: Mapping[str, str], mapped: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        for cohort in self.reading.cohorts:
            found = [cohort] if cohort in plain else []
            if not found and self._any_case(plain):
                found = [column for column, name in plain.items() if name == plain_name(cohort)]
            if len(found) == 1 and found[0] not in mapped:
                yield found[0], cohort
        for column in plain if self.table.kind != "cells" else ():
            group, inner = _split(column)
            if group == COHORTS and inner and column not in mapped:
                yield column, self._cohort(inner)

    def _twice(self, targets: Sequence[tuple[str, str, str | None]]) -> tuple[str, str] | None:
        """Describe two columns whose names differ only in spaces and case."""
        first: dict[tuple[str, str | None], str] = {}
        for column, name, inner in targets:
            other = first.setdefault((name, inner), column)
            if other != column:
                field = field_of(name)
                line = self.source.line(columns={**self.source.columns, field: other})
                return f"the columns {other!r} and {column!r} both give `{field}`", f"choose one, as in `{line}`"
        return None

    def _lack(self, shape: Sequence[str], given: set[str]) -> tuple[str, str] | None:
        """Describe a missing input or id that every row lacks."""
        column = "key" if self.table.kind == "records" else "column"
        listed = f"the {column}s are {_listed(shape)}"
        asked = "input" in given or not {"turns", "user"}.isdisjoint(shape)
        if not asked and (column == "column" or any(name not in KNOWN_FIELDS for name in shape)):
            what = f"no {column} gives the question (`input`), {listed}"
            above = any(each.startswith(NAMELESS) for each in self.table.left_out)
            return what, ("remove the rows above the header, or " if above else "") + self._mapping_to_copy(shape)
        if "id" not in given and not self.source.make_ids:
            ids = {name: each for name, each in self._proposed(shape).items() if name == "id"}
            if column == "key" and not ids:
                return "`id` is missing", f"give each case its own id, or write `{self._line({}, shape)}`"
            return f"no {column} gives the `id` of the cases, {listed}", f"write `{self._line(ids, shape)}`"
        return None

    def _mapping_to_copy(self, shape: Sequence[str]) -> str:
        proposed = self._proposed(shape)
        fix = f"write `{self._line(proposed, shape)}` if this is what they hold"
        unclear = proposed.get("reference", "")
        if any(each.column == unclear and each.reason == MAY_BE_STORED for each in propose_columns(shape)):
            fix += f", with `output: {unclear}` instead of `reference:` for answers that a system gave"
        return fix

    def _proposed(self, shape: Sequence[str]) -> dict[str, str]:
        """Return field -> column for the columns that must be named."""
        cohorts = {plain_name(each) for each in self.reading.cohorts}
        return {
            each.field: each.column
            for each in propose_columns(shape)
            if not each.sure and not (each.field.startswith(f"{COHORTS}.") and plain_name(each.column) in cohorts)
        }

    def _line(self, columns: Mapping[str, str], shape: Sequence[str]) -> str:
        """Return the line to copy, with `make_ids` if no column gives ids."""
        merged = {**self.source.columns, **columns}
        has_id = "id" in merged or any(field_of(plain_name(column)) == "id" for column in shape)
        return self.source.line(columns=merged, make_ids=self.source.make_ids or not has_id)


def _typed(name: str, value: Any) -> Any:
    """Return the text of a number where only a text can be meant; a column of whole numbers with a gap has decimals."""
    is_id = field_of(name) == "id" and isinstance(value, float) and value.is_integer()
    is_answer = field_of(name) == "reference" and isinstance(value, int | float) and not isinstance(value, bool)
    return number_text(value) if is_id or is_answer else value


def _split(name: str) -> tuple[str, str | None]:
    """Split `cohorts.topic` into the field and the name within it."""
    group, dot, inner = name.partition(".")
    if not dot:
        return name, None
    return (COHORTS if plain_name(group) == COHORTS else group), inner


def _no_column(wanted: str, shape: Sequence[str]) -> tuple[str, str]:
    near = get_close_matches(wanted, shape, n=1)
    fix = f"did you mean {near[0]!r}?" if near else "name one of them"
    return f"no column {wanted!r}, which `columns` names, the columns are {_listed(shape)}", fix


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(cut(name, _NAME_CHARS) for name in names[:_SHOWN_COLUMNS])
    more = len(names) - _SHOWN_COLUMNS
    return f"{shown} and {more} more" if more > 0 else shown
