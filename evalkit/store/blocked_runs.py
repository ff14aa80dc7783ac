"""Record blocked decisions in `.evalkit/blocked.jsonl`, which outlives the run folders."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from evalkit.disk.files import read_file
from evalkit.results import Decided
from evalkit.store.seal import decided_of

LEDGER = ".evalkit/blocked.jsonl"
_MAX_BYTES = 64 << 20


def remember(root: Path, suite: str, decided: Decided) -> None:
    """Add a blocked decision, once; if it cannot be written, the run folder still has its seal.

    Args:
        root: the project.
        suite: name of the suite.
        decided: the decision.
    """
    same = (decided.run_id, decided.why)
    if any((each.run_id, each.why) == same for _, each in _entries(root)):
        return
    line = json.dumps({"suite": suite, "decided": asdict(decided)}, sort_keys=True) + "\n"
    with suppress(OSError):
        file = root / LEDGER
        file.parent.mkdir(parents=True, exist_ok=True)
        ignored = file.with_name(".gitignore")
        if not ignored.exists():
            ignored.write_text("*\n", encoding="utf-8")
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0), 0o644)
        try:
            os.write(fd, line.encode())
        finally:
            os.close(fd)


def blocked_runs(root: Path, suite: str) -> tuple[Decided, ...]:
    """Return the project's recorded blocked decisions of a suite, oldest first; unreadable lines are skipped."""
    return tuple(decided for name, decided in _entries(root) if name == suite)


def known_of(root: Path, run_id: str) -> tuple[Decided, ...]:
    """Return the recorded blocked decisions of one run."""
    return tuple(decided for _, decided in _entries(root) if decided.run_id == run_id)


def _entries(root: Path) -> Iterator[tuple[str, Decided]]:
    try:
        data = read_file(root / LEDGER, _MAX_BYTES)
    except OSError:
        return
    for line in data.split(b"\n"):
        with suppress(ValueError, KeyError, TypeError, RecursionError):
            record = json.loads(line)
            yield str(record["suite"]), decided_of(record["decided"])
