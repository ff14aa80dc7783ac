"""Send one HTTP request, read a reply of limited size, and retry under a policy."""

from __future__ import annotations

import asyncio
import io
import random
import zlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Generic, TypeVar

from evalkit.net.retry import ExchangeFailed, RetryPolicy, StatusReply, TimeLeft
from evalkit.net.waits import Waits
from evalkit.text.values import one_line

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]

SHOWN_BYTES = 64 * 1024
"""Maximum number of bytes read from the body of a refusal."""
KEEPALIVE_S = 1.5
"""Seconds; shorter than common servers keep an idle connection (2 to 5 s), so that none is reused while closing."""
_BIG_BODY = 1 << 20
_AUTHORITIES = "SSL_CERT_FILE"
"""Environment variable that OpenSSL reads."""
_sleep: Sleep = asyncio.sleep  # by name: a system under test may patch the module
_RNG = random.Random()  # noqa: S311 - jitter needs no secrecy


@dataclass(frozen=True, kw_only=True)
class HttpRequest:
    """One HTTP request."""

    url: str
    body: bytes
    method: str = "POST"
    headers: Mapping[str, str]
    proxy: str | None = None
    """Address of the proxy, as `find_proxy` returns it."""


@dataclass(frozen=True)
class TimedReply(Generic[T]):
    """A reply, and when its attempt began (`time.perf_counter`)."""

    value: T
    started: float
    attempts: int


def new_session(connections: int) -> aiohttp.ClientSession:
    """Open a session with at most `connections` connections; the caller closes it.

    It stores no cookies, so that no reply changes the next request. It reads nothing from the environment: aiohttp's
    `trust_env` would also send the passwords of ~/.netrc, so each request carries its own proxy.
    """
    import aiohttp

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=KEEPALIVE_S),
        headers={"Content-Type": "application/json", "Accept-Encoding": "gzip, deflate", "User-Agent": "evalkit"},
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # callers bound each exchange
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,  # `read_capped` counts decompressed bytes
    )


async def send(
    session: aiohttp.ClientSession,
    request: HttpRequest,
    read: Callable[[aiohttp.ClientResponse], Awaitable[T]],
    left: TimeLeft,
    *,
    limit_s: float | None,
) -> T:
    """Make one exchange; redirects are not followed, since they could send a key to another host.

    Args:
        session: The session of `new_session`.
        request: What to send.
        read: Reads a reply with a 2xx status.
        left: Time budget of the call.
        limit_s: Longest time of this exchange, `None` if the caller bounds it.

    Raises:
        ExchangeFailed: No usable reply.
    """
    import aiohttp

    # aiohttp warns about raw bytes beyond 1 MiB, and sends a file in pieces.
    data = request.body if len(request.body) < _BIG_BODY else io.BytesIO(request.body)
    bound_s = None if limit_s is None else min(limit_s, left.seconds)
    began = monotonic()
    try:
        async with (
            asyncio.timeout(bound_s),
            session.request(
                request.method,
                request.url,
                data=data,
                headers=request.headers,
                allow_redirects=False,
                proxy=request.proxy,
            ) as response,
        ):
            if 200 <= response.status < 300:
                return await read(response)
            raise await _refusal(response)
    except aiohttp.ClientConnectorCertificateError as error:
        what = f"the certificate of {error.host} is not accepted: {one_line(error.certificate_error, 120)}"
        fix = f"set {_AUTHORITIES} to the file of your certificate authority"
        raise ExchangeFailed("connection", f"{what}; {fix}") from None
    except aiohttp.ClientConnectorError as error:
        raise ExchangeFailed("connection", _said(error), fate="not_sent") from None
    except aiohttp.ClientHttpProxyError as error:
        what = f"the proxy answered {error.status} {one_line(error.message, 100)}; check the proxy in the environment"
        raise ExchangeFailed("connection", what, fate="not_sent" if error.status >= 500 else "lasting") from None
    except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError) as error:
        raise ExchangeFailed("connection", _said(error), fate="lost") from None
    except aiohttp.ClientError as error:
        raise ExchangeFailed("connection", _said(error)) from None
    except TimeoutError:
        if bound_s is None:
            raise
        raise ExchangeFailed("timeout", f"no reply within {bound_s:.3g} s", fate="lost") from None
    finally:
        left.spend(monotonic() - began)


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {one_line(error, 200)}"


async def _refusal(response: aiohttp.ClientResponse) -> ExchangeFailed:
    try:
        body = await read_capped(response, SHOWN_BYTES, cut=True)
        text = one_line(body.decode("utf-8", "replace"), 300)
    except ExchangeFailed as error:
        body, text = b"", error.message
    if 300 <= response.status < 400:
        text = "redirects are not followed; configure the address that it leads to"
    refusal = StatusReply(response.status, body, response.headers.get("Retry-After"))
    return ExchangeFailed(f"http_{response.status}", text or response.reason or "no text", refusal=refusal)


async def retried(
    attempt: Callable[[], Awaitable[T]],
    policy: RetryPolicy,
    left: TimeLeft,
    *,
    waits: Waits | None = None,
    sleep: Sleep | None = None,
    rng: random.Random = _RNG,
) -> TimedReply[T]:
    """Make attempts until one is answered, one fails permanently, or none is left.

    Args:
        attempt: Makes one exchange; exceptions other than `ExchangeFailed` are not handled here.
        policy: Which failures are retried, and when.
        left: Time budget of the call.
        waits: Where each wait is noted for the progress of the run.
        sleep: Waits a number of seconds.
        rng: Source of the jitter.

    Raises:
        ExchangeFailed: The last failure; its `after` says why there was no further attempt.
    """
    number = 0
    while True:
        started = perf_counter()
        try:
            return TimedReply(await attempt(), started, number + 1)
        except ExchangeFailed as failure:
            tries = f" (after {number + 1} attempts)" if number else ""
            if not policy.repeats(failure) or number == policy.retries:
                failure.after = tries
                raise
            asked_s = failure.asked_s(datetime.now(UTC))
            wait_s = policy.wait_s(number, asked_s, left.seconds, rng)
            if wait_s is None:
                failure.after = f"; {_late(policy.shortest_wait_s(number, asked_s), left)}{tries}"
                raise
            kind = failure.kind
        left.spend(wait_s)
        with nullcontext() if waits is None else waits.one(kind, wait_s):
            await (_sleep if sleep is None else sleep)(wait_s)
        number += 1


def _late(seconds: float, left: TimeLeft) -> str:
    due = (
        f"the next attempt is due in {seconds:.{0 if seconds >= 10 else 1}f} s, {max(0.0, left.seconds):.0f} s are left"
    )
    return f"{due}; raise {left.setting} or lower the concurrency"


async def read_capped(response: aiohttp.ClientResponse, max_bytes: int, *, cut: bool = False) -> bytes:
    """Read a reply of at most `max_bytes`, counted after decompression.

    Args:
        response: The open reply.
        max_bytes: Most bytes that are read.
        cut: Return the beginning of a longer reply instead of failing.

    Raises:
        ExchangeFailed: `too_large`, or `encoding` for one that was not requested.
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
            response.close()
            raise too_large(max_bytes)
        return body[:max_bytes]
    return body


def too_large(max_bytes: int) -> ExchangeFailed:
    """Return the failure of a reply beyond its limit."""
    return ExchangeFailed("too_large", f"the reply is longer than {max_bytes} bytes")


def _decompressed(body: bytes, encoding: str, max_bytes: int) -> bytes:
    if not encoding or encoding.lower() == "identity" or not body:
        return body
    if encoding.lower() not in ("gzip", "x-gzip", "deflate"):
        what = f"the reply is encoded as {one_line(encoding, 40)}, which was not asked for"
        raise ExchangeFailed("encoding", what)
    try:
        # 32 + the largest window: gzip or zlib, whichever the header says.
        return zlib.decompressobj(wbits=32 + zlib.MAX_WBITS).decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise ExchangeFailed("encoding", f"the reply cannot be decompressed: {one_line(error, 100)}") from None
