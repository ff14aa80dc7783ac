"""Answers for people to label: a blind queue is drawn from a run, and what comes back is taken or refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evalkit.aggregate.agreement import Label, labelled_rows
from evalkit.aggregate.next_labels import next_labels
from evalkit.calibrate import Judged
from evalkit.errors import InputError, Problem
from evalkit.golden.labels import read_labels
from evalkit.golden.lines import read_jsonl
from evalkit.report.label_page import Item, Queue
from evalkit.stored import suite_file_of
from evalkit.suite.parse import load_suite
from evalkit.types import Message, Metric, Row

PASS_FAIL = ("fail", "pass")


def draw_queue(judged: Judged, scorer: str, n: int, *, by: str | None, seed: int) -> Queue:
    """Draw the answers that teach most about a judge: balanced over its verdicts, spread over a cohort, shuffled.

    Args:
        judged: the run, with the labels that there are.
        scorer: the judge's metric.
        n: answers to draw; those with a label are left out.
        by: cohort to spread over, the first of the suite where it is `None`.
        seed: of the draw and the order.

    Raises:
        InputError: There is no such cohort, or no answer left to label.
    """
    cohorts = judged.stored.manifest["cohorts"]
    if by is not None and by not in cohorts:
        raise InputError(Problem("--by", f"no cohort {by!r} in this run", f"choose from {', '.join(cohorts)}"))
    metric = next(each for each in judged.judges if each.name == scorer)
    rng = np.random.default_rng(seed)
    known = labelled_rows(judged.frame, judged.labels, scorer)
    drawn = next_labels(judged.frame, metric, n, labelled=known, by=by or next(iter(cohorts), None), rng=rng)
    if not drawn:
        raise InputError(Problem(str(judged.stored.folder.path), f"no answer without a label of {scorer}", "run again"))
    chances = {(each.case_id, each.repeat): each.inclusion_probability for each in drawn}
    rows = sorted(judged.stored.folder.rows(), key=lambda each: (each.case.id, each.repeat))
    found = [_item(row, chances.pop(key)) for row in rows if (key := (row.case.id, row.repeat)) in chances]
    rubric, rubric_sha256 = _rubric(judged, scorer)
    return Queue(
        run_id=judged.stored.run_id,
        scorer=scorer,
        rubric=rubric,
        rubric_sha256=rubric_sha256,
        labels=scale_of(metric),
        seed=seed,
        items=tuple(found[place] for place in rng.permutation(len(found))),
    )


def scale_of(metric: Metric) -> tuple[str, ...]:
    """The labels that a rater chooses from: whole levels where the judge grades by them, else fail and pass."""
    span = metric.high - metric.low
    if metric.binary or span != int(span) or not 1 < span < 10:
        return PASS_FAIL
    return tuple(str(level) for level in range(int(metric.low), int(metric.high) + 1))


def answer_sha256(text: str) -> str:
    """Digest by which a label is bound to the answer that was read."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _item(row: Row, chance: float) -> Item:
    if row.output is None:
        raise ValueError(f"row {row.case.id} has a grade and no answer")
    return Item(
        case_id=row.case.id,
        answer_sha256=answer_sha256(row.output.text),
        inclusion_probability=chance,
        input=_conversation(row.case.input),
        reference=tuple(row.case.reference),
        contexts=tuple(row.output.contexts or row.case.contexts),
        answer=row.output.text,
    )


def _conversation(asked: str | tuple[Message, ...]) -> str:
    if isinstance(asked, str):
        return asked
    return "\n\n".join(f"{message.role}: {message.content}" for message in asked)


def _rubric(judged: Judged, scorer: str) -> tuple[str, str | None]:
    """Text and digest of the rubric that the run was judged by, where the suite still has it."""
    from evalkit.scorers.judges.rubric import read_rubric

    suite_file = suite_file_of(judged.stored)
    if suite_file is None:
        return "", None
    suite = load_suite(suite_file)
    named = [entry.options for entry in suite.scorers if getattr(entry.options, "name", None) == scorer]
    if not named or not hasattr(named[0], "rubric"):
        return "", None
    rubric = read_rubric(suite.path.parent, named[0].rubric)
    used = judged.stored.score_keys[scorer].get("rubric")
    if used != rubric.sha256[: len(used or "")]:
        what = f"its rubric {named[0].rubric} is not the one that this run was judged by"
        raise InputError(Problem(str(suite_file), what, "run the suite again, or take the rubric back"))
    return rubric.system_text(), rubric.sha256


@dataclass(frozen=True)
class Taken:
    """What an export added to a label file."""

    added: int
    known: int
    """Labels that the file had already."""


def take_labels(judged: Judged, export: Path, into: Path) -> Taken:
    """Add exported labels to a label file, all of them or none.

    Args:
        judged: the run whose answers were labelled.
        export: JSON Lines as the labelling page writes them.
        into: label file; made where it is not there.

    Raises:
        InputError: A label is broken, of another answer or rubric, off the scale, or contradicts one that is there.
    """
    problems: list[Problem] = []
    if not export.is_file():
        raise InputError(Problem(str(export), "no such file", "name what the labelling page exported"))
    new = read_labels([export], [str(export)])
    rows = list(read_jsonl(export, str(export), problems.append))
    there = {_key(label): label.label for label in (read_labels([into], [str(into)]) if into.is_file() else ())}
    answers = {(row.case.id, answer_sha256(row.output.text)) for row in judged.stored.folder.rows() if row.output}
    added: list[str] = []
    for label, (line, raw) in zip(new, rows, strict=True):
        found = _stale(judged, label, answers)
        if not found and there.get(_key(label), label.label) != label.label:
            found = (
                f"{label.rater} labelled this answer {there[_key(label)]!r} before",
                f"keep one of the two, in {into}",
            )
        if found:
            problems.append(Problem(f"{export}:{line}", *found))
        elif _key(label) not in there:
            added.append(json.dumps(raw, ensure_ascii=False, sort_keys=True))
    if problems:
        raise InputError(problems)
    _append(into, added)
    return Taken(len(added), len(new) - len(added))


def _stale(judged: Judged, label: Label, answers: Collection[tuple[str, str]]) -> tuple[str, str] | None:
    """What is wrong with a label beside the run, and how to mend it."""
    metric = next((each for each in judged.judges if each.name == label.metric), None)
    if metric is None:
        names = ", ".join(each.name for each in judged.judges)
        return f"no judge {label.metric!r} graded this run", f"choose the run that was labelled; its judges: {names}"
    if (label.case_id, label.answer_sha256) not in answers:
        what = f"stale: this run has no such answer to case {label.case_id!r}"
        return what, "label the answers of this run: draw them with `evalkit labels sample`"
    rubric = judged.stored.score_keys[label.metric].get("rubric")
    if rubric and label.rubric_sha256 and label.rubric_sha256[: len(rubric)] != rubric:
        return "stale: labelled by another rubric than this run was judged by", "label again by the rubric of this run"
    if isinstance(label.label, float) and not metric.low <= label.label <= metric.high:
        scale = f"{metric.low:g} to {metric.high:g}"
        return f"`label` is {label.label:g}, outside the scale {scale} of {metric.name}", "write a level of that scale"
    return None


def _key(label: Label) -> tuple[str, str, str, str]:
    return label.case_id, label.answer_sha256, label.metric, label.rater


def _append(into: Path, lines: Sequence[str]) -> None:
    try:
        before = into.read_text(encoding="utf-8") if into.is_file() else ""
        into.parent.mkdir(parents=True, exist_ok=True)
        partial = into.with_name(into.name + ".partial")
        gap = "" if not before or before.endswith("\n") else "\n"
        partial.write_text(before + gap + "".join(f"{line}\n" for line in lines), encoding="utf-8")
        partial.replace(into)
    except OSError as error:
        raise InputError(
            Problem(str(into), f"cannot be written ({error.strerror})", "name another with --into")
        ) from None
