"""Measure which planted questions `evalkit golden leaks` finds, and the time that it takes to search a corpus.

    python benchmarks/golden_leaks.py --questions FILE...     # JSON Lines with `input`, also .gz; each text counts once
    python benchmarks/golden_leaks.py --megabytes 100 --cases 1000

The first plants each question, as it is and in three rewrites, in a document of words of other questions, and prints
the share that one shared run of 5, 8, 10 or 13 words finds, beside evalkit's rules. "unrelated" is the number of
questions that share such a run with another question, or that evalkit's rules find in one. The second searches a text
of invented words for questions of 6 to 30 words, of which 50 are planted.
"""

import argparse
import json
import random
import resource
import string
import tempfile
import time
from pathlib import Path

from golden_dedup import framed, questions_of, synonyms, typos

from evalkit.golden.leak_sources import find_leaks
from evalkit.golden.leakage import LeakIndex
from evalkit.golden.read import open_golden
from evalkit.golden.source import GoldenSource
from evalkit.golden.word_hashes import words_of
from evalkit.types import Case

SEED = 23
RUNS = (5, 8, 10, 13)
REWRITES = {"verbatim": lambda text, rng: text, "typos": typos, "framed": framed, "synonyms": synonyms}


def runs_of(text: str, n: int) -> frozenset[tuple[str, ...]]:
    """Return the runs of `n` words."""
    words = words_of(text)
    return frozenset(tuple(words[at : at + n]) for at in range(len(words) - n + 1))


def planted(text: str, others: list[str], rng: random.Random) -> list[tuple[int, str]]:
    """Return the lines of a document with a text in it."""
    lines = [" ".join(rng.sample(words_of(rng.choice(others)) or ["x"], 1)) for _ in range(60)]
    lines.insert(rng.randrange(60), text)
    return list(enumerate(lines, 1))


def table(questions: list[str]) -> None:
    """Print which planted questions are found."""
    print(f"{len(questions)} questions")
    print("| rule |", " | ".join(REWRITES), "| too short | unrelated |")
    for n in RUNS:
        grams = [runs_of(text, n) for text in questions]
        shares = []
        for change in REWRITES.values():
            rng = random.Random(SEED)
            found = sum(bool(own & runs_of(change(text, rng), n)) for text, own in zip(questions, grams, strict=True))
            shares.append(found / len(questions))
        owners: dict[tuple[str, ...], set[int]] = {}
        for at, own in enumerate(grams):
            for gram in own:
                owners.setdefault(gram, set()).add(at)
        unrelated = len({at for shared in owners.values() if len(shared) > 1 for at in shared})
        short = sum(not own for own in grams) / len(questions)
        print(f"| {n} words |", " | ".join(f"{share:.2f}" for share in shares), f"| {short:.2f} | {unrelated} |")
    index = LeakIndex(Case(id=str(at), input=text) for at, text in enumerate(questions))
    shares, wrong = [], set()
    for change in REWRITES.values():
        rng, draw = random.Random(SEED), random.Random(SEED + 1)
        found = 0
        for at, text in enumerate(questions):
            leaks = list(index.search(planted(change(text, rng), questions, draw), "corpus", "d"))
            found += any(leak.case_id == str(at) for leak in leaks)
        shares.append(found / len(questions))
    for at, text in enumerate(questions):
        wrong |= {leak.case_id for leak in index.search([(1, text)], "corpus", "d") if leak.case_id != str(at)}
    short = index.n_short / len(questions)
    print("| evalkit |", " | ".join(f"{share:.2f}" for share in shares), f"| {short:.2f} | {len(wrong)} |")


def timed(megabytes: int, cases: int) -> None:
    """Print CPU and memory of searching a text of this size for so many cases."""
    rng = random.Random(SEED)
    words = ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 9))) for _ in range(20_000)]
    questions = [" ".join(rng.choices(words, k=rng.randint(6, 30))) for _ in range(cases)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        rows = (json.dumps({"id": f"c{at}", "input": text}) + "\n" for at, text in enumerate(questions))
        (root / "cases.jsonl").write_text("".join(rows), encoding="utf-8")
        lines = [" ".join(rng.choices(words, k=120)) for _ in range(1_500)]
        size, planted_at = 0, 0
        with (root / "corpus.txt").open("w", encoding="utf-8") as out:
            while size < megabytes << 20:
                if planted_at < 50 and size >= planted_at * (megabytes << 20) // 50:
                    size += out.write(questions[planted_at % cases] + "\n")
                    planted_at += 1
                size += out.write(rng.choice(lines) + "\n")
        golden = open_golden(GoldenSource(path="cases.jsonl"), root / "cases.jsonl", "cases.jsonl")
        begin = time.process_time()
        found = find_leaks(golden, {"corpus": [root / "corpus.txt"]}, root).found
        cpu, memory = time.process_time() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{megabytes} MB, {cases:,} cases: {cpu:.1f} s CPU, {memory:.0f} MB, {len(found)} of {planted_at} found")


def main() -> None:
    """Parse the arguments and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=Path, nargs="*", default=[], help="files with the questions to plant")
    parser.add_argument("--megabytes", type=int, default=0, help="size of the text whose search is timed")
    parser.add_argument("--cases", type=int, default=1_000, help="size of the set that is searched for")
    chosen = parser.parse_args()
    if questions := questions_of(chosen.questions):
        table(questions)
    if chosen.megabytes:
        timed(chosen.megabytes, chosen.cases)


if __name__ == "__main__":
    main()
