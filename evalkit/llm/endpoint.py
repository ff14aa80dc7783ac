"""Send requests to one chat endpoint within its limits, without showing the key."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from evalkit.errors import InputError, Problem
from evalkit.formats.completion import error_text
from evalkit.llm import anthropic
from evalkit.llm.budget import Budget
from evalkit.llm.config import ChatConfig
from evalkit.llm.errors import JudgeError
from evalkit.llm.ladder import is_refusal
from evalkit.llm.limits import Limits
from evalkit.llm.wire import tokens_of
from evalkit.net.exchange import HttpRequest, read_capped, retried, send
from evalkit.net.retry import REPEATABLE, ExchangeFailed, TimeLeft
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
"""Kind of a failed exchange -> kind of the error, and what to add to its message."""
FIXES = {
    400: "; if it names a sampling field, set temperature or seed to null",
    401: "; check the key in api_key_env",
    403: "; check that the key in api_key_env may use this model",
    404: "; check base_url and model",
}
DENIED_STATUSES = frozenset({401, 403})
ENOUGH_DENIALS = 3
"""Refusals without an accepted request after which the key is considered invalid."""


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

    Raises:
        InputError: The environment variable of the key is not set.
    """

    def __init__(
        self,
        config: ChatConfig,
        env: Mapping[str, str],
        concurrency: int,
        budget: Budget | None,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.config = config
        self._key = _read_key(config, env)
        self._budget = budget
        self._slots = asyncio.Semaphore(concurrency)
        self._sleep = sleep
        self._limit_field = "max_tokens"
        self._limits = Limits(config)
        self._accepted = False
        self._denials = 0
        self._denied: JudgeError | None = None

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
            answered = await retried(lambda: self._attempt(session, request, left), policy, left, sleep=self._sleep)
        except ExchangeFailed as failure:
            raise _judge_error(failure) from None
        return answered.value

    async def _attempt(
        self, session: aiohttp.ClientSession, request: Mapping[str, Any], left: TimeLeft
    ) -> dict[str, Any]:
        limit_field = self._limit_field
        try:
            body = await self._paced(session, request, left)
        except ExchangeFailed as failure:
            if failure.status == 400 and limit_field == "max_tokens" and b"max_completion_tokens" in failure.body:
                # Newer models take the same limit under another name, and say so.
                self._limit_field = "max_completion_tokens"
                return await self._attempt(session, request, left)
            self._learn(failure)
            raise
        self._accepted = True
        return self._read(body)

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
        tokens = self._limits.estimate(len(str(request))) if self._limits.counts_tokens else 0
        seconds = self._limits.delay_s(tokens)
        if seconds > 0:
            await self._sleep(seconds)
        async with self._slots:
            if self._budget is not None:
                self._budget.check()
            body = await send(session, self._spoken(request), _read_body, left, limit_s=self.config.timeout_s)
        if self._limits.counts_tokens:
            self._limits.correct(tokens, self._tokens_used(body, tokens))
        return body

    def _read(self, body: bytes) -> dict[str, Any]:
        """Decode a reply as a chat completion."""
        decoded = _as_object(body)
        return anthropic.from_reply(decoded) if self.config.dialect == "anthropic" else decoded

    def _tokens_used(self, body: bytes, otherwise: int) -> int:
        """Return the tokens that a reply reports, or `otherwise` if it reports none."""
        try:
            tokens_in, tokens_out, _ = tokens_of(self._read(body))
        except JudgeError:
            return otherwise
        return otherwise if tokens_in is None or tokens_out is None else tokens_in + tokens_out

    def _spoken(self, request: Mapping[str, Any]) -> HttpRequest:
        """Convert a request to the endpoint's dialect."""
        key: dict[str, str]
        if self.config.dialect == "anthropic":
            key = {"x-api-key": self._key} if self._key else {}
            path, payload = anthropic.PATH, anthropic.to_request(request, self.config.max_tokens)
            headers = {**self.config.headers, **anthropic.VERSION_HEADER, **key}
        else:
            key = {"Authorization": f"Bearer {self._key}"} if self._key else {}
            path, payload = "chat/completions", {**request, self._limit_field: self.config.max_tokens}
            headers = {**self.config.headers, **key}
        return HttpRequest(
            url=f"{self.config.base_url.rstrip('/')}/{path}",
            body=json.dumps(payload, ensure_ascii=True).encode("ascii"),
            headers=headers,
        )


def _read_key(config: ChatConfig, env: Mapping[str, str]) -> str | None:
    if config.api_key_env is None:
        return None
    key = env.get(config.api_key_env, "").strip()
    if not key:
        what = f"the environment variable {config.api_key_env} is not set"
        raise InputError(Problem("judge.chat.api_key_env", what, f"set it: export {config.api_key_env}=..."))
    if not key.isprintable() or not key.isascii():
        what = (
            f"the environment variable {config.api_key_env} cannot be a key: it has line breaks or non-ASCII characters"
        )
        raise InputError(Problem("judge.chat.api_key_env", what, "set it to the key alone"))
    return key


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    return await read_capped(response, MAX_REPLY_BYTES)


def _judge_error(failure: ExchangeFailed) -> JudgeError:
    kind, fix = KINDS.get(failure.kind, (failure.kind, FIXES.get(failure.status or 0, "")))
    said = failure.message if failure.status is None or failure.status < 400 else _said(failure.body)
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
