"""Call a system under test by its URL, and check the settings of the URL."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from evalkit.errors import Problem, what_and_fix
from evalkit.formats.completion import refusal_text
from evalkit.net.addresses import HEADER_NAME
from evalkit.net.exchange import HttpRequest, Sleep, TimedReply, new_session, read_capped, retried, send
from evalkit.net.proxies import find_proxy
from evalkit.net.rate_limits import Limits
from evalkit.net.request_fields import TOO_LONG, RequestFields, is_too_long
from evalkit.net.retry import REPEATABLE, ExchangeFailed, RetryPolicy, TimeLeft
from evalkit.net.waits import Waits
from evalkit.systems.base import Answer, CallFailed, Shared
from evalkit.systems.secrets import filled, missing, names_in
from evalkit.types import Case, Failure, Output

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")

_MAYBE_DONE = (
    "; not sent again, because the service may have done its work; if asking twice does no harm, set `idempotent: true`"
)
_REMEMBERED = "; not sent again, because the service remembers the session and may have done its work"
_SECRET_HEADER = re.compile(r"authorization|cookie|(api|access|auth|subscription)[-_]?(key|token)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class SystemEndpoint:
    """A URL with its session; `connect` makes one for the duration of a run."""

    session: aiohttp.ClientSession
    method: str
    url: str
    headers: Mapping[str, str]
    timeout_s: float
    policy: RetryPolicy
    max_bytes: int
    waits: Waits
    limits: Limits
    proxy: str | None = None
    fields: RequestFields | None = None
    """Fields that the endpoint has refused so far; `None` if the suite defines the whole body."""
    remembers: bool = False
    """Whether the service keeps a session, so that no request may reach it twice."""

    async def call(
        self, body: Mapping[str, Any], read: Callable[[aiohttp.ClientResponse], Awaitable[T]], url: str | None = None
    ) -> TimedReply[T]:
        """Send `body` as JSON and `read` the reply; retry if the policy and the timeout allow it.

        Args:
            body: The request.
            read: Reads a reply.
            url: URL of the call, if each call has its own.

        Raises:
            CallFailed: `http_<status>`, `connection`, or the failure from `read`.
        """
        left = TimeLeft(self.timeout_s, "timeout_s")

        async def exchange(body: Mapping[str, Any]) -> T:
            data = json.dumps(body).encode()
            request = HttpRequest(
                method=self.method, url=url or self.url, headers=self.headers, body=data, proxy=self.proxy
            )
            try:
                return await send(self.session, request, read, left, limit_s=None)
            except ExchangeFailed as failure:
                self.limits.heed(failure, left.seconds)
                raise

        async def attempt() -> T:
            if self.fields is None:
                return await exchange(body)
            return await self.fields.send(body, exchange, refusal_text)

        try:
            return await retried(attempt, self.policy, left, waits=self.waits)
        except ExchangeFailed as failure:
            raise self._failed(failure, body) from None

    async def read_bytes(self, response: aiohttp.ClientResponse) -> bytes:
        """Read a whole reply."""
        return await read_capped(response, self.max_bytes)

    def _failed(self, failure: ExchangeFailed, body: Mapping[str, Any]) -> CallFailed:
        if failure.kind == "encoding":
            return CallFailed("bad_output", failure.message)
        if failure.kind == "too_large":
            return CallFailed("too_large", f"{failure.message}; raise max_bytes if this is meant")
        answered = "" if failure.status is None else f" answered {failure.status}"
        lost = not self.policy.repeats(failure) and REPEATABLE.repeats(failure)
        unsure = _REMEMBERED if self.remembers else _MAYBE_DONE
        stated = self.fields.stated(failure.status, failure.message, body) if self.fields else ()
        if is_too_long(failure.status, failure.message):
            fix = f"; {TOO_LONG}"
        elif stated:
            names = " and ".join(f"`{name}`" for name in stated)
            fix = f"; the refusal names {names}: change or remove it in the suite"
        else:
            fix = unsure if lost else ""
        return CallFailed(failure.kind, f"{self.place}{answered}: {failure.message}{failure.after}{fix}")

    @property
    def place(self) -> str:
        """Method and URL, without parts that may be secret: user, query and fragment."""
        parts = urlsplit(self.url)
        return f"{self.method} {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def timed_by(output: Output | Failure, reply: TimedReply[Any]) -> Output | Failure:
    """Set the latency to that of the answered attempt, without earlier attempts and waits."""
    if reply.attempts == 1 or isinstance(output, Failure):
        return output
    measured = time.perf_counter() - reply.started if output.latency_s is None else output.latency_s
    return replace(output, latency_s=measured, attempts=reply.attempts)


def check_limits(retries: int, max_bytes: int) -> None:
    """Reject limits outside their range.

    Raises:
        ValueError: In the form `<field>: what; fix`.
    """
    if not 0 <= retries <= 20:
        raise ValueError(f"retries: expected 0 to 20, got {retries}; write a number such as 2")
    if max_bytes < 1:
        raise ValueError(f"max_bytes: expected at least 1, got {max_bytes}; write a number such as 10000000")


def check_header(option: str, name: str | None) -> None:
    """Reject a text that is not the name of a header.

    Raises:
        ValueError: In the form `<option>: what; fix`.
    """
    if name is not None and not HEADER_NAME.fullmatch(name):
        raise ValueError(f"{option}: not the name of a header; write one such as api-key")


def url_problems(place: str, url: str, env: Mapping[str, str]) -> list[Problem]:
    """Return the problems of a URL that may contain `${NAME}`."""
    if problems := missing(place, names_in(url), env):
        return problems
    try:
        parts = urlsplit(filled(url, env))
        sound = parts.scheme in ("http", "https") and parts.hostname and not re.search(r"\s", parts.netloc)
        if sound and (parts.port or 0) >= 0:
            return proxy_problems(place, url, env)
    except ValueError:
        pass
    return [Problem(place, f"expected an http or https address, got {url!r}", "write `https://host/path`")]


def proxy_problems(place: str, url: str, env: Mapping[str, str]) -> list[Problem]:
    """Return the problems of the environment's proxy for a URL whose variables are set."""
    try:
        find_proxy(filled(url, env), env)
    except ValueError as error:
        return [Problem(place, *what_and_fix(error))]
    return []


def header_problems(place: str, headers: Mapping[str, str], env: Mapping[str, str]) -> list[Problem]:
    """Return the problems of headers that may contain `${NAME}`: unset variables, literal secrets, line breaks."""
    problems = []
    for name, text in headers.items():
        problems += missing(f"{place}.{name}", names_in(text), env)
        if _SECRET_HEADER.search(name) and not names_in(text):
            fix = f"write `{name}: ${{MY_KEY}}` and set that variable"
            problems.append(Problem(f"{place}.{name}", "a secret is written into the suite", fix))
        if re.search(r"[\r\n\0]", name + text):
            problems.append(Problem(f"{place}.{name}", "a header holds a line break", "remove it"))
        elif not HEADER_NAME.fullmatch(name):
            problems.append(Problem(f"{place}.{name}", "not the name of a header", "write letters, digits and -"))
    return problems


@asynccontextmanager
async def connect(  # noqa: PLR0913 - each is a setting of the system
    method: str,
    url: str,
    headers: Mapping[str, str],
    shared: Shared,
    *,
    timeout_s: float,
    policy: RetryPolicy,
    max_bytes: int,
    limits: Limits,
    fields: RequestFields | None = None,
    remembers: bool = False,
) -> AsyncIterator[SystemEndpoint]:
    """Hold one session with one connection for each call in flight."""
    async with new_session(shared.concurrency) as session:
        yield SystemEndpoint(
            session=session,
            method=method,
            url=url,
            headers=headers,
            timeout_s=timeout_s,
            policy=policy,
            max_bytes=max_bytes,
            waits=shared.waits,
            limits=limits,
            proxy=find_proxy(url, shared.env),
            fields=fields,
            remembers=remembers,
        )


def paced(answer: Answer, limits: Limits, size: Callable[[Case], int], sleep: Sleep = asyncio.sleep) -> Answer:
    """Return an answer that keeps the limits of its endpoint; the wait does not count towards a timeout.

    Args:
        answer: The call.
        limits: Requests and tokens per minute.
        size: Number of characters of a case's request.
        sleep: Waits a number of seconds.
    """
    if limits.are_open:
        return answer

    async def call(case: Case, repeat: int) -> Output | Failure:
        reserved = await limits.turn(lambda: size(case), sleep)
        ended = await answer(case, repeat)
        usage = ended.usage if isinstance(ended, Output) else None
        if usage and usage.input_tokens is not None and usage.output_tokens is not None:
            limits.settle(reserved, usage.input_tokens + usage.output_tokens)
        return ended

    return call
