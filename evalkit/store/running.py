"""Lock a run folder for one process, and record the calls in flight."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from evalkit.errors import InputError, Problem, StoreError

try:
    import fcntl
except ImportError:  # no such locks on Windows: there nothing keeps two runs out of one folder
    fcntl = None  # type: ignore[assignment]

RUNNING = ".running"
_MOST_BYTES = 64 << 20
_BEGIN, _END = "begin", "end"


class Running:
    """The lock of a run folder, with the calls in flight.

    Every call is recorded before it is made. If a process dies, the calls that it recorded and the journal lacks were
    in flight. The lock dies with its process, so it cannot become stale.

    Attributes:
        deaths: (digest of the case, repeat) -> how many processes died while it was in flight, ended calls included.
        noted: every (digest of the case, repeat) begun since the run last ended normally.
    """

    def __init__(self, folder: Path, process: int = 0) -> None:
        """Set the folder, and the process id that users know; 0 for this process."""
        self._file = folder / RUNNING
        self._process = process or os.getpid()
        self.deaths: Counter[tuple[str, int]] = Counter()
        self.noted: frozenset[tuple[str, int]] = frozenset()

    def __enter__(self) -> Self:
        """Lock the folder.

        Raises:
            InputError: another process holds the lock.
            StoreError: the disk refuses.
        """
        try:
            self._fd = _locked(self._file)
            text = self._file.read_text(encoding="utf-8", errors="replace") if fcntl is None else _read(self._fd)
            self.deaths, self.noted = _deaths(text), _noted(text)
            self._write(f"\n{_BEGIN} {self._process}\n")
        except OSError as error:
            raise StoreError.of(self._file, error, "or choose another --out") from error
        return self

    def begins(self, digest: str, repeat: int) -> None:
        """Record that a case is about to be run.

        Raises:
            StoreError: it cannot be written; the run can be resumed.
        """
        try:
            self._write(f"{digest} {repeat}\n")
        except OSError as error:
            raise StoreError.of(self._file, error) from error

    def finished(self) -> None:
        """Clear the records, because no call is in flight any more."""
        with suppress(OSError):
            self._file.unlink()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the folder normally, so that no case is suspected of crashing the process."""
        with suppress(OSError):
            self._write(f"{_END}\n")
        os.close(self._fd)

    def _write(self, text: str) -> None:
        os.write(self._fd, text.encode())


def refuse_if_running(folder: Path) -> None:
    """Reject a folder in which another process runs, without touching it.

    Raises:
        InputError: names the process.
    """
    file = folder / RUNNING
    if fcntl is None or not file.is_file():
        return
    with suppress(PermissionError), file.open("rb") as held:
        try:
            fcntl.lockf(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            raise _taken(file) from None


def noted_in(folder: Path) -> frozenset[tuple[str, int]]:
    """Read the calls begun in a folder since its run last ended normally, without locking it."""
    try:
        return _noted((folder / RUNNING).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return frozenset()


def deaths_in(folder: Path) -> Counter[tuple[str, int]]:
    """Read for each case how many processes died in a folder while it was in flight, without locking it."""
    try:
        return _deaths((folder / RUNNING).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return Counter()


def _locked(file: Path) -> int:
    while True:
        fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        if fcntl is None:
            return fd
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise _taken(file) from None
        with suppress(FileNotFoundError):
            if os.fstat(fd).st_ino == file.stat().st_ino:
                return fd
        os.close(fd)  # the run that had it has finished and taken the file away


def _read(fd: int) -> str:
    # Closing another descriptor of the file would release the lock.
    return os.pread(fd, min(os.fstat(fd).st_size, _MOST_BYTES), 0).decode("utf-8", "replace")


def _taken(file: Path) -> InputError:
    begun = [line for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if _BEGIN in line]
    process = begun[-1].removeprefix(_BEGIN).strip() if begun else "unknown"
    what = f"process {process} is running in it"
    return InputError(Problem(str(file.parent), what, "wait for it to end, or name another folder with --out"))


def _noted(text: str) -> frozenset[tuple[str, int]]:
    lines = map(str.split, text.splitlines())
    return frozenset(
        (words[0], int(words[1])) for words in lines if len(words) == 2 and words[0] != _BEGIN and words[1].isdecimal()
    )


def _deaths(text: str) -> Counter[tuple[str, int]]:
    died: Counter[tuple[str, int]] = Counter()
    noted: set[tuple[str, int]] = set()
    for words in map(str.split, text.splitlines()):
        if words == [_END]:
            noted = set()
        elif words[:1] == [_BEGIN]:
            died.update(noted)
            noted = set()
        elif len(words) == 2 and words[1].isdecimal():
            noted.add((words[0], int(words[1])))
    died.update(noted)
    return died
