"""Compute the cost of a judge's call."""

from __future__ import annotations

from evalkit.llm.config import ChatConfig
from evalkit.net.prices import listed_cost_usd

BATCH_SHARE = 0.5
"""Price of a call in a batch, relative to a direct one, of OpenAI and Anthropic alike.

Sources: https://platform.openai.com/docs/guides/batch, https://docs.claude.com/en/docs/build-with-claude/batch-processing
"""


def cost_usd(
    config: ChatConfig,
    *,
    input_tokens: int | None,
    output_tokens: int | None,
    cached_tokens: int = 0,
    share: float = 1.0,
) -> float | None:
    """Price one call by the suite's own prices, else by the bundled table.

    Args:
        config: The endpoint.
        input_tokens: Tokens of the request.
        output_tokens: Tokens of the reply.
        cached_tokens: Those of the input that the vendor had cached.
        share: Share of the price of a direct call, 0 to 1; `BATCH_SHARE` for a call in a batch.

    Returns:
        US dollars; `None` if the tokens or the price of the model are unknown.
    """
    if input_tokens is None or output_tokens is None:
        return None
    if config.prices is not None:
        cost = config.prices.cost_usd(input_tokens, output_tokens, cached_tokens)
    else:
        cost = listed_cost_usd(config.model, config.base_url, input_tokens, output_tokens, cached_tokens)
    return None if cost is None else cost * share
