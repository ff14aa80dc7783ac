"""Measure wall seconds, CPU seconds and peak memory of a whole process."""

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Measured:
    """The cost of one process."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    exit_code: int


def measure(command: Sequence[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> Measured:
    """Run a command to its end, discarding its output.

    Python may keep compiled modules, as in any installation: without them, each run would measure the compiler.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env={**inherited, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.perf_counter() - started
    return Measured(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, process.returncode)
