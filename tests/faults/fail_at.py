"""evalkit on a disk that fails: the Nth operation on files of the run's folder, or every one from the Nth on.

python fail_at.py FOLDER once|always ERRNO [evalkit's words ...]

For N = 1, 2, 3 ... until nothing fails any more, each in a fork of its own, and after it a fork that resumes; prints a
line of JSON for each N.
"""

import importlib
import json
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable
from typing import Any

WARM = (
    "scipy.special", "evalkit.aggregate.summary", "evalkit.gate.decide", "evalkit.cli.signals",
    "evalkit.report.console", "evalkit.report.write", "evalkit.suite.parse", "evalkit.systems.replay",
    "evalkit.scorers.rules.exact",
)  # fmt: skip


class Disk:
    """Counts operations on a folder's files and fails some."""

    def __init__(self, folder: str, nth: int, always: bool, errno: int) -> None:
        self.folder, self.nth, self.always, self.errno = os.path.abspath(folder), nth, always, errno
        self.count = 0

    def check(self, path: str) -> None:
        """Fail where it is time to."""
        if not os.path.abspath(path).startswith(self.folder):
            return
        self.count += 1
        if self.count == self.nth or (self.always and self.count > self.nth):
            raise OSError(self.errno, os.strerror(self.errno), path)

    def patch(self) -> None:
        """Put every operation that changes a file behind this disk."""

        def by_descriptor(function: Callable[..., Any]) -> Callable[..., Any]:
            def wrapped(fd: int, *rest: Any) -> Any:
                self.check(os.readlink(f"/proc/self/fd/{fd}"))
                return function(fd, *rest)

            return wrapped

        os.write, os.fsync = by_descriptor(os.write), by_descriptor(os.fsync)
        replace, opened = pathlib.Path.replace, pathlib.Path.open

        def failing_replace(path: pathlib.Path, target: Any) -> Any:
            self.check(str(path))
            return replace(path, target)

        def failing_open(path: pathlib.Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
            if mode[0] in "wa":
                self.check(str(path))
            return opened(path, mode, *rest, **named)

        pathlib.Path.replace = failing_replace  # type: ignore[method-assign]
        pathlib.Path.open = failing_open  # type: ignore[assignment]


def in_fork(words: list[str], disk: Disk | None) -> tuple[int, str, bool]:
    """Be evalkit in a fork: its exit code, what it said, and whether an operation was failed."""
    with tempfile.TemporaryFile("w+b") as said, tempfile.TemporaryFile("w+b") as counted:
        pid = os.fork()
        if pid == 0:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            code = 70
            write = os.write
            try:
                if disk is not None:
                    disk.patch()
                code = evalkit(words)
            finally:
                write(counted.fileno(), str(disk.count if disk else 0).encode())
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        said.seek(0)
        counted.seek(0)
        return code, said.read().decode(), disk is not None and int(counted.read()) >= disk.nth


def evalkit(words: list[str]) -> int:
    """The command, without leaving the process."""
    from evalkit.cli.app import main

    sys.argv = ["evalkit", *words]
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def run(folder: str, always: bool, errno: int, words: list[str]) -> None:
    """Fail operation after operation until there is none left."""
    for name in WARM:  # once, for every fork
        importlib.import_module(name)

    nth, failed = 0, True
    while failed:
        nth += 1
        out = f"{folder}/{nth}"
        code, said, failed = in_fork([*words, "--out", out], Disk(out, nth, always, errno))
        rows = pathlib.Path(out, "rows.jsonl")
        lines = rows.read_bytes() if rows.exists() else b""
        begun = (
            [] if not os.path.exists(f"{out}/.running") and not os.path.exists(f"{out}/manifest.json") else ["--resume"]
        )
        again, resumed, _ = in_fork([*words, "--out", out, *begun], None)
        kept = rows.read_bytes().startswith(lines[: lines.rfind(b"\n") + 1])
        found = {
            "nth": nth,
            "code": code,
            "said": said,
            "failed": failed,
            "again": again,
            "resumed": resumed,
            "kept": kept,
        }
        print(json.dumps(found), flush=True)  # noqa: T201


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2] == "always", int(sys.argv[3]), sys.argv[4:])
