"""A LangGraph app with tools, an interrupt and a memory of its own, as docs/conversations.md shows it.

Skipped without one. By hand:

    python -m venv .venv-langgraph
    .venv-langgraph/bin/pip install -q --no-deps --require-hashes -r requirements-demonstration.lock
    .venv-langgraph/bin/pip install -q --no-deps --require-hashes -r benchmarks/langgraph.lock
    EVALKIT_REAL_LANGGRAPH=.venv-langgraph/bin/python pytest tests/real/test_real_langgraph.py
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

import evalkit
from evalkit.types import Output

PYTHON = os.environ.get("EVALKIT_REAL_LANGGRAPH", "")
pytestmark = pytest.mark.skipif(not PYTHON, reason="EVALKIT_REAL_LANGGRAPH names no Python with langgraph")
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "conversations.md").read_text(encoding="utf-8")
SUITE = """\
name: graph
golden: golden.jsonl
system: {python: "bot:answer"}
conversation: {max_turns: 5, environment: mocks.yaml}
scorers: [state, {policy: policy.yaml}, {keywords: {over: turn, when: {has: turns}}}]
gate: [pass_rate: {min: 1.0}]
"""
POLICY = """\
approve: {of: [refund]}
before: {of: [refund], needs: [get_order], same: [order_id]}
at_most: {of: [refund], n: 2}
"""
STATE = {"orders": {id_: {"status": "returned", "total_eur": 20} for id_ in ("A-17", "B-18")}}


def row(id_: str, turns: list[tuple[str, str]], decisions: list[str], refunded: list[str]) -> dict[str, Any]:
    """A golden row: (user, required word) by turn."""
    return {
        "id": id_,
        "turns": [{"user": user, "required": [word]} for user, word in turns],
        "state": STATE,
        "expected_state": {f"orders.{order}.status": "refunded" for order in refunded},
        "approvals": [{"tool": "refund", "decision": decision} for decision in decisions],
    }


ROWS = [
    row("approved", [("Please refund A-17", "is refunded")], ["approve"], ["A-17"]),
    row("rejected", [("Please refund A-17", "not approved")], ["reject"], []),
    row("unanswered", [("Please refund A-17", "not approved")], [], []),
    row(
        "two turns",
        [("Please refund A-17", "not approved"), ("Then refund B-18", "is refunded")],
        ["reject", "approve"],
        ["B-18"],
    ),
]


def test_a_graph_is_resumed_after_its_interrupt(tmp_path: Path) -> None:
    """Each conversation is a thread of its own; the approval stands before the call that it allows."""
    code = next(text for text in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "from langgraph" in text)
    mocks = re.search(r"```yaml\n(tools:.*?)```", PAGE, re.DOTALL)
    assert mocks is not None
    files = {"pyproject.toml": "", "bot.py": code, "mocks.yaml": mocks[1], "suite.yaml": SUITE, "policy.yaml": POLICY}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "golden.jsonl").write_text("".join(json.dumps(each) + "\n" for each in ROWS), encoding="utf-8")
    command = [str(Path(PYTHON).absolute()), "-W", "error", "-m", "evalkit", "run", "suite.yaml", "--out", "run"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    steps = {}
    for stored in evalkit.load_run(tmp_path / "run").rows():
        assert isinstance(stored.output, Output), stored.failure
        taken = stored.output.trajectory or ()
        steps[stored.case.id] = [(step.turn, step.kind, step.name, step.decision) for step in taken]
    look, asked, paid = ("tool", "get_order", None), ("approval", "refund"), ("tool", "refund", None)
    assert steps == {
        "approved": [(1, *look), (1, *asked, "approved"), (1, *paid)],
        "rejected": [(1, *look), (1, *asked, "rejected")],
        "unanswered": [(1, *look), (1, *asked, "rejected")],
        "two turns": [
            (1, *look), (1, *asked, "rejected"), (2, *look), (2, *asked, "approved"), (2, *paid),
        ],
    }  # fmt: skip
