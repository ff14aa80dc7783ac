"""Leave out the labels of cases that a judge's rubric shows as examples: the judge has seen the answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from evalkit.scorers.judges.rubric import read_rubric, rubric_path
from evalkit.scorers.judges.rubric_judge import Judge
from evalkit.suite.model import Suite
from evalkit.suite.searched_files import rubrics_of
from evalkit.text.numbers import plural
from evalkit.trust.labels import Label


def example_cases(suite: Suite) -> Mapping[str, frozenset[str]]:
    """Map each judge whose rubric shows examples to the ids of their cases; an unreadable rubric shows none."""
    found = {}
    for entry in suite.scorers:
        if isinstance(entry.options, Judge):
            with contextlib.suppress(ValueError):  # reported where the rubric is bound
                rubric = read_rubric(suite.path.parent, entry.options.rubric, entry.options.scale)
                found[entry.options.name] = frozenset(rubric.examples)
    return {name: ids for name, ids in found.items() if ids}


def examples_by_file(suite: Suite) -> Mapping[Path, frozenset[str]]:
    """Map each rubric file to the ids of the cases that it says it shows; an unreadable one shows none."""
    found = dict[Path, frozenset[str]]()
    for name in rubrics_of(suite.scorers):
        with contextlib.suppress(ValueError):  # reported where the rubric is bound
            if (file := rubric_path(suite.path.parent, name)) is not None:
                found[file] = frozenset(read_rubric(suite.path.parent, name).examples)
    return found


def without_examples(labels: Iterable[Label], shown: Mapping[str, frozenset[str]]) -> tuple[Label, ...]:
    """Return the labels that are not about a case that the judge's rubric shows."""
    return tuple(each for each in labels if each.case_id not in shown.get(each.metric, ()))


def example_notes(suite: Suite) -> tuple[str, ...]:
    """Say whose labels do not count, if the suite names labels."""
    if not suite.label_files:
        return ()
    return tuple(
        f"{name}: labels of {plural(len(ids), 'case')} do not count, because its rubric shows them as examples"
        for name, ids in example_cases(suite).items()
    )
