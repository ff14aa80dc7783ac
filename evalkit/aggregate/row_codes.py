"""Hold a number for each row in as few bytes as the numbers need."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WIDER = {"B": "H", "H": "I", "I": "Q"}
PLAIN_VALUES = (0.0, 1.0, math.nan)
"""Scores that are kept as their index here while a metric has no others."""
MISSING = 2
"""Index of the value that stands for none."""
_PLAIN = {value: code for code, value in enumerate(PLAIN_VALUES)}


class RowCodes:
    """Whole numbers of at least 0, one after the other; all take the bytes of the largest."""

    def __init__(self, typecode: str = "B") -> None:
        """Start empty, with the width of an `array` of unsigned numbers."""
        self._held = array(typecode)

    def append(self, number: int) -> None:
        """Add a number.

        Raises:
            OverflowError: it is below 0, or has more than 8 bytes.
        """
        try:
            self._held.append(number)
        except OverflowError:
            if number < 0 or self._held.typecode not in _WIDER:
                raise
            self._held = array(_WIDER[self._held.typecode], self._held)
            self.append(number)

    def extend(self, numbers: Iterable[int]) -> None:
        """Add numbers."""
        for number in numbers:
            self.append(number)

    def __len__(self) -> int:
        """Count the numbers."""
        return len(self._held)

    def __getitem__(self, at: int) -> int:
        """Return one number."""
        return self._held[at]

    def __iter__(self) -> Iterator[int]:
        """Yield the numbers in order."""
        return iter(self._held)

    def view(self) -> NDArray[np.unsignedinteger[Any]]:
        """Return the numbers without a copy; none can be added while the result exists."""
        import numpy as np

        return np.frombuffer(self._held, self._held.typecode)


class RowScores:
    """Scores of one metric: a byte each while all are 0, 1 or missing, else 8 bytes."""

    def __init__(self) -> None:
        """Start empty."""
        self._held: bytearray | array[float] = bytearray()

    def append(self, value: float) -> None:
        """Add a score; a missing one is `math.nan`."""
        if isinstance(self._held, bytearray):
            code = _PLAIN.get(value)
            if code is not None and (value or math.copysign(1, value) > 0):
                self._held.append(code)
                return
            self._held = array("d", map(PLAIN_VALUES.__getitem__, self._held))
        self._held.append(value)

    def view(self) -> NDArray[Any]:
        """Return float64 scores, or uint8 indices in `PLAIN_VALUES`, without a copy.

        No score can be added while the result exists.
        """
        import numpy as np

        return np.frombuffer(self._held, np.uint8 if isinstance(self._held, bytearray) else np.float64)
