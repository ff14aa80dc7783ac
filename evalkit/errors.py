"""Define exceptions and exit codes.

```
EvalkitError
  x InputError        exit 2: suite, data, flags or baseline; a retry is useless
    - NothingSelected exit 5: the selection matches no case
  x RunError          exit 3: the run could not reach a decision; a retry may help
  x StoreError        exit 4: disk or run folder
```

A failed gate is a result, not an exception.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from evalkit.text.escaping import on_one_line

SHOWN_PROBLEMS = 20
MAX_PROBLEMS = 200
"""Maximum number of problems of one file; the rest of it is not read."""


class ExitCode(IntEnum):
    """Exit codes of `evalkit`."""

    APPROVED = 0
    BLOCKED = 1
    INVALID_INPUT = 2
    NO_DECISION = 3
    INTERNAL_ERROR = 4
    NOTHING_SELECTED = 5
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem, with its place, the fault and the fix."""

    place: str
    what: str
    fix: str = ""

    def __str__(self) -> str:
        """Format the problem as one line."""
        text = f"{self.place}: {self.what}" if self.place else self.what
        return on_one_line(f"{text}; {self.fix}" if self.fix else text)


def what_and_fix(said: object, fix: str = "") -> tuple[str, str]:
    """Split the text of an error, `what; fix`, into its two parts.

    Args:
        said: the error, or its text.
        fix: returned if the error names none.
    """
    what, _, named = str(said).partition("; ")
    return what, named or fix


class EvalkitError(Exception):
    """Base class of errors that evalkit raises."""

    exit_code = ExitCode.INTERNAL_ERROR


class InputError(EvalkitError):
    """Invalid suite, data, flags or baseline, with every problem that was found, each once."""

    exit_code = ExitCode.INVALID_INPUT

    def __init__(self, problems: Iterable[Problem] | Problem) -> None:
        found = (problems,) if isinstance(problems, Problem) else problems
        self.problems = tuple(dict.fromkeys(found))
        super().__init__(self._text())

    def _text(self) -> str:
        lines = [str(problem) for problem in self.problems[:SHOWN_PROBLEMS]]
        hidden = len(self.problems) - len(lines)
        return "\n".join([*lines, f"... and {hidden:,} more"] if hidden > 0 else lines)


@contextmanager
def gathered(problems: list[Problem]) -> Iterator[None]:
    """Collect the problems of an `InputError` with those of other files, and continue."""
    try:
        yield
    except InputError as error:
        problems += error.problems


def noting(problems: list[Problem]) -> Callable[[Problem], None]:
    """Return a function that adds a problem to the list, and raises `InputError` at the 200th."""

    def note(problem: Problem) -> None:
        problems.append(problem)
        if len(problems) >= MAX_PROBLEMS:
            raise InputError(problems)

    return note


class NothingSelected(InputError):
    """The selection (`--case`, `--cohort`, `--limit`) matches no case."""

    exit_code = ExitCode.NOTHING_SELECTED


class RunError(EvalkitError):
    """The run stopped before a decision."""

    exit_code = ExitCode.NO_DECISION


class StoreError(EvalkitError):
    """A run folder could not be read or written."""

    exit_code = ExitCode.INTERNAL_ERROR

    @classmethod
    def of(cls, place: object, error: OSError, then: str = "then continue with --resume", *, needed: str = "") -> Self:
        """Describe an error of the operating system, with its fix.

        Args:
            place: file or folder.
            error: the error of the operating system.
            then: next action after the fix.
            needed: requirement, such as `300 bytes needed`.
        """
        what = f"{error.strerror or error}{f', {needed}' if needed else ''}"
        return cls(f"{place}: {what}; {fix_of(error)}, {then}")


def fix_of(error: OSError) -> str:
    """Return the fix for an error of the operating system."""
    fixes = {
        (errno.EACCES, errno.EPERM, errno.EROFS): "make the folder writable",
        (errno.ENOENT, errno.ESTALE, errno.ENOTDIR): "leave the folder where it is while evalkit works in it",
        (errno.EMFILE, errno.ENFILE): "raise the limit of open files (`ulimit -n`), or lower `concurrency:`",
        (errno.EBADF,): "test the system with `command:` or `http:`, as code in this process closes evalkit's files",
        (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG): "free the disk",
    }
    return next((fix for numbers, fix in fixes.items() if error.errno in numbers), "check what is there")
