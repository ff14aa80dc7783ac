"""A killed `evalkit monitor take` goes on where it was: each call counts once, and no figure differs."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from evalkit.monitor.observations import read_observations, stored_files

HERE = Path(__file__).parent
MONITOR = """\
name: shop
logs: {format: jsonl, id: id, at: at, input: question, output: answer, latency_s: seconds}
cohorts: [topic]
scorers: [{length: {max: 12}}]
sample: {per_day: 300, most: 1, suspects: 0.3}
"""
N_ROWS, FEW_ROWS = 60_000, 2_000
KILLS = int(os.environ.get("EVALKIT_KILLS", "50"))
POINTS = {
    "before the texts": ("evalkit.operations.monitor_take:append_texts", "before", 1),
    "texts without a batch": ("evalkit.operations.monitor_take:append_texts", "after", 1),
    "observations of one day of two": ("evalkit.monitor.store:write_observations", "after", 1),
    "observations not yet renamed": ("pathlib:Path.replace", "before", 2),
    "observations without a batch": ("evalkit.monitor.batches:BatchJournal.append", "before", 1),
    "a batch without figures": ("evalkit.monitor.batches:BatchJournal.append", "after", 1),
    "ids without figures": ("evalkit.monitor.known_ids:KnownIds.add", "after", 1),
    "before the figures": ("evalkit.monitor.series:Series.add", "before", 1),
    "after the figures": ("evalkit.monitor.series:Series.add", "after", 1),
}


class TakeProject:
    """A project with a monitor and one log of two days."""

    def __init__(self, root: Path, n_rows: int) -> None:
        self.root = root
        (root / "pyproject.toml").touch()
        (root / "monitor.yaml").write_text(MONITOR, encoding="utf-8")
        (root / "logs").mkdir()
        rng = random.Random(1)
        start = int(time.time()) // 86_400 * 86_400 - 2 * 86_400
        with (root / "logs" / "a.jsonl").open("w", encoding="utf-8") as log:
            for i in range(n_rows):
                row: dict[str, Any] = {
                    "id": f"call-{i}",
                    "at": start + i * 2 * 86_400 / n_rows,
                    "question": f"What is {i}?",
                }
                row |= {"answer": "word " * rng.randrange(20), "seconds": rng.random(), "topic": rng.choice("abc")}
                log.write(json.dumps(row) + "\n")

    @property
    def folder(self) -> Path:
        """Where the monitor keeps what it took."""
        return self.root / "monitors" / "shop"

    def command(self, *prefix: str) -> list[str]:
        """Take the log."""
        return [sys.executable, *(prefix or ("-m", "evalkit")), "monitor", "take", "monitor.yaml", "logs", "--json"]

    def take(self, *prefix: str) -> subprocess.CompletedProcess[str]:
        """Take to the end, or to the death."""
        return subprocess.run(self.command(*prefix), cwd=self.root, capture_output=True, text=True, check=False)

    def check(self, n_rows: int, figures: dict[str, Any]) -> None:
        """Each call counts once, and the log's own figures are those of a clean take; nothing is left over."""
        ids = [each for _, _, file in stored_files(self.folder) for each in read_observations(file).ids.tolist()]
        assert len(ids) == len(set(ids)) == n_rows
        assert self.figures() == figures
        assert not list(self.folder.rglob("*.tmp"))
        rows = [line for file in self.folder.rglob("rows.jsonl") for line in file.read_bytes().splitlines()]
        drawn = sum(int(read_observations(file).drawn.sum()) for _, _, file in stored_files(self.folder))
        assert len(rows) == drawn
        assert len({json.loads(line)["row"]["case"]["id"] for line in rows}) == drawn

    def figures(self) -> dict[str, Any]:
        """Calls and sums of the figures that do not depend on where batches end."""
        with sqlite3.connect(self.folder / "series.sqlite") as database:
            query = "SELECT metric, hour, n, wy FROM cells WHERE cohort = '' AND metric IN ('error', 'length.passed')"
            found = {(metric, hour): (n, wy) for metric, hour, n, wy in database.execute(query)}
        database.close()
        return found  # type: ignore[return-value]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> TakeProject:
    """A take that nobody killed."""
    made = TakeProject(tmp_path_factory.mktemp("clean"), FEW_ROWS)
    assert made.take().returncode == 0
    return made


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_a_named_point_counts_each_call_once(point: str, clean: TakeProject, tmp_path: Path) -> None:
    """The next take finishes or undoes what the killed one began."""
    target, when, nth = POINTS[point]
    killed = TakeProject(tmp_path, FEW_ROWS)
    died = killed.take(str(HERE / "kill_at.py"), target, when, str(nth))
    assert died.returncode == -signal.SIGKILL, (point, died.stderr)
    ended = killed.take()
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["n_double"] == 0
    killed.check(FEW_ROWS, clean.figures())


@pytest.mark.long
def test_takes_that_are_killed_at_random_count_each_call_once(tmp_path: Path) -> None:
    """50 kills of one monitor, whose log grows meanwhile; then one that ends."""
    clean_root, root = tmp_path / "clean", tmp_path / "killed"
    clean_root.mkdir()
    root.mkdir()
    clean, project = TakeProject(clean_root, N_ROWS), TakeProject(root, N_ROWS)
    whole = (root / "logs" / "a.jsonl").read_bytes().splitlines(keepends=True)
    log = root / "logs" / "a.jsonl"
    log.write_bytes(b"")
    rng = random.Random(KILLS)
    given = kills = 0
    while kills < KILLS:
        upto = min(N_ROWS, given + N_ROWS // KILLS)
        with log.open("ab") as file:
            file.writelines(whole[given:upto])
        given = upto
        process = subprocess.Popen(project.command(), cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(rng.uniform(1.0, 4.0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        kills += 1
    ended = project.take()
    assert ended.returncode == 0, ended.stderr
    assert clean.take().returncode == 0
    project.check(N_ROWS, clean.figures())
