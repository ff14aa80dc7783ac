"""Cut documents into passages, and draw some of them by a seed."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from evalkit.golden.near_duplicates import plain_text

LEAST_CHARS = 80
"""Characters of the shortest passage; a heading or a page number alone gives no question."""
ENOUGH_CHARS = 500
"""Characters from which a passage ends with its paragraph."""
MOST_CHARS = 1_500
"""Characters of the longest passage."""
Cell = tuple[str, ...]
"""A value for each of some cohorts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentPassage:
    """Some lines of a document, or the contexts of a logged call."""

    file: str
    """The file in messages."""
    lines: str
    """Its lines in the file, such as `12-18`."""
    text: str
    question: str = ""
    """What a user asked, in a log."""
    cohorts: Mapping[str, str] = field(default_factory=dict)
    """Cohorts of the logged call."""

    @property
    def place(self) -> str:
        """File and lines."""
        return f"{self.file}:{self.lines}"

    @property
    def digest(self) -> str:
        """The first 16 hexadecimal digits of a hash of its words and of the question."""
        words = f"{plain_text(self.text)}\0{plain_text(self.question)}"
        return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def passages_of(lines: Iterable[tuple[int, str]], file: str) -> Iterator[DocumentPassage]:
    """Cut a document into passages of whole paragraphs, of 80 to 1,500 characters.

    A paragraph that is longer is cut between words. A rest of fewer than 80 characters is left out.

    Args:
        lines: the text by lines, with their numbers.
        file: the file in messages.
    """
    held: list[tuple[int, str]] = []
    size = 0

    def passage() -> Iterator[DocumentPassage]:
        text = "\n".join(line for _, line in held).strip()
        if len(text) >= LEAST_CHARS:
            first, last = held[0][0], held[-1][0]
            yield DocumentPassage(file=file, lines=str(first) if first == last else f"{first}-{last}", text=text)

    for number, line in lines:
        if not line.strip():
            if size >= ENOUGH_CHARS:
                yield from passage()
                held, size = [], 0
            elif held:
                held.append((number, ""))
                size += 1
            continue
        for piece in _pieces(line.rstrip()):
            if size + len(piece) > MOST_CHARS:
                yield from passage()
                held, size = [], 0
            held.append((number, piece))
            size += len(piece) + 1
    yield from passage()


def _pieces(line: str) -> Iterator[str]:
    """Cut a line between words into pieces of at most 1,500 characters."""
    while len(line) > MOST_CHARS:
        at = line.rfind(" ", MOST_CHARS // 2, MOST_CHARS)
        cut = at if at > 0 else MOST_CHARS
        yield line[:cut]
        line = line[cut:].lstrip()
    yield line


def draw_passages(
    passages: Iterable[DocumentPassage],
    quotas: Mapping[Cell, int],
    names: Iterable[str],
    seed: int,
    known: Collection[str],
) -> list[DocumentPassage]:
    """Draw passages in the order of a hash, so that other passages do not change which of two comes first.

    Args:
        passages: streamed; of two with equal words, the first counts.
        quotas: cell -> number of passages to draw from it; others are not drawn.
        names: cohorts that make the cell of a passage; none if all passages have the empty cell.
        seed: seed of the order.
        known: digests of passages that are not drawn.

    Returns:
        The passages, at most as many as the quotas, in the order of the draw.
    """
    cohorts = tuple(names)
    seen = set(known)
    held: dict[Cell, list[tuple[int, int, DocumentPassage]]] = {cell: [] for cell, quota in quotas.items() if quota}
    for at, each in enumerate(passages):
        cell = tuple(each.cohorts.get(name, "") for name in cohorts)
        digest = each.digest
        if cell not in held or digest in seen:
            continue
        seen.add(digest)
        rank = hashlib.blake2b(f"{seed}:{digest}".encode(), digest_size=8).digest()
        entry = (-int.from_bytes(rank), -at, each)
        if len(held[cell]) < quotas[cell]:
            heapq.heappush(held[cell], entry)
        else:
            heapq.heappushpop(held[cell], entry)
    found = sorted((entry for each in held.values() for entry in each), key=lambda entry: (-entry[0], -entry[1]))
    return [each for _, _, each in found]
