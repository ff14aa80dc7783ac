"""Read label files: grades that people, authors or programs gave to single answers."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from evalkit.errors import MAX_PROBLEMS, InputError, Problem, noting
from evalkit.golden.json_lines import Note, read_jsonl
from evalkit.trust.labels import Label
from evalkit.types import Metric

_OPTIONAL = {"rubric_sha256", "inclusion_probability"}
_KEYS = {"case_id", "answer_sha256", "scorer", "label", "rater", "rater_kind", *_OPTIONAL}
MOST_SEARCHED = 5_000
"""Maximum number of ids that are searched for the intended one."""
RATER_KINDS = ("person", "author", "program")
LEAST_CHANCE = 1e-12
"""Smallest probability of a draw: that of one among a trillion answers."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


def read_labels(files: Sequence[Path], shown: Sequence[str], metrics: Iterable[Metric] = ()) -> tuple[Label, ...]:
    """Read every label of the files (JSON Lines). All commands use this reader.

    A row has `case_id`, `answer_sha256` (of the answer's UTF-8 text), `scorer`, `label` (`pass`, `fail` or a number),
    `rater`, `rater_kind` and may have `rubric_sha256` and `inclusion_probability` (the chance with which the answer was
    drawn for labelling; all labels of one scorer and kind of rater have it, or none).

    Args:
        files: label files to read.
        shown: name of each file in messages.
        metrics: metrics that labels may be about. A label off the scale of its metric, or between two levels, is a
            problem; labels of other metrics are read as they are.

    Raises:
        InputError: reports every problem of every file.
    """
    problems: list[Problem] = []
    note = noting(problems)
    labels: list[Label] = []
    seen: dict[tuple[str, str, str, str], str] = {}
    for file, name in zip(files, shown, strict=True):
        for line, raw in read_jsonl(file, name, note):
            place = f"{name}:{line}"
            label = _label(raw, place, note)
            if label is None:
                continue
            first = seen.setdefault((label.case_id, label.answer_sha256, label.metric, label.rater), place)
            if first != place:
                what = f"{label.rater} labels {label.metric} of case {label.case_id!r} again, first at {first}"
                note(Problem(place, what, "keep one of the two"))
            labels.append(label)
    problems += half_drawn(labels, ", ".join(shown))
    problems += scale_problems(labels, metrics)
    if problems:
        raise InputError(problems)
    return tuple(labels)


def label_problems(labels: Iterable[Label], case_ids: Collection[str], metrics: Iterable[Metric]) -> Iterator[Problem]:
    """Return the labels that fit no case or no metric of a suite.

    Args:
        labels: labels of any metric; labels of metrics that are not in the suite may belong to another suite.
        case_ids: every id of the golden set.
        metrics: metrics of the suite's scorers.

    Yields:
        At most 200 problems.
    """
    return itertools.islice(_label_problems(labels, case_ids, metrics), MAX_PROBLEMS)


def _label_problems(labels: Iterable[Label], case_ids: Collection[str], metrics: Iterable[Metric]) -> Iterator[Problem]:
    labels = tuple(labels)
    for label in labels:
        if label.case_id not in case_ids:
            # Searching a million ids takes minutes for one label.
            near = get_close_matches(label.case_id, case_ids, n=1) if len(case_ids) <= MOST_SEARCHED else []
            fix = f"did you mean {near[0]!r}?" if near else "fix the id, or remove the line"
            yield Problem(label.place, f"no case {label.case_id!r} in the golden set", fix)
    yield from scale_problems(labels, metrics)


def scale_problems(labels: Iterable[Label], metrics: Iterable[Metric]) -> Iterator[Problem]:
    """Yield a problem for each label that is not a level of its metric."""
    known = {metric.name: metric for metric in metrics}
    for label in labels:
        metric = known.get(label.metric)
        if metric is not None and isinstance(label.label, float):
            yield from _off_the_scale(label, label.label, metric)


def _off_the_scale(label: Label, value: float, metric: Metric) -> Iterator[Problem]:
    scale = f"{metric.low:g} to {metric.high:g}"
    if metric.binary:
        yield Problem(label.place, f"`label` is {value:g}, and {metric.name} is pass or fail", 'write "pass" or "fail"')
    elif not metric.low <= value <= metric.high:
        fix = 'write a level of that scale, or "pass" or "fail"'
        yield Problem(label.place, f"`label` is {value:g}, outside the scale {scale} of {metric.name}", fix)
    elif metric.judge is not None and metric.high - metric.low > 1 and value != int(value):
        what = f"`label` is {value:g}, between two levels of {metric.name}"
        yield Problem(label.place, what, f"write a whole number from {scale}")


def unknown_metrics(labels: Iterable[Label], metrics: Collection[str]) -> Iterator[Problem]:
    """Yield a warning for each labelled metric that the suite does not have, at its first label."""
    seen = set(metrics)
    for label in labels:
        if label.metric not in seen:
            seen.add(label.metric)
            near = get_close_matches(label.metric, metrics, n=1)
            fix = f"did you mean `{near[0]}`?" if near else "its labels are left out"
            yield Problem(label.place, f"no scorer gives {label.metric!r}", fix)


def half_drawn(labels: Sequence[Label], shown: str) -> Iterator[Problem]:
    """Yield a problem if weighted and unweighted labels are mixed."""
    drawn: dict[tuple[str, str], set[bool]] = {}
    for label in labels:
        drawn.setdefault((label.metric, label.rater_kind), set()).add(label.inclusion_probability is not None)
    for (metric, kind), found in drawn.items():
        if len(found) > 1:
            what = f"some labels of {metric} by a {kind} have `inclusion_probability`, others have none"
            yield Problem(shown, what, "keep those of one draw, or remove the key from all of them")


def _label(raw: dict[str, Any], place: str, note: Note) -> Label | None:
    faults = [*_faults(raw)]
    for what, fix in faults:
        note(Problem(place, what, fix))
    if faults:
        return None
    value = raw["label"]
    return Label(
        case_id=raw["case_id"].strip(),
        answer_sha256=raw["answer_sha256"],
        metric=raw["scorer"],
        label=value if isinstance(value, str) else float(value),
        rater=raw["rater"].strip(),
        rater_kind=raw["rater_kind"],
        rubric_sha256=raw.get("rubric_sha256"),
        inclusion_probability=raw.get("inclusion_probability"),
        place=place,
    )


def _faults(raw: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key in ("case_id", "scorer", "rater"):
        if not isinstance(raw.get(key), str) or not raw[key].strip():
            yield f"`{key}` is missing or not text", f'write "{key}": "..."'
    if not _SHA256.fullmatch(str(raw.get("answer_sha256"))):
        yield "`answer_sha256` is not the SHA-256 of an answer", "write its 64 hex digits"
    if raw.get("rubric_sha256") is not None and not _SHA256.fullmatch(str(raw["rubric_sha256"])):
        yield "`rubric_sha256` is not a SHA-256", "write its 64 hex digits, or remove the key"
    if raw.get("rater_kind") not in RATER_KINDS:
        yield f"`rater_kind` is {raw.get('rater_kind')!r}", f"choose from {', '.join(RATER_KINDS)}"
    value = raw.get("label")
    number = _is_number(value)
    for key in raw.keys() - _KEYS:
        near = get_close_matches(key, _OPTIONAL - raw.keys(), n=1, cutoff=0.85)
        if near:
            yield f"unknown key `{key}`", f"did you mean `{near[0]}`?"
    chance = raw.get("inclusion_probability")
    if chance is not None and not (_is_number(chance) and LEAST_CHANCE <= chance <= 1):
        yield f"`inclusion_probability` is {chance!r}", f"write a number from {LEAST_CHANCE:g} to 1, or remove the key"
    if value not in ("pass", "fail") and not number:
        yield f"`label` is {value!r}", 'write "pass", "fail" or a number on the scale'


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
