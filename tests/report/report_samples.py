"""A hand-made run of a compliance assistant: forty cases with every state, hostile texts, a baseline and a gate."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from evalkit.formats.manifest import GoldenFacts, Manifest, SystemFacts
from evalkit.results import Agreement, Cell, Check, Comparison, Decision, Estimate, Summary
from evalkit.trust.labels import Label
from evalkit.types import Case, Failure, Message, Metric, Output, Row, Score, Unscored, Usage

HOSTILE = "</script><img src=x onerror=alert(1)>|`@team` ![x](http://evil.test/p.png) <!-- {{7*7}} \u202egnp\u2028\x00"
METRICS = (
    Metric("keywords", pass_at=0.7),
    Metric("citation", binary=True),
    Metric("similarity"),
    Metric("correctness", low=1, high=5, judge="local-correctness"),
)
DOMAINS = {
    "aml": (
        "When must a suspicious transaction be reported?",
        "Report it to the financial intelligence unit without delay, before the transaction is carried out (Art. 33).",
        "It should be reported within thirty days of the transaction.",
    ),
    "privacy": (
        "May we keep the recording of a customer call for training?",
        "Only with a legal basis: consent or a documented legitimate interest, and a deletion date (Art. 6).",
        "Yes, recordings may be kept for training as long as they are stored safely.",
    ),
    "consumer": (
        "How long may a consumer withdraw from a distance contract?",
        "Fourteen days from the conclusion of the contract, or from receipt of the terms if later (Art. 6).",
        "A consumer may withdraw within seven days.",
    ),
    "markets": (
        "What must an investment firm tell a retail client about costs?",
        "All costs and charges, aggregated, before the service and once a year afterwards (Art. 24).",
        "The firm tells the client the largest cost on request.",
    ),
}
LANGUAGES = ("en", "de", "fr")


def case(number: int) -> Case:
    """The case at `number`, 0 to 39."""
    domain = [*DOMAINS][number % 4]
    question, reference, _ = DOMAINS[domain]
    kinds = ("golden", "golden", "golden", "adversarial", "golden", "canary", "regression", "golden")
    chat = (Message("system", "Answer with the article."), Message("user", question))
    return Case(
        id=f"{domain}-{number:04d}" if number != 39 else f"markets-{HOSTILE}",
        input=chat if number % 10 == 7 else f"{question} (file {number})",
        reference=(reference,),
        contexts=(f"Article text {number}: {reference}", HOSTILE) if number % 3 == 0 else (reference,),
        kind=kinds[number % 8],
        severity=("low", "medium", "high", "critical")[(number // 4) % 4],
        cohorts={"domain": domain, "language": LANGUAGES[number % 3]},
        digest=f"{number:064x}",
    )


def row(number: int, *, baseline: bool = False) -> Row:
    """The candidate's or the baseline's row of a case."""
    this = case(number)
    if not baseline and number == 11:
        return Row(case=this, failure=Failure("timeout", f"no answer within 30 s {HOSTILE}"))
    if not baseline and number == 22:
        return Row(case=this, failure=Failure("http_500", "the server answered 500"))
    if not baseline and number == 33:
        return Row(case=this, skipped="disabled in the golden set")
    domain = this.cohorts["domain"]
    bad = domain == "aml" and number % 8 == 0 if not baseline else number == 8
    _, good_text, bad_text = DOMAINS[domain]
    text = HOSTILE if number == 39 else bad_text if bad or number == 13 else good_text
    output = Output(
        text=text,
        usage=Usage(input_tokens=210 + number, output_tokens=40, cost_usd=0.0031, model="demo"),
        latency_s=0.4 + 0.05 * (number % 9),
        replayed=baseline,
    )
    return Row(case=this, output=output, scores=scores(number, bad=bad or number == 13))


def scores(number: int, *, bad: bool) -> dict[str, Score | Unscored]:
    """Grades of one answer; number 17 has no judge and number 38 no similarity."""
    given: list[Score | Unscored] = [
        Score("keywords", 0.25 if bad else 0.9, not bad, "found 1 of 4: unit" if bad else "found 4 of 4"),
        Score("citation", 0.0 if bad else 1.0, not bad, "no article is named" if bad else "Art. 33"),
        Score("similarity", 0.41 if bad else 0.86 + 0.002 * number),
        Score(
            "correctness",
            2 if bad else 4 + number % 2,
            not bad,
            "The deadline contradicts the reference." if bad else "Agrees with the reference.",
            details={"reply": '{"score": 2, "why": "deadline"}' if bad else '{"score": 5}'},
        ),
    ]
    if number == 39:
        given[3] = Score("correctness", 1, False, HOSTILE, details={"reply": HOSTILE, "odd": float("nan")})
    if number in (17, 38):
        given[3] = Unscored("correctness", "judge_error", f"the reply had no score: {HOSTILE}")
    return {grade.metric: grade for grade in given}


def candidate_rows() -> list[Row]:
    """Forty rows of the candidate."""
    return [row(number) for number in range(40)]


def baseline_rows() -> list[Row]:
    """The baseline: without the last case, with one that was removed since."""
    gone = replace(case(4), id="aml-old", digest="f" * 64)
    return [*(row(number, baseline=True) for number in range(39)), replace(row(4, baseline=True), case=gone)]


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Rows as a run folder gives them."""
    return sorted(rows, key=lambda each: (each.case.id, each.repeat))


def stored_rows() -> list[Row]:
    """The candidate's rows as the report reads them."""
    return in_order(candidate_rows())


def stored_baseline_rows() -> list[Row]:
    """The baseline's rows as the report reads them."""
    return in_order(baseline_rows())


def estimate(
    value: float | None, low: float | None = None, high: float | None = None, n: int = 37, **more: Any
) -> Estimate:
    """An estimate by position."""
    return Estimate(value=value, low=low, high=high, n=n, **more)


def cells() -> tuple[Cell, ...]:
    """Metrics by cohort, with an undefined one."""
    table = {
        "overall": (0.811, 0.86, 4.1, 37),
        "domain=aml": (0.5, 0.61, 3.1, 10),
        "domain=privacy": (0.9, 0.88, 4.3, 10),
        "domain=consumer": (1.0, 0.91, 4.5, 8),
        "domain=markets": (0.89, 0.9, 4.4, 9),
        "language=en": (0.85, 0.87, 4.2, 13),
        "language=de": (0.77, 0.84, 4.0, 12),
        f"language={HOSTILE[:24]}": (None, 0.84, 4.0, 12),
    }
    found: list[Cell] = []
    for cohort, (rate, similarity, correctness, n) in table.items():
        found.append(_cell("pass_rate", cohort, rate, 0.12, n))
        found.append(_cell("keywords", cohort, rate, 0.12, n))
        found.append(_cell("citation", cohort, rate, 0.12, n))
        found.append(_cell("similarity", cohort, similarity, 0.04, n))
        found.append(_cell("correctness", cohort, correctness, 0.3, n - 1, unscored=1))
        found.append(_cell("latency_p95_s", cohort, 0.79, 0.05, n))
        found.append(_cell("cost_per_case_usd", cohort, 0.0031, 0.0002, n))
    return tuple(found)


def _cell(metric: str, cohort: str, value: float | None, half: float, n: int, *, unscored: int = 0) -> Cell:
    if value is None:
        figure = estimate(None, n=0, reason="no case has a label")
    else:
        top = 5.0 if value > 1 else 1.0
        figure = estimate(value, max(0.0, value - half), min(top, value + half), n)
    return Cell(metric=metric, cohort=cohort, estimate=figure, n_cases=n + unscored, n_scored=n, n_unscored=unscored)


def agreement() -> tuple[Agreement, ...]:
    """A trusted judge, and one whose labels hold one class."""
    return (
        Agreement(
            metric="correctness",
            judge="local-correctness",
            rater_kind="person",
            cohort="overall",
            kappa=estimate(0.78, 0.66, 0.88, 120),
            observed=0.9,
            prevalence=0.62,
            sensitivity=0.93,
            specificity=0.85,
            confusion=((39, 7), (5, 69)),
            categories=("fail", "pass"),
            trust="trusted",
        ),
        Agreement(
            metric="correctness",
            judge="local-correctness",
            rater_kind="author",
            cohort="domain=aml",
            kappa=estimate(None, n=12, reason="every label is a pass"),
            trust="untrusted",
            note="12 labels, all of one class",
        ),
    )


def summary() -> Summary:
    """What the run adds up to."""
    return Summary(
        suite="compliance",
        n_cases=40,
        n_repeats=1,
        expected=40,
        states={"scored": 35, "unscored": 2, "system_error": 2, "skipped": 1},
        metrics=METRICS,
        cells=cells(),
        coverage={"overall": (35, 40), "domain=aml": (10, 10), "domain=privacy": (8, 10), "domain=consumer": (8, 10)},
        agreement=agreement(),
        unscored_kinds={"judge_error": 2},
        error_kinds={"timeout": 1, "http_500": 1},
        notes=("The reference of 3 cases was written by the author of the system.", HOSTILE),
    )


def checks() -> tuple[Check, ...]:
    """One check of every outcome."""
    return (
        Check(
            name="canary", metric="canary", cohort="overall", outcome="pass", need="2 of 3", observed=estimate(5, n=5)
        ),
        Check(
            name="pass_rate",
            metric="pass_rate",
            cohort="domain=aml",
            outcome="block",
            need=">= 0.85",
            observed=estimate(0.5, 0.24, 0.76, 10),
            baseline=0.9,
            drop=estimate(0.4, 0.18, 0.61, 10),
            p_value=0.002,
            smallest_drop=0.21,
            reason="the whole interval is below 85%",
            case_ids=("aml-0016", "aml-0032", "aml-0000", "aml-0024"),
        ),
        Check(
            name="pass_rate",
            metric="pass_rate",
            cohort="domain=privacy",
            outcome="insufficient evidence",
            need=">= 0.85",
            observed=estimate(0.9, 0.6, 0.98, 10),
            reason="10 cases: the interval holds 85%",
        ),
        Check(
            name="pass_rate",
            metric="pass_rate",
            cohort="domain=consumer",
            outcome="pass",
            need=">= 0.85",
            observed=estimate(1.0, 0.88, 1.0, 8),
            baseline=0.97,
            drop=estimate(-0.03, -0.1, 0.04, 8),
        ),
        Check(
            name="cost_per_case_usd",
            metric="cost_per_case_usd",
            cohort="overall",
            outcome="warn",
            need="<= 0.003",
            observed=estimate(0.0031, 0.0030, 0.0033, 37),
            baseline=0.0029,
            reason="above the limit",
        ),
        Check(
            name="latency_p95_s",
            metric="latency_p95_s",
            cohort="overall",
            outcome="pass",
            need="<= 3",
            observed=estimate(0.79, 0.75, 0.84, 37),
        ),
        Check(
            name="agreement",
            metric="correctness",
            cohort="overall",
            outcome="no decision",
            need="kappa >= 0.6",
            observed=estimate(None, n=12, reason="every label is a pass"),
            reason="the judge is not trusted here",
        ),
    )


def decision() -> Decision:
    """Blocked, with a comparison."""
    return Decision(
        outcome="blocked",
        checks=checks(),
        reasons=("pass_rate of domain=aml fell below 0.85", "cost_per_case_usd is above 0.003"),
        comparison=Comparison(
            baseline_id="main@9f2c1ab",
            n_paired=38,
            overlap=0.95,
            added=(case(39).id,),
            removed=("aml-old",),
            new_failures=("aml-0000", "aml-0016", "aml-0024", "aml-0032"),
            fixed=(),
            still_failing=("aml-0008", "privacy-0013"),
            incomparable={"similarity": "version"},
        ),
    )


def labels() -> tuple[Label, ...]:
    """A person reads three answers, and an author one; the fourth label is of another answer."""
    said = ((0, "fail", "person"), (1, "pass", "person"), (13, "pass", "person"), (2, "pass", "author"))
    found = [_label(row(number), label, kind) for number, label, kind in said]
    return (*found, replace(found[0], case_id=case(3).id))


def _label(of: Row, label: str, kind: Any) -> Label:
    text = of.output.text if of.output else ""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Label(of.case.id, digest, "correctness", label, "rater-1", rater_kind=kind)


def manifest() -> Manifest:
    """The manifest of the run."""
    return Manifest(
        run_id="2026-07-03T10-22-41Z-7c1e",
        suite="compliance",
        suite_file="suites/compliance/suite.yaml",
        started_at="2026-07-03T10:22:41+00:00",
        finished_at="2026-07-03T10:24:45+00:00",
        wall_s=124.0,
        golden=GoldenFacts(path="golden_sets/compliance/cases.jsonl", sha256="ab" * 32, n_cases=40),
        system=SystemFacts(kind="python", fingerprint="cd" * 16, version="2.4.0"),
        metrics=(),
        advisory=(),
        score_keys={},
        cohorts=(),
        seed=7,
        repeats=1,
        expected=40,
        versions={"evalkit": "0.1.0", "python": "3.11.9"},
        partial=None,
        notices=(),
        command="evalkit run suites/compliance/suite.yaml",
    )
