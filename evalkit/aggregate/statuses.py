"""Define codes for the status of a metric in a row, and the metrics that every run has."""

import re

from evalkit.types import Verdict

ABSENT, SCORED, UNSCORED, ERRORED = range(4)
"""Status of a metric in a row: not applied by the suite, or how its grade ended."""
STATUS_MASK, PASSED_BIT, FAILED_BIT = 3, 4, 8
"""A status byte holds the status in its low bits, and the verdict of the pass mark if the scorer has one."""
REPLAYED_BIT, JUDGE_USAGE_BIT, USER_USAGE_BIT = 1, 2, 4
VERDICTS: tuple[Verdict, ...] = ("failed", "passed", "scored", "unscored", "system_error", "skipped")
STATES = ("scored", "unscored", "system_error", "skipped")
QUARANTINED = "quarantined"
"""Start of the reason for a case that was skipped because processes died of it."""
DERIVED_METRICS = frozenset(
    "pass_rate pass_rate_production pass_any pass_all pass_spread latency_p50_s latency_p95_s latency_p99_s "
    "ttft_p50_s ttft_p95_s ttft_p99_s tokens_per_s cost_per_case_usd judge_cost_usd_per_case "
    "user_cost_usd_per_case monthly_cost_usd throughput_per_s tokens_per_case tool_calls_per_case "
    "cost_usd_per_success tokens_per_success tool_calls_per_success seconds_per_success".split()
)
"""Metrics that every run has without a scorer; their names are reserved."""
NODE_AMOUNTS = ("cost_usd", "tokens")
"""Amounts of a node that can be gated."""
_OF_CHOSEN_RUNS = re.compile(r"(pass_all|pass_any)_([1-9]\d{0,3})")


def chosen_runs(name: str) -> tuple[str, int] | None:
    """Split `pass_all_3` into `pass_all` and 3; `None` for other metrics."""
    found = _OF_CHOSEN_RUNS.fullmatch(name)
    return (found[1], int(found[2])) if found else None


def node_amount(name: str) -> tuple[str, str] | None:
    """Split `tokens:planner` into `tokens` and `planner`; `None` for other metrics."""
    amount, colon, node = name.partition(":")
    return (amount, node) if colon and node and amount in NODE_AMOUNTS else None


def is_derived(name: str) -> bool:
    """Return whether runs have a metric without a scorer."""
    return name in DERIVED_METRICS or chosen_runs(name) is not None or node_amount(name) is not None


KEY_BYTES = 16
