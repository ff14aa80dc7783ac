"""Compute what a call cost."""

from __future__ import annotations

from evalkit.llm.config import ChatConfig


def cost_usd(
    config: ChatConfig, *, input_tokens: int | None, output_tokens: int | None, cached_tokens: int = 0
) -> float | None:
    """Price one call.

    The suite's own prices come first (cached input is billed as input there); without them, the bundled table of
    genai-prices is asked for the provider of `base_url`. Nothing is fetched.

    Returns:
        US dollars; `None` if the tokens or the price of the model are unknown.
    """
    if input_tokens is None or output_tokens is None:
        return None
    prices = config.prices
    if prices is not None:
        total = input_tokens * prices["input_usd_per_million"] + output_tokens * prices["output_usd_per_million"]
        return total / 1_000_000
    return _looked_up(config.model, config.base_url, input_tokens, output_tokens, cached_tokens)


def _looked_up(model: str, base_url: str, input_tokens: int, output_tokens: int, cached_tokens: int) -> float | None:
    from genai_prices import Usage, calc_price

    usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens, cache_read_tokens=cached_tokens)
    try:
        price = calc_price(usage, model_ref=model, provider_api_url=base_url)
    except (LookupError, ValueError):  # ValueError: more cached than input tokens were reported
        return None
    return float(price.total_price)
