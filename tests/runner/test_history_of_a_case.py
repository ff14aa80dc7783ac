"""What an agent did before the message that a case asks about is not graded as what it does now."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from evalkit.operations.run import Request, run_suite
from evalkit.runner.engine import Stop
from evalkit.runner.event_loop import run_to_end
from evalkit.runner.session import Watcher
from evalkit.store.index import sorted_rows

BOT = """\
def answer(input):
    call = {"id": "c9", "name": "cancel", "arguments": {"id": "A-17"}}
    mine = {"role": "assistant", "content": "", "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "c9", "content": "done"}
    return {"messages": [*input, mine, result, {"role": "assistant", "content": "Cancelled."}]}
"""
CHAT = [
    {"role": "user", "content": "Where is A-17?"},
    {"role": "assistant", "tool_calls": [{"id": "c1", "name": "get_order", "arguments": {"id": "A-17"}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "on its way"},
    {"role": "assistant", "content": "On its way."},
    {"role": "user", "content": "Cancel it."},
]


def test_an_agent_that_returns_the_whole_chat_is_graded_by_its_own_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The calls of the history are neither additional calls nor steps."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "historybot.py").write_text(BOT, encoding="utf-8")
    expected = [{"name": "cancel", "arguments": {"id": "A-17"}}]
    row = {"id": "r1", "input": CHAT, "expected_tool_calls": expected}
    (tmp_path / "golden.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    suite = {
        "name": "shop",
        "golden": "golden.jsonl",
        "system": {"python": "historybot:answer"},
        "scorers": [{"tool_calls": {"match": "exact"}}, {"steps": {"max": 1}}],
        "gate": [{"pass_rate": {"min": 1}}],
    }
    (tmp_path / "suite.yaml").write_text(json.dumps(suite), encoding="utf-8")
    request = Request(suite=tmp_path / "suite.yaml", out=tmp_path / "out")
    run_to_end(run_suite(request, Watcher(), Stop(), {**os.environ}))
    (graded,) = sorted_rows(tmp_path / "out" / "rows.jsonl")()
    values = [getattr(graded.scores[name], "value", None) for name in ("tool_calls.match", "steps")]
    assert values == [1.0, 1.0]
