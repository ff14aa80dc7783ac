"""Hold the ids of rows compactly, as their bytes."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BLOCK_ROWS = 1 << 16
_WORD_BYTES = 8


class RowIds(Sequence[str]):
    """Texts that are only added to, without an object for each, which takes 49 bytes more."""

    def __init__(self) -> None:
        """Start empty."""
        self._packed, self._ends = bytearray(), array("Q", [0])

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

    def sorted(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sort positions by their texts; those of equal texts keep their order.

        Args:
            order: the positions to sort.
        """
        import numpy as np

        ends = np.frombuffer(self._ends, np.uint64).astype(np.int64)
        starts, lengths = ends[:-1], np.diff(ends)
        n_words = -(-int(lengths.max(initial=0)) // _WORD_BYTES)
        words = np.zeros((n_words, len(self)), np.uint64)
        data = np.frombuffer(self._packed, np.uint8)
        for first in range(0, len(self), _BLOCK_ROWS):
            some = slice(first, first + _BLOCK_ROWS)
            width = np.arange(n_words * _WORD_BYTES)
            inside = width < lengths[some, None]
            padded = np.zeros(inside.shape, np.uint8)
            padded[inside] = data[starts[first] : starts[first] + int(lengths[some].sum())]
            words[:, some] = padded.view(">u8").T
        del data  # which keeps texts from being added
        keys = (lengths[order], *(word[order] for word in words[::-1]))
        return order[np.lexsort(keys)]


class ChosenTexts(Sequence[str]):
    """Some of a sequence of texts, without a copy of them."""

    def __init__(self, texts: Sequence[str], places: NDArray[np.int64]) -> None:
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
