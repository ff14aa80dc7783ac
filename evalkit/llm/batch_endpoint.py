"""Send batches of requests to an endpoint, look at them, and fetch their results."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from evalkit.llm.batch_lines import CHAT_PATH, BatchLine, BatchState, lines_in, state_of
from evalkit.net.exchange import HttpRequest, read_capped, retried, send
from evalkit.net.retry import AT_MOST_ONCE, LOST_REPLY, REPEATABLE, ExchangeFailed, RetryPolicy, TimeLeft

if TYPE_CHECKING:
    import aiohttp

    from evalkit.llm.endpoint import ChatEndpoint

MOST_RESULT_BYTES = 1 << 30
"""Most bytes of a file of results."""
TRANSFER_S = 600.0
"""Longest time of one exchange that carries the requests or results of a batch, in seconds."""
PAGE = 100
MOST_PAGES = 20
_STATE_BYTES = 4 << 20
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,200}")


class BatchRefused(Exception):
    """The endpoint does not accept a batch, or does not know it; `str` says why.

    Attributes:
        lasting: Whether another attempt would fail in the same way.
        lost: Whether the batch may have been created all the same.
    """

    def __init__(self, message: str, *, lasting: bool, lost: bool) -> None:
        super().__init__(message)
        self.lasting = lasting
        self.lost = lost


class BatchEndpoint:
    """The batch API beside a chat endpoint.

    Args:
        chat: The chat endpoint, with its settings and key.
        session: Open HTTP session.
        sleep: Waits a number of seconds.
    """

    def __init__(
        self, chat: ChatEndpoint, session: aiohttp.ClientSession, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._chat, self._session, self.sleep = chat, session, sleep
        self.dialect = chat.config.dialect
        self.model = chat.config.model
        self.address = chat.config.base_url

    @property
    def has_files(self) -> bool:
        """Whether requests are uploaded as a file before the batch is created."""
        return self.dialect == "openai"

    async def upload(self, requests: bytes) -> str:
        """Upload the lines of a batch, and return the id of the file. A second upload costs nothing.

        Raises:
            BatchRefused: The endpoint does not take the file.
        """
        boundary = secrets.token_hex(16)
        part = f"--{boundary}\r\nContent-Disposition: form-data; name="
        head = f'{part}"purpose"\r\n\r\nbatch\r\n{part}"file"; filename="requests.jsonl"\r\n'
        head += "Content-Type: application/jsonl\r\n\r\n"
        body = head.encode() + requests + f"\r\n--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        found = await self._object(self._chat.request("files", body, headers=headers), REPEATABLE)
        return _checked(found.get("id"))

    async def create(self, requests: Sequence[bytes], file: str) -> BatchState:
        """Create a batch.

        Args:
            requests: Lines of the requests; not used if there is a file.
            file: Id of the uploaded file, empty if the endpoint has no such files.

        Raises:
            BatchRefused: There is no batch, or, if it is `lost`, perhaps none.
        """
        if self.has_files:
            wanted = {"input_file_id": file, "endpoint": CHAT_PATH, "completion_window": "24h"}
            request = self._chat.request("batches", json.dumps(wanted).encode())
        else:
            body = b'{"requests": [' + b",".join(line.strip() for line in requests) + b"]}"
            request = self._chat.request("messages/batches", body)
        return self._state(await self._object(request, AT_MOST_ONCE))

    async def state(self, batch_id: str) -> BatchState:
        """Look at a batch.

        Raises:
            BatchRefused: The endpoint does not know the batch, or gives no reply.
        """
        path = f"batches/{_checked(batch_id)}" if self.has_files else f"messages/batches/{_checked(batch_id)}"
        return self._state(await self._object(self._chat.request(path, method="GET"), REPEATABLE))

    async def since(self, moment: float) -> list[BatchState]:
        """Return the batches that were created since a moment, in seconds since 1970.

        Raises:
            BatchRefused: The endpoint gives no list.
        """
        found: list[BatchState] = []
        after = ""
        for _ in range(MOST_PAGES):
            cursor = {"after" if self.has_files else "after_id": after} if after else {}
            query = urlencode({"limit": PAGE, **cursor})
            path = f"{'batches' if self.has_files else 'messages/batches'}?{query}"
            listed = await self._object(self._chat.request(path, method="GET"), REPEATABLE)
            data = listed.get("data")
            page = [self._state(each) for each in data if isinstance(each, dict)] if isinstance(data, list) else []
            found += [each for each in page if each.created_at is None or each.created_at >= moment]
            older = any(each.created_at is not None and each.created_at < moment for each in page)
            if older or not page or listed.get("has_more") is not True:
                break
            after = page[-1].id
        return found

    async def results(self, batch: BatchState) -> Iterator[BatchLine]:
        """Fetch the outcomes of a batch that has ended, in any order; a request without one is missing.

        Raises:
            BatchRefused: The results cannot be fetched.
        """
        paths = [f"files/{_checked(file)}/content" for file in batch.files]
        paths = paths if self.has_files else [f"messages/batches/{_checked(batch.id)}/results"]
        texts = [
            await self._bytes(self._chat.request(path, method="GET"), REPEATABLE, MOST_RESULT_BYTES) for path in paths
        ]
        return (line for text in texts for line in lines_in(self.dialect, text))

    def _state(self, body: dict[str, Any]) -> BatchState:
        try:
            return state_of(self.dialect, body)
        except ValueError as error:
            raise BatchRefused(str(error), lasting=True, lost=True) from None

    async def _object(self, request: HttpRequest, policy: RetryPolicy) -> dict[str, Any]:
        body = await self._bytes(request, policy, _STATE_BYTES)
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise BatchRefused("a reply that is not a JSON object; check base_url", lasting=True, lost=True)
        return found

    async def _bytes(self, request: HttpRequest, policy: RetryPolicy, most: int) -> bytes:
        left = TimeLeft(TRANSFER_S, "deadline_s")

        async def read(response: aiohttp.ClientResponse) -> bytes:
            return await read_capped(response, most)

        async def attempt() -> bytes:
            return await send(self._session, request, read, left, limit_s=TRANSFER_S)

        try:
            return (await retried(attempt, policy, left, sleep=self.sleep)).value
        except ExchangeFailed as failure:
            said = self._chat.redacted(f"{failure.kind}: {failure.message}{failure.after}")
            lost = failure.fate == "lost" or failure.status in LOST_REPLY
            lasting = failure.status is not None and 400 <= failure.status < 500 and not policy.repeats(failure)
            raise BatchRefused(said, lasting=lasting and not lost, lost=lost) from None


def _checked(found: Any) -> str:
    """Return an id that can be part of a path.

    Raises:
        BatchRefused: It is none.
    """
    if not isinstance(found, str) or not _ID.fullmatch(found):
        raise BatchRefused("the reply names no id; check base_url", lasting=True, lost=True)
    return found
