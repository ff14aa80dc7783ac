"""Remember where each case of a golden set is, and what a choice of cases depends on.

Cases are chosen from this index, and only the rows of chosen cases are read again. It takes 49 bytes a case, and the
bytes of its id.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise

from evalkit.types import Case

_DIGEST_BYTES = 32
_MOST_WORDS = 32
"""Words to which a question is counted: choices know it by the class of its length alone."""
_QUESTIONS = tuple(" ".join(["word"] * n) for n in range(_MOST_WORDS + 1))


class CaseIndex:
    """The cases of a file in its order, without their texts."""

    def __init__(self, shown: str) -> None:
        """Start empty; `shown` is the name of the file in messages."""
        self._shown = shown
        self._ids, self._ends = bytearray(), array("Q", [0])
        self._digests, self._lines = bytearray(), array("I")
        self._words = bytearray()
        self._likes: dict[tuple[str, str, tuple[tuple[str, str], ...]], int] = {}
        self._like = array("I")

    def add(self, case: Case, line: int) -> None:
        """Take the next case of the file."""
        self._ids += case.id.encode()
        self._ends.append(len(self._ids))
        self._digests += bytes.fromhex(case.digest)
        self._lines.append(line)
        self._words.append(min(len(case.question.split()), _MOST_WORDS))
        alike = (case.kind, case.severity, tuple(case.cohorts.items()))
        self._like.append(self._likes.setdefault(alike, len(self._likes)))

    def outlines(self) -> Iterator[Case]:
        """Yield every case with its id, digest, place, kind, severity and cohorts, and a question of like length."""
        likes: list[tuple[str, str, Mapping[str, str]]] = [(kind, how, dict(own)) for kind, how, own in self._likes]
        rows = zip(pairwise(self._ends), self._lines, self._words, self._like, strict=True)
        for at, ((start, end), line, words, like) in enumerate(rows):
            kind, severity, cohorts = likes[like]
            yield Case(
                id=self._ids[start:end].decode(),
                input=_QUESTIONS[words],
                kind=kind,  # type: ignore[arg-type]
                severity=severity,  # type: ignore[arg-type]
                cohorts=cohorts,
                digest=self._digest(at),
                place=f"{self._shown}:{line}",
            )

    def lines_of(self, chosen: Collection[str]) -> list[int]:
        """Return the lines of the cases with these digests, in the order of the file."""
        return [line for at, line in enumerate(self._lines) if self._digest(at) in chosen]

    def _digest(self, at: int) -> str:
        return self._digests[at * _DIGEST_BYTES : (at + 1) * _DIGEST_BYTES].hex()
