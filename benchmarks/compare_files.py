"""What `evalkit compare` takes on two files of another tool, and how often it blocks a system that did not change.

    python benchmarks/compare_files.py                       # wall and CPU beside pandas and scipy, 5 rounds
    python benchmarks/compare_files.py --pairs 1000          # shares of blocked file pairs, some 10 minutes a row
    python benchmarks/compare_files.py --pairs 240 --peers BIN   # beside holdline .2.1 and evalsig .1.2, found in BIN

The files have 500 rows. The case model is that of `error_rates.py`: four metrics, one cohort column of five values, so
24 gates; *A/A* is one system twice, *churn* gives one case in ten another probability, and a drop breaks cases of the
first metric. Each pair is written as two CSV files and goes the whole way of the command, from the columns to the
decision. A peer sees the first metric alone, and so does evalkit in the row "one column". evalsig reads no CSV: it gets
the same grades as samples of lm-eval. It counts as blocking if the drop is significant, since its own `gate` asks
whether the later system is better.
"""

import argparse
import csv
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from error_rates import Model

from evalkit.operations.compare_files import ColumnFlags, Comparing, decision_of

N_CASES = 500
SEED = 2026
HEADER = ["case_id", "topic", "correct", "safe_passed", "steps_score", "tone_score"]
KINDS = {"A/A": (False, 0.0), "churn": (True, 0.0), "5 points": (False, 0.05 / 0.85), "10 points": (False, 0.10 / 0.85)}
"""Name -> whether the cases churn, and the share of passes of the first metric that break."""
BY_HAND = """
import sys
import pandas as pd
from scipy import stats
before, after = (pd.read_csv(name).set_index("case_id") for name in sys.argv[1:3])
both = before.join(after, rsuffix="_after")
groups = [both, *(part for _, part in both.groupby("topic"))]
for part in groups:
    for name in ("correct", "safe_passed", "steps_score", "tone_score"):
        stats.ttest_rel(part[name].astype(float), part[name + "_after"].astype(float), alternative="greater")
"""


def write(path: Path, model: Model, chances: np.ndarray, drop: float) -> Path:
    """Write the results of one run."""
    values = model.run(chances, drop)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for number, (row, cohort) in enumerate(zip(values, model.cohort, strict=True)):
            first, second, steps, tone = row.tolist()
            writer.writerow(
                [f"q{number:04}", f"topic-{cohort}", bool(first), bool(second), round(steps, 6), 1 + 4 * tone]
            )
    return path


def by_evalkit(before: Path, after: Path, seed: int, **asked: Any) -> bool:
    """Whether `evalkit compare` blocks."""
    request = Comparing(before=str(before), after=str(after), asked=ColumnFlags(**asked), seed=seed)
    return decision_of(request).outcome == "blocked"


def by_holdline(before: Path, after: Path, programs: Path) -> bool:
    """Whether `holdline compare` fails."""
    flags = ["--id-col", "case_id", "--pass-col", "correct"]
    words = [str(programs / "holdline"), "compare", str(before), str(after), *flags]
    ended = subprocess.run(words, capture_output=True, check=False)
    assert ended.returncode in (0, 1), ended.stderr.decode()
    return ended.returncode == 1


def by_evalsig(before: Path, after: Path, programs: Path) -> bool:
    """Whether `evalsig compare` finds a significant drop."""
    words = [str(programs / "evalsig"), "compare", "--format", "lm_eval", "--metric", "exact_match"]
    for flag, file in (("--baseline", before), ("--candidate", after)):
        samples = file.with_name(f"samples_{file.stem}.jsonl")
        with file.open(encoding="utf-8") as table, samples.open("w", encoding="utf-8") as lines:
            for number, row in enumerate(csv.DictReader(table)):
                grade = float(row["correct"] == "True")
                lines.write(json.dumps({"doc_id": number, "doc": {}, "metrics": ["exact_match"], "exact_match": grade}))
                lines.write("\n")
        words += [flag, str(samples)]
    report = before.with_name("evalsig.json")
    subprocess.run([*words, "--json", str(report)], capture_output=True, check=True)
    found = json.loads(report.read_text(encoding="utf-8"))
    return bool(found["significant"] and found["delta"] < 0)


def blocked(seed: int, churn: bool, drop: float, programs: Path | None) -> dict[str, bool]:
    """Program -> whether it blocks a pair of files."""
    model = Model(N_CASES, np.random.default_rng([SEED, seed]))
    with tempfile.TemporaryDirectory() as folder:
        before = write(Path(folder) / "before.csv", model, model.chances, 0.0)
        after = write(Path(folder) / "after.csv", model, model.churned() if churn else model.chances, drop)
        scales = {"tone_score": (1.0, 5.0), "steps_score": (0.0, 1.0)}
        found = {"24 comparisons": by_evalkit(before, after, seed, scales=scales)}
        if programs is not None:
            found["one column"] = by_evalkit(before, after, seed, passes=("correct",))
            found["holdline"] = by_holdline(before, after, programs)
            found["evalsig"] = by_evalsig(before, after, programs)
    return found


def shares(pairs: int, programs: Path | None) -> None:
    """Print the share of blocked pairs of each kind."""
    with ProcessPoolExecutor(2) as pool:
        for at, (name, (churn, drop)) in enumerate(KINDS.items()):
            n = pairs if not drop else max(1, pairs // 6)
            found = list(pool.map(blocked, range(n), [churn] * n, [drop] * n, [programs] * n, chunksize=5))
            if at == 0:
                print(f"| pairs | {' | '.join(found[0])} |\n| --- |{' --- |' * len(found[0])}")
            cells = (f"{statistics.mean(each[program] for each in found):.1%}" for program in found[0])
            print(f"| {name} ({n:,}) | {' | '.join(cells)} |", flush=True)


def took(command: Sequence[str], env: Mapping[str, str]) -> tuple[float, float]:
    """Wall and CPU seconds of a command."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ended = subprocess.run(command, capture_output=True, check=False, env=env)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ended.returncode in (0, 1), ended.stderr.decode()
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def times(rounds: int) -> None:
    """Print wall and CPU of the command beside a script of pandas and scipy, medians of the rounds."""
    model = Model(N_CASES, np.random.default_rng(SEED))
    with tempfile.TemporaryDirectory() as folder:
        names = [write(Path(folder) / f"{name}.csv", model, model.chances, 0.0) for name in ("before", "after")]
        files = list(map(str, names))
        program = str(Path(sys.executable).with_name("evalkit"))
        found: dict[str, list[tuple[float, float]]] = {"evalkit compare": [], "pandas and t tests": []}
        # Compiled modules are kept, as in any installation; the first round makes them and does not count.
        env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": f"{folder}/compiled"}
        for number in range(rounds + 1):
            out = str(Path(folder) / f"out-{number}")
            taken = (
                took([program, "compare", *files, "--out", out], env),
                took([sys.executable, "-c", BY_HAND, *files], env),
            )
            for job, figures in zip(found, taken, strict=True) if number else ():
                found[job].append(figures)
    print("| job | wall | CPU |\n| --- | --- | --- |")
    for job, taken in found.items():
        wall, cpu = (statistics.median(each) for each in zip(*taken, strict=True))
        print(f"| {job} | {wall:.2f} s | {cpu:.2f} s |")


def main() -> None:
    """Run what the flags ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=0)
    parser.add_argument("--peers", type=Path, metavar="BIN", help="folder with the programs holdline and evalsig")
    given = parser.parse_args()
    times(given.rounds)
    if given.pairs:
        shares(given.pairs, given.peers)


if __name__ == "__main__":
    main()
