"""A project whose system journals its requests, and the checker that compares what was asked with what was kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evalkit.store.journal import read_rows

HERE = Path(__file__).parent
SUITE = """\
name: sums
golden: cases.jsonl
system: {http: "http://127.0.0.1:PORT/", pick: {text: answer}, version: "1", retries: 0}
scorers:
  - exact
  - token_f1
cohorts: [group]
concurrency: CONCURRENCY
gate:
  - pass_rate: {min: 0.5, by: group}
  - failures: {severity: critical, max: 99}
"""
CONCURRENCY = 8


class FaultProject:
    """A folder with suite, cases and the address of the system under test."""

    def __init__(self, root: Path, port: int, n_cases: int, flags: tuple[str, ...] = ()) -> None:
        self.root, self.n_cases, self.flags = root, n_cases, flags
        (root / "pyproject.toml").touch()
        text = SUITE.replace("PORT", str(port)).replace("CONCURRENCY", str(CONCURRENCY))
        (root / "suite.yaml").write_text(text, encoding="utf-8")
        with (root / "cases.jsonl").open("w", encoding="utf-8") as file:
            for i in range(n_cases):
                row = {"id": f"c{i:04d}", "input": f"{i}+{i % 7}", "reference": str(i + i % 7)}
                file.write(json.dumps({**row, "cohorts": {"group": "ab"[i % 2]}}) + "\n")

    @property
    def log(self) -> Path:
        """What the system was asked."""
        return self.root / "asked.log"

    def words(self, folder: str, *flags: str) -> list[str]:
        """Of `evalkit run`."""
        return ["run", "suite.yaml", "--out", folder, "--progress", "none", *self.flags, *flags]

    def run(self, folder: str, *flags: str, prefix: tuple[str, ...] = ("-m", "evalkit")) -> Any:
        """Run to the end, or to the death."""
        return subprocess.run(
            [sys.executable, *prefix, *self.words(folder, *flags)],
            cwd=self.root, capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip

    def killed_after(self, folder: str, seconds: float, *flags: str) -> int:
        """Kill a run some time after its start; gives its exit code."""
        process = subprocess.Popen(
            [sys.executable, "-m", "evalkit", *self.words(folder, *flags)],
            cwd=self.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            return process.wait()

    def on(self, folder: str) -> Any:
        """Go on with a run, or begin it where it died before there was one."""
        begun = any((self.root / folder / name).exists() for name in (".running", "manifest.json"))
        return self.run(folder, *(["--resume"] if begun else []))

    def finished(self, folder: str) -> set[str]:
        """Questions whose rows are in the journal."""
        path = self.root / folder / "rows.jsonl"
        return {str(row.case.input) for row in read_rows(path)} if path.exists() else set()

    def asked(self) -> Counter[str]:
        """Question -> how often the system was asked it."""
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        return Counter(line.removeprefix("asked ") for line in lines)

    def ends(self, folder: str) -> dict[tuple[str, int], Any]:
        """Key -> how the case ended, without times; fails where a row stands twice."""
        ends: dict[tuple[str, int], Any] = {}
        for row in read_rows(self.root / folder / "rows.jsonl"):
            key = (row.case.id, row.repeat)
            assert key not in ends, f"{key} stands twice"
            ends[key] = (row.state, row.output and row.output.text, row.failure, row.scores)
        return ends

    def decided(self, folder: str) -> tuple[bytes, dict[str, Any]]:
        """Summary, and decision without the names of the run."""
        run = self.root / folder
        decision = json.loads((run / "decision.json").read_bytes())
        return (run / "summary.json").read_bytes(), {**decision, "run_id": "", "head": ""}

    def check(self, folder: str, clean: str, *, kills: int, earlier: Counter[str], kept: Counter[str]) -> None:
        """Compare a run that died with a clean one.

        Args:
            folder: of the run that was killed and resumed.
            clean: of the run that nobody killed.
            kills: how often the process died.
            earlier: what the system was asked before this run.
            kept: question -> calls that had been made when its row was first seen in the journal.
        """
        assert self.ends(folder) == self.ends(clean), "lost, added or changed rows"
        assert self.decided(folder) == self.decided(clean)
        asked = self.asked() - earlier
        assert len(asked) == self.n_cases
        assert asked.total() - self.n_cases <= kills * CONCURRENCY, "more calls than were in flight"
        for question, calls in kept.items():
            assert asked[question] <= calls, f"{question} was finished, and asked again"


@contextmanager
def project_in(
    root: Path, n_cases: int = 60, delay_s: float = 0.01, flags: tuple[str, ...] = ()
) -> Iterator[FaultProject]:
    """A project with its system running."""
    command = [sys.executable, str(HERE / "journalling_system.py"), str(root / "asked.log"), str(delay_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            yield FaultProject(root, int(server.stdout.readline()), n_cases, flags)
        finally:
            server.kill()


def wait_for(path: Path, size: int = 1, seconds: float = 600.0) -> None:
    """Wait until a file has so many bytes.

    Raises:
        TimeoutError: it never got them; no machine is that slow.
    """
    end = time.monotonic() + seconds
    while not path.exists() or os.path.getsize(path) < size:
        if time.monotonic() > end:
            raise TimeoutError(f"{path} is shorter than {size} bytes")
        time.sleep(0.01)
