"""What the tests of monitors share: a project with a monitor, rows of logged calls, and takes without a process."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.monitor.observations import Observations, read_observations, stored_files
from evalkit.operations.monitor_take import TakenCalls, TakeRequest, take

START = 1_788_220_800.0
"""2026-09-01 in UTC."""
DAY = 86_400.0
MONITOR = """\
name: shop
logs: {format: jsonl, id: id, at: at, input: question, output: answer, contexts: docs, session: chat, error: error,
       thumb: thumb, latency_s: seconds, cost_usd: cost, steps: steps}
cohorts: [topic]
scorers: [{length: {max: 12}}]
"""


def row(number: int, at: float, **more: Any) -> dict[str, Any]:
    """A logged call."""
    made = {"id": f"call-{number}", "at": START + at, "question": f"What is {number}?", "answer": f"It is {number}."}
    return {**made, "topic": "cards", "seconds": 1.5, **more}


class MonitorLab:
    """A project with one monitor."""

    def __init__(self, root: Path, text: str = MONITOR) -> None:
        self.root, self.now = root, START + 2 * DAY
        (root / "pyproject.toml").touch()
        self.file = root / "monitor.yaml"
        self.file.write_text(text, encoding="utf-8")
        self.logs = root / "logs"
        self.logs.mkdir(exist_ok=True)
        self.folder = root / "monitors" / "shop"

    def log(self, rows: Sequence[Mapping[str, Any] | str], name: str = "a.jsonl") -> Path:
        """Append rows to a log."""
        file = self.logs / name
        with file.open("a", encoding="utf-8") as log:
            log.writelines((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in rows)
        return file

    def take(
        self,
        *logs: str,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        feedback: Sequence[str] = (),
    ) -> TakenCalls:
        """Take the logs of the folder, or those that are named, and feedback that is named from the folder on."""
        request = TakeRequest(
            file=self.file,
            logs=logs or (str(self.logs),),
            env=env or {},
            now=lambda: self.now,
            stdin=io.BytesIO(stdin),
            feedback=[name if name == "-" else str(self.logs / name) for name in feedback],
        )
        return asyncio.run(take(request))

    def observed(self) -> list[Observations]:
        """Every file of observations, by day and batch."""
        return [read_observations(file) for _, _, file in stored_files(self.folder)]

    def ids(self) -> list[int]:
        """The id of every call that counts."""
        return [number for each in self.observed() for number in each.ids.tolist()]

    def dumped(self) -> dict[str, list[Any]]:
        """Every table of the series, but for the days on which logs were last seen."""
        with sqlite3.connect(self.folder / "series.sqlite") as database:
            names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            found = {
                name: database.execute(f"SELECT * FROM {name}").fetchall()  # noqa: S608 - names of tables
                for name in names
                if name != "batches"
            }
        database.close()
        found["state"] = [each for each in found["state"] if not each[0].startswith("seen ")]
        return {name: sorted(map(repr, rows)) for name, rows in found.items()}

    def written(self) -> bytes:
        """Every byte that was written, texts of the sample left out."""
        files = [file for file in self.folder.rglob("*") if file.is_file() and file.name != "rows.jsonl"]
        return b"".join(file.read_bytes() for file in files)
