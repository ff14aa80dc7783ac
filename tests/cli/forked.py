"""The command in a process of its own, forked from a server that has imported evalkit once."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from pkgutil import walk_packages

import evalkit
from evalkit.__main__ import main

_LIMIT_S = 600
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [each.name for each in walk_packages(evalkit.__path__, "evalkit.") if not each.name.endswith("__main__")]
)


def forked(
    root: Path, *words: str, env: dict[str, str] | None = None, first: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command in `root` at 80 columns until it ends; its process calls `first`, which can be pickled, first."""
    with tempfile.TemporaryDirectory() as kept:
        out, err = Path(kept, "out"), Path(kept, "err")
        process = _FORKS.Process(
            target=_become, args=(root, words, {**os.environ, "COLUMNS": "80", **(env or {})}, (out, err), first)
        )
        process.start()
        process.join(_LIMIT_S)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired([*words], _LIMIT_S)
        texts = [file.read_text(encoding="utf-8", errors="replace") for file in (out, err)]
    return subprocess.CompletedProcess([*words], process.exitcode, *texts)


def _become(
    root: Path,
    words: tuple[str, ...],
    env: dict[str, str],
    streams: tuple[Path, Path],
    first: Callable[[], None] | None,
) -> None:
    """Become `python -m evalkit WORDS` in `root`."""
    os.chdir(root)
    os.environ.clear()
    os.environ.update(env)
    for own, file in zip((1, 2), streams, strict=True):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), own)
    sys.stdout, sys.stderr = (open(own, "w", encoding="utf-8", closefd=False) for own in (1, 2))
    sys.argv = ["evalkit", *words]
    sys.path.insert(0, str(root))
    if first is not None:
        first()
    main()
