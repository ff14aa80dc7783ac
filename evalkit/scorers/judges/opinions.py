"""Combine several opinions about one answer, of one judge or of a panel, into one grade."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from evalkit.scorers.judges.asking import total_usage
from evalkit.types import Unscored, Usage

Combine = Literal["majority", "mean", "agree"]
COMBINE: tuple[Combine, ...] = ("majority", "mean", "agree")
MAX_SAMPLES = 50
KEY_REFUSED = frozenset({"judge_http_401", "judge_http_403", "judge_no_key"})
"""Failures that affect every case, such as a missing key; they end the panel's opinion."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """One opinion of one judge."""

    value: float
    reason: str
    details: Mapping[str, Any] = field(default_factory=dict)
    usage: Usage | None = None


def combined(metric: str, opinions: Sequence[Opinion | Unscored], rule: Combine) -> Opinion | Unscored:
    """Combine several opinions into one; each of them is kept under `opinions` in its details.

    `majority` takes the value that more than half of all opinions gave, so that a failed call counts for no value;
    `mean` and `agree` need every opinion. If the rule gives no value, the answer is unscored.

    Args:
        metric: name that an `Unscored` carries.
        opinions: at least one; a single one is returned as it is.
        rule: how they are combined.
    """
    if len(opinions) == 1:
        return opinions[0]
    usage = total_usage([each.usage for each in opinions])
    given = [each for each in opinions if isinstance(each, Opinion)]
    failed = [each for each in opinions if isinstance(each, Unscored)]
    refused = [each for each in failed if each.kind in KEY_REFUSED]
    if not given or refused or (failed and rule != "majority"):
        failed = refused or failed
        return Unscored(metric, failed[0].kind, f"{len(failed)} of {len(opinions)}: {failed[0].message}", usage)
    value = _value([each.value for each in given], len(opinions), rule)
    if value is None:
        said = ", ".join(f"{each.value:g}" for each in given)
        more = f" ({len(failed)} failed)" if failed else ""
        return Unscored(metric, "judges_disagree", f"{rule} of {len(opinions)}: {said}{more}", usage)
    nearest = min(given, key=lambda each: abs(each.value - value))
    same = sum(each.value == nearest.value for each in given)
    reason = f"{same} of {len(opinions)} say {nearest.value:g}: {nearest.reason}"
    return Opinion(value, reason, {"combine": rule, "opinions": [_record(each) for each in opinions]}, usage)


def _value(values: Sequence[float], asked: int, rule: Combine) -> float | None:
    if rule == "mean":
        return sum(values) / len(values)
    value, count = Counter(values).most_common(1)[0]
    needed = asked if rule == "agree" else asked // 2 + 1
    return value if count >= needed else None


def _record(opinion: Opinion | Unscored) -> Mapping[str, Any]:
    if isinstance(opinion, Unscored):
        return {"unscored": opinion.kind, "message": opinion.message}
    return {"value": opinion.value, "reason": opinion.reason, **opinion.details}


def check_samples(samples: int) -> None:
    """Reject a number of opinions outside the limits.

    Raises:
        ValueError: It is not within 1 to 50.
    """
    if not 1 <= samples <= MAX_SAMPLES:
        raise ValueError(f"samples: expected 1 to {MAX_SAMPLES}, got {samples}; write 1 for a single opinion")
