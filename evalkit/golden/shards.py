"""Divide the cases of a golden set into shards, which parallel jobs run."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from evalkit.types import Case

BUCKETS = 4096
"""Number of buckets that the cases are divided into; a shard is a contiguous range of them."""
_WRITTEN = re.compile(r"(?P<number>[0-9]{1,4})/(?P<of>[0-9]{1,4})")
_FLAG = "--shard "


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    """One of several parts of a golden set: a case, its repeats and its cluster are in the same one."""

    number: int
    """From 1 to `of`."""
    of: int
    """Number of shards, 1 to `BUCKETS`."""

    def __post_init__(self) -> None:
        """Reject a shard that does not exist.

        Raises:
            ValueError: it does not; the message has the fix.
        """
        if not 1 <= self.of <= BUCKETS:
            raise ValueError(f"a golden set has no {self.of} shards; choose 1 to {BUCKETS}")
        if not 1 <= self.number <= self.of:
            raise ValueError(f"there is no shard {self.number} of {self.of}; number them from 1 to {self.of}")

    def __str__(self) -> str:
        """Return the shard as it is written: `2/8`."""
        return f"{self.number}/{self.of}"

    @property
    def flag(self) -> str:
        """The flag that runs it, which is also what a run of it is partial by."""
        return f"{_FLAG}{self}"

    def holds(self, case: Case) -> bool:
        """Return True if the case belongs to this shard."""
        return number_of(case, self.of) == self.number


def number_of(case: Case, of: int) -> int:
    """Return the number of the shard, 1 to `of`, that holds a case."""
    return bucket_of(case) * of // BUCKETS + 1


def bucket_of(case: Case) -> int:
    """Return the bucket of a case, 0 to `BUCKETS - 1`: the first 12 bits of BLAKE2b of its cluster, else of its id."""
    text = case.id if case.cluster is None else case.cluster
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass")).digest()[:2]) >> 4


def read_shard(text: str) -> Shard:
    """Read a shard as it is written: `2/8`.

    Raises:
        ValueError: there is no such shard; the message has the fix.
    """
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a shard; write its number and how many there are, such as 2/8")
    return Shard(int(found["number"]), int(found["of"]))


def shard_of_run(partial: str | None) -> Shard | None:
    """Return the shard that a run is partial by, `None` for any other run."""
    try:
        return read_shard(partial.removeprefix(_FLAG)) if partial is not None and partial.startswith(_FLAG) else None
    except ValueError:
        return None
