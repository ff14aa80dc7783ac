"""Name the cohorts of calls: a value counts on its own once it has been seen 50 times, and 200 values at most do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evalkit.monitor.calls import MISSING, hash64

ENOUGH = 50
"""Calls of a value until which it is part of `other`."""
MOST_VALUES = 200
"""Values of all cohorts together that are counted; further ones are `other` for good."""
OTHER = "other"
_MOST_SETTLED = 10_000
"""Combinations of values that are no longer looked at one by one."""


class CohortValues:
    """Counts the values of cohorts; until a value counts on its own, only its hash is kept.

    Attributes:
        new: (cohort, hash) -> calls of the values that are counted, since `settle`.
    """

    def __init__(self, names: Sequence[str], salt: str, known: Mapping[tuple[str, str], int]) -> None:
        """Set what was counted so far.

        Args:
            names: Of the cohorts.
            salt: Part of the hashes.
            known: (cohort, hash) -> calls.
        """
        self._names, self._salt = names, salt.encode()
        self._counts = dict(known)
        self._hashes: dict[tuple[str, str], str] = {}
        self._settled: dict[tuple[str, ...], tuple[tuple[str, ...], list[tuple[str, str]]]] = {}
        self._repeats: dict[tuple[str, ...], int] = {}
        self.new: dict[tuple[str, str], int] = {}

    def count(self, values: Sequence[str]) -> tuple[tuple[str, ...], bool]:
        """Count a call, and return its cohorts.

        Args:
            values: Of each cohort, as logged.

        Returns:
            The value of each cohort or `other`, and whether one of them is new: counted, and seen less than 50 times.
        """
        key = tuple(values)
        if key in self._settled:
            self._repeats[key] += 1
            return self._settled[key][0], False
        found, is_new = [], False
        counted = []
        for name, value in zip(self._names, values, strict=True):
            if value == MISSING:
                found.append(value)
                continue
            own = (name, self._hash(name, value))
            n = self._counts.get(own)
            if n is None and len(self._counts) >= MOST_VALUES:
                found.append(OTHER)
                continue
            n = self._add(own, 1)
            counted.append(own)
            is_new = is_new or n <= ENOUGH
            found.append(value if n > ENOUGH else OTHER)
        if not is_new and len(self._settled) < _MOST_SETTLED:
            self._settled[key], self._repeats[key] = (tuple(found), counted), 0
        return tuple(found), is_new

    def _add(self, own: tuple[str, str], n: int) -> int:
        """Count calls of a value, and return how many there are now."""
        self._counts[own] = self._counts.get(own, 0) + n
        self.new[own] = self.new.get(own, 0) + n
        return self._counts[own]

    def settle(self) -> tuple[tuple[str, str, int], ...]:
        """Return what was counted since the last call: cohort, hash and calls."""
        for key, n in self._repeats.items():
            for own in self._settled[key][1] if n else ():
                self._add(own, n)
            self._repeats[key] = 0
        found = tuple((cohort, value, n) for (cohort, value), n in sorted(self.new.items()))
        self.new = {}
        return found

    def _hash(self, name: str, value: str) -> str:
        found = self._hashes.get((name, value))
        if found is None:
            if len(self._hashes) > 100 * MOST_VALUES:
                self._hashes.clear()
            found = self._hashes[name, value] = f"{hash64(self._salt, f'{name}={value}'):016x}"
        return found
