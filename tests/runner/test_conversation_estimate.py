"""What a run with simulated users will call and cost, before the first call."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest
from conversation_project import USER, ConversationProject, said

from evalkit.cli.check import _facts
from evalkit.operations.check import SoundSuite, check_suite
from evalkit.operations.dry_run import dry_run
from evalkit.operations.estimate import RunEstimate
from evalkit.operations.run import Request
from evalkit.operations.span import Span
from evalkit.testing import FakeModel

MakeProject = Callable[[FakeModel], ConversationProject]
PRICES = {"input_usd_per_million": 100, "output_usd_per_million": 0}
ROWS = [
    {"id": "opened", "user": USER},
    {"id": "unopened", "user": {"goal": "A refund"}},
    {"id": "scripted", "turns": [{"user": "Hello"}, {"user": "Bye"}]},
]


def planned(project: ConversationProject) -> RunEstimate:
    """The estimate of a run."""
    return asyncio.run(dry_run(Request(suite=project.root / "suite.yaml"), os.environ))[""]


def checked(project: ConversationProject) -> SoundSuite:
    """What `check` finds."""
    return asyncio.run(check_suite(project.root / "suite.yaml", os.environ))


def reply(request: dict[str, Any]) -> dict[str, Any]:
    """Open, say one thing, then end."""
    own = sum(turn["role"] == "assistant" for turn in request["messages"])
    return said("Yes", done=True) if own > 1 else said(f"message {own}")


def test_turns_are_counted(make_project: MakeProject) -> None:
    """Those of a script are known; a simulated user ends between the first turn and `max_turns`."""
    with FakeModel(reply) as server:
        project = make_project(server)
        project.write(*ROWS, repeat=2)
        found, sound = planned(project), checked(project)
        assert server.requests == []
    assert found.calls["system"] == Span(2 * (1 + 1 + 2), None, 2 * (10 + 10 + 2))
    assert found.calls["user"] == Span(2 * (0 + 1), None, 2 * (9 + 10))
    assert (found.tokens["user"].likely, found.cost_usd["user"].likely) == (None, None)
    assert found.cost_usd["user"].why == "price unknown"
    assert (sound.calls.system, sound.calls.user) == (found.calls["system"], found.calls["user"])
    told = "\n".join(_facts(sound))
    assert "a run makes 8 to 44 calls and asks the simulated user 2 to 38 times" in told
    assert f"{server.base_url}/chat/completions · user user-model, no key" in told


def test_an_earlier_run_says_what_the_user_costs(make_project: MakeProject) -> None:
    """Its conversations are as long as those to come; another user's cost is not known."""
    with FakeModel(reply) as server:
        project = make_project(server)
        project.write(*ROWS, chat={"prices": PRICES}, conversation={"max_turns": 5})
        project.run("reports/first")
        n_asked = len(server.requests)
        found = planned(project)
        project.write(*ROWS, chat={"prices": PRICES, "model": "other"}, conversation={"max_turns": 5})
        other = planned(project)
    assert n_asked == 2 + 3
    assert found.calls == {"system": Span(4, 3 + 3 + 2, 12), "user": Span(1, 5, 9)}
    assert found.cost_usd["user"].likely == pytest.approx(n_asked * 0.01)
    assert found.tokens["user"].likely == pytest.approx(n_asked * 110)
    assert other.cost_usd["user"].likely is None


def test_scripts_alone_are_exact(make_project: MakeProject) -> None:
    """And nobody is asked."""
    with FakeModel() as server:
        project = make_project(server)
        project.write(ROWS[2], conversation={"user": None})
        found = planned(project)
    assert found.calls == {"system": Span.exactly(2)}
    assert "user" not in found.cost_usd
