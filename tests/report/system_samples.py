"""Made-up comparisons of systems, and run folders that hold their answers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import report_samples

from evalkit.aggregate.system_comparison import (
    CohortDifference,
    FactorEffect,
    RankInterval,
    SystemComparison,
    SystemFigures,
)
from evalkit.formats.rows import encode_row
from evalkit.results import Estimate
from evalkit.store.folder import REPORT, ROWS, RunFolder
from evalkit.types import Case, Failure, Metric, Output, Row, Score, Usage

MODELS = ("gpt-5-mini", "gpt-5", "local-8b", "sonnet")
PROMPTS = ("short", "steps", "long")
COHORTS = ("topic=billing", "topic=delivery", "topic=legal", "language=de")
SENTENCE = "gpt-5-mini/steps is as good as today within 2 points and costs 61% less"


def estimate(value: float, half: float, n: int = 500) -> Estimate:
    """A figure with an interval around it."""
    return Estimate(value=value, low=value - half, high=value + half, n=n)


def names_of(k: int) -> list[str]:
    """`today`, then a matrix of models and prompts, then numbered variants."""
    matrix = [f"{model}/{prompt}" for model in MODELS for prompt in PROMPTS]
    return ["today", *matrix, *(f"variant/{number}" for number in range(k))][:k]


def comparison(k: int = 12, *, n: int = 500, seed: int = 1) -> SystemComparison:
    """`k` systems; the second is better, the third worse, one has no rank and one no price."""
    rng = random.Random(seed)
    systems = [_figures(place, name, k, n, rng) for place, name in enumerate(names_of(k))]
    drops = [-0.05, 0.01, 0.06, -0.005]
    cohorts = tuple(
        CohortDifference(
            system=each.name, cohort=cohort, n_cases=n // 4, difference=estimate(drops[(place + at) % 4], 0.03, n // 4)
        )
        for place, each in enumerate(systems[1:])
        for at, cohort in enumerate(COHORTS)
    )
    effects = tuple(
        FactorEffect(factor=factor, level=level, effect=estimate(0.03 - 0.02 * place, 0.015))
        for factor, levels in (("model", MODELS), ("prompt", PROMPTS))
        for place, level in enumerate(levels)
    )
    return SystemComparison(
        suite="support",
        primary="pass_rate",
        higher_is_better=True,
        reference="today",
        release=(systems[1].name,),
        systems=tuple(systems),
        candidates=tuple(each.name for each in systems[1:3]),
        winner_shrunken=0.861,
        cases_to_part=1900,
        false_mark_rate=0.05,
        effects=effects if k >= 12 else (),
        interaction_p=0.41 if k >= 12 else None,
        cohorts=cohorts,
        disagreements=tuple(case_id(number) for number in range(0, n, 7)),
        notes=(f"{systems[3].name} has no rank: 8% errors",) if k > 3 else (),
    )


def _figures(place: int, name: str, k: int, n: int, rng: random.Random) -> SystemFigures:
    value = 0.84 if place == 0 else 0.88 if place == 1 else 0.78 if place == 2 else 0.8 + 0.08 * rng.random()
    errors = n * 8 // 100 if place == 3 else place % 3
    model, _, prompt = name.partition("/")
    cost = None if place == 5 else 0.0004 * 1.5 ** (place % 9)
    return SystemFigures(
        name=name,
        factors={"model": model, "prompt": prompt} if prompt in PROMPTS else {},
        folder=f"systems/{name.replace('/', '-')}",
        n_cases=n,
        n_scored=n - errors,
        n_errors=errors,
        primary=estimate(value, 0.03, n),
        difference=None if place == 0 else estimate(value - 0.84, 0.035, n),
        p_value=None if place == 0 else min(0.9, 0.05 * (0.035 / max(abs(value - 0.84), 1e-9)) ** 2),
        rank=None if place == 3 else RankInterval(best=max(1, place - 1), worst=min(k, place + 2)),
        worst_cohort="topic=legal",
        worst_cohort_value=value - 0.1,
        cost_usd_per_case=cost,
        tokens_per_case=None if cost is None else 400 + 150 * place,
        latency_p50_s=0.4 + 0.1 * place,
        latency_p95_s=1.1 + 0.3 * place,
        frontier="unknown" if cost is None else ("on", "open", "dominated")[place % 3],
        on_frontier=None if cost is None else (0.96, 0.44, 0.03)[place % 3],
        dominated_by="today" if place % 3 == 2 else "",
        outcome="approved" if place == 1 else None,
    )


def case_id(number: int) -> str:
    """The id of a case."""
    return f"c-{number:05d}"


Answer = Callable[[int, int], Row]
"""Makes the row of a system (its place) for a case (its number)."""


def answer(place: int, number: int) -> Row:
    """Most answers pass; every seventh case divides the systems, and one call in forty fails."""
    good = (number + place) % 7 != 0 or place > 3
    case = Case(
        id=case_id(number),
        input=f"Question {number}: how long may I return the parcel that I ordered on the {number % 28 + 1}th?",
        reference=(f"Within {14 + number % 3} days, with the slip that is in the parcel.",),
        cohorts={"topic": ("billing", "delivery", "legal")[number % 3]},
        digest=f"{number:064x}",
    )
    if (number + place) % 40 == 3:
        return Row(case=case, failure=Failure("http_500", "the server answered 500"))
    text = f"You may return it within {14 + number % 3 if good else 30} days. " + "Keep the slip. " * (3 + place)
    usage = Usage(input_tokens=200, output_tokens=60, cost_usd=None if place == 5 else 0.0004 * (1 + place))
    output = Output(text=text, usage=usage, latency_s=0.4 + place / 10)
    reason = "" if good else "says 30 days, the reference does not"
    return Row(case=case, output=output, scores={"exact": Score("exact", float(good), good, reason)})


def write_runs(root: Path, compared: SystemComparison, answers: Answer = answer, n: int | None = None) -> None:
    """Write the run folder of each system, with a report to link to."""
    for place, figures in enumerate(compared.systems):
        folder = RunFolder(root / figures.folder)
        folder.path.mkdir(parents=True)
        metrics = (Metric("exact", binary=True),)
        made = replace(report_samples.manifest(), run_id=figures.name, suite=compared.suite, metrics=metrics)
        folder.write_manifest(made)
        numbers: Sequence[int] = range(figures.n_cases if n is None else n)
        write_rows(folder.path, (answers(place, number) for number in numbers))
        folder.file(REPORT).write_text("<title>own report</title>own report", encoding="utf-8")


def write_rows(folder: Path, rows: Iterable[Row]) -> None:
    """Write the journal of a run folder."""
    with (folder / ROWS).open("wb") as file:
        file.writelines(map(encode_row, rows))


def marks_of(number: int, k: int) -> list[bool | None]:
    """Whether each system passed a case; `None` for a failed call."""
    scores = (answer(place, number).scores.get("exact") for place in range(k))
    return [score.passed if isinstance(score, Score) else None for score in scores]
