"""Compute the cost of a judge's call."""

from __future__ import annotations

from evalkit.llm.config import ChatConfig
from evalkit.net.prices import listed_cost_usd


def cost_usd(
    config: ChatConfig, *, input_tokens: int | None, output_tokens: int | None, cached_tokens: int = 0
) -> float | None:
    """Price one call by the suite's own prices, else by the bundled table.

    Returns:
        US dollars; `None` if the tokens or the price of the model are unknown.
    """
    if input_tokens is None or output_tokens is None:
        return None
    if config.prices is not None:
        return config.prices.cost_usd(input_tokens, output_tokens, cached_tokens)
    return listed_cost_usd(config.model, config.base_url, input_tokens, output_tokens, cached_tokens)
