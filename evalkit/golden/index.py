"""Remember where each case of a golden set is, and what a choice of cases depends on.

Cases are chosen from this index, and only the rows of chosen cases are read again. It takes 54 bytes a case, and the
bytes of its id, in memory or in a file.
"""

from __future__ import annotations

import struct
from array import array
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import TypeVar

from evalkit.types import Case

HASH_BYTES = 16
"""Bytes of a hash that stands for a key, enough to take no two keys for one."""
_DIGEST_BYTES = 32
_HEX = 2 * _DIGEST_BYTES
_MOST_WORDS = 32
"""Words to which a question is counted: choices know it by the class of its length alone."""
_QUESTIONS = tuple(" ".join(["word"] * n) for n in range(_MOST_WORDS + 1))
_BLOCK_CASES = 4096
"""Cases of a block, which is the part of an index that is in memory at once."""
_HEAD = struct.Struct("<I")
T = TypeVar("T")
Like = tuple[str, str, tuple[tuple[str, str], ...]]
"""Kind, severity and cohorts of cases."""


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


@dataclass(frozen=True, slots=True)
class RowPlaces:
    """Where rows of a file are, in its order."""

    lines: array[int] = field(default_factory=lambda: array("I"))
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    """Byte at which each row begins; meaningless in a file that must be read from its start."""

    def add(self, line: int, offset: int) -> None:
        """Add the place of the next row."""
        self.lines.append(line)
        self.offsets.append(offset)

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.lines)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield line and offset of each row."""
        return zip(self.lines, self.offsets, strict=True)


class CaseIndex:
    """The cases of a file in its order, without their texts."""

    def __init__(self, shown: str, likes: Iterable[Like] = (), packed: Sequence[bytes] = ()) -> None:
        """Open an index.

        Args:
            shown: name of the file in messages.
            likes: what `likes` of the index was.
            packed: what its `packed` was; only an index without any can be added to.

        Attributes:
            shown: name of the file in messages.
        """
        self.shown = shown
        self._likes = {like: number for number, like in enumerate(likes)}
        self._packed = packed
        self._full: list[bytes] = []
        self._block = _Block()

    def add(self, case: Case, line: int, offset: int) -> int:
        """Take the next case of the file, and return the number of its kind, severity and cohorts."""
        block = self._block
        block.ids.append(case.id)
        block.digests.append(case.digest)
        block.places.add(line, offset)
        block.words.append(min(len(case.question.split(None, _MOST_WORDS)), _MOST_WORDS))
        alike = (case.kind, case.severity, tuple(case.cohorts.items()))
        like = self._likes.setdefault(alike, len(self._likes))
        block.likes.append(like)
        if len(block.ids) == _BLOCK_CASES:
            self._full.append(block.pack())
            self._block = _Block()
        return like

    @property
    def likes(self) -> tuple[Like, ...]:
        """The different kinds, severities and cohorts of the cases."""
        return tuple(self._likes)

    @property
    def packed(self) -> Sequence[bytes]:
        """The index in blocks of bytes."""
        return self._packed or [*self._full, self._block.pack()]

    def _blocks(self, *, ids: bool = False) -> Iterator[_Block]:
        return (_unpacked(each, ids=ids) for each in self.packed)

    def __iter__(self) -> Iterator[Case]:
        """Yield every case with its id, digest, place, kind, severity and cohorts, and a question of like length."""
        return self.named(None)

    def named(self, ids: Container[str] | None) -> Iterator[Case]:
        """Yield the cases with these ids, all if `None`."""
        likes = [(kind, severity, dict(cohorts)) for kind, severity, cohorts in self._likes]
        for block in self._blocks(ids=True):
            for at, case_id in enumerate(block.ids):
                if ids is not None and case_id not in ids:
                    continue
                kind, severity, cohorts = likes[block.likes[at]]
                yield Case(
                    id=case_id,
                    input=_QUESTIONS[block.words[at]],
                    kind=kind,  # type: ignore[arg-type]
                    severity=severity,  # type: ignore[arg-type]
                    cohorts=cohorts,
                    digest=block.digests[at],
                    place=f"{self.shown}:{block.places.lines[at]}",
                )

    def labelled(self, label: Callable[[Case], T]) -> Iterator[tuple[T, str]]:
        """Yield the label and the digest of every case; see the function `labelled`."""
        known = _Labels(self.likes, label)
        for block in self._blocks():
            alike = zip(block.likes, block.words, strict=True)
            yield from zip(map(known.__getitem__, alike), block.digests, strict=True)

    def counted(self, label: Callable[[Case], T]) -> Counter[T]:
        """Count the cases of each label; see the function `labelled`."""
        alike = Counter[tuple[int, int]]()
        for block in self._blocks():
            alike.update(zip(block.likes, block.words, strict=True))
        known, counts = _Labels(self.likes, label), Counter[T]()
        for each, n in alike.items():
            counts[known[each]] += n
        return counts

    def places_of(self, chosen: Container[str]) -> RowPlaces:
        """Return the places of the cases with these digests."""
        found = RowPlaces()
        for block in self._blocks():
            lines, offsets = block.places.lines, block.places.offsets
            for at, digest in enumerate(block.digests):
                if digest in chosen:
                    found.add(lines[at], offsets[at])
        return found

    def ids_at(self, rows: Iterable[int]) -> Iterator[str]:
        """Yield the ids of the cases at these numbers, counted from 0 and in order."""
        number, block = -1, _Block()
        for row in rows:
            if row // _BLOCK_CASES != number:
                number = row // _BLOCK_CASES
                block = _unpacked(self.packed[number]) if number < len(self._full) or self._packed else self._block
            yield block.ids[row % _BLOCK_CASES]


def labelled(cases: Iterable[Case], label: Callable[[Case], T]) -> Iterator[tuple[T, str]]:
    """Yield the label and the digest of every case.

    Args:
        cases: the cases, or their index.
        label: a function of kind, severity, cohorts and the length of the question.
    """
    if isinstance(cases, CaseIndex):
        return cases.labelled(label)
    return ((label(case), case.digest) for case in cases)


def counted(cases: Iterable[Case], label: Callable[[Case], T]) -> Counter[T]:
    """Count the cases, or those of an index, by such a label."""
    return cases.counted(label) if isinstance(cases, CaseIndex) else Counter(map(label, cases))


def named(cases: Iterable[Case], ids: Container[str]) -> Iterator[Case]:
    """Yield the cases, or those of an index, that have these ids."""
    return cases.named(ids) if isinstance(cases, CaseIndex) else (case for case in cases if case.id in ids)


class _Labels(dict[tuple[int, int], T]):
    """The label of each kind, severity, cohorts and length of a question, found when it is first asked for."""

    def __init__(self, likes: Sequence[Like], label: Callable[[Case], T]) -> None:
        super().__init__()
        self._likes, self._label = likes, label

    def __missing__(self, alike: tuple[int, int]) -> T:
        kind, severity, cohorts = self._likes[alike[0]]
        question = _QUESTIONS[alike[1]]
        case = Case(id="", input=question, kind=kind, severity=severity, cohorts=dict(cohorts))  # type: ignore[arg-type]
        self[alike] = found = self._label(case)
        return found


@dataclass(frozen=True, slots=True)
class _Block:
    """Columns of some of the cases."""

    ids: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    """In hexadecimal."""
    places: RowPlaces = field(default_factory=RowPlaces)
    likes: array[int] = field(default_factory=lambda: array("I"))
    """Number of the kind, severity and cohorts of each."""
    words: bytearray = field(default_factory=bytearray)

    def pack(self) -> bytes:
        """Return the columns one after the other, without their lengths but for that of all."""
        ids = [each.encode() for each in self.ids]
        ends = array("I", accumulate(map(len, ids)))
        columns = (self.places.offsets, self.places.lines, self.likes, ends)
        digests = bytes.fromhex("".join(self.digests))
        return b"".join((_HEAD.pack(len(ids)), digests, *(each.tobytes() for each in columns), self.words, *ids))


def _unpacked(packed: bytes, *, ids: bool = True) -> _Block:
    """Return the columns of a block, without the ids if they are not needed."""
    (n_cases,) = _HEAD.unpack_from(packed)
    at = _HEAD.size
    digests = packed[at : (at := at + n_cases * _DIGEST_BYTES)].hex()
    offsets, lines, likes, ends = array("Q"), array("I"), array("I"), array("I")
    for column in (offsets, lines, likes, ends):
        column.frombytes(packed[at : (at := at + n_cases * column.itemsize)])
    words, joined = packed[at : at + n_cases], packed[at + n_cases :]
    return _Block(
        ids=[joined[start:end].decode() for start, end in pairwise((0, *ends))] if ids else [],
        digests=[digests[start : start + _HEX] for start in range(0, len(digests), _HEX)],
        places=RowPlaces(lines, offsets),
        likes=likes,
        words=bytearray(words),
    )
