"""A conversation is led turn by turn, and everything that happened is in its output."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import pytest

from evalkit.formats.messages import input_of
from evalkit.llm.budget import BudgetReached
from evalkit.scorers.agents.fabricated_calls import FabricatedCalls
from evalkit.systems.conversation.environment import ToolError
from evalkit.systems.conversation.loop import ConversationSetup, Said, SimulatorFailed, conversing
from evalkit.systems.conversation.mocks import MockEnvironment
from evalkit.systems.conversation.settings import ConversationSettings
from evalkit.types import Case, Failure, Message, Output, Usage
from tests.systems.conversation.conftest import ORDERS, read_mocks

TWO = {"turns": [{"user": "Refund A-17"}, {"user": "Yes."}], "state": {"orders": {"A-17": {"status": "returned"}}}}


def test_each_turn_gets_the_messages_so_far(converse) -> None:
    """As `input`, with the new text as `message`, one session, and turns counted from 1."""
    seen = []

    def agent(fields, case):
        seen.append((fields["message"], fields["turn"], fields["session"], input_of(case)))
        return f"answer {fields['turn']}"

    ended = converse(agent, TWO)
    first, second = seen
    assert first[:2] == ("Refund A-17", 1)
    assert second[:2] == ("Yes.", 2)
    assert first[2] == second[2] != ""
    assert second[3] == [
        {"role": "user", "content": "Refund A-17"},
        {"role": "assistant", "content": "answer 1"},
        {"role": "user", "content": "Yes."},
    ]
    assert (ended.text, ended.stop) == ("answer 2", "script_end")
    assert [(each.role, each.content) for each in ended.messages] == [
        ("user", "Refund A-17"),
        ("assistant", "answer 1"),
        ("user", "Yes."),
        ("assistant", "answer 2"),
    ]


def test_a_session_belongs_to_one_attempt(converse) -> None:
    """Two runs of a case never share one, and no output holds it."""
    sessions = []
    for _ in range(2):
        ended = converse(lambda fields, case: sessions.append(fields["session"]) or "ok", TWO)
        assert sessions[-1] not in repr(ended)
    assert len(set(sessions)) == 2


def test_tools_of_the_environment_are_recorded_as_they_ran(converse) -> None:
    """With result, error, turn and time; the final state is that of the environment."""

    def agent(fields, case):
        environment = fields["environment"]
        if fields["turn"] == 1:
            return f"It is {environment.call('get_order', {'order_id': 'A-17'})['status']}."
        with pytest.raises(ToolError, match="timeout"):
            environment.call("refund", {"order_id": "A-17"})
        environment.call("refund", {"order_id": "A-17"})
        return "Refunded."

    ended = converse(agent, TWO)
    assert [(each.name, each.turn, each.result, each.error) for each in ended.tool_calls] == [
        ("get_order", 1, {"status": "returned"}, None),
        ("refund", 2, None, "timeout"),
        ("refund", 2, {"ok": True, "order": "A-17"}, None),
    ]
    assert {step.recorded_by for step in ended.trajectory} == {"evalkit"}
    times = [time for step in ended.trajectory for time in (step.started_s, step.ended_s)]
    assert times == sorted(times)
    assert ended.state == {"orders": {"A-17": {"status": "refunded"}}}


def test_what_an_agent_only_claims_is_an_error(converse) -> None:
    """A call that the environment had counts once; calls of the agent's own tools are taken from its report."""

    def agent(fields, case):
        fields["environment"].call("get_order", {"order_id": "A-17"})
        claimed = [{"name": "get_order", "arguments": {"order_id": "17"}}, {"name": "refund", "arguments": {}}]
        return {"text": "Refunded.", "tool_calls": [*claimed, {"name": "search", "arguments": {"q": "rules"}}]}

    ended = converse(agent, {**TWO, "turns": TWO["turns"][:1]})
    assert [(step.name, step.recorded_by, step.error) for step in ended.trajectory] == [
        ("get_order", "evalkit", None),
        ("refund", "system", "claimed: the environment never had this call"),
        ("search", "system", None),
    ]
    grade = FabricatedCalls().score(Case(id="c", input="first"), ended)
    assert (grade.value, grade.passed) == (0.5, False)


@pytest.mark.parametrize(
    "answer",
    [
        {"messages": [{"role": "assistant", "content": "ok"}], "trajectory": [{"kind": "tool", "name": "delete_all"}]},
        {"messages": [{"role": "assistant", "content": "ok"}], "tool_calls": [{"name": "delete_all", "arguments": {}}]},
        {"trajectory": [{"kind": "node", "name": "plan"}], "tool_calls": [{"name": "delete_all", "arguments": {}}]},
    ],
)
def test_no_reported_call_is_lost(converse, answer) -> None:
    """Whatever stands beside it."""
    ended = converse(lambda fields, case: {"text": "ok", **answer}, TWO, mocks=None)
    assert [(call.name, call.turn) for call in ended.tool_calls][-1] == ("delete_all", 2)


def test_a_step_of_an_earlier_turn_counts_once(converse) -> None:
    """An agent may report everything so far, with its turns."""

    def agent(fields, case):
        steps = [{"kind": "tool", "name": f"t{turn}", "turn": turn} for turn in range(1, fields["turn"] + 1)]
        return {"text": "ok", "trajectory": steps}

    ended = converse(agent, TWO, mocks=None)
    assert [(call.name, call.turn) for call in ended.tool_calls] == [("t1", 1), ("t2", 2)]


def test_an_agent_may_count_its_turns_anew(converse) -> None:
    """A step that no earlier answer has reported is one of this turn."""

    def agent(fields, case):
        step = {"kind": "tool", "name": "t", "arguments": {"n": fields["turn"]}, "turn": 1}
        return {"text": "ok", "trajectory": [step]}

    ended = converse(agent, TWO, mocks=None)
    assert [(call.arguments["n"], call.turn) for call in ended.tool_calls] == [(1, 1), (2, 2)]


def test_one_silent_turn_leaves_the_calls_unknown(converse) -> None:
    """It may have called anything; its state is unknown too."""

    def agent(fields, case):
        return {"text": "ok", "tool_calls": [], "state": {"n": 1}} if fields["turn"] == 1 else "deleted"

    ended = converse(agent, TWO, mocks=None)
    assert (ended.tool_calls, ended.trajectory, ended.state) == (None, None, None)


def test_results_that_are_errors_are_told_by_their_pattern(converse) -> None:
    """Also of tools that evalkit runs."""

    def agent(fields, case):
        fields["environment"].call("get_order", {"order_id": "A-17"})
        return "ok"

    row = {"turns": [{"user": "x"}], "state": {"orders": {"A-17": "Error: locked"}}}
    ended = converse(agent, row, tool_error="^Error")
    assert [call.error for call in ended.tool_calls] == ["Error: locked"]


@pytest.mark.parametrize(("arguments", "kind"), [('{"amount": 20}', None), (5, "bad_output"), ("[1]", "bad_output")])
def test_arguments_of_a_question(converse, arguments, kind) -> None:
    """JSON text is read; anything but a mapping is refused."""

    def agent(fields, case):
        if fields["resume"] is None:
            return {"text": "", "interrupt": {"id": "q", "tool": "refund", "arguments": arguments}}
        return str(fields["resume"]["arguments"])

    plan = [{"tool": "refund", "decision": "approve", "arguments": {"amount": 20}}]
    ended = converse(agent, {"turns": [{"user": "x"}], "approvals": plan})
    if kind is None:
        assert (ended.text, ended.trajectory[0].decision) == ("{'amount': 20}", "approved")
    else:
        assert ended.kind == kind
        assert ended.message.startswith("turn 1: interrupt.arguments: ")


def test_a_name_of_a_tool_that_is_no_text(converse) -> None:
    """The agent is told, and nothing is recorded under it."""

    def agent(fields, case):
        with pytest.raises(ToolError, match="the name of a tool is a text"):
            fields["environment"].call(5, {})
        return "ok"

    assert converse(agent, TWO).tool_calls == ()


def test_one_state_for_each_conversation(converse) -> None:
    """What one conversation writes is not there in the next one, nor in the row."""

    def agent(fields, case):
        for _ in range(2):
            try:
                fields["environment"].call("refund", {"order_id": "A-17"})
            except ToolError as error:
                assert str(error) == "timeout"
        return "ok"

    for _ in range(2):
        assert converse(agent, TWO).state == {"orders": {"A-17": {"status": "refunded"}}}
    assert TWO["state"] == {"orders": {"A-17": {"status": "returned"}}}


@pytest.mark.parametrize(
    ("says", "stop", "turns"),
    [
        (lambda turn: {"text": "bye", "done": True}, "agent_done", 1),
        (lambda turn: "Goodbye!" if turn == 2 else "go on", "rule", 2),
        (lambda turn: "go on", "max_turns", 3),
        (lambda turn: {"text": "", "fault": "no_answer: nothing"}, "fault", 1),
    ],
)
def test_why_a_conversation_ends(converse, says, stop, turns) -> None:
    """The agent's own word, a rule of the suite, the limit, or a fault of the model."""
    script = {"turns": [{"user": f"u{at}"} for at in range(5)]}
    rules = ({"says": "(?i)goodbye"},)
    from evalkit.systems.conversation.settings import StopRule

    ended = converse(
        lambda fields, case: says(fields["turn"]),
        script,
        max_turns=3,
        stop_when=tuple(StopRule(**each) for each in rules),
    )
    assert ended.stop == stop
    assert sum(message.role == "user" for message in ended.messages) == turns


@pytest.mark.parametrize(
    ("rule", "stop"),
    [
        ({"state": "expected"}, "rule"),
        ({"state": {"orders.A-17.status": "refunded"}}, "rule"),
        ({"state": {"orders.A-17.status": "lost"}}, "script_end"),
        ({"state": {"orders.B-1.status": "refunded"}}, "script_end"),
        ({"tool": "get_*"}, "rule"),
        ({"tool": "refund"}, "script_end"),
    ],
)
def test_rules_about_the_state_and_about_tools(converse, rule, stop) -> None:
    """They are looked at after each answer; what is not there holds nothing."""
    from evalkit.systems.conversation.settings import StopRule

    def agent(fields, case):
        fields["environment"].call("get_order", {"order_id": "A-17"})
        return "ok"

    row = {
        "turns": TWO["turns"],
        "state": {"orders": {"A-17": {"status": "refunded"}}},
        "expected_state": {"orders.A-17.status": "refunded"},
    }
    ended = converse(agent, row, stop_when=(StopRule(**rule),))
    assert ended.stop == stop


def approving(fields, case):
    """An agent that asks before it refunds, and says what it was told."""
    resume = fields["resume"]
    if resume is None:
        return {"text": "", "interrupt": {"id": "q1", "tool": "refund", "arguments": {"amount": 20, "order": "A-17"}}}
    return f"{resume['id']} {resume['decision']} {resume['arguments']}"


@pytest.mark.parametrize(
    ("planned", "said", "decision"),
    [
        ([{"tool": "refund", "decision": "approve"}], "q1 approve {'amount': 20, 'order': 'A-17'}", "approved"),
        ([{"tool": "ref*", "decision": "reject"}], "q1 reject {'amount': 20, 'order': 'A-17'}", "rejected"),
        ([{"tool": "refund", "decision": "edit", "edited": {"amount": 5}}], "q1 edit {'amount': 5}", "edited"),
        (
            [
                {"tool": "refund", "arguments": {"amount": 30}, "decision": "reject"},
                {"tool": "refund", "arguments": {"amount": 20.0}, "decision": "expire"},
            ],
            "q1 expire {'amount': 20, 'order': 'A-17'}",
            "expired",
        ),
        ([], "q1 reject {'amount': 20, 'order': 'A-17'}", "rejected"),
    ],
)
def test_a_question_to_a_person_is_answered_by_the_row(converse, planned, said, decision) -> None:
    """The first planned answer that fits is used; none fits: rejected."""
    ended = converse(approving, {"turns": [{"user": "Refund"}], "approvals": planned})
    assert ended.text == said
    (step,) = ended.trajectory
    assert (step.kind, step.name, step.decision, step.recorded_by) == ("approval", "refund", decision, "evalkit")
    assert step.details == ({} if planned else {"unanswered": True})
    assert ended.interrupt is None


def test_a_planned_answer_is_used_once(converse) -> None:
    """A second question of the same kind is not answered by it."""
    row = {"turns": [{"user": "one"}, {"user": "two"}], "approvals": [{"tool": "refund", "decision": "approve"}]}
    ended = converse(approving, row)
    assert [step.decision for step in ended.trajectory] == ["approved", "rejected"]


def test_a_conversation_may_end_at_an_unanswered_question(converse) -> None:
    """Then the question stays in the output."""
    ended = converse(approving, {"turns": [{"user": "one"}, {"user": "two"}]}, unanswered_interrupt="end")
    assert (ended.stop, ended.interrupt["tool"]) == ("interrupt", "refund")


def test_an_agent_that_asks_for_ever_is_stopped(converse) -> None:
    """Approvals count as steps of the turn."""
    asks = {"text": "", "interrupt": {"id": 1, "tool": "refund", "arguments": {}}}
    ended = converse(lambda fields, case: asks, TWO, max_steps=4)
    assert (ended.stop, len(ended.trajectory)) == ("max_steps", 4)


def test_evalkit_runs_the_tools_of_a_model_alone(converse) -> None:
    """Calls, results and errors go back to the model as messages, until it answers."""
    seen = []

    def model(fields, case):
        seen.append(input_of(case))
        results = [message for message in case.input if message.role == "tool"]
        if len(results) < 2:
            name = "get_order" if not results else "cancel"
            return {
                "text": "",
                "tool_calls": [{"id": f"k{len(results)}", "name": name, "arguments": {"order_id": "A-17"}}],
            }
        return "It was returned."

    ended = converse(model, {**TWO, "turns": TWO["turns"][:1]}, runs_tools=True)
    assert seen[-1] == [
        {"role": "user", "content": "Refund A-17"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "k0", "type": "function", "function": {"name": "get_order", "arguments": '{"order_id": "A-17"}'}}
            ],
        },
        {"role": "tool", "content": '{"status": "returned"}', "tool_call_id": "k0", "name": "get_order"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "k1", "type": "function", "function": {"name": "cancel", "arguments": '{"order_id": "A-17"}'}}
            ],
        },
        {"role": "tool", "content": "Error: no tool called cancel", "tool_call_id": "k1", "name": "cancel"},
    ]
    assert [(step.name, step.call_id, step.error) for step in ended.trajectory] == [
        ("get_order", "k0", None),
        ("cancel", "k1", "no tool called cancel"),
    ]
    assert ended.text == "It was returned."


def test_a_model_that_calls_tools_for_ever_is_stopped(converse) -> None:
    """`max_steps` counts the calls of one turn."""
    calls = {"text": "", "tool_calls": [{"name": "get_order", "arguments": {"order_id": "A-17"}}]}
    ended = converse(lambda fields, case: calls, TWO, runs_tools=True, max_steps=3)
    assert (ended.stop, len(ended.tool_calls)) == ("max_steps", 3)


@pytest.mark.parametrize(
    "report",
    [
        lambda turn: [{"role": "user", "content": "x"}, *called(turn)],
        lambda turn: [part for at in range(1, turn + 1) for part in ({"role": "user", "content": "x"}, *called(at))],
    ],
    ids=["the messages of the turn", "the whole conversation"],
)
def test_messages_of_a_turn_or_of_the_whole_conversation(converse, report) -> None:
    """LangGraph returns everything so far; its steps count once."""
    ended = converse(lambda fields, case: {"messages": report(fields["turn"])}, TWO, mocks=None)
    assert [(step.name, step.turn) for step in ended.trajectory if step.kind == "tool"] == [("t1", 1), ("t2", 2)]
    assert ended.text == "said 2"


def called(turn):
    """Messages of an assistant that calls a tool and answers."""
    call = {"id": f"k{turn}", "name": f"t{turn}", "args": {}}
    return [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "r", "tool_call_id": f"k{turn}"},
        {"role": "assistant", "content": f"said {turn}"},
    ]


def test_figures_of_the_turns_add_up_and_what_is_unknown_stays_so(converse) -> None:
    """Tokens and seconds of all turns; one turn that does not say makes the sum unknown."""
    counted = converse(
        lambda fields, case: {"text": "a", "latency_s": 0.5, "usage": {"input_tokens": 3, "output_tokens": 1}}, TWO
    )
    assert (counted.latency_s, counted.usage) == (1.0, Usage(input_tokens=6, output_tokens=2))
    half = converse(
        lambda fields, case: {"text": "a", "usage": {"input_tokens": 3} if fields["turn"] == 1 else None}, TWO
    )
    assert half.usage is None


def test_a_turn_that_fails_fails_the_conversation_and_what_there_was_is_kept(converse) -> None:
    """The message names the turn."""

    def agent(fields, case):
        if fields["turn"] == 2:
            raise RuntimeError("boom")
        fields["environment"].call("get_order", {"order_id": "A-17"})
        return "first"

    ended = converse(agent, TWO)
    assert isinstance(ended, Failure)
    assert (ended.kind, ended.message) == ("exception", "turn 2: RuntimeError: boom")
    assert [message.content for message in ended.partial.messages] == ["Refund A-17", "first", "Yes."]
    assert [step.name for step in ended.partial.trajectory] == ["get_order"]


def test_an_environment_that_breaks_is_no_fault_of_the_agent(converse, orders) -> None:
    """Even if the agent swallows the error."""

    class Broken:
        tools = ()

        def __init__(self, state):
            self.state = state

        def call(self, name, arguments):
            raise KeyError("row 7")

    from evalkit.systems.conversation.loop import ConversationSetup, conversing
    from evalkit.systems.conversation.settings import ConversationSettings
    from evalkit.types import Case

    async def answer(case, repeat):
        try:
            case.fields["environment"].call("x", {})
        except KeyError:
            pass
        return Output(text="fine")

    setup = ConversationSetup(settings=ConversationSettings(), make_environment=Broken)
    ended = asyncio.run(conversing(answer, setup)(Case(id="c", input="x", fields=TWO), 0))
    assert (ended.kind, ended.message) == ("environment", "turn 1: x: KeyError: 'row 7'")


def test_a_conversation_has_a_time_limit_of_its_own(converse) -> None:
    """Beside that of each turn."""

    async def agent(fields, case):
        await asyncio.sleep(0.3)
        return "ok"

    ended = converse(lambda fields, case: agent(fields, case), {"turns": [{"user": "x"}] * 5}, timeout_s=0.7)
    assert (ended.kind, ended.message) == (
        "conversation_timeout",
        "turn 3: the conversation took more than 0.7 s",
    )
    assert len(ended.partial.messages) == 5


def test_an_environment_that_hangs_in_a_call_holds_nobody_else_up() -> None:
    """A time limit ends the conversation while a thread of the agent still waits for a tool."""
    go_on = threading.Event()

    class Stuck(MockEnvironment):
        def call(self, name: str, arguments: Any) -> Any:
            go_on.wait()

    async def answer(case: Case, repeat: int) -> Output:
        await asyncio.to_thread(case.fields["environment"].call, "x")
        return Output(text="never")

    async def lead() -> Output | Failure:
        settings = ConversationSettings(timeout_s=0.2)
        setup = ConversationSetup(settings=settings, make_environment=lambda state: Stuck(read_mocks(ORDERS), state))
        led = asyncio.create_task(conversing(answer, setup)(Case(id="c", input="x", fields=TWO), 0))
        threading.Timer(20, go_on.set).start()  # else a fault here would hang the tests
        try:
            ended = await led
            assert not go_on.is_set()
            return ended
        finally:
            go_on.set()

    ended = asyncio.run(lead())
    assert ended.kind == "conversation_timeout"


@pytest.mark.parametrize("what", ["result", "arguments", "state"])
def test_what_an_environment_keeps_has_a_limit(converse, what: str) -> None:
    """A tool's results, arguments and state that no row could hold fail the case as `environment`."""
    huge = "x" * 4_000_000
    rows: dict[str, Any] = {"turns": [{"user": "x"}], "state": {"a": huge}}
    text = "tools: {get: {rules: [{from: a}]}, put: {writes: true, rules: [{set: {a: '{given}{given}{given}'}}]}}"

    def agent(fields: Any, case: Case) -> str:
        for _ in range(1 if what == "state" else 3):
            if what == "result":
                fields["environment"].call("get")
            else:
                fields["environment"].call("put", {"given": huge if what == "state" else huge[:3_400_000]})
        return "ok"

    ended = converse(agent, rows, read_mocks(text))
    assert ended.kind == "environment"
    assert "more than 10,000,000" in ended.message


def test_the_answers_of_a_conversation_have_a_limit(converse) -> None:
    """Each of them may be stored, and all of them together could not be read again."""
    ended = converse(lambda fields, case: "x" * 3_000_000, {"turns": [{"user": "x"}] * 8})
    assert (ended.kind, ended.message) == (
        "too_large",
        "turn 4: the answers of the conversation have 12,000,000 bytes, more than 10,000,000",
    )


def test_the_calls_of_a_conversation_have_a_limit(converse) -> None:
    """As the steps have that a system reports."""

    def agent(fields: Any, case: Case) -> str:
        for _ in range(10_001):
            with suppress(ToolError):
                fields["environment"].call("none")
        return "ok"

    ended = converse(agent, {"turns": [{"user": "x"}]})
    assert (ended.kind, ended.message) == ("too_large", "turn 1: 10,001 calls of tools, at most 10,000 are kept")
    assert len(ended.partial.trajectory) == 10_000


def test_an_agent_cannot_set_what_is_recorded(converse) -> None:
    """It is given the tools and nothing else of evalkit's."""

    def agent(fields: Any, case: Case) -> str:
        for name in ("steps", "turn", "environment", "over", "fault"):
            with pytest.raises(AttributeError):
                setattr(fields["environment"], name, None)
        return "ok"

    assert isinstance(converse(agent, TWO), Output)


def test_an_agent_that_repeats_what_it_said_before_does_not_reach_the_limit(converse) -> None:
    """Some report the whole conversation in each answer; what counts is what is kept of it."""
    said: list[dict[str, Any]] = []

    def agent(fields: Any, case: Case) -> dict[str, Any]:
        said.extend(({"role": "user", "content": "x"}, {"role": "assistant", "content": "y" * 500_000}))
        return {"messages": list(said)}

    ended = converse(agent, {"turns": [{"user": "x"}] * 9})
    assert isinstance(ended, Output)


def test_a_call_that_was_left_behind_changes_nothing(converse) -> None:
    """Once the conversation is over, the environment refuses."""
    kept = []
    converse(lambda fields, case: kept.append(fields["environment"]) or "ok", TWO)
    with pytest.raises(ToolError, match="over"):
        kept[0].call("get_order", {"order_id": "A-17"})


def test_a_run_that_is_out_of_money_stops_before_the_next_turn(converse) -> None:
    """The conversation is not an end of its case: a resumed run begins it again."""
    turns = []

    def before_turn():
        if len(turns) == 1:
            raise BudgetReached("spent")

    with pytest.raises(BudgetReached):
        converse(lambda fields, case: turns.append(1) or "ok", TWO, before_turn=before_turn)
    assert turns == [1]


def user(*script):
    """A simulated user that says one thing after the other; what it was shown is kept."""
    shown = []

    async def simulate(user, messages, repeat):
        shown.append([(message.role, message.content) for message in messages])
        said = script[len(shown) - 1]
        if isinstance(said, Exception):
            raise said
        return said

    simulate.shown = shown
    return simulate


GOAL = {"user": {"goal": "Get the money for A-17 back", "opening": "I want a refund."}}


def test_a_simulated_user_ends_the_conversation(converse) -> None:
    """Its last text is delivered and answered."""
    simulate = user(Said("A-17"), Said("Yes", done=True))
    calls = []
    ended = converse(lambda fields, case: calls.append(fields["message"]) or "ok", GOAL, simulate=simulate)
    assert calls == ["I want a refund.", "A-17", "Yes"]
    assert (ended.stop, len(simulate.shown)) == ("user_done", 2)
    assert simulate.shown[0] == [("user", "I want a refund."), ("assistant", "ok")]


def test_the_limit_of_turns_holds_for_simulated_users(converse) -> None:
    """The user is not asked for a turn that may not be."""
    simulate = user(Said("A-17"), Said("Yes", done=True))
    ended = converse(lambda fields, case: "ok", GOAL, simulate=simulate, max_turns=2)
    assert (ended.stop, len(simulate.shown)) == ("max_turns", 1)


def test_a_user_that_is_done_before_it_begins_is_not(converse) -> None:
    """And one that is done without a word is asked nothing more."""
    simulate = user(Said("Hello", done=True), Said("", done=True))
    ended = converse(lambda fields, case: "ok", {"user": {"goal": "x"}}, simulate=simulate)
    assert (ended.stop, [message.content for message in ended.messages]) == ("user_done", ["Hello", "ok"])


def test_a_user_that_fails_is_no_failure_of_the_system(converse) -> None:
    """The row is unscored."""
    from evalkit.types import Case, Row, verdict_of

    ended = converse(lambda fields, case: "ok", GOAL, simulate=user(SimulatorFailed("said nothing twice")))
    assert (ended.kind, ended.message) == ("user_error", "after turn 1: said nothing twice")
    row = Row(case=Case(id="c", input="x"), failure=ended)
    assert (row.state, verdict_of(row)) == ("unscored", "unscored")


def test_a_history_comes_before_the_first_turn(converse) -> None:
    """A plain input, a chat with earlier messages, is a conversation of one turn."""
    history = (Message("user", "Hi"), Message("assistant", "Hello"), Message("user", "Refund?"))
    ended = converse(lambda fields, case: str(len(case.input)), {"input": history})
    assert (ended.text, ended.stop) == ("3", "script_end")
    assert [message.content for message in ended.messages] == ["Hi", "Hello", "Refund?", "3"]


class World:
    """An environment that each test completes."""

    tools: Any = ()

    def __init__(self, state):
        self.state = {"orders": {"A-17": {"status": "returned"}}}

    def call(self, name, arguments):
        """Return the order itself, behind a read-only mapping."""
        return MappingProxyType(self.state["orders"]["A-17"]) if name == "proxy" else self.state["orders"]["A-17"]


def lead_in(world: type, agent) -> Output | Failure:
    """Hold one turn of a conversation in a world."""

    async def answer(case, repeat):
        return agent(case.fields["environment"])

    setup = ConversationSetup(settings=ConversationSettings(), make_environment=world)
    return asyncio.run(conversing(answer, setup)(Case(id="c", input="x", fields={}), 0))


def test_an_agent_that_edits_a_result_changes_nothing() -> None:
    """The world changes through its tools alone."""

    def agent(environment):
        environment.call("get", {})["status"] = "refunded"
        return Output(text=str(dict(environment.call("proxy", {}))))

    ended = lead_in(World, agent)
    assert isinstance(ended, Output)
    assert ended.text == "{'status': 'returned'}"
    assert ended.state == {"orders": {"A-17": {"status": "returned"}}}
    assert [call.result for call in ended.tool_calls or ()] == [{"status": "returned"}] * 2


@pytest.mark.parametrize("tools", [["get"], [{"name": "get"}], 5])
def test_tools_that_are_wrongly_described(tools) -> None:
    """They are a fault of the environment, told before its first turn."""
    world = type("Odd", (World,), {"tools": tools})
    ended = lead_in(world, lambda environment: Output(text="x"))
    assert isinstance(ended, Failure)
    assert ended.kind == "environment"
