"""Remember where each case of a golden set is, and what a choice of cases depends on.

Cases are chosen from this index, and only the rows of chosen cases are read again. It takes 49 bytes a case, and the
bytes of its id.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise

from evalkit.types import Case

HASH_BYTES = 16
"""Bytes of a hash that stands for a key, enough to take no two keys for one."""
_DIGEST_BYTES = 32
_MOST_WORDS = 32
"""Words to which a question is counted: choices know it by the class of its length alone."""
_QUESTIONS = tuple(" ".join(["word"] * n) for n in range(_MOST_WORDS + 1))


class KeyNumbers:
    """Number different keys of one length in their order, in about 12 bytes each and the bytes of the key.

    A table with open addresses, because a dict takes 150 bytes and more for each.
    """

    def __init__(self, key_bytes: int) -> None:
        """Start empty; the keys are hashes, so that their first 8 bytes are evenly spread."""
        self._key_bytes, self._keys = key_bytes, bytearray()
        self._slots = array("I", bytes(4 * 16))  # the number of a key, counted from 1; 0 is free

    def __len__(self) -> int:
        """Count the different keys."""
        return len(self._keys) // self._key_bytes

    def find(self, key: bytes) -> int | None:
        """Return the number of a key, counted from 0; `None` if it was not seen."""
        found = self._slots[self._slot(key)]
        return found - 1 if found else None

    def number(self, key: bytes) -> int:
        """Return the number of a key, which is the next one for a new key."""
        slot = self._slot(key)
        if self._slots[slot]:
            return self._slots[slot] - 1
        self._keys += key
        self._slots[slot] = len(self)
        if 2 * len(self) > len(self._slots):
            self._grow()
        return len(self) - 1

    def _slot(self, key: bytes) -> int:
        """Return the place of a key, or the free place for it."""
        slots, keys, width = self._slots, self._keys, self._key_bytes
        last = len(slots) - 1
        at = int.from_bytes(key[:8]) & last
        while (found := slots[at]) and keys[(found - 1) * width : found * width] != key:
            at = (at + 1) & last
        return at

    def _grow(self) -> None:
        self._slots = array("I", bytes(4 * 2 * len(self._slots)))
        for at in range(len(self)):
            key = bytes(self._keys[at * self._key_bytes : (at + 1) * self._key_bytes])
            self._slots[self._slot(key)] = at + 1


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
