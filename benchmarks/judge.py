"""Measure the cost of a judge call besides waiting, for evalkit's client and those of ragas and deepeval, in turn.

    python benchmarks/judge.py --calls 500 2000 --rounds 3

Every job asks the same model server the same questions for the same small schema, 16 at once. CPU is that of the asking
process between the first and the last call, without start-up and imports; memory is its peak after all of them.
"""

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

CONCURRENCY, LATENCY_S, WARM_CALLS = 16, 0.02, 20
Ask = Callable[[str], Awaitable[object]]


class Verdict(BaseModel):
    """Form of every reply."""

    reason: str
    score: Literal[1, 2, 3, 4, 5]


def prompt_of(number: int) -> str:
    """Return a distinct question of the length of a graded case."""
    return f"Grade answer {number} from 1 to 5. " + "The passage says what the answer should hold. " * 40


async def evalkit_client(base_url: str, calls: "Calls") -> None:
    """Ask with evalkit's client."""
    from evalkit.llm.client import ChatClient
    from evalkit.llm.config import ChatConfig

    config = ChatConfig(model="gpt-4o-mini", base_url=base_url)
    async with ChatClient(config, env={}, concurrency=CONCURRENCY) as client:
        await calls(lambda prompt: client.structured(prompt, Verdict))


async def evalkit_with_cache(base_url: str, calls: "Calls") -> None:
    """Ask with evalkit's client, caching every reply on disk."""
    from evalkit.llm.cache import ReplyCache
    from evalkit.llm.client import ChatClient
    from evalkit.llm.config import ChatConfig

    config = ChatConfig(model="gpt-4o-mini", base_url=base_url)
    with tempfile.TemporaryDirectory() as folder, ReplyCache(Path(folder) / "cache.sqlite") as cache:
        async with ChatClient(config, env={}, concurrency=CONCURRENCY, cache=cache) as client:
            await calls(lambda prompt: client.structured(prompt, Verdict))


async def ragas_client(base_url: str, calls: "Calls") -> None:
    """Ask with the client that ragas makes from the openai package and instructor."""
    from openai import AsyncOpenAI
    from ragas.llms import llm_factory

    judge = llm_factory("gpt-4o-mini", client=AsyncOpenAI(base_url=base_url, api_key="none"))
    await calls(lambda prompt: judge.agenerate(prompt, Verdict))


async def deepeval_client(base_url: str, calls: "Calls") -> None:
    """Ask with the client that deepeval makes from the openai package."""
    from deepeval.models import GPTModel

    judge = GPTModel(model="gpt-4o-mini", api_key="none", base_url=base_url)
    await calls(lambda prompt: judge.a_generate(prompt, schema=Verdict))


JOBS = {
    "evalkit": evalkit_client,
    "evalkit, cache": evalkit_with_cache,
    "ragas": ragas_client,
    "deepeval": deepeval_client,
}


class Calls:
    """Asks a number of questions and measures the process meanwhile."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.found: dict[str, float] = {}

    async def __call__(self, ask: Ask) -> None:
        for number in range(WARM_CALLS):
            await ask(prompt_of(-number))
        numbers = iter(range(self.count))
        wall, cpu = time.perf_counter(), time.process_time()

        async def worker() -> None:
            for number in numbers:
                await ask(prompt_of(number))

        await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
        self.found = {
            "cpu_ms": 1000 * (time.process_time() - cpu) / self.count,
            "wall_s": time.perf_counter() - wall,
            "peak_mb": peak_mb(),
        }


def peak_mb() -> float:
    """Return the peak memory of this program; the system's count for a process would include its parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


def main() -> None:
    """Measure every job in its own process, interleaved, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--job", choices=JOBS)
    parser.add_argument("--base-url")
    asked = parser.parse_args()
    if asked.job:
        calls = Calls(asked.calls[0])
        asyncio.run(JOBS[asked.job](asked.base_url, calls))
        print(json.dumps(calls.found))
        return
    from evalkit.testing import FakeModel

    with FakeModel(lambda _: {"reason": "as the passage says", "score": 4}, latency_s=LATENCY_S) as server:
        for count in asked.calls:
            rounds = [{job: measured(job, count, server.base_url) for job in JOBS} for _ in range(asked.rounds)]
            show(count, rounds)


def measured(job: str, count: int, base_url: str) -> dict[str, float]:
    """Run one job in a fresh process."""
    command = [sys.executable, __file__, "--job", job, "--base-url", base_url, "--calls", str(count)]
    quiet = {"DEEPEVAL_TELEMETRY_OPT_OUT": "YES", "RAGAS_DO_NOT_TRACK": "true"}
    ran = subprocess.run(command, env={**os.environ, **quiet}, capture_output=True, text=True, check=False)
    if ran.returncode:
        sys.exit(f"{job} failed:\n{ran.stderr[-2000:]}")
    found: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return found


def show(count: int, rounds: list[dict[str, dict[str, float]]]) -> None:
    """Return medians, and the ratio of the others' CPU to evalkit's in each round."""
    print(f"{count} calls, {len(rounds)} rounds")
    for job in JOBS:
        cpu, wall, peak = (
            statistics.median(each[job][key] for each in rounds) for key in ("cpu_ms", "wall_s", "peak_mb")
        )
        ratio = statistics.median(each[job]["cpu_ms"] / each["evalkit"]["cpu_ms"] for each in rounds)
        print(f"  {job:<15} {cpu:6.2f} ms CPU a call   x{ratio:5.2f}   {wall:6.2f} s   {peak:5.0f} MB")


if __name__ == "__main__":
    main()
