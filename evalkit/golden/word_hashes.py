"""Compare sequences of words by rolling hashes: words of a text, its pieces, and a table of sequences to find."""

from __future__ import annotations

import functools
import html
import re
import unicodedata
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evalkit.golden.variants.letters import LOOKALIKES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Positions = NDArray[np.int64]

_PIECE = 200_000
"""Words of a text that are held at a time."""
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Scripts without spaces between words: each letter counts as a word."""
_ASCII_WORD = re.compile(r"[0-9a-z]+")
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Characters without a shape that are not of category Cf: fillers, joiners and selectors of variants."""
_TWINS = {
    **{twin: letter for letter, twin in LOOKALIKES.items()},
    **dict(zip("вкмнтѕјһԁԛԝӏ", "bkmhtsjhdqwl", strict=True)),
    **dict(zip("αβεζηικμνορτυχı", "abezhikmvoptuxi", strict=True)),
}
"""Letter after folding of case -> Latin letter that it, or its capital, looks like."""
_FACTOR = 0x9E3779B97F4A7C15
_INVERSE = pow(_FACTOR, -1, 2**64)


@functools.cache
def _as_seen(letter: str) -> str:
    """Return the letter that a reader sees; empty if none."""
    if unicodedata.category(letter) == "Cf" or _UNSEEN.match(letter):
        return ""
    return _TWINS.get(letter, letter)


def words_of(text: str) -> list[str]:
    """Return the words of a text, as a reader sees them: folded by NFKC and case; punctuation separates them.

    Entities of HTML are resolved, characters without a shape are dropped, and letters that look like Latin ones are
    read as these. This makes words of Cyrillic and Greek unreadable, but equal where they are equal.
    """
    if "&" in text:
        text = html.unescape(text)
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    for letter in set(folded):
        if (seen := _as_seen(letter)) != letter:
            folded = folded.replace(letter, seen)
    return _WORD.findall(unicodedata.normalize("NFKC", folded))


@functools.cache
def _powers(n: int) -> tuple[Hashes, Hashes]:
    import numpy as np

    with np.errstate(over="ignore"):
        factors = np.full(n, _FACTOR, np.uint64)
        inverses = np.full(n, _INVERSE, np.uint64)
        factors[0] = inverses[0] = 1
        return np.multiply.accumulate(factors), np.multiply.accumulate(inverses)


class RollingHash:
    """A rolling hash over words (Karp and Rabin 1987): that of any sequence of them is found in one step."""

    def __init__(self, hashes: Hashes) -> None:
        """Sum the hashes, each times a power of the factor, modulo 2^64."""
        import numpy as np

        self.n = len(hashes)
        self._back = _powers(1 << max(10, self.n.bit_length()))
        self._sums = np.zeros(self.n + 1, np.uint64)
        np.cumsum(hashes * self._back[0][: self.n], out=self._sums[1:])

    def grams(self, n: int) -> Hashes:
        """Return the hash of each sequence of `n` words."""
        count = max(0, self.n - n + 1)
        return (self._sums[n : n + count] - self._sums[:count]) * self._back[1][:count]

    def spans(self, starts: Positions, sizes: Positions) -> Hashes:
        """Return the hash of each of these sequences."""
        found: Hashes = (self._sums[starts + sizes] - self._sums[starts]) * self._back[1][starts]
        return found

    def span(self, start: int, size: int) -> int:
        """Return the hash of one run."""
        return (int(self._sums[start + size]) - int(self._sums[start])) * int(self._back[1][start]) % 2**64

    def holds(self, wanted: int, size: int, first: int, last: int) -> bool:
        """Return whether a run with this hash lies between two positions."""
        import numpy as np

        last = min(last, self.n) - size
        if last < first:
            return False
        starts = np.arange(first, last + 1)
        return bool((self.spans(starts, np.full(len(starts), size)) == np.uint64(wanted)).any())


@dataclass(frozen=True)
class GramTable:
    """Hashes of sequences of words, sorted, with what each belongs to."""

    keys: Hashes
    owners: Any
    inside: Any
    """Whether a run begins in the question."""
    maybe: Any
    """One flag for each value of the first bits, so that most words are passed over."""
    sizes: Mapping[int, set[int]] = field(default_factory=dict)

    @classmethod
    def of_keys(cls, sizes: Mapping[int, set[int]]) -> GramTable:
        """Return a table of hashes, each with the lengths of the texts that begin with it."""
        import numpy as np

        keys = np.array(sorted(sizes), np.uint64)
        return cls(keys, None, None, flags_of(keys), sizes)

    def positions(self, grams: Hashes) -> Positions:
        """Return where a run is one of the keys."""
        import numpy as np

        likely = np.flatnonzero(self.maybe[(grams >> self._shift).astype(np.int64)])
        at = np.searchsorted(self.keys, grams[likely])
        at[at == len(self.keys)] = 0
        return likely[self.keys[at] == grams[likely]] if len(self.keys) else likely[:0]

    def hits(self, grams: Hashes) -> tuple[Positions, Positions]:
        """Return positions and rows, one pair for each case that has the run."""
        import numpy as np

        positions = self.positions(grams)
        first = np.searchsorted(self.keys, grams[positions], "left")
        counts = np.searchsorted(self.keys, grams[positions], "right") - first
        offsets = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.repeat(positions, counts), np.repeat(first, counts) + offsets

    @functools.cached_property
    def _shift(self) -> Any:
        import numpy as np

        return np.uint64(64 - (len(self.maybe).bit_length() - 1))


def flags_of(keys: Hashes) -> Any:
    """Return a flag for each value of the first bits of a hash: whether a key begins with them."""
    import numpy as np

    bits = max(12, min(26, (16 * len(keys)).bit_length()))
    flags = np.zeros(1 << bits, bool)
    flags[(keys >> np.uint64(64 - bits)).astype(np.int64)] = True
    return flags


@dataclass(frozen=True)
class Piece:
    """A part of a text."""

    hashes: Hashes
    starts: Sequence[int]
    """Position of the first word of each line."""
    lines: Sequence[int]

    def line_of(self, at: int) -> int:
        """Return the number of the line with the word at a position."""
        return self.lines[bisect_right(self.starts, at) - 1]


def pieces_of(lines: Iterable[tuple[int, str]], overlap: int) -> Iterator[Piece]:
    """Yield a text in pieces; each begins with the last words of the one before, so that no run is cut."""
    import numpy as np

    words, starts, numbers, fresh = array("q"), list[int](), list[int](), 0
    for number, line in lines:
        found = words_of(line)
        if not found:
            continue
        starts.append(len(words))
        numbers.append(number)
        words.extend(map(hash, found))
        fresh += len(found)
        if fresh >= _PIECE:
            yield Piece(np.frombuffer(words, np.uint64), starts, numbers)
            gone = max(0, len(words) - overlap)
            kept = max(0, _line_at(starts, gone))
            words = words[gone:]
            starts = [max(0, start - gone) for start in starts[kept:]]
            numbers, fresh = numbers[kept:], 0
    if fresh:
        yield Piece(np.frombuffer(words, np.uint64), starts, numbers)


def _line_at(starts: Sequence[int], at: int) -> int:
    return bisect_right(starts, at) - 1
