"""Hold the ids and keys of rows compactly, as their bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from evalkit.aggregate.row_codes import RowCodes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BLOCK_ROWS = 1 << 12
_WORD_BYTES = 8


class RowIds(Sequence[str]):
    """Texts that are only added to, without an object for each, which takes 49 bytes more."""

    def __init__(self) -> None:
        """Start empty."""
        self._packed, self._ends = bytearray(), RowCodes("I")
        self._ends.append(0)

    def append(self, text: str) -> None:
        """Add a text."""
        self._packed += text.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._packed))

    def __len__(self) -> int:
        """Count the texts."""
        return len(self._ends) - 1

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[str, ...]: ...
    def __getitem__(self, at: int | slice) -> str | tuple[str, ...]:
        """Return one text, or some of them."""
        if isinstance(at, slice):
            return tuple(self[each] for each in range(len(self))[at])
        at = range(len(self))[at]
        return self._packed[self._ends[at] : self._ends[at + 1]].decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        """Yield the texts in order."""
        return (self[at] for at in range(len(self)))

    def sorted(self, order: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
        """Sort positions by their texts; those of equal texts keep their order.

        Args:
            order: the positions to sort.
        """
        import numpy as np

        data, ends = np.frombuffer(self._packed, np.uint8), self._ends.view()
        lengths = np.zeros(len(order), np.uint32)
        for first in range(0, len(order), _BLOCK_ROWS):
            some = order[first : first + _BLOCK_ROWS]
            lengths[first : first + _BLOCK_ROWS] = ends[some + 1] - ends[some]
        n_words = -(-int(lengths.max(initial=0)) // _WORD_BYTES)
        words = np.zeros((n_words, len(order)), np.uint64)
        width = np.arange(n_words * _WORD_BYTES)
        for first in range(0, len(order), _BLOCK_ROWS):
            block = slice(first, first + _BLOCK_ROWS)
            inside = width < lengths[block, None]
            places = (ends[order[block]].astype(np.int64)[:, None] + width)[inside]
            padded = np.zeros(inside.shape, np.uint8)
            padded[inside] = data[places]
            words[:, block] = padded.view(">u8").T
        del data, ends  # which keep texts from being added
        return order[np.lexsort((lengths, *words[::-1]))]


class ChosenTexts(Sequence[str]):
    """Some of a sequence of texts, without a copy of them."""

    def __init__(self, texts: Sequence[str], places: NDArray[np.integer[Any]]) -> None:
        """Take the texts, and the positions of the chosen ones."""
        self._texts, self._places = texts, places

    def __len__(self) -> int:
        """Count the chosen texts."""
        return len(self._places)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[str, ...]: ...
    def __getitem__(self, at: int | slice) -> str | tuple[str, ...]:
        """Return one text, or some of them."""
        if isinstance(at, slice):
            return tuple(self._texts[each] for each in self._places[at].tolist())
        return self._texts[int(self._places[at])]

    def __iter__(self) -> Iterator[str]:
        """Yield the chosen texts."""
        return (self._texts[int(each)] for each in self._places)


class ChosenKeys(Sequence[bytes]):
    """Some of the keys of one length that lie one after the other, without a copy of them."""

    def __init__(self, packed: bytes | bytearray, key_bytes: int, places: NDArray[np.integer[Any]]) -> None:
        """Take the keys, and the positions of the chosen ones."""
        self._packed, self._key_bytes, self._places = packed, key_bytes, places

    def __len__(self) -> int:
        """Count the chosen keys."""
        return len(self._places)

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[bytes, ...]: ...
    def __getitem__(self, at: int | slice) -> bytes | tuple[bytes, ...]:
        """Return one key, or some of them."""
        if isinstance(at, slice):
            return tuple(map(self._key, self._places[at].tolist()))
        return self._key(int(self._places[at]))

    def __iter__(self) -> Iterator[bytes]:
        """Yield the chosen keys."""
        return (self._key(int(each)) for each in self._places)

    def places_of(self, keys: ChosenKeys) -> NDArray[np.int64]:
        """Return the position here of each of other keys of 16 bytes: the last one, or -1 if it is not here."""
        import numpy as np

        mine, asked = self._words(), keys._words()
        order = np.lexsort(mine[::-1])
        first, second = mine[0][order], mine[1][order]
        found = np.full(len(keys), -1)
        at = np.searchsorted(first, asked[0], "right") - 1
        open_ = np.arange(len(keys))
        while len(open_ := open_[at[open_] >= 0]) and len(open_ := open_[first[at[open_]] == asked[0][open_]]):
            same = second[at[open_]] == asked[1][open_]
            found[open_[same]] = order[at[open_[same]]]
            open_ = open_[~same]
            at[open_] -= 1
        return found

    def _words(self) -> NDArray[np.uint64]:
        """Return the two halves of the keys as numbers."""
        import numpy as np

        return np.frombuffer(self._packed, np.uint64).reshape(-1, 2).T[:, self._places]

    def _key(self, place: int) -> bytes:
        start = place * self._key_bytes
        return bytes(self._packed[start : start + self._key_bytes])


class ChosenNames(Sequence[str]):
    """Some of the names of rows that repeat a few names."""

    def __init__(self, codes: NDArray[np.integer[Any]], names: Sequence[str]) -> None:
        """Take the code of each, which is the position of its name in `names`."""
        self._codes, self._names = codes, names

    def __len__(self) -> int:
        """Count the chosen rows."""
        return len(self._codes)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[str, ...]: ...
    def __getitem__(self, at: int | slice) -> str | tuple[str, ...]:
        """Return one name, or some of them."""
        if isinstance(at, slice):
            return tuple(self._names[code] for code in self._codes[at].tolist())
        return self._names[int(self._codes[at])]

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return (self._names[code] for code in self._codes)
