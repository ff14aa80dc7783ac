"""Write the tables of variants: robustness, attacks and parity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from evalkit.formats.manifest import Manifest
from evalkit.golden.variants.attacks import prompt_run
from evalkit.golden.variants.original import mark_of
from evalkit.results import Estimate, Summary
from evalkit.results.variants import AttackFigures, ParityFigures, TransformFigures, VariantFigures
from evalkit.store.folder import RunFolder
from evalkit.store.journal import read_rows
from evalkit.text.numbers import UNKNOWN, Style, bounds, difference, estimated, figure, plural
from evalkit.text.printable import one_line

_RATE = Style("rate")
_EXCERPT = 60
"""Characters on each side of what an attack wanted."""
_ROBUSTNESS = ("Originals", "Gap", "95 %", "p", "Consistent", "Repeats", "Worst cohort", "No result")
_ATTACKS = ("Attacks", "Met the goal", "95 %", "Right answers", "No answer", "An answer that leaked")
_PARITY = ("Originals", "Pass rate", "95 %")


@dataclass(frozen=True, slots=True)
class VariantTable:
    """A table of texts."""

    title: str
    note: str
    name: str
    """Head of the first column."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    """Name of the row, and its texts in the order of `columns`."""
    said: str
    """The table in one short sentence."""


def variant_tables(summary: Summary, leaks: Mapping[str, str]) -> tuple[VariantTable, ...]:
    """Return the tables of the variants that were run; empty if there are none.

    Args:
        summary: summary of the run.
        leaks: id of a variant -> part of its answer, for those that the summary names as examples.
    """
    found = summary.variants
    if found is None:
        return ()
    tables = [_robustness(found)] if found.transforms else []
    tables += [_attacks(found.attacks, leaks)] if found.attacks else []
    return (*tables, *map(_parity, found.parity))


def leaked_answers(folder: RunFolder, manifest: Manifest, summary: Summary) -> dict[str, str]:
    """Return the part of an answer around what the attack wanted, by the id of the variant."""
    wanted = {each.example for each in summary.variants.attacks} - {""} if summary.variants is not None else set()
    prompts = {each.name: each.prompt for each in manifest.variants}
    leaks = {}
    for row in read_rows(folder.variant_rows_file) if wanted and folder.variant_rows_file.exists() else ():
        mark = mark_of(row.case)
        if row.case.id in wanted and row.output is not None and mark is not None:
            leaks[row.case.id] = (
                f"called {mark.tool}" if mark.tool else _around(row.output.text, mark.goal, prompts.get(mark.name, ""))
            )
    return leaks


def _around(text: str, goal: str, prompt: str) -> str:
    at = text.casefold().find(goal.casefold())
    span = (at, at + len(goal)) if at >= 0 else prompt_run(prompt, text) or (0, len(goal))
    start, end = max(0, span[0] - _EXCERPT), span[1] + _EXCERPT
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


def _robustness(found: VariantFigures) -> VariantTable:
    whole, *each = found.transforms
    note = (
        "Gap: pass rate of the originals minus that of their variants. Consistent: originals whose variants all have "
        "their verdict; beside it the same share for plain repeats, without which flips cannot be told from effects."
    )
    missing = [f"{name} {sum(why.values()):,} ({', '.join(why)})" for name, why in found.left_out.items()]
    worst = max(each, key=lambda one: one.gap.value if one.gap.value is not None else -1.0)
    told = f"gap {_points(whole.gap)} over {plural(len(each), 'transform')}"
    if len(each) > 1 and worst.gap.value is not None:
        told += f", largest {worst.name} {_points(worst.gap)}"
    return VariantTable(
        title="Variants",
        note=f"{note} Not made: {'; '.join(missing)}." if missing else note,
        name="Transform",
        columns=_ROBUSTNESS,
        rows=tuple((one.name or "all", tuple(_of_transform(one))) for one in found.transforms),
        said=f"{told}; {whole.n_unknown:,} without a result" if whole.n_unknown else told,
    )


def _points(gap: Estimate) -> str:
    return UNKNOWN if gap.value is None else f"{difference(gap.value, _RATE, gap.n)} {bounds(gap, _RATE)}".rstrip()


def _of_transform(found: TransformFigures) -> Iterator[str]:
    gap, repeats = found.gap, found.repeat_consistency
    yield f"{gap.n:,}"
    yield UNKNOWN if gap.value is None else difference(gap.value, _RATE, gap.n)
    yield bounds(gap, _RATE) or "–"
    yield "–" if found.p_value is None else f"{found.p_value:.2g}"
    yield figure(found.consistency.value, _RATE, found.consistency.n)
    yield "flakiness not known" if repeats is None else figure(repeats.value, _RATE, repeats.n)
    worst = found.worst_cohort_gap
    yield "–" if worst is None else f"{found.worst_cohort} {difference(worst, _RATE)}"
    yield f"{found.n_unknown:,}"


def _attacks(found: tuple[AttackFigures, ...], leaks: Mapping[str, str]) -> VariantTable:
    whole, met = found[0], found[0].success
    told = (
        f"{figure(met.value, _RATE, met.n)} of {plural(whole.n, 'attack')} met the goal {bounds(met, _RATE)}".rstrip()
    )
    return VariantTable(
        title="Attacks",
        note=" ".join(_attack_notes(whole)),
        name="Wording",
        columns=_ATTACKS,
        rows=tuple((_name(each), tuple(_of_attack(each, leaks))) for each in found),
        said=f"{told}; {whole.n_unknown:,} without an answer" if whole.n_unknown else told,
    )


def _attack_notes(found: AttackFigures) -> Iterator[str]:
    yield "An attack met its goal if the answer holds the string that it wanted, or calls the tool."
    yield "Right answers: pass rate of the attacked cases by the scorers of their originals."
    if found.n_prompt_unknown:
        answers = plural(found.n_prompt_unknown, "answer")
        yield f"Whether {answers} without the canary hold other parts of the prompt is not known."


def _name(found: AttackFigures) -> str:
    if not found.transform:
        return found.severity or "all"
    return f"{found.transform}: {found.wording}, in the {'question' if found.place == 'input' else 'contexts'}"


def _of_attack(found: AttackFigures, leaks: Mapping[str, str]) -> Iterator[str]:
    yield f"{found.n:,}"
    yield figure(found.success.value, _RATE, found.success.n)
    yield bounds(found.success, _RATE) or "–"
    yield "–" if found.useful is None else figure(found.useful.value, _RATE, found.useful.n)
    yield f"{found.n_unknown:,}"
    leak = leaks.get(found.example, "")
    yield f"{found.example}: {one_line(leak, 4 * _EXCERPT)}" if found.example else "–"


def _parity(found: ParityFigures) -> VariantTable:
    rows = [(value, (f"{each.n:,}", *_rate(each))) for value, each in found.rates.items()]
    rows += [(value, (f"{n:,}", "not seen", "–")) for value, n in found.not_seen.items()]
    told = f"{found.attribute}: {UNKNOWN}, {found.gap.reason}"
    if found.gap.value is not None:
        told = f"{found.attribute}: largest difference {_points(found.gap)}"
        told += f" between {' and '.join(found.between)}" if found.gap.value else ""
    return VariantTable(
        title=f"Parity of {found.attribute}",
        note=f"{told}. Values with fewer than 30 originals are left out. No result: {found.n_unknown:,}.",
        name=found.attribute,
        columns=_PARITY,
        rows=tuple(rows),
        said=told,
    )


def _rate(found: Estimate) -> tuple[str, str]:
    return estimated(found, _RATE).partition(" [")[0], bounds(found, _RATE) or "–"
