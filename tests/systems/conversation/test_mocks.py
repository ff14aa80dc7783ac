"""Tools without code: rules over a state."""

from __future__ import annotations

import pytest

from evalkit.formats.build import Builder
from evalkit.formats.yaml_text import parse
from evalkit.systems.conversation.environment import ToolError
from evalkit.systems.conversation.mocks import MockEnvironment, Mocks
from tests.systems.conversation.conftest import read_mocks


def one(rules: str, state=None) -> MockEnvironment:
    """An environment with one tool `t`."""
    return MockEnvironment(read_mocks(f"tools: {{t: {{writes: true, rules: {rules}}}}}"), state or {})


@pytest.mark.parametrize(
    ("rules", "state", "arguments", "result"),
    [
        ('[{returns: "{x}"}]', {}, {"x": 5}, 5),
        ('[{returns: "no {x}"}]', {}, {"x": 5}, "no 5"),
        ('[{returns: {a: ["{x}"]}}]', {}, {"x": {"b": 1}}, {"a": [{"b": 1}]}),
        ('[{returns: "{x}"}]', {}, {"x": "{y}", "y": 1}, "{y}"),
        ('[{returns: "{missing}"}]', {}, {}, "{missing}"),
        ("[{set: {a: 1}}]", {}, {}, None),
        ('[{from: "orders.{id}"}]', {"orders": {"A.1": 3}}, {"id": "A.1"}, 3),
        ('[{from: "list.1"}]', {"list": [1, 2]}, {}, 2),
        ("[{when: {n: 1}, returns: one}, {returns: other}]", {}, {"n": 1.0}, "one"),
        ("[{when: {n: 1}, returns: one}, {returns: other}]", {}, {"n": True}, "other"),
        ('[{when: {n: "1"}, returns: one}, {returns: other}]', {}, {"n": 1}, "other"),
        ("[{when: {f: {a: 1}}, returns: one}, {returns: other}]", {}, {"f": {"a": 1, "b": 2}}, "other"),
    ],
)
def test_what_a_tool_returns(rules, state, arguments, result) -> None:
    """The first rule that fits; arguments are filled in once, and a text that is one argument keeps its type."""
    assert one(rules, state).call("t", arguments) == result


@pytest.mark.parametrize(
    ("rules", "arguments", "error"),
    [
        ('[{error: "no order {id}"}]', {"id": 7}, "no order 7"),
        ('[{from: "orders.{id}"}]', {"id": "B"}, "not found: orders.B"),
        ('[{from: "orders.{id}"}]', {"id": "B.1"}, 'not found: orders["B.1"]'),
        ('[{set: {"orders.B.status": x}}]', {}, "not found: orders.B"),
    ],
)
def test_how_a_tool_fails(rules, arguments, error) -> None:
    """What is not there is an error of the tool, which the agent is told."""
    with pytest.raises(ToolError) as raised:
        one(rules, {"orders": {}}).call("t", arguments)
    assert str(raised.value) == error


def test_an_error_after_the_effect() -> None:
    """A time-out may have changed the world."""
    environment = one('[{times: 1, set: {done: true}, error: timeout}, {from: "done"}]', {"done": False})
    with pytest.raises(ToolError, match="timeout"):
        environment.call("t", {})
    assert environment.call("t", {}) is True


def test_a_failed_rule_changes_nothing() -> None:
    """Half of a change is no change."""
    environment = one('[{set: {a: 1, "missing.b": 2}}]', {"a": 0})
    with pytest.raises(ToolError, match=r"not found: missing"):
        environment.call("t", {})
    assert environment.state == {"a": 0}


def test_what_a_tool_returns_is_not_the_state_itself() -> None:
    """An agent that edits a result edits a copy."""
    environment = one('[{from: "orders"}]', {"orders": {"A": 1}})
    environment.call("t", {})["A"] = 2
    assert environment.state == {"orders": {"A": 1}}


def test_an_unknown_tool() -> None:
    """It is an error that the agent is told."""
    with pytest.raises(ToolError, match="no tool called u"):
        one("[{returns: 1}]").call("u", {})


def test_tools_as_a_model_is_told_of_them(orders) -> None:
    """In the form of the chat protocol."""
    tools = MockEnvironment(orders, {}).tools
    assert [each["function"]["name"] for each in tools] == ["get_order", "refund"]
    assert tools[0]["function"]["parameters"] == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "tools: {t: {rules: [{when: {a: 1}, error: x}]}}",
            "mocks.yaml:1:13 tools.t.rules: its last rule has `when`, so other arguments would meet no rule; "
            'add a last rule such as `{error: "no such order"}`',
        ),
        (
            "tools: {t: {rules: [{times: 2, returns: 1}]}}",
            "mocks.yaml:1:13 tools.t.rules: its last rule has `times`, so a later call would meet no rule; "
            'add a last rule such as `{error: "no such order"}`',
        ),
        (
            "tools: {t: {rules: []}}",
            "mocks.yaml:1:13 tools.t.rules: none; add one such as `{returns: {}}`",
        ),
        (
            "tools: {t: {rules: [{returns: 1, error: x}]}}",
            "mocks.yaml:1:22 tools.t.rules[0].returns: a rule answers once; keep one of `returns`, `from` and `error`",
        ),
        (
            'tools: {t: {rules: [{from: "a..b"}]}}',
            "mocks.yaml:1:22 tools.t.rules[0].from: 'a..b' is not a path; write one such as "
            "address.zip or items[*].price",
        ),
        (
            "tools: {t: {rules: [{returns: 1, times: 1}, {set: {a: 1}}]}}",
            "mocks.yaml:1:9 tools.t.writes: not set, but a rule has `set`, so the tool changes the state; "
            "add `writes: true`",
        ),
        ("tools: {t: {ruels: []}}", "mocks.yaml:1:13 tools.t.ruels: unknown key; did you mean `rules`?"),
    ],
)
def test_mocks_that_cannot_be_used_are_told_with_their_line(text, problem) -> None:
    """Before the first call."""
    builder = Builder(parse(text.encode(), "mocks.yaml"))
    builder.build(Mocks, builder.document.value, ())
    assert problem in map(str, builder.problems)


@pytest.mark.parametrize(
    "tool",
    [
        "{parameters: {type: object, required: [seat]}, rules: [{returns: ok}]}",
        '{writes: true, rules: [{set: {"seats.{seat}": taken}}]}',
    ],
)
def test_an_argument_that_is_missing(tool: str) -> None:
    """A tool that needs it fails, and nothing is written under a name with braces."""
    environment = MockEnvironment(read_mocks(f"tools: {{t: {tool}}}"), {"seats": {}})
    with pytest.raises(ToolError, match="missing argument: seat"):
        environment.call("t", {})
    assert environment.state == {"seats": {}}
