"""The pass rate at production's mix of cohorts."""

from __future__ import annotations

import pytest
from aggregate_rows import a_case, a_row

from evalkit.aggregate.cohorts import check_mix
from evalkit.aggregate.frame import Frame
from evalkit.aggregate.frozen import FrozenFrame, freeze
from evalkit.aggregate.summary import summarise
from evalkit.types import Metric


def run_of(counts: dict[str, tuple[int, int]]) -> FrozenFrame:
    """Topic -> (cases that pass, cases)."""
    frame = Frame([Metric(name="rule", binary=True)], ["topic"])
    for topic, (passing, n) in counts.items():
        for i in range(n):
            frame.add(a_row(a_case(f"{topic}{i:03}", cohorts={"topic": topic}), {"rule": float(i < passing)}))
    return freeze(frame)


MIX = {"topic=hours": 0.8, "topic=loans": 0.2}


def test_the_rate_is_that_of_the_mix_and_not_of_the_set() -> None:
    """Half of the set is loans, a fifth of production: .8 * .9 + .2 * .5."""
    summary = summarise(run_of({"hours": (90, 100), "loans": (50, 100)}), suite="s", expected=200, production=MIX)
    cell = summary.cell("pass_rate_production", "overall")
    plain = summary.cell("pass_rate", "overall")
    assert cell is not None
    assert plain is not None
    assert cell.estimate.value == pytest.approx(0.82)
    assert plain.estimate.value == pytest.approx(0.70)
    assert cell.estimate.low is not None
    assert cell.estimate.low < 0.82


def test_a_part_of_production_without_cases_leaves_it_unknown() -> None:
    """Nothing is made up for what the set does not hold; what production does not have weighs nothing."""
    summary = summarise(run_of({"hours": (90, 100), "pets": (0, 50)}), suite="s", expected=150, production=MIX)
    cell = summary.cell("pass_rate_production", "overall")
    assert cell is not None
    assert cell.estimate.value is None
    assert "fewer than 2 cases of topic=loans" in cell.estimate.reason
    assert cell.n_cases == 100


def test_without_a_mix_there_is_no_such_figure() -> None:
    """It is asked for, or not there."""
    assert summarise(run_of({"hours": (9, 10)}), suite="s", expected=10).cell("pass_rate_production", "overall") is None


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ({"topic=hours": 0.5}, "sum to 0.5"),
        ({"topic=hours": 1.5, "topic=loans": -0.5}, "at least 0"),
        ({"topic=hours": 0.5, "tenant=a": 0.5}, "several cohorts"),
        ({"hours": 1.0}, "several cohorts, or of none"),
        ({"tenant=a": 1.0}, "'tenant' is not a cohort of the suite"),
    ],
)
def test_what_is_no_mix_is_refused(mix: dict[str, float], message: str) -> None:
    """With the fix."""
    with pytest.raises(ValueError, match=message):
        check_mix(mix, ["topic"])


def test_the_interval_is_one_of_a_rate() -> None:
    """Within 0 and 1, with a width where every case passes, and that of Wilson where the mix is the set's own."""
    few = summarise(run_of({"hours": (2, 2), "loans": (2, 2)}), suite="s", expected=4, production=MIX)
    cell = few.cell("pass_rate_production", "overall")
    assert cell is not None
    assert cell.estimate.high == 1.0
    assert cell.estimate.low is not None
    assert cell.estimate.low < 0.6
    mix = {"topic=hours": 0.5, "topic=loans": 0.5}
    same = summarise(run_of({"hours": (16, 20), "loans": (16, 20)}), suite="s", expected=40, production=mix)
    weighted, plain = same.cell("pass_rate_production", "overall"), same.cell("pass_rate", "overall")
    assert weighted is not None
    assert plain is not None
    assert weighted.estimate.low == pytest.approx(plain.estimate.low, abs=0.02)
    assert weighted.corrected_bounds is not None
    assert weighted.corrected_bounds.low is not None
    assert weighted.estimate.low is not None
    assert weighted.corrected_bounds.low > weighted.estimate.low
