"""Send requests to one chat endpoint within its limits, without showing the key."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from evalkit.errors import InputError, Problem, what_and_fix
from evalkit.formats.completion import ReplyError, error_text, refusal_text
from evalkit.llm import anthropic
from evalkit.llm.batches import BatchedReply, Batches
from evalkit.llm.budget import Budget
from evalkit.llm.config import ChatConfig
from evalkit.llm.errors import JudgeError
from evalkit.llm.ladder import is_refusal
from evalkit.llm.wire import tokens_of
from evalkit.net.addresses import endpoint_url, key_header
from evalkit.net.exchange import HttpRequest, read_capped, retried, send
from evalkit.net.keys import key_problem, read_key
from evalkit.net.proxies import find_proxy
from evalkit.net.rate_limits import Limits, Timetable
from evalkit.net.request_fields import TOO_LONG, RequestFields, is_too_long
from evalkit.net.retry import REPEATABLE, ExchangeFailed, TimeLeft
from evalkit.net.waits import Waits
from evalkit.text.escaping import cut

if TYPE_CHECKING:
    import aiohttp

MAX_REPLY_BYTES = 4 * 1024 * 1024
KINDS = {
    "connection": ("transport", ""),
    "encoding": ("bad_reply", ""),
    "timeout": ("timeout", "; raise timeout_s"),
    "too_large": ("too_large", "; is it a chat endpoint?"),
}
"""Kind of a failed exchange -> kind of the error, and the end of its message."""
FIXES = {
    400: "; if it names a sampling field, set temperature or seed to null",
    401: "; check the key in api_key_env",
    403: "; check that the key in api_key_env may use this model",
    404: "; check base_url and model",
}
DENIED_STATUSES = frozenset({401, 403})
ENOUGH_DENIALS = 3
"""Number of refusals, without an accepted request, after which the key is considered invalid."""


class Refused(Exception):
    """The endpoint refuses the form of a request; `error` says how."""

    def __init__(self, error: JudgeError) -> None:
        self.error = error
        super().__init__(str(error))


@dataclass(frozen=True)
class PricedReply:
    """A reply to a request.

    Attributes:
        body: The decoded body.
        share: Share of the price of a direct call, 0 to 1.
        is_new: Whether the reply has not been charged yet in this process.
        is_shared: Whether another question with the same words has paid for it.
    """

    body: dict[str, Any]
    share: float
    is_new: bool
    is_shared: bool = False


class ChatEndpoint:
    """Sends chat requests to one address.

    At most `concurrency` exchanges are in flight; one that waits to try again holds no slot.

    Args:
        config: The endpoint and its settings.
        env: Environment that the key is read from.
        concurrency: Exchanges in flight at once.
        budget: Limit of the cost; it is checked before each exchange.
        sleep: Waits a number of seconds.
        waits: Where the waits before a further attempt are noted.
        timetable: When the limits let the next request pass, if others keep them too.

    Raises:
        InputError: The key cannot be sent, or the proxy of the environment cannot be used.
    """

    def __init__(  # noqa: PLR0913 - each is something that the run shares
        self,
        config: ChatConfig,
        env: Mapping[str, str],
        concurrency: int,
        budget: Budget | None,
        sleep: Callable[[float], Awaitable[None]],
        waits: Waits | None,
        timetable: Timetable | None = None,
    ) -> None:
        self.config = config
        self._key = _read_key(config, env)
        self._proxy = _find_proxy(config, env)
        self._budget = budget
        self._slots = asyncio.Semaphore(concurrency)
        self._sleep = sleep
        self._waits = waits
        self.fields = RequestFields(config.own_fields)
        self._limits = Limits(config.requests_per_minute, config.tokens_per_minute, config.max_tokens, timetable)
        self._accepted = False
        self._denials = 0
        self.no_key = ""
        """Why no question can be asked, if the key is missing."""
        if config.api_key_env is not None and not self._key:
            self.no_key = "no key: " + "; ".join(key_problem(config.api_key_env, env) or ())
        self._denied = JudgeError("no_key", self.no_key) if self.no_key else None
        self.batches: Batches | None = None
        """Where requests wait for a batch; `None` sends each at once."""

    async def send(
        self, session: aiohttp.ClientSession, request: Mapping[str, Any], left: TimeLeft, question: str = ""
    ) -> PricedReply:
        """Send one request, and retry transient failures; with `batches`, leave it to a batch.

        Args:
            session: Open HTTP session.
            request: Fields of the request, without the length limit.
            left: Time budget of exchanges and waits.
            question: Names the question, in whatever form it is asked; only used with `batches`.

        Raises:
            JudgeError: No reply; the message does not show the key.
            Refused: The endpoint does not accept a request of this form.
            Deferred: The reply comes with a batch.
        """
        if self.config.dialect == "anthropic" and not anthropic.speaks(request):
            raise Refused(JudgeError("bad_reply", "the Messages API has no such form"))
        try:
            return await self._answered(session, request, left, question)
        except JudgeError as error:
            raise JudgeError(error.kind, self.redacted(error.message)) from None

    @property
    def in_doubt(self) -> bool:
        """Whether the key was refused so far, and may still be valid."""
        return self._denials > 0 and not self._accepted and self._denied is None

    def redacted(self, text: str) -> str:
        """Redact the key in a text, also if it is quoted for a URL or in base64."""
        if not self._key:
            return text
        encoded = base64.b64encode(self._key.encode()).decode().rstrip("=")
        for form in (self._key, quote(self._key, safe=""), encoded):
            text = text.replace(form, "[redacted]")
        return text

    async def _answered(
        self, session: aiohttp.ClientSession, request: Mapping[str, Any], left: TimeLeft, question: str
    ) -> PricedReply:
        policy = replace(REPEATABLE, retries=self.config.max_retries)
        try:
            answered = await retried(
                lambda: self._attempt(session, request, left, question),
                policy,
                left,
                waits=self._waits,
                sleep=self._sleep,
            )
        except ExchangeFailed as failure:
            raise _judge_error(failure) from None
        return answered.value

    async def _attempt(
        self, session: aiohttp.ClientSession, request: Mapping[str, Any], left: TimeLeft, question: str
    ) -> PricedReply:
        limit = {"max_tokens": self.config.max_tokens} if self.config.dialect == "openai" else {}

        async def attempt(fields: dict[str, Any]) -> BatchedReply | bytes:
            if self.batches is None:
                return await self._paced(session, fields, left)
            return await self._batched(session, fields, left, self.batches, question)

        try:
            found = await self.fields.send({**request, **limit}, attempt, refusal_text)
        except ExchangeFailed as failure:
            self._learn(failure)
            raise
        reply = found if isinstance(found, BatchedReply) else BatchedReply(found, share=1.0, is_new=True)
        decoded = self._read(reply.body)
        if decoded.get("error") and (status := ReplyError(decoded).status) is not None:
            raise ExchangeFailed.within_body(status, error_text(decoded))
        self._accepted = True
        return PricedReply(decoded, reply.share, reply.is_new, reply.is_shared)

    async def _batched(
        self,
        session: aiohttp.ClientSession,
        fields: Mapping[str, Any],
        left: TimeLeft,
        batches: Batches,
        question: str,
    ) -> BatchedReply:
        """Return the reply of a batch. The first request is sent at once, to show what the endpoint accepts.

        Raises:
            Deferred: The reply comes with a batch.
        """
        payload = self._payload(fields)
        if (found := batches.find(question, payload)) is not None:
            return found
        if self._accepted:
            batches.add(question, payload)
        return batches.keep(question, await self._paced(session, fields, left))

    def _learn(self, failure: ExchangeFailed) -> None:
        """Record a refused key; raise a refusal of the request's form."""
        if failure.status is None:
            return
        if is_refusal(failure.status, _said(failure.body)):
            problem = _judge_error(failure)
            raise Refused(JudgeError(problem.kind, self.redacted(problem.message)))
        if failure.status in DENIED_STATUSES and not self._accepted:
            self._denials += 1
            self._denied = _judge_error(failure) if self._denials >= ENOUGH_DENIALS else None

    async def _paced(self, session: aiohttp.ClientSession, request: Mapping[str, Any], left: TimeLeft) -> bytes:
        """Send as soon as the endpoint's limits allow it; until then no slot is held and no deadline runs."""
        if self._denied is not None:
            raise self._denied
        reserved = await self._limits.turn(lambda: len(str(request)), self._sleep)
        async with self._slots:
            if self._budget is not None:
                self._budget.check()
            try:
                body = await send(session, self._spoken(request), _read_body, left, limit_s=self.config.timeout_s)
            except ExchangeFailed as failure:
                self._limits.heed(failure, left.seconds)
                raise
        if reserved:
            self._limits.settle(reserved, self._tokens_used(body))
        return body

    def _read(self, body: bytes) -> dict[str, Any]:
        """Decode a reply as a chat completion."""
        decoded = _as_object(body)
        return anthropic.from_reply(decoded) if self.config.dialect == "anthropic" else decoded

    def _tokens_used(self, body: bytes) -> int | None:
        """Return the tokens that a reply reports."""
        try:
            tokens_in, tokens_out, _ = tokens_of(self._read(body))
        except JudgeError:
            return None
        return None if tokens_in is None or tokens_out is None else tokens_in + tokens_out

    def _spoken(self, request: Mapping[str, Any]) -> HttpRequest:
        """Convert a request to the endpoint's dialect."""
        return self.request(self._path, json.dumps(self._payload(request), ensure_ascii=True).encode("ascii"))

    @property
    def _path(self) -> str:
        return anthropic.PATH if self.config.dialect == "anthropic" else "chat/completions"

    def _payload(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if self.config.dialect == "anthropic":
            return anthropic.to_request(request, self.config.max_tokens)
        return dict(request)

    def request(
        self, path: str, body: bytes = b"", *, method: str = "POST", headers: Mapping[str, str] | None = None
    ) -> HttpRequest:
        """Return a request to a path of the endpoint, with its key.

        Args:
            path: Path below the address up to `/chat/completions`, or `/messages`; it may end with a query.
            body: What to send.
            method: Method of the request.
            headers: Further headers.
        """
        version = anthropic.VERSION_HEADER if self.config.dialect == "anthropic" else {}
        address, _, query = endpoint_url(self.config.base_url, self._path).rpartition(f"/{self._path}")
        own, _, more = path.partition("?")
        query = f"{query}&{more}" if query and more else f"?{more}" if more else query
        return HttpRequest(
            url=f"{address}/{own}{query}",
            body=body,
            method=method,
            headers={**self.config.headers, **version, **self._key_header(), **(headers or {})},
            proxy=self._proxy,
        )

    def _key_header(self) -> Mapping[str, str]:
        name = self.config.api_key_header
        if self.config.dialect == "anthropic":
            name = name or "x-api-key"
        return key_header(self._key, self.config.base_url, name) if self._key else {}


def _read_key(config: ChatConfig, env: Mapping[str, str]) -> str:
    """Return the key; empty if none is needed, or it is not set.

    Raises:
        InputError: It is set to something that cannot be sent.
    """
    if config.api_key_env is None:
        return ""
    key = read_key(config.api_key_env, env)
    if key and (problem := key_problem(config.api_key_env, env)):
        raise InputError(Problem("judge.chat.api_key_env", *problem))
    return key


def _find_proxy(config: ChatConfig, env: Mapping[str, str]) -> str | None:
    try:
        return find_proxy(config.base_url, env)
    except ValueError as error:
        raise InputError(Problem("judge.chat.base_url", *what_and_fix(error))) from None


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    return await read_capped(response, MAX_REPLY_BYTES)


def _judge_error(failure: ExchangeFailed) -> JudgeError:
    kind, fix = KINDS.get(failure.kind, (failure.kind, FIXES.get(failure.status or 0, "")))
    said = failure.message if failure.status is None or failure.status < 400 else _said(failure.body)
    if is_too_long(failure.status, said):
        kind, fix = "prompt_too_long", f"; {TOO_LONG}"
    return JudgeError(kind, f"{said or 'no message'}{fix}{failure.after}")


def _as_object(body: bytes) -> dict[str, Any]:
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError):
        shown = cut(body[:400].decode("utf-8", "replace"), 80)
        raise JudgeError("bad_reply", f"a reply without JSON, starting with {shown!r}; check base_url") from None
    if not isinstance(decoded, dict):
        raise JudgeError("bad_reply", "the reply is JSON but not an object; check base_url")
    return decoded


def _said(body: bytes) -> str:
    try:
        return error_text(json.loads(body))
    except (ValueError, RecursionError):
        return cut(body[:2500].decode("utf-8", "replace"), 500)
