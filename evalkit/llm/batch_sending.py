"""Send the waiting requests of one judge in batches, and wait until they have ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evalkit.llm.batch_endpoint import BatchEndpoint, BatchRefused
from evalkit.llm.batch_lines import QUEUE_FULL, is_of
from evalkit.llm.batches import BatchDraft, Batches, BatchNote
from evalkit.llm.budget import Budget
from evalkit.text.numbers import plural

if TYPE_CHECKING:
    from evalkit.llm.batch_lines import BatchState

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0
"""Seconds between two looks at a batch; they double from the first to the longest."""
_SLICE_S = 0.25
"""Seconds after which a wait notices that the run stops."""
CLOCKS_S = 3600.0
"""Most seconds by which the clock of an endpoint may be behind."""
MOST_CREATIONS = 3
"""Attempts to create one batch whose reply is lost."""


@dataclass(frozen=True, kw_only=True)
class BatchWatch:
    """What the run tells about itself and hears while it waits."""

    is_stopping: Callable[[], bool]
    """Whether the run stops."""
    stop: Callable[[str], None]
    """Stops the run for a reason."""
    tell: Callable[[str], None]
    """Shows a sentence."""


def beyond_budget(budget: Budget, judges: Sequence[Batches]) -> str:
    """Say why the drafts of all judges are not sent: the budget does not allow them besides the batches under way.

    Args:
        budget: Limit of the cost.
        judges: The requests of each judge.

    Returns:
        Empty if it allows them.
    """
    drafts = [draft for each in judges for draft in each.drafts]
    most_usd = sum(draft.most_usd for draft in drafts)
    left_usd = max(0.0, budget.left_usd - sum(note.most_usd for each in judges for note in each.open_notes()))
    if not drafts or most_usd <= left_usd:
        return ""
    cost = f"up to ${most_usd:.4g}, and ${left_usd:.4g} of the budget is left"
    what = f"a batch of {plural(sum(len(draft.names) for draft in drafts), 'question')} costs {cost}"
    return f"{what}; raise --budget, or lower max_tokens, and continue with --resume"


class BatchSender:
    """Sends and awaits the batches of one judge.

    Args:
        endpoint: Where they are sent.
        batches: The requests and replies.
        watch: The run.
    """

    def __init__(self, endpoint: BatchEndpoint, batches: Batches, watch: BatchWatch) -> None:
        self._endpoint, self.batches, self._watch = endpoint, batches, watch

    async def ask(self) -> None:
        """Send what waits, and return once every batch has ended, or the run stops.

        Raises:
            StoreError: The disk fails.
        """
        try:
            await self._find_created()
            await self._send()
        except BatchRefused as refused:
            if not self._watch.is_stopping():
                self._watch.stop(self._reason(refused))
        await self._wait()

    def _reason(self, refused: BatchRefused) -> str:
        advice = "fix it, and continue" if refused.lasting else "continue"
        return f"the batch endpoint of {self._endpoint.model}: {refused}; {advice} with --resume"

    async def _find_created(self) -> None:
        """Find out which batches were created before an earlier process died; the others are forgotten.

        Raises:
            BatchRefused: It is not known.
        """
        for note in [*self.batches.open_notes()]:
            if note.state == "creating" and not await self._is_found(note):
                self.batches.drop(note.number)

    async def _send(self) -> None:
        """Send the drafts.

        Raises:
            BatchRefused: One was not created.
        """
        for draft in [*self.batches.drafts]:
            if self._watch.is_stopping():
                return
            await self._send_one(draft)

    async def _send_one(self, draft: BatchDraft) -> None:
        requests = self.batches.requests_file(draft.number).read_bytes()
        file = await self._endpoint.upload(requests) if self._endpoint.has_files else ""
        note = self.batches.write(
            BatchNote(draft.number, "creating", len(draft.names), time.time(), file, most_usd=draft.most_usd)
        )
        self.batches.drafts.remove(draft)
        for attempt in range(1, MOST_CREATIONS + 1):
            try:
                state = await self._endpoint.create(requests.splitlines(), file)
            except BatchRefused as refused:
                if not refused.lost:
                    self.batches.drop(draft.number)
                    raise
                if await self._is_found(note):
                    return
                if attempt == MOST_CREATIONS:
                    self.batches.drop(draft.number)
                    raise
            else:
                self._sent(note, state)
                return

    def _sent(self, note: BatchNote, state: BatchState) -> None:
        self.batches.write(replace(note, state="sent", id=state.id, status=state.status))
        asked = plural(note.n_requests, "question")
        told = f"{self._endpoint.model}: {asked} in batch {state.id}, at half the price; waiting for up to a day"
        self._watch.tell(f"{told}. Ctrl-C ends the wait, --resume continues it")

    async def _is_found(self, note: BatchNote) -> bool:
        """Look for a batch that was perhaps created, and note its id.

        Without files, only the results show whose batch it is, so that one as large as ours is awaited first.

        Raises:
            BatchRefused: It cannot be found out, or not before the run stops.
        """
        known = {each.id for each in self.batches.notes.values()}
        found = [each for each in await self._endpoint.since(note.written_at - CLOCKS_S) if each.id not in known]
        if self._endpoint.has_files:
            ours = next((each for each in found if each.input_file == note.file), None)
        else:
            alike = [each for each in found if each.n_requests in (None, note.n_requests)]
            ours = await self._of_ours(alike, self.batches.names_of(note))
        if ours is not None:
            self._sent(note, ours)
        return ours is not None

    async def _of_ours(self, candidates: list[BatchState], names: set[str]) -> BatchState | None:
        for candidate in candidates:
            ended, wait_s = candidate, FIRST_WAIT_S
            while not ended.ended:
                await self._pause(wait_s)
                if self._watch.is_stopping():
                    raise BatchRefused("whether a batch was created is not known yet", lasting=False, lost=True)
                ended, wait_s = await self._endpoint.state(candidate.id), min(2 * wait_s, LONGEST_WAIT_S)
            lines = await self._endpoint.results(ended)
            if any(is_of(line.custom_id, names) for line in lines):
                return ended
        return None

    async def _wait(self) -> None:
        wait_s = FIRST_WAIT_S
        while any(note.state == "sent" for note in self.batches.open_notes()) and not self._watch.is_stopping():
            await self._pause(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            for note in [*self.batches.open_notes()]:
                if note.state == "sent" and not self._watch.is_stopping():
                    await self._look(note)

    async def _look(self, note: BatchNote) -> None:
        """Look at a batch; take its replies if it has ended. An endpoint that does not answer is looked at later."""
        try:
            state = await self._endpoint.state(note.id)
            if not state.ended:
                return
            lines = await self._endpoint.results(state)
        except BatchRefused as refused:
            if refused.lasting:
                self._watch.stop(self._reason(refused))
            return
        if state.status == "failed" and QUEUE_FULL in state.problem:
            self.batches.drop(note.number)
            fix = "continue with --resume when other batches have ended, or choose fewer cases"
            self._watch.stop(f"{self._endpoint.model} rejected batch {note.id}: {state.problem}; {fix}")
            return
        n_replies = self.batches.take(note, state, lines)
        self._watch.tell(f"batch {note.id} {state.status}: {n_replies} of {note.n_requests} answered")

    async def _pause(self, seconds: float) -> None:
        left = seconds
        while left > 0 and not self._watch.is_stopping():
            await self._endpoint.sleep(min(left, _SLICE_S))
            left -= _SLICE_S
