"""Print the pass rates of two groups of cases."""

from typing import TYPE_CHECKING

import typer

from evalkit.text.numbers import Style, bounds, difference, estimated

if TYPE_CHECKING:
    from evalkit.operations.case_rates import CaseRates


def print_rates(rates: "CaseRates", chosen: str, others: str) -> None:
    """Print a line for each group, and one for the difference if both have a rate.

    Args:
        rates: what to print.
        chosen: words for the first group, such as `these cases`.
        others: words for the second.
    """
    rate, gap = Style("rate"), rates.difference
    lines = [(f"pass rate of {chosen}", estimated(rates.chosen, rate))]
    lines += [(f"pass rate of {others}", estimated(rates.others, rate))]
    if gap.value is not None:
        lines += [("difference", f"{difference(gap.value, rate, gap.n)} {bounds(gap, rate)}".rstrip())]
    width = max(len(words) for words, _ in lines)
    for words, text in lines:
        typer.echo(f"{words:<{width}}  {text}")
