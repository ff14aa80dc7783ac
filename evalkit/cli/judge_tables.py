"""Print the tables of `evalkit judge`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from evalkit.report.judges import counted, needed
from evalkit.results import OVERALL, Agreement, Estimate
from evalkit.text.numbers import Style, estimated, figure, p_value, plural
from evalkit.text.printable import one_line

_RATE, _KAPPA = Style("rate"), Style("number", 2)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from evalkit.operations.calibrate import Drift
    from evalkit.operations.probe_judge import Health
    from evalkit.operations.tournament import TournamentFound
    from evalkit.operations.tune_judge import TunedJudge


def print_health(found: Sequence[Health], console: Console) -> None:
    """Print one table for each judge, with the attacks that succeeded."""
    for each in found:
        console.print(f"{each.metric} · {each.judge} · {each.n_cases} cases", style="bold", soft_wrap=True)
        console.print(_health_table(each))
        for line in _details(each):
            console.print(f"  {line}", soft_wrap=True)
        console.print()


def print_tournament(found: TournamentFound, console: Console) -> None:
    """Print who is preferred to the next one, and what the figures cannot show."""
    from rich.text import Text

    head = f"{plural(found.n_pairs, 'pair')} of answers to {plural(found.n_cases, 'case')} · judge {found.judge}"
    console.print(Text(one_line(head, 200)), style="bold", soft_wrap=True)
    table = _table()
    table.add_column("", justify="right")
    for heading in ("system", "preferred to the next", "to the last"):
        table.add_column(heading)
    shares = {(each.system, each.other): each.share for each in found.preferences}
    for place, name in enumerate(found.systems):
        after = found.systems[place + 1 :]
        cells = [estimated(shares[name, other], _RATE) for other in (after[:1] + after[-1:])]
        table.add_row(str(place + 1), Text(one_line(name, 60)), *(cells or ["", ""]))
    console.print(table)
    console.print(f"  shown first, an equal answer is chosen in {figure(found.position, _RATE)} of the pairs")
    for word, size, names in (("undefeated", "lead", found.undefeated), ("without a win", "gap", found.winless)):
        if names:
            listed = ", ".join(one_line(name, 60) for name in names)
            console.print(Text(f"  {word}, so the size of the {size} is unknown: {listed}"), soft_wrap=True)
    if found.n_missing:
        kinds = ", ".join(f"{kind} {n}" for kind, n in found.missing_kinds.items())
        console.print(f"  {plural(found.n_missing, 'pair')} without a usable reply: {kinds}", soft_wrap=True)
    console.print(f"  {found.trust}", style="dim", soft_wrap=True)


def print_proposal(found: TunedJudge, console: Console) -> None:
    """Print kappa before and after, and what to change, or that nothing is better."""
    from rich.text import Text

    labelled = f"{plural(found.n_labels, 'labelled answer')} to {plural(found.n_questions, 'question')}"
    console.print(Text(one_line(f"{found.metric} · {labelled}", 200)), style="bold", soft_wrap=True)
    console.print(Text(f"  tried: {', '.join(found.versions)}"), soft_wrap=True)
    certain = "" if found.p_value is None else f", {p_value(found.p_value)}"
    for name, kappa, more in (("now", found.before, ""), ("tuned, on held-out answers", found.after, certain)):
        console.print(Text(f"  kappa with people, {name}: {estimated(kappa, _KAPPA)}{more}"), soft_wrap=True)
    if found.n_missing:
        console.print(f"  {plural(found.n_missing, 'answer')} left out: no usable reply", soft_wrap=True)
    if not found.is_better:
        console.print("no version is better than the current one beyond noise; nothing was written", soft_wrap=True)
        return
    if found.rubric:
        console.print(Text(f"written: {one_line(found.rubric, 200)}"), soft_wrap=True)
    if found.examples:
        listed = ", ".join(one_line(each, 60) for each in found.examples)
        console.print(Text(f"  it shows these cases, whose labels no longer count for it: {listed}"), soft_wrap=True)
    console.print(Text(f"next: write `{one_line(found.line, 200)}` at {one_line(found.place, 200)}"), soft_wrap=True)
    console.print("      then run the suite again, and label new answers to calibrate it", soft_wrap=True)


def _health_table(health: Health) -> Table:
    table = _table()
    for heading, justify in (
        ("", "left"),
        ("value", "right"),
        ("95 % interval", "left"),
        ("n", "right"),
        ("right", "right"),
    ):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    rows: tuple[tuple[str, Estimate, str], ...] = (
        ("distinguishes right from wrong answers", health.tells_apart, "1"),
        ("attacks that raise the grade", health.attack_success, "0"),
        ("grade moved by length", health.length_bias, "0"),
        ("agrees with itself at 3 askings", health.self_consistency, "1"),
        ("winner flips with the order", health.order_flips, "0"),
        ("favours the first place", health.position_bias, "0"),
        ("askings without a usable reply", health.failures, "0"),
    )
    for name, estimate, wanted in rows:
        table.add_row(f"  {name}", _number(estimate.value), _interval(estimate), str(estimate.n), wanted)
    return table


def _details(health: Health) -> list[str]:
    lines = []
    if health.broken_by:
        listed = ", ".join(f"{kind} {count}" for kind, count in health.broken_by.items())
        lines.append(f"attacks that succeeded: {listed}")
    if health.refused:
        lines.append(f"{health.refused} replies copied the case and were rejected")
    if health.failure_kinds:
        lines.append("unusable: " + ", ".join(f"{kind} {count}" for kind, count in health.failure_kinds.items()))
    return lines


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def _interval(estimate: Estimate) -> str:
    return "" if estimate.low is None or estimate.high is None else f"[{estimate.low:.2f}, {estimate.high:.2f}]"


def print_calibration(found: Sequence[Agreement], console: Console) -> None:
    """Print the agreement of each judge overall and by cohort, and of raters with each other."""
    for head in found:
        if head.cohort == OVERALL and not head.between_raters:
            console.print(f"{head.figure} ({head.scale}) · {head.judge} · {head.trust}", style="bold", soft_wrap=True)
            for line in _overall_lines(head):
                console.print(f"  {line}", soft_wrap=True)
            own = [each for each in found if _of_one(each, head) and each.cohort != OVERALL]
            if own:
                console.print(_cohort_table(own))
            for each in found:
                if _same_scale(each, head) and each.between_raters:
                    raters = each.judge.removeprefix("rater ")
                    console.print(f"  between raters: {raters}: {_kappa(each.kappa)}, n={each.kappa.n}", soft_wrap=True)
            console.print()


def _of_one(each: Agreement, head: Agreement) -> bool:
    return each.judge == head.judge and _same_scale(each, head)


def _same_scale(each: Agreement, head: Agreement) -> bool:
    return (each.metric, each.rater_kind, each.scale) == (head.metric, head.rater_kind, head.scale)


def _overall_lines(head: Agreement) -> Iterator[str]:
    name = f"{head.weights} weighted kappa" if head.weights else "kappa"
    yield f"{counted(head)}, by raters of kind {head.rater_kind}"
    bound = "unknown" if head.bound is None else f"{head.bound:.2f}"
    yield f"{name} {_kappa(head.kappa)}, lower bound {bound}, floor {head.floor:.2f}"
    for other, estimate in head.other_kappas.items():
        yield f"{other} kappa {_kappa(estimate)}"
    if head.gwet:
        yield f"{head.gwet.method} {_kappa(head.gwet)}"
    rates = {
        "agreement": head.observed,
        "sensitivity": head.sensitivity,
        "specificity": head.specificity,
        "passes among labels": head.prevalence,
    }
    yield " · ".join(f"{what} {_percent(rate)}" for what, rate in rates.items())
    yield from _confusion(head)
    if sentence := needed(head):
        yield sentence
    if head.note:
        yield f"note: {head.note}"


def _confusion(head: Agreement) -> Iterator[str]:
    if not head.categories:
        return
    width = max(6, *(len(name) + 1 for name in head.categories))
    yield "labels in rows, judge in columns:"
    yield " " * width + "".join(name.rjust(width) for name in head.categories)
    for name, row in zip(head.categories, head.confusion, strict=True):
        yield name.rjust(width) + "".join(str(count).rjust(width) for count in row)


def _cohort_table(own: Sequence[Agreement]) -> Table:
    table = _table()
    for heading in ("  cohort", "labels", "kappa", "agreement", "trust"):
        justify: Literal["left", "right"] = "right" if heading in ("labels", "agreement") else "left"
        table.add_column(heading, justify=justify, overflow="fold")
    for each in own:
        trust = "not verified here" if "not verified here" in each.note else each.trust
        table.add_row(f"  {each.cohort}", str(each.kappa.n), _kappa(each.kappa), _percent(each.observed), trust)
    return table


def print_drift(found: Drift, console: Console) -> None:
    """Print the changes between two versions of a judge."""
    changed = f" (the {' and the '.join(found.changed)} changed)" if found.changed else ""
    console.print(f"{found.metric} · {found.n} answers graded by both{changed}", style="bold", soft_wrap=True)
    console.print(f"  mean grade {_plain(found.old_mean)} → {_plain(found.new_mean)}")
    console.print(f"  {found.stricter} answers graded worse than before, {found.milder} better")
    console.print(f"  the same use of grades: p = {_plain(found.verdicts_p, 4)} ({found.test})", soft_wrap=True)
    if found.kappa is None:
        console.print("  agreement with people: no labels of these answers", soft_wrap=True)
    else:
        first, second = _kappa(found.kappa.first), _kappa(found.kappa.second)
        console.print(f"  kappa with people {first} → {second}: p = {_plain(found.kappa_p, 4)}", soft_wrap=True)
    console.print(f"  {_verdict(found)}", style="bold", soft_wrap=True)


def _verdict(found: Drift) -> str:
    if not found.significant():
        return "no drift shown"
    way = "stricter" if found.stricter > found.milder else "milder" if found.milder > found.stricter else "different"
    return f"drifted: the new version is {way}; calibrate it before it decides"


def _table() -> Table:
    from rich.table import Table

    return Table(box=None, pad_edge=False, padding=(0, 2))


def _kappa(estimate: Estimate) -> str:
    if estimate.value is None:
        return "undefined"
    interval = _interval(estimate)
    return f"{estimate.value:.2f} {interval}".rstrip()


def _percent(rate: float | None) -> str:
    return "unknown" if rate is None else f"{rate:.0%}"


def _plain(value: float | None, digits: int = 2) -> str:
    return "unknown" if value is None else f"{value:.{digits}f}"
