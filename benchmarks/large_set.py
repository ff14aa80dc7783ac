"""Measure the CPU and the memory that a large golden set costs: `check`, `run` of a few cases and a whole run.

    python benchmarks/large_set.py --cases 20000 100000
    python benchmarks/large_set.py --cases 2000 200000 --whole    # runs every case too

The first `check` stores the index that the later jobs read. It prints what each job takes, and for a second and later
size what each further case takes.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from measure import Measured, measure

SUITE = """\
name: large
golden: cases.jsonl
system: {python: "answers:answer"}
scorers: [{keywords: {required_field: must}}, {length: {max: 400}}]
cohorts: [region, tier]
concurrency: 50
gate:
  - keywords: {min: 0.01}
"""
SYSTEM = """\
async def answer(input):
    return "The policy is number 7."
"""


def main() -> None:
    """Measure each job once for each number of cases."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--whole", action="store_true", help="run every case too")
    asked = parser.parse_args()
    before: dict[str, Measured] = {}
    for at, n_cases in enumerate(asked.cases):
        print(f"{n_cases:,} cases")
        with tempfile.TemporaryDirectory(prefix="evalkit-large-") as folder:
            _write(Path(folder), n_cases)
            for name, words in _jobs(whole=asked.whole).items():
                found = _measured(Path(folder), words)
                n_more = n_cases - asked.cases[at - 1]
                more = _each(found, before[name], n_more) if at else ""
                print(f"  {name:<17} CPU {found.cpu_s:6.2f} s  peak {found.peak_mb:4.0f} MB{more}", flush=True)
                before[name] = found


def _each(found: Measured, before: Measured, n_more: int) -> str:
    cpu_us = (found.cpu_s - before.cpu_s) / n_more * 1e6
    return f"  each further case {cpu_us:4.0f} us, {(found.peak_mb - before.peak_mb) / n_more * 2**20:4.0f} B"


def _jobs(*, whole: bool) -> dict[str, Sequence[str]]:
    quiet = ("--out", "out", "--progress", "none", "--no-report")
    jobs = {
        "check": ("check", "suite.yaml"),
        "check again": ("check", "suite.yaml"),
        "run --limit 100": ("run", "suite.yaml", "--limit", "100", *quiet),
        "run --sample 100": ("run", "suite.yaml", "--sample", "100", *quiet),
        "run --case ...": ("run", "suite.yaml", "--case", "case-0000007", *quiet),
    }
    if not whole:
        return jobs
    run = ("run", "suite.yaml", *quiet)
    return jobs | {"run": run, "run --resume": (*run, "--resume"), "report": ("report", "out")}


def _write(folder: Path, n_cases: int) -> None:
    (folder / "suite.yaml").write_text(SUITE, encoding="utf-8")
    (folder / "answers.py").write_text(SYSTEM, encoding="utf-8")
    with (folder / "cases.jsonl").open("w", encoding="utf-8") as file:
        for i in range(n_cases):
            question = f"Question {i}: what is the policy for topic {i % 997}? Please answer in one sentence. "
            row = {"id": f"case-{i:07d}", "input": question * 3, "reference": f"The policy is number {i % 1000}."}
            file.write(
                json.dumps({**row, "must": ["policy"], "cohorts": {"region": f"r{i % 13}", "tier": f"t{i % 3}"}}) + "\n"
            )


def _measured(folder: Path, words: Sequence[str]) -> Measured:
    if words[0] == "run" and "--resume" not in words:
        shutil.rmtree(folder / "out", ignore_errors=True)
    found = measure([sys.executable, "-m", "evalkit", *words], cwd=folder)
    if found.exit_code not in (0, 3):  # a part of the cases is not gated
        raise SystemExit(f"evalkit {' '.join(words)} ended with {found.exit_code}")
    return found


if __name__ == "__main__":
    main()
