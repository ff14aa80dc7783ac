"""Rows and frames made by hand."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from evalkit.aggregate.frame import Frame
from evalkit.aggregate.frozen import FrozenFrame, freeze
from evalkit.types import Case, Metric, Output, Row, Score, Unscored

RULE = Metric(name="rule", binary=True)
OTHER = Metric(name="other", binary=True)
GRADE = Metric(name="grade", low=1, high=5)


def a_case(name: str, **changes: object) -> Case:
    """Make a case whose digest follows from its name."""
    given = {"digest": hashlib.sha256(name.encode()).hexdigest(), "input": f"question {name}", **changes}
    return Case(id=name, **given)  # type: ignore[arg-type]


def a_row(
    case: Case | str,
    values: Mapping[str, float | tuple[float, bool] | None],
    *,
    repeat: int = 0,
    output: Output | None = None,
) -> Row:
    """Make a row: `None` is unscored, a pair is value and pass mark, and a number of `rule` or `other` is its mark."""
    if isinstance(case, str):
        case = a_case(case)
    scores = {name: _grade(name, value) for name, value in values.items()}
    return Row(case=case, repeat=repeat, output=output or Output(text=f"answer to {case.id}"), scores=scores)


def _grade(name: str, value: float | tuple[float, bool] | None) -> Score | Unscored:
    if value is None:
        return Unscored(name, "judge_error")
    if isinstance(value, tuple):
        return Score(name, value[0], passed=value[1])
    return Score(name, value, passed=bool(value) if name in ("rule", "other") else None)


def frozen(
    rows: Iterable[Row], metrics: Sequence[Metric] = (RULE,), cohorts: Sequence[str] = (), advisory: Sequence[str] = ()
) -> FrozenFrame:
    """Freeze rows."""
    frame = Frame(metrics, cohorts, advisory)
    for row in rows:
        frame.add(row)
    return freeze(frame)
