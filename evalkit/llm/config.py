"""Define the settings of one chat endpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from evalkit.net.addresses import HEADER_NAME
from evalkit.net.prices import Prices
from evalkit.net.rate_limits import check_rate

SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "api-key", "x-api-key", "cookie"})
SECRET_PARAMETER = re.compile(r"(key|token|secret|sig|signature|password|code)$", re.IGNORECASE)
DEFAULT_TEMPERATURE = 0.0
DEFAULT_SEED = 0
ENV_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")


@dataclass(frozen=True, kw_only=True)
class ChatConfig:
    """Model, address, limits and timeouts of a chat endpoint.

    Attributes:
        model: Name of the model as the endpoint knows it.
        base_url: Address up to and without `/chat/completions`, or `/messages`; a suite may omit it for a known vendor.
            A query such as Azure's `?api-version=...` stays at the end.
        dialect: `openai` for the chat API that most endpoints speak, `anthropic` for the Messages API.
        api_key_env: Name of the environment variable that holds the key; `None` if the endpoint asks for none.
        api_key_header: Header that carries the key. Default: `Authorization`, with `Bearer`; `api-key` for Azure.
        temperature: Sampling temperature; `None` omits it. The default is dropped if the endpoint refuses it.
        max_tokens: Longest reply, in tokens.
        timeout_s: Longest wait for one HTTP exchange.
        deadline_s: Longest time that one question may take with all its retries, waits and repairs; time spent queueing
            for a free slot is not counted.
        max_retries: Exchanges after the first one of a request.
        seed: Sampling seed of sample 0; sample n sends `seed + n`. `None` sends a seed for additional samples only. The
            default is given up if the endpoint refuses it.
        requests_per_minute: Requests that the endpoint accepts; they are spread evenly. `None` for no limit.
        tokens_per_minute: Tokens that it accepts; a request counts its longest possible reply until the real one is
            known.
        prices: Prices of tokens; with `None` they come from genai-prices.
        headers: Additional HTTP headers, which must not be secret.
        batch: Whether `run` and `score` ask in batches, at half the price and within a day; other commands ask at once.
    """

    model: str
    base_url: str = ""
    dialect: Literal["openai", "anthropic"] = "openai"
    api_key_env: str | None = None
    api_key_header: str | None = None
    temperature: float | None = DEFAULT_TEMPERATURE
    max_tokens: int = 1024
    timeout_s: float = 60.0
    deadline_s: float = 300.0
    max_retries: int = 6
    seed: int | None = DEFAULT_SEED
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    prices: Prices | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    batch: bool = False

    @property
    def own_fields(self) -> frozenset[str]:
        """Sampling fields that the suite does not set; they are dropped if the endpoint refuses them."""
        own = {"temperature"} if self.temperature == DEFAULT_TEMPERATURE else set()
        return frozenset(own | ({"seed"} if self.seed in (None, DEFAULT_SEED) else set()))

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("model: empty; write the name that the endpoint knows the model by")
        self._check_url()
        self._check_secrets()
        self._check_numbers()

    def _check_url(self) -> None:
        url = urlsplit(self.base_url)
        if url.scheme not in {"http", "https"} or not url.hostname:
            raise ValueError("base_url: not an http or https URL; write one such as https://host/v1")
        try:
            url.hostname.encode("idna")
            _ = url.port
        except ValueError:
            raise ValueError("base_url: invalid host or port; write one such as https://host/v1") from None
        if url.username or url.password:
            raise ValueError("base_url: holds a user or a password; put the key in api_key_env")
        if any(SECRET_PARAMETER.search(name) for name, _ in parse_qsl(url.query, keep_blank_values=True)):
            raise ValueError("base_url: its query holds a key; put the key in api_key_env")

    def _check_secrets(self) -> None:
        # The value may be the key itself, so the message never repeats it.
        if self.api_key_env is not None and not ENV_NAME.fullmatch(self.api_key_env):
            raise ValueError(
                "api_key_env: not the name of an environment variable; write one such as JUDGE_API_KEY, never the key"
            )
        if self.api_key_header is not None and not HEADER_NAME.fullmatch(self.api_key_header):
            raise ValueError("api_key_header: not the name of a header; write one such as api-key")
        for name in self.headers:
            if name.lower() in SECRET_HEADERS:
                raise ValueError(
                    f"headers: {name} carries a secret; write `api_key_env: MY_KEY` and `api_key_header: {name}`"
                )

    def _check_numbers(self) -> None:
        for name in ("max_tokens", "timeout_s", "deadline_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: not above 0; write a positive number")
        for name in ("requests_per_minute", "tokens_per_minute"):
            check_rate(name, getattr(self, name))
        if self.max_retries < 0:
            raise ValueError("max_retries: below 0; write 0 for a single attempt")
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise ValueError("temperature: outside 0..2; write 0 for the most consistent replies")
