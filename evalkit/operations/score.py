"""Use the stored answers of a run instead of the system, to grade them with the current scorers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from evalkit.errors import InputError, Problem
from evalkit.formats.manifest import ScoredRun
from evalkit.runner.variants import stored_rows
from evalkit.store.folder import RunFolder
from evalkit.types import Case, Failure, Output

if TYPE_CHECKING:
    from evalkit.suite.model import Suite
    from evalkit.systems.base import Answer, Shared

MISSING = Failure("not_stored", "the stored run holds no answer to this content of the case")


@dataclass(frozen=True)
class StoredAnswers:
    """The stored answers of a run, with the times and costs of that run."""

    folder: RunFolder
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
        """Read the answers."""
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Answer]:
        ended: dict[tuple[str, int], Output | Failure] = {}
        for row in chain(self.folder.rows(), stored_rows(self.folder)):
            found = _paid(row.output) if row.output is not None else row.failure
            if found is not None:
                ended[row.case.digest, row.repeat] = found

        async def answer(case: Case, repeat: int) -> Output | Failure:
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
    system = StoredAnswers(folder, manifest.system.fingerprint)
    options = replace(suite.options, repeat=manifest.repeats)
    policy = replace(suite.policy, repeats=manifest.repeats, escalates=False, asks_again=False)
    kind = manifest.system.kind
    return replace(
        suite,
        system=system,
        system_kind=kind,
        options=options,
        policy=policy,
        baseline_system=None,
        led_by=manifest.conversation_key,
    )


def answers_of(folder: RunFolder) -> ScoredRun:
    """Return the id of a stored run and the head of its rows, which identify its answers.

    Raises:
        InputError: the folder is not a run.
    """
    return ScoredRun(run_id=folder.manifest().run_id, head=folder.head(None))
