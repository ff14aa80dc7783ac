"""Search the corpus by words (BM25) and by meaning (static embeddings)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from suites.compliance.corpus import Passage, language_of, read_passages, sentences, terms

Vectors = npt.NDArray[np.float32]

K1, B = 1.2, 0.75
"""The usual constants of BM25."""

_BUILDING = Lock()
"""The first question builds the index, and concurrent questions wait for it."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage with its relevance to the question."""

    passage: Passage
    best_sentences: tuple[str, ...]
    """Its sentences, nearest to the question first."""
    coverage: float
    """Share of the question's terms in the passage, weighted by rarity; 0 to 1."""
    cosine: float
    """Cosine of the question and the nearest sentence; -1 to 1."""

    @property
    def relevance(self) -> float:
        """Coverage plus cosine, the confidence that the passage is about the question."""
        return self.coverage + self.cosine


class Bm25:
    """Okapi BM25 over a fixed list of texts (Robertson and Zaragoza 2009, doi:10.1561/1500000019)."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._counts = [Counter(terms(text)) for text in texts]
        self._lengths = [counts.total() for counts in self._counts]
        self._mean_length = sum(self._lengths) / len(self._lengths)
        holders = Counter(term for counts in self._counts for term in counts)
        self._rarity = {term: math.log(1 + (len(texts) - n + 0.5) / (n + 0.5)) for term, n in holders.items()}
        self._rarity_unseen = math.log(2 * len(texts) + 2)

    def score(self, query: str, index: int) -> float:
        """Return the BM25 score of text `index`, >= 0."""
        counts, norm = self._counts[index], 1 - B + B * self._lengths[index] / self._mean_length
        found = [term for term in sorted(set(terms(query))) if term in counts]
        return sum(self._rarity[term] * counts[term] * (K1 + 1) / (counts[term] + K1 * norm) for term in found)

    def coverage(self, query: str, index: int) -> float:
        """Return the share of the query's terms in text `index`, weighted by rarity; 0 to 1."""
        weights = {term: self._rarity.get(term, self._rarity_unseen) for term in sorted(set(terms(query)))}
        held = sum(weight for term, weight in weights.items() if term in self._counts[index])
        return held / sum(weights.values()) if weights else 0.0


class Index:
    """Passages of one language, ready to be searched."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = tuple(passages)
        self._words = Bm25([f"{passage.title}. {passage.source}. {passage.text}" for passage in passages])
        self._sentences = [sentences(passage.text) for passage in passages]
        self._vectors = [
            embed([f"{passage.title}. {sentence}" for sentence in found])
            for passage, found in zip(self._passages, self._sentences, strict=True)
        ]

    def best(self, query: str) -> Hit:
        """Return the best passage, by BM25 as a share of the highest plus the cosine of its nearest sentence."""
        lexical = [self._words.score(query, index) for index in range(len(self._passages))]
        top, vector = max(lexical) or 1.0, embed([query])[0]
        cosines = [float((vectors @ vector).max()) for vectors in self._vectors]
        fused = [score / top + cosine for score, cosine in zip(lexical, cosines, strict=True)]
        return self._hit(query, vector, fused.index(max(fused)))

    def _hit(self, query: str, vector: Vectors, index: int) -> Hit:
        found, cosines = self._sentences[index], [float(value) for value in self._vectors[index] @ vector]
        by_words = Bm25(found)
        scores = [by_words.coverage(query, number) + cosine for number, cosine in enumerate(cosines)]
        ranked = sorted(range(len(found)), key=lambda number: (-scores[number], number))
        return Hit(
            self._passages[index],
            tuple(found[number] for number in ranked),
            self._words.coverage(query, index),
            max(cosines),
        )


def search(query: str, corpus_until: str | None = None) -> Hit:
    """Return the best passage in the language of `query`; with `corpus_until`, from an index of that date."""
    with _BUILDING:
        indexes = _indexes(corpus_until)
    return indexes[language_of(query)].best(query)


@cache
def _indexes(corpus_until: str | None) -> dict[str, Index]:
    passages = read_passages(corpus_until)
    languages = sorted({passage.language for passage in passages})
    return {code: Index([passage for passage in passages if passage.language == code]) for code in languages}


def embed(texts: Sequence[str]) -> Vectors:
    """Return mean token vectors, shape (len(texts), 256), with rows of length 1; zeros for an empty text."""
    tokenizer, table = _word_vectors()
    rows = np.zeros((len(texts), table.shape[1]), dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        tokens = tokenizer.encode(text.encode("utf-8", "replace").decode(), add_special_tokens=False).ids
        row[:] = table[tokens].sum(axis=0, dtype=np.float32)
        row /= np.linalg.norm(row) or 1.0
    return rows


@cache
def _word_vectors() -> tuple[Any, Vectors]:
    """Load tokenizer and token vectors from the wordllama wheel; its own loader would use the network."""
    from safetensors import safe_open
    from tokenizers import Tokenizer

    spec = find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("wordllama is not installed; it holds the word vectors: pip install wordllama")
    folder = Path(spec.origin).parent
    with safe_open(folder / "weights" / "l2_supercat_256.safetensors", framework="np") as weights:
        table = weights.get_tensor("embedding.weight")
    return Tokenizer.from_file(str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json")), table
