"""Embeddings from an endpoint that speaks OpenAI's `POST /embeddings`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evalkit.errors import InputError, Problem
from evalkit.scorers.embedding.batches import BatchRejected, EmbeddingError
from evalkit.text.escaping import cut

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

DEFAULT_BASE_URL = "https://api.openai.com/v1"
REJECTED = frozenset({400, 413, 422})
PASSING = frozenset({408, 409, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed."""
MAX_WAIT_S = 30.0
SHOWN_CHARS = 300
READ_BYTES = 1 << 16
MOST_BYTES_A_TEXT = 1 << 20
"""Of a reply: a vector of 4,096 numbers, written with 20 digits each, takes about 100 kB."""
OPTIONS = frozenset({"model", "base_url", "api_key_env"})


@dataclass(frozen=True, kw_only=True)
class EmbeddingEndpoint:
    """Where to ask, and how patiently."""

    model: str
    base_url: str = DEFAULT_BASE_URL
    api_key: str = field(default="", repr=False)
    timeout_s: float = 60.0
    tries: int = 3
    pause_s: float = 1.0
    """Pause before the second try, doubled before each later one; `Retry-After` goes before."""


def endpoint_from(options: Mapping[str, Any], environ: Mapping[str, str]) -> EndpointEmbedder:
    """Read `{model, base_url, api_key_env}`.

    Raises:
        InputError: unknown option, no model, or a key that is not in the environment.
    """
    unknown = sorted(set(options) - OPTIONS)
    if unknown:
        raise InputError(
            Problem("embedding.openai", f"unknown option {unknown[0]!r}", "use model, base_url, api_key_env")
        )
    texts = {name: value for name, value in options.items() if isinstance(value, str) and value}
    if "model" not in texts or len(texts) != len(options):
        raise InputError(Problem("embedding.openai", "model, base_url and api_key_env are texts; model is required"))
    base_url = texts.get("base_url", DEFAULT_BASE_URL).rstrip("/")
    if not base_url.startswith(("https://", "http://")):
        raise InputError(Problem("embedding.openai.base_url", f"{base_url!r} is not a URL", "start it with https://"))
    key = _key(texts.get("api_key_env"), environ)
    return EndpointEmbedder(EmbeddingEndpoint(model=texts["model"], base_url=base_url, api_key=key))


def _key(variable: str | None, environ: Mapping[str, str]) -> str:
    if variable is None:
        return ""
    if not environ.get(variable):
        raise InputError(Problem("embedding.openai.api_key_env", f"{variable} is not set", f"export {variable}=..."))
    return environ[variable]


class EndpointEmbedder:
    """Asks the endpoint for one batch at a time over one session; retries what may pass."""

    def __init__(self, endpoint: EmbeddingEndpoint) -> None:
        self._endpoint = endpoint
        self._session: ClientSession | None = None

    @property
    def name(self) -> str:
        """Model and address without credentials or query."""
        from yarl import URL

        url = URL(self._endpoint.base_url)
        return f"openai {self._endpoint.model} {url.host}{'' if url.is_default_port() else f':{url.port}'}{url.path}"

    async def raw(self, texts: list[str]) -> npt.ArrayLike:
        """See `RawEmbedder.raw`."""
        import aiohttp

        for attempt in range(1, self._endpoint.tries + 1):
            pause_s = self._endpoint.pause_s * 2 ** (attempt - 1)
            try:
                status, asked_s, body = await self._post(texts)
            except (aiohttp.ClientError, TimeoutError) as error:
                problem = f"{type(error).__name__}: {error}".rstrip(": ")
            else:
                if status == 200:
                    return _vectors(body, len(texts), self.name)
                problem = f"status {status}: {self._shown(body)}"
                if status not in PASSING:
                    raise (BatchRejected if status in REJECTED else EmbeddingError)(f"{self.name}: {problem}")
                pause_s = pause_s if asked_s is None else min(asked_s, MAX_WAIT_S)
            if attempt < self._endpoint.tries:
                await asyncio.sleep(pause_s)
        raise EmbeddingError(f"{self.name}: {problem} (after {self._endpoint.tries} tries)")

    async def _post(self, texts: list[str]) -> tuple[int, float | None, str]:
        headers = {"Accept-Encoding": "identity"}
        if self._endpoint.api_key:
            headers["Authorization"] = f"Bearer {self._endpoint.api_key}"
        request = {"model": self._endpoint.model, "input": texts}
        # A redirect would carry texts to an address that nobody configured.
        async with self._open().post(
            f"{self._endpoint.base_url}/embeddings",
            json=request,
            headers=headers,
            allow_redirects=False,
        ) as response:
            return response.status, _retry_after(response), await _read_capped(response, len(texts))

    def _open(self) -> ClientSession:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._endpoint.timeout_s))
        return self._session

    def _shown(self, body: str) -> str:
        key = self._endpoint.api_key
        return cut((body.replace(key, "***") if key else body).strip(), SHOWN_CHARS)

    async def open(self) -> None:
        """Nothing is asked before the first text."""

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _retry_after(response: ClientResponse) -> float | None:
    try:
        seconds = float(response.headers.get("Retry-After", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


async def _read_capped(response: ClientResponse, n_texts: int) -> str:
    """The body as text.

    Raises:
        EmbeddingError: It is longer than any vectors of so many texts.
    """
    parts, left = [], MOST_BYTES_A_TEXT * (n_texts + 1)
    async for part in response.content.iter_chunked(READ_BYTES):
        left -= len(part)
        if left < 0:
            response.close()
            most = MOST_BYTES_A_TEXT * (n_texts + 1)
            raise EmbeddingError(f"the reply is longer than {most} bytes for {n_texts} texts; check base_url")
        parts.append(part)
    return b"".join(parts).decode("utf-8", "replace")


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
