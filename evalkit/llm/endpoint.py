"""Send requests to one chat endpoint within its limits, without showing the key."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from evalkit.errors import InputError, Problem, what_and_fix
from evalkit.formats.completion import ReplyError, error_text, refusal_text
from evalkit.llm import anthropic
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

    async def send(self, session: aiohttp.ClientSession, request: Mapping[str, Any], left: TimeLeft) -> dict[str, Any]:
        """Send one request, and retry transient failures.

        Args:
            session: Open HTTP session.
            request: Fields of the request, without the length limit.
            left: Time budget of exchanges and waits.

        Returns:
            The decoded body of the reply.

        Raises:
            JudgeError: No reply; the message does not show the key.
            Refused: The endpoint does not accept a request of this form.
        """
        if self.config.dialect == "anthropic" and not anthropic.speaks(request):
            raise Refused(JudgeError("bad_reply", "the Messages API has no such form"))
        try:
            return await self._answered(session, request, left)
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
        self, session: aiohttp.ClientSession, request: Mapping[str, Any], left: TimeLeft
    ) -> dict[str, Any]:
        policy = replace(REPEATABLE, retries=self.config.max_retries)
        try:
            answered = await retried(
                lambda: self._attempt(session, request, left), policy, left, waits=self._waits, sleep=self._sleep
            )
        except ExchangeFailed as failure:
            raise _judge_error(failure) from None
        return answered.value

    async def _attempt(
        self, session: aiohttp.ClientSession, request: Mapping[str, Any], left: TimeLeft
    ) -> dict[str, Any]:
        limit = {"max_tokens": self.config.max_tokens} if self.config.dialect == "openai" else {}

        async def attempt(fields: dict[str, Any]) -> bytes:
            return await self._paced(session, fields, left)

        try:
            body = await self.fields.send({**request, **limit}, attempt, refusal_text)
        except ExchangeFailed as failure:
            self._learn(failure)
            raise
        decoded = self._read(body)
        if decoded.get("error") and (status := ReplyError(decoded).status) is not None:
            raise ExchangeFailed.within_body(status, error_text(decoded))
        self._accepted = True
        return decoded

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
        if self.config.dialect == "anthropic":
            name = self.config.api_key_header or "x-api-key"
            key = key_header(self._key, self.config.base_url, name) if self._key else {}
            path, payload = anthropic.PATH, anthropic.to_request(request, self.config.max_tokens)
            headers = {**self.config.headers, **anthropic.VERSION_HEADER, **key}
        else:
            path, payload = "chat/completions", dict(request)
            headers = {**self.config.headers, **self._key_header()}
        return HttpRequest(
            url=endpoint_url(self.config.base_url, path),
            body=json.dumps(payload, ensure_ascii=True).encode("ascii"),
            headers=headers,
            proxy=self._proxy,
        )

    def _key_header(self) -> Mapping[str, str]:
        return key_header(self._key, self.config.base_url, self.config.api_key_header) if self._key else {}


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
