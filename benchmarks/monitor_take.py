"""Measure `evalkit monitor take` on JSON Lines without a judge: CPU seconds, memory and bytes kept.

    python benchmarks/monitor_take.py            # 100,000 rows
    python benchmarks/monitor_take.py 1000000    # goal: at most 60 s CPU and 300 MB

The rows are calls of one week with a question, an answer of 10 to 40 words, a context, a session, two cohorts, seconds
and a cost. Two rules grade every call. CPU time depends on what else the machine does; run it on an idle one.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

MONITOR = """\
name: bench
logs: {format: jsonl, id: trace, at: started, input: question, output: answer, contexts: docs, session: chat,
       latency_s: seconds, cost_usd: cost}
cohorts: [topic, language]
scorers: [{length: {max: 60}}, refusal]
"""
START = 1_788_220_800  # 2026-09-01
WEEK_S = 7 * 86_400
SENTENCE = "It comes within five working days by post. "


def write_rows(file: Path, n: int) -> None:
    """Write `n` calls in the order of time."""
    rng = random.Random(1)
    with file.open("w", encoding="utf-8") as rows:
        for number in range(n):
            row = {
                "trace": f"{number:032x}",
                "started": START + number * WEEK_S / n,
                "question": "What does a replacement card cost, and when will it come?",
                "answer": "A replacement card costs 12 euros [1]. " + SENTENCE * (number % 4),
                "docs": ["A replacement card costs 12 euros."],
                "chat": f"s{number // 3}",
                "topic": rng.choice(("cards", "loans", "hours", "fees")),
                "language": rng.choice(("de", "en")),
                "seconds": rng.lognormvariate(0, 1),
                "cost": 0.001 * rng.random(),
            }
            rows.write(json.dumps(row) + "\n")


def main() -> None:
    """Write rows, take them, and print the figures."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pyproject.toml").touch()
        (folder / "monitor.yaml").write_text(MONITOR, encoding="utf-8")
        write_rows(folder / "calls.jsonl", n)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "evalkit", "monitor", "take", "monitor.yaml", "calls.jsonl"]
        print(subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout, end="")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        kept = {
            kind: sum(each.stat().st_size for each in folder.glob(f"monitors/bench/{kind}"))
            for kind in ("observations/*/*", "series.sqlite", "ids/*/*")
        }
    print(f"{n:,} rows: {cpu:.1f} s CPU, {cpu / n * 1e6:.0f} us a row, {after.ru_maxrss / 1024:.0f} MB at most")
    print("kept: " + ", ".join(f"{kind.partition('/')[0]} {size / 1e6:.1f} MB" for kind, size in kept.items()))


if __name__ == "__main__":
    main()
