"""What leads a conversation is part of what two runs must share: the user's model, the environment, the limits."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from conversation_project import USER, ConversationProject, said

from evalkit.errors import InputError
from evalkit.gate.suite_changes import part_changes
from evalkit.operations.run import decide_again
from evalkit.store.folder import RunFolder
from evalkit.suite.parse import load_suite
from evalkit.suite.rules import rules_of
from evalkit.testing import FakeModel

MakeProject = Callable[[FakeModel], ConversationProject]
GATE = [{"pass_rate": {"min": 0.1}}, {"no_regression": {"baseline": "base"}}]
AGAIN = "run the baseline's system again: `baseline: {run: base, system: ...}`"
MOCKS = {"tools": {"find": {"rules": [{"returns": 1}]}}}
ENVIRONMENT = """\
from rules import PRICE


class Shop:
    tools = ()

    def __init__(self, state):
        self.state = {**state, "price": PRICE}

    def call(self, name, arguments):
        return PRICE
"""


def rows(n: int = 24) -> list[dict[str, Any]]:
    """Enough cases for a comparison."""
    return [{"id": f"r{at:02d}", "user": {**USER, "goal": f"Refund {at}"}} for at in range(n)]


def reply(request: dict[str, Any]) -> dict[str, Any]:
    """Say one thing, then end."""
    return said("Yes", done=True) if len(request["messages"]) > 4 else said("A-17")


def saved(project: ConversationProject, **given: Any) -> None:
    """Run once, as the baseline."""
    project.write(*rows(), **given)
    project.run("base", baseline="none")


@pytest.mark.parametrize(
    ("before", "after", "parts"),
    [
        ({}, {}, ""),
        ({"chat": {"timeout_s": 9}}, {"chat": {"max_retries": 1}, "conversation": {"timeout_s": 99}}, ""),
        ({}, {"chat": {"model": "other"}}, "user"),
        ({}, {"chat": {"temperature": 0.5}}, "user_settings"),
        ({}, {"conversation": {"max_turns": 9}}, "max_turns"),
        ({}, {"conversation": {"stop_when": [{"says": "never"}]}}, "stop_when"),
        ({}, {"conversation": {"unanswered_interrupt": "end"}}, "unanswered_interrupt"),
    ],
)
def test_another_user_or_limit_is_not_compared(
    make_project: MakeProject, before: dict[str, Any], after: dict[str, Any], parts: str
) -> None:
    """There is no decision, and the fix is named; what no conversation depends on may change."""
    with FakeModel(reply) as server:
        project = make_project(server)
        saved(project, **before)
        project.write(*rows(), gate=GATE, **after)
        ended = project.run("new", baseline=str(project.root / "base"))
        again = decide_again(RunFolder(project.root / "new"), None, str(project.root / "base"))
    for found in (ended, again):
        told = [reason for reason in found.decision.reasons if "led differently" in reason]
        assert (found.decision.outcome == "no decision") is bool(parts)
        assert len(told) == bool(parts)
        if parts:
            assert f"({parts})" in told[0]
            assert told[0].endswith(AGAIN)


def test_the_environment_is_compared_by_its_content(make_project: MakeProject) -> None:
    """A file of mocks by its bytes, a class by its module and what that imports of the project."""
    with FakeModel(reply) as server:
        project = make_project(server)
        (project.root / "shop_env.py").write_text(ENVIRONMENT, encoding="utf-8")
        (project.root / "rules.py").write_text("PRICE = 20\n", encoding="utf-8")
        (project.root / "mocks.yaml").write_text(json.dumps(MOCKS), encoding="utf-8")
        keys = []
        for number, environment in enumerate([None, "mocks.yaml", "mocks.yaml", *[{"python": "shop_env:Shop"}] * 3]):
            if number == 2:
                (project.root / "mocks.yaml").write_text(json.dumps(MOCKS) + "\n", encoding="utf-8")
            if number == 4:
                (project.root / "rules.py").write_text("PRICE = 201\n", encoding="utf-8")
            project.write(conversation={"environment": environment})
            keys.append(project.run(f"run{number}", baseline="none").manifest.conversation_key["environment"])
    assert keys[0] == "none"
    assert len(set(keys)) == 5
    assert keys[4] == keys[5]


def test_the_system_of_the_baseline_makes_them_comparable(make_project: MakeProject) -> None:
    """Both systems talk to today's user, every case and repeat; what was stored does not count."""
    with FakeModel(reply) as server:
        project = make_project(server)
        saved(project)
        (project.root / "oldbot.py").write_text("def answer(message):\n    return 'old answer'\n", encoding="utf-8")
        shutil.copytree(project.root / "base", project.root / "reports" / "baselines" / "base")
        compared = {"baseline": {"run": "base", "system": {"python": "oldbot:answer"}}}
        project.write(*rows(), gate=[GATE[0], {"no_regression": compared}], chat={"model": "other"}, repeat=2)
        ended = project.run("new")
        assert not [reason for reason in ended.decision.reasons if "led differently" in reason]
        assert ended.decision.comparison is not None
        assert ended.decision.comparison.n_paired == 24
        lines = RunFolder(project.root / "new").old_rows_file.read_text(encoding="utf-8").splitlines()
        old = [json.loads(line)["row"] for line in lines]
        assert sorted((row["case"]["id"], row.get("repeat", 0)) for row in old) == sorted(
            (f"r{at:02d}", repeat) for at in range(24) for repeat in range(2)
        )
        assert {row["output"]["text"] for row in old} == {"old answer"}
        asked = len(server.requests)
        again = decide_again(RunFolder(project.root / "new"), None, None)
        assert again.decision.reasons == ended.decision.reasons
        assert len(server.requests) == asked


def test_stored_answers_keep_how_they_were_led(make_project: MakeProject) -> None:
    """Scoring them again changes no conversation, whatever the suite says now."""
    with FakeModel(reply) as server:
        project = make_project(server)
        saved(project)
        project.write(*rows(), gate=GATE, chat={"model": "other"})
        answers = RunFolder(project.root / "base")
        scored = project.run("scored", baseline=str(project.root / "base"), answers=answers)
    assert scored.manifest.conversation_key == answers.manifest().conversation_key
    assert not [reason for reason in scored.decision.reasons if "led differently" in reason]


def test_an_interrupted_run_goes_on_with_the_same_user(make_project: MakeProject) -> None:
    """Rows of two users are not one run."""
    with FakeModel(reply) as server:
        project = make_project(server)
        saved(project)
        project.write(*rows(), chat={"model": "other"})
        with pytest.raises(InputError, match="another way to lead conversations"):
            project.run("base", resume=True, baseline="none")


def test_a_suite_without_conversations_has_no_key(make_project: MakeProject) -> None:
    """Its manifest is as it was before."""
    with FakeModel() as server:
        project = make_project(server)
        project.write({"id": "q", "input": "Hello"}, conversation=None)
        suite = json.loads((project.root / "suite.yaml").read_text())
        del suite["conversation"]
        (project.root / "suite.yaml").write_text(json.dumps(suite), encoding="utf-8")
        (project.root / "chatbot.py").write_text("def answer(input):\n    return 'answer'\n", encoding="utf-8")
        project.run("plain", baseline="none")
    assert "conversation_key" not in json.loads((project.root / "plain" / "manifest.json").read_text())


def test_another_user_or_environment_is_a_finding(make_project: MakeProject) -> None:
    """As for a judge: each setting with both values, and a file by its fingerprint; never a text that may be secret."""
    with FakeModel() as server:
        project = make_project(server)
        (project.root / "mocks.yaml").write_text(json.dumps(MOCKS), encoding="utf-8")
        project.write(conversation={"environment": "mocks.yaml"})
        before = rules_of(load_suite(project.root / "suite.yaml"))
        (project.root / "mocks.yaml").write_text(json.dumps(MOCKS) + "\n", encoding="utf-8")
        settings = {"environment": "mocks.yaml", "max_turns": 3, "stop_when": [{"says": "bye"}]}
        project.write(chat={"model": "other", "api_key_env": "USER_KEY"}, conversation=settings)
        after = rules_of(load_suite(project.root / "suite.yaml"))
    found = {each.what: (each.before, each.after, each.loosens) for each in part_changes(before, after)}
    assert found.pop("conversation file mocks.yaml")[2]
    assert found.pop("conversation stop_when[0].says")[1].startswith("#")
    assert found.pop("conversation user.api_key_env")[1].startswith("#")
    assert found == {
        "conversation max_turns": ("not set", "3", True),
        "conversation user.model": ("user-model", "other", True),
    }
    assert set(part_changes(before, before)) == set()
