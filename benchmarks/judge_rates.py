"""Measure how often judges earn trust, and how often intervals of kappa and corrected figures hold the truth.

`error_rates.py` runs these parts. If answers are clustered, each question has its own pass rate and its own error rate
of the judge, both Beta with an intra-question correlation of 0.3 ("strong") or 0.08 ("mild"). A run answers each
question once with each system, and all its answers are labelled. Judges err in 10 % of the answers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats as scipy_stats

from evalkit.results import Estimate
from evalkit.stats.agreement import LabelDesign, cohen_kappa, quadratic_kappa, rarer_labels, trust
from evalkit.stats.correction import Graded, corrected_mean, double_sampling

PASS_FAIL = (False, True)
ERRORS = 0.10
SHARES = {"strong": 0.3, "mild": 0.08}
Job = tuple[str, int, int]


def trusted(job: Job) -> dict[str, int]:
    """Count judges that labels make trusted, at a prevalence of 0.85."""
    what, runs, seed = job
    rng = np.random.default_rng(seed)
    kappa, n = TRUST[what]
    p_yes, found = 0.85, {"trusted": 0, "point estimate of at least .6": 0}
    both_yes = p_yes * p_yes + kappa * p_yes * (1 - p_yes)
    cells = [both_yes, p_yes - both_yes, p_yes - both_yes, 1 - 2 * p_yes + both_yes]
    for _ in range(runs):
        counts = rng.multinomial(n, cells)
        people = ["pass"] * (counts[0] + counts[1]) + ["fail"] * (counts[2] + counts[3])
        judge = ["pass"] * counts[0] + ["fail"] * counts[1] + ["pass"] * counts[2] + ["fail"] * counts[3]
        estimate = cohen_kappa(people, judge, categories=("fail", "pass"), confidence_level=0.90)
        rarer = min(int(counts[2] + counts[3]), int(counts[0] + counts[1]))
        found["trusted"] += trust(estimate.low, estimate.value, smallest_class=rarer) == "trusted"
        found["point estimate of at least .6"] += estimate.value is not None and estimate.value >= 0.6
    return found


TRUST = {f"kappa {kappa}, {n} labels": (kappa, n) for kappa in (0.5, 0.7, 0.8) for n in (50, 100, 200)}


def corrected(job: Job) -> dict[str, int]:
    """Count intervals of a corrected pass rate that hold the true one: n = 500, sensitivity 0.90, specificity 0.80."""
    what, runs, seed = job
    rng = np.random.default_rng(seed)
    rate, labels = CORRECTION[what]
    found = {"double sampling": 0, "the judge's own rate, Wilson": 0}
    for _ in range(runs):
        people = rng.random(500) < rate
        judge = np.where(people, rng.random(500) < 0.90, rng.random(500) < 0.20)
        chosen = set(rng.choice(500, labels, replace=False).tolist())
        answers = [
            Graded(float(verdict), i, float(said) if i in chosen else None)
            for i, (verdict, said) in enumerate(zip(judge.tolist(), people.tolist(), strict=True))
        ]
        estimate = double_sampling(answers, rng=np.random.default_rng(0))
        found["double sampling"] += estimate.low is None or estimate.low <= rate <= estimate.high
        low, high = scipy_stats.binomtest(int(judge.sum()), 500).proportion_ci(method="wilson")
        found["the judge's own rate, Wilson"] += low <= rate <= high
    return found


CORRECTION = {f"true {rate}, {n} labels": (rate, n) for rate in (0.85, 0.95) for n in (20, 50, 100)}


def own_rates(rng: np.random.Generator, mean: float, share: float, questions: int, systems: int) -> np.ndarray:
    """Draw a rate for each question, Beta with this mean and intra-question correlation, once for each system."""
    spread = 1 / share - 1
    return np.repeat(rng.beta(mean * spread, (1 - mean) * spread, questions), systems)


def passes(
    rng: np.random.Generator, questions: int, systems: int, share: float, prevalence: float
) -> tuple[list[bool], list[bool], list[int]]:
    """Draw people's label, the judge's grade and the question of each answer."""
    people = rng.random(questions * systems) < own_rates(rng, prevalence, share, questions, systems)
    wrong = rng.random(questions * systems) < own_rates(rng, ERRORS, share, questions, systems)
    return people.tolist(), (people ^ wrong).tolist(), np.repeat(np.arange(questions), systems).tolist()


def kappa_of_passes(prevalence: float) -> float:
    """Return the true kappa: agreement 0.9, and the judge passes 0.9 p + 0.1 (1 - p)."""
    judged = prevalence * (1 - ERRORS) + (1 - prevalence) * ERRORS
    chance = prevalence * judged + (1 - prevalence) * (1 - judged)
    return (1 - ERRORS - chance) / (1 - chance)


def covered(found: dict[str, int], name: str, two_sided: Estimate, one_sided: Estimate, truth: float) -> None:
    """Count an interval that holds the truth, and a one-sided lower bound that does not pass it."""
    found[f"{name}, 95 % interval"] += two_sided.low <= truth <= two_sided.high
    found[f"{name}, lower bound"] += one_sided.low <= truth


def kappa_coverage(job: Job) -> dict[str, int]:
    """Count intervals and one-sided 95 % lower bounds of the kappa of passes that hold the true one."""
    what, runs, seed = job
    rng = np.random.default_rng(seed)
    questions, systems, clustering, prevalence = KAPPA[what]
    truth = kappa_of_passes(prevalence)
    columns = ("by question, 95 % interval", "by question, lower bound")
    found = dict.fromkeys((*columns, "questions ignored, 95 % interval", "questions ignored, lower bound"), 0)
    done = 0
    while done < runs:
        people, judge, owners = passes(rng, questions, systems, SHARES[clustering], prevalence)
        if rarer_labels(people, LabelDesign(clusters=owners)) < 10:
            continue  # not estimable: there is no interval to count
        for name, design in (("by question", LabelDesign(clusters=owners)), ("questions ignored", None)):
            two, one = (
                cohen_kappa(people, judge, categories=PASS_FAIL, design=design, confidence_level=level)
                for level in (0.95, 0.90)
            )
            covered(found, name, two, one, truth)
        done += 1
    return found


KAPPA = {
    f"{questions} x {systems}, {clustering}, prevalence {prevalence}": (questions, systems, clustering, prevalence)
    for clustering, prevalence in (("strong", 0.7), ("strong", 0.85), ("mild", 0.7))
    for questions in (20, 40, 80, 150)
    for systems in (4, 16)
    if questions in (40, 80) or (clustering, prevalence) == ("strong", 0.7)
}


def levels(rng: np.random.Generator, questions: int, systems: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Draw levels 1 to 5 by people and by a judge half a level too kind, with effects of the question on both."""
    n = questions * systems
    ability = np.repeat(rng.normal(0, 0.7, questions), systems) + rng.normal(0, 0.7, n)
    fault = np.repeat(rng.normal(0.5, 0.4, questions), systems) + rng.normal(0, 0.4, n)
    people, judge = np.round(3.3 + ability), np.round(3.3 + ability + fault)
    return np.clip(people, 1, 5), np.clip(judge, 1, 5), np.repeat(np.arange(questions), systems).tolist()


def true_levels() -> tuple[float, float]:
    """Return the quadratic kappa, and people's mean, of two million answers."""
    people, judge, _ = levels(np.random.default_rng(1), 2_000_000, 1)
    apart = ((people - judge) ** 2).mean()
    spread = people.var() + judge.var() + (people.mean() - judge.mean()) ** 2
    return float(1 - apart / spread), float(people.mean())


def levels_coverage(job: Job) -> dict[str, int]:
    """Count the same for the quadratic kappa of levels."""
    what, runs, seed = job
    rng = np.random.default_rng(seed)
    questions, systems = LEVELS[what]
    truth, _ = true_levels()
    columns = ("by question, 95 % interval", "by question, lower bound")
    found = dict.fromkeys((*columns, "questions ignored, 95 % interval", "questions ignored, lower bound"), 0)
    for _ in range(runs):
        people, judge, owners = levels(rng, questions, systems)
        for name, design in (("by question", LabelDesign(clusters=owners)), ("questions ignored", None)):
            two, one = (quadratic_kappa(people, judge, design=design, confidence_level=level) for level in (0.95, 0.90))
            covered(found, name, two, one, truth)
    return found


LEVELS = {f"{questions} x {systems}": (questions, systems) for questions in (40, 80) for systems in (4, 16)}


def corrected_by_question(job: Job) -> dict[str, int]:
    """Count corrected rates and means of 80 questions, some with all answers labelled, that hold the true ones."""
    what, runs, seed = job
    rng = np.random.default_rng(seed)
    systems, labelled = BY_QUESTION[what]
    _, mean = true_levels()
    found = dict.fromkeys(
        ("rate by question", "rate, questions ignored", "mean by question", "mean, questions ignored"), 0
    )
    for _ in range(runs):
        chosen = set(rng.permutation(80)[:labelled].tolist())
        people, judge, owners = passes(rng, 80, systems, SHARES["strong"], 0.7)
        said, graded, _ = levels(rng, 80, systems)
        for place, each in enumerate(("by question", ", questions ignored")):
            own = [range(len(owners)), owners][1 - place]
            answers = [
                [
                    Graded(float(g), c, float(p) if q in chosen else None)
                    for g, c, p, q in zip(x, own, y, owners, strict=True)
                ]
                for x, y in ((judge, people), (graded.tolist(), said.tolist()))
            ]
            glue = " " if place == 0 else ""
            rate = double_sampling(answers[0], rng=np.random.default_rng(0))
            found[f"rate{glue}{each}"] += rate.low is None or rate.low <= 0.7 <= rate.high
            grade = corrected_mean(answers[1])
            found[f"mean{glue}{each}"] += grade.low is None or grade.low <= mean <= grade.high
    return found


BY_QUESTION = {
    f"80 x {systems}, {labelled} questions labelled": (systems, labelled)
    for systems in (4, 16)
    for labelled in (10, 20, 40)
}


def split_raters(job: Job) -> dict[str, int]:
    """Count judges trusted by labels of two raters, if judge and raters guess on one hard answer in four.

    The judge agrees with a rater on .875 of the answers, so kappa is .75; of the answers on which the raters agree, on
    .929, so without the others it would read .857.
    """
    what, runs, seed = job
    rng = np.random.default_rng(seed)
    floor, n = SPLIT[what]
    found = {"all answers kept": 0, "answers without a majority left out": 0}
    for _ in range(runs):
        sure, hard = rng.random(n) < 0.5, rng.random(n) < 0.25
        raters = [np.where(hard, rng.random(n) < 0.5, sure) for _ in range(2)]
        judge = np.where(hard, rng.random(n) < 0.5, sure)
        agreed = raters[0] == raters[1]
        both = np.concatenate(raters).tolist(), np.tile(judge, 2).tolist()
        kept = cohen_kappa(
            *both, categories=PASS_FAIL, design=LabelDesign(answers=list(range(n)) * 2), confidence_level=0.90
        )
        left = cohen_kappa(
            raters[0][agreed].tolist(), judge[agreed].tolist(), categories=PASS_FAIL, confidence_level=0.90
        )
        for name, estimate in zip(found, (kept, left), strict=True):
            found[name] += trust(estimate.low, estimate.value, smallest_class=10, floor=floor) == "trusted"
    return found


SPLIT = {f"true kappa .75, floor {floor}, {n} answers": (floor, n) for floor in (0.75, 0.8) for n in (100, 200, 400)}

PARTS: dict[str, tuple[Callable[[Job], dict[str, int]], tuple[str, ...], int]] = {
    "Trust in a judge": (trusted, tuple(TRUST), 4000),
    "Coverage of the corrected pass rate": (corrected, tuple(CORRECTION), 2000),
    "Coverage of the kappa of passes, answers clustered by question": (kappa_coverage, tuple(KAPPA), 1000),
    "Coverage of the quadratic kappa of levels, answers clustered by question": (levels_coverage, tuple(LEVELS), 2000),
    "Coverage of corrected figures, answers clustered by question": (corrected_by_question, tuple(BY_QUESTION), 400),
    "Trust where raters disagree": (split_raters, tuple(SPLIT), 2000),
}
"""Title -> function, settings, runs of each."""
