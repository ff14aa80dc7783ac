"""Describe how far each judge can be trusted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from evalkit.results import OVERALL, Agreement, Summary
from evalkit.text.numbers import Style, estimated, figure, plural

KINDS = {"person": "people", "author": "authors", "program": "programs"}
"""Description of the labellers by the rater kind of a label."""


@dataclass(frozen=True, slots=True)
class JudgeLine:
    """Trust in one judge for one figure."""

    name: str
    figure: str
    """The figure that kappa measures, such as `correctness.passed`."""
    scale: str
    """`pass/fail` or `levels`."""
    verdict: str
    """Its trust; for agreement between raters, the purpose of the figure."""
    kappa: str
    gwet: str
    """AC1 or AC2 with its name; empty if there is none."""
    observed: str
    prevalence: str
    sensitivity: str
    specificity: str
    n: int
    labels: str
    """`160 labels of 40 questions`."""
    needed: str
    """A sentence about how the judge could become trusted; empty if unknown."""
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class JudgePanel:
    """Trust, agreement and missing grades of one judge on one metric."""

    metric: str
    judge: str
    overall: tuple[JudgeLine, ...]
    """One line for each figure and kind of rater."""
    cohorts: tuple[JudgeLine, ...]
    raters: tuple[JudgeLine, ...]
    """Agreement between raters, shown beside the judge's."""
    ungraded: str
    """Share of answers without a grade, with the kinds of missing scores."""
    standing: str
    """The judge's trust in one sentence: agreement with people, with other raters, and between raters."""


def judge_line(agreement: Agreement) -> JudgeLine:
    """Describe one agreement."""
    share, n = Style("rate"), agreement.kappa.n
    return JudgeLine(
        name=f"{agreement.judge} on {agreement.figure or agreement.metric}",
        figure=agreement.figure or agreement.metric,
        scale=agreement.scale,
        verdict="between raters" if agreement.between_raters else agreement.trust,
        kappa=estimated(agreement.kappa, Style("number")),
        gwet=f"{agreement.gwet.method} {estimated(agreement.gwet, Style('number'))}" if agreement.gwet else "",
        observed=figure(agreement.observed, share, n),
        prevalence=figure(agreement.prevalence, share, n),
        sensitivity=figure(agreement.sensitivity, share, n),
        specificity=figure(agreement.specificity, share, n),
        n=n,
        labels=counted(agreement),
        needed=needed(agreement),
        agreement=agreement,
    )


def counted(agreement: Agreement) -> str:
    """Count the labels, and the questions if there are fewer of them."""
    labels, questions = plural(agreement.kappa.n, "label"), agreement.questions
    dependent = questions is not None and questions < agreement.kappa.n
    return f"{labels} of {plural(questions or 0, 'question')}" if dependent else labels


def needed(agreement: Agreement) -> str:
    """Return how many more labels, on how many more questions, would make a judge trusted; empty if unknown."""
    if agreement.labels_needed is None:
        return ""
    labels = max(0, agreement.labels_needed - agreement.kappa.n)
    questions = max(0, (agreement.questions_needed or 0) - (agreement.questions or 0))
    if agreement.questions is None or agreement.questions >= agreement.kappa.n:
        return f"about {plural(labels, 'more label')} would make it trusted (4 times in 5)"
    where = f"on {plural(questions, 'more question')}" if questions else "of these questions"
    return f"about {plural(labels, 'more label')} {where} would make it trusted (4 times in 5)"


def judge_panels(summary: Summary, unread: Mapping[str, Mapping[str, int]]) -> tuple[JudgePanel, ...]:
    """Group the agreements by metric, in the order of the summary.

    Args:
        summary: summary with the agreements, and the cells that count missing grades.
        unread: metric -> kind of missing score -> rows.
    """
    judges = {metric.name: metric.judge for metric in summary.metrics}
    names = dict.fromkeys(found.metric for found in summary.agreement)
    return tuple(
        _panel(
            metric,
            judges.get(metric) or next(each.judge for each in summary.agreement if each.metric == metric),
            [judge_line(found) for found in summary.agreement if found.metric == metric],
            _ungraded(summary, metric, unread.get(metric, {})),
        )
        for metric in names
    )


def _panel(metric: str, judge: str, lines: list[JudgeLine], ungraded: str) -> JudgePanel:
    own = [line for line in lines if not line.agreement.between_raters]
    overall = [line for line in own if line.agreement.cohort == OVERALL]
    return JudgePanel(
        metric=metric,
        judge=judge,
        overall=tuple(_people_first(overall)),
        cohorts=tuple(line for line in own if line.agreement.cohort != OVERALL),
        raters=tuple(line for line in lines if line.agreement.between_raters),
        ungraded=ungraded,
        standing="; ".join([*map(_against, _people_first(overall)), *_between_raters(lines)]),
    )


def _people_first(lines: Iterable[JudgeLine]) -> list[JudgeLine]:
    return sorted(lines, key=lambda line: line.agreement.rater_kind != "person")


def _against(line: JudgeLine) -> str:
    """Describe trust, such as `trusted on pass/fail: kappa 0.86 [0.69, 0.94] with 116 labels by people`."""
    kind = line.agreement.rater_kind
    by = KINDS.get(kind, kind)
    if not line.n:
        return f"{line.verdict}: no labels by {by}" if kind == "person" else f"no labels by {by}"
    found = f"kappa {line.kappa} with {line.labels} by {by}"
    return f"{line.verdict} on {line.scale}: {found}" if kind == "person" else f"{found}, on {line.scale}"


def _between_raters(lines: Iterable[JudgeLine]) -> list[str]:
    """Return the agreement between raters, once for each kind of rater: all raters if there are more than two."""
    widest = {(line.agreement.rater_kind, line.scale): line for line in lines if line.agreement.between_raters}
    return [
        f"{line.agreement.judge.removeprefix('rater ')} agree at {line.kappa} (n={line.n}), for comparison"
        + (f" on {line.scale}" if len(widest) > 1 else "")
        for line in _people_first(widest.values())
    ]


def _ungraded(summary: Summary, metric: str, kinds: Mapping[str, int]) -> str:
    """Format `0.4% (2 of 412): judge_error 2`; the cell counts the answers that the judge was asked about."""
    cell = summary.cell(metric)
    asked = cell.n_scored + cell.n_unscored if cell else 0
    if cell is None or not asked:
        return "undefined: the judge was not asked"
    named = ", ".join(f"{kind} {count:,}" for kind, count in sorted(kinds.items()))
    share = figure(cell.n_unscored / asked, Style("rate"), asked)
    return f"{share} ({cell.n_unscored:,} of {asked:,})" + (f": {named}" if named else "")
