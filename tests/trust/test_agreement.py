"""Judges against raters: which labels count, and what they earn."""

import hashlib

import pytest
from aggregate_rows import a_case, a_row, frozen
from sklearn.metrics import cohen_kappa_score

from evalkit.results import Agreement, Estimate
from evalkit.trust.agreement import agreement
from evalkit.trust.labels import Label
from evalkit.trust.raters import Rated, compare
from evalkit.trust.trusted import trust_in
from evalkit.types import Metric

JUDGE = Metric(name="judge", low=1, high=5, judge="local:quality", pass_at=4)
PASSES = Metric(name="judge", binary=True, judge="local:quality")


def a_label(case_id: str, label: str | float, **changes: str) -> Label:
    """Make a label of the answer that `a_row` gives."""
    answer = hashlib.sha256(f"answer to {case_id}".encode()).hexdigest()
    given = {"answer_sha256": answer, "metric": "judge", "rater": "anna", "rater_kind": "person", **changes}
    return Label(case_id=case_id, label=label, **given)  # type: ignore[arg-type]


def judged(values: list[float], metric: Metric = PASSES, cohorts: list[str] | None = None):
    """Freeze rows c000, c001 ... with these opinions of the judge; a graded one passes from 4."""
    rows = []
    for i, value in enumerate(values):
        grade = (value, value == 1 if metric.binary else value >= 4)
        rows.append(a_row(a_case(f"c{i:03}", cohorts={"domain": cohorts[i]} if cohorts else {}), {"judge": grade}))
    return frozen(rows, [metric], ["domain"])


def overall(found: tuple[Agreement, ...], kind: str = "person", *, levels: bool = False) -> Agreement:
    """Find the judge's entry for a kind of rater, about its passes or its levels."""
    who = ("local:quality", kind, "overall", not levels)
    (entry,) = [a for a in found if (a.judge, a.rater_kind, a.cohort, a.of_passes) == who]
    return entry


def test_a_judge_without_labels_is_untrusted():
    """Every judge appears, and says that it has no labels."""
    entry = overall(agreement(judged([1.0, 0.0]), []))
    assert (entry.trust, entry.note, entry.kappa.value) == ("untrusted", "no labels", None)


def test_pass_fail_labels_give_plain_kappa():
    """Kappa, confusion, sensitivity, specificity and prevalence of a hand-made table."""
    # Rater pass: judge passes 40, fails 5. Rater fail: judge passes 3, fails 12.
    judge = [1.0] * 40 + [0.0] * 5 + [1.0] * 3 + [0.0] * 12
    labels = ["pass"] * 45 + ["fail"] * 15
    found = agreement(judged(judge), [a_label(f"c{i:03}", label) for i, label in enumerate(labels)])
    entry = overall(found)
    assert entry.confusion == ((12, 3), (5, 40))
    assert entry.kappa.value == pytest.approx(cohen_kappa_score(labels, ["pass" if j else "fail" for j in judge]))
    assert (entry.sensitivity, entry.specificity) == (pytest.approx(40 / 45), pytest.approx(12 / 15))
    assert (entry.observed, entry.prevalence) == (pytest.approx(52 / 60), pytest.approx(0.75))
    assert (entry.trust, entry.weights) == ("provisional", None)


def test_numbers_give_quadratic_kappa():
    """1-5 labels are weighted by their squared distance, unused levels included."""
    judge = [float(1 + i % 5) for i in range(100)]
    labels = [min(5.0, value + (i % 7 == 0)) for i, value in enumerate(judge)]
    found = agreement(judged(judge, JUDGE), [a_label(f"c{i:03}", label) for i, label in enumerate(labels)])
    entry = overall(found, levels=True)
    assert entry.kappa.value == pytest.approx(cohen_kappa_score(labels, judge, weights="quadratic"))
    assert (entry.weights, entry.trust, entry.categories) == ("quadratic", "trusted", ("1", "2", "3", "4", "5"))


def test_pass_fail_labels_of_a_graded_judge_use_its_pass_mark():
    """A judge of 1-5 with a pass mark is compared with pass/fail labels by what it passes."""
    judge = [5.0] * 30 + [2.0] * 30
    labels = [a_label(f"c{i:03}", "pass" if i < 30 else "fail") for i in range(60)]
    entry = overall(agreement(judged(judge, JUDGE), labels))
    assert (entry.kappa.value, entry.trust) == (1.0, "trusted")


@pytest.mark.parametrize("kind", ["author", "program"])
def test_only_people_earn_trust(kind: str):
    """Perfect agreement with an author or a program is shown under its name and stays untrusted."""
    frame = judged([float(i % 2) for i in range(100)])
    found = agreement(frame, [a_label(f"c{i:03}", "pass" if i % 2 else "fail", rater_kind=kind) for i in range(100)])
    assert overall(found, kind).kappa.value == 1
    assert overall(found, kind).trust == "untrusted"
    assert overall(found).note == "no labels by a person"
    assert trust_in(found, PASSES, passes=True) == "untrusted"


def test_labels_of_other_answers_do_not_count():
    """A stale label, one of an unknown case, and one of an ungraded answer are left out and counted."""
    rows = [*(a_row(f"c{i:03}", {"judge": (1.0, True)}) for i in range(2)), a_row("u", {"judge": None})]
    labels = [
        a_label("c000", "pass"),
        a_label("c001", "pass", answer_sha256="00" * 32),
        a_label("nowhere", "pass"),
        a_label("u", "pass"),
    ]
    entry = overall(agreement(frozen(rows, [PASSES]), labels))
    assert entry.kappa.n == 1
    assert entry.kappa.value is None
    for part in ("(stale, of another answer)", "(of a case outside this run)", "(of an answer that the judge did not"):
        assert f"1 label left out {part}" in entry.note


def test_answers_whose_raters_disagree_are_kept():
    """Each label counts with a share of its answer: 2/3 pass and 1/3 fail of the first, 1/2 and 1/2 of the last."""
    opinions = {"c000": ("pass", "pass", "fail"), "c001": ("fail", "fail"), "c002": ("pass", "fail")}
    labels = [
        a_label(case, opinion, rater=f"r{k}") for case, given in opinions.items() for k, opinion in enumerate(given)
    ]
    entry = overall(agreement(judged([1.0, 0.0, 1.0]), labels))
    assert entry.kappa.n == 3
    assert entry.observed == pytest.approx((2 / 3 + 1 + 1 / 2) / 3)
    assert entry.prevalence == pytest.approx((2 / 3 + 0 + 1 / 2) / 3)
    assert entry.confusion == ((1, 2), (0, 2)), "answers that hold such a label"
    assert "raters disagree on 2 answers: each counts with all its raters" in entry.note


def test_one_class_only_is_undefined_and_not_perfect():
    """Labels and judge that all pass have no kappa, and earn no trust."""
    entry = overall(agreement(judged([1.0] * 50), [a_label(f"c{i:03}", "pass") for i in range(50)]))
    assert entry.kappa.value is None
    assert (entry.trust, entry.observed) == ("untrusted", 1.0)


def test_few_failures_ask_for_labels_and_not_for_a_new_judge():
    """High agreement with a low kappa where nearly all labels pass reads `label more failures`."""
    judge = [1.0] * 95 + [0.0] * 5
    labels = ["pass"] * 93 + ["fail"] * 2 + ["pass"] * 3 + ["fail"] * 2
    entry = overall(agreement(judged(judge), [a_label(f"c{i:03}", label) for i, label in enumerate(labels)]))
    assert entry.note.endswith("label more failures")


def test_a_cohort_with_few_labels_borrows_the_overall_trust():
    """A cohort decides for itself from 40 labels on; below, it says `not verified here`."""
    cohorts = ["big"] * 100 + ["bad"] * 60 + ["small"] * 10
    judge = [float(i % 2) for i in range(170)]
    flip = {i for i in range(100, 160) if i % 4 < 2}
    labels = [a_label(f"c{i:03}", "pass" if (i % 2 == 1) != (i in flip) else "fail") for i in range(170)]
    found = agreement(judged(judge, cohorts=cohorts), labels)
    trusts = {a.cohort: a.trust for a in found}
    assert trusts["domain=big"] == "trusted"
    assert trusts["domain=bad"] == "untrusted"
    assert trusts["domain=small"] == trusts["overall"]
    assert trust_in(found, PASSES, passes=True, cohort="domain=bad") == "untrusted"
    assert trust_in(found, PASSES, passes=True, cohort="domain=unheard") == trusts["overall"]
    (small,) = [a for a in found if a.cohort == "domain=small"]
    assert small.note.startswith("not verified here: 10 labels, 40 are needed")


def test_raters_are_compared_with_each_other():
    """Two people who share ten answers get an entry of their own, which feeds no trust."""
    frame = judged([1.0, 0.0] * 12)
    labels = [
        a_label(f"c{i:03}", "pass" if i % 2 == 0 or (name == "ben" and i == 1) else "fail", rater=name)
        for i in range(24)
        for name in ("anna", "ben")
    ]
    found = agreement(frame, labels)
    (pair,) = [a for a in found if a.judge == "rater anna / ben"]
    assert pair.confusion == ((11, 1), (0, 12))
    assert (pair.rater_kind, pair.trust) == ("person", "untrusted")


def test_a_scale_of_too_many_steps_is_not_estimable():
    """Free numbers are no categories."""
    metric = Metric(name="judge", judge="local:quality")
    frame = frozen([a_row(f"c{i:03}", {"judge": i / 100}) for i in range(50)], [metric])
    entry = overall(agreement(frame, [a_label(f"c{i:03}", i / 100) for i in range(50)]), levels=True)
    assert entry.kappa.value is None
    assert "not estimable" in entry.kappa.reason


def test_rates_are_weighted_back_where_answers_were_not_drawn_alike():
    """Half of the labels from the judge's rare fails: the rates are those of all answers."""
    people, judge, chances = [], [], []
    # Of 900 judge passes 90 are drawn (all right), of 100 judge fails 50 (half of them wrong to fail).
    people += ["pass"] * 90 + ["pass"] * 25 + ["fail"] * 25
    judge += ["pass"] * 90 + ["fail"] * 50
    chances += [0.1] * 90 + [0.5] * 50
    blank = Agreement(metric="m", judge="j", rater_kind="person", cohort="overall", kappa=Estimate(value=None))
    rated = [
        Rated((said,), graded, place, chance)
        for place, (said, graded, chance) in enumerate(zip(people, judge, chances, strict=True))
    ]
    found = compare(blank, rated, None)
    assert found.sensitivity == pytest.approx(900 / 950)
    assert found.specificity == pytest.approx(1.0)
    assert found.observed == pytest.approx(950 / 1000)
    assert found.prevalence == pytest.approx(950 / 1000)
    assert found.confusion == ((25, 0), (25, 90)), "counts stay counts"
