"""Runs of `evalkit run --engine dask` whose processes are killed."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from pathlib import Path

from cli_project import Project

from evalkit.store.folder import ROWS
from evalkit.store.shards import SHARDS

SUITE = """\
name: sums
golden: cases.jsonl
system: {python: "bot:answer", arguments: {broken: "left"}}
scorers: [exact]
cohorts: [group]
concurrency: 4
gate:
  - pass_rate: {min: 0.3}
"""
ON_TWO = ("--engine", "dask", "--workers", "2", "--shard-size", "10", "--no-report", "--progress", "none")
"""Flags of a run by two workers."""


class Killed:
    """A run of many slow cases, some of whose processes are killed."""

    def __init__(self, project: Project, flags: tuple[str, ...] = ON_TWO) -> None:
        self.project, self.flags = project, flags

    def start(self, *words: str, **env: str) -> subprocess.Popen[str]:
        """Start a run; its output goes to a file."""
        with (self.project.root / "said.log").open("a", encoding="utf-8") as said:
            return subprocess.Popen(
                self.project.command("run", "suite.yaml", "--out", "out", *self.flags, *words),
                cwd=self.project.root,
                env={**os.environ, "BOT_DELAY_S": "0.2", **env},
                stdout=said,
                stderr=said,
                text=True,
                start_new_session=True,
            )

    def said(self) -> str:
        """What the runs have printed."""
        return (self.project.root / "said.log").read_text(encoding="utf-8")

    def wait_for_calls(self, running: subprocess.Popen[str], n: int) -> None:
        """Wait until the system was called so often."""
        while running.poll() is None and len(self.project.calls()) < n:
            time.sleep(0.02)
        assert running.poll() is None, self.said()

    def workers(self) -> list[int]:
        """Process ids that have begun a shard."""
        found = self.project.root.glob(f"out/{SHARDS}/*/*/a*")
        ids = {int(each.name.split("-")[-2]) for each in found}
        return [each for each in ids if Path(f"/proc/{each}").exists()]

    def check(self, n_repeated: int) -> None:
        """Every case has one row, and no more calls than these were repeated."""
        rows = (self.project.root / "out" / ROWS).read_text(encoding="utf-8").splitlines()
        counts = Counter(json.loads(line)["row"]["case"]["id"] for line in rows)
        assert len(counts) == 48
        assert set(counts.values()) == {1}
        assert len(self.project.calls()) - 48 <= n_repeated
