"""Measure the cost of resuming a finished run: read and check every row, and decide again without a call.

    python benchmarks/resume.py --cases 10000 100000 --rounds 3

It prints medians, and the ratio to a bare loop that only reads the journal's lines as JSON.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from measure import measure

SUITE = """\
name: resume
golden: cases.jsonl
system: {replay: golden}
scorers: [exact, token_f1]
cohorts: [group]
concurrency: 50
gate:
  - pass_rate: {min: 0.5}
"""
BARE = "import json, sys; [json.loads(line) for line in open(sys.argv[1], 'rb')]"


def main() -> None:
    """Run once, resume several times, and print a line for each size."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    for n_cases in asked.cases:
        with tempfile.TemporaryDirectory(prefix="evalkit-resume-") as folder:
            _measure(Path(folder), n_cases, asked.rounds)


def _measure(folder: Path, n_cases: int, rounds: int) -> None:
    (folder / "pyproject.toml").touch()
    (folder / "suite.yaml").write_text(SUITE, encoding="utf-8")
    with (folder / "cases.jsonl").open("w", encoding="utf-8") as file:
        for i in range(n_cases):
            row = {"id": f"c{i:06d}", "input": f"{i} + {i % 7} = ?", "reference": str(i + i % 7)}
            file.write(json.dumps({**row, "answer": str(i + i % 7), "cohorts": {"group": f"g{i % 12}"}}) + "\n")
    run = [sys.executable, "-m", "evalkit", "run", "suite.yaml", "--out", "run", "--progress", "none", "--no-report"]
    assert measure(run, cwd=folder).exit_code == 0
    found = []
    for _ in range(rounds):
        bare = measure([sys.executable, "-c", BARE, "run/rows.jsonl"], cwd=folder)
        again = measure([*run, "--resume"], cwd=folder)
        assert again.exit_code == 0
        found.append((again.wall_s, again.cpu_s, again.peak_mb, again.cpu_s / bare.cpu_s))
    wall_s, cpu_s, peak_mb, ratio = (statistics.median(column) for column in zip(*found, strict=True))
    print(
        f"{n_cases:>8} rows  wall {wall_s:5.2f} s  CPU {cpu_s:5.2f} s  x{ratio:.1f} bare JSON  peak {peak_mb:4.0f} MB"
    )


if __name__ == "__main__":
    main()
