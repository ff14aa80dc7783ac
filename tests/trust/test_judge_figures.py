"""Trust and correction belong to the figure that is gated: passes for passes, levels for levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from aggregate_rows import RULE, a_case, a_row, frozen
from sklearn.metrics import cohen_kappa_score
from test_agreement import JUDGE, PASSES, a_label, overall

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.aggregate.summary import summarise
from evalkit.gate.policy import Threshold
from evalkit.gate.thresholds import threshold_checks
from evalkit.results import Cell, Summary
from evalkit.trust.agreement import agreement
from evalkit.trust.judges import with_judges
from evalkit.trust.labels import Label
from evalkit.trust.pass_marks import mark_of
from evalkit.trust.trusted import trust_in
from evalkit.types import Metric, Output


def kind_judge() -> tuple[list[float], list[float]]:
    """120 answers of which people pass 52, and a judge of 1 to 5 that is one level too kind in 9 of 10 cases."""
    people = [1.0] * 12 + [2.0] * 24 + [3.0] * 32 + [4.0] * 30 + [5.0] * 22
    judge = [min(5.0, level + (i % 10 != 0)) for i, level in enumerate(people)]
    return people, judge


def run_of(judge: Sequence[float], metric: Metric = JUDGE, **rules: bool) -> FrozenFrame:
    """A run graded so, pass from 4."""
    metrics = [metric, *([RULE] if rules else [])]
    rows = [
        a_row(f"c{i:03}", {"judge": (value, metric.pass_at is None or value >= metric.pass_at)} | more(i, rules))
        for i, value in enumerate(judge)
    ]
    return frozen(rows, metrics)


def more(i: int, rules: Mapping[str, bool]) -> dict[str, float]:
    """A rule that fails every fifth answer."""
    return {"rule": float(i % 5 > 0)} if rules else {}


def labels_of(people: Sequence[float | str]) -> list[Label]:
    """A label of each answer."""
    return [a_label(f"c{i:03}", said) for i, said in enumerate(people)]


def corrected(frame: FrozenFrame, labels: Sequence[Label]) -> tuple[Summary, dict[str, Cell]]:
    """The summary with its judges' corrections."""
    summary = with_judges(frame, summarise(frame, suite="s", expected=len(frame.row_case)), labels)
    return summary, {each.metric: each for each in summary.cells if each.cohort == "overall"}


def test_a_judge_one_level_too_kind_is_not_trusted_with_passes():
    """Its levels agree well, its passes hardly better than chance: `.passed` and `pass_rate` give no decision."""
    people, judge = kind_judge()
    labels = labels_of(people)
    frame = run_of(judge)
    found = agreement(frame, labels)
    levels, passes = overall(found, levels=True), overall(found)
    assert (levels.figure, passes.figure) == ("judge", "judge.passed")
    said, judged = [level >= 4 for level in people], [level >= 4 for level in judge]
    assert passes.kappa.value == pytest.approx(cohen_kappa_score(said, judged))
    assert levels.kappa.value == pytest.approx(cohen_kappa_score(people, judge, weights="quadratic"))
    assert levels.kappa.value > 0.75
    assert passes.kappa.value < 0.6
    assert (levels.trust, passes.trust) == ("trusted", "untrusted")
    assert trust_in(found, JUDGE, passes=True) == "untrusted"
    assert trust_in(found, JUDGE, passes=False) == "trusted"
    summary, cells = corrected(frame, labels)
    for metric in ("judge.passed", "pass_rate"):
        (check,) = threshold_checks(frame, summary, Threshold(metric=metric, min=0.6))
        assert (check.outcome, "on pass and fail" in check.reason) == ("no decision", True), check.reason
        rate = cells[metric].corrected
        assert rate is not None and rate.value == pytest.approx(52 / 120)
    (check,) = threshold_checks(frame, summary, Threshold(metric="judge", min=2.0))
    assert check.outcome == "pass"


def test_pass_fail_labels_do_not_speak_for_the_mean_of_levels():
    """A judge that people's words confirm may gate its passes; its mean needs labels on levels."""
    judge = [5.0, 2.0] * 40
    found = agreement(run_of(judge), labels_of(["pass", "fail"] * 40))
    assert trust_in(found, JUDGE, passes=True) == "trusted"
    assert trust_in(found, JUDGE, passes=False) == "untrusted"


def test_words_and_levels_speak_for_passes_together():
    """40 answers labelled pass or fail and 40 labelled by level: 80 labels of passes, 40 of levels."""
    judge = [5.0, 2.0] * 40
    words: list[float | str] = ["pass", "fail"] * 20
    found = agreement(run_of(judge), labels_of([*words, *[5.0, 1.0] * 20]))
    assert overall(found).kappa.n == 80
    assert overall(found, levels=True).kappa.n == 40


def test_levels_of_a_judge_without_a_pass_mark_have_one_figure():
    """Nothing is read as pass or fail; words cannot be compared and are counted as left out."""
    metric = Metric(name="judge", low=1, high=5, judge="local:quality")
    frame = frozen([a_row(f"c{i:03}", {"judge": float(1 + i % 5)}) for i in range(60)], [metric])
    levels: list[float | str] = [float(1 + i % 5) for i in range(57)]
    found = agreement(frame, labels_of([*levels, "pass", "fail", "pass"]))
    assert [each.figure for each in found] == ["judge"]
    assert found[0].kappa.n == 57
    assert "3 labels left out (pass or fail of a judge without a known pass mark)" in found[0].note


@pytest.mark.parametrize(("mark", "passing"), [(3.5, 40), (4.0, 40), (3.0, 60)])
def test_a_pass_mark_between_two_levels_is_read_as_the_judge_is(mark: float, passing: int):
    """20 labels on each level: those from the mark on pass."""
    people = [float(1 + i % 5) for i in range(100)]
    entry = overall(agreement(run_of(people, replace(JUDGE, pass_at=mark)), labels_of(people)))
    assert entry.prevalence == pytest.approx(passing / 100)
    assert entry.kappa.value == 1


def test_an_inverted_scale_passes_up_to_its_mark():
    """Lower is better: levels 1 and 2 pass, for people as for the judge."""
    metric = replace(JUDGE, higher_is_better=False, pass_at=2)
    people = [float(1 + i % 5) for i in range(100)]
    frame = frozen([a_row(f"c{i:03}", {"judge": (v, v <= 2)}) for i, v in enumerate(people)], [metric])
    entry = overall(agreement(frame, labels_of(people)))
    assert (entry.prevalence, entry.kappa.value) == (pytest.approx(0.4), 1)
    _, cells = corrected(frame, labels_of(people))
    rate = cells["judge.passed"].corrected
    assert rate is not None and rate.value == pytest.approx(0.4)


def test_a_run_stored_without_its_mark_shows_it_by_its_passes():
    """The judge fails 2 and passes 5: levels 1, 2 and 5 are known, 3 and 4 are left out and counted."""
    metric = replace(JUDGE, pass_at=None)
    judge = [5.0, 2.0] * 50
    frame = frozen([a_row(f"c{i:03}", {"judge": (v, v >= 4)}) for i, v in enumerate(judge)], [metric])
    mark = mark_of(frame, metric)
    assert mark is not None
    assert [mark.verdict(level) for level in (1.0, 2.0, 3.0, 4.0, 5.0)] == ["fail", "fail", None, None, "pass"]
    entry = overall(agreement(frame, labels_of([5.0, 2.0, 3.0, 4.0] * 25)))
    assert entry.kappa.n == 50
    assert "50 labels left out (a level that this run shows neither to pass nor to fail)" in entry.note


def test_every_label_of_one_class_is_undefined():
    """People pass everything: no kappa of passes, whatever the levels."""
    found = agreement(run_of([4.0, 5.0] * 30), labels_of([5.0, 4.0] * 30))
    assert overall(found).kappa.value is None
    assert overall(found).trust == "untrusted"


def asked_often(repeats: int, questions: int, share: float, seed: int) -> tuple[FrozenFrame, list[Label]]:
    """A judge right on every repeat of a question or wrong on every one; all answers labelled."""
    rng = np.random.default_rng(seed)
    rows, labels = [], []
    for question in range(questions):
        right = rng.random() < share
        for repeat in range(repeats):
            text = f"answer {repeat} to c{question:03}"
            people = bool(rng.random() < 0.5)
            rows.append(
                a_row(
                    f"c{question:03}",
                    {"judge": float(people == right)},
                    repeat=repeat,
                    output=Output(text=text),
                )
            )
            labels.append(a_label(f"c{question:03}", "pass" if people else "fail", answer_sha256=digest(text)))
    return frozen(rows, [PASSES]), labels


def digest(text: str) -> str:
    """What binds a label to an answer."""
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


def test_repeats_of_a_case_are_one_question():
    """160 labels of 40 questions: the bound is that of 40, and more questions are asked for rather than labels."""
    frame, labels = asked_often(4, 40, 0.85, 3)
    entry = overall(agreement(frame, labels))
    assert (entry.kappa.n, entry.questions) == (160, 40)
    alone = [
        a_row(a_case(f"x{i:03}"), {"judge": value}, output=Output(text=f"t{i}"))
        for i, value in enumerate(frame.rows["judge"].values.tolist())
    ]
    said = {label.answer_sha256: label.label for label in labels}
    texts = [f"answer {repeat} to c{question:03}" for question in range(40) for repeat in range(4)]
    apart = [a_label(f"x{i:03}", said[digest(text)], answer_sha256=digest(f"t{i}")) for i, text in enumerate(texts)]
    other = overall(agreement(frozen(alone, [PASSES]), apart))
    assert other.kappa.value == pytest.approx(entry.kappa.value)
    assert entry.bound < other.bound - 0.05
    assert entry.labels_needed is not None and entry.questions_needed is not None
    assert entry.questions_needed * 4 >= entry.labels_needed > (other.labels_needed or 0)


def test_a_declared_cluster_joins_cases():
    """Cases of one document are one question; declared clusters beat cases."""
    rows = [a_row(a_case(f"c{i:03}", cluster=f"doc{i // 10}"), {"judge": float(i % 2)}) for i in range(100)]
    frame = frozen(rows, [PASSES])
    entry = overall(agreement(frame, labels_of(["fail", "pass"] * 50)))
    assert entry.questions == 10
    bare = overall(
        agreement(
            frozen([a_row(f"c{i:03}", {"judge": float(i % 2)}) for i in range(100)], [PASSES]),
            labels_of(["fail", "pass"] * 50),
        )
    )
    assert bare.questions == 100
    assert entry.bound < bare.bound


def test_one_cluster_alone_shows_nothing():
    """Whatever agrees inside one question, there is no bound and no trust."""
    rows = [a_row(a_case(f"c{i:03}", cluster="one"), {"judge": float(i % 2)}) for i in range(100)]
    entry = overall(agreement(frozen(rows, [PASSES]), labels_of(["fail", "pass"] * 45 + ["pass", "fail"] * 5)))
    assert (entry.bound, entry.trust) == (None, "provisional")
    assert entry.kappa.reason.startswith("not estimable: 1 question")


def test_two_raters_who_always_disagree_show_no_agreement():
    """Kappa is 0 for passes and for levels; no answer is left out."""
    judge = [5.0, 2.0] * 30
    for one, other in (("pass", "fail"), (5.0, 1.0)):
        labels = [a_label(f"c{i:03}", said, rater=name) for i in range(60) for name, said in (("a", one), ("b", other))]
        found = agreement(run_of(judge), labels)
        assert overall(found).kappa.value == pytest.approx(0)
        assert overall(found).kappa.n == 60
        assert overall(found).trust == "untrusted"
        if isinstance(one, float):
            assert overall(found, levels=True).kappa.value == pytest.approx(0)


def test_levels_of_several_raters_are_their_mean():
    """Quadratic kappa compares the judge with the mean of raters; a level that most give does not stand for all."""
    judge = [float(1 + i % 5) for i in range(100)]
    labels = [
        a_label(f"c{i:03}", min(5.0, max(1.0, level + shift)), rater=name)
        for i, level in enumerate(judge)
        for name, shift in (("a", 0), ("b", -1 if i % 3 else 1), ("c", 0))
    ]
    entry = overall(agreement(run_of(judge), labels), levels=True)
    means = np.array(
        [np.mean([level, min(5.0, max(1.0, level + (-1 if i % 3 else 1))), level]) for i, level in enumerate(judge)]
    )
    x, y = means, np.array(judge)
    expected = 1 - ((x - y) ** 2).mean() / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert entry.kappa.value == pytest.approx(expected)
    assert "disagree on 80 answers" in entry.note
    _, cells = corrected(run_of(judge), labels)
    mean = cells["judge"].corrected
    assert mean is not None and mean.value == pytest.approx(means.mean())


@pytest.mark.slow
def test_leaving_out_ties_flatters_the_judge():
    """The bias that keeping them avoids: judge and raters are sure of 300 answers, and guess on 100 hard ones.

    Agreement of the judge with a rater is (300 + 50)/400 = .875, so kappa is .75. On the hard answers two raters agree
    half of the time: without the ties 350 answers are left, of which the judge is right on 325, and kappa reads .857.
    """
    rng = np.random.default_rng(5)
    easy = rng.random(3000) < 0.5
    hard, one, other = (rng.random(1000) < 0.5 for _ in range(3))
    judge = np.concatenate([easy, hard]).astype(float).tolist()
    raters = np.concatenate([easy, one]), np.concatenate([easy, other])
    labels = [
        replace(a_label(f"c{i:03}", "pass" if said else "fail"), rater=name)
        for name, ratings in zip("ab", raters, strict=True)
        for i, said in enumerate(ratings.tolist())
    ]
    frame = frozen([a_row(f"c{i:03}", {"judge": value}) for i, value in enumerate(judge)], [PASSES])
    kept = overall(agreement(frame, labels))
    agreed = {f"c{i:03}" for i in np.flatnonzero(raters[0] == raters[1]).tolist()}
    dropped = overall(agreement(frame, [label for label in labels if label.case_id in agreed]))
    assert (kept.kappa.n, kept.kappa.value) == (4000, pytest.approx(0.75, abs=0.02))
    assert dropped.kappa.value == pytest.approx(6 / 7, abs=0.02)


def test_labels_on_repeats_correct_the_figure():
    """Every repeat's answer may carry a label; those of later repeats count, and the rate is that of all answers."""
    rows, labels = [], []
    for i in range(60):
        for repeat in range(2):
            text = f"answer {repeat} to c{i:03}"
            passes = (i + repeat) % 3 > 0
            rows.append(a_row(f"c{i:03}", {"judge": 1.0}, repeat=repeat, output=Output(text=text)))
            if repeat:
                labels.append(a_label(f"c{i:03}", "pass" if passes else "fail", answer_sha256=digest(text)))
    _, cells = corrected(frozen(rows, [PASSES]), labels)
    rate = cells["judge"].corrected
    assert rate is not None
    assert (rate.n, rate.value) == (60, pytest.approx(40 / 60))


def test_pass_rate_is_corrected_among_the_answers_that_rules_pass():
    """A rule fails a fifth of the answers for sure; the judge's errors are taken out of the rest."""
    rng = np.random.default_rng(6)
    people = rng.integers(1, 6, 200).astype(float).tolist()
    judge = [min(5.0, level + (rng.random() < 0.3)) for level in people]
    frame = run_of(judge, rule=True)
    labels = [label for label in labels_of(people) if rng.random() < 0.5]
    summary, cells = corrected(frame, labels)
    both = sum(level >= 4 and i % 5 > 0 for i, level in enumerate(people)) / 200
    rate = cells["pass_rate"].corrected
    assert rate is not None
    assert rate.low <= both <= rate.high
    assert cells["pass_rate"].estimate.value > both
    (check,) = threshold_checks(frame, summary, Threshold(metric="pass_rate", min=0.1))
    assert "corrected by" in check.reason or "not shown" in check.reason


def test_labels_by_others_correct_and_earn_nothing():
    """Authors and programs are shown under their own name."""
    labels = [replace(label, rater_kind="author") for label in labels_of([5.0, 2.0] * 40)]
    found = agreement(run_of([5.0, 2.0] * 40), labels)
    assert {each.trust for each in found} == {"untrusted"}
    _, cells = corrected(run_of([5.0, 2.0] * 40), labels)
    rate = cells["judge.passed"].corrected
    assert rate is not None and rate.value is None
    assert rate.reason == "uncorrected: no labels of these answers by people"
