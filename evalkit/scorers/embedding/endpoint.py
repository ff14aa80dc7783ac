"""Get embeddings from an endpoint with OpenAI's `POST /embeddings`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evalkit.errors import InputError, Problem, what_and_fix
from evalkit.net.addresses import endpoint_url, key_header
from evalkit.net.exchange import HttpRequest, Sleep, new_session, read_capped, retried, send
from evalkit.net.keys import key_problem, read_key
from evalkit.net.proxies import find_proxy
from evalkit.net.retry import REPEATABLE, ExchangeFailed, TimeLeft
from evalkit.net.vendors import VENDORS
from evalkit.net.waits import Waits
from evalkit.scorers.embedding.batches import BatchRejected, EmbeddingError
from evalkit.text.escaping import cut

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

DEFAULT_BASE_URL = VENDORS["openai"].base_url
REJECTED = frozenset({400, 413, 422})
MAX_CONNECTIONS = 16
SHOWN_CHARS = 300
MOST_BYTES_A_TEXT = 1 << 20
"""Limit of a reply; a vector of 4,096 numbers, written with 20 digits each, takes about 100 kB."""
OPTIONS = frozenset({"model", "base_url", "api_key_env", "api_key_header"})


@dataclass(frozen=True, kw_only=True)
class EmbeddingEndpoint:
    """Model, address, key and timeouts of an embedding endpoint."""

    model: str
    base_url: str = DEFAULT_BASE_URL
    api_key: str = field(default="", repr=False)
    api_key_header: str | None = None
    """Header that carries the key. Default: `Authorization`, with `Bearer`; `api-key` for Azure."""
    proxy: str | None = field(default=None, repr=False)
    timeout_s: float = 60.0
    """Longest wait for one exchange."""
    deadline_s: float = 300.0
    """Longest time of one batch with its retries and waits."""
    retries: int = 6


def endpoint_from(
    options: Mapping[str, Any], environ: Mapping[str, str], waits: Waits | None = None
) -> EndpointEmbedder:
    """Read `{model, base_url, api_key_env, api_key_header}`.

    Raises:
        InputError: unknown option, no model, a key that is not in the environment, or a proxy that cannot be used.
    """
    unknown = sorted(set(options) - OPTIONS)
    if unknown:
        raise InputError(
            Problem(
                "embedding.openai", f"unknown option {unknown[0]!r}", "use model, base_url, api_key_env, api_key_header"
            )
        )
    texts = {name: value for name, value in options.items() if isinstance(value, str) and value}
    if "model" not in texts or len(texts) != len(options):
        raise InputError(
            Problem("embedding.openai", "model, base_url, api_key_env and api_key_header are texts; model is required")
        )
    base_url = texts.get("base_url", DEFAULT_BASE_URL).rstrip("/")
    if not base_url.startswith(("https://", "http://")):
        raise InputError(Problem("embedding.openai.base_url", f"{base_url!r} is not a URL", "start it with https://"))
    try:
        proxy = find_proxy(base_url, environ)
    except ValueError as error:
        raise InputError(Problem("embedding.openai.base_url", *what_and_fix(error))) from None
    endpoint = EmbeddingEndpoint(
        model=texts["model"],
        base_url=base_url,
        api_key=_key(texts.get("api_key_env"), environ),
        api_key_header=texts.get("api_key_header"),
        proxy=proxy,
    )
    return EndpointEmbedder(endpoint, waits=waits)


def _key(variable: str | None, environ: Mapping[str, str]) -> str:
    if variable is None:
        return ""
    if problem := key_problem(variable, environ):
        raise InputError(Problem("embedding.openai.api_key_env", *problem))
    return read_key(variable, environ)


class EndpointEmbedder:
    """Asks the endpoint for one batch at a time over one session, and retries transient failures."""

    def __init__(self, endpoint: EmbeddingEndpoint, sleep: Sleep | None = None, waits: Waits | None = None) -> None:
        self._endpoint = endpoint
        self._waits = waits
        self._sleep = sleep
        self._session: ClientSession | None = None

    @property
    def name(self) -> str:
        """Model and address without credentials or query."""
        from yarl import URL

        url = URL(self._endpoint.base_url)
        return f"openai {self._endpoint.model} {url.host}{'' if url.is_default_port() else f':{url.port}'}{url.path}"

    async def raw(self, texts: list[str]) -> npt.ArrayLike:
        """See `RawEmbedder.raw`."""
        at = self._endpoint
        request = HttpRequest(
            url=endpoint_url(at.base_url, "embeddings"),
            body=json.dumps({"model": at.model, "input": texts}).encode(),
            headers=key_header(at.api_key, at.base_url, at.api_key_header) if at.api_key else {},
            proxy=at.proxy,
        )
        most = MOST_BYTES_A_TEXT * (len(texts) + 1)
        left = TimeLeft(at.deadline_s, "deadline_s")

        async def read(response: ClientResponse) -> bytes:
            return await read_capped(response, most)

        async def attempt() -> bytes:
            return await send(self._open(), request, read, left, limit_s=at.timeout_s)

        policy = replace(REPEATABLE, retries=at.retries)
        try:
            answered = await retried(attempt, policy, left, waits=self._waits, sleep=self._sleep)
        except ExchangeFailed as failure:
            raise self._error(failure, len(texts)) from None
        return _vectors(answered.value.decode("utf-8", "replace"), len(texts), self.name)

    def _error(self, failure: ExchangeFailed, texts: int) -> EmbeddingError:
        if failure.kind == "too_large":
            return EmbeddingError(f"{self.name}: {failure.message} for {texts} texts; check base_url")
        said = failure.message
        if failure.status is not None:
            body = failure.body.decode("utf-8", "replace") or failure.message
            said = f"status {failure.status}: {self._shown(body)}"
        error = BatchRejected if failure.status in REJECTED else EmbeddingError
        return error(f"{self.name}: {said}{failure.after}")

    def _open(self) -> ClientSession:
        if self._session is None:
            self._session = new_session(MAX_CONNECTIONS)
        return self._session

    def _shown(self, body: str) -> str:
        key = self._endpoint.api_key
        return cut((body.replace(key, "***") if key else body).strip(), SHOWN_CHARS)

    async def open(self) -> None:
        """Do nothing; nothing is requested before the first text."""

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _vectors(body: str, expected: int, name: str) -> npt.ArrayLike:
    """Read `{"data": [{"index": 0, "embedding": [...]}, ...]}` in the order of the request."""
    try:
        data = json.loads(body)["data"]
        rows = {int(item["index"]): item["embedding"] for item in data}
        vectors = np.array([rows[index] for index in range(len(data))], dtype=np.float64)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        shown = cut(body, SHOWN_CHARS)
        raise EmbeddingError(f"{name}: the reply holds no vectors ({type(error).__name__}): {shown}") from error
    if vectors.ndim != 2 or vectors.shape[1] == 0 or len(vectors) != expected:
        raise EmbeddingError(f"{name}: the reply has shape {vectors.shape} for {expected} texts")
    return vectors
