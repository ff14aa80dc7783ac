"""What a system leaves behind in cycles is collected while a run goes on."""

from __future__ import annotations

import json

import pytest
from cli_project import Project

from evalkit.store.folder import ROWS

BOT = """\
import weakref

HELD = weakref.WeakSet()

class Node:
    pass

def answer(input):
    node = Node()
    node.itself = node
    HELD.add(node)
    return str(len(HELD))
"""


@pytest.mark.slow
def test_cycles_of_a_system_do_not_pile_up(project: Project) -> None:
    """Each call leaves a cycle: the number of those in memory stays far below the number of calls."""
    (project.root / "bot.py").write_text(BOT, encoding="utf-8")
    cases = [{"id": f"c{n}", "input": "q", "reference": "1"} for n in range(2_000)]
    (project.root / "cases.jsonl").write_text("".join(json.dumps(case) + "\n" for case in cases), encoding="utf-8")
    project.suite(text='name: s\ngolden: cases.jsonl\nsystem: {python: "bot:answer"}\nscorers: [exact]\n')
    ran = project.run("run", "suite.yaml", "--out", "out", "--no-report")
    lines = (project.root / "out" / ROWS).read_text(encoding="utf-8").splitlines()
    held = [int(json.loads(line)["row"]["output"]["text"]) for line in lines]
    assert len(held) == 2_000, ran.stderr
    assert max(held) < 1_000
