"""A project whose suite names several systems, and the rows and decisions of its runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cli_project import Project

BOT = """\
import asyncio, os, pathlib


async def answer(input: str, id: str, broken: str = "", delay: float = 0.0, side: str = "") -> str:
    with pathlib.Path(__file__).with_name("calls.log").open("a") as file:
        file.write(f"{side or broken} {id}\\n")
    await asyncio.sleep(delay)
    a, b = input.split("+")
    return "no idea" if broken and id.startswith(broken) else str(int(a) + int(b))
"""
HEAD = "name: sums\ngolden: cases.jsonl\nscorers: [exact]\ncohorts: [group]\nconcurrency: 4\n"
GATE = "gate: [{pass_rate: 0.1}, no_regression]\n"


def system(broken: str = "", **arguments: object) -> str:
    """A system that breaks on ids that start with `broken`."""
    return json.dumps({"python": "bot:answer", "arguments": {"broken": broken, **arguments}})


class SeveralProject(Project):
    """A project with several systems."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        (root / "bot.py").write_text(BOT, encoding="utf-8")

    def systems(self, more: str = "", **named: str) -> None:
        """Write a suite with these systems."""
        lines = "".join(f"  {name}: {text}\n" for name, text in named.items())
        self.suite(text=f"{HEAD}systems:\n{lines}{more}")

    def rows(self, out: str, name: str) -> dict[tuple[str, int], dict[str, Any]]:
        """(case, repeat) -> the row of a system, without what differs from run to run."""
        found = {}
        for line in (self.root / out / "systems" / name / "rows.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)["row"]
            text = (row.get("output") or {}).get("text")
            grades = {key: grade.get("value") for key, grade in row["scores"].items()}
            found[row["case"]["id"], row["repeat"]] = {"text": text, "grades": grades, "failure": row.get("failure")}
        return found

    def decision(self, folder: str) -> dict[str, Any]:
        """A decision, without what names the run."""
        made = dict(self.json(f"{folder}/decision.json"))
        for key in ("run_id", "head", "amended_since"):
            del made[key]
        if made.get("comparison"):
            made["comparison"] = {key: value for key, value in made["comparison"].items() if key != "baseline_id"}
        return made
