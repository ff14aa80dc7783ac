"""Decide which columns of two files of results name the cases, hold grades, and say what kind of case it is.

A column is chosen by its name, and both files must agree. Each choice is printed; an unclear column is refused,
with the flag that decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evalkit.aggregate.statuses import is_derived
from evalkit.errors import InputError, Problem, noting
from evalkit.imports.result_case_columns import ID_NAMES, CaseColumns, choose_cases
from evalkit.imports.result_cells import Grade, NotAGrade, is_letters, is_pass_fail, read_grade
from evalkit.imports.result_flags import ColumnFlags, refuse_uncompared, refuse_unknown
from evalkit.imports.result_names import more_is_better
from evalkit.imports.result_table import ResultTable, columns_of_both, fold, quoted
from evalkit.types import Metric

PASS_NAMES = ("pass", "passed", "success", "successful", "correct", "is_correct", "ok")
ANSWER_NAMES = ("result", "label", "outcome")
"""Those of `WEAK_PASS_NAMES` whose values must be words that can only be grades: `pass`, and not `yes` or 1."""
WEAK_PASS_NAMES = ("verdict", "result", "label", "judgement", "judgment", "outcome")
"""Read as pass or fail if nothing else is a grade: each may also be what a model answered."""
SCORE_NAMES = ("score", "value", "rating", "grade", "accuracy", "acc", "exact_match", "f1")
GRADE_ENDS = ("_score", "_passed", "_pass", "_acc", "_correct")
GRADE_GROUPS = ("score.", "scores.", "metric.", "metrics.")
"""Prefixes of the columns of objects that hold only grades: `scores.tone`."""
COHORT_NAMES = ("topic", "category", "domain", "language", "tag", "tags", "split", "difficulty", "group")
_BESIDE_GRADES = ("_reason", "_comment", "_explanation", "_threshold", "_cost")
MOST_VALUES = 20
AMOUNTS = {
    "duration_s": "latency_s",
    "latency_s": "latency_s",
    "duration_ms": "latency_ms",
    "latency_ms": "latency_ms",
    "cost_usd": "cost_usd",
    "prompt_tokens": "input_tokens",
    "input_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "output_tokens": "output_tokens",
}
"""Columns whose unit is in the name -> what they measure."""
SCALES = ((0.0, 1.0), (1.0, 5.0), (0.0, 5.0), (0.0, 10.0), (0.0, 100.0))
_RESERVED = ("pass_rate", "pass_any", "pass_all", "pass_spread", "overall", "coverage")


@dataclass(frozen=True)
class GradeColumn:
    """A column of grades, and the metric that it gives."""

    column: str
    metric: Metric
    why: str
    """Why it is read so, in a few words."""


@dataclass(frozen=True, kw_only=True)
class ResultColumns:
    """What the columns of two files mean."""

    cases: CaseColumns
    grades: tuple[GradeColumn, ...]
    cohorts: Mapping[str, str]
    """Cohort -> column."""
    tags: Mapping[str, tuple[str, str]]
    """Cohort of one tag -> column of lists, and the tag."""
    amounts: Mapping[str, str]
    """`latency_s`, `latency_ms`, `cost_usd`, `input_tokens` or `output_tokens` -> column; shown, but not graded."""
    judged: tuple[str, ...]
    """Metrics that a model graded, as the user or a file says."""
    unused: tuple[str, ...]
    """Numeric columns that are not compared, by their own names."""

    @property
    def cohort_names(self) -> tuple[str, ...]:
        """Every cohort."""
        return (*self.cohorts, *self.tags)


def choose_columns(before: ResultTable, after: ResultTable, asked: ColumnFlags) -> ResultColumns:
    """Choose the columns of two tables.

    Raises:
        InputError: with every column that is missing or unclear, and the flag that names it.
    """
    problems: list[Problem] = []
    note = noting(problems)
    both = columns_of_both(before, after)
    refuse_unknown(before, after, asked, note)
    if problems:
        raise InputError(problems)
    grades = _Grades(before, after, asked, problems)
    found = grades.chosen(both)
    if not problems:
        refuse_uncompared(tuple(each.column for each in found), after, asked, note)
    cohorts, tags = _cohorts(before, after, both, asked)
    amounts = {field: name for name, field in AMOUNTS.items() if name in both and grades.is_numeric(name)}
    taken = {each.column for each in found} | set(cohorts.values()) | {column for column, _ in tags.values()}
    taken |= set(amounts.values())
    known = {*map(fold, asked.judged), *before.judged, *after.judged}
    judged = tuple(each.metric.name for each in found if each.column in known)
    cases = None
    try:
        cases = choose_cases(before, after, id_asked=asked.id, repeat=asked.repeat, cluster=asked.cluster, taken=taken)
    except InputError as error:
        problems += error.problems
    if problems or cases is None:
        raise InputError(problems)
    unused = [name for name in both if name not in taken and name not in cases.used and grades.is_numeric(name)]
    return ResultColumns(
        cases=cases,
        grades=found,
        cohorts=cohorts,
        tags=tags,
        amounts=amounts,
        judged=judged,
        unused=tuple(after.names[name] for name in unused),
    )


class _Grades:
    """Chooses and reads the columns of grades of two tables."""

    def __init__(self, before: ResultTable, after: ResultTable, asked: ColumnFlags, problems: list[Problem]) -> None:
        self.tables, self.asked, self.problems = (before, after), asked, problems
        self._read: dict[str, tuple[list[Grade], list[Problem]]] = {}

    def read(self, name: str) -> tuple[list[Grade], list[Problem]]:
        """Return the grades of a column in both tables, and a problem for each cell without one."""
        if name not in self._read:
            grades: list[Grade] = []
            problems: list[Problem] = []
            for table in self.tables:
                for row in table.rows:
                    try:
                        grades.append(read_grade(row.cells.get(name), decimal_comma=table.decimal_comma))
                    except NotAGrade as error:
                        fix = "write a number, pass or fail, or leave the cell empty if there is no grade"
                        problems.append(Problem(table.place(row, name), str(error), fix))
            self._read[name] = grades, problems
        return self._read[name]

    def is_numeric(self, name: str) -> bool:
        """Tell whether a column holds numbers and nothing else, in both tables."""
        grades, problems = self.read(name)
        known = [grade for grade in grades if grade.value is not None]
        return bool(known) and not problems and not any(grade.word or grade.letter for grade in known)

    def is_graded(self, name: str) -> bool:
        """Tell whether any cell of a column is a grade."""
        return any(grade.value is not None for grade in self.read(name)[0])

    def chosen(self, both: Sequence[str]) -> tuple[GradeColumn, ...]:
        """Return the columns of grades; problems are noted."""
        asked = [*map(fold, self.asked.passes), *map(fold, self.asked.metrics)]
        names = list(dict.fromkeys(asked)) or self._by_name(both)
        if not names:
            before, after = self.tables
            what = f"no column of both files is known to hold grades, the columns are {after.listed()}"
            if set(before.names) != set(after.names):
                what += f" in {after.shown}, and {before.listed()} in {before.shown}"
            unread = [name for name in both if _is_grade_name(name, after) and self.read(name)[1]]
            if unread:
                self.problems += self.read(unread[0])[1][:1]
                return ()
            numeric = sorted(filter(self.is_numeric, both), key=_is_hardly_a_grade)
            fix = f"name it: --metric {quoted(after.names[numeric[0]])}" if numeric else "name it: --pass COLUMN"
            self.problems.append(Problem(after.shown, what, fix))
        found = [self._column(name) for name in names]
        return tuple(each for each in found if each is not None)

    def _by_name(self, both: Sequence[str]) -> list[str]:
        before, after = self.tables
        names = [name for name in both if _is_grade_name(name, after) and self.is_graded(name)]
        for table, other in ((before, after), (after, before)):
            alone = [name for name in table.names if name not in other.names and _is_grade_name(name, table)]
            if names and alone:
                what = f"the column {table.names[alone[0]]!r} of grades is in {table.shown} and not in {other.shown}"
                fix = "name the columns to compare: " + " ".join(f"--metric {quoted(after.names[n])}" for n in names)
                self.problems.append(Problem(other.shown, what, fix))
        if names:
            return names
        weak = [name for name in both if name in WEAK_PASS_NAMES]
        return [name for name in weak if self.is_graded(name) and not self.read(name)[1] and self._is_verdict(name)][:1]

    def _is_verdict(self, name: str) -> bool:
        """Tell whether a weak name holds verdicts: `yes` or 1 under `label` may be what the model said."""
        known = [grade for grade in self.read(name)[0] if grade.value is not None]
        return name not in ANSWER_NAMES or all(grade.verdict or grade.letter for grade in known)

    def _column(self, name: str) -> GradeColumn | None:
        grades, problems = self.read(name)
        if problems:
            self.problems += problems[:5]
            return None
        own = self.tables[1].names[name]
        threshold = next((x for column, x in self.asked.thresholds.items() if fold(column) == name), None)
        wants_pass = name in map(fold, self.asked.passes)
        letters = is_letters(grades)
        if not letters and any(grade.letter for grade in grades):
            self.problems.append(
                Problem(self.tables[1].shown, f"the column {own!r} mixes letters and other grades", "write one kind")
            )
            return None
        binary = is_pass_fail(grades) and threshold is None
        if not binary and threshold is None and (wants_pass or any(grade.word for grade in grades)):
            value = next((g.value for g in grades if g.value not in (None, 0.0, 1.0)), None)
            if value is not None:
                what = f"the column {own!r} holds {value:g}, which is neither pass nor fail"
                fix = f"say from which score a case passes: --threshold {quoted(own)}=X"
                self.problems.append(Problem(self.tables[1].shown, what, fix))
                return None
        higher = self._higher(name, own)
        if higher is None or not self._is_one_scale(name, own):
            return None
        low, high = (0.0, 1.0) if binary else self._scale(name, own, grades)
        metric = Metric(
            name=_metric_name(name),
            low=low,
            high=high,
            higher_is_better=higher,
            binary=binary,
            pass_at=threshold,
        )
        return GradeColumn(name, metric, _why(metric, letters=letters))

    def _higher(self, name: str, own: str) -> bool | None:
        """Return whether more is better, `None` after noting that it is unclear."""
        if name in map(fold, self.asked.higher):
            return True
        if name in map(fold, self.asked.lower):
            return False
        if all(name in table.higher for table in self.tables):
            return True
        better = more_is_better(name)
        if better is None:
            what = f"the name {own!r} does not say whether more of it is better"
            fix = f"say it: --lower {quoted(own)} if a higher number is worse, --higher {quoted(own)} if it is better"
            self.problems.append(Problem(self.tables[1].shown, what, fix))
        return better

    def _is_one_scale(self, name: str, own: str) -> bool:
        """Tell whether both files use one scale; shares in one and larger numbers in the other (0.9, 60) are noted."""
        if name in map(fold, self.asked.scales):
            return True
        n_before = len(self.tables[0].rows)
        grades = self.read(name)[0]
        sides = [
            [each.value for each in side if each.value is not None] for side in (grades[:n_before], grades[n_before:])
        ]
        for small, large in ((0, 1), (1, 0)):
            least, most = min(sides[small], default=0.0), max(sides[small], default=0.0)
            top = max(sides[large], default=0.0)
            if least >= 0 and 0 < most <= 1 < top:
                files = self.tables[small].shown, self.tables[large].shown
                what = f"the column {own!r} ends at {most:g} in {files[0]}, and at {top:g} in {files[1]}"
                end = next((high for _, high in SCALES if top <= high), top)
                fix = f"write both in one unit, or say the range of both: --scale {quoted(own)}=0:{end:g}"
                self.problems.append(Problem(files[1], what, fix))
                return False
        return True

    def _scale(self, name: str, own: str, grades: Sequence[Grade]) -> tuple[float, float]:
        known = [grade.value for grade in grades if grade.value is not None]
        low, high = min(known, default=0.0), max(known, default=1.0)
        stated = next((ends for column, ends in self.asked.scales.items() if fold(column) == name), None)
        if stated is None:
            return next(((a, b) for a, b in SCALES if a <= low and high <= b), (low, high))
        if low < stated[0] or high > stated[1]:
            outside = low if low < stated[0] else high
            what = f"the column {own!r} holds {outside:g}, outside {stated[0]:g} .. {stated[1]:g}"
            self.problems.append(Problem("--scale", what, "write the range that the scores can have"))
        return stated


def _is_hardly_a_grade(name: str) -> bool:
    """Tell whether a column of numbers is rather an id, a time or a cost."""
    return name in ID_NAMES or more_is_better(name) is False


def _is_grade_name(name: str, table: ResultTable) -> bool:
    """Tell whether a column, by its name or its format, holds grades."""
    known = name in PASS_NAMES or name in SCORE_NAMES or name.endswith(GRADE_ENDS) or name in table.higher
    grouped = table.names[name].casefold().startswith(GRADE_GROUPS)
    return known or (grouped and not name.endswith(_BESIDE_GRADES))


def _metric_name(name: str) -> str:
    """Return the name of a column's metric; a name that evalkit uses itself is changed."""
    taken = name in _RESERVED or is_derived(name) or name.endswith(".passed")
    return f"{name}_column" if taken else name


def _why(metric: Metric, *, letters: bool) -> str:
    kind = "pass or fail" if metric.binary else f"score {metric.low:g} .. {metric.high:g}"
    if letters:
        kind += " from the letters C, P, I, N"
    better, bound = ("higher", "from") if metric.higher_is_better else ("lower", "up to")
    mark = "" if metric.pass_at is None else f", passes {bound} {metric.pass_at:g}"
    return f"{kind}{mark}, {better} is better"


def _cohorts(
    before: ResultTable, after: ResultTable, both: Sequence[str], asked: ColumnFlags
) -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
    """Return cohort -> column, and cohort -> column and tag for columns of lists.

    They are those that are asked for, else those with a known name and few values.
    """
    known = [name for name in both if name in COHORT_NAMES or name.startswith(("cohorts_", "cohort_"))]
    cohorts: dict[str, str] = {}
    tags: dict[str, tuple[str, str]] = {}
    for name in map(fold, asked.cohorts) if asked.cohorts else known:
        label = _cohort_name(after.names[name])
        label = next(each for each in (label, name, f"{name}_column") if each not in cohorts)
        listed = _tags([*before.column(name), *after.column(name)])
        values = (set(before.texts(name)) | set(after.texts(name))) - {""}
        if listed is not None:
            tags |= {f"{label}.{tag}": (name, tag) for tag in listed[:MOST_VALUES]}
        elif asked.cohorts or 2 <= len(values) <= MOST_VALUES:
            cohorts[label] = name
    return cohorts, tags


def _tags(cells: Iterable[object]) -> list[str] | None:
    """Return the different texts of a column of lists, sorted; `None` for any other column."""
    found: set[str] = set()
    for cell in (cell for cell in cells if cell is not None):
        if not isinstance(cell, list) or not all(isinstance(item, str) for item in cell):
            return None
        found |= set(cell)
    return sorted(found) if found else None


def _cohort_name(own: str) -> str:
    for start in ("cohorts.", "cohort."):
        own = own.removeprefix(start)
    return fold(own) or own
