"""Share a budget, and the limits of endpoints, among the processes of a run.

Each is a small file that a process changes while it holds a lock on it. Whatever a process has taken is gone, whether
it is heard of again or not, so that one that dies or hangs makes the others spend less, and never more. One that has
nothing to do takes nothing, and leaves all to the others.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import time  # by name: a system may patch the module

from evalkit.errors import StoreError
from evalkit.net.rate_limits import Timetable

try:
    import fcntl
except ImportError:  # no such locks on Windows: there two workers may spend the same money
    fcntl = None  # type: ignore[assignment]

_LEAST_LEASE = 0.001
"""Part of the budget, 0 to 1, that a worker takes at least."""
_MOST_BYTES = 1 << 20
Figures = dict[str, float]


@dataclass(frozen=True)
class SharedBudget:
    """What is left of a budget, in US dollars."""

    file: Path

    def set(self, usd: float) -> None:
        """Set what the processes may spend together.

        Raises:
            StoreError: the disk refuses.
        """
        _change(self.file, lambda _: {"left": usd, "least": usd * _LEAST_LEASE})

    def lease(self, overdrawn: float, part: float) -> float:
        """Take US dollars of the budget for one worker; what a worker that died has taken counts as spent.

        Args:
            overdrawn: what the worker has spent beyond its earlier leases, which is taken first.
            part: part of the rest to take, 0 to 1; at least a thousandth of the budget is taken.

        Returns:
            How much was taken; no more than `overdrawn` if nothing is left.

        Raises:
            StoreError: the disk refuses.
        """
        taken = 0.0

        def take(known: Figures) -> Figures:
            nonlocal taken
            rest = max(0.0, known["left"] - overdrawn)
            taken = min(known["left"], overdrawn + max(rest * part, min(rest, known["least"])))
            return {**known, "left": known["left"] - taken}

        _change(self.file, take)
        return taken

    def give_back(self, usd: float) -> None:
        """Return what is left of a lease.

        Raises:
            StoreError: the disk refuses.
        """
        _change(self.file, lambda known: {**known, "left": known["left"] + usd})


class SharedTimetable(Timetable):
    """The timetable of an endpoint that several processes call; the clocks of their machines should agree.

    Args:
        file: Holds the timetables of all endpoints.
        who: Which of them.
    """

    def __init__(self, file: Path, who: str) -> None:
        super().__init__(time)
        self._file, self._who = file, who

    def _change(self, limit: str, change: Callable[[float, float], float]) -> None:
        name = f"{self._who} {limit}"

        def changed(known: Figures) -> Figures:
            now = self._clock()
            return {**known, name: change(now, known.get(name, now))}

        _change(self._file, changed)


def _change(file: Path, change: Callable[[Figures], Figures]) -> None:
    """Replace the figures in a file, while no other process does; a missing file holds none.

    Raises:
        StoreError: the disk refuses, or the file holds something else.
    """
    try:
        fd = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if fcntl is not None:
                fcntl.lockf(fd, fcntl.LOCK_EX)
            known = os.pread(fd, _MOST_BYTES, 0)
            text = json.dumps(change(json.loads(known or b"{}"))).encode()
            os.pwrite(fd, text.ljust(len(known)), 0)  # at once, so that a kill leaves the old figures or the new ones
        finally:
            os.close(fd)
    except OSError as error:
        raise StoreError.of(file, error) from error
    except (ValueError, KeyError) as error:
        raise StoreError(f"{file}: cannot be read ({error}); continue with --resume") from error
