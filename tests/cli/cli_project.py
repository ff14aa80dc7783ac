"""A small project with a python system, and the real command in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

from forked import forked

BOT = """\
import os, pathlib, time

def answer(input: str, id: str, broken: str = "") -> str:
    log = pathlib.Path(__file__).with_name("calls.log")
    with log.open("a") as file:
        file.write(id + "\\n")
    time.sleep(float(os.environ.get("BOT_DELAY_S", "0")))
    a, b = input.split("+")
    right = str(int(a) + int(b))
    return "no idea" if broken and id.startswith(broken) else right
"""
SUITE = """\
name: sums
golden: cases.jsonl
system: {python: "bot:answer", arguments: {broken: "BROKEN"}}
scorers:
  - exact
cohorts: [group]
concurrency: 4
gate:
  - pass_rate: {min: 0.3}
  - no_regression: {baseline: main}
"""
Ran = subprocess.CompletedProcess[str]


class Project:
    """A folder with suite, cases and system under test."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "pyproject.toml").write_text("", encoding="utf-8")
        (root / "bot.py").write_text(BOT, encoding="utf-8")
        self.cases(120)
        self.suite()

    def cases(self, count: int) -> None:
        """Write so many sums in two groups."""
        with (self.root / "cases.jsonl").open("w", encoding="utf-8") as file:
            for i in range(count):
                group = "left" if i % 2 else "right"
                row = {"id": f"{group}-{i:03d}", "input": f"{i} + 1", "reference": str(i + 1)}
                file.write(json.dumps({**row, "cohorts": {"group": group}}) + "\n")

    def suite(self, broken: str = "", text: str = SUITE, name: str = "suite.yaml") -> Path:
        """Write a suite whose system breaks on ids that start with `broken`."""
        file = self.root / name
        file.write_text(text.replace("BROKEN", broken), encoding="utf-8")
        return file

    def command(self, *words: str) -> list[str]:
        """The real command line."""
        return [sys.executable, "-m", "evalkit", *words]

    def run(self, *words: str, env: dict[str, str] | None = None) -> Ran:
        """Run the command to its end at 80 columns; with variables of its own it is started afresh."""
        if env is None:
            return forked(self.root, *words)
        return subprocess.run(
            self.command(*words),
            cwd=self.root,
            env={**os.environ, "COLUMNS": "80", **env},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def calls(self) -> list[str]:
        """Ids that the system was asked, in order."""
        log = self.root / "calls.log"
        return log.read_text(encoding="utf-8").split() if log.exists() else []

    def json(self, name: str) -> dict[str, object]:
        """One of the project's JSON files."""
        found: dict[str, object] = json.loads((self.root / name).read_text(encoding="utf-8"))
        return found
