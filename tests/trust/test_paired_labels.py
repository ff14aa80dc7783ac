"""Cases drawn for labels of two runs: how often each answer is drawn, and what is drawn first."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from aggregate_rows import a_case, a_row, frozen
from test_corrected_drops import PASSES, a_label, a_run

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.trust.labels import Label
from evalkit.trust.paired_labels import PairedDraws, paired_labels
from evalkit.types import Output


def draw(
    after: FrozenFrame, before: FrozenFrame, n: int, *, seed: int = 1, labels: tuple[Label, ...] = (), **more: str
) -> PairedDraws:
    """Draw cases."""
    return paired_labels(after, before, "judge", n, labels=labels, rng=np.random.default_rng(seed), **more)


def test_both_answers_of_a_case_are_drawn() -> None:
    """30 of 200 cases, each with its answers of both runs, at a probability of 30 / 200."""
    drawn = draw(a_run([1.0] * 200, "new"), a_run([0.0] * 200, "old"), 30)
    ids = [[each.case_id for each in side] for side in (drawn.candidate, drawn.baseline)]
    assert ids[0] == ids[1] == sorted(ids[0])
    assert len(set(ids[0])) == 30
    assert {each.inclusion_probability for each in (*drawn.candidate, *drawn.baseline)} == {30 / 200}


def test_an_answer_that_both_runs_gave_is_read_once() -> None:
    """Its label counts for both."""
    drawn = draw(a_run([1.0] * 50, "new", same=50), a_run([1.0] * 50, "old", same=50), 20)
    assert (len(drawn.candidate), drawn.baseline) == (20, ())
    assert {each.inclusion_probability for each in drawn.candidate} == {20 / 50}


def test_a_case_that_one_run_lacks_is_not_drawn() -> None:
    """Only cases that the judge graded in both runs can be compared."""
    drawn = draw(a_run([1.0] * 60, "new"), a_run([1.0] * 40, "old"), 100)
    assert len(drawn.candidate) == len(drawn.baseline) == 40


def test_cases_whose_label_fits_one_run_come_first() -> None:
    """Their other answer is drawn at the probability of the case; answers with a label are not read again."""
    after, before = a_run([1.0] * 100, "new"), a_run([1.0] * 100, "old")
    labels = tuple(a_label(i, "old", "pass", 0.25) for i in range(10))
    drawn = draw(after, before, 10, labels=labels)
    assert [each.case_id for each in drawn.candidate] == [f"c{i:03}" for i in range(10)]
    assert drawn.baseline == ()
    assert {each.inclusion_probability for each in drawn.candidate} == {0.25}
    more = draw(after, before, 30, labels=labels)
    assert (len(more.candidate), len(more.baseline)) == (30, 20)
    whole = (*labels, *(a_label(i, "new", "pass", 0.25) for i in range(10)))
    rest = draw(after, before, 30, labels=whole)
    assert not {each.case_id for each in rest.candidate} & {each.case_id for each in whole}


def test_values_of_a_cohort_are_drawn_in_proportion() -> None:
    """A quarter of the cases gives a quarter of the draw."""
    rows = [
        a_row(
            a_case(f"c{i:03}", cohorts={"topic": "fees" if i % 4 else "cards"}), {"judge": 1.0}, output=Output(text="a")
        )
        for i in range(100)
    ]
    run = frozen(rows, [PASSES], ["topic"])
    drawn = draw(run, run, 20, by="topic")
    assert sum(int(each.case_id[1:]) % 4 == 0 for each in drawn.candidate) == 5


def test_repeats_are_drawn_as_often_as_they_say() -> None:
    """Of four repeats that give `x` three times and `y` once, and a run that gives `y`: .75 and, on either side, 1."""
    after = frozen(
        [a_row("c000", {"judge": 1.0}, repeat=k, output=Output(text="y" if k == 2 else "x")) for k in range(4)],
        [PASSES],
    )
    before = frozen([a_row("c000", {"judge": 1.0}, output=Output(text="y"))], [PASSES])
    seen: Counter[tuple[bool, bool]] = Counter()
    for seed in range(300):
        drawn = draw(after, before, 1, seed=seed)
        chosen = drawn.candidate[0]
        assert chosen.inclusion_probability == (1.0 if chosen.repeat == 2 else 0.75)
        seen[chosen.repeat == 2, bool(drawn.baseline)] += 1
    assert set(seen) == {(True, False), (False, True)}
    assert seen[True, False] / 300 == pytest.approx(0.25, abs=0.07)
