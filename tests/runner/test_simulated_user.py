"""Simulated users: what the model that plays one is told, how a conversation ends by it, and whose a failure is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from conversation_project import USER, ConversationProject, said

from evalkit.errors import InputError
from evalkit.formats.conversation import SimulatedUser
from evalkit.llm.budget import Budget
from evalkit.runner import simulated_user
from evalkit.runner.engine import Stop, charge
from evalkit.store.folder import RunFolder
from evalkit.testing import FakeModel, Fault
from evalkit.types import Message, Score, ToolCall

MakeProject = Callable[[FakeModel], ConversationProject]
EMPTY, YES = said(""), said("Yes", done=True, why="reached")


@pytest.mark.parametrize(
    ("script", "settings", "n_system", "n_user", "stop"),
    [
        ([said("A-17"), YES], {}, 3, 2, "user_done"),
        ([said("A-17"), YES], {"max_turns": 2}, 2, 1, "max_turns"),
        ([said("A-17"), said("", done=True)], {}, 2, 2, "user_done"),
        ([said("A-17")], {"max_turns": 4}, 4, 3, "max_turns"),
        ([EMPTY, said("A-17"), YES], {}, 3, 3, "user_done"),
        ([said(" I want a refund.\n"), said("A-17"), YES], {}, 3, 3, "user_done"),
        ([said("Thanks"), YES], {"stop_when": [{"says": "answer 2"}]}, 2, 1, "rule"),
    ],
)
def test_a_conversation_ends_by_contract(
    make_project: MakeProject, script: list[Any], settings: dict[str, Any], n_system: int, n_user: int, stop: str
) -> None:
    """A text beside `done` is delivered and answered; a reply that cannot be sent is asked for once more."""
    with FakeModel(script) as server:
        project = make_project(server)
        project.write(conversation=settings)
        project.run()
        assert (len(project.calls()), len(server.requests)) == (n_system, n_user)
    (row,) = project.rows()
    assert row.output is not None
    assert (row.state, row.output.stop) == ("scored", stop)
    ended = row.scores["ended"]
    assert isinstance(ended, Score)
    assert ended.passed is (stop != "max_turns")


@pytest.mark.parametrize(
    ("last", "settings", "why"),
    [
        (said("Yes", done=True, why="reached"), {}, "reached"),
        (said("", done=True, why="gave_up"), {}, "gave_up"),
        (said("Fine.", done=True, why="refused"), {"stop_when": [{"says": "answer 3"}]}, "refused"),
        (said("Yes", done=True), {}, None),
        (said("Yes", why="reached"), {"max_turns": 3}, None),
    ],
)
def test_why_the_user_ended_is_stored(
    make_project: MakeProject, last: Any, settings: dict[str, Any], why: str | None
) -> None:
    """In the user's own words; without an end there is no why. Scoring again and replaying keep it."""
    with FakeModel([said("A-17"), last]) as server:
        project = make_project(server)
        project.write(conversation=settings)
        project.run()
        project.write(conversation=settings)
        project.run("scored", answers=RunFolder(project.root / "out"), baseline="none")
        project.write(conversation=settings, system={"replay": "out"})
        project.run("replayed", baseline="none")
    outputs = {out: project.rows(out)[0].output for out in ("out", "scored", "replayed")}
    assert {out: output and output.user_why for out, output in outputs.items()} == dict.fromkeys(outputs, why)
    stored = json.loads((project.root / "out" / "rows.jsonl").read_text())["row"]["output"]
    assert stored.get("user_why") == why
    assert ("user_why" in stored) is (why is not None)


def test_done_before_the_first_answer_is_ignored(make_project: MakeProject) -> None:
    """Where the model writes the first message: its text is taken, and an empty one is asked for again."""
    script = [said("", done=True), said("Hello", done=True), said("A-17", done=True)]
    with FakeModel(script) as server:
        project = make_project(server)
        project.write({"id": "r1", "user": {"goal": "A refund"}})
        project.run()
        assert len(server.requests) == 3
    assert [message for _, message, _ in project.calls()] == ["Hello", "A-17"]


def test_the_conversation_is_shown_with_its_roles_turned_round(make_project: MakeProject) -> None:
    """The model's own messages, the opening included, are the assistant's; nothing else of the case is told."""
    secret = "CANARY-7"
    row = {
        "id": "r1",
        "user": {**USER, "persona": "impatient"},
        "reference": secret,
        "expected_state": {"x": secret},
        "expected_tool_calls": [{"name": secret, "arguments": {}}],
        "state": {"x": secret},
        "note": secret,
        "cohorts": {"topic": secret},
    }
    with FakeModel([said("A-17"), YES]) as server:
        project = make_project(server)
        project.write(row)
        project.run()
        first, second = server.requests
    assert secret not in json.dumps(server.requests)
    assert [turn["role"] for turn in first["messages"]] == ["system", "user", "assistant", "user"]
    assert [turn["content"] for turn in second["messages"][2:]] == ["I want a refund.", "answer 1", "A-17", "answer 2"]
    task = first["messages"][0]["content"]
    assert all(text in task for text in ("Get the 20 EUR for A-17 back", "impatient", "order: A-17"))


def test_the_system_prompt_stays_hidden(make_project: MakeProject) -> None:
    """Of a model that is told how to behave, the user sees the answers alone."""
    with FakeModel([said("A-17"), YES]) as server, FakeModel(["the answer"]) as agent:
        project = make_project(server)
        project.write(system={"chat": "agent", "base_url": agent.base_url, "system_prompt": "CANARY"})
        project.run()
        assert len(agent.requests) == 3
        assert "CANARY" in json.dumps(agent.requests)
        assert "CANARY" not in json.dumps(server.requests)


def test_calls_of_tools_are_no_part_of_the_conversation() -> None:
    """What the model asked tools, and what they returned, was not said to the user."""
    calls = (ToolCall("find", {"key": "CANARY"}),)
    messages = [
        Message("user", "Hello"),
        Message("assistant", "CANARY: I look", calls),
        Message("tool", "CANARY"),
        Message("assistant", ""),
    ]
    turns = list(simulated_user._turns(SimulatedUser("A refund"), messages))[1:]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert "CANARY" not in json.dumps(turns)
    assert turns[-1]["content"], "vendors refuse an empty message"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ([EMPTY, EMPTY, said("A-17")], "said nothing, asked twice"),
        ([said("I want a refund."), said("I want a refund."), YES], "said its first message again, asked twice"),
        (["no JSON at all"], "bad_reply"),
    ],
)
def test_a_user_who_says_nothing_leaves_the_case_unscored(
    make_project: MakeProject, script: list[Any], why: str
) -> None:
    """The system did nothing wrong; `--retry-errors` asks again, and no unusable reply was kept."""
    with FakeModel(script) as server:
        project = make_project(server)
        project.write()
        project.run()
        (row,) = project.rows()
        assert row.state == "unscored"
        assert row.failure is not None
        assert row.failure.kind == "user_error"
        assert why in row.failure.message
        assert row.failure.partial is not None
        assert row.failure.partial.user_usage is not None, "what was spent is known"
    with FakeModel([said("A-17"), YES], port=int(server.base_url.split(":")[2].split("/")[0])) as again:
        project.run(resume=True)
        assert again.requests == [], "an error is kept unless it is to be retried"
        project.run(resume=True, retry_errors=True)
        assert len(again.requests) == 2
    (row,) = project.rows()
    assert row.state == "scored"


def test_a_busy_endpoint_is_not_seen(make_project: MakeProject) -> None:
    """429, then 200: one more request, nothing in the row."""
    with FakeModel([said("A-17"), YES], faults=[Fault(kind="status", status=429)]) as server:
        project = make_project(server)
        project.write()
        project.run()
        assert len(server.requests) == 3
    assert project.rows()[0].state == "scored"


def test_equal_answers_cost_no_second_question(make_project: MakeProject) -> None:
    """Replies are kept by goal, persona, facts, messages and repeat; their cost is not fresh."""
    with FakeModel([said("A-17"), YES] * 8) as server:
        project = make_project(server)
        project.write()
        project.run("a")
        project.run("b")
        assert len(server.requests) == 2
        project.run("c", overrides={"repeat": 2})
        assert len(server.requests) == 4, "another repeat is another user"
        for changed in ({"goal": "another"}, {"persona": "kind"}, {"facts": {"order": "B-2"}}):
            project.write({"id": "r1", "user": {**USER, **changed}})
            before = len(server.requests)
            project.run(f"d{changed}".replace("'", "")[:6])
            assert len(server.requests) == before + 2
    fresh, kept = (project.rows(name)[0].output for name in "ab")
    assert fresh is not None
    assert kept is not None
    assert fresh.user_usage is not None
    assert kept.user_usage is not None
    assert (fresh.user_usage.cached, kept.user_usage.cached) == (False, True)
    assert fresh.user_usage.input_tokens == 200


def test_a_slow_user_is_not_a_slow_system(make_project: MakeProject) -> None:
    """The conversation's time-out does not count the time of the model that plays the user."""
    with FakeModel([said("A-17"), YES], latency_s=0.4) as server:
        project = make_project(server)
        project.write(conversation={"timeout_s": 0.5})
        project.run()
    assert project.rows()[0].state == "scored"


def test_somebody_must_play_the_user(make_project: MakeProject) -> None:
    """Said before any call, with the line of the row."""
    with FakeModel() as server:
        project = make_project(server)
        project.write(conversation={"user": None})
        with pytest.raises(InputError, match="`user` needs somebody who plays it") as found:
            project.run()
    (problem,) = found.value.problems
    assert problem.place.startswith("golden.jsonl:1 id r1")
    assert problem.fix == "add `conversation: {user: {chat: {model, base_url, api_key_env}}}`"


def test_stored_conversations_need_nobody(make_project: MakeProject) -> None:
    """Scoring the answers of a run asks neither system nor user."""
    with FakeModel([said("A-17"), YES]) as server:
        project = make_project(server)
        project.write()
        project.run("a")
        project.write(conversation={"user": None})
        project.run("b", answers=RunFolder(project.root / "a"))
        assert (len(project.calls()), len(server.requests)) == (3, 2)
    (row,) = project.rows("b")
    assert row.output is not None
    assert row.output.user_usage is not None
    assert row.output.user_usage.cached


def test_the_budget_is_charged(make_project: MakeProject) -> None:
    """A run stops before the question that it cannot pay, and the conversation begins again on `--resume`."""
    prices = {"input_usd_per_million": 100, "output_usd_per_million": 0}
    with FakeModel([said("A-17"), said("B"), said("C"), YES]) as server:
        project = make_project(server)
        project.write(chat={"prices": prices}, budget_usd=0.02)
        stopped = project.run(out="a")
        assert len(server.requests) == 2
        assert stopped.decision.outcome == "no decision"
        assert project.rows("a") == []
        sessions = {session for _, _, session in project.calls()}
        project.run(out="a", resume=True, overrides={"budget_usd": 1.0})
        assert len(server.requests) == 4, "the replies of the first attempt were kept"
    assert len({session for _, _, session in project.calls()} - sessions) == 1
    (row,) = project.rows("a")
    assert row.output is not None
    assert row.output.user_usage is not None
    assert row.output.user_usage.cost_usd == pytest.approx(0.02)


def test_rows_of_another_process_are_charged_with_their_user(make_project: MakeProject) -> None:
    """Those that `--resume` finds; the client charges its own questions, and a kept reply costs nothing."""
    with FakeModel([said("A-17"), YES]) as server:
        project = make_project(server)
        project.write(chat={"prices": {"input_usd_per_million": 100, "output_usd_per_million": 0}})
        project.run("a")
        project.run("b")
    spent = {}
    for name, with_judges in (("a", True), ("a", False), ("b", True)):
        budget = Budget(1.0)
        charge(budget, Stop(), project.rows(name)[0], with_judges=with_judges)
        spent[name, with_judges] = budget.spent_usd
    assert spent == {("a", True): pytest.approx(0.02), ("a", False): 0.0, ("b", True): 0.0}


def test_an_unpriced_user_is_refused_with_a_budget(make_project: MakeProject) -> None:
    """A call that would never be charged is named before the first one."""
    with FakeModel() as server:
        project = make_project(server)
        project.write(budget_usd=1.0)
        with pytest.raises(InputError, match="price of user-model is unknown"):
            project.run()


def test_the_prompt_has_a_version() -> None:
    """Whoever changes a text that the model reads raises `USER_PROMPT_VERSION`, and renews the hash."""
    texts = [simulated_user._TASK, simulated_user._BEGIN, simulated_user._NO_ANSWER, simulated_user._EMPTY]
    schema = json.dumps(simulated_user.UserReply.model_json_schema(), sort_keys=True)
    found = hashlib.sha256("\0".join([*texts, simulated_user._AGAIN, schema]).encode()).hexdigest()[:16]
    assert (simulated_user.USER_PROMPT_VERSION, found) == ("1", "5324994c87d864a1")


def test_faults_of_the_user_are_gated(make_project: MakeProject) -> None:
    """The share of conversations with a fault is a figure about the user: it counts in no pass rate, and warns."""
    judge = {"chat": {"model": "judge", "base_url": ""}}

    def reply(request: dict[str, Any]) -> dict[str, Any]:
        if request["model"] == "user-model":
            return said("Yes", done=True)
        lines = [json.loads(line) for line in request["messages"][1]["content"].splitlines() if line.startswith('{"n"')]
        asked = [line for line in lines if line["role"] == "user"]
        bad = "Goal 0" in request["messages"][1]["content"]
        quotes = ["" if line["turn"] == 1 or not bad else line["text"] for line in asked]
        found = zip(asked, quotes, strict=True)
        return {"verdicts": [{"n": line["n"], "why": "w", "quote": quote, "ok": not quote} for line, quote in found]}

    with FakeModel(reply) as server:
        judge["chat"]["base_url"] = server.base_url
        project = make_project(server)
        scorers = [
            {"contains": {"name": "answers", "all": ["answer"]}},
            {"judge": {"name": "user_faults", "rubric": "user_faults", "when": {"has": "user"}}},
        ]
        gate = [{"pass_rate": {"min": 0.5}}, {"user_faults": {"max": 0.05, "on_fail": "warn"}}]
        rows = [{"id": f"r{at}", "user": {**USER, "goal": f"Goal {at % 4}"}} for at in range(40)]
        project.write(*rows, scorers=scorers, gate=gate, judge=judge)
        ended = project.run()
    cell = ended.summary.cell("user_faults")
    assert cell is not None
    assert cell.estimate.value == pytest.approx(0.25)
    rate = ended.summary.cell("pass_rate")
    assert rate is not None
    assert rate.estimate.value == 1.0
    assert ended.decision.outcome == "approved with conditions"
    assert any("user_faults" in reason for reason in ended.decision.reasons), ended.decision.reasons
    grade = project.rows()[0].scores["user_faults"]
    assert isinstance(grade, Score)
    assert (grade.value, grade.passed, grade.turns) == (1.0, None, ((1, 0.0), (2, 1.0)))


def test_a_rubric_that_reads_the_goal_needs_one(make_project: MakeProject) -> None:
    """A script has none unless the row says so; found before the first call."""
    with FakeModel() as server:
        project = make_project(server)
        judge = {"chat": {"model": "judge", "base_url": server.base_url}}
        scorers = [{"judge": {"name": "goal", "rubric": "goal_reached"}}]
        project.write({"id": "s", "turns": [{"user": "Hello"}]}, scorers=scorers, judge=judge, gate=[])
        with pytest.raises(InputError, match=r"the rubric reads \{\{goal\}\}, and the case names none"):
            project.run()


def test_a_refused_key_ends_the_run(make_project: MakeProject) -> None:
    """After a few conversations, and none of them is kept: `--resume` with the right key goes on."""
    with FakeModel(always=Fault(kind="status", status=401)) as server:
        project = make_project(server)
        project.write(*({"id": f"r{at:02d}", "user": USER} for at in range(30)), concurrency=3)
        ended = project.run()
        assert len(project.calls()) <= 6
    assert ended.decision.outcome == "no decision"
    assert "the model that plays the user refused the first calls: http_401" in ended.decision.reasons[0]
    assert project.rows() == []


def test_a_user_that_is_not_paid_is_not_the_system(make_project: MakeProject) -> None:
    """An empty account of the user's endpoint is an error of the user."""
    message = "insufficient_quota"
    with FakeModel(always=Fault(kind="status", status=400, message=message)) as server:
        project = make_project(server)
        project.write(*({"id": f"r{at}", "user": USER} for at in range(4)), concurrency=2)
        ended = project.run()
    assert not any("the system under test" in reason for reason in ended.decision.reasons)
    assert {row.state for row in project.rows()} == {"unscored"}
