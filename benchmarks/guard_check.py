"""Measure how long a check of a guard takes, and by how much it exceeds its budget of 300 ms.

    python benchmarks/guard_check.py            # 100 checks of each text

The texts are prose of 2,000 to 30,000 characters, answer and context together, and texts that are made to be slow, of
30,000 characters: as many as 300 ms allow. Wall time depends on what else the machine does.
"""

from __future__ import annotations

import asyncio
import sys

from evalkit.guard.check import Guard
from evalkit.guard.levels import RulesLevel
from evalkit.guard.settings import GuardSettings, LevelThresholds, Promise

BUDGET_MS = 300
PROSE = "A replacement card costs 12 euros [1] and comes by 12 March 2024, within 5 working days. "
SLOW = ("1-", "5 % ", "_a-１", "\n", "[11]", '"a b c" ', "12 March ", "_a ")


async def main() -> None:
    """Check the texts, and print the percentiles."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    thresholds = LevelThresholds(key={}, n_good=100, n_bad=100, pass_from=0.9, block_below={"": 0.1})
    settings = GuardSettings(promise=Promise(false_block=0.05, bad_passed=0.05), levels={"rules": thresholds})
    guard = Guard(settings, [RulesLevel()])
    for unit, size in [*((PROSE, size) for size in (2_000, 10_000, 30_000)), *((unit, 30_000) for unit in SLOW)]:
        text = (unit * size)[: size // 2 - 5]
        found = [await guard.check("?", text, [text[3:]], budget_ms=BUDGET_MS) for _ in range(n)]
        times = sorted(each.elapsed_ms for each in found)
        late = sum(each.late for each in found)
        p50, p99 = times[n // 2], times[min(n - 1, n * 99 // 100)]
        print(f"{size:>6,} characters {unit[:12]!r:<16} p50 {p50:5.0f} ms  p99 {p99:5.0f} ms  late {late} of {n}")


if __name__ == "__main__":
    asyncio.run(main())
