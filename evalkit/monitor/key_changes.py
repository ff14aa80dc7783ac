"""Find the streams that another judge or rubric continues: a new score key is a new series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from evalkit.monitor.grading import PASSED, SCORED
from evalkit.monitor.series import ALL_CALLS, MetricFacts, Stream, date_of
from evalkit.stats.weighted_sums import WeightedSums


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChange:
    """A metric whose scores depend on something else from a day on."""

    metric: str
    old: str
    """Score key until then."""
    new: str
    day: int
    """First day of the new key, since 1970."""
    is_known: bool
    """Whether the reference has the new key too, as the change was within its period."""
    judges: tuple[str, str]
    """Judge before and after; empty for a program."""

    @property
    def name(self) -> tuple[str, str, str]:
        """Metric of the scorer, old and new score key: shared by its pass rate, its score and its coverage."""
        return self.metric.removesuffix(PASSED).removesuffix(SCORED), self.old, self.new

    @property
    def what(self) -> str:
        """The change in words."""
        before, after = self.judges
        if not (before or after):
            return f"the scorer of {self.name[0]} changed on {date_of(self.day)}"
        models = f" from {before} to {after}" if before != after else " (same model, other rubric or settings)"
        return f"the judge of {self.name[0]} changed on {date_of(self.day)}{models}"


def key_changes(
    days: Mapping[Stream, Mapping[int, WeightedSums]], facts: Iterable[MetricFacts], old: Iterable[tuple[str, str]]
) -> list[KeyChange]:
    """Return the changes of the given metrics, by name.

    Args:
        days: Day -> sums of all streams since the keys were in use.
        facts: Of the metrics.
        old: Pairs of metric and score key of the reference.
    """
    known = {(each.metric, each.score_key): each for each in facts}
    changes = []
    pairs = set(old)
    for metric, key in sorted(pairs):
        own = days.get(Stream(metric, ALL_CALLS, key), {})
        others = {
            stream.score_key: found
            for stream, found in days.items()
            if (stream.metric, stream.cohort) == (metric, ALL_CALLS) and stream.score_key != key and found
        }
        # The key that was used last is the one in use now.
        newest = max(others, key=lambda each: (max(others[each]), each), default=None)
        if newest is None or max(others[newest]) <= max(own, default=-1):
            continue
        judges = tuple(known[metric, each].judge if (metric, each) in known else "" for each in (key, newest))
        first = min(day for day in others[newest] if day >= max(own, default=-1))
        changes.append(
            KeyChange(
                metric=metric,
                old=key,
                new=newest,
                day=first,
                is_known=(metric, newest) in pairs,
                judges=(judges[0], judges[1]),
            )
        )
    return changes
