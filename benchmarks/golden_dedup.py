"""Measure time and memory of `evalkit golden dedup`, and which rewrites of a question its signals find.

    python benchmarks/golden_dedup.py --rows 100000
    python benchmarks/golden_dedup.py --questions FILE...     # JSON Lines with `input`, also .gz; each text counts once

The first makes a set of questions of 6 to 30 invented words, of which one in ten repeats another with a changed word.
The second rewrites every question in seven ways and prints the share of the rewrites that each signal flags, and the
flagged pairs of unrelated questions.
"""

import argparse
import gzip
import json
import random
import re
import resource
import string
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path

from evalkit.golden.near_duplicates import NearText, grams_of, jaccard, near_duplicates, plain_text

SEED = 19
Signal = Callable[[str, str], bool]
FRAMES = (
    "Please tell me: {}",
    "{} Thank you.",
    "Could you say {}",
    "I would like to know {}",
    "Hello, I have a quick question for you: {}",
    "{} Please answer in one short sentence.",
)
SYNONYMS = {
    "begin": "start", "start": "begin", "big": "large", "large": "big", "many": "numerous", "made": "created",
    "movie": "film", "film": "movie", "show": "series", "song": "tune", "buy": "purchase", "get": "obtain",
    "called": "named", "located": "situated", "live": "reside", "play": "perform", "played": "performed",
    "wrote": "authored", "war": "conflict", "first": "initial", "last": "final", "kill": "terminate", "end": "finish",
    "come": "arrive", "makes": "creates", "make": "create", "money": "cash", "total": "overall", "each": "every",
    "more": "additional", "does": "would", "how": "in what way", "when": "at what time", "where": "in which place",
    "who": "which person", "find": "locate", "way": "method", "best": "finest", "new": "recent", "old": "former",
    "people": "persons", "day": "weekday", "used": "employed", "need": "require", "right": "correct",
}  # fmt: skip
VERBS = "is are was were do does did can could should would will has have had".split()


def upper_or_marks(text: str, rng: random.Random) -> str:
    """Change letter case or punctuation."""
    return (
        rng.choice([str.upper, lambda each: each.rstrip("?.! ") + " ?", lambda each: re.sub(r"[^\w\s]", "", each)])(
            text
        )
        if rng.random() < 0.95
        else text.replace("-", "").replace("'", "").title()
    )


def typos(text: str, rng: random.Random) -> str:
    """Swap two letters in one word of ten, at least in one."""
    words = text.split(" ")
    long = [at for at, word in enumerate(words) if len(word) >= 4]
    for at in rng.sample(long, min(len(long), max(1, len(words) // 10))):
        place = rng.randrange(1, len(words[at]) - 1)
        word = words[at]
        words[at] = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    return " ".join(words)


def framed(text: str, rng: random.Random) -> str:
    """Put a polite phrase around it."""
    return rng.choice(FRAMES).format(text)


def synonyms(text: str, rng: random.Random) -> str:
    """Replace one word of five by one of the same meaning, at least one."""
    words = text.split(" ")
    known = [at for at, word in enumerate(words) if word.lower() in SYNONYMS]
    for at in rng.sample(known, min(len(known), max(1, len(words) // 5))):
        words[at] = SYNONYMS[words[at].lower()]
    return " ".join(words)


def reordered(text: str, rng: random.Random) -> str:
    """Turn the order of the sentences around."""
    parts = re.split(r"(?<=[.?!])\s+", text.strip())
    return " ".join(reversed(parts)) if len(parts) > 1 else text


def swapped(text: str, rng: random.Random) -> str:
    """Change a number, else a name inside a sentence, else the last word."""
    numbers = list(re.finditer(r"\d+", text))
    if numbers:
        found = rng.choice(numbers)
        return text[: found.start()] + str(int(found[0]) + rng.randint(1, 9)) + text[found.end() :]
    names = list(re.finditer(r"(?<=[a-z,] )[A-Z]\w+", text)) or list(re.finditer(r"\w{4,}", text))[-1:]
    if not names:
        return text
    found = rng.choice(names)
    return text[: found.start()] + rng.choice(["Malta", "Peter", "Ottawa", "Nairobi"]) + text[found.end() :]


def negated(text: str, rng: random.Random) -> str:
    """Put "not" behind the first verb of a list, else in front of the last word."""
    found = re.search(rf"(?i)\b(?:{'|'.join(VERBS)})\b", text)
    if found:
        return text[: found.end()] + " not" + text[found.end() :]
    head, _, tail = text.rpartition(" ")
    return f"{head} not {tail}"


REWRITES = {
    "case, marks": upper_or_marks,
    "typos": typos,
    "framed": framed,
    "synonyms": synonyms,
    "reordered": reordered,
    "swapped": swapped,
    "negated": negated,
}


def exact(first: str, second: str) -> bool:
    """Compare as `trained_on` does."""
    ours, theirs = (" ".join(unicodedata.normalize("NFC", text.casefold()).split()) for text in (first, second))
    return ours == theirs


def word_grams(text: str, n: int) -> frozenset[str]:
    """Return the n-grams of words."""
    words = plain_text(text).split()
    return frozenset(" ".join(words[at : at + n]) for at in range(max(1, len(words) - n + 1)))


def least(grams: Callable[[str], frozenset[str]], threshold: float) -> Signal:
    """Return a signal: a Jaccard similarity of at least the threshold."""
    return lambda first, second: jaccard(grams(first), grams(second)) >= threshold


SIGNALS: dict[str, Signal] = {
    "exact (NFC, case, space)": exact,
    "tokens only": lambda first, second: plain_text(first) == plain_text(second),
    **{f"words >= {at}": least(lambda text: word_grams(text, 1), at) for at in (0.6, 0.7)},
    **{f"5-grams of characters >= {at}": least(lambda text: grams_of(plain_text(text)), at) for at in (0.5, 0.6, 0.7)},
    **{f"3-grams of words >= {at}": least(lambda text: word_grams(text, 3), at) for at in (0.3, 0.5)},
}


def table(questions: list[str]) -> dict[str, dict[str, float]]:
    """Return signal -> rewrite -> share flagged; a rewrite that changes nothing is not counted."""
    found: dict[str, dict[str, float]] = {name: {} for name in SIGNALS}
    for rewrite, change in REWRITES.items():
        rng = random.Random(SEED)
        pairs = [(text, changed) for text in questions if (changed := change(text, rng)) != text]
        for name, signal in SIGNALS.items():
            found[name][rewrite] = sum(signal(*pair) for pair in pairs) / len(pairs) if pairs else float("nan")
    return found


def unrelated(questions: list[str]) -> dict[str, int]:
    """Return signal -> number of flagged pairs of different questions, for the signals of shared grams."""
    prepared = {"words": 1, "3-grams of words": 3}
    grams = {name: [word_grams(text, n) for text in questions] for name, n in prepared.items()}
    grams["5-grams of characters"] = [grams_of(plain_text(text)) for text in questions]
    counts = dict.fromkeys(SIGNALS, 0)
    for name, each in grams.items():
        for one, other in combinations(each, 2):
            similarity = jaccard(one, other)
            for signal in SIGNALS:
                if signal.startswith(f"{name} >=") and similarity >= float(signal.rpartition(" ")[2]):
                    counts[signal] += 1
    return counts


def questions_of(files: Iterable[Path]) -> list[str]:
    """Return the different inputs of JSON Lines files, in their order."""
    texts: dict[str, None] = {}
    for file in files:
        with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as rows:
            texts |= {row["input"]: None for line in rows if isinstance((row := json.loads(line))["input"], str)}
    return list(texts)


def write_set(file: Path, rows: int) -> None:
    """Write the set whose search is timed."""
    rng = random.Random(SEED)
    words = ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 9))) for _ in range(20_000)]
    before: list[str] = []
    with file.open("w", encoding="utf-8") as out:
        for at in range(rows):
            tokens = list(rng.choice(before).split()) if before and rng.random() < 0.1 else []
            tokens = tokens or rng.choices(words, k=rng.randint(6, 30))
            tokens[rng.randrange(len(tokens))] = rng.choice(words)
            before.append(" ".join(tokens))
            out.write(json.dumps({"id": f"c{at}", "input": before[-1]}) + "\n")


def timed(rows: int) -> None:
    """Print CPU and peak memory of the command on a set of this size."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cases.jsonl"
        write_set(file, rows)
        start = time.monotonic()
        command = [sys.executable, "-m", "evalkit", "golden", "dedup", str(file), "--json"]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        n_pairs = len(json.loads(ran.stdout)["pairs"])
        cpu, memory = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
        print(
            f"{rows:,} rows: {cpu:.1f} s CPU, {time.monotonic() - start:.1f} s wall, {memory:.0f} MB, {n_pairs:,} pairs"
        )


def main() -> None:
    """Parse the arguments and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=0, help="size of the set whose search is timed")
    parser.add_argument("--questions", type=Path, nargs="*", default=[], help="files with the questions to rewrite")
    chosen = parser.parse_args()
    if chosen.rows:
        timed(chosen.rows)
    questions = questions_of(chosen.questions)
    if questions:
        counts, shares = unrelated(questions), table(questions)
        n_pairs = len(questions) * (len(questions) - 1) // 2
        print(f"{len(questions)} questions, {n_pairs:,} unrelated pairs")
        print("| signal |", " | ".join(REWRITES), "| unrelated |")
        for name, row in shares.items():
            print(f"| {name} |", " | ".join(f"{share:.2f}" for share in row.values()), f"| {counts[name]} |")
        near = near_duplicates([NearText(str(at), "", text) for at, text in enumerate(questions)])
        kinds = [pair.kind for pair in near.pairs]
        print(f"near_duplicates finds {len(kinds)} pairs, {kinds.count('same')} of them `same`")


if __name__ == "__main__":
    main()
