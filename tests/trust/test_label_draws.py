"""Labels of one draw and of several give the same kappa."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from aggregate_rows import a_case, a_row

from evalkit.aggregate.frame import Frame
from evalkit.aggregate.frozen import FrozenFrame, freeze
from evalkit.trust.agreement import agreement, labelled_rows
from evalkit.trust.labels import Label
from evalkit.trust.next_labels import next_labels, pooled_chances
from evalkit.types import Metric

JUDGE = Metric(name="judge", binary=True, judge="local:correctness")


def run_of(rng: np.random.Generator) -> tuple[FrozenFrame, dict[str, str], dict[str, str]]:
    """240 answers, of which a judge passes three in four; what a person says of each, and its digest."""
    frame, people, digests = Frame([JUDGE], []), {}, {}
    for i in range(240):
        right = rng.random() < 0.8
        passed = right if rng.random() < 0.9 else not right
        row = a_row(a_case(f"c{i:03}"), {"judge": float(passed)})
        assert row.output is not None
        row = replace(row, output=replace(row.output, text=f"answer {i}"))
        frame.add(row)
        people[row.case.id] = "pass" if right else "fail"
        digests[row.case.id] = hashlib.sha256(f"answer {i}".encode()).hexdigest()
    return freeze(frame), people, digests


def kappa_of(
    frame: FrozenFrame, people: dict[str, str], digests: dict[str, str], sizes: tuple[int, ...], seed: int
) -> float:
    """Kappa of labels that were drawn in so many draws, each leaving out what was labelled before."""
    rng, labels = np.random.default_rng(seed), []
    for size in sizes:
        known = labelled_rows(frame, labels, "judge")
        labels += [
            Label(
                case_id=each.case_id,
                answer_sha256=digests[each.case_id],
                metric="judge",
                label=people[each.case_id],
                rater="ana",
                inclusion_probability=each.inclusion_probability,
            )
            for each in next_labels(frame, JUDGE, size, labelled=known, rng=rng)
        ]
    found = agreement(frame, labels)[0].kappa.value
    assert found is not None
    return found


@pytest.mark.slow
def test_several_draws_are_no_worse_a_sample_than_one() -> None:
    """In 60 runs the mean kappa of draws of 100, 30 and 30 is that of one of 160, and of all labels."""
    rng, found = np.random.default_rng(3), []
    for seed in range(60):
        run = run_of(rng)
        found.append([kappa_of(*run, sizes, seed) for sizes in ((240,), (160,), (100, 30, 30))])
    every, one, three = np.mean(found, axis=0)
    assert one == pytest.approx(every, abs=0.008)
    assert three == pytest.approx(every, abs=0.008)


def test_one_whole_draw_keeps_its_chances() -> None:
    """Nothing is scaled where every drawn answer was labelled."""
    frame, _, _ = run_of(np.random.default_rng(0))
    drawn = next_labels(frame, JUDGE, 60, rng=np.random.default_rng(1))
    rows = {case: row for row, case in enumerate(frame.case_ids)}
    chances = {rows[each.case_id]: each.inclusion_probability for each in drawn}
    assert pooled_chances(frame, JUDGE, chances) == pytest.approx(chances)


def test_after_several_draws_each_verdict_weighs_as_in_the_run() -> None:
    """Raw chances of three draws say that there are 2.5 times as many answers as there are, in unlike proportion."""
    frame, _, digests = run_of(np.random.default_rng(0))
    rows, labels, chances = {case: row for row, case in enumerate(frame.case_ids)}, [], {}
    for size in (100, 30, 30):
        known = labelled_rows(frame, labels, "judge")
        for each in next_labels(frame, JUDGE, size, labelled=known, rng=np.random.default_rng(size)):
            chances[rows[each.case_id]] = each.inclusion_probability
            digest = digests[each.case_id]
            labels.append(Label(case_id=each.case_id, answer_sha256=digest, metric="judge", label="pass", rater="ana"))
    passes = frame.rows["judge"].values == 1
    truth = passes.sum() / (~passes).sum()
    raw, pooled = (
        sum(1 / p for row, p in each.items() if passes[row]) / sum(1 / p for row, p in each.items() if not passes[row])
        for each in (chances, pooled_chances(frame, JUDGE, chances))
    )
    assert pooled == pytest.approx(truth)
    assert abs(raw / truth - 1) > 0.2
