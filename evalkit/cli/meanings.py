"""Ask a judge which answers mean the same, and print the result: `evalkit noise --meaning`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from evalkit.cli.progress import counted
from evalkit.operations.meaning import measure_meanings, plan_meanings, refuse_missing_judge, suite_of_run
from evalkit.text.escaping import visible
from evalkit.text.numbers import Style, estimated, figure, plural
from evalkit.text.printable import one_line

if TYPE_CHECKING:
    from evalkit.operations.meaning import Meanings, Unmeasured
    from evalkit.store.folder import RunFolder

SHOWN_CASES, SHOWN_MEANINGS, SHOWN_IDS, SHOWN_CHARS = 5, 4, 5, 66


def ask_meanings(folder: RunFolder, suite_file: Path | None) -> Meanings:
    """Print what the judge will be asked, ask it, and show the progress.

    Args:
        folder: folder of the run.
        suite_file: suite that names the judge; `None` for the suite of the run.
    """
    file = suite_file or suite_of_run(folder)
    refuse_missing_judge(file, os.environ)
    plan = plan_meanings(folder, file)
    price = "price unknown" if plan.at_most_usd is None else f"at most about {figure(plan.at_most_usd, Style('usd'))}"
    typer.echo(
        f"asks the judge {visible(plan.judge.model)} about {plural(plan.n_pairs, 'pair')} of answers: "
        f"at most {plural(plan.n_questions, 'question')}, {price}; repairs of replies come on top",
        err=True,
    )
    found = asyncio.run(measure_meanings(plan, os.environ, progress=counted("pairs of answers compared")))
    for note in found.notes:
        typer.echo(visible(note), err=True)
    return found


def print_meanings(found: Meanings) -> None:
    """Print the semantic entropy of a run, and the cases where it is highest."""
    typer.echo()
    for line in _lines_of(found):
        typer.echo(line)


def _lines_of(found: Meanings) -> Iterator[str]:
    """Yield what the console shows of semantic entropy."""
    n_cases = len(found.cases) + len(found.unmeasured)
    value = estimated(found.entropy, Style("number"))
    yield f"semantic entropy {value}, measured for {len(found.cases)} of {plural(n_cases, 'case')}"
    yield "  0 if all answers of a case mean the same, 1 if each means something else"
    if found.cases:
        yield f"  {found.n_several} of {plural(len(found.cases), 'case')} answered with more than one meaning"
    yield f"  judge {visible(found.judge)}: {found.trust}"
    for kind, cases in _unmeasured(found).items():
        yield f"  not measured, {kind}: {_listed([each.case_id for each in cases])}"
        yield f"    {one_line(cases[0].message, SHOWN_CHARS)}"
    fewer = [one for one in found.cases if one.n_missing]
    if fewer:
        counts = [f"{one.case_id}: {one.n_answers} of {one.n_answers + one.n_missing}" for one in fewer]
        yield f"  measured on fewer answers: {_listed(counts)}"
    for case in [one for one in found.cases if len(one.meanings) > 1][:SHOWN_CASES]:
        yield f"  {case.entropy:.2f}  {one_line(case.case_id, SHOWN_CHARS)}"
        for each in case.meanings[:SHOWN_MEANINGS]:
            yield f"    {each.n} x  {one_line(each.wordings[0], SHOWN_CHARS) or '(empty)'}"
        if len(case.meanings) > SHOWN_MEANINGS:
            yield f"    and {plural(len(case.meanings) - SHOWN_MEANINGS, 'further meaning')}"


def _unmeasured(found: Meanings) -> dict[str, list[Unmeasured]]:
    kinds: dict[str, list[Unmeasured]] = {}
    for each in found.unmeasured:
        kinds.setdefault(each.kind, []).append(each)
    return kinds


def _listed(ids: Sequence[str]) -> str:
    """Write the number of cases, and the first of them."""
    first = ", ".join(one_line(each, SHOWN_CHARS) for each in ids[:SHOWN_IDS])
    return f"{plural(len(ids), 'case')} ({first}{', ...' if len(ids) > SHOWN_IDS else ''})"
