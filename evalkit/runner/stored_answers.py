"""Use the stored answers of a run instead of the system, to grade them with the current scorers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from evalkit.errors import InputError, Problem
from evalkit.formats.manifest import Manifest, ScoredRun
from evalkit.runner.variants import stored_rows
from evalkit.store.folder import RunFolder
from evalkit.types import Case, Failure, Output, Row

if TYPE_CHECKING:
    from evalkit.store.row_keys import Key
    from evalkit.suite.model import Suite
    from evalkit.systems.base import Answer, Shared

MISSING = Failure("not_stored", "the stored run holds no answer to this content of the case")


@dataclass(frozen=True)
class StoredAnswers:
    """The stored answers of a run, with the times and costs of that run."""

    rows: Callable[[], Iterable[Row]]
    """Reads the rows with the answers."""
    version: str | None
    """Fingerprint of the system that gave the answers."""
    timeout_s: float = 60.0

    def problems(self, shared: Shared) -> list[Problem]:
        """Return no problem: the folder was already read as a run."""
        return []

    def fingerprint(self, shared: Shared) -> str | None:
        """Return the fingerprint of the system that gave the answers."""
        return self.version

    def open(self, shared: Shared) -> AbstractAsyncContextManager[Answer]:
        """Give the answers, which are read when the first is asked for."""
        return self._open()

    def read(self) -> dict[Key, Output | Failure]:
        """Read all answers; their usage was paid for in the stored run."""
        ended: dict[Key, Output | Failure] = {}
        for row in self.rows():
            found = _paid(row.output) if row.output is not None else row.failure
            if found is not None:
                ended[row.case.digest, row.repeat] = found
        return ended

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Answer]:
        ended: dict[Key, Output | Failure] | None = None

        async def answer(case: Case, repeat: int) -> Output | Failure:
            nonlocal ended
            ended = self.read() if ended is None else ended
            return ended.get((case.digest, repeat), MISSING)

        yield answer


def _paid(output: Output) -> Output:
    """Mark the usage of an answer as paid for in an earlier run."""
    usage, user_usage = (
        None if each is None else replace(each, cached=True) for each in (output.usage, output.user_usage)
    )
    return replace(output, usage=usage, user_usage=user_usage)


def answered_by(suite: Suite, folder: RunFolder) -> Suite:
    """Return the suite with a stored run instead of its system, and with that run's repeats.

    Raises:
        InputError: the folder is not a run, or stopped early, so that most cases may have no answer.
    """
    manifest = folder.manifest()
    if manifest.stopped_early is not None:
        fix = "continue it without `early_stop`: evalkit run SUITE --out RUN --resume"
        raise InputError(Problem(folder.shown, str(manifest.stopped_early), fix))
    return answered_as(suite, manifest, lambda: chain(folder.rows(), stored_rows(folder)))


def answers_of(folder: RunFolder) -> ScoredRun:
    """Return the id of a stored run and the head of its rows, which identify its answers.

    Raises:
        InputError: the folder is not a run.
    """
    return ScoredRun(run_id=folder.manifest().run_id, head=folder.head(None))


def answered_as(suite: Suite, manifest: Manifest, rows: Callable[[], Iterable[Row]]) -> Suite:
    """Return the suite with stored answers instead of its system, and with the repeats of their run.

    Args:
        suite: the suite.
        manifest: the stored run, or one of the same answers.
        rows: reads the rows with the answers.
    """
    system = StoredAnswers(rows, manifest.system.fingerprint)
    options = replace(suite.options, repeat=manifest.repeats)
    policy = replace(suite.policy, repeats=manifest.repeats, escalates=False, asks_again=False)
    return replace(
        suite,
        system=system,
        system_kind=manifest.system.kind,
        options=options,
        policy=policy,
        baseline_system=None,
        led_by=manifest.conversation_key,
    )
