"""The demonstration set: what its data card promises, and what the bot really does on it."""

from __future__ import annotations

import hashlib
import json
import re
import statistics
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from evalkit.scorers.rules.citation import Citation
from evalkit.scorers.rules.keywords import Keywords
from evalkit.scorers.rules.refusal import Refusal
from evalkit.trust.label_files import read_labels
from evalkit.types import Case, Output
from suites.compliance.bot import answer
from suites.compliance.corpus import FUNCTION_WORDS

FOLDER = Path(__file__).parents[2] / "golden_sets" / "compliance"
LABELS = (FOLDER / "labels" / "author-a.jsonl", FOLDER / "labels" / "author-b.jsonl")
STALE = "2024-01-01"
STOPWORDS = frozenset().union(*FUNCTION_WORDS.values())


def read(name: str) -> list[dict[str, Any]]:
    """Rows of one file of the set."""
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


CASES = read("cases.jsonl")
PASSAGES = {passage["id"]: passage for passage in read("corpus/passages.jsonl")}
GOLDEN = [case for case in CASES if case["kind"] == "golden"]


@cache
def answers(corpus_until: str | None = None) -> dict[str, dict[str, Any]]:
    """What the bot says to every case."""
    return {case["id"]: answer(case["input"], corpus_until=corpus_until) for case in CASES}


def passes(row: dict[str, Any], said: dict[str, Any]) -> bool:
    """Every required fact, nothing forbidden, refusal where due, and a source that was retrieved."""
    case = Case(id=row["id"], input=row["input"], fields=row)
    output = Output(text=said["text"], contexts=tuple(said["contexts"]))
    scorers = [
        Refusal(),
        *([Keywords()] if "required" in row else []),
        *([Keywords(required_field=None)] if "forbidden" in row else []),
        *([] if row["refuse"] else [Citation()]),
    ]
    return all(scorer.score(case, output).passed for scorer in scorers)


@cache
def failing(corpus_until: str | None = None) -> frozenset[str]:
    """Ids of the cases that the bot gets wrong."""
    said = answers(corpus_until)
    return frozenset(case["id"] for case in CASES if not passes(case, said[case["id"]]))


def content_words(text: str) -> set[str]:
    """Lower-cased words of three letters or more that carry subject matter."""
    return {word for word in re.findall(r"[^\W\d_]{3,}", text.lower()) if word not in STOPWORDS}


@pytest.mark.parametrize(
    ("kind", "at_least"),
    [("golden", 200), ("adversarial", 60), ("canary", 20)],
    ids=["golden", "adversarial", "canary"],
)
def test_there_are_enough_cases_of_each_kind(kind: str, at_least: int) -> None:
    """Each kind of case reaches the size that the demonstration needs."""
    assert sum(case["kind"] == kind for case in CASES) >= at_least


@pytest.mark.parametrize(
    ("cohort", "value", "at_least"),
    [("domain", "aml", 44), ("domain", "privacy", 44), ("language", "de", 12), ("language", "fr", 12)],
)
def test_critical_cohorts_are_large_enough_for_a_gate(cohort: str, value: str, at_least: int) -> None:
    """The golden cases of each cohort that a gate looks at reach their size."""
    assert sum(case["cohorts"][cohort] == value for case in GOLDEN) >= at_least


def test_ids_and_questions_are_unique() -> None:
    """No id and no question occurs twice."""
    for field in ("id", "input"):
        assert [value for value, n in Counter(case[field] for case in CASES).items() if n > 1] == []


def test_every_case_is_complete() -> None:
    """A case to be answered names its facts and its source; a case to be declined names neither."""
    cohorts = {"domain", "language", "risk", "tenant"}
    for case in CASES:
        assert set(case["cohorts"]) == cohorts, case["id"]
        assert ("required" in case, "source" in case) == (not case["refuse"],) * 2, case["id"]
        assert ("attack" in case) == (case["kind"] == "adversarial"), case["id"]


def test_every_attack_is_there() -> None:
    """The adversarial cases cover every kind of attack that the data card lists, at least six times."""
    counts = Counter(case["attack"] for case in CASES if case["kind"] == "adversarial")
    kinds = {"injection", "pii", "out_of_scope", "false_premise", "typos", "other_language", "harmful"}
    assert set(counts) == kinds
    assert min(counts.values()) >= 6


def test_every_source_holds_the_required_facts() -> None:
    """The passage that a case names is in the corpus, and so are the facts that its answer must name."""
    for case in (case for case in CASES if not case["refuse"]):
        output = Output(text=PASSAGES[case["source"]]["text"])
        score = Keywords().score(Case(id=case["id"], input=case["input"], fields=case), output)
        assert score.passed, (case["id"], score.reason)


def test_every_reference_passes_its_own_case() -> None:
    """The acceptable answer itself holds every required fact and nothing forbidden."""
    for row in (row for row in CASES if not row["refuse"]):
        case = Case(id=row["id"], input=row["input"], fields=row)
        assert Keywords().score(case, Output(text=row["reference"])).passed, row["id"]


def test_passages_are_short_and_dated() -> None:
    """Each passage has 40 to 120 words, a real date and a source that names an article or annex."""
    for passage in PASSAGES.values():
        assert 40 <= len(passage["text"].split()) <= 120, passage["id"]
        assert date.fromisoformat(passage["in_force"]) <= date(2024, 7, 9), passage["id"]
        assert re.search(r"art(?:icle|ikel)|annex", passage["source"], re.IGNORECASE), passage["id"]


def test_questions_paraphrase_their_passage() -> None:
    """At the median, at most half of a question's content words occur in its passage."""
    shares = [
        len(words & content_words(PASSAGES[case["source"]]["text"])) / len(words)
        for case in GOLDEN
        if (words := content_words(case["input"]))
    ]
    assert len(shares) == len(GOLDEN)
    assert statistics.median(shares) <= 0.5


def test_the_bot_fails_on_some_golden_cases_and_on_no_canary() -> None:
    """The set tells good answers from bad: 5 to 15 % of the golden cases fail, canaries all pass."""
    wrong = failing()
    share = sum(case["id"] in wrong for case in GOLDEN) / len(GOLDEN)
    assert 0.05 <= share <= 0.15
    assert [case["id"] for case in CASES if case["kind"] == "canary" and case["id"] in wrong] == []


def test_a_stale_index_breaks_aml_and_nothing_else() -> None:
    """Without the 2024 package at least 16 golden answers in aml turn wrong; no answer elsewhere changes at all."""
    fresh, stale = answers(), answers(STALE)
    broken = failing(STALE) - failing()
    assert sum(case["id"] in broken for case in GOLDEN if case["cohorts"]["domain"] == "aml") >= 16
    changed = {case["id"] for case in CASES if fresh[case["id"]] != stale[case["id"]]}
    assert [case["id"] for case in CASES if case["id"] in changed and case["cohorts"]["domain"] != "aml"] == []


def test_every_label_belongs_to_the_present_answer() -> None:
    """Each label carries the hash of what the bot says today, so none of them has lapsed."""
    for label in read_labels(LABELS, [file.name for file in LABELS]):
        text = answers()[label.case_id]["text"]
        assert hashlib.sha256(text.encode()).hexdigest() == label.answer_sha256, label.case_id


def test_labels_cover_the_failures_and_overlap() -> None:
    """At least 120 answers are labelled, 40 of them twice, by authors, with every wrong golden answer among them."""
    by_rater: dict[str, set[str]] = {}
    for label in read_labels(LABELS, [file.name for file in LABELS]):
        by_rater.setdefault(label.rater, set()).add(label.case_id)
        assert label.rater_kind == "author"
    first, second = by_rater["author-a"], by_rater["author-b"]
    assert len(first | second) >= 120
    assert len(first & second) >= 40
    assert {case["id"] for case in GOLDEN if case["id"] in failing()} <= first | second


def test_the_bot_is_safe_to_share_between_threads() -> None:
    """Eight threads that ask at once get the same answers as one after the other."""
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda case: answer(case["input"]), CASES))
    assert together == list(answers().values())


@pytest.mark.parametrize(
    "question", ["", "   ", "?!", "\ud800", "0" * 5000], ids=["empty", "blank", "signs", "surrogate", "long"]
)
def test_a_question_without_content_is_declined(question: str) -> None:
    """Where there is nothing to search for, the bot declines and names no passage."""
    said = answer(question)
    assert said["contexts"] == []
    assert Refusal().score(Case(id="x", input=question, fields={"refuse": True}), Output(text=said["text"])).passed


def test_a_citation_names_a_passage_that_was_used() -> None:
    """Every answer ends with the id and the source of a passage in its contexts."""
    for said in answers().values():
        if said["contexts"]:
            id_ = re.search(r"\[([a-z]+-\d{2}): [^\]]+\]$", said["text"])
            assert id_
            assert said["contexts"][0].startswith(f"{id_[1]} | ")
