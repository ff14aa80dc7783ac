"""A process that dies within a conversation: it begins again, and nothing else is asked twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from evalkit.testing import FakeModel

BOT = """\
import json, os, signal
from pathlib import Path

HERE = Path(__file__).parent


def answer(message, turn, session, name):
    with (HERE / "calls.log").open("a") as log:
        log.write(json.dumps([name, turn, session]) + "\\n")
    if os.environ.get("DIES") == f"{name} {turn}":
        os.kill(os.getpid(), signal.SIGKILL)
    return f"answer {turn}"
"""


def evalkit(root: Path, *words: str, dies: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command line; the agent kills it in one turn of one conversation."""
    command = [sys.executable, "-m", "evalkit", "run", "suite.yaml", "--progress", "none", *words]
    env = {**os.environ, "DIES": dies}
    return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False, timeout=300)


def reply(request: dict[str, Any]) -> dict[str, Any]:
    """Say three things."""
    own = sum(turn["role"] == "assistant" for turn in request["messages"])
    return {"say": f"more {own}", "done": own > 2, "why": None}


def test_a_conversation_that_was_killed_begins_again(tmp_path: Path) -> None:
    """From turn 1 under another session, with the replies of the simulated user that are kept."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "chatbot.py").write_text(BOT, encoding="utf-8")
    user = {"facts": {"order": "A-17"}, "opening": "I want a refund."}
    rows = [{"id": each, "name": each, "user": {"goal": f"Goal {each}", **user}} for each in ("one", "two", "three")]
    (tmp_path / "golden.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with FakeModel(reply) as server:
        chat = {"model": "user-model", "base_url": server.base_url}
        suite = {
            "name": "conversations",
            "golden": "golden.jsonl",
            "system": {"python": "chatbot:answer"},
            "concurrency": 1,
            "conversation": {"max_turns": 6, "user": {"chat": chat}},
            "scorers": [{"contains": {"name": "answers", "all": ["answer"]}}],
            "gate": [{"pass_rate": {"min": 0.1}}],
        }
        (tmp_path / "suite.yaml").write_text(json.dumps(suite), encoding="utf-8")
        assert evalkit(tmp_path, "--out", "killed", dies="two 3").returncode == -9
        asked = len(server.requests)
        resumed = evalkit(tmp_path, "--out", "killed", "--resume")
        assert resumed.returncode == 0, resumed.stderr
        assert asked == 3 + 2
        assert len(server.requests) == asked + 1 + 3, "what two and three have yet to hear"
        calls = [json.loads(line) for line in (tmp_path / "calls.log").read_text().splitlines()]
        whole = evalkit(tmp_path, "--out", "whole")
        assert whole.returncode == 0, whole.stderr
        assert len(server.requests) == asked + 1 + 3, "every reply was kept"
    turns = [(name, turn) for name, turn, _ in calls]
    assert turns == [
        *(("one", turn) for turn in range(1, 5)),
        *(("two", turn) for turn in range(1, 4)),
        *(("two", turn) for turn in range(1, 5)),
        *(("three", turn) for turn in range(1, 5)),
    ]
    sessions = [session for name, _, session in calls if name == "two"]
    assert len({*sessions[:3]}) == len({*sessions[3:]}) == 1
    assert sessions[0] != sessions[3]
    found = []
    for folder in ("killed", "whole"):
        lines = (tmp_path / folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()
        kept = [json.loads(line)["row"] for line in lines]
        found.append({row["case"]["id"]: [_said(row), row["scores"]] for row in kept})
    assert found[0] == found[1]
    decisions = [json.loads((tmp_path / folder / "decision.json").read_text()) for folder in ("killed", "whole")]
    assert decisions[0]["outcome"] == decisions[1]["outcome"]
    assert decisions[0]["checks"] == decisions[1]["checks"]


def _said(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in row["output"]["messages"]]
