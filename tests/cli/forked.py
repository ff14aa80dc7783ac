"""The command in a process that is forked from the tests' own: as real as any other, without the time to import."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

_USED = (
    "evalkit.cli.app",
    "evalkit.cli.run",
    "evalkit.operations.run",
    "evalkit.gate.decide",
    "evalkit.gate.earlier_blocks",
    "evalkit.aggregate.summary",
    "evalkit.report.write",
    "evalkit.report.console",
    "evalkit.report.html",
    "evalkit.cli.signals",
    "evalkit.store.stored_run",
    "evalkit.suite.parse",
    "evalkit.formats.stored_row",
    "evalkit.operations.baseline",
    "scipy.special",
    "scipy.stats",
)


def forked(
    root: Path, *words: str, env: dict[str, str] | None = None, first: Callable[[], None] = lambda: None
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end in `root`, at 80 columns; `first` is called in its process before."""
    for name in _USED:
        importlib.import_module(name)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            _become(root, words, {"COLUMNS": "80", **(env or {})}, (out.fileno(), err.fileno()), first)
        _, status = os.waitpid(child, 0)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
    return subprocess.CompletedProcess([*words], os.waitstatus_to_exitcode(status), *texts)


def _become(
    root: Path, words: tuple[str, ...], env: dict[str, str], streams: tuple[int, int], first: Callable[[], None]
) -> None:
    code = 70
    try:
        os.chdir(root)
        os.environ.update(env)
        for own, stream in zip((1, 2), streams, strict=True):
            os.dup2(stream, own)
        sys.stdout, sys.stderr = (open(own, "w", encoding="utf-8", closefd=False) for own in (1, 2))
        sys.argv = ["evalkit", *words]
        sys.path.insert(0, str(root))
        sys.modules.pop("bot", None)  # of another test's project; fixtures of a module run before those of a test
        importlib.invalidate_caches()
        first()
        from evalkit.cli.app import main

        main()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
