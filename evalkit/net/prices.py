"""Compute the cost of the tokens of a call."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from evalkit.net.addresses import is_local


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Prices of tokens."""

    input_usd_per_million: float
    output_usd_per_million: float
    cached_input_usd_per_million: float | None = None
    """Price of cached input; by default the same as for other input."""

    def __post_init__(self) -> None:
        for name in ("input_usd_per_million", "output_usd_per_million", "cached_input_usd_per_million"):
            price = getattr(self, name)
            if price is not None and not 0 <= price < float("inf"):
                raise ValueError(f"{name}: expected US dollars of at least 0, got {price}; write 0.15")

    def cost_usd(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float | None:
        """Return the cost of one call in US dollars; `None` if more cached input is reported than input."""
        cost = input_tokens * self.input_usd_per_million + output_tokens * self.output_usd_per_million
        if self.cached_input_usd_per_million is not None:
            if cached_tokens > input_tokens:
                return None
            cost -= cached_tokens * (self.input_usd_per_million - self.cached_input_usd_per_million)
        return cost / 1e6


def listed_cost_usd(
    model: str, base_url: str, input_tokens: int, output_tokens: int, cached_tokens: int = 0
) -> float | None:
    """Price one call by the bundled table of genai-prices, for the vendor at `base_url`. Nothing is fetched.

    Returns:
        US dollars; `None` if the vendor or the model is unknown.
    """
    if is_local(
        urlsplit(base_url).hostname or ""
    ):  # no vendor's price applies, and the table takes half a second to load
        return None
    from genai_prices import Usage, calc_price

    usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens, cache_read_tokens=cached_tokens)
    try:
        price = calc_price(usage, model_ref=model, provider_api_url=base_url)
    except (LookupError, ValueError):  # ValueError: more cached than input tokens were reported
        return None
    return float(price.total_price)
