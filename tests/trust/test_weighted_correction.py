"""Double sampling with labels that were drawn with unequal chances: the rate is that of all answers."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.stats.correction import Graded, double_sampling


@pytest.mark.slow
def test_small_cohorts_that_are_drawn_more_often_do_not_pull_the_rate() -> None:
    """Per verdict a cohort of 300 answers and 19 of one answer, where the judge errs otherwise; 60 labels."""
    rng = np.random.default_rng(1)
    inside, found = 0, []
    for _ in range(200):
        answers: list[Graded] = []
        truth: list[float] = []
        for verdict, share, other in ((1.0, 0.95, 0.2), (0.0, 0.05, 0.5)):
            big = (rng.random(300) < share).astype(float)
            tiny = (rng.random(19) < other).astype(float)
            for place, right in enumerate([*big, *tiny]):
                truth.append(right)
                labelled = place < 11 or place >= 300  # 11 of the 300, all of the 19
                drawn = 300 / 11 if place < 300 else 1.0
                answers.append(Graded(verdict, len(answers), right if labelled else None, drawn=drawn))
        estimate = double_sampling(answers, rng=rng)
        assert estimate.value is not None
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.n == 60
        rate = float(np.mean(truth))
        inside += estimate.low <= rate <= estimate.high
        found.append(estimate.value - rate)
    assert abs(np.mean(found)) < 0.02
    assert inside / 200 > 0.93
