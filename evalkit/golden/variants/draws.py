"""Draw numbers from SHA-256, so that a seed gives the same variant on every platform and in every order of cases."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TypeVar

_Item = TypeVar("_Item")


class Draws:
    """A stream of draws that depends on nothing but the key."""

    def __init__(self, seed: int, id_: str, name: str, k: int) -> None:
        """Open the stream of one variant.

        Args:
            seed: seed of the suite.
            id_: id of the original.
            name: name of the transform.
            k: number of the variant, from 1.
        """
        self._key, self._count = _digest(seed, id_, name, k), 0
        self.seed, self.number = seed, k
        self._turn = int.from_bytes(_digest(seed, id_, name, 0)[:8], "big") + k

    @property
    def hex(self) -> str:
        """The seed of the variant (hex)."""
        return self._key.hex()

    def below(self, n: int) -> int:
        """Draw a whole number from 0 to `n` - 1.

        Raises:
            ValueError: `n` is not positive.
        """
        if n < 1:
            raise ValueError(f"n is {n}; at least 1 is needed")
        block = hashlib.sha256(self._key + self._count.to_bytes(8, "big")).digest()
        self._count += 1
        return int.from_bytes(block[:8], "big") * n >> 64

    def one_of(self, items: Sequence[_Item]) -> _Item:
        """Draw one of the items."""
        return items[self.below(len(items))]

    def in_turn(self, items: Sequence[_Item]) -> _Item:
        """Return another item for each variant of a case, from a drawn one on."""
        return items[self._turn % len(items)]

    def shuffled(self, items: Sequence[_Item]) -> list[_Item]:
        """Return the items in a random order (Fisher-Yates)."""
        found = list(items)
        for at in range(len(found) - 1, 0, -1):
            other = self.below(at + 1)
            found[at], found[other] = found[other], found[at]
        return found


def _digest(seed: int, id_: str, name: str, k: int) -> bytes:
    return hashlib.sha256(json.dumps([seed, id_, name, k], ensure_ascii=True).encode()).digest()
