"""Measure what `--engine dask` costs beyond a run of one process: the start, each case, and memory.

    python benchmarks/engine.py --cases 500 4500 --rounds 3
    python benchmarks/engine.py --cases 0 20000 --workers 1 2 4   # one run of each job, with the peak of its processes

The system answers at once, so that only evalkit is measured. Jobs run in turn. The difference of the two numbers of
cases gives the cost of a case, the rest is the start with the summary; medians over the rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil
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
ALONE = "one process"
LOOK_S = 0.2
"""Seconds between two looks at the memory of the processes of a run."""


def main() -> None:
    """Measure every job with few and with many cases, or once with many, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, nargs=2, default=[500, 4500], metavar=("FEW", "MANY"))
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shard-size", type=int, default=1000)
    asked = parser.parse_args()
    jobs = {ALONE: list[str]()}
    for n in asked.workers:
        flags = ["--engine", "dask", "--workers", str(n), "--shard-size", str(asked.shard_size)]
        jobs[f"dask, {n} worker{'s' if n > 1 else ''}"] = flags
    few, many = asked.cases
    if not few:
        return _measure_memory(jobs, many)
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for number in range(asked.rounds):
        for n in asked.cases:
            with _Rounds(n) as project:
                for name, flags in jobs.items():
                    took = measure(project.command(name, flags), cwd=project.root)
                    assert took.exit_code == 0, (name, n, took)
                    found.setdefault((name, n), []).append((took.wall_s, took.cpu_s))
        print(f"round {number + 1} of {asked.rounds}", file=sys.stderr)
    _print(found, list(jobs), few, many)


class _Rounds:
    """A project in which every job runs once; their summaries must be equal byte for byte."""

    def __init__(self, n: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="evalkit-engine-")
        self.root = _project(Path(self._folder.name), n)

    def __enter__(self) -> Self:
        return self

    def command(self, job: str, flags: list[str]) -> list[str]:
        """Return the command of a job."""
        words = ["run", "suite.yaml", "--out", f"out of {job}", "--no-report", "--quiet", *flags]
        return [sys.executable, "-m", "evalkit", *words]

    def __exit__(self, kind: object, *_: object) -> None:
        summaries = {file.read_bytes() for file in self.root.glob("out of */summary.json")}
        self._folder.cleanup()
        assert kind is not None or len(summaries) == 1, "the summaries differ"


def _measure_memory(jobs: dict[str, list[str]], n: int) -> None:
    """Run every job once, and print its time and the peaks of its processes; a line follows each run."""
    print("| job | wall | CPU | peak of the process | peak of a worker |")
    print("| --- | --- | --- | --- | --- |")
    with _Rounds(n) as project:
        for name, flags in jobs.items():
            peaks = {False: 0.0, True: 0.0}
            began, before = time.perf_counter(), os.times()
            with subprocess.Popen(project.command(name, flags), cwd=project.root) as running:
                while running.poll() is None:
                    _look(running.pid, peaks)
                    time.sleep(LOOK_S)
            assert running.returncode == 0, name
            wall_s, now = time.perf_counter() - began, os.times()
            cpu_s = now.children_user + now.children_system - before.children_user - before.children_system
            worker = f"{peaks[True]:.0f} MB" if flags else ""
            print(f"| {name} | {wall_s:.1f} s | {cpu_s:.1f} s | {peaks[False]:.0f} MB | {worker} |", flush=True)


def _look(process: int, peaks: dict[bool, float]) -> None:
    """Note the largest resident memory of a process of a run, in MB: of its workers, and of the others."""
    with suppress(psutil.NoSuchProcess):
        top = psutil.Process(process)
        for each in (top, *top.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                is_worker = "multiprocessing.spawn" in " ".join(each.cmdline())
                peaks[is_worker] = max(peaks[is_worker], each.memory_info().rss / 2**20)


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


def _print(found: dict[tuple[str, int], list[tuple[float, float]]], jobs: list[str], few: int, many: int) -> None:
    print("| job | start: wall, CPU | a case: wall, CPU | a case against one process: wall, CPU |")
    print("| --- | --- | --- | --- |")
    each: dict[str, list[float]] = {}
    for name in jobs:
        pairs = list(zip(found[name, few], found[name, many], strict=True))
        case = [statistics.median((b[at] - a[at]) / (many - few) for a, b in pairs) for at in (0, 1)]
        start = [statistics.median(a[at] - few * case[at] for a, _ in pairs) for at in (0, 1)]
        each[name] = case
        ratios = [case[at] / each[ALONE][at] for at in (0, 1)]
        shown = f"{start[0]:.1f} s, {start[1]:.1f} s | {1000 * case[0]:.2f} ms, {1000 * case[1]:.2f} ms"
        print(f"| {name} | {shown} | {ratios[0]:.2f}, {ratios[1]:.2f} |")


if __name__ == "__main__":
    main()
