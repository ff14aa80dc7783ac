"""Map rows to their checksums, in about 55 bytes a row plus the bytes of the case's id."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import itemgetter

_CHUNK_ROWS = 1 << 14
_START, _ID, _DIGEST = b'{"v":1,"repeat":', b',"case":{"id":"', b'","digest":"'
_HEX = 64
_TAIL = 20
"""Bytes of the number of a row and of its checksum."""


class SortedRows:
    """Short byte strings that are added in any order and read in theirs, kept in sorted chunks."""

    def __init__(self) -> None:
        """Start empty."""
        self._chunks: list[tuple[bytes, array[int]]] = []
        self._latest: list[bytes] = []

    def add(self, row: bytes) -> None:
        """Add a string."""
        self._latest.append(row)
        if len(self._latest) == _CHUNK_ROWS:
            self._latest.sort()
            self._chunks.append((b"".join(self._latest), array("I", map(len, self._latest))))
            self._latest = []

    def __iter__(self) -> Iterator[bytes]:
        """Yield every string in order."""
        self._latest.sort()
        return heapq.merge(*map(_rows_of, self._chunks), self._latest)

    def last_of_each(self, tail: int) -> Iterator[bytes]:
        """Yield the last of the strings that are alike but for this number of bytes at their ends."""
        last = b""
        for row in self:
            if last and row[:-tail] != last[:-tail]:
                yield last
            last = row
        if last:
            yield last


class RowSums:
    """Row name -> checksum of the row that counts, which is the last one of the name; sorted by name.

    Names of rows are long and alike, so that a dict of them takes 350 bytes a row. Here only the repeat, the id and the
    digest are kept, in a form that sorts as the names do, and in sorted chunks.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._rows = SortedRows()
        self._others: dict[bytes, bytes] = {}
        """Rows with names of another form."""
        self._other_superseded: set[bytes] = set()
        self._n_rows = 0

    def add(self, name: bytes, checksum: bytes) -> None:
        """Take the next row of a journal.

        Args:
            name: made by `row_name`.
            checksum: 32 hex digits.
        """
        packed = _packed(name)
        if packed is None:
            if name in self._others:
                self._other_superseded.add(self._others[name])
            self._others[name] = checksum
            return
        self._rows.add(packed + self._n_rows.to_bytes(4) + bytes.fromhex(checksum.decode()))
        self._n_rows += 1

    def _counting(self) -> Iterator[bytes]:
        """Yield the last row of each name."""
        return self._rows.last_of_each(_TAIL)

    @property
    def superseded(self) -> frozenset[bytes]:
        """The checksums of rows that do not count."""
        found, last = set(self._other_superseded), b""
        for row in self._rows:
            if row[:-_TAIL] == last[:-_TAIL] and last:
                found.add(_sum_of(last))
            last = row
        return frozenset(found)

    def __len__(self) -> int:
        """Count the names."""
        return sum(1 for _ in self._counting()) + len(self._others)

    def in_order(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield each name with the checksum that counts, sorted by name."""
        rows = ((_name_of(row), _sum_of(row)) for row in self._counting())
        return heapq.merge(rows, sorted(self._others.items())) if self._others else rows


def in_order(sums: RowSums | Mapping[bytes, bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield names and checksums, sorted by name."""
    return sums.in_order() if isinstance(sums, RowSums) else iter(sorted(sums.items()))


def side_by_side(
    first: RowSums | Mapping[bytes, bytes], second: RowSums | Mapping[bytes, bytes]
) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """Yield each name with its checksum in both, `None` where it is not; sorted by name."""
    sides = (_marked(first, 0), _marked(second, 1))
    for name, rows in groupby(heapq.merge(*sides), key=itemgetter(0)):
        found = {side: checksum for _, side, checksum in rows}
        yield name, found.get(0), found.get(1)


def _marked(sums: RowSums | Mapping[bytes, bytes], side: int) -> Iterator[tuple[bytes, int, bytes]]:
    return ((name, side, checksum) for name, checksum in in_order(sums))


def _packed(name: bytes) -> bytes | None:
    """Return the parts of a name that differ, such that they sort as names do; `None` for a name of another form.

    In a name the id ends at a quotation mark, which a longer id cannot have there: JSON escapes it.
    """
    repeat, _, rest = name.removeprefix(_START).partition(_ID)
    case_id, digest = rest[: -_HEX - len(_DIGEST)], rest[-_HEX:]
    try:
        raw = bytes.fromhex(digest.decode())
    except ValueError:
        return None
    packed = b'%b,%b"%b' % (repeat, case_id, raw)
    is_plain = repeat.isdigit() and len(raw) == _HEX // 2 and len(packed) < 1 << 15
    return packed if is_plain and _name_of(packed + bytes(_TAIL)) == name else None


def _name_of(row: bytes) -> bytes:
    repeat, _, case_id = row[: -_TAIL - _HEX // 2 - 1].partition(b",")
    digest = row[-_TAIL - _HEX // 2 : -_TAIL].hex().encode()
    return b"".join((_START, repeat, _ID, case_id, _DIGEST, digest))


def _sum_of(row: bytes) -> bytes:
    return row[-16:].hex().encode()


def _rows_of(chunk: tuple[bytes, array[int]]) -> Iterator[bytes]:
    packed, lengths = chunk
    at = 0
    for length in lengths:
        yield packed[at : at + length]
        at += length
