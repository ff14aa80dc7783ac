"""Plans of the sample: floors, shares and limits; the draw is the same in any process and the estimate unbiased."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from monitor_lab import DAY, MONITOR, MonitorLab, row

from evalkit.errors import InputError
from evalkit.monitor.calls import MISSING, hash64
from evalkit.monitor.cohort_values import ENOUGH, MOST_VALUES, OTHER, CohortValues
from evalkit.monitor.sampling import (
    UNITS,
    expected_calls,
    first_day_calls,
    inclusion_plan,
    is_drawn,
    labels_of,
    with_suspicion,
)
from evalkit.monitor.settings import SampleOptions
from evalkit.stats.weighted_sums import WeightedSums, weighted_rate

PART = """\
import sys
from evalkit.monitor.calls import hash64
from evalkit.monitor.sampling import is_drawn
part, parts = int(sys.argv[1]), int(sys.argv[2])
print(*(i for i in range(part, 20_000, parts) if is_drawn(hash64(b"shop", f"c call-{i}"), 0.05)))
"""


def drawn(parts: int) -> set[str]:
    """Ids that so many processes draw."""

    def one(part: int) -> list[str]:
        command = [sys.executable, "-c", PART, str(part), str(parts)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

    with ThreadPoolExecutor(2) as pool:
        return {each for found in pool.map(one, range(parts)) for each in found}


@pytest.mark.slow
def test_one_and_four_processes_draw_the_same_ids() -> None:
    """The hash decides, without state."""
    alone = drawn(1)
    assert alone == drawn(4)
    assert 880 < len(alone) < 1_120  # 20,000 x 0.05 = 1,000, sd 31


def expected(calls: dict[str, float], options: SampleOptions) -> float:
    """Judged calls a day that a plan makes."""
    plan = inclusion_plan(calls, options)
    return sum(n * plan.pi(labels_of(stratum)) for stratum, n in calls.items())


def test_a_plan_gives_each_cohort_its_floor_and_the_rest_by_share() -> None:
    """10,000 calls, 500 a day: a cohort of 50 gets 30, the others in proportion."""
    calls = {"topic=a": 7_950.0, "topic=b": 2_000.0, "topic=c": 50.0}
    options = SampleOptions(per_day=500, floor=30, most=0.5)
    plan = inclusion_plan(calls, options)
    assert plan.pi(["topic=c"]) == pytest.approx(0.6)
    assert plan.pi(["topic=a"]) == plan.pi(["topic=b"]) == pytest.approx(470 / 9_950, rel=0.01)
    assert expected(calls, options) == pytest.approx(500)


def test_most_limits_the_share_of_calls() -> None:
    """1,000 calls and at most 5 %: 50 a day, also if the floors ask for more."""
    calls = {f"topic={i}": 100.0 for i in range(10)}
    assert expected(calls, SampleOptions()) == pytest.approx(50)


def test_arms_are_judged_equally_often() -> None:
    """Although the canary has 5 % of the calls; one with too few is judged as a whole, and the other gets the rest."""
    options = SampleOptions(per_day=200, arms="version", most=0.5)
    calls = {"version=v1|t=a": 9_500.0, "version=v2|t=a": 500.0}
    plan = inclusion_plan(calls, options)
    assert [plan.pi(labels_of(each)) for each in calls] == pytest.approx([100 / 9_500, 100 / 500])
    few = {"version=v1": 9_950.0, "version=v2": 50.0}
    plan = inclusion_plan(few, options)
    assert [n * plan.pi([label]) for label, n in few.items()] == pytest.approx([150, 50])


def test_a_canary_is_drawn_alike_from_its_first_batches(tmp_path: Path) -> None:
    """By the shares of the batch: no earlier week had it. Every call keeps its probability."""
    text = MONITOR.replace("[topic]", "[version]") + "sample: {per_day: 20, most: 1, arms: version, floor: 1}\n"
    lab = MonitorLab(tmp_path, text)
    lab.log([row(i, i * 400, version="v1" if i % 2 else "v2") for i in range(200)])
    lab.take()
    lab.log([row(i, DAY + i * 10, version="v2" if i % 10 == 0 else "v1") for i in range(1_000, 1_200)])
    lab.take()
    second = lab.observed()[-1]
    versions, pi = np.array(second.cohorts["version"]), second.pi
    assert {name: float(pi[versions == name].sum()) for name in ("v1", "v2")} == pytest.approx({"v1": 10, "v2": 10})
    lab.file.write_text(text.replace("arms: version", "arms: release"), encoding="utf-8")
    with pytest.raises(InputError, match=r"sample\.arms: 'release' is not a cohort; name it under `cohorts:` too"):
        lab.take()


def test_little_traffic_is_judged_as_a_whole_if_it_may() -> None:
    """100 calls, 1,000 a day, no limit on the share."""
    assert expected({"": 100.0}, SampleOptions(most=1.0)) == pytest.approx(100)


@given(
    st.dictionaries(
        st.text("abc", min_size=1, max_size=3).map("t={}|l=x".format), st.floats(1, 1e6), min_size=1, max_size=8
    ),
    st.integers(1, 2_000),
    st.integers(1, 100),
    st.floats(0.001, 1),
)
def test_no_plan_exceeds_its_limits(calls: dict[str, float], per_day: int, floor: int, most: float) -> None:
    """Expected calls are at most `per_day` and `most` of all; every probability is in (0, 1]."""
    options = SampleOptions(per_day=per_day, floor=floor, most=most)
    plan = inclusion_plan(calls, options)
    assert expected(calls, options) <= min(per_day, most * sum(calls.values())) * (1 + 1e-6)
    assert all(0 < plan.pi(labels_of(stratum)) <= 1 for stratum in calls)
    assert 0 < plan.pi(["t=unseen"]) <= 1


def test_calls_are_expected_from_the_same_weekday() -> None:
    """The mean of up to 4 weeks; else of the days there are; `None` of none."""
    history = {(day, "t=a"): 100 if day % 7 == 0 else 10 for day in range(700, 728)}
    assert expected_calls(728, history) == {"t=a": 100}
    assert expected_calls(729, history) == {"t=a": 10}
    assert expected_calls(728, {(720, "t=a"): 4, (722, "t=a"): 6}) == {"t=a": 5}
    assert expected_calls(728, {(699, "t=a"): 4, (728, "t=a"): 9}) is None
    assert first_day_calls({"t=a": 10}, 0.25) == {"t=a": 40}


def test_suspicion_moves_part_of_the_sample() -> None:
    """Half by suspicion: no weight above twice the plan's, and the expected number is kept."""
    found = with_suspicion([0.01] * 4, [0, 0, 0, 4], 0.5)
    assert found == pytest.approx([0.005, 0.005, 0.005, 0.025])
    assert with_suspicion([0.5, 0.5], [0, 9], 0.5) == pytest.approx([0.25, 0.75])
    assert with_suspicion([0.5], [1.0], 0.9) == [0.5]
    assert with_suspicion([0.2, 0.3], [0, 0], 0.5) == [0.2, 0.3]
    assert with_suspicion([0.2], [], 0.0) == [0.2]


def test_a_draw_with_floors_and_suspicion_covers_the_truth() -> None:
    """400 draws, 24 cohorts of 26 to 0.2 %: the rate of all calls is in its interval in .93 to .985."""
    rng = np.random.default_rng(5)
    n, shares = 20_000, 1 / np.arange(1, 25) ** 1.3
    topics = rng.choice(24, n, p=shares / shares.sum())
    wrong = rng.random(n) < 0.05 + 0.2 * (topics > 12)
    suspicious = (rng.random(n) < np.where(wrong, 0.5, 0.05)).astype(float)
    counts = {f"t={topic}": float((topics == topic).sum()) for topic in range(24)}
    plan = inclusion_plan(counts, SampleOptions(per_day=1_000, floor=30, most=0.2))
    pis = np.array(with_suspicion([plan.pi([f"t={topic}"]) for topic in topics], suspicious.tolist(), 0.5))
    covered = 0
    for _ in range(400):
        chosen = rng.random(n) < pis
        found = weighted_rate(WeightedSums.of(wrong[chosen], 1 / pis[chosen], np.flatnonzero(chosen)))
        covered += bool(found.low <= wrong.mean() <= found.high)  # type: ignore[operator]
    assert 0.93 <= covered / 400 <= 0.985


def test_the_draw_is_uniform() -> None:
    """The share u = hash / 2^64 of 50,000 ids: a tenth in each tenth, within 4 standard deviations."""
    shares = np.array([hash64(b"x", f"c {i}") / UNITS for i in range(50_000)])
    counts, _ = np.histogram(shares, 10, (0, 1))
    assert np.abs(counts - 5_000).max() < 4 * np.sqrt(50_000 * 0.1 * 0.9)
    assert is_drawn(UNITS - 1, 1.0)
    assert not is_drawn(0, 0.0)


def test_a_value_is_other_until_it_was_seen_50_times() -> None:
    """Only its hash is kept; counts go on in the next process."""
    values = CohortValues(("topic",), "salt", {})
    found = [values.count(("cards",)) for _ in range(ENOUGH + 2)]
    assert {labels for labels, is_new in found if is_new} == {(OTHER,)}
    assert [is_new for _, is_new in found].count(True) == ENOUGH
    assert found[-1] == (("cards",), False)
    ((cohort, value, n),) = values.settle()
    assert (cohort, n) == ("topic", ENOUGH + 2)
    assert "cards" not in value
    assert values.settle() == ()
    assert CohortValues(("topic",), "salt", {(cohort, value): n}).count(("cards",)) == (("cards",), False)
    assert values.count((MISSING,)) == ((MISSING,), False)


def test_no_more_than_200_values_are_counted() -> None:
    """A cohort that is an id of users neither fills the store nor draws every call."""
    values = CohortValues(("user",), "salt", {})
    found = [values.count((f"user-{i}",)) for i in range(5_000)]
    assert sum(is_new for _, is_new in found) == MOST_VALUES
    assert {labels for labels, _ in found} == {(OTHER,)}
    assert len(values.settle()) == MOST_VALUES
