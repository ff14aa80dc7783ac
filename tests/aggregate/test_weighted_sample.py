"""Figures of a weighted sample."""

from __future__ import annotations

import numpy as np
import pytest
from aggregate_rows import a_case, a_row

from evalkit.aggregate.columns import Sampled
from evalkit.aggregate.frame import Frame
from evalkit.aggregate.frozen import FrozenFrame, freeze
from evalkit.aggregate.summary import summarise
from evalkit.aggregate.weighted import weighted
from evalkit.formats.manifest import SampleFacts
from evalkit.results import Cell
from evalkit.types import Metric, Output, Usage

RULE = Metric(name="rule", binary=True)
STRATA = {"topic=hours": (900, 50), "topic=loans": (100, 50)}
SAMPLE = SampleFacts(by="topic", strata=STRATA)


def run_of(
    counts: dict[str, tuple[int, int]], sample: SampleFacts | None = None, *, languages: bool = False
) -> FrozenFrame:
    """Topic -> (cases that pass, cases); every other case is in French where languages are asked for."""
    frame = Frame([RULE], ["topic", "language"], sample=sample)
    for topic, (passing, n) in counts.items():
        for i in range(n):
            cohorts = {"topic": topic, **({"language": "fr" if i % 2 else "en"} if languages else {})}
            frame.add(a_row(a_case(f"{topic}{i:03}", cohorts=cohorts), {"rule": float(i < passing)}))
    return freeze(frame)


def rate(frame: FrozenFrame, cohort: str = "overall") -> Cell:
    """The pass rate of a cohort."""
    found = summarise(frame, suite="s", expected=frame.n_cases).cell("pass_rate", cohort)
    assert found is not None
    return found


def test_overall_figures_are_those_of_the_golden_set_and_cohorts_stay_what_they_are() -> None:
    """.9 of the set are hours: .9 * .9 + .1 * .5, where the sample alone says .7."""
    run = run_of({"hours": (45, 50), "loans": (25, 50)}, SAMPLE)
    assert rate(run).estimate.value == pytest.approx(0.86)
    assert rate(run).estimate.method == "weighted, wilson on the effective n"
    assert rate(run, "topic=loans") == rate(run_of({"hours": (45, 50), "loans": (25, 50)}), "topic=loans")


def test_a_cohort_across_the_strata_is_weighted_too() -> None:
    """Half of either topic is French: 23 of 25 hours (x 18), 13 of 25 loans (x 2)."""
    run = run_of({"hours": (45, 50), "loans": (25, 50)}, SAMPLE, languages=True)
    # French cases are the odd ones: of hours 22 of 25 pass, of loans 12 of 25.
    assert rate(run, "language=fr").estimate.value == pytest.approx((22 * 18 + 12 * 2) / (25 * 20))


def test_the_summary_says_that_it_is_a_sample_and_what_it_is_worth() -> None:
    """Kish: (50 * 18 + 50 * 2)^2 / (50 * 18^2 + 50 * 2^2) = 61."""
    run = run_of({"hours": (45, 50), "loans": (25, 50)}, SAMPLE)
    (note,) = [each for each in summarise(run, suite="s", expected=100).notes if each.startswith("a sample")]
    assert "100 cases represent 1000, with an effective size of 61" in note


def test_a_sample_in_proportion_has_wilsons_interval() -> None:
    """Equal weights are no weights."""
    run = run_of(
        {"hours": (45, 50), "loans": (25, 50)},
        SampleFacts(by="topic", strata={"topic=hours": (500, 50), "topic=loans": (500, 50)}),
    )
    assert rate(run).estimate.method == "wilson"


@pytest.mark.slow
def test_intervals_of_samples_hold_the_rate_of_the_set() -> None:
    """95 % of them do, at most a few in a hundred less, though three quarters of the sample are a tenth of the set."""
    rng, held = np.random.default_rng(4), 0
    sample = SampleFacts(by="topic", strata={"topic=hours": (900, 60), "topic=loans": (100, 60)})
    for _ in range(400):
        counts = {"hours": (int(rng.binomial(60, 0.92)), 60), "loans": (int(rng.binomial(60, 0.6)), 60)}
        estimate = rate(run_of(counts, sample)).estimate
        assert estimate.low is not None and estimate.high is not None
        held += estimate.low <= 0.9 * 0.92 + 0.1 * 0.6 <= estimate.high
    assert held / 400 >= 0.93


def test_production_weights_go_on_top_of_those_of_the_sample() -> None:
    """A mix of languages, from a sample by topic: each language's weighted rate, by its share."""
    run = run_of({"hours": (45, 50), "loans": (25, 50)}, SAMPLE, languages=True)
    mix = {"language=fr": 0.8, "language=en": 0.2}
    found = summarise(run, suite="s", expected=100, production=mix).cell("pass_rate_production", "overall")
    french, english = (rate(run, cohort).estimate.value for cohort in mix)
    assert found is not None and french is not None and english is not None
    assert found.estimate.value == pytest.approx(0.8 * french + 0.2 * english)


def test_a_sample_by_kind_needs_no_cohort_of_that_name() -> None:
    """900 golden cases all pass, 100 adversarial ones all fail: .9 of the set, not .5."""
    frame = Frame(
        [RULE], [], sample=SampleFacts(by="kind", strata={"kind=golden": (900, 50), "kind=adversarial": (100, 50)})
    )
    for i in range(100):
        kind = "golden" if i < 50 else "adversarial"
        frame.add(a_row(a_case(f"c{i:03}", kind=kind), {"rule": float(i < 50)}))
    assert rate(freeze(frame)).estimate.value == pytest.approx(0.9)


def test_a_case_of_a_stratum_that_was_not_drawn_from_is_no_row_of_the_run() -> None:
    """It would stand for a number that nobody knows."""
    frame = Frame([RULE], ["topic"], sample=SAMPLE)
    with pytest.raises(ValueError, match="'topic=pets', which was not drawn from"):
        frame.add(a_row(a_case("c1", cohorts={"topic": "pets"}), {"rule": 1.0}))


@pytest.mark.slow
def test_intervals_of_means_in_a_cohort_across_the_strata_hold_the_truth() -> None:
    """Each stratum is flat, and how many of its cases fall into the cohort is chance: that is the whole spread."""
    grade = Metric(name="grade")
    sample = SampleFacts(by="topic", strata={"topic=a": (2000, 100), "topic=b": (1000, 100)})
    rng, held = np.random.default_rng(6), 0
    for _ in range(200):
        frame = Frame([grade], ["topic", "dom"], sample=sample)
        for i in range(200):
            topic = "a" if i < 100 else "b"
            cohorts = {"topic": topic, "dom": "x" if rng.random() < 0.3 else "y"}
            frame.add(a_row(a_case(f"c{i:03}", cohorts=cohorts), {"grade": 0.9 if topic == "a" else 0.0}))
        cell = summarise(freeze(frame), suite="s", expected=200).cell("grade", "dom=x")
        assert cell is not None and cell.estimate.low is not None and cell.estimate.high is not None
        held += cell.estimate.low <= 0.6 <= cell.estimate.high
    assert held / 200 >= 0.92


def test_a_success_of_a_sample_costs_what_one_of_the_set_would() -> None:
    """Hours cost 1 and pass, loans cost 9 and half of them fail: (900 * 1 + 100 * 9) / (900 + 50)."""
    frame = Frame([RULE], ["topic"], sample=SAMPLE)
    for topic, cost, passing in (("hours", 1.0, 50), ("loans", 9.0, 25)):
        for i in range(50):
            output = Output(text="", usage=Usage(cost_usd=cost))
            case = a_case(f"{topic}{i:03}", cohorts={"topic": topic})
            frame.add(a_row(case, {"rule": float(i < passing)}, output=output))
    found = summarise(freeze(frame), suite="s", expected=100).cell("cost_usd_per_success")
    assert found is not None
    assert found.estimate.value == pytest.approx(1800 / 950)


def test_equal_scores_of_a_huge_range_have_an_interval() -> None:
    """The rounding error of their mean, as a share of the range, is so small that its square is 0."""
    sample = Sampled(np.array([3.1, 7.7, 1.3, 2.9]), np.array([0, 0, 1, 1]), np.array([2, 2]))
    metric = Metric(name="n", high=1e300)
    found = weighted(np.full(4, 0.1), sample, np.arange(4), metric, confidence_level=0.95)
    assert found.value == pytest.approx(0.1)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= 0.1 <= found.high
