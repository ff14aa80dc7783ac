"""Lock a run folder for one process, and record the calls in flight."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from evalkit.errors import InputError, Problem, StoreError
from evalkit.store.row_keys import Key, RowKeys

try:
    import fcntl
except ImportError:  # no such locks on Windows: there nothing keeps two runs out of one folder
    fcntl = None  # type: ignore[assignment]

RUNNING = ".running"
_BLOCK_BYTES = 1 << 20
_MOST_LINE_BYTES = 1 << 10
_BEGIN, _END = "begin", "end"


class Running:
    """The lock of a run folder, with the calls in flight.

    Every call is recorded before it is made. If a process dies, the calls that it recorded and the journal lacks were
    in flight. The lock dies with its process, so it cannot become stale.

    Attributes:
        noted: every case and repeat begun since the run last ended normally.
    """

    def __init__(self, folder: Path, process: int = 0) -> None:
        """Set the folder, and the process id that users know; 0 for this process."""
        self._file = folder / RUNNING
        self._process = process or os.getpid()
        self._n_bytes = 0
        self.noted = RowKeys()

    def __enter__(self) -> Self:
        """Lock the folder.

        Raises:
            InputError: another process holds the lock.
            StoreError: the disk refuses.
        """
        try:
            self._fd = _locked(self._file)
            self._n_bytes = os.fstat(self._fd).st_size
            self.noted = _noted(_lines(self._fd, self._n_bytes))
            self._write(f"\n{_BEGIN} {self._process}\n")
        except OSError as error:
            raise StoreError.of(self._file, error, "or choose another --out") from error
        return self

    def deaths(self, done: Container[Key]) -> Counter[Key]:
        """Return for each case that is not done how many processes died while it was in flight, before this one."""
        return _deaths(_lines(self._fd, self._n_bytes), done)

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


def noted_in(folder: Path) -> RowKeys:
    """Read the calls begun in a folder since its run last ended normally, without locking it."""
    try:
        with (folder / RUNNING).open("rb") as file:
            return _noted(_lines(file.fileno(), os.fstat(file.fileno()).st_size))
    except OSError:
        return RowKeys()


def deaths_in(folder: Path) -> Counter[Key]:
    """Read for each case how many processes died in a folder while it was in flight, without locking it."""
    try:
        with (folder / RUNNING).open("rb") as file:
            return _deaths(_lines(file.fileno(), os.fstat(file.fileno()).st_size), ())
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


def _lines(fd: int, n_bytes: int) -> Iterator[list[str]]:
    """Yield the words of each line in the first bytes of a file, block by block.

    Opening and closing it again would release the lock.
    """
    os.lseek(fd, 0, os.SEEK_SET)
    rest = b""
    while n_bytes > 0 and (block := os.read(fd, min(n_bytes, _BLOCK_BYTES))):
        n_bytes -= len(block)
        *lines, rest = (rest + block).split(b"\n")
        yield from (line.decode("utf-8", "replace").split() for line in lines)
        rest = rest[:_MOST_LINE_BYTES]
    yield rest.decode("utf-8", "replace").split()


def _taken(file: Path) -> InputError:
    begun = [line for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if _BEGIN in line]
    process = begun[-1].removeprefix(_BEGIN).strip() if begun else "unknown"
    what = f"process {process} is running in it"
    return InputError(Problem(str(file.parent), what, "wait for it to end, or name another folder with --out"))


def _noted(lines: Iterable[Sequence[str]]) -> RowKeys:
    found = RowKeys()
    for words in lines:
        if len(words) == 2 and words[0] != _BEGIN and words[1].isdecimal():
            found.add((words[0], int(words[1])))
    return found


def _deaths(lines: Iterable[Sequence[str]], done: Container[Key]) -> Counter[Key]:
    died: Counter[Key] = Counter()
    noted: set[Key] = set()
    for words in lines:
        if words == [_END]:
            noted = set()
        elif words[:1] == [_BEGIN]:
            died.update(noted)
            noted = set()
        elif len(words) == 2 and words[1].isdecimal() and (key := (words[0], int(words[1]))) not in done:
            noted.add(key)
    died.update(noted)
    return died
