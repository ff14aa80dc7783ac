"""Hold the keys of rows that are done, or were begun, as hashes."""

from __future__ import annotations

import hashlib
from collections import Counter

from evalkit.golden.index import HASH_BYTES, KeyNumbers

Key = tuple[str, int]
"""(digest of the case, repeat): the key of a row in the journal."""


class RowKeys:
    """A set of keys of rows, which are kept as hashes in about 30 bytes each."""

    def __init__(self) -> None:
        self._seen, self._held = KeyNumbers(HASH_BYTES), bytearray()
        self._counts = Counter[int]()

    def add(self, key: Key) -> None:
        """Add a key."""
        number = self._seen.number(_hash(key))
        if number == len(self._held):
            self._held.append(0)
        self._counts[key[1]] += not self._held[number]
        self._held[number] = 1

    def discard(self, key: Key) -> None:
        """Remove a key, if it is there."""
        number = self._seen.find(_hash(key))
        if number is not None:
            self._counts[key[1]] -= self._held[number]
            self._held[number] = 0

    def __contains__(self, key: object) -> bool:
        """Return whether a key was added."""
        match key:
            case (str() as digest, int() as repeat):
                number = self._seen.find(_hash((digest, repeat)))
                return number is not None and bool(self._held[number])
        return False

    def __len__(self) -> int:
        """Count the keys."""
        return self._counts.total()

    def n_below(self, repeats: int) -> int:
        """Count the keys of the first `repeats` repeats."""
        return sum(n for repeat, n in self._counts.items() if repeat < repeats)


def _hash(key: Key) -> bytes:
    return hashlib.blake2b(f"{key[1]} {key[0]}".encode(), digest_size=HASH_BYTES).digest()
