"""Measure report.html with many cases: size, seconds to write, and in Chromium ready, filter, open and scroll.

    python benchmarks/report.py --cases 10000 50000 [--keep FOLDER]

Every case has about 1.5 kB of random words from a vocabulary of 4,000, which hardly compress, four scores with reasons,
and an answer of the baseline that differs in every tenth case. It prints medians, and the CPU time of a filter and of a
frame of scrolling by kind of work, which depends little on other programs. Tracing makes the wall-clock figures worse.
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from evalkit.report.html import write_html
from evalkit.report.view import build_view
from evalkit.results import Cell, Check, Comparison, Decision, Estimate, Summary
from evalkit.types import Case, Metric, Output, Row, Score, Usage

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "report"))

import browser_cpu
import chromium

METRICS = (
    Metric("keywords"),
    Metric("citation", binary=True),
    Metric("similarity"),
    Metric("correctness", judge="judge"),
)
DOMAINS, LANGUAGES = ("aml", "privacy", "markets", "credit", "payments"), ("en", "de", "fr")
_LETTERS = random.Random(7)
WORDS = ["".join(_LETTERS.choices("etaoinshrdlucmfw", k=_LETTERS.randint(2, 9))) for _ in range(4_000)]
QUESTION, REFERENCE, CONTEXT, ANSWER = 18, 25, 90, 70
"""Number of words in each text of a case."""


def rows(n_cases: int, *, baseline: bool = False) -> Iterator[Row]:
    """Yield the rows of the candidate, or of the baseline."""
    for number in range(n_cases):
        yield row(number, baseline=baseline)


def row(number: int, *, baseline: bool) -> Row:
    """Build one row; one case in ten fails, and half of these are worse than before."""
    words = random.Random(number)
    case = Case(
        id=f"case-{number:06d}",
        input=text(words, QUESTION),
        reference=(text(words, REFERENCE),),
        contexts=(text(words, CONTEXT),),
        severity=("low", "medium", "high", "critical")[number % 4],
        cohorts={"domain": DOMAINS[number % 5], "language": LANGUAGES[number % 3]},
        place=f"cases.jsonl:{number + 1}",
    )
    answer, other = text(words, ANSWER), text(words, ANSWER)
    failed = number % 10 == 0 and not (baseline and number % 20 == 0)
    shown = other if baseline and number % 10 == 0 else answer
    value = 0.2 if failed else 0.7 + words.randrange(300) / 1000
    scores = (
        Score("keywords", value, not failed, f"found {words.randrange(9)} of 9"),
        Score("citation", float(not failed), not failed, f"{words.randrange(5)} citations, all accounted for"),
        Score("similarity", round(value * 0.9, 4), None, "cosine to the reference"),
        Score("correctness", value, not failed, text(words, 12), {"reply": f'{{"score": {value:.2f}}}'}),
    )
    usage = Usage(input_tokens=200 + number % 90, output_tokens=60 + number % 40, cost_usd=0.001, model="model")
    output = Output(text=shown, usage=usage, latency_s=0.2 + words.random())
    return Row(case=case, output=output, scores={score.metric: score for score in scores})


def text(words: random.Random, count: int) -> str:
    """Return `n` random words."""
    return " ".join(words.choices(WORDS, k=count))


def write(path: Path, n_cases: int) -> float:
    """Write the report and return the seconds that it took, without making the rows."""
    before = [row(number, baseline=True) for number in range(n_cases)]
    now = [row(number, baseline=False) for number in range(n_cases)]
    started = time.perf_counter()
    view = build_view(summary(n_cases), decision(n_cases), lambda: now, lambda: before, {"suite": "synthetic"})
    write_html(path, view, lambda: now, lambda: before)
    return time.perf_counter() - started


def summary(n_cases: int) -> Summary:
    """Build a summary of four metrics by cohort."""
    estimate = Estimate(value=0.9, low=0.88, high=0.92, n=n_cases)
    cohorts = ["overall", *(f"domain={name}" for name in DOMAINS), *(f"language={name}" for name in LANGUAGES)]
    cells = tuple(
        Cell(metric=metric, cohort=cohort, estimate=estimate, n_cases=n_cases, n_scored=n_cases)
        for cohort in cohorts
        for metric in ("pass_rate", *(each.name for each in METRICS))
    )
    states = {"scored": n_cases}
    return Summary(
        suite="synthetic",
        n_cases=n_cases,
        n_repeats=1,
        expected=n_cases,
        states=states,
        metrics=METRICS,
        cells=cells,
        coverage={"overall": (n_cases, n_cases)},
    )


def decision(n_cases: int) -> Decision:
    """Build a decision blocked by one check, with the comparison of the rows."""
    new = tuple(f"case-{number:06d}" for number in range(0, n_cases, 20))
    still = tuple(f"case-{number:06d}" for number in range(10, n_cases, 20))
    compared = Comparison(baseline_id="main", n_paired=n_cases, overlap=1.0, new_failures=new, still_failing=still)
    seen = Estimate(value=0.9, low=0.88, high=0.92, n=n_cases)
    check = Check(
        name="pass_rate",
        metric="pass_rate",
        cohort="overall",
        outcome="block",
        need=">= 0.95",
        observed=seen,
        baseline=0.95,
        case_ids=new[:40],
    )
    return Decision(outcome="blocked", checks=(check,), reasons=("pass_rate fell",), comparison=compared)


FILTER_MS = """(async () => {
  const box = document.getElementById('f-q'), grid = document.getElementById('grid'), taken = [];
  box.focus();
  await new Promise(requestAnimationFrame);
  for (const word of ['a', 'case-01', 'the', 'zz', 'case-0499', '']) {
    performance.mark('step');
    const started = performance.now();
    box.value = word;
    await new Promise((done) => {
      const seen = new MutationObserver(() => { seen.disconnect(); done(); });
      seen.observe(grid, {attributes: true, attributeFilter: ['aria-rowcount']});
      box.dispatchEvent(new Event('input', {bubbles: true}));
    });
    grid.getBoundingClientRect();
    taken.push(performance.now() - started);
  }
  performance.mark('step');
  return taken;
})()"""
"""Times from a key press to the drawn rows."""
SCROLL_MS = """new Promise((done) => {
  const box = document.getElementById('grid-scroll'), taken = [], {port1, port2} = new MessageChannel();
  let started = 0;
  port1.onmessage = () => {
    taken.push(performance.now() - started);
    if (taken.length === 200) { done(taken.slice(1)); return; }
    box.scrollTop += taken.length % 10 ? 397 : 40000;
    requestAnimationFrame(() => { performance.mark('step'); started = performance.now(); port2.postMessage(0); });
  };
  port2.postMessage(0);
})"""
"""Times from the beginning of a frame to its end, in which the rows are drawn, laid out and painted."""


async def browse(path: Path, profile: Path) -> tuple[dict[str, float], list[str]]:
    """Open the report in a fresh browser and measure: figures, and the cost of a filter and a frame by kind of work."""
    async with chromium.opened_tab(profile) as tab:
        await tab.open(path)
        ready = await tab.value("performance.getEntriesByName('ready')[0]?.startTime ?? -1")
        await tab.go("#/cases", "#grid-space .row")
        async with browser_cpu.traced(tab) as filtering:
            filters = await tab.value(FILTER_MS)
        async with browser_cpu.traced(tab) as scrolling:
            scrolls = sorted(await tab.value(SCROLL_MS))
        opened = []
        for number in (0, 777, 3333, 5000, 9999):
            started = time.perf_counter()
            await tab.go(f"#/case/case-{number:06d}", "#case-title")
            await tab.until(f"document.getElementById('case-title').textContent.includes('case-{number:06d}')")
            opened.append((time.perf_counter() - started) * 1000)
        heap = await tab.value("performance.memory ? performance.memory.usedJSHeapSize / 1e6 : 0")
        traces = (("a filter", filtering), ("a frame", scrolling))
        costs = [f"{name}: {browser_cpu.described(browser_cpu.by_mark(each, 'step'))}" for name, each in traces]
        return {
            "ready_ms": ready,
            "filter_ms": max(filters),
            "scroll_p95_ms": scrolls[int(len(scrolls) * 0.95)],
            "open_ms": statistics.median(opened),
            "heap_mb": heap,
        }, costs


def main() -> None:
    """Measure each number of cases."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--keep", type=Path, help="folder that keeps the files")
    asked = parser.parse_args()
    for n_cases in asked.cases:
        with tempfile.TemporaryDirectory(prefix="evalkit-report-", ignore_cleanup_errors=True) as folder:
            path = (asked.keep or Path(folder)) / f"report-{n_cases}.html"
            written = write(path, n_cases)
            size = os.path.getsize(path) / 1e6
            print(f"{n_cases:>7,} cases  {size:5.1f} MB  written in {written:5.1f} s", end="  ", flush=True)
            if chromium.PROGRAM is None:
                print("no Chromium")
                continue
            found, costs = asyncio.run(browse(path, Path(folder) / "profile"))
            print("  ".join(f"{name} {value:.0f}" for name, value in found.items()))
            print("".join(f"{'':15}{cost}\n" for cost in costs), end="")


if __name__ == "__main__":
    main()
