"""What a scorer may not return, what `not_` turns around, which cases a selection draws, how a run stops."""

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import RunError, StoreError
from evalkit.runner.engine import Stop, answered_and_graded, run_cases
from evalkit.runner.grading import Grader, grade_all
from evalkit.runner.plan import Selection, plan, select, unknown_choices
from evalkit.scorers.rules.contains import Contains
from evalkit.scorers.rules.overlap import Groundedness
from evalkit.suite.scorer_entry import When
from evalkit.types import Case, Failure, Metric, Output, Row, Score, Unscored

CASE, SAID = Case(id="a", input="q", digest="d"), Output(text="x")


@dataclass(frozen=True)
class Odd:
    """A scorer that returns, or raises, what it was given."""

    given: Any
    name: str = "odd"
    metrics: tuple[Metric, ...] = (Metric("odd"),)
    needs: frozenset[str] = frozenset()
    version: ClassVar[str] = "1"

    def score(self, case: Case, output: Output) -> Any:
        """Return it, or raise it."""
        if isinstance(self.given, BaseException):
            raise self.given
        return self.given


def graded(*graders: Grader) -> dict[str, Score | Unscored]:
    """Grades of one small answer."""
    return dict(asyncio.run(grade_all(graders)(CASE, SAID, 0)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        pytest.param(Score("odd", math.nan), "not_finite", id="nan"),
        pytest.param(Score("odd", math.inf), "not_finite", id="infinity"),
        pytest.param(Score("odd", True), "not_finite", id="bool"),
        pytest.param(Score("odd", "5/5"), "not_finite", id="text"),  # type: ignore[arg-type]
        pytest.param(Score("odd", 90.0), "out_of_range", id="90 on 0..1"),
        pytest.param(Score("other", 1.0), "no_grade", id="another metric"),
        pytest.param([], "no_grade", id="nothing"),
        pytest.param(ValueError("broken"), "scorer_error", id="raises"),
        pytest.param(SystemExit(0), "scorer_error", id="exits"),
        pytest.param(KeyboardInterrupt(), "scorer_error", id="interrupts"),
        pytest.param(BaseExceptionGroup("g", [KeyboardInterrupt()]), "scorer_error", id="raises several"),
        pytest.param(asyncio.CancelledError(), "scorer_error", id="cancels itself"),
        pytest.param(Score("odd", 10**400), "out_of_range", id="400 digits"),
        pytest.param(Score("odd", 10**6000), "out_of_range", id="6000 digits"),
        pytest.param(RunError("down"), "judge_error", id="judge is down"),
    ],
)
def test_what_is_no_score_is_unscored(given: Any, kind: str) -> None:
    """Never clamped, never 0, always named."""
    grade = graded(Grader(Odd(given)))["odd"]
    assert isinstance(grade, Unscored)
    assert grade.kind == kind


def test_a_scorer_that_does_not_apply_is_absent() -> None:
    """`when` leaves no grade behind, and a sound one goes through."""
    assert graded(Grader(Odd(Score("odd", 1.0)), When(kind=("canary",)))) == {}
    assert graded(Grader(Odd(Score("odd", 0.25)))) == {"odd": Score("odd", 0.25)}


def test_not_turns_passes_around() -> None:
    """A pass is a fail; what is unscored stays so; a graded metric is refused."""
    has = Contains(name="not_contains", any=("x",))
    (grade,) = graded(Grader(has, negated=True)).values()
    assert isinstance(grade, Score)
    assert (grade.value, grade.passed) == (0.0, False)
    unscored = Unscored("odd", "k")
    assert graded(Grader(Odd(unscored, metrics=(Metric("odd", binary=True),)), negated=True)) == {"odd": unscored}
    with pytest.raises(ValueError, match="is graded, not pass or fail"):
        Grader(Groundedness(), negated=True)


def cases(kinds: Sequence[str]) -> list[Case]:
    """One case for each kind."""
    return [
        Case(id=f"c{i}", input="q", kind=kind, digest=f"d{i}", cohorts={"g": f"{i % 2}"})
        for i, kind in enumerate(kinds)
    ]  # type: ignore[arg-type]


@given(
    st.lists(st.sampled_from(["golden", "canary", "adversarial"]), min_size=1, max_size=60),
    st.integers(1, 60),
    st.integers(0, 3),
)
def test_a_limit_draws_in_proportion_and_always_the_same(kinds: list[str], limit: int, seed: int) -> None:
    """As many as asked, each kind within one of its share, the same for the same seed in any order."""
    pool = cases(kinds)
    selection = Selection(limit=limit, seed=seed)
    chosen = select(pool, selection)
    assert chosen == select(pool[::-1], selection)
    assert chosen is not None
    assert len(chosen) == min(limit, len(pool))
    for kind in set(kinds):
        share = len(chosen) * kinds.count(kind) / len(kinds)
        assert abs(sum(case.kind == kind for case in pool if case.digest in chosen) - share) < 1


def test_cohorts_and_ids_choose() -> None:
    """`name=value` lets in, `!name=value` keeps out, no flag means all."""
    pool = cases(["golden"] * 4 + ["canary"])
    assert select(pool, Selection()) is None
    assert select(pool, Selection(cohorts=("g=0",))) == {"d0", "d2", "d4"}
    assert select(pool, Selection(cohorts=("g=0", "!kind=canary"))) == {"d0", "d2"}
    assert select(pool, Selection(case_ids=("c3",))) == {"d3"}
    assert select(pool, Selection(case_ids=(" c3 ",))) == {"d3"}
    assert unknown_choices(pool, Selection(case_ids=(" c3 ", "x"))) == [("--case", "x")]
    assert [(case.id, repeat) for case, repeat in plan(pool[:2], range(2), chosen=None, done={("d0", 1)})] == [
        ("c0", 0), ("c1", 0), ("c1", 1),
    ]  # fmt: skip


async def echo(case: Case, repeat: int) -> Output | Failure:
    """Answer with the id, or fail."""
    await asyncio.sleep(0)
    return Failure("timeout", "") if case.id == "c1" else Output(text=case.id)


def kept_in(rows: list[Row]) -> Callable[[Row], list[Row]]:
    """Keep rows in a list."""

    def keep(row: Row) -> list[Row]:
        rows.append(row)
        return [row]

    return keep


def test_every_case_ends_as_one_row_and_a_stop_takes_no_new_one() -> None:
    """Rows for outputs and failures alike; after a stop the calls in flight are still finished."""
    rows: list[Row] = []
    work = [(case, 0) for case in cases(["golden"] * 5)]
    ask = answered_and_graded(echo, grade_all([]))
    asyncio.run(run_cases(iter(work), ask, kept_in(rows), concurrency=2, stop=Stop()))
    assert sorted(row.case.id for row in rows) == [case.id for case, _ in work]
    assert {row.case.id: row.state for row in rows}["c1"] == "system_error"
    stop = Stop()
    few: list[Row] = []

    def stopping(row: Row) -> list[Row]:
        stop("enough")
        return kept_in(few)(row)

    asyncio.run(run_cases(iter(work), ask, stopping, concurrency=2, stop=stop))
    assert len(few) == 2
    assert stop.reason == "enough"


def test_a_disk_failure_ends_the_run_as_itself() -> None:
    """The store's error comes out plain, not inside a group; what was kept before is counted."""
    kept: list[Row] = []
    counted: list[Row] = []

    def failing(row: Row) -> list[Row]:
        if kept:
            raise StoreError("full")
        return kept_in(kept)(row)

    work = iter([(case, 0) for case in cases(["golden"] * 9)])
    ask = answered_and_graded(echo, grade_all([]))
    with pytest.raises(StoreError, match="full"):
        asyncio.run(run_cases(work, ask, failing, count=counted.append, concurrency=3, stop=Stop()))
    assert counted == kept


def test_rows_are_counted_and_cases_read_when_the_next_call_was_made() -> None:
    """Only the first case is read, and no row is counted, before a call; in the end each is counted once, in order."""
    happened: list[str] = []

    def read() -> Iterator[tuple[Case, int]]:
        for case in cases(["golden"] * 4):
            happened.append(f"read {case.id}")
            yield case, 0

    async def answer(case: Case, repeat: int) -> Output:
        happened.append(f"called {case.id}")
        await asyncio.sleep(0.01)
        return Output(text=case.id)

    def keep(row: Row) -> list[Row]:
        happened.append(f"kept {row.case.id}")
        return [row]

    asyncio.run(
        run_cases(
            read(),
            answered_and_graded(answer, grade_all([])),
            keep,
            count=lambda row: happened.append(f"counted {row.case.id}"),
            concurrency=1,
            stop=Stop(),
        )
    )
    assert happened[:7] == ["read c0", "called c0", "read c1", "kept c0", "called c1", "counted c0", "read c2"]
    assert [what for what in happened if what.startswith("counted")] == [f"counted c{i}" for i in range(4)]


def test_calls_that_never_wait_are_counted_on_the_way() -> None:
    """No more rows wait to be counted than cases may be in flight."""
    kept: list[Row] = []
    counted: list[Row] = []
    most = 0

    async def at_once(case: Case, repeat: int) -> Output:
        return Output(text=case.id)

    def keep(row: Row) -> list[Row]:
        nonlocal most
        most = max(most, len(kept) - len(counted))
        return kept_in(kept)(row)

    work = iter([(case, 0) for case in cases(["golden"] * 200)])
    ask = answered_and_graded(at_once, grade_all([]))
    asyncio.run(run_cases(work, ask, keep, count=counted.append, concurrency=4, stop=Stop()))
    assert most <= 5
    assert counted == kept
    assert len(kept) == 200


def test_what_cannot_be_read_is_told_when_the_cases_before_it_were_asked() -> None:
    """The reader is ahead of the calls, and its error is not."""
    rows: list[Row] = []

    def read() -> Iterator[tuple[Case, int]]:
        yield from ((case, 0) for case in cases(["golden"] * 6))
        raise StoreError("changed")

    ask = answered_and_graded(echo, grade_all([]))
    with pytest.raises(StoreError, match="changed"):
        asyncio.run(run_cases(read(), ask, kept_in(rows), concurrency=1, stop=Stop()))
    assert [row.case.id for row in rows] == [f"c{i}" for i in range(6)]
