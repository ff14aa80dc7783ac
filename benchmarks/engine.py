"""Measure what `--engine dask` costs beyond a run of one process: the start, and each case.

    python benchmarks/engine.py --cases 500 4500 --rounds 3

The system answers at once, so that only evalkit is measured. Jobs run in turn. The difference of the two numbers of
cases gives the cost of a case, the rest is the start with the summary; medians over the rounds.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from measure import measure

SUITE = """\
name: engine
golden: cases.jsonl
system: {python: "bot:answer"}
scorers:
  - keywords
  - length: {max: 100}
cohorts: [group, kind]
concurrency: 64
gate:
  - pass_rate: {min: 0.5}
"""
JOBS = {
    "one process": [],
    "dask, 1 worker": ["--engine", "dask", "--workers", "1"],
    "dask, 2 workers": ["--engine", "dask", "--workers", "2"],
}


def main() -> None:
    """Measure every job with few and with many cases, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, nargs=2, default=[500, 4500], metavar=("FEW", "MANY"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shard-size", type=int, default=1000)
    asked = parser.parse_args()
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    summaries: dict[int, set[bytes]] = {n: set() for n in asked.cases}
    for number in range(asked.rounds):
        for n in asked.cases:
            with tempfile.TemporaryDirectory(prefix="evalkit-engine-") as folder:
                root = _project(Path(folder), n)
                for name, flags in JOBS.items():
                    size = ["--shard-size", str(asked.shard_size)] if flags else []
                    out = f"out{len(list(root.glob('out*')))}"
                    words = ["run", "suite.yaml", "--out", out, "--no-report", "--quiet", *flags, *size]
                    took = measure([sys.executable, "-m", "evalkit", *words], cwd=root)
                    assert took.exit_code == 0, (name, n, took)
                    summaries[n].add((root / out / "summary.json").read_bytes())
                    found.setdefault((name, n), []).append((took.wall_s, took.cpu_s))
        print(f"round {number + 1} of {asked.rounds}", file=sys.stderr)
    assert all(len(each) == 1 for each in summaries.values()), "the summaries differ"
    _print(found, *asked.cases)


def _project(root: Path, n: int) -> Path:
    (root / "pyproject.toml").touch()
    bot = 'async def answer(input: str) -> str:\n    return "one answer to " + input[:20]\n'
    (root / "bot.py").write_text(bot, encoding="utf-8")
    (root / "suite.yaml").write_text(SUITE, encoding="utf-8")
    with (root / "cases.jsonl").open("w", encoding="utf-8") as file:
        for i in range(n):
            question = f"Question {i}: what is the limit for group {i % 9}, and since when does it hold?"
            file.write(
                json.dumps(
                    {"id": f"c{i:07}", "input": question, "required": ["answer"], "cohorts": {"group": str(i % 9)}}
                )
                + "\n"
            )
    return root


def _print(found: dict[tuple[str, int], list[tuple[float, float]]], few: int, many: int) -> None:
    print("| job | start: wall, CPU | a case: wall, CPU | a case against one process: wall, CPU |")
    print("| --- | --- | --- | --- |")
    each: dict[str, list[float]] = {}
    for name in JOBS:
        pairs = list(zip(found[name, few], found[name, many], strict=True))
        case = [statistics.median((b[at] - a[at]) / (many - few) for a, b in pairs) for at in (0, 1)]
        start = [statistics.median(a[at] - few * case[at] for a, _ in pairs) for at in (0, 1)]
        each[name] = case
        ratios = [case[at] / each["one process"][at] for at in (0, 1)]
        shown = f"{start[0]:.1f} s, {start[1]:.1f} s | {1000 * case[0]:.2f} ms, {1000 * case[1]:.2f} ms"
        print(f"| {name} | {shown} | {ratios[0]:.2f}, {ratios[1]:.2f} |")


if __name__ == "__main__":
    main()
