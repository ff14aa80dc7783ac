"""A comparison of several systems: what must not matter, what is unknown, and what is said of it."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from aggregate_rows import GRADE, RULE, a_case, a_row
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evalkit.aggregate.compare_systems import compare_systems
from evalkit.aggregate.frame import Frame
from evalkit.aggregate.frozen import PASS_RATE
from evalkit.aggregate.system_columns import SystemColumns, columns_of_run
from evalkit.aggregate.system_comparison import RankInterval, SystemComparison, SystemFigures
from evalkit.formats.manifest import SampleFacts
from evalkit.stats.paired import mcnemar
from evalkit.types import Failure, Metric, Output, Row, Usage

COST = Metric(name="cost", high=math.inf, higher_is_better=False, unit="USD")


def rng(seed: int = 0) -> np.random.Generator:
    """A fresh, seeded source of draws."""
    return np.random.default_rng(seed)


def columns(name: str, values: Sequence[float], **changes: object) -> SystemColumns:
    """One system with pass/fail values; NaN is a failed call."""
    array = np.array(values, dtype=float)
    given: dict[str, object] = {
        "name": name,
        "cases": tuple(f"c{number:03}" for number in range(len(array))),
        "metric": PASS_RATE,
        "values": array,
        "passed": array,
        "errored": np.isnan(array),
        **changes,
    }
    return SystemColumns(**given)  # type: ignore[arg-type]


def systems(rates: Mapping[str, float], n: int = 120, seed: int = 0, **changes: object) -> list[SystemColumns]:
    """Systems that share the difficulty of each case and pass a share of what the first passes."""
    source = rng(seed)
    hard = source.beta(0.425, 0.075, n)
    return [columns(name, (source.random(n) < hard * rate).astype(float), **changes) for name, rate in rates.items()]


def compared(given: Sequence[SystemColumns], reference: str = "a", **changes: object) -> SystemComparison:
    """Compare with a fixed seed."""
    options: dict[str, object] = {"suite": "s", "primary": "pass_rate", "seed": 1, **changes}
    return compare_systems(given, reference=reference, **options)  # type: ignore[arg-type]


def by_name(comparison: SystemComparison) -> dict[str, SystemFigures]:
    """Find the systems by name."""
    return {each.name: each for each in comparison.systems}


def shuffled(system: SystemColumns, order: NDArray[np.int64], clusters: Sequence[str] = ()) -> SystemColumns:
    """Give the rows another order, and the clusters other names."""
    place = np.argsort(order)
    arrays = ("values", "passed", "errored", "cost_usd", "tokens", "latency_s")
    moved = {name: getattr(system, name)[order] for name in arrays if getattr(system, name) is not None}
    return replace(
        system,
        cases=tuple(system.cases[at] for at in order),
        clusters=tuple(clusters[at] for at in order) if clusters else (),
        cohorts={label: place[where] for label, where in system.cohorts.items()},
        **moved,
    )


def full(n: int = 60, seed: int = 3) -> list[SystemColumns]:
    """Six systems of a 3 x 2 matrix with costs, latencies, cohorts, clusters and some failed calls."""
    source = rng(seed)
    found = []
    for number, system in enumerate(systems({name: 1 - 0.03 * at for at, name in enumerate("abcdef")}, n, seed)):
        values = np.where(source.random(n) < 0.01, np.nan, system.values)
        found.append(
            replace(
                system,
                values=values,
                passed=values,
                errored=np.isnan(values),
                clusters=tuple(f"k{at // 2}" for at in range(n)),
                cohorts={f"topic={t}": np.flatnonzero(np.arange(n) % 4 == t) for t in range(4)},
                cost_usd=source.gamma(2, 0.01 * (number + 1), n),
                latency_s=source.gamma(2, 1 / (number + 1), n),
                factors={"model": "xyz"[number // 2], "prompt": "pq"[number % 2]},
            )
        )
    return found


@settings(derandomize=True, deadline=None, max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_rows_and_the_names_of_clusters_change_nothing(seed: int) -> None:
    """Equal cases in another order, clusters renamed: the same comparison, byte for byte."""
    given_systems = full()
    source = rng(seed)
    renamed = [f"{source.integers(10**9)}-{at // 2}" for at in range(0, 60, 2) for _ in range(2)]
    names = [renamed[at - at % 2] for at in range(60)]
    moved = [shuffled(each, source.permutation(60), names) for each in given_systems]
    assert compared(moved) == compared(given_systems)


def test_the_order_of_systems_changes_only_their_order() -> None:
    """Reversed, each system keeps its figures, but for rounding."""
    first, second = compared(full()), compared(full()[::-1])
    for name, figures in by_name(first).items():
        other = by_name(second)[name]
        assert (figures.rank, figures.frontier, figures.worst_cohort) == (
            other.rank,
            other.frontier,
            other.worst_cohort,
        )
        assert figures.p_value == other.p_value
        assert figures.on_frontier == other.on_frontier
        if figures.difference is not None and other.difference is not None:
            assert figures.difference.low == pytest.approx(other.difference.low)
    assert first.interaction_p == second.interaction_p
    assert set(first.candidates) == set(second.candidates)
    assert first.cases_to_part == second.cases_to_part
    assert first.winner_shrunken == pytest.approx(second.winner_shrunken)
    assert first.disagreements == second.disagreements


def test_cases_of_a_cluster_are_one_piece_of_evidence() -> None:
    """Every case twice, in a cluster of its own: the p value, ranks and intervals of half as many cases."""
    once = systems({"a": 1.0, "b": 0.8}, 60)
    names = tuple(f"c{at:03}" for at in range(120))
    twice = [
        columns(each.name, np.repeat(each.values, 2), cases=names, clusters=tuple(f"k{at // 2}" for at in range(120)))
        for each in once
    ]
    single, double = (by_name(compared(each))["b"] for each in (once, twice))
    assert double.p_value == single.p_value
    assert single.difference is not None
    assert double.difference is not None
    assert double.difference.low == pytest.approx(single.difference.low)
    assert double.difference.n == 2 * single.difference.n
    assert by_name(compared([replace(each, clusters=()) for each in twice]))["b"].p_value != single.p_value


def test_two_systems_give_the_p_value_of_the_paired_test() -> None:
    """With k = 2: the exact test of McNemar, two-sided."""
    values = [(1.0, 0.0)] * 9 + [(0.0, 1.0)] * 2 + [(1.0, 1.0)] * 40
    found = compared([columns("a", [a for a, _ in values]), columns("b", [b for _, b in values])])
    assert by_name(found)["b"].p_value == pytest.approx(mcnemar(9, 2, one_sided=False))
    assert by_name(found)["a"].p_value is None
    assert by_name(found)["a"].difference is None


def test_identical_systems_are_all_tied() -> None:
    """One rank interval for all, no best, nothing to part."""
    values = systems({"a": 1.0})[0].values
    found = compared([columns(name, values, cost_usd=np.ones(120)) for name in "abcd"])
    assert [each.rank for each in found.systems] == [RankInterval(best=1, worst=4)] * 4
    assert found.candidates == ("a", "b", "c", "d")
    assert found.cases_to_part is None
    assert found.winner_shrunken == pytest.approx(values.mean())
    assert [each.frontier for each in found.systems] == ["on"] * 4
    assert found.disagreements == ()
    for each in found.systems[1:]:
        assert each.p_value == 1
        assert each.difference is not None
        assert each.difference.low is not None
        assert each.difference.low < 0 == each.difference.value


def test_a_clear_winner_is_the_only_candidate() -> None:
    """Ranks, candidates and the frontier of three systems far apart."""
    found = compared(systems({"a": 0.6, "b": 1.0, "c": 0.3}, 400))
    assert found.candidates == ("b",)
    assert found.cases_to_part is None
    assert [each.rank for each in found.systems] == [
        RankInterval(best=2, worst=2),
        RankInterval(best=1, worst=1),
        RankInterval(best=3, worst=3),
    ]
    best = by_name(found)["b"]
    assert best.difference is not None
    assert best.difference.low is not None
    assert best.difference.low > 0
    assert found.winner_shrunken is not None
    assert best.primary.value is not None
    assert 0.5 < found.winner_shrunken <= best.primary.value


def test_lower_may_be_better() -> None:
    """With a metric such as cost, the lowest mean is the best, and differences keep their sign."""
    given_systems = [
        columns(name, rng(7).gamma(2, scale, 200), metric=COST, passed=None)
        for name, scale in (("a", 1.0), ("b", 2.0), ("c", 0.5))
    ]
    found = compared(given_systems, primary="cost")
    assert not found.higher_is_better
    assert found.candidates == ("c",)
    more = by_name(found)["b"].difference
    assert more is not None
    assert more.value is not None
    assert more.value > 0
    assert by_name(found)["b"].rank == RankInterval(best=3, worst=3)
    assert found.winner_shrunken is not None
    assert found.winner_shrunken >= by_name(found)["c"].primary.value  # type: ignore[operator]


def test_too_many_errors_leave_no_rank() -> None:
    """8 of 100 calls failed: no rank, no place on the frontier, and the figure with errors as failures."""
    given_systems = systems({"a": 1.0, "b": 1.0, "c": 1.0}, 100, cost_usd=np.ones(100))
    values = given_systems[1].values.copy()
    values[:8] = np.nan
    given_systems[1] = columns("b", values, cost_usd=np.ones(100))
    found = compared(given_systems)
    figures = by_name(found)["b"]
    assert (figures.n_cases, figures.n_scored, figures.n_errors) == (100, 92, 8)
    assert (figures.rank, figures.frontier) == (None, "unknown")
    assert figures.difference is not None
    assert figures.difference.n == 92
    share = round(100 * np.nansum(values) / 100)
    assert found.notes == (f"b has no rank: 8% errors; pass_rate is {share}% with errors counted as failures",)
    assert by_name(found)["a"].rank == RankInterval(best=1, worst=2)


def test_five_percent_without_a_value_keep_the_rank() -> None:
    """95 of 100 scored is enough; 94 are not, and unscored cases are not called errors."""
    values = systems({"a": 1.0}, 100)[0].values.copy()
    values[:5] = np.nan
    kept = compared([columns("a", np.ones(100)), columns("b", values)])
    assert by_name(kept)["b"].rank is not None
    values[5] = np.nan
    lost = compared([columns("a", np.ones(100)), columns("b", values, errored=np.zeros(100, bool))])
    assert by_name(lost)["b"].rank is None
    assert lost.notes == ("b has no rank: 6% of its cases have no value",)


def test_a_system_with_nothing_scored_has_no_figures() -> None:
    """Unknown is never a number."""
    found = compared([columns("a", np.ones(20)), columns("b", [math.nan] * 20)])
    figures = by_name(found)["b"]
    assert figures.primary.value is None
    assert figures.difference is not None
    assert (figures.difference.value, figures.p_value, figures.rank) == (None, None, None)
    assert found.notes == ("b has no rank: none of its cases was answered",)
    none = compared([columns("a", [math.nan] * 3), columns("b", [math.nan] * 3)])
    assert none.candidates == ()
    assert none.winner_shrunken is None


def test_one_case_parts_nobody() -> None:
    """One case shows no spread."""
    found = compared([columns("a", [1.0]), columns("b", [0.0])])
    figures = by_name(found)["b"]
    assert figures.p_value == 1
    assert figures.difference is not None
    assert (figures.difference.value, figures.difference.low) == (-1.0, None)
    assert found.candidates == ("a", "b")
    assert found.winner_shrunken is None
    assert found.disagreements == ("c000",)


def test_one_system_is_described() -> None:
    """Nothing to compare with."""
    found = compared([columns("a", [1.0, 0.0, 1.0])])
    assert found.systems[0].rank == RankInterval(best=1, worst=1)
    assert found.false_mark_rate is None
    assert found.winner_shrunken is None


def test_the_worst_cohort_has_at_least_five_cases() -> None:
    """A cohort of four fails in all of its cases and is not named."""
    values = np.array([0.0] * 4 + [1.0, 0.0, 1.0, 1.0, 1.0] + [1.0] * 11)
    cohorts = {
        "topic=small": np.arange(4),
        "topic=mixed": np.arange(4, 9),
        "topic=fine": np.arange(9, 20),
    }
    found = compared([columns("a", values, cohorts=cohorts), columns("b", np.ones(20), cohorts=cohorts)])
    assert (found.systems[0].worst_cohort, found.systems[0].worst_cohort_value) == ("topic=mixed", 0.8)
    assert {(each.system, each.cohort, each.n_cases) for each in found.cohorts} == {
        ("b", "topic=fine", 11),
        ("b", "topic=mixed", 5),
    }
    mixed = next(each.difference for each in found.cohorts if each.cohort == "topic=mixed")
    assert mixed.value == pytest.approx(0.2)


def test_disagreements_are_the_most_divided_first() -> None:
    """A case that splits four systems two to two comes before one that only one fails."""
    a, b, c, d = [1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]
    found = compared([columns(name, values) for name, values in zip("abcd", (a, b, c, d), strict=True)])
    assert found.disagreements == ("c002", "c001")


def test_costs_are_known_or_unknown() -> None:
    """A mean over a few known costs is not the cost per case; a system without one is not placed."""
    some = np.where(np.arange(100) < 90, 1.0, np.nan)
    found = compared(
        [
            columns("a", np.ones(100), cost_usd=np.full(100, 2.0), tokens=np.full(100, 30.0)),
            columns("b", np.ones(100), cost_usd=some),
            columns("c", np.ones(100), cost_usd=np.full(100, 1.0)),
        ]
    )
    figures = by_name(found)
    assert (figures["a"].cost_usd_per_case, figures["a"].tokens_per_case) == (2.0, 30.0)
    assert figures["b"].cost_usd_per_case is None
    assert [each.frontier for each in found.systems] == ["dominated", "unknown", "on"]
    assert figures["a"].dominated_by == "c"
    assert found.notes == ("cost unknown: b",)


def test_latencies_count_only_if_the_systems_were_called_in_turn() -> None:
    """One system after the other: the latency is shown, and the frontier is that of cost alone."""
    given_systems = [
        columns("a", np.ones(50), cost_usd=np.full(50, 2.0), latency_s=np.full(50, 0.1)),
        columns("b", np.ones(50), cost_usd=np.full(50, 1.0), latency_s=np.full(50, 0.5)),
    ]
    assert [each.frontier for each in compared(given_systems).systems] == ["on", "on"]
    apart = compared(given_systems, interleaved=False)
    assert [each.frontier for each in apart.systems] == ["dominated", "on"]
    assert apart.systems[0].latency_p50_s == 0.1
    assert "cannot be compared" in apart.notes[0]


def test_effects_of_a_full_matrix() -> None:
    """Each level of each factor, against the mean of all; a named system beside the matrix has no part in them."""
    given_systems = full(200)
    found = compared(given_systems)
    assert [(each.factor, each.level) for each in found.effects] == [
        ("model", "x"),
        ("model", "y"),
        ("model", "z"),
        ("prompt", "p"),
        ("prompt", "q"),
    ]
    assert found.interaction_p is not None
    named = compared([*given_systems, columns("today", given_systems[0].values)])
    assert named.effects == found.effects
    assert named.interaction_p == found.interaction_p


def test_effects_of_a_matrix_with_a_hole() -> None:
    """Without z/q: models are compared under p, prompts among x and y, and interactions are not looked for."""
    given_systems = full(200)
    found = compared(given_systems[:-1])
    values = np.stack([each.values for each in given_systems], axis=1)
    models, prompts = values[:, [0, 2, 4]], values[:, :4]
    models, prompts = (each[~np.isnan(each).any(axis=1)] for each in (models, prompts))
    expected = [*(models.mean(axis=0) - models.mean()), prompts[:, ::2].mean() - prompts.mean()]
    assert [each.effect.value for each in found.effects[:4]] == pytest.approx(expected)
    assert found.interaction_p is None
    assert found.notes[-1].startswith("1 of 6 combinations of the matrix is missing or without a rank: effects rest on")


def test_systems_that_are_no_matrix_have_no_effects() -> None:
    """One system alone, two of one combination, factors of only some: nothing to split, and no note."""
    a, b = (replace(each, factors={"model": "x"}) for each in systems({"a": 1.0, "b": 1.0}))
    other = replace(b, factors={"prompt": "p"})
    for given_systems in ([a], [a, b], [a, other], systems({"a": 1.0, "b": 1.0})):
        found = compared(given_systems)
        assert (found.effects, found.interaction_p, found.notes) == ((), None, ())


def test_the_bound_on_false_marks_is_the_level_of_the_differences() -> None:
    """Without another system nothing can be marked."""
    assert compared(systems({"a": 1.0, "b": 1.0})).false_mark_rate == 0.05
    assert compared(systems({"a": 1.0})).false_mark_rate is None


def test_systems_that_do_not_fit_together_are_refused() -> None:
    """Each fault names the system or the fix."""
    a = columns("a", [1.0, 0.0])
    for given_systems, changes, words in (
        ([], {}, "none to compare"),
        ([a, a], {}, "two are named 'a'"),
        ([a], {"reference": "x"}, "none is named 'x'; name one of a"),
        ([a], {"release": ("y",)}, "none is named 'y'"),
        ([a, columns("b", [1.0, 0.0], metric=COST)], {}, "their metrics differ"),
        ([replace(a, cases=("c", "c"))], {}, "a case has two rows"),
        ([replace(a, cost_usd=np.ones(3))], {}, "give one number for each of its 2 cases"),
    ):
        with pytest.raises(ValueError, match=words):
            compared(given_systems, **changes)  # type: ignore[arg-type]


def test_sixty_four_systems_take_seconds() -> None:
    """2,016 pairs over 500 cases, within a bound that a busy machine keeps."""
    given_systems = systems({f"s{number}": 1.0 for number in range(64)}, 500, cost_usd=np.ones(500))
    start = time.process_time()
    found = compared(given_systems, reference="s0")
    assert time.process_time() - start < 60
    assert len(found.systems) == 64


def a_run(values: Mapping[str, float | None], *, cost: float = 0.5, repeats: int = 1, **frame: object) -> Frame:
    """Make the rows of one system; `None` is a failed call."""
    found = Frame([RULE, GRADE], ["topic"], (), **frame)  # type: ignore[arg-type]
    for repeat in range(repeats):
        for name, value in values.items():
            case = a_case(name, cohorts={"topic": name[0]}, cluster=f"of {name[0]}")
            if value is None:
                found.add(Row(case=case, repeat=repeat, failure=Failure("timeout", "no answer")))
                continue
            usage = Usage(cost_usd=cost, input_tokens=10, output_tokens=5)
            output = Output(text="x", latency_s=1.5, usage=usage)
            found.add(a_row(case, {"rule": value, "grade": (4.0, bool(value))}, repeat=repeat, output=output))
    return found


def test_columns_are_read_from_a_run() -> None:
    """Pass marks, costs, cohorts, clusters and errors of the rows of a run folder."""
    frame = a_run({"x1": 1.0, "y1": 0.0, "x2": None})
    found = columns_of_run(frame, name="a", folder="systems/a", factors={"model": "m"}, outcome="blocked")
    assert found.cases == ("x1", "x2", "y1")
    assert found.values.tolist() == pytest.approx([1.0, math.nan, 0.0], nan_ok=True)
    assert found.passed is not None
    assert found.passed.tolist() == pytest.approx([1.0, math.nan, 0.0], nan_ok=True)
    assert found.errored is not None
    assert found.errored.tolist() == [False, True, False]
    assert found.clusters == ("of x", "of x", "of y")
    assert {label: where.tolist() for label, where in found.cohorts.items()} == {"topic=x": [0, 1], "topic=y": [2]}
    assert found.cost_usd is not None
    assert found.cost_usd.tolist() == pytest.approx([0.5, math.nan, 0.5], nan_ok=True)
    assert found.tokens is not None
    assert found.tokens.tolist() == pytest.approx([15, math.nan, 15], nan_ok=True)
    assert (found.folder, found.factors, found.outcome) == ("systems/a", {"model": "m"}, "blocked")


def test_runs_are_compared_by_any_mean() -> None:
    """A graded metric; repeats count as one case; a metric that is no mean, or of no run, is refused."""
    good, bad = a_run({f"x{n}": 1.0 for n in range(20)}, repeats=3), a_run({f"x{n}": 0.0 for n in range(20)}, cost=1.0)
    read = [columns_of_run(frame, name=name) for name, frame in (("a", good), ("b", bad))]
    found = compared(read)
    assert by_name(found)["b"].difference.n == 20  # type: ignore[union-attr]
    assert by_name(found)["a"].cost_usd_per_case == pytest.approx(0.5)
    graded = columns_of_run(good, name="a", primary="grade")
    assert set(graded.values.tolist()) == {4.0}
    assert graded.metric == GRADE
    with pytest.raises(ValueError, match="no metric 'nope'; name one of pass_rate, rule, grade"):
        columns_of_run(good, name="a", primary="nope")
    with pytest.raises(ValueError, match="'latency_p95_s' is not a mean over cases"):
        columns_of_run(good, name="a", primary="latency_p95_s")


def test_a_run_in_which_every_call_failed_is_compared() -> None:
    """Its pass rate is unknown, as no scorer graded anything; it does not end the comparison."""
    dead = columns_of_run(a_run({f"x{n}": None for n in range(20)}), name="b")
    found = compared([columns_of_run(a_run({f"x{n}": 1.0 for n in range(20)}), name="a"), dead])
    figures = by_name(found)["b"]
    assert (figures.n_errors, figures.primary.value, figures.rank) == (20, None, None)
    assert found.metric == PASS_RATE
    assert "b has no rank: none of its cases was answered" in found.notes


def test_a_case_of_another_content_is_not_compared() -> None:
    """The same id asks something else in the second run."""
    first, second = a_run({"x1": 1.0, "x2": 1.0}), Frame([RULE, GRADE], ["topic"])
    second.add(a_row(a_case("x1", digest="ab" * 32), {"rule": 1.0, "grade": (4.0, True)}))
    found = compared([columns_of_run(first, name="a"), columns_of_run(second, name="b")])
    assert by_name(found)["b"].difference.n == 0  # type: ignore[union-attr]
    assert "b ran 1 of 3 cases" in found.notes


def test_a_weighted_sample_keeps_its_weighted_figure() -> None:
    """Strata of unequal weight: the figure of the system is weighted, and a note says that differences are not."""
    sample = SampleFacts(by="topic", strata={"topic=x": (90, 10), "topic=y": (10, 10)})
    values = {f"{t}{n}": float(t == "x") for t in "xy" for n in range(10)}
    found = compared([columns_of_run(a_run(values, sample=sample), name="a")])
    assert found.systems[0].primary.value == pytest.approx(0.9)
    assert any("weighted" in note for note in found.notes)
