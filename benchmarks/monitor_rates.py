"""Measure how often `evalkit monitor` alarms without a change, and how soon it finds one: docs/error-rates.md.

    python benchmarks/monitor_rates.py --histories 40   # a minute
    python benchmarks/monitor_rates.py --only "200 a day, half by suspicion"   # one row of a table
    python benchmarks/monitor_rates.py                  # the tables of docs/error-rates.md

All figures come from the package's own functions on seeded, simulated logs: four metrics that pass 95, 85, 75 and 60 %
of the answers, each in six cohorts of 35, 25, 15, 12, 8 and 5 % of the calls (24 streams), 1.4 points lower at
weekends. A reference period of 28 or 84 days gives the estimates and the thresholds, as `monitor reference` does.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evalkit.monitor.alarms import episodes
from evalkit.monitor.recovery import restarted_scan
from evalkit.stats.quantiles import normal_quantile
from evalkit.stats.scan import DailySums, Level, ScanResult, Streams, estimate_level, is_weekend, scan
from evalkit.stats.scan_threshold import simulated_maxima, threshold
from evalkit.stats.sequence import half_width

Floats = np.ndarray
Cells = Mapping[str, str]
RATES = np.array([0.95, 0.85, 0.75, 0.60])
SHARES = np.array([0.35, 0.25, 0.15, 0.12, 0.08, 0.05])
DIP = -0.014
YEAR, HORIZON, BEFORE = 365, 120, 42
AT_ONCE = 20
ALARM, WARNING = 0.05, 1.0
"""Events a year."""
SUSPECTED = 0.10
STEPS, SKEW = 4.0, 1.75 / 0.75**0.5
"""Mean and skewness of a number of steps, which is geometric."""


@dataclass(frozen=True)
class World:
    """How logs are made."""

    a_day: int
    reference_days: int = 28
    day_sd: float = 0.0
    common: bool = False
    """Whether the days of all cohorts of a metric move together."""
    kind: str = "rates"
    """`rates`; `suspects`, half of the sample drawn by suspicion; or `steps`, a skewed number that may not rise."""

    @property
    def streams(self) -> Streams:
        """All 24 streams."""
        skewed = self.kind == "steps"
        variance = STEPS * (STEPS - 1) if skewed else np.nan
        return Streams(
            np.repeat(np.arange(4), 6), np.full(24, -1 if skewed else 1), np.full(24, variance), np.full(24, SKEW)
        )


def drawn(world: World, histories: int, days: int, rng: np.random.Generator, drop: Floats | None = None) -> DailySums:
    """Draw the daily sums of whole histories; `drop` is subtracted from the rates, shape (24, days)."""
    means = np.repeat(RATES, 6)[:, None] + DIP * is_weekend(0, days) - (0 if drop is None else drop)
    shape = (histories, 24, days)
    if world.day_sd:
        noise = rng.standard_normal((histories, 4, days) if world.common else shape)
        means = means + world.day_sd * (np.repeat(noise, 6, axis=1) if world.common else noise)
    means = np.broadcast_to(np.clip(means, 0, 1), shape)
    sizes = world.a_day * np.tile(SHARES, 4)[:, None]
    if world.kind == "suspects":
        return of_suspects(means, sizes, rng)
    n = np.broadcast_to(np.round(sizes), shape)
    if world.kind == "steps":
        return DailySums(n, n, n + rng.negative_binomial(np.round(n), 1 / STEPS, shape))
    return DailySums(n, n, rng.binomial(n.astype(int), means).astype(float))


def of_suspects(means: Floats, sizes: Floats, rng: np.random.Generator) -> DailySums:
    """Draw answers half by suspicion (`suspects: 0.5`): a tenth is suspected, and passes .6 times as often."""
    suspicion = np.array([0.05, 1.0])
    shares = np.array([1 - SUSPECTED, SUSPECTED])
    chances = 0.5 + 0.5 * suspicion / (shares @ suspicion)
    weights = squares = totals = 0.0
    for own, share, rate in zip(
        chances, shares, (means * (1 - 0.6 * SUSPECTED) / (1 - SUSPECTED), 0.6 * means), strict=True
    ):
        n = rng.poisson(sizes * share * own, means.shape)
        weights, squares = weights + n / own, squares + n / own**2
        totals = totals + rng.binomial(n, np.clip(rate, 0, 1)) / own
    return DailySums(weights, squares, totals)


def limits(world: World, rng: np.random.Generator) -> tuple[float, float]:
    """Return the two thresholds, as a user gets them from one reference period of this world."""
    reference = drawn(world, 1, world.reference_days, rng)
    own = DailySums(reference.weights[0], reference.squares[0], reference.totals[0])
    weekend = is_weekend(0, world.reference_days)
    maxima = simulated_maxima(estimate_level(own, weekend, world.streams), own, weekend, world.streams, rng=rng)
    return threshold(maxima, ALARM), threshold(maxima, WARNING)


def watched(world: World, history: DailySums) -> tuple[Level, ScanResult]:
    """Return the level of the reference and the scan of the days after it."""
    first, weekend = world.reference_days, is_weekend(0, history.weights.shape[-1])
    level = estimate_level(history.between(0, first), weekend[:first], world.streams)
    return level, scan(history.between(first, None), weekend[first:], level, world.streams)


def unchanged(job: tuple[str, World, int, int]) -> Cells:
    """Count the years without a change in which a method alarms."""
    _, world, histories, seed = job
    rng = np.random.default_rng(seed)
    found = dict.fromkeys(("alarm", "warning", "day at p < .05", "day, Bonferroni"), 0)
    seen = []
    for _ in range(0, histories, AT_ONCE):
        # Each batch has the thresholds of a reference period of its own.
        seen.append(limits(world, rng))
        history = drawn(world, AT_ONCE, world.reference_days + YEAR, rng)
        _, result = watched(world, history)
        both = np.array(seen[-1])
        over = (with_recoveries(world, history, result, both[1]).max(axis=(1, 2))[:, None] > both).sum(axis=0)
        found["alarm"] += int(over[0])
        found["warning"] += int(over[1])
        z = daily_z(world, history).max(axis=(1, 2))
        found["day at p < .05"] += int((z > -normal_quantile(0.05)).sum())
        found["day, Bonferroni"] += int((z > -normal_quantile(0.05 / 24 / YEAR)).sum())
    count = AT_ONCE * len(seen)
    shares = {name: f"{100 * number / count:.1f} %" for name, number in found.items()}
    return shares | {"thresholds": " / ".join(f"{np.mean(each):.2f}" for each in zip(*seen, strict=True))}


def with_recoveries(world: World, history: DailySums, plain: ScanResult, warning: float) -> Floats:
    """Return the statistics as `monitor` finds them, which scans a stream anew once it has recovered.

    That makes no statistic larger, so only years with a warning are scanned again.
    """
    first, weekend = world.reference_days, is_weekend(0, history.weights.shape[-1])
    found = plain.statistic.copy()
    for one in np.flatnonzero(plain.statistic.max(axis=(1, 2)) > warning).tolist():
        sums = DailySums(*(each[one] for each in (history.weights, history.squares, history.totals)))
        level = estimate_level(sums.between(0, first), weekend[:first], world.streams)
        found[one] = restarted_scan(
            sums.between(first, None), weekend[first:], level, world.streams, warning
        ).result.statistic
    return found


def daily_z(world: World, history: DailySums) -> Floats:
    """Return the z of each day against the reference, two binomial samples."""
    first, streams = world.reference_days, world.streams
    reference, days = history.between(0, first), history.between(first, None)
    n = reference.weights.sum(axis=-1, keepdims=True)
    mean = reference.totals.sum(axis=-1, keepdims=True) / n
    variance = np.where(streams.rates[:, None], mean * (1 - mean), streams.variances[:, None])
    fall = streams.signs[:, None] * (mean - days.means)
    return np.where(days.weights > 0, fall, 0) / np.sqrt(variance * (1 / np.maximum(days.n, 1e-9) + 1 / n))


def found_after(job: tuple[str, World, int, int]) -> Cells:
    """Measure the days from a drop in the metric of 85 % to the first alarm and the first warning."""
    setting, world, histories, seed = job
    rng = np.random.default_rng(seed)
    points, where = setting.split(" points, ")
    affected = np.zeros(24, bool)
    affected[6 : 7 if where == "one cohort of 35 %" else 12] = True
    days = world.reference_days + BEFORE + HORIZON
    drop = 0.01 * float(points) * affected[:, None] * (np.arange(days) >= world.reference_days + BEFORE)
    both = limits(world, rng)
    first: list[list[float]] = [[], []]
    for _ in range(0, histories, AT_ONCE):
        _, result = watched(world, drawn(world, AT_ONCE, days, rng, drop))
        after = result.statistic[:, affected, BEFORE:].max(axis=1)
        for number, limit in enumerate(both):
            over = after > limit
            first[number] += np.where(over.any(axis=1), over.argmax(axis=1) + 1.0, np.inf).tolist()
    return {name: shown_days(np.array(days)) for name, days in zip(("alarm", "warning"), first, strict=True)}


RULES = ("7 quiet days alone", "with recovery")
"""How an alarm ends: as an episode of the plain scan, and as `monitor` ends it."""


def ended_after(job: tuple[str, World, int, int]) -> Cells:
    """Measure the days from the repair of a drop in one cohort of 35 % to the end of its alarm."""
    setting, world, histories, seed = job
    rng = np.random.default_rng(seed)
    points, own, fallen = 0.01 * float(setting.partition(" points")[0]), 6, 20
    both = limits(world, rng)
    days = world.reference_days + BEFORE + HORIZON
    at = np.arange(days) - world.reference_days - BEFORE
    ends: dict[str, list[float]] = {rule: [] for rule in RULES}
    wrong: dict[str, list[float]] = {rule: [] for rule in RULES}
    for until in (fallen, HORIZON):
        drop = points * (np.arange(24) == own)[:, None] * ((at >= 0) & (at < until))
        history = drawn(world, histories, days, rng, drop)
        for one in range(histories):
            sums = DailySums(*(each[one] for each in (history.weights, history.squares, history.totals)))
            for rule, end in zip(RULES, alarm_ends(world, sums, own, both), strict=True):
                if end is not None and until == fallen:
                    ends[rule].append(end - BEFORE - fallen + 1)
                elif end is not None:
                    wrong[rule].append(float(np.isfinite(end)))
    cells = {"alarms": str(len(ends[RULES[0]]))}
    cells |= {rule: shown_days(np.array(each)) if each else "no alarm" for rule, each in ends.items()}
    shares = " / ".join(f"{100 * np.mean(each):.1f} %" if each else "no alarm" for each in wrong.values())
    return cells | {"ended although the fall lasts": shares}


def alarm_ends(world: World, sums: DailySums, own: int, both: tuple[float, float]) -> Iterator[float | None]:
    """Yield by each rule the day on which the alarm of a stream ends; inf if it does not, `None` without an alarm."""
    first, weekend = world.reference_days, is_weekend(0, sums.weights.shape[-1])
    level = estimate_level(sums.between(0, first), weekend[:first], world.streams)
    stream = sums.between(first, None).of(own), weekend[first:], level.of(own), world.streams.of(own)
    restarted = restarted_scan(*stream, both[1])
    for result, recoveries in ((scan(*stream), frozenset[int]()), (restarted.result, restarted.recoveries[0])):
        found = [
            each
            for each in episodes(result.statistic[0].tolist(), both[0], recoveries)
            if BEFORE <= each.began < BEFORE + 20
        ]
        yield None if not found else np.inf if found[0].ended is None else float(found[0].ended)


def shown_days(days: Floats) -> str:
    """Return the median number of days; - if most are not within the horizon."""
    median = float(np.quantile(days, 0.5, method="lower"))
    return f"{median:.0f}" if np.isfinite(median) else "-"


def arms(job: tuple[str, int, int, int]) -> Cells:
    """Look at two arms on 60 days: how often an equal arm is called worse, and when a drop is found."""
    setting, a_day, histories, seed = job
    rng = np.random.default_rng(seed)
    per_user = 4 if "users" in setting else 1
    looks = np.arange(1, 61)

    def run(rate: float) -> tuple[Floats, Floats]:
        """Return means and squared errors by look, by user."""
        users = a_day // per_user
        strength = (1 / 0.3 - 1) if per_user > 1 else None
        sums, squares = np.zeros((histories, 60)), np.zeros((histories, 60))
        for day in range(60):
            chance = rng.beta(rate * strength, (1 - rate) * strength, (histories, users)) if strength else rate
            passed = rng.binomial(per_user, chance, (histories, users)) / per_user
            sums[:, day], squares[:, day] = passed.sum(axis=1), (passed**2).sum(axis=1)
        n = users * looks
        mean = sums.cumsum(axis=1) / n
        return mean, (squares.cumsum(axis=1) / n - mean**2) / n

    old, cells = run(0.85), {}
    for points in (0, 2, 5, 10):
        new = run(0.85 - 0.01 * points)
        difference, error = new[0] - old[0], np.sqrt(new[1] + old[1])
        half = half_width(error, looks / 14)
        worse = difference + half < 0
        if points == 0:
            cells["equal, called worse"] = f"{100 * worse.any(axis=1).mean():.1f} %"
            daily = difference / np.maximum(error, 1e-9) < normal_quantile(0.05)
            cells["by a daily test at .05"] = f"{100 * daily.any(axis=1).mean():.1f} %"
            cells["equal: no worse than 3 points"] = first_look(difference - half > -0.03)
        else:
            cells[f"{points} points worse"] = first_look(worse)
    return cells


def first_look(said: Floats) -> str:
    """Return the median day on which something is said first."""
    return shown_days(np.where(said.any(axis=1), said.argmax(axis=1) + 1.0, np.inf))


UNCHANGED = {
    "200 a day": World(200),
    "1,000 a day": World(1000),
    "200 a day, reference of 84 days": World(200, 84),
    "200 a day, days differ by 1.5 points": World(200, day_sd=0.015),
    "1,000 a day, days differ by 1.5 points": World(1000, day_sd=0.015),
    "1,000 a day, days of all cohorts differ by 1.5 points": World(1000, day_sd=0.015, common=True),
    "200 a day, half by suspicion": World(200, kind="suspects"),
    "200 a day, steps per call": World(200, kind="steps"),
}
PLACES = ("one cohort of 35 %", "all cohorts")


def main() -> None:
    """Run every part in two processes and print its table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--histories", type=int, default=400, help="Histories of each setting, in steps of 20.")
    parser.add_argument("--only", default="", help="Words of the title, or of the rows, to run.")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    began, found = time.monotonic(), {}
    count = asked.histories

    def jobs(settings: Mapping[str, World | int], count: int = count) -> list[tuple[str, World | int, int, int]]:
        return [(name, world, count, asked.seed + at) for at, (name, world) in enumerate(settings.items())]

    drops = [f"{points} points, {where}" for where in PLACES for points in (2, 5, 10)]
    parts: dict[str, tuple[Callable[..., Cells], list[tuple[str, World | int, int, int]]]] = {
        "Years without a change": (unchanged, jobs(UNCHANGED)),
        **{
            f"Days to the alarm, {a_day:,} a day, reference of {days} days": (
                found_after,
                jobs(dict.fromkeys(drops, World(a_day, days)), max(40, count // 2)),
            )
            for a_day in (200, 1000)
            for days in (28, 84)
        },
        "Days from the repair to the end of the alarm, reference of 28 days": (
            ended_after,
            jobs(
                {f"{points} points, {a_day:,} a day": World(a_day) for a_day in (200, 1000) for points in (5, 10, 15)},
                max(20, count // 2),
            ),
        ),
        "Two arms, 60 daily looks": (
            arms,
            jobs({"100 a day": 100, "300 a day": 300, "300 a day, users of 4 answers": 300}, 5 * count),
        ),
    }
    with ProcessPoolExecutor(max_workers=asked.processes) as pool:
        for title, (part, planned) in parts.items():
            words = asked.only.lower()
            planned = planned if words in title.lower() else [job for job in planned if words == job[0].lower()]
            if planned:
                found[title] = dict(zip((job[0] for job in planned), pool.map(part, planned), strict=True))
                show(f"{title}, {planned[0][2]:,} histories", found[title])
    print(f"\nseed {asked.seed}, {time.monotonic() - began:.0f} s", file=sys.stderr)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def show(title: str, rows: Mapping[str, Cells]) -> None:
    """Write one Markdown table."""
    columns = list(next(iter(rows.values())))
    print(f"\n### {title}\n\n| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name, row in rows.items():
        print(f"| {name} | {' | '.join(row[key] for key in columns)} |", flush=True)


if __name__ == "__main__":
    main()
