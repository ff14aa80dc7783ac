"""Rows, frames and decisions made by hand."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from evalkit.aggregate.frame import Frame
from evalkit.aggregate.frozen import FrozenFrame, freeze
from evalkit.aggregate.summary import summarise
from evalkit.gate.decide import NeedsRepeats, decide
from evalkit.gate.pairing import Baseline
from evalkit.gate.policy import Policy
from evalkit.results import Decision
from evalkit.trust.judges import with_judges
from evalkit.trust.labels import Label
from evalkit.types import Case, Failure, Metric, Output, Row, Score, Unscored, Usage

RULE = Metric(name="rule", binary=True)
GRADE = Metric(name="grade", low=1, high=5)
JUDGE = Metric(name="judge", binary=True, judge="local:correctness")


def a_case(name: str, **changes: object) -> Case:
    """Make a case whose digest follows from its name."""
    given = {"digest": hashlib.sha256(name.encode()).hexdigest(), "input": f"question {name}", **changes}
    return Case(id=name, **given)  # type: ignore[arg-type]


def a_row(
    case: Case,
    values: Mapping[str, float | None],
    *,
    repeat: int = 0,
    latency_s: float | None = 0.5,
    cost_usd: float | None = 0.001,
    input_tokens: int | None = None,
) -> Row:
    """Make a row; a value of `None` is unscored, and 0/1 of the metrics `rule` and `judge` carry a pass mark."""
    scores = {
        name: Unscored(name, "judge_error")
        if value is None
        else Score(name, value, passed=bool(value) if name in ("rule", "judge") else None)
        for name, value in values.items()
    }
    usage = Usage(input_tokens=input_tokens, output_tokens=50, cost_usd=cost_usd)
    output = Output(text=f"answer to {case.id}", latency_s=latency_s, usage=usage)
    return Row(case=case, repeat=repeat, output=output, scores=scores)


def a_failure(case: Case, *, repeat: int = 0) -> Row:
    """Make a row whose system call failed."""
    return Row(case=case, repeat=repeat, failure=Failure("timeout", "no answer in 30 s"))


def frozen(
    rows: Iterable[Row],
    metrics: Sequence[Metric] = (RULE,),
    cohorts: Sequence[str] = ("domain",),
    advisory: Sequence[str] = (),
    **options: object,
) -> FrozenFrame:
    """Freeze rows."""
    frame = Frame(metrics, cohorts, advisory, **options)  # type: ignore[arg-type]
    for row in rows:
        frame.add(row)
    return freeze(frame)


def decided(
    frame: FrozenFrame,
    *checks: object,
    baseline: FrozenFrame | Baseline | None = None,
    labels: Sequence[Label] = (),
    partial: str | None = None,
    require_evidence: bool = False,
    expected: int | None = None,
    final: bool = False,
) -> Decision | NeedsRepeats:
    """Decide with a policy of the given checks."""
    if isinstance(baseline, FrozenFrame):
        baseline = Baseline("main", baseline, {}, {})
    planned = len(frame.row_case) if expected is None else expected
    summary = with_judges(frame, summarise(frame, suite="demo", expected=planned), labels)
    policy = Policy(tuple(checks), require_evidence)  # type: ignore[arg-type]
    return decide(frame, summary, policy, baseline=baseline, partial=partial, seed=7, final=final)


def a_decision(frame: FrozenFrame, *checks: object, **options: object) -> Decision:
    """Decide where no repeats are asked for."""
    found = decided(frame, *checks, **options)  # type: ignore[arg-type]
    assert isinstance(found, Decision)
    return found


def passing(n: int, n_passing: int, *, prefix: str = "c", **changes: object) -> list[Row]:
    """Make `n` rows of which the first `n_passing` pass `rule`."""
    return [a_row(a_case(f"{prefix}{i:03}", **changes), {"rule": float(i < n_passing)}) for i in range(n)]
