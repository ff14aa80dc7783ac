"""HTTP exchanges with one chat endpoint: slots, timeouts, retries, a capped body, a key that is never shown."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from urllib.parse import quote

import aiohttp

from evalkit.errors import InputError, Problem
from evalkit.llm import anthropic
from evalkit.llm.budget import Budget
from evalkit.llm.config import ChatConfig
from evalkit.llm.errors import JudgeError
from evalkit.llm.ladder import is_refusal
from evalkit.llm.limits import Limits
from evalkit.llm.wire import error_text, tokens_of
from evalkit.net.retry import TimeLeft, is_retried, parse_retry_after, wait_s
from evalkit.net.waits import waiting
from evalkit.text.escaping import cut

MAX_REPLY_BYTES = 4 * 1024 * 1024
READ_BYTES = 64 * 1024
MENDS = {
    400: "; where it names a sampling field, set temperature or seed to null",
    401: "; check the key in api_key_env",
    403: "; check that the key in api_key_env may use this model",
    404: "; check base_url and model",
}
DENIED_STATUSES = frozenset({401, 403})
ENOUGH_DENIALS = 3
"""Refusals, with nothing accepted, after which the key is to blame and not what was asked."""
_Exchanged = tuple[int, bytes, str | None]
"""Status, body, Retry-After."""


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
        budget: What may be spent; it is looked at as late as can be, before each exchange.
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
        self._rng = random.Random()  # noqa: S311 - jitter needs no secrecy
        self._sleep = sleep
        self._limit_field = "max_tokens"
        self._limits = Limits(config)
        self._accepted = False
        self._denials = 0
        self._denied: JudgeError | None = None

    async def send(self, session: aiohttp.ClientSession, request: Mapping[str, Any], left: TimeLeft) -> dict[str, Any]:
        """Exchange one request, again where the failure may pass.

        Args:
            session: Open HTTP session.
            request: Fields of the request, without the length limit.
            left: Time that exchanges and waits are taken from.

        Returns:
            The decoded body of the reply.

        Raises:
            JudgeError: No reply; nothing in it shows the key.
            Refused: The endpoint does not take a request of this form.
        """
        if self.config.dialect == "anthropic" and not anthropic.speaks(request):
            raise Refused(JudgeError("bad_reply", "the Messages API has no such form"))
        try:
            return await self._retried(session, request, left)
        except JudgeError as error:
            raise JudgeError(error.kind, self.redacted(error.message)) from None

    @property
    def in_doubt(self) -> bool:
        """Whether the key was refused so far, and may still be taken."""
        return self._denials > 0 and not self._accepted and self._denied is None

    def redacted(self, text: str) -> str:
        """Take the key out of a text, also where it is quoted for an address or in base64."""
        if not self._key:
            return text
        encoded = base64.b64encode(self._key.encode()).decode().rstrip("=")
        for form in (self._key, quote(self._key, safe=""), encoded):
            text = text.replace(form, "[redacted]")
        return text

    async def _retried(
        self, session: aiohttp.ClientSession, request: Mapping[str, Any], left: TimeLeft
    ) -> dict[str, Any]:
        last, attempt = self.config.max_retries, 0
        while True:
            asked_s, limit_field = None, self._limit_field
            try:
                status, body, retry_after = await self._paced(session, request, left)
            except JudgeError as error:
                if error.kind == "too_large" or error is self._denied:
                    raise
                problem = error
            else:
                if status == 200:
                    self._accepted = True
                    return self._read(body)
                if status == 400 and limit_field == "max_tokens" and b"max_completion_tokens" in body:
                    # Newer models take the same limit under another name, and say so.
                    self._limit_field = "max_completion_tokens"
                    continue
                problem = self._failure(status, body)
                asked_s = parse_retry_after(retry_after, datetime.now(UTC))
            if attempt == last:
                raise JudgeError(problem.kind, f"{problem.message} (after {last + 1} attempts)")
            await self._pause(wait_s(attempt, asked_s, self._rng), left, problem)
            attempt += 1

    def _failure(self, status: int, body: bytes) -> JudgeError:
        """The error that a retry may cure; one that it cannot cure is raised."""
        said = _said(body)
        problem = JudgeError(f"http_{status}", f"{said or 'no message'}{MENDS.get(status, '')}")
        if is_refusal(status, said):
            raise Refused(JudgeError(problem.kind, self.redacted(problem.message)))
        if status in DENIED_STATUSES and not self._accepted:
            self._denials += 1
            self._denied = problem if self._denials >= ENOUGH_DENIALS else None
        if not is_retried(status):
            raise problem
        return problem

    async def _pause(self, seconds: float, left: TimeLeft, problem: JudgeError) -> None:
        if seconds >= left.seconds:
            late = f"the next attempt is due in {seconds:.0f} s, {max(0.0, left.seconds):.0f} s are left"
            raise JudgeError(problem.kind, f"{problem.message}; {late}; raise deadline_s or ask less at once")
        left.spend(seconds)
        with waiting(problem.kind, seconds):
            await self._sleep(seconds)

    async def _paced(self, session: aiohttp.ClientSession, request: Mapping[str, Any], left: TimeLeft) -> _Exchanged:
        """One exchange once the endpoint's limits allow it; until then no slot is held and no deadline runs."""
        if self._denied is not None:
            raise self._denied
        tokens = self._limits.estimate(len(str(request))) if self._limits.counts_tokens else 0
        seconds = self._limits.delay_s(tokens)
        if seconds > 0:
            await self._sleep(seconds)
        exchanged = await self._exchange(session, request, left)
        if self._limits.counts_tokens and exchanged[0] == 200:
            self._limits.correct(tokens, self._tokens_used(exchanged[1], tokens))
        return exchanged

    async def _exchange(self, session: aiohttp.ClientSession, request: Mapping[str, Any], left: TimeLeft) -> _Exchanged:
        """One HTTP exchange within its time: status, body, Retry-After."""
        async with self._slots:
            if self._budget is not None:
                self._budget.check()
            limit_s = min(self.config.timeout_s, left.seconds)
            began = monotonic()
            try:
                async with asyncio.timeout(limit_s), self._post(session, request) as response:
                    return response.status, await _read_capped(response), response.headers.get("Retry-After")
            except TimeoutError:
                raise JudgeError("timeout", f"no reply within {limit_s:.3g} s; raise timeout_s") from None
            except (aiohttp.ClientError, OSError) as error:
                raise JudgeError("transport", cut(f"{type(error).__name__}: {error}", 500)) from None
            finally:
                left.spend(monotonic() - began)

    def _post(self, session: aiohttp.ClientSession, request: Mapping[str, Any]) -> Any:
        path, payload, headers = self._spoken(request)
        # A redirect could carry the key to another host.
        return session.post(
            f"{self.config.base_url.rstrip('/')}/{path}",
            data=json.dumps(payload, ensure_ascii=True).encode("ascii"),
            headers={
                "Content-Type": "application/json",
                "Accept-Encoding": "identity",
                **self.config.headers,
                **headers,
            },
            allow_redirects=False,
        )

    def _read(self, body: bytes) -> dict[str, Any]:
        """A reply as a chat completion."""
        decoded = _as_object(body)
        return anthropic.from_reply(decoded) if self.config.dialect == "anthropic" else decoded

    def _tokens_used(self, body: bytes, otherwise: int) -> int:
        """Tokens that a reply reports, `otherwise` where it reports none."""
        try:
            tokens_in, tokens_out, _ = tokens_of(self._read(body))
        except JudgeError:
            return otherwise
        return otherwise if tokens_in is None or tokens_out is None else tokens_in + tokens_out

    def _spoken(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any], dict[str, str]]:
        """Path, payload and headers in the endpoint's dialect."""
        if self.config.dialect == "anthropic":
            key = {"x-api-key": self._key} if self._key else {}
            payload = anthropic.to_request(request, self.config.max_tokens)
            return anthropic.PATH, payload, {**anthropic.VERSION_HEADER, **key}
        key = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return "chat/completions", {**request, self._limit_field: self.config.max_tokens}, key


def _read_key(config: ChatConfig, env: Mapping[str, str]) -> str | None:
    if config.api_key_env is None:
        return None
    key = env.get(config.api_key_env, "").strip()
    if not key:
        what = f"the environment variable {config.api_key_env} is not set"
        raise InputError(Problem("judge.chat.api_key_env", what, f"set it: export {config.api_key_env}=..."))
    if not key.isprintable() or not key.isascii():
        what = (
            f"the environment variable {config.api_key_env} holds what no key can: line breaks or letters beyond ASCII"
        )
        raise InputError(Problem("judge.chat.api_key_env", what, "set it to the key alone"))
    return key


async def _read_capped(response: aiohttp.ClientResponse) -> bytes:
    """Read a body piece by piece, so that no compressed or endless one fills the memory."""
    parts, size = [], 0
    async for part in response.content.iter_chunked(READ_BYTES):
        size += len(part)
        if size > MAX_REPLY_BYTES:
            response.close()
            raise JudgeError("too_large", f"the reply is longer than {MAX_REPLY_BYTES} bytes; is it a chat endpoint?")
        parts.append(part)
    return b"".join(parts)


def _as_object(body: bytes) -> dict[str, Any]:
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError):
        shown = cut(body[:400].decode("utf-8", "replace"), 80)
        raise JudgeError("bad_reply", f"status 200 without JSON, starting with {shown!r}; check base_url") from None
    if not isinstance(decoded, dict):
        raise JudgeError("bad_reply", "status 200 with JSON that is not an object; check base_url")
    return decoded


def _said(body: bytes) -> str:
    try:
        return error_text(json.loads(body))
    except (ValueError, RecursionError):
        return cut(body[:2500].decode("utf-8", "replace"), 500)
