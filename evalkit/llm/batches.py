"""Keep the requests of one judge that wait for a batch, and the replies that came.

The folder holds for each batch `NNNN.json`, a note of its state, and `NNNN.requests.jsonl`, until its replies are in
`replies.sqlite`. A batch is noted before it is created. If the process dies before its id is noted, the next process
looks for it at the endpoint: by its input file, or by the names of its requests, which only its results show.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from evalkit.disk.json_files import read_json, to_json
from evalkit.disk.paths import shown_path
from evalkit.disk.writing import drafted
from evalkit.errors import InputError, Problem, StoreError
from evalkit.formats.completion import error_text
from evalkit.formats.shapes import Faults, read
from evalkit.llm.batch_lines import MOST_BYTES, MOST_REQUESTS, BatchLine, BatchState, forms_in, names_in, request_line
from evalkit.llm.cache_key import KEY_VARIABLE
from evalkit.llm.errors import Deferred
from evalkit.llm.prices import BATCH_SHARE
from evalkit.net.request_fields import REFUSING_STATUSES
from evalkit.net.retry import LOST_REPLY, TURNED_AWAY, ExchangeFailed, StatusReply

if TYPE_CHECKING:
    from evalkit.llm.cache import ReplyCache

BATCH_TRIES = 2
"""Batches in which a request is sent, if it failed for a reason that may pass, before its question has no reply."""
_NAME_HEX = 24
_LASTING = (REFUSING_STATUSES | frozenset(range(400, 500))) - TURNED_AWAY - LOST_REPLY


@dataclass(frozen=True)
class BatchedReply:
    """A reply as the endpoint wrote it.

    Attributes:
        body: JSON, as of a direct call.
        share: Share of the price of a direct call, 0 to 1.
        is_new: Whether this process uses the reply for the first time.
        is_shared: Whether another question with the same words has paid for it.
    """

    body: bytes
    share: float
    is_new: bool
    is_shared: bool = False


@dataclass(frozen=True)
class BatchNote:
    """What is known about a batch, as written to its file.

    Attributes:
        number: Number of the batch in its folder.
        state: `creating` until its id is known, `sent`, or `ended` once its replies are stored.
        n_requests: Number of its requests.
        written_at: Seconds since 1970 at which the note was first written.
        file: Id of the uploaded requests; empty if the endpoint has no such files.
        id: Id of the batch at its endpoint; empty until it is known.
        status: The endpoint's last word about it.
        most_usd: Cost if every reply is as long as it may be.
    """

    number: int
    state: Literal["creating", "sent", "ended"]
    n_requests: int
    written_at: float
    file: str = ""
    id: str = ""
    status: str = ""
    most_usd: float = 0.0


@dataclass
class BatchDraft:
    """The requests of a batch that has not been sent."""

    number: int
    names: list[str] = field(default_factory=list)
    size: int = 0
    most_usd: float = 0.0
    """Cost if every reply is as long as it may be; 0 where the price is unknown."""


class Batches:
    """The requests of one judge in one run.

    Args:
        folder: Where they are kept; created if necessary.
        replies: The stored replies, open.
        scope: The run and the endpoint; replies of others are not used.
        dialect: The wire format.
        most_usd: Returns the highest cost of a request in a batch, `None` if its price is unknown.
        again: Ask once more what failed in an earlier process, or had a reply that gave no grade.

    Raises:
        InputError: A note cannot be read, or the replies belong to another endpoint or signing key.
        StoreError: The disk fails.
    """

    def __init__(
        self,
        folder: Path,
        replies: ReplyCache,
        *,
        scope: str,
        dialect: Literal["openai", "anthropic"],
        most_usd: Callable[[Mapping[str, Any]], float | None],
        again: bool = False,
    ) -> None:
        self._folder, self._replies, self._scope = folder, replies, scope
        self._dialect, self._most_usd, self._again = dialect, most_usd, again
        self._used: set[str] = set()
        self._used_by_row: set[str] = set()
        self._failures: dict[str, int] = {}
        """Form of a question -> its failures when this process met it first."""
        self._versions: dict[str, str] = {}
        """Name of a question -> name of its reply that counts in this process."""
        self._waiting: set[str] = set()
        self.drafts: list[BatchDraft] = []
        self.is_closed = False
        """Whether no more requests are taken, because the run has waited for too many batches."""
        self._batch_id = secrets.token_hex(4)
        self.notes = {note.number: note for note in self._read_notes()}
        self._begin()
        for note in self.open_notes():
            self._waiting |= self.names_of(note)
        for file in folder.glob("*.requests.jsonl"):
            if int(file.name[:4]) not in self.notes:  # never sent: what is still wanted is written again
                file.unlink(missing_ok=True)

    def _begin(self) -> None:
        """Make sure that the replies of earlier batches can be read, so that none is paid for twice."""
        begun = self._key("begun", "")
        if self.notes and self._replies.get(begun) is None:
            what = "its batches are of another endpoint, or their replies were signed with another key"
            fix = f"set the judge and {KEY_VARIABLE} as they were, or start the run again in another folder"
            raise InputError(Problem(shown_path(self._folder), what, fix))
        self._put(begun, {"begun": True})
        self._replies.flush()

    def find(self, question: str, payload: Mapping[str, Any]) -> BatchedReply | None:
        """Return the reply to a question, `None` if it is to be asked.

        A reply counts for every form of the question, since what is known of the endpoint changes during a run.

        Args:
            question: Text that names the question, in whatever form it is asked.
            payload: Body of the request, in the endpoint's format.

        Raises:
            Deferred: The question is in a batch that has not ended.
            ExchangeFailed: The endpoint refused the request, or failed to answer it in two batches.
        """
        name = self._name(question)
        version = self._version(name)
        reply = self._replies.get(self._key("reply", version))
        if reply is not None:
            is_shared = name in self._used_by_row or self._replies.get(self._key("paid", version)) is not None
            is_new = name not in self._used and not is_shared
            self._used.add(name)
            self._used_by_row.add(name)
            return BatchedReply(json.dumps(reply["body"]).encode(), reply["share"], is_new, is_shared)
        if name in self._waiting:
            raise Deferred
        form = self._form(name, payload)
        last, count = self._failed(form)
        first = self._failures.setdefault(form, count if self._again else 0)
        if last is None or count == first:
            return None
        if last["status"] in _LASTING:
            refusal = StatusReply(last["status"], last["said"].encode(), None)
            raise ExchangeFailed(last["kind"], last["said"], refusal=refusal)
        if count - first >= BATCH_TRIES:
            raise ExchangeFailed(last["kind"], f"{_message(last['said'])} (in {BATCH_TRIES} batches)")
        return None

    def add(self, question: str, payload: Mapping[str, Any]) -> NoReturn:
        """Write a request for the next batch; the arguments are those of `find`.

        Raises:
            Deferred: There is no reply yet.
            ExchangeFailed: No more requests are taken.
            StoreError: The request cannot be written.
        """
        if self.is_closed:
            raise ExchangeFailed("batch_rounds", "its question depends on the replies of too many batches before")
        name = self._name(question)
        line = request_line(self._dialect, f"{self._batch_id}-{name}-{self._form(name, payload)}", payload)
        draft = self.drafts[-1] if self.drafts else None
        if draft is None or len(draft.names) >= MOST_REQUESTS or draft.size + len(line) > MOST_BYTES:
            number = max([0, *self.notes, *(each.number for each in self.drafts)]) + 1
            draft = BatchDraft(number)
            self.drafts.append(draft)
        file = self.requests_file(draft.number)
        try:
            with file.open("ab") as out:
                out.write(line)
        except OSError as error:
            raise StoreError.of(file, error, needed=f"{len(line)} bytes needed") from error
        draft.names.append(name)
        draft.size += len(line)
        draft.most_usd += self._most_usd(payload) or 0.0
        self._waiting.add(name)
        raise Deferred

    def keep(self, question: str, body: bytes) -> BatchedReply:
        """Store the reply to a question that was asked at once, at the full price."""
        name = self._name(question)
        self._used.add(name)
        self._used_by_row.add(name)
        with suppress(ValueError, RecursionError):
            decoded = json.loads(body)
            if isinstance(decoded, dict):
                self._put(self._key("reply", self._version(name)), {"body": decoded, "share": 1.0})
        return BatchedReply(body, share=1.0, is_new=True)

    def begin_row(self) -> None:
        """Begin the grades of one answer; answers are graded one after the other."""
        self._used_by_row = set()

    def end_row(self, *, lacks_grade: bool) -> None:
        """Note that the answer has all its grades, which name the cost of the replies that they used.

        Args:
            lacks_grade: Whether a grade is missing, so that its question may be asked again.
        """
        for name in self._used_by_row:
            self._replies.put(self._key("paid", self._version(name)), {"paid": True})
            if lacks_grade:
                self._replies.put(self._key("in vain", self._version(name)), {"in vain": True})

    def note_own(self, key: str) -> None:
        """Note that this run paid for the reply to a question, so that a cached copy of it is not taken for free."""
        self._replies.put(self._key("own", key), {"own": True})

    def is_own(self, key: str) -> bool:
        """Return whether this run paid for the reply to a question."""
        return self._replies.get(self._key("own", key)) is not None

    def open_notes(self) -> Iterator[BatchNote]:
        """Return the batches whose replies are not stored yet."""
        return (note for note in [*self.notes.values()] if note.state != "ended")

    @property
    def n_waiting(self) -> int:
        """Number of requests that wait for a reply."""
        return len(self._waiting)

    def write(self, note: BatchNote) -> BatchNote:
        """Write a note, durably.

        Raises:
            StoreError: The disk fails.
        """
        file = self._note_file(note.number)
        try:
            with drafted(file) as out:
                out.write(to_json(asdict(note)).encode())
        except OSError as error:
            raise StoreError.of(file, error) from error
        self.notes[note.number] = note
        return note

    def drop(self, number: int) -> None:
        """Forget a batch that was not created; its requests may be added again."""
        file = self.requests_file(number)
        self._waiting -= set(forms_in(file))
        self.notes.pop(number, None)
        self.drafts = [each for each in self.drafts if each.number != number]
        for each in (self._note_file(number), file):
            each.unlink(missing_ok=True)

    def take(self, note: BatchNote, state: BatchState, lines: Iterator[BatchLine]) -> int:
        """Store the outcomes of a batch that has ended; a request without one has failed.

        Returns:
            Number of requests with a reply.

        Raises:
            StoreError: A reply cannot be stored; the batch stays open.
        """
        forms = forms_in(self.requests_file(note.number))
        n_replies = 0
        for line in lines:
            name, form = names_in(line.custom_id)
            if forms.pop(name, None) is None:  # a second line, or another's
                continue
            n_replies += line.body is not None
            if line.body is not None:
                self._put(self._key("reply", self._version(name)), {"body": dict(line.body), "share": BATCH_SHARE})
            else:
                self._put_failure(form, note, line.kind, line.status, line.said)
        said = state.problem or f"the batch {state.id} is {state.status} and has no line for the request"
        kind = "batch_missing" if state.status in ("completed", "ended") else f"batch_{state.status}"
        for form in forms.values():
            self._put_failure(form, note, kind, None, said)
        self._replies.flush()
        self._waiting -= self.names_of(note)
        self.write(replace(note, state="ended", status=state.status))
        self.requests_file(note.number).unlink(missing_ok=True)
        return n_replies

    def names_of(self, note: BatchNote) -> set[str]:
        """Return the names of the questions of a batch."""
        return set(forms_in(self.requests_file(note.number)))

    def requests_file(self, number: int) -> Path:
        """Return the file with the requests of a batch that has not ended."""
        return self._folder / f"{number:04}.requests.jsonl"

    def _note_file(self, number: int) -> Path:
        return self._folder / f"{number:04}.json"

    def _read_notes(self) -> Iterator[BatchNote]:
        for file in sorted(self._folder.glob("[0-9][0-9][0-9][0-9].json")):
            try:
                note = read(BatchNote, read_json(file), Faults())
            except (OSError, ValueError):
                note = None
            if note is None:
                fix = "start the run again in another folder"
                raise InputError(Problem(shown_path(file), "not a note about a batch", fix))
            yield note

    def _name(self, question: str) -> str:
        return self._key("question", question)[:_NAME_HEX]

    def _version(self, name: str) -> str:
        """Return the name of the reply that counts, which is another one once replies were asked for again."""
        if name not in self._versions:
            version, count = name, 0
            while self._replies.get(self._key("in vain", version)) is not None:
                count += 1
                newer = f"{name} {count}"
                if not self._again and self._replies.get(self._key("reply", newer)) is None:
                    break
                version = newer
            self._versions[name] = version
        return self._versions[name]

    def _form(self, name: str, payload: Mapping[str, Any]) -> str:
        """Return the name of one form of a question."""
        return hashlib.sha256(json.dumps([name, payload], sort_keys=True).encode()).hexdigest()[:_NAME_HEX]

    def _key(self, kind: str, name: str) -> str:
        return hashlib.sha256(json.dumps([self._scope, kind, name]).encode()).hexdigest()

    def _failed(self, form: str) -> tuple[Mapping[str, Any] | None, int]:
        """Return the last failure of a request, and the number of all."""
        last, count = None, 0
        while (found := self._replies.get(self._key(f"failure {count + 1}", form))) is not None:
            last, count = found, count + 1
        return last, count

    def _put_failure(self, form: str, note: BatchNote, kind: str, status: int | None, said: str) -> None:
        last, count = self._failed(form)
        if last is None or last["batch"] != note.number:  # else a process that was killed has stored it
            failure = {"kind": kind, "status": status, "said": said, "batch": note.number}
            self._put(self._key(f"failure {count + 1}", form), failure)

    def _put(self, key: str, record: dict[str, Any]) -> None:
        """Store a record.

        Raises:
            StoreError: It cannot be stored.
        """
        self._replies.put(key, record)
        if self._replies.get(key) is None:
            why = self._replies.problem or "the reply of a batch cannot be stored"
            raise StoreError(f"{shown_path(self._folder)}: {why}; free the disk, then continue with --resume")


def _message(said: str) -> str:
    try:
        return error_text(json.loads(said))
    except (ValueError, RecursionError):
        return said
