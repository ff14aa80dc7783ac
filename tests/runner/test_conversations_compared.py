"""A suite that compares its conversations with those of a stored run."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from conversation_project import ConversationProject

from evalkit.errors import InputError
from evalkit.operations.dry_run import dry_run
from evalkit.operations.run import Request
from evalkit.operations.span import Span
from evalkit.testing import FakeModel
from evalkit.types import Score, Unscored

MakeProject = Callable[[FakeModel], ConversationProject]
ROWS = [
    {"id": "hello", "turns": [{"user": "Hello"}, {"user": "Bye"}]},
    {"id": "single", "input": "Fee?"},
    {"id": "added", "turns": [{"user": "Is it new?"}]},
]
PAIRWISE = {"pairwise": {"against": "run:base", "over": "conversation", "advisory": True}}
CHANGED = """\
def answer(message, turn, session):
    return "answer 2" if turn == 2 else "changed"
"""


def reply(request: dict[str, Any]) -> dict[str, Any]:
    """A judge that likes what was changed, wherever it is shown."""
    first = request["messages"][1]["content"].partition("<<<SECOND")[0]
    return {"reason": "it is better", "winner": "first" if "changed" in first else "second"}


def suite(server: FakeModel, *scorers: Any) -> dict[str, Any]:
    """The parts of a suite with a judge."""
    judge = {"chat": {"model": "grader", "base_url": server.base_url}}
    answers = {"contains": {"name": "answers", "any": ["answer", "changed"]}}
    return {"judge": judge, "conversation": {"user": None}, "scorers": [answers, *scorers]}


def test_whole_conversations_are_compared_with_the_stored_ones(make_project: MakeProject) -> None:
    """The last answers are equal, an earlier one is better; two questions a case, none of a new case."""
    with FakeModel(reply) as server:
        project = make_project(server)
        project.write(*ROWS[:2], **suite(server), repeat=2)
        project.run("base", baseline="none")
        project.write(*ROWS, **suite(server, PAIRWISE))
        (project.root / "chatbot.py").write_text(CHANGED, encoding="utf-8")
        planned = asyncio.run(dry_run(Request(suite=project.root / "suite.yaml", baseline="none"), os.environ))[""]
        assert server.requests == []
        ended = project.run("new", baseline="none")
        n_asked = len(server.requests)
    found = {row.case.id: row.scores["pairwise"] for row in project.rows("new")}
    assert [found[name].value for name in ("hello", "single") if isinstance(found[name], Score)] == [1.0, 1.0]
    assert isinstance(found["added"], Unscored) and found["added"].kind == "no_rival"
    assert n_asked == 4
    assert planned.calls["grader"] == Span(0, 4, 12)
    assert ended.manifest.score_keys["pairwise"]["over"] == "conversation"


def test_over_last_compares_the_last_answers_alone(make_project: MakeProject) -> None:
    """As before: the same last answer is a tie that nobody is asked about, and the key says nothing of `over`."""
    with FakeModel(reply) as server:
        project = make_project(server)
        project.write(ROWS[0], **suite(server))
        project.run("base", baseline="none")
        project.write(ROWS[0], **suite(server, {"pairwise": {"against": "run:base", "advisory": True}}))
        (project.root / "chatbot.py").write_text(CHANGED, encoding="utf-8")
        ended = project.run("new", baseline="none")
        assert server.requests == []
    (row,) = project.rows("new")
    assert isinstance(row.scores["pairwise"], Score) and row.scores["pairwise"].value == 0.5
    assert "over" not in ended.manifest.score_keys["pairwise"]


@pytest.mark.parametrize(
    ("scorer", "told"),
    [
        ({"pairwise": {"against": "reference", "over": "conversation"}}, "'reference' is not a conversation"),
        ({"state": {"over": "conversation"}}, "only `pairwise` has `over: conversation`"),
        ({"pairwise": {"against": "run:base", "over": "conversation", "fold": "mean"}}, "add `over: turn`"),
        ({"pairwise": {"against": "run:none", "over": "conversation"}}, "no baseline or run folder called 'none'"),
    ],
)
def test_what_compares_no_conversations_is_refused(make_project: MakeProject, scorer: Any, told: str) -> None:
    """Before the first call, with the fix."""
    with FakeModel(reply) as server:
        project = make_project(server)
        project.write(ROWS[1], **suite(server))
        project.run("base", baseline="none")
        project.write(ROWS[1], **suite(server, scorer))
        with pytest.raises(InputError) as refused:
            project.run("new", baseline="none")
    assert told in str(refused.value)
    assert json.loads((project.root / "suite.yaml").read_text())["scorers"][1] == scorer
