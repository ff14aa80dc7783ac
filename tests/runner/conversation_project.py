"""A project whose agent talks to simulated users; both count what they are asked."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.operations.run import Request, Result, run_suite
from evalkit.runner.engine import Stop
from evalkit.runner.event_loop import run_to_end
from evalkit.runner.session import Watcher
from evalkit.store.index import sorted_rows
from evalkit.testing import FakeModel
from evalkit.types import Row

BOT = """\
import json
from pathlib import Path

CALLS = Path(__file__).with_name("calls.log")


def answer(message, turn, session):
    with CALLS.open("a") as log:
        log.write(json.dumps([turn, message, session]) + "\\n")
    return f"answer {turn}"
"""
USER = {"goal": "Get the 20 EUR for A-17 back", "facts": {"order": "A-17"}, "opening": "I want a refund."}


def said(say: str, *, done: bool = False, why: str | None = None) -> dict[str, Any]:
    """A reply of the model that plays the user."""
    return {"say": say, "done": done, "why": why}


@dataclass
class ConversationProject:
    """A folder with a suite, golden rows and an agent."""

    root: Path
    server: FakeModel

    def write(
        self,
        *rows: dict[str, Any],
        chat: dict[str, Any] | None = None,
        conversation: dict[str, Any] | None = None,
        **suite: Any,
    ) -> None:
        """Write the suite and its golden rows; without a row, one about a refund."""
        user = {"chat": {"model": "user-model", "base_url": self.server.base_url, **(chat or {})}}
        found = {
            "name": "shop",
            "golden": "golden.jsonl",
            "system": {"python": "chatbot:answer"},
            "conversation": {"max_turns": 10, "user": user, **(conversation or {})},
            "scorers": [{"contains": {"name": "answers", "all": ["answer"]}}],
            "gate": [{"pass_rate": {"min": 0.1}}],
            **suite,
        }
        (self.root / "suite.yaml").write_text(json.dumps(found), encoding="utf-8")
        given = rows or ({"id": "r1", "user": USER},)
        (self.root / "golden.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given), encoding="utf-8")
        (self.root / "chatbot.py").write_text(BOT, encoding="utf-8")

    def run(self, out: str = "out", **flags: Any) -> Result:
        """Run the suite into a folder."""
        request = Request(suite=self.root / "suite.yaml", out=self.root / out, **flags)
        return run_to_end(run_suite(request, Watcher(), Stop(), {**os.environ}))

    def rows(self, out: str = "out") -> list[Row]:
        """The rows of a run."""
        return list(sorted_rows(self.root / out / "rows.jsonl")())

    def calls(self) -> list[tuple[int, str, str]]:
        """What the agent was asked: turn, message, session."""
        log = self.root / "calls.log"
        return [tuple(json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []
