"""One HTTP endpoint called many times: a shared session, retries with a deadline, capped replies."""

from __future__ import annotations

import email.utils
import io
import random
import re
import time
import zlib
from asyncio import sleep
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urlsplit

from evalkit.errors import Problem
from evalkit.net.waits import waiting
from evalkit.systems.base import CallFailed
from evalkit.systems.secrets import filled, missing, names_in
from evalkit.text.values import one_line
from evalkit.types import Failure, Output

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")

RETRIED_STATUSES = frozenset({429, 502, 503, 504})
FIRST_WAIT_S = 0.25
JITTER_S = 1.0
"""Added on top of every wait, so that calls refused together do not come back together."""
SHOWN_BYTES = 2048
_BIG_BODY = 1 << 20
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token of RFC 9110, section 5.6.2."""
_SECRET_HEADER = re.compile(r"authorization|cookie|(api|access|auth|subscription)[-_]?(key|token)", re.IGNORECASE)


@dataclass(frozen=True)
class SystemReply(Generic[T]):
    """What the endpoint answered, and when the attempt that was answered began (`time.perf_counter`)."""

    value: T
    started: float
    attempts: int


@dataclass(frozen=True, kw_only=True)
class SystemEndpoint:
    """A URL with its session; `connect` makes one for the length of a run."""

    session: aiohttp.ClientSession
    method: str
    url: str
    timeout_s: float
    retries: int

    async def call(self, body: bytes, read: Callable[[aiohttp.ClientResponse], Awaitable[T]]) -> SystemReply[T]:
        """Send `body` and `read` the reply; 429, 502, 503, 504 and broken connections are tried again.

        A wait is never shorter than what `Retry-After` asks for and never outlasts the deadline: then the call fails
        at once.

        Raises:
            CallFailed: `http_<status>`, `connection`, or what `read` raised.
        """
        deadline = time.monotonic() + self.timeout_s
        attempt = 1
        while True:
            started = time.perf_counter()
            failure, asked_s = await self._attempt(body, read)
            if not isinstance(failure, Failure):
                return SystemReply(failure, started, attempt)
            if asked_s is None or attempt > self.retries:
                raise _given_up(failure, attempt)
            wait_s = _wait_s(asked_s, attempt, deadline - time.monotonic())
            if wait_s is None:
                raise _given_up(failure, attempt, asked_s)
            with waiting(failure.kind, wait_s):
                await sleep(wait_s)
            attempt += 1

    async def _attempt(
        self, body: bytes, read: Callable[[aiohttp.ClientResponse], Awaitable[T]]
    ) -> tuple[T | Failure, float | None]:
        """The reply, or the failure with the seconds to wait before another attempt (`None`: no other attempt)."""
        import aiohttp

        # aiohttp warns about raw bytes beyond 1 MiB, and sends a file in pieces.
        data = body if len(body) < _BIG_BODY else io.BytesIO(body)
        try:
            async with self.session.request(self.method, self.url, data=data, allow_redirects=False) as response:
                if 200 <= response.status < 300:
                    return await read(response), None
                failure = Failure(f"http_{response.status}", await self._refusal(response))
                if response.status not in RETRIED_STATUSES:
                    return failure, None
                return failure, retry_after_s(response.headers.get("Retry-After"), time.time())
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError) as error:
            return Failure("connection", f"{self.place}: {type(error).__name__}: {one_line(error, 200)}"), 0.0
        except aiohttp.ClientError as error:
            return Failure("connection", f"{self.place}: {type(error).__name__}: {one_line(error, 200)}"), None

    async def _refusal(self, response: aiohttp.ClientResponse) -> str:
        try:
            text = (await read_bytes(response, SHOWN_BYTES, cut=True)).decode("utf-8", "replace")
        except CallFailed as error:
            text = str(error)
        if 300 <= response.status < 400:
            text = "redirects are not followed; configure the address that it leads to"
        return f"{self.place} answered {response.status}: {one_line(text, 300) or response.reason or 'no text'}"

    @property
    def place(self) -> str:
        """Method and address, without what may be secret: user, query and fragment."""
        parts = urlsplit(self.url)
        return f"{self.method} {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def timed_by(output: Output | Failure, reply: SystemReply[Any]) -> Output | Failure:
    """Give the latency of the attempt that was answered, where earlier ones and waits came before it."""
    if reply.attempts == 1 or isinstance(output, Failure):
        return output
    measured = time.perf_counter() - reply.started if output.latency_s is None else output.latency_s
    return replace(output, latency_s=measured, attempts=reply.attempts)


def _wait_s(asked_s: float, attempt: int, left_s: float) -> float | None:
    """Seconds until the next attempt; `None` where the deadline comes first."""
    doubled = 2.0 ** (attempt - 1)
    shortest = max(asked_s, FIRST_WAIT_S * doubled)
    if shortest >= left_s:
        return None
    return shortest + random.uniform(0, min(JITTER_S * doubled, left_s - shortest))  # noqa: S311 -- spreads load


def _given_up(failure: Failure, attempts: int, asked_s: float = 0.0) -> CallFailed:
    after = f" (after {attempts} attempts)" if attempts > 1 else ""
    late = f"; it asks to wait {asked_s:g} s, longer than timeout_s leaves" if asked_s else ""
    return CallFailed(failure.kind, f"{failure.message}{late}{after}")


def retry_after_s(header: str | None, now: float) -> float:
    """Seconds that `Retry-After` asks to wait (RFC 9110, 10.2.3): a number or a date; 0 where it says nothing usable.

    Args:
        header: The header's value.
        now: Seconds since the epoch.
    """
    if not header:
        return 0.0
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(header).timestamp() - now
        except (ValueError, OverflowError):
            return 0.0
    return seconds if 0 < seconds < float("inf") else 0.0


async def read_bytes(response: aiohttp.ClientResponse, max_bytes: int, *, cut: bool = False) -> bytes:
    """Read a reply of at most `max_bytes`, counted after decompression.

    Args:
        response: The open reply.
        max_bytes: The most that is held.
        cut: Give the beginning of a longer reply instead of failing.

    Raises:
        CallFailed: `too_large`, or `bad_output` for an encoding that was not asked for.
    """
    chunks = []
    size = 0
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > max_bytes:
            break
    body = _decompressed(b"".join(chunks), response.headers.get("Content-Encoding", ""), max_bytes)
    if len(body) > max_bytes or size > max_bytes:
        if not cut:
            raise CallFailed(
                "too_large", f"the reply is longer than max_bytes ({max_bytes}); raise it if this is meant"
            )
        return body[:max_bytes]
    return body


def _decompressed(body: bytes, encoding: str, max_bytes: int) -> bytes:
    if not encoding or encoding.lower() == "identity" or not body:
        return body
    if encoding.lower() not in ("gzip", "x-gzip", "deflate"):
        raise CallFailed("bad_output", f"the reply is encoded as {one_line(encoding, 40)}, which was not asked for")
    try:
        # 32 + the largest window: gzip or zlib, whichever the header says.
        return zlib.decompressobj(wbits=32 + zlib.MAX_WBITS).decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise CallFailed("bad_output", f"the reply cannot be decompressed: {one_line(error, 100)}") from None


def check_limits(retries: int, max_bytes: int) -> None:
    """Refuse limits that cannot be meant.

    Raises:
        ValueError: In the form `<field>: what; fix`.
    """
    if not 0 <= retries <= 20:
        raise ValueError(f"retries: expected 0 to 20, got {retries}; write a number such as 2")
    if max_bytes < 1:
        raise ValueError(f"max_bytes: expected at least 1, got {max_bytes}; write a number such as 10000000")


def url_problems(place: str, url: str, env: Mapping[str, str]) -> list[Problem]:
    """What is wrong with a URL that may hold `${NAME}`."""
    if problems := missing(place, names_in(url), env):
        return problems
    try:
        parts = urlsplit(filled(url, env))
        sound = parts.scheme in ("http", "https") and parts.hostname and not re.search(r"\s", parts.netloc)
        if sound and (parts.port or 0) >= 0:
            return []
    except ValueError:
        pass
    return [Problem(place, f"expected an http or https address, got {url!r}", "write `https://host/path`")]


def header_problems(place: str, headers: Mapping[str, str], env: Mapping[str, str]) -> list[Problem]:
    """What is wrong with headers that may hold `${NAME}`: unset variables, secrets in plain sight, line breaks."""
    problems = []
    for name, text in headers.items():
        problems += missing(f"{place}.{name}", names_in(text), env)
        if _SECRET_HEADER.search(name) and not names_in(text):
            fix = f"write `{name}: ${{MY_KEY}}` and set that variable"
            problems.append(Problem(f"{place}.{name}", "a secret is written into the suite", fix))
        if re.search(r"[\r\n\0]", name + text):
            problems.append(Problem(f"{place}.{name}", "a header holds a line break", "remove it"))
        elif not _HEADER_NAME.fullmatch(name):
            problems.append(Problem(f"{place}.{name}", "no name of a header", "write letters, digits and -"))
    return problems


@asynccontextmanager
async def connect(
    method: str, url: str, headers: Mapping[str, str], *, concurrency: int, timeout_s: float, retries: int
) -> AsyncIterator[SystemEndpoint]:
    """Hold one session with as many connections as calls may be in flight.

    Cookies are not kept, so that no case changes what the next one gets; proxies of the environment are not used.
    """
    import aiohttp

    sent = {"Content-Type": "application/json", "Accept-Encoding": "gzip, deflate", "User-Agent": "evalkit", **headers}
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=concurrency),
        headers=sent,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # `timed` bounds the call
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,  # the cap counts decompressed bytes, so decompression is ours
    ) as session:
        yield SystemEndpoint(session=session, method=method, url=url, timeout_s=timeout_s, retries=retries)
