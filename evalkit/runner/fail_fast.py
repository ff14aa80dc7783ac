"""Stop a run once too many of its cases are certain to fail or to have no result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from evalkit.runner.engine import Stop
from evalkit.suite.model import SuiteOptions
from evalkit.types import FAILED, Row, fails, verdict_of


class FailFast:
    """Counts failed cases, for the flag `--fail-fast`."""

    def __init__(
        self, most: int | None, n_open: int, options: SuiteOptions, advisory: Collection[str], stop: Stop
    ) -> None:
        """Start without a failed case.

        Args:
            most: failed cases after which no new one starts; `None` for any number.
            n_open: rows that have not been run yet.
            options: of the suite.
            advisory: scorers that decide no verdict.
            stop: called once there are enough.
        """
        self.most, self._n_open, self._stop = most, n_open, stop
        self._repeats, self._rule, self._advisory = options.repeat, options.repeat_rule, frozenset(advisory)
        self._not_passed: Counter[str] = Counter()
        """Case digest -> its repeats so far that did not pass."""
        self._failed: set[str] = set()

    def take(self, row: Row) -> None:
        """Count a row, and stop if enough cases have failed, unless it is the last row."""
        if self.most is None:
            return
        self._n_open -= 1
        if verdict_of(row, self._advisory) in FAILED and not row.case.quarantine:
            digest = row.case.digest
            n_bad = self._not_passed[digest] = self._not_passed[digest] + 1
            if fails(max(0, self._repeats - n_bad), n_bad, self._rule):
                self._failed.add(digest)
        enough = f"--fail-fast {self.most}: stopped after so many failed cases; continue with --resume"
        if len(self._failed) >= self.most:
            self._stop(enough)
        if self._n_open == 0 and self._stop.reason == enough:
            self._stop.reason = None  # the last cases were in flight already: nothing was left out
