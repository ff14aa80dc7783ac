"""Draw answers for blind labelling, and import the labels."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evalkit.errors import InputError, Problem, noting
from evalkit.formats.labelled_text import labelled_text, shown_text
from evalkit.formats.turns import has_several_turns
from evalkit.golden.json_lines import read_jsonl
from evalkit.operations.calibrate import Judged
from evalkit.report.label_page import Item, Queue
from evalkit.scorers.judges.prompt import goal_of, states_of
from evalkit.scorers.judges.rubric import Rubric, read_rubric
from evalkit.scorers.judges.transcript import Line, as_json, transcript_of
from evalkit.store.stored_run import suite_file_of
from evalkit.suite.parse import load_suite
from evalkit.text.values import one_line
from evalkit.trust.agreement import answer_of, labelled_rows, rows_by_answer
from evalkit.trust.label_files import half_drawn, read_labels
from evalkit.trust.labels import Label
from evalkit.trust.next_labels import Draw, next_labels
from evalkit.trust.paired_labels import paired_labels
from evalkit.types import Case, Metric, Output, Row

PASS_FAIL = ("fail", "pass")


def draw_queue(judged: Judged, scorer: str, n: int, *, by: str | None, seed: int) -> Queue:
    """Draw the most informative answers: balanced over the judge's verdicts, spread over a cohort, shuffled.

    Args:
        judged: the run, with its existing labels.
        scorer: the judge's metric.
        n: answers to draw; those with a label are left out.
        by: cohort to spread over, the first of the suite if it is `None`.
        seed: seed of the draw and the order.

    Raises:
        InputError: There is no such cohort, or no unlabelled answer.
    """
    by = _cohort(judged, by)
    metric = next(each for each in judged.judges if each.name == scorer)
    rng = np.random.default_rng(seed)
    known = labelled_rows(judged.frame, judged.labels, scorer)
    drawn = next_labels(judged.frame, metric, n, labelled=known, by=by, rng=rng)
    if not drawn:
        raise InputError(Problem(str(judged.stored.folder.path), f"no answer without a label of {scorer}", "run again"))
    rubric = rubric_of(judged, scorer)
    parts = rubric.parts if rubric else frozenset[str]()
    return _queue(judged, metric, rubric, _items(judged, drawn, parts), rng, seed)


def draw_both(judged: Judged, earlier: Judged, scorer: str, n: int, *, by: str | None, seed: int) -> Queue:
    """Draw cases at random, and the answers of both runs to them, shuffled; the page does not say which run is which.

    Args:
        judged: the later run, with its existing labels.
        earlier: the run that it is compared with.
        scorer: the judge's metric.
        n: cases to draw; cases with a label of one run alone come first.
        by: cohort to spread over, the first of the suite if it is `None`.
        seed: seed of the draw and the order.

    Raises:
        InputError: There is no such cohort, the judges had different rubrics, existing labels were not drawn, or no
            case is left.
    """
    by = _cohort(judged, by)
    _same_rubric(judged, earlier, scorer)
    rng = np.random.default_rng(seed)
    known = [each for each in judged.labels if each.metric == scorer and each.rater_kind == "person"]
    if place := next((each.place for each in known if each.inclusion_probability is None), None):
        what = "a label without `inclusion_probability`, so nothing is known of how its answer was chosen"
        raise InputError(Problem(place, what, "name files of drawn labels with --labels, or an empty one"))
    drawn = paired_labels(judged.frame, earlier.frame, scorer, n, labels=known, by=by, rng=rng)
    rubric = rubric_of(judged, scorer)
    parts = rubric.parts if rubric else frozenset[str]()
    items = [*_items(judged, drawn.candidate, parts), *_items(earlier, drawn.baseline, parts)]
    if not items:
        what = f"no case is left whose answers to {scorer} have no label"
        raise InputError(Problem(str(judged.stored.folder.path), what, "the labels of all cases are there"))
    metric = next(each for each in judged.judges if each.name == scorer)
    return _queue(judged, metric, rubric, items, rng, seed)


def _queue(
    judged: Judged, metric: Metric, rubric: Rubric | None, items: Sequence[Item], rng: np.random.Generator, seed: int
) -> Queue:
    """Return what the page shows, with its items in a random order."""
    return Queue(
        run_id=judged.stored.run_id,
        scorer=metric.name,
        rubric=rubric.system_text() if rubric else "",
        rubric_sha256=rubric.sha256 if rubric else None,
        labels=scale_of(metric),
        seed=seed,
        items=tuple(items[at] for at in rng.permutation(len(items))),
    )


def _same_rubric(judged: Judged, earlier: Judged, scorer: str) -> None:
    keys = [each.stored.score_keys[scorer].get("rubric") for each in (judged, earlier)]
    if keys[0] != keys[1]:
        what = f"{scorer} was graded by another rubric there, so labels of one would not fit the other"
        fix = "score the stored answers again with `evalkit score BASELINE --suite SUITE --out NEW`"
        raise InputError(Problem(str(earlier.stored.folder.path), what, fix))


def _cohort(judged: Judged, by: str | None) -> str | None:
    """Return the cohort to spread over, by default the first."""
    cohorts = judged.stored.manifest.cohorts
    if by is not None and by not in cohorts:
        raise InputError(Problem("--by", f"no cohort {by!r} in this run", f"choose from {', '.join(cohorts)}"))
    return by or next(iter(cohorts), None)


def _items(judged: Judged, drawn: Sequence[Draw], parts: frozenset[str]) -> list[Item]:
    """Return what a rater sees of the drawn answers, in the order of case id and repeat."""
    chances = {(each.case_id, each.repeat): each.inclusion_probability for each in drawn}
    rows = sorted(judged.stored.folder.rows(), key=lambda each: (each.case.id, each.repeat))
    return [_item(row, chances.pop(key), parts) for row in rows if (key := (row.case.id, row.repeat)) in chances]


def scale_of(metric: Metric) -> tuple[str, ...]:
    """Return the labels that a rater chooses from: whole levels if the judge grades by them, else fail and pass.

    Raises:
        InputError: Neither kind of label would fit the judge's grades.
    """
    span = metric.high - metric.low
    if not metric.binary and metric.low == int(metric.low) and span == int(span) and 1 < span < 10:
        return tuple(str(level) for level in range(int(metric.low), int(metric.high) + 1))
    if metric.binary or metric.pass_at is not None:
        return PASS_FAIL
    what = f"{metric.name} is graded from {metric.low:g} to {metric.high:g} without a pass mark: nothing to choose from"
    raise InputError(Problem("--metric", what, "give the scorer a pass mark, or a scale of up to ten whole levels"))


def answer_sha256(text: str) -> str:
    """Return the SHA-256 that binds a label to its answer."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _item(row: Row, chance: float, parts: frozenset[str] = frozenset()) -> Item:
    """Return what a rater sees of an answer.

    Args:
        row: the row of the answer.
        chance: probability with which it was drawn.
        parts: the parts of a case that the judge's rubric names.
    """
    if row.output is None:
        raise ValueError(f"row {row.case.id} has a grade and no answer")
    return Item(
        case_id=row.case.id,
        answer_sha256=answer_sha256(labelled_text(row.case, row.output)),
        inclusion_probability=chance,
        input=row.case.question,
        conversation=_conversation(row.case, row.output, parts),
        parts=_parts(row.case, row.output, parts),
        reference=tuple(row.case.reference),
        contexts=tuple(row.output.contexts or row.case.contexts),
        answer=shown_text(row.output),
    )


def _conversation(case: Case, output: Output, parts: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """Return (who, what) of each line in a conversation, or in a chat before the answer; empty for a plain question.

    One turn is a conversation if the judge sees it as one, because its tool calls are then part of what is graded.
    """
    whole = has_several_turns(case, output) or bool(parts & {"conversation", "tools"})
    if not whole and isinstance(case.input, str):
        return ()
    lines = transcript_of(case, output).lines
    lines = lines if whole else lines[:-1]
    return tuple((" ".join(filter(None, (line.role, line.record.get("name")))), _said(line)) for line in lines)


def _parts(case: Case, output: Output, parts: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """Return (title, text) of goal and state if the rubric names them."""
    known = {"goal": goal_of(case), "state": states_of(case, output)}
    return tuple((name.capitalize(), text) for name, text in known.items() if name in parts)


def _said(line: Line) -> str:
    """Return the text of a line; a tool call has each fact on a line of its own."""
    facts = {key: value for key, value in line.record.items() if key != "name"}
    return line.text or "\n".join(f"{key}: {as_json(value)}" for key, value in facts.items() if key != "text")


def rubric_of(judged: Judged, scorer: str) -> Rubric | None:
    """Return the rubric that the run was judged by, if the suite still has it."""
    suite_file = suite_file_of(judged.stored)
    if suite_file is None:
        return None
    suite = load_suite(suite_file)
    named = [entry.options for entry in suite.scorers if getattr(entry.options, "name", None) == scorer]
    if not named or not hasattr(named[0], "rubric"):
        return None
    rubric = read_rubric(suite.path.parent, named[0].rubric, getattr(named[0], "scale", None))
    used = judged.stored.score_keys[scorer].get("rubric")
    if used != rubric.sha256[: len(used or "")]:
        what = f"its rubric {one_line(named[0].rubric)} is not the one that this run was judged by"
        raise InputError(Problem(str(suite_file), what, "run the suite again, or take the rubric back"))
    return rubric


@dataclass(frozen=True)
class Taken:
    """The result of an import into a label file."""

    added: int
    known: int
    """Number of labels that the file already had."""


def take_labels(judged: Judged, export: Path, into: Path, earlier: Judged | None = None) -> Taken:
    """Add exported labels to a label file, all of them or none; concurrent imports wait.

    Args:
        judged: the run whose answers were labelled.
        export: JSON Lines as the labelling page writes them.
        into: label file; created if it does not exist.
        earlier: the other run whose answers were labelled, if there is one.

    Raises:
        InputError: A label is invalid, belongs to another answer or rubric, is off the scale, or contradicts an
            existing one.
    """
    if not export.is_file():
        raise InputError(Problem(str(export), "no such file", "name an export of the labelling page"))
    if into.exists() and not into.is_file():
        raise InputError(Problem(str(into), "not a regular file", "name a .jsonl file with --into"))
    if into.suffix == ".gz":
        raise InputError(Problem(str(into), "a packed file cannot be added to", "name a plain .jsonl with --into"))
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        with _alone_in(into.parent):
            added, known = _checked(judged, export, into, earlier)
            torn = into.is_file() and into.stat().st_size and not _ends_line(into)
            with into.open("ab") as file:
                file.write((b"\n" if torn else b"") + "".join(f"{line}\n" for line in added).encode())
    except OSError as error:
        what = f"cannot be written ({error.strerror})"
        raise InputError(Problem(str(into), what, "name another with --into")) from None
    return Taken(len(added), known)


def of_one_run(judged: Judged, other: Judged | None) -> Judged:
    """Return a run without the labels of the other run's answers, which say nothing of its judge."""
    if other is None:
        return judged
    own, others = (rows_by_answer(each.frame) for each in (judged, other))
    kept = tuple(each for each in judged.labels if answer_of(each) in own or answer_of(each) not in others)
    return replace(judged, labels=kept)


def _ends_line(file: Path) -> bool:
    with file.open("rb") as content:
        content.seek(-1, os.SEEK_END)
        return content.read(1) == b"\n"


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other import adds to a file of this folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _checked(judged: Judged, export: Path, into: Path, earlier: Judged | None) -> tuple[list[str], int]:
    """Return the lines to add, and the number of labels already present."""
    problems: list[Problem] = []
    metrics = judged.frame.metrics
    new = read_labels([export], [str(export)], metrics)
    if not new:
        raise InputError(Problem(f"{export}:1", "no label in it", "export the labels from the page again"))
    old = read_labels([into], [str(into)], metrics) if into.is_file() else ()
    rows = [raw for _, raw in read_jsonl(export, str(export), noting(problems))]
    there = {_key(label): label.label for label in old}
    answers = {
        (row.case.id, answer_sha256(labelled_text(row.case, row.output)))
        for run in filter(None, (judged, earlier))
        for row in run.stored.folder.rows()
        if row.output
    }
    fresh = [(label, raw) for label, raw in zip(new, rows, strict=True) if _key(label) not in there]
    for label in new:
        problems += [Problem(label.place, *found) for found in _stale(judged, label, answers)]
        said = there.get(_key(label), label.label)
        if said != label.label:
            what = f"{label.rater} labelled this answer {said!r} before"
            problems.append(Problem(label.place, what, f"keep one of the two, in {into}"))
    problems += half_drawn([*old, *(label for label, _ in fresh)], str(into))
    if problems:
        raise InputError(dict.fromkeys(problems))
    return [json.dumps(raw, sort_keys=True) for _, raw in fresh], len(new) - len(fresh)


def _stale(judged: Judged, label: Label, answers: Collection[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the reasons why a label belongs to another run, with their fix."""
    names = [each.name for each in judged.judges]
    if label.metric not in names:
        fix = f"choose the run that was labelled; its judges: {', '.join(names)}"
        yield f"no judge {label.metric!r} graded this run", fix
        return
    if (label.case_id, label.answer_sha256) not in answers:
        what = f"stale: this run has no such answer to case {label.case_id!r}"
        yield what, "draw its answers with `evalkit labels sample`; for those of two runs, name both: --both BASELINE"
    rubric = judged.stored.score_keys[label.metric].get("rubric")
    if rubric and label.rubric_sha256 and label.rubric_sha256[: len(rubric)] != rubric:
        yield "stale: labelled by another rubric than this run was judged by", "label again by the rubric of this run"


def _key(label: Label) -> tuple[str, str, str, str]:
    return label.case_id, label.answer_sha256, label.metric, label.rater
