"""Settings of an endpoint that are refused, and prices."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from evalkit.llm.config import ChatConfig
from evalkit.llm.prices import cost_usd
from evalkit.net.prices import Prices

GOOD = {"model": "m", "base_url": "https://example.org/v1"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"model": ""}, "model: empty", id="no model"),
        pytest.param({"base_url": "ftp://host/v1"}, "base_url: not an http", id="scheme"),
        pytest.param({"base_url": "example.org"}, "base_url: not an http", id="no scheme"),
        pytest.param({"base_url": "https://me:pw@host/v1"}, "base_url: holds a user", id="password in the address"),
        pytest.param({"base_url": "https://host/v1?key=1"}, "base_url: its query holds a key", id="query"),
        pytest.param({"base_url": "https://host/v1?api_key=1"}, "base_url: its query holds a key", id="key in a query"),
        pytest.param({"api_key_env": "sk-abc123"}, "api_key_env: not the name", id="literal key"),
        pytest.param({"api_key_env": "AIzaSyLiteralLooking"}, "api_key_env: not the name", id="key without a dash"),
        pytest.param({"headers": {"Authorization": "Bearer x"}}, "headers: Authorization", id="key in a header"),
        pytest.param({"headers": {"X-Api-Key": "x"}}, "headers: X-Api-Key", id="key in another header"),
        pytest.param({"max_tokens": 0}, "max_tokens: not above 0", id="no tokens"),
        pytest.param({"timeout_s": 0}, "timeout_s: not above 0", id="no time"),
        pytest.param({"deadline_s": float("nan")}, "deadline_s: not above 0", id="deadline that is not a number"),
        pytest.param({"max_retries": -1}, "max_retries: below 0", id="retries"),
        pytest.param({"temperature": 3}, "temperature: outside", id="temperature"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    """Each refusal starts with the field, and says how to fix it."""
    with pytest.raises(ValueError, match=message) as caught:
        ChatConfig(**{**GOOD, **changes})
    assert ";" in str(caught.value)


@pytest.mark.parametrize("literal", ["sk-abc123", "AIzaSyLiteralLooking"])
def test_refused_key_is_not_repeated(literal: str) -> None:
    """The message about a literal key does not show it."""
    with pytest.raises(ValueError) as caught:
        ChatConfig(**GOOD, api_key_env=literal)
    assert literal not in str(caught.value)


def config(model: str, base_url: str, **changes: Any) -> ChatConfig:
    """Settings for pricing."""
    return ChatConfig(model=model, base_url=base_url, **changes)


def test_known_model_is_priced_from_the_bundled_table() -> None:
    """A model that the table knows has a price; cached input is cheaper."""
    openai = config("gpt-4o-mini", "https://api.openai.com/v1")
    # 0.15 and 0.60 US dollars per million tokens, 0.075 for cached input.
    assert cost_usd(openai, input_tokens=1000, output_tokens=100) == pytest.approx(0.00021)
    cached = cost_usd(openai, input_tokens=1000, output_tokens=100, cached_tokens=800)
    assert cached == pytest.approx((200 * 0.15 + 800 * 0.075 + 100 * 0.6) / 1e6)


@pytest.mark.parametrize(
    ("settings", "tokens"),
    [
        pytest.param(("no-such-model", "https://api.openai.com/v1"), (1, 1, 0), id="unknown model"),
        pytest.param(("gpt-4o-mini", "http://127.0.0.1:8080/v1"), (1, 1, 0), id="known name at a local server"),
        pytest.param(("gpt-4o-mini", "https://api.openai.com/v1"), (None, 1, 0), id="unknown tokens"),
        pytest.param(("gpt-4o-mini", "https://api.openai.com/v1"), (1, 1, 9), id="more cached than sent"),
    ],
)
def test_unknown_price_is_none(settings: tuple[str, str], tokens: tuple[int | None, int, int]) -> None:
    """What cannot be priced is None, never free."""
    spent = cost_usd(config(*settings), input_tokens=tokens[0], output_tokens=tokens[1], cached_tokens=tokens[2])
    assert spent is None


NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


def test_cached_input_may_have_a_price_of_its_own() -> None:
    """Input that is cached is charged at it; the prices are US dollars of at least 0."""
    prices = Prices(input_usd_per_million=2.0, output_usd_per_million=10.0, cached_input_usd_per_million=0.5)
    config = ChatConfig(model="m", base_url="http://h/v1", prices=prices)
    # (800 x 2 + 200 x 0.5 + 10 x 10) / 1,000,000
    assert cost_usd(config, input_tokens=1000, output_tokens=10, cached_tokens=200) == pytest.approx(0.0018)
    with pytest.raises(ValueError, match=r"^output_usd_per_million: expected US dollars of at least 0, got -1; "):
        Prices(input_usd_per_million=1, output_usd_per_million=-1)
