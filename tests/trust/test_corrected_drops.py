"""Drops of judges' metrics between two runs, as people's labels of both correct them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from aggregate_rows import RULE, a_case, a_row, frozen

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.results import CorrectedDrop
from evalkit.stats.corrected_difference import Version, corrected_difference
from evalkit.stats.correction import Graded
from evalkit.trust.corrected_drops import corrected_drops
from evalkit.trust.labels import Label
from evalkit.types import Metric, Output

PASSES = Metric(name="judge", binary=True, judge="local:quality")
LEVELS = Metric(name="judge", low=1, high=5, judge="local:quality", pass_at=4)
FAULTS = Metric(name="judge", binary=True, judge="local:quality", higher_is_better=False)
N = 200


def text_of(i: int, run: str) -> str:
    """The answer of a run to case i."""
    return f"{run} answers {i}"


def a_run(
    values: Sequence[float], run: str, metric: Metric = PASSES, *, same: int = 0, rules: Sequence[float] | None = None
) -> FrozenFrame:
    """A run with these grades; the first `same` answers are equal in all runs."""
    rows = []
    for i, value in enumerate(values):
        passed = (value == 1) == metric.higher_is_better if metric.binary else value >= 4
        scores = {"judge": (value, passed)} | ({} if rules is None else {"rule": rules[i]})
        output = Output(text=text_of(i, "each" if i < same else run))
        rows.append(a_row(a_case(f"c{i:03}", cluster=f"q{i}"), scores, output=output))
    return frozen(rows, [metric, *([] if rules is None else [RULE])])


def a_label(i: int, run: str, said: str | float, chance: float | None = 0.5) -> Label:
    """A person's label of an answer."""
    return Label(
        case_id=f"c{i:03}",
        answer_sha256=hashlib.sha256(text_of(i, run).encode()).hexdigest(),
        metric="judge",
        label=said,
        rater="anna",
        inclusion_probability=chance,
    )


def verdicts(seed: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """What people and the judge say of the answers of a run."""
    source = np.random.default_rng(seed)
    people = source.random(N) < rate
    return people, np.where(people, source.random(N) < 0.9, source.random(N) < 0.2)


def words(people: np.ndarray, run: str, chosen: Sequence[int]) -> list[Label]:
    """Labels of the chosen answers."""
    return [a_label(i, run, "pass" if people[i] else "fail") for i in chosen]


def the_drop(found: Sequence[CorrectedDrop], metric: str = "judge") -> CorrectedDrop:
    """Find the drop of a metric."""
    (drop,) = [each for each in found if each.metric == metric]
    return drop


def test_labels_of_the_same_cases_correct_the_drop() -> None:
    """The drop is that of `corrected_difference` on the judge's verdicts and the labels; it can gate."""
    (before, old), (after, new) = verdicts(1, 0.9), verdicts(2, 0.7)
    chosen = range(0, N, 2)
    labels = [*words(before, "old", chosen), *words(after, "new", chosen)]
    found = the_drop(corrected_drops(a_run(new, "new"), a_run(old, "old"), labels))
    versions = [
        Version(tuple(Graded(float(j[i]), i, float(h[i]) if i % 2 == 0 else None, drawn=2.0) for i in range(N)))
        for h, j in ((before, old), (after, new))
    ]
    expected = corrected_difference(*versions, rate=True)
    assert (found.drop, found.p_value) == (expected.estimate, expected.p_value)
    assert (found.labelled, found.labels, found.not_gated) == ("both", (100, 100), "")
    assert found.judged == pytest.approx(old.mean() - new.mean())


def test_no_label_by_a_person_gives_no_drop() -> None:
    """Labels by programs correct nothing, and neither do labels of other answers."""
    people, judge = verdicts(1, 0.9)
    run = a_run(judge, "old")
    labels = [replace(each, rater_kind="program") for each in words(people, "old", range(100))]
    assert corrected_drops(run, run, labels) == ()
    assert corrected_drops(run, run, words(people, "another", range(100))) == ()


def test_two_equal_runs_have_no_drop() -> None:
    """A label of an answer that both runs gave counts on both sides."""
    people, judge = verdicts(1, 0.9)
    run = a_run(judge, "old")
    found = the_drop(corrected_drops(run, run, words(people, "old", range(100))))
    assert (found.drop.value, found.labels, found.not_gated) == (0, (100, 100), "")
    assert found.p_value is not None
    assert found.p_value >= 0.5


def test_labels_of_the_baseline_alone_never_gate() -> None:
    """They carry the judge's errors over, and ask for 50 labels of the other version."""
    (before, old), (_, new) = verdicts(1, 0.9), verdicts(2, 0.7)
    found = the_drop(corrected_drops(a_run(new, "new"), a_run(old, "old"), words(before, "old", range(100))))
    assert (found.labelled, found.p_value) == ("baseline", None)
    assert "label 50 answers of the other" in found.not_gated
    assert found.drop.value is not None


def test_labels_that_only_fit_unchanged_answers_are_labels_of_one_version() -> None:
    """Old labels fit the candidate where nothing changed; they would say that nothing changed, so they do not count."""
    (before, old), (_, new) = verdicts(1, 0.9), verdicts(2, 0.7)
    new = np.where(np.arange(N) < 150, old, new)
    labels = [*words(before, "each", range(0, 150, 2)), *words(before, "old", range(150, N, 2))]
    found = the_drop(corrected_drops(a_run(new, "new", same=150), a_run(old, "old", same=150), labels))
    assert (found.labelled, found.labels) == ("baseline", (100, 75))
    assert found.not_gated


def test_a_case_with_one_label_stops_the_gate() -> None:
    """Every labelled case needs a label of both versions, or the sample is no longer random."""
    (before, old), (after, new) = verdicts(1, 0.9), verdicts(2, 0.7)
    labels = [*words(before, "old", range(100)), *words(after, "new", range(98))]
    found = the_drop(corrected_drops(a_run(new, "new"), a_run(old, "old"), labels))
    assert found.not_gated == "2 of 100 labelled cases lack a label of one version"
    assert found.drop.value is not None


def test_labels_that_were_not_drawn_never_gate() -> None:
    """Labels without a probability may be of answers that somebody picked."""
    (before, old), (after, new) = verdicts(1, 0.9), verdicts(2, 0.7)
    labels = [*words(before, "old", range(100)), *words(after, "new", range(100))]
    picked = [replace(each, inclusion_probability=None) for each in labels]
    found = the_drop(corrected_drops(a_run(new, "new"), a_run(old, "old"), picked))
    assert found.not_gated == "the labels were not drawn with `evalkit labels sample`"


def test_few_labels_say_how_many_are_needed() -> None:
    """19 labelled cases have no interval."""
    (before, old), (after, new) = verdicts(1, 0.9), verdicts(2, 0.7)
    labels = [*words(before, "old", range(19)), *words(after, "new", range(19))]
    found = the_drop(corrected_drops(a_run(new, "new"), a_run(old, "old"), labels))
    assert found.drop.value is None
    assert found.not_gated == found.drop.reason == "19 labels, labels of 20 questions of each version are needed"


def test_a_rise_of_faults_is_a_drop() -> None:
    """If lower is better, the sign turns: a positive drop is always a regression."""
    (before, old), (after, new) = verdicts(1, 0.9), verdicts(2, 0.6)
    labels = [*words(before, "old", range(100)), *words(after, "new", range(100))]
    better = the_drop(corrected_drops(a_run(new, "new"), a_run(old, "old"), labels))
    faults = [a_run(1.0 - said, run, FAULTS) for said, run in ((new, "new"), (old, "old"))]
    worse = the_drop(corrected_drops(faults[0], faults[1], labels))
    assert worse.drop.value == pytest.approx(better.drop.value)
    assert worse.p_value == pytest.approx(better.p_value)
    assert worse.judged == pytest.approx(better.judged)


def test_levels_correct_the_mean_and_the_passes() -> None:
    """Labels on levels give a drop of the mean, and by the pass mark one of the passes and of the pass rate."""
    source = np.random.default_rng(3)
    people = [np.clip(np.round(source.normal(mean, 1, N)), 1, 5) for mean in (4.2, 3.4)]
    judge = [np.clip(said + source.integers(0, 2, N), 1, 5) for said in people]
    labels = [a_label(i, run, float(people[k][i])) for k, run in enumerate(("old", "new")) for i in range(120)]
    found = corrected_drops(a_run(judge[1], "new", LEVELS), a_run(judge[0], "old", LEVELS), labels)
    assert {each.metric for each in found} == {"judge", "judge.passed", "pass_rate"}
    assert the_drop(found).drop.value == pytest.approx(people[0].mean() - people[1].mean(), abs=0.1)
    truth = (people[0] >= 4).mean() - (people[1] >= 4).mean()
    assert the_drop(found, "judge.passed").drop.value == pytest.approx(truth, abs=0.05)
    assert the_drop(found, "pass_rate").drop == the_drop(found, "judge.passed").drop


def test_rules_fail_whatever_people_say() -> None:
    """An answer that a rule fails is a fail in `pass_rate`; the judge's own rate does not know the rule."""
    (people, judge) = verdicts(1, 0.9)
    rules = [float(i % 4 > 0) for i in range(N)]
    labels = [*words(people, "old", range(100)), *words(people, "new", range(100))]
    before, after = a_run(judge, "old", rules=[1.0] * N), a_run(judge, "new", rules=rules)
    found = corrected_drops(after, before, labels)
    assert the_drop(found).drop.value == 0
    rate = (people & True).mean()
    assert the_drop(found, "pass_rate").drop.value == pytest.approx(rate / 4, abs=0.06)
