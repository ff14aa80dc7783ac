"""Create temporary folders that do not outlive their process, even if it is killed."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # no such locks on Windows: there a killed process leaves its folder
    fcntl = None  # type: ignore[assignment]

_YOUNG_S = 60.0
"""Seconds within which a process locks its new folder."""


def temporary_folder(prefix: str) -> Path:
    """Create a folder that is removed when the process ends, and remove those that killed processes left.

    Only folders with the same prefix are removed. A folder is in use while its process, or a child process, holds the
    lock.
    """
    _sweep(Path(tempfile.gettempdir()), prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    if fcntl is not None:
        fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_SH)  # held until the process ends
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _sweep(parent: Path, prefix: str) -> None:
    if fcntl is None:
        return
    for left in parent.glob(f"{prefix}*"):
        with suppress(OSError):  # another user's, in use, or gone meanwhile
            facts = left.lstat()
            if facts.st_uid != os.getuid() or time.time() - facts.st_mtime < _YOUNG_S:
                continue
            held = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(held)
