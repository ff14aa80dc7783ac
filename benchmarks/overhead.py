"""Measure the cost of a run beyond its calls: `evalkit run` and a bare aiohttp loop, in turn.

    python benchmarks/overhead.py --cases 2000 10000 --rounds 3
    python benchmarks/overhead.py --cases 500 --turns 6 --jobs evalkit    # conversations
    python benchmarks/overhead.py --peer "pydantic-evals=python pydantic_evals_job.py {cases} 50 {out}"

It prints medians and ratios, and the range of "calls"; `--json FILE` stores them. "Wall" is a whole command with its
start-up. "Calls" is the time from the first request to the last reply, as the target saw them. With `--jobs`, only the
bare loop and the named jobs run. A peer's command gets {cases} (JSON Lines with `id`, `question`, `expected`) and
{out}, and the address of the target in the environment variable TARGET.
"""

import argparse
import http.client
import json
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from measure import Measured, measure

HERE = Path(__file__).parent
CONCURRENCY, DELAY_MS = 50, 50
SUITE = """\
name: overhead
golden: cases.jsonl
system: {{http: {url}, body: {{input: "{{{{{said}}}}}"}}, pick: {{text: answer}}}}
{conversation}scorers: [exact, token_f1]
cohorts: [group]
concurrency: {concurrency}
gate:
  - pass_rate: {{min: 0.5}}
"""
Job = Callable[[], Sequence[str]]


def main() -> None:
    """Measure every job for the given number of rounds, interleaved, and print a table."""
    asked = _arguments()
    target = subprocess.Popen([sys.executable, str(HERE / "target.py"), "0", str(DELAY_MS)], stdout=subprocess.PIPE)
    found = {}
    try:
        port = target.stdout.readline().split()[1].decode()
        for n_cases in asked.cases:
            with tempfile.TemporaryDirectory(prefix="evalkit-overhead-") as folder:
                url = f"http://127.0.0.1:{port}/"
                jobs = _jobs(Path(folder), n_cases, url, asked.peer, asked.turns)
                kept = {name: job for name, job in jobs.items() if name in ("bare loop", *(asked.jobs or jobs))}
                found[n_cases] = _rounds(kept, asked.rounds, url)
            _print(n_cases, found[n_cases])
    finally:
        target.kill()
    if asked.json:
        Path(asked.json).write_text(json.dumps(found, indent=1), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, nargs="+", default=[100, 2000, 10000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--turns", type=int, default=0, help="turns of each conversation; 0 asks single questions")
    parser.add_argument("--jobs", nargs="+", help="measure only the bare loop and these jobs")
    parser.add_argument("--peer", action="append", default=[])
    parser.add_argument("--json")
    return parser.parse_args()


def _jobs(folder: Path, n_cases: int, url: str, peers: Sequence[str], n_turns: int) -> dict[str, Job]:
    cases = folder / "cases.jsonl"
    with cases.open("w", encoding="utf-8") as file:
        for i in range(n_cases):
            said = f"#{i:06d}: {i} + {i % 7} = ?"
            asked = {"turns": [{"user": said}] * n_turns} if n_turns else {"input": said}
            row = {"id": f"c{i:06d}", **asked, "reference": str(i + i % 7), "cohorts": {"group": f"g{i % 12}"}}
            file.write(json.dumps(row) + "\n")
    _peer_cases(folder / "peer.jsonl", n_cases)
    suite = SUITE.format(
        url=url,
        concurrency=CONCURRENCY,
        said="message" if n_turns else "input",
        conversation=f"conversation: {{max_turns: {n_turns}}}\n" if n_turns else "",
    )
    (folder / "suite.yaml").write_text(suite, encoding="utf-8")
    out = folder / "out"

    def fresh(*words: str) -> Job:
        def job() -> Sequence[str]:
            shutil.rmtree(out, ignore_errors=True)
            return words

        return job

    run = (sys.executable, "-m", "evalkit", "run", str(folder / "suite.yaml"), "--out", str(out), "--progress", "none")
    bare = (sys.executable, str(HERE / "bare.py"), url, str(cases), str(CONCURRENCY), str(folder / "bare.out"))
    html = (sys.executable, str(HERE / "html_only.py"), *run[3:])
    unwritten = (sys.executable, str(HERE / "no_journal.py"), *run[3:], "--no-report")
    jobs = {
        "bare loop": fresh(*bare),
        "evalkit, no journal": fresh(*unwritten),
        "evalkit": fresh(*run, "--no-report"),
        "evalkit, report.html": fresh(*html),
        "evalkit, all reports": fresh(*run),
    }
    for peer in peers:
        name, _, command = peer.partition("=")
        given = {"cases": folder / "peer.jsonl", "out": folder / "peer.out"}
        target = f"TARGET={url.rstrip('/')}"
        jobs[name] = fresh("env", target, *(word.format(**given) for word in shlex.split(command)))
    return jobs


def _peer_cases(file: Path, n_cases: int) -> None:
    with file.open("w", encoding="utf-8") as lines:
        for i in range(n_cases):
            row = {"id": f"c{i:06d}", "question": f"#{i:06d}: {i} + {i % 7} = ?", "expected": str(i + i % 7)}
            lines.write(json.dumps(row) + "\n")


@dataclass(frozen=True)
class Round:
    """One measurement of one job."""

    whole: Measured
    n_calls: int
    calls_s: float
    """Seconds from the first request to the last reply."""


def _rounds(jobs: dict[str, Job], rounds: int, url: str) -> dict[str, dict[str, float]]:
    taken: dict[str, list[Round]] = {name: [] for name in jobs}
    _window(url)
    for _ in range(rounds):
        for name, job in jobs.items():
            measured = measure(job())
            if measured.exit_code:
                raise SystemExit(f"{name} ended with {measured.exit_code}")
            window = _window(url)
            taken[name].append(Round(measured, int(window["calls"]), window["seconds"]))
            if window["calls"] != taken["bare loop"][0].n_calls:
                raise SystemExit(f"{name} made {window['calls']} calls, the bare loop {taken['bare loop'][0].n_calls}")
    return {name: _figures(all_, taken["bare loop"]) for name, all_ in taken.items()}


def _window(url: str) -> dict[str, float]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    try:
        connection.request("GET", "/window")
        return json.load(connection.getresponse())
    finally:
        connection.close()


def _figures(all_: Sequence[Round], bare: Sequence[Round]) -> dict[str, float]:
    ratios = [one.calls_s / other.calls_s for one, other in zip(all_, bare, strict=True)]
    return {
        "wall_s": statistics.median(one.whole.wall_s for one in all_),
        "cpu_s": statistics.median(one.whole.cpu_s for one in all_),
        "peak_mb": statistics.median(one.whole.peak_mb for one in all_),
        "wall_ratio": statistics.median(
            one.whole.wall_s / other.whole.wall_s for one, other in zip(all_, bare, strict=True)
        ),
        "calls_s": statistics.median(one.calls_s for one in all_),
        "calls_ratio": statistics.median(ratios),
        "calls_ratio_low": min(ratios),
        "calls_ratio_high": max(ratios),
    }


def _print(n_cases: int, figures: dict[str, dict[str, float]]) -> None:
    print(f"\n{n_cases} cases, {CONCURRENCY} in flight, {DELAY_MS} ms a call")
    for name, one in figures.items():
        row = f"wall {one['wall_s']:6.2f} s  x{one['wall_ratio']:.2f}  CPU {one['cpu_s']:5.2f} s"
        spread = f"{one['calls_ratio_low']:.2f} to {one['calls_ratio_high']:.2f}"
        calls = f"calls {one['calls_s']:6.2f} s  x{one['calls_ratio']:.2f} ({spread})"
        print(f"  {name:<22} {row}  {calls}  peak {one['peak_mb']:4.0f} MB")


if __name__ == "__main__":
    main()
