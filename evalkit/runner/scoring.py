"""Decide which stored scores are still valid, so that only changed scorers run again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property

from evalkit.formats.manifest import ScoreKeys
from evalkit.runner.grading import Grader, grade_all
from evalkit.types import Case, Row, Unscored


@dataclass(frozen=True)
class Scoring:
    """The current scorers, and the scorers of the stored rows."""

    graders: Sequence[Grader]
    known: Mapping[str, ScoreKeys]
    """Return the scorings that the manifest lists."""

    @cached_property
    def id(self) -> str:
        """Id of the scoring: every scorer, its options, and the cases it applies to."""
        parts = [[dict(each.key), each.when and asdict(each.when), list(_names(each))] for each in self.graders]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]

    def stands(self, row: Row, *, retry: bool = False) -> bool:
        """Return True if a row has grades of all scorers and of no removed one."""
        if row.output is None or (row.scored_by == self.id and not retry):
            return True
        return not self.open_to(row, retry=retry) and set(row.scores) <= self._applied(row)

    def open_to(self, row: Row, *, retry: bool = False) -> list[Grader]:
        """Return the scorers that have yet to grade a stored answer; with `retry`, also those that failed."""
        was = self.known.get(row.scored_by, {})
        return [
            each
            for each in self.graders
            if each.applies(row.case) and any(not self._holds(row, name, was, each, retry) for name in _names(each))
        ]

    def _holds(self, row: Row, name: str, was: Mapping[str, Mapping[str, str]], grader: Grader, retry: bool) -> bool:
        grade = row.scores.get(name)
        if grade is None or (retry and isinstance(grade, Unscored)):
            return False
        return was.get(name) == grader.key

    def _applied(self, row: Row) -> set[str]:
        return {name for each in self.graders if each.applies(row.case) for name in _names(each)}

    def graded_again(self, stored: Callable[[str, int], Row], *, retry: bool) -> Callable[[Case, int], Awaitable[Row]]:
        """Build the row of a stored answer: keep valid grades, and compute the others again.

        Args:
            stored: function that finds the row of a digest and a repeat.
            retry: whether to ask again for missing grades.
        """

        async def make_row(case: Case, repeat: int) -> Row:
            row = stored(case.digest, repeat)
            assert row.output is not None  # noqa: S101 - rows without an answer stand
            given = {**row.scores, **await grade_all(self.open_to(row, retry=retry))(row.case, row.output, repeat)}
            kept = self._applied(row)
            return replace(row, scores={name: given[name] for name in given if name in kept}, scored_by=self.id)

        return make_row


def _names(grader: Grader) -> Iterator[str]:
    return (metric.name for metric in grader.scorer.metrics)
