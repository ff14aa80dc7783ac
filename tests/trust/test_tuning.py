"""Nested cross-validation of judges: who sees which answer, and that noise is not taken for a gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from aggregate_rows import a_case, a_row, frozen
from sklearn.metrics import cohen_kappa_score
from test_agreement import JUDGE, a_label

from evalkit.trust.tuning import CURRENT, JudgedAnswer, Places, Verdict, labelled_answers, plan_of, tuned


def answers_of(n_questions: int, seed: int, systems: int = 2) -> tuple[JudgedAnswer, ...]:
    """Answers of several systems to each question, which people pass at random."""
    said = np.random.default_rng(seed).random(n_questions * systems) < 0.6
    return tuple(
        JudgedAnswer(f"c{i:03}", 0, i // systems, 3.0, ("pass" if passed else "fail",), None)
        for i, passed in enumerate(said.tolist())
    )


def noisy(answers: Sequence[JudgedAnswer], seed: int, right: float) -> list[str]:
    """Verdicts that agree with people in a share of the answers."""
    agree = np.random.default_rng(seed).random(len(answers)) < right
    return [
        each.people[0] if same else {"pass": "fail", "fail": "pass"}[each.people[0]]
        for each, same in zip(answers, agree, strict=True)
    ]


class Judges:
    """Fixed verdicts of each version, with a record of what was asked."""

    def __init__(self, said: dict[str, Sequence[Verdict]]) -> None:
        self.said = said
        self.asked: list[tuple[str, Places, Places]] = []

    def __call__(self, version: str, train: Places, test: Places) -> list[Verdict]:
        """Note the call, and answer it."""
        self.asked.append((version, train, test))
        return [self.said[version][at] for at in test]


def test_no_question_is_learned_from_and_graded() -> None:
    """In every split, and between a choice and the answers on which it is measured."""
    answers = answers_of(50, seed=1)
    plan = plan_of(answers, seed=0)
    questions = {at: each.question for at, each in enumerate(answers)}
    for split in plan.splits:
        assert not {questions[at] for at in split.train} & {questions[at] for at in split.test}
    assert sorted(at for outer in plan.outer for at in outer.test) == list(range(100))
    for outer in plan.outer:
        inner = {at for split in outer.inner for at in (*split.train, *split.test)}
        assert inner == set(outer.train)
    assert plan == plan_of(answers, seed=0)
    assert plan != plan_of(answers, seed=1)


def test_versions_are_only_asked_about_answers_that_they_did_not_learn_from() -> None:
    """Every call has disjoint sides; only the current judge grades everything."""
    answers = answers_of(40, seed=2)
    judges = Judges({CURRENT: noisy(answers, 1, 0.7), "other": noisy(answers, 2, 0.9)})
    tuned(answers, ["other"], plan_of(answers, 0), judges, seed=0)
    assert all(not set(train) & set(test) for _, train, test in judges.asked)
    assert {version for version, train, _ in judges.asked if not train} == {CURRENT}


def test_a_better_version_is_chosen_with_its_held_out_kappa() -> None:
    """Before and after are kappas of scikit-learn on all answers, because one version wins on every split."""
    answers = answers_of(100, seed=3)
    said = {CURRENT: noisy(answers, 1, 0.7), "good": noisy(answers, 2, 0.95)}
    found = tuned(answers, ["good"], plan_of(answers, 0), Judges(said), seed=0)
    people = [each.people[0] for each in answers]
    assert found.before.value == pytest.approx(cohen_kappa_score(people, said[CURRENT]))
    assert found.after.value == pytest.approx(cohen_kappa_score(people, said["good"]))
    assert (found.chosen, found.is_better, found.n_missing) == ("good", True, 0)
    assert found.after.low is not None


def test_the_best_of_many_equal_versions_is_no_gain() -> None:
    """Of 30 versions as good as the current one, the best looks better; held out, it is so in few of 20 trials."""
    better = 0
    for seed in range(20):
        answers = answers_of(60, seed=seed)
        said = {f"v{k}": noisy(answers, 1000 * seed + k, 0.8) for k in range(30)}
        said[CURRENT] = noisy(answers, 1000 * seed + 99, 0.8)
        better += tuned(answers, [f"v{k}" for k in range(30)], plan_of(answers, 0), Judges(said), seed=0).is_better
    assert better <= 3


def test_a_version_without_a_reply_is_not_chosen() -> None:
    """One missing verdict makes its kappa unknown, so it is never the best."""
    answers = answers_of(60, seed=4)
    said: dict[str, Sequence[Verdict]] = {CURRENT: noisy(answers, 1, 0.7), "mute": [None] * 120}
    found = tuned(answers, ["mute"], plan_of(answers, 0), Judges(said), seed=0)
    assert (found.chosen, found.n_missing, found.is_better) == (CURRENT, 0, False)


def test_only_labels_by_people_of_graded_answers_count() -> None:
    """Levels are read by the current pass mark; labels by programs and of other answers are left out."""
    rows = [
        a_row(a_case(f"c{i:03}", cluster=f"q{i // 2}"), {"judge": (float(1 + i % 5), i % 5 > 2)}) for i in range(10)
    ]
    labels = [a_label("c000", "pass"), a_label("c001", 4.0), a_label("c001", "fail", rater="ben"), a_label("c002", 3.0)]
    labels += [a_label("c003", "pass", rater_kind="program"), replace(a_label("c004", "pass"), answer_sha256="0" * 64)]
    found = labelled_answers(frozen(rows, [JUDGE]), JUDGE, labels)
    assert [(each.case_id, each.level, each.people) for each in found] == [
        ("c000", 1.0, ("pass",)),
        ("c001", 2.0, ("fail", "pass")),
        ("c002", 3.0, ("fail",)),
    ]
    assert found[0].question == found[1].question != found[2].question
