"""Suites whose cases are whole conversations, from `check` to the rows of a run."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import evalkit
from evalkit.errors import InputError
from evalkit.types import Row

SUITE = """\
name: shop
golden: golden.jsonl
system: {python: "shop_agent:answer", timeout_s: 5}
conversation: {max_turns: 5, environment: mocks.yaml}
scorers:
  - contains: {name: asked, any: ["?"], over: turn, when: {has: two}}
  - keywords: {min_recall: 1.0, over: turn, when: {has: two}}
gate: [pass_rate: {min: 0.5}]
"""
MOCKS = """\
tools:
  get_order: {rules: [{from: "orders.{order_id}"}]}
  refund: {writes: true, rules: [{set: {"orders.{order_id}.status": refunded}, returns: {ok: true}}]}
"""
AGENT = """\
def answer(message, turn, environment, session):
    if turn == 1:
        order = environment.call("get_order", {"order_id": message.split()[-1]})
        return f"It is {order['status']}. Refund {order['total']} EUR?"
    environment.call("refund", {"order_id": "A-17"})
    return "Refunded 20 EUR. Anything else?"
"""
ROW: dict[str, Any] = {
    "id": "r1",
    "two": 1,
    "turns": [{"user": "Refund A-17", "required": ["returned"]}, {"user": "Yes.", "required": ["20 EUR"]}],
    "state": {"orders": {"A-17": {"status": "returned", "total": 20}}},
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project with a shop's agent."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "pyproject.toml").touch()
    write(tmp_path, ROW)
    (tmp_path / "suite.yaml").write_text(SUITE, encoding="utf-8")
    (tmp_path / "mocks.yaml").write_text(MOCKS, encoding="utf-8")
    (tmp_path / "shop_agent.py").write_text(AGENT, encoding="utf-8")
    yield tmp_path
    for name in ("shop_agent", "shop_world"):
        sys.modules.pop(name, None)


def write(root: Path, *rows: dict[str, Any]) -> None:
    """Write the golden set."""
    (root / "golden.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def change(root: Path, name: str, old: str, new: str) -> None:
    """Edit a file of the project."""
    file = root / name
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def row_of(run: evalkit.Run) -> Row:
    """The only row of a run."""
    (row,) = run.rows()
    return row


def problems(root: Path) -> list[str]:
    """What a run is refused for."""
    with pytest.raises(InputError) as raised:
        evalkit.run("suite.yaml", out="reports/none")
    return str(raised.value).splitlines()


def test_a_conversation_is_one_row(root: Path) -> None:
    """With its turns, tool calls, state and reason to stop; each turn is graded by what it expects."""
    run = evalkit.run("suite.yaml", out="reports/a")
    assert run.outcome == "approved", run.decision
    row = row_of(run)
    assert row.case.input == "Refund A-17"
    assert row.output is not None
    assert [call.name for call in row.output.tool_calls or ()] == ["get_order", "refund"]
    assert row.output.state == {"orders": {"A-17": {"status": "refunded", "total": 20}}}
    assert row.output.stop == "script_end"
    assert {name: grade.turns for name, grade in row.scores.items() if isinstance(grade, evalkit.Score)} == {
        "asked": ((1, 1.0), (2, 1.0)),
        "keywords": ((1, 1.0), (2, 1.0)),
        "ended": (),
    }


def test_the_turn_that_fails_is_named(root: Path) -> None:
    """In the reason of the grade."""
    change(root, "shop_agent.py", "Refunded 20 EUR", "Refunded")
    grade = row_of(evalkit.run("suite.yaml", out="reports/a")).scores["keywords"]
    assert isinstance(grade, evalkit.Score)
    assert (grade.passed, grade.reason.split(":")[0]) == (False, "turn 2")


def test_a_conversation_that_is_cut_off_does_not_pass(root: Path) -> None:
    """`ended` fails it, whatever its texts say; a suite may decline."""
    change(root, "suite.yaml", "max_turns: 5", "max_steps: 2, unanswered_interrupt: reject")
    ask = 'return {"text": "Refund 20 EUR, returned?", "interrupt": {"id": "1", "tool": "refund"}}'
    change(root, "shop_agent.py", "    if turn == 1:", f"    {ask}\n    if turn == 1:")
    row = row_of(evalkit.run("suite.yaml", out="reports/a"))
    assert row.output is not None
    assert row.output.stop == "max_steps"
    ended = row.scores["ended"]
    assert isinstance(ended, evalkit.Score)
    assert (ended.passed, ended.reason) == (False, "the conversation ended with max_steps")
    change(root, "suite.yaml", "max_steps: 2", "ended: false, max_steps: 2")
    assert "ended" not in row_of(evalkit.run("suite.yaml", out="reports/b")).scores


def test_a_python_environment(root: Path) -> None:
    """A class with tools, state and `call`; it runs away from the run's event loop."""
    (root / "shop_world.py").write_text(
        "import threading\n"
        "from evalkit import ToolError\n"
        "class Shop:\n"
        "    tools = []\n"
        "    def __init__(self, state): self.state = state\n"
        "    def call(self, name, arguments):\n"
        "        if name == 'refund': raise ToolError('closed on Sundays')\n"
        "        return self.state['orders'][arguments['order_id']]\n",
        encoding="utf-8",
    )
    change(root, "suite.yaml", "environment: mocks.yaml", 'environment: {python: "shop_world:Shop"}')
    change(
        root,
        "shop_agent.py",
        '    environment.call("refund", {"order_id": "A-17"})\n',
        '    try:\n        environment.call("refund", {"order_id": "A-17"})\n'
        "    except Exception as error:\n        return f'20 EUR? No: {error}'\n",
    )
    row = row_of(evalkit.run("suite.yaml", out="reports/a"))
    assert row.output is not None, row.failure
    assert row.output.text == "20 EUR? No: closed on Sundays"
    assert [call.error for call in row.output.tool_calls or ()] == [None, "closed on Sundays"]


def test_an_environment_that_works_in_place_has_a_state_of_its_own(root: Path) -> None:
    """Neither the golden row nor the next repeat sees what it changed, so the damage can be told."""
    (root / "shop_world.py").write_text(
        "class Shop:\n"
        "    tools = []\n"
        "    def __init__(self, state): self.state = state\n"
        "    def call(self, name, arguments):\n"
        "        if name == 'refund': self.state['orders']['A-17']['status'] = 'refunded'\n"
        "        return self.state['orders']['A-17']\n",
        encoding="utf-8",
    )
    change(root, "suite.yaml", "environment: mocks.yaml", 'environment: {python: "shop_world:Shop"}')
    change(root, "suite.yaml", "scorers:\n", "scorers:\n  - state\n")
    write(root, {**ROW, "expected_state": {}})
    rows = list(evalkit.run("suite.yaml", out="reports/a", repeat=2).rows())
    assert [row.case.fields["state"] for row in rows] == [ROW["state"]] * 2
    told = {grade.reason for row in rows if isinstance(grade := row.scores["state"], evalkit.Score)}
    assert told == {'nothing was to change; orders.A-17.status changed from "returned" to "refunded"'}


def test_an_environment_that_cannot_be_built(root: Path) -> None:
    """It fails the case as `environment`, which is no fault of evalkit."""
    (root / "shop_world.py").write_text(
        "class Shop:\n    tools = []\n    def __init__(self, state): raise KeyError('stock')\n", encoding="utf-8"
    )
    change(root, "suite.yaml", "environment: mocks.yaml", 'environment: {python: "shop_world:Shop"}')
    row = row_of(evalkit.run("suite.yaml", out="reports/a"))
    assert row.failure is not None
    assert (row.failure.kind, row.failure.message) == ("environment", "KeyError: 'stock'")


def test_what_there_was_before_a_failure_is_stored(root: Path) -> None:
    """And read again."""
    change(root, "shop_agent.py", 'return "Refunded', 'raise RuntimeError("boom")\n    return "Refunded')
    row = row_of(evalkit.run("suite.yaml", out="reports/a"))
    assert row.state == "system_error"
    assert row.failure is not None
    assert row.failure.message == "turn 2: RuntimeError: boom"
    assert row.failure.partial is not None
    assert [each.content for each in row.failure.partial.messages or ()] == [
        "Refund A-17",
        "It is returned. Refund 20 EUR?",
        "Yes.",
    ]
    assert [step.name for step in row.failure.partial.trajectory or ()] == ["get_order", "refund"]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (
            {**ROW, "input": "x"},
            "golden.jsonl:1 id r1: `input` and `turns` both open the conversation; keep one",
        ),
        (
            {**ROW, "session": "s"},
            "golden.jsonl:1 id r1: `session` is an argument of systems in a conversation; rename the field",
        ),
        (
            {**ROW, "turns": 3},
            'golden.jsonl:1 id r1: `turns`: expected a list of turns, got int 3; write [{"user": "..."}]',
        ),
        (
            {**ROW, "turns": [{"user": ""}]},
            "golden.jsonl:1 id r1: `turns[0]`: the user says nothing; write the message",
        ),
        (
            {**ROW, "approvals": [{"tool": "refund", "decision": "yes"}]},
            "golden.jsonl:1 id r1: `approvals[0]`: `decision` is str 'yes'; choose from approve, reject, edit, expire",
        ),
        (
            {**ROW, "user": {"goal": "x"}},
            "golden.jsonl:1 id r1: `turns` and `user` both play the user; keep one",
        ),
        (
            {"id": "r1", "two": 1, "user": {"goal": "x", "opening": " "}},
            "golden.jsonl:1 id r1: `user.opening`: empty; write the first message, or leave it out",
        ),
        (
            {**ROW, "turns": [{"user": "x"}] * 6},
            "golden.jsonl:1 id r1: 6 turns, and the suite's max_turns is 5; write `max_turns: 6`, or split the case",
        ),
        (
            {**ROW, "turns": [{"user": "x"}]},
            "golden.jsonl:1: 1 of 1 case has no `required`, which scorer keywords needs (r1); "
            "add it to a turn, as in `turns: [{user: ..., required: ...}]`, or leave rows out with `when:`",
        ),
    ],
)
def test_rows_that_are_no_conversations_are_told_before_the_first_call(root: Path, row: Any, told: str) -> None:
    """With the line and what to write."""
    write(root, row)
    found = problems(root)
    assert told in found, found


def test_turns_need_a_suite_that_leads_conversations(root: Path) -> None:
    """The line to add is given; `over` is refused too."""
    change(root, "suite.yaml", "conversation: {max_turns: 5, environment: mocks.yaml}\n", "")
    found = problems(root)
    assert (
        "golden.jsonl:1 id r1: `turns` makes it a conversation and the suite has no `conversation:`; "
        "add `conversation: {max_turns: 10}`" in found
    )
    assert any("the suite has no conversations; remove it" in line for line in found)


def test_a_field_called_turns_of_a_suite_without_conversations_is_a_field(root: Path) -> None:
    """Sets that worked before still do."""
    change(root, "suite.yaml", "conversation: {max_turns: 5, environment: mocks.yaml}\n", "")
    change(root, "suite.yaml", ", over: turn", "")
    write(root, {"id": "r1", "two": 1, "required": ["s1"], "input": "x", "turns": 3, "user": "ann", "session": "s1"})
    (root / "shop_agent.py").write_text("def answer(input, session): return session\n", encoding="utf-8")
    assert row_of(evalkit.run("suite.yaml", out="reports/a")).output is not None


def test_a_changed_environment_is_another_run(root: Path) -> None:
    """Rows of two environments do not mix; the file is named."""
    evalkit.run("suite.yaml", out="reports/a")
    change(root, "mocks.yaml", "refunded", "paid")
    with pytest.raises(InputError, match=r"another way to lead conversations \(mocks.yaml changed\)"):
        evalkit.run("suite.yaml", out="reports/a", resume=True)


def test_check_counts_the_turns(root: Path) -> None:
    """One call a turn."""
    import asyncio

    from evalkit.operations.check import check_suite

    write(root, ROW, {**ROW, "id": "r2", "turns": ROW["turns"] * 2})
    calls = asyncio.run(check_suite(root / "suite.yaml", {})).calls.system
    assert (calls.low, calls.high) == (6, 6)


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("before: {of: refund, needs: get_ordr}", "before.needs names 'get_ordr'"),
        ("forbid: [refnud]", "forbid.of names 'refnud'"),
        ("allow: [get_order, refunds]", "allow.of names 'refunds'"),
        ("at_most: {of: [refund, search], n: 1}", ""),
        ("before: {of: refund, needs: [get_*, node:planner]}", ""),
    ],
)
def test_a_policy_about_a_misspelt_tool_is_told(root: Path, policy: str, told: str) -> None:
    """Such a rule would hold whatever the agent does; an agent may have tools of its own, though."""
    import asyncio

    from evalkit.operations.check import check_suite

    (root / "policy.yaml").write_text(policy, encoding="utf-8")
    change(root, "suite.yaml", "scorers:\n", "scorers:\n  - policy: policy.yaml\n")
    warnings = [str(each) for each in asyncio.run(check_suite(root / "suite.yaml", {})).prepared.warnings]
    found = [each for each in warnings if "the policy's" in each]
    assert len(found) == bool(told), warnings
    assert not told or told in found[0]
    assert not told or "did you mean `" in found[0]


def test_an_agent_that_quits_has_not_ended_the_conversation(root: Path) -> None:
    """Scripted turns that never happened fail `ended`."""
    change(root, "shop_agent.py", "Refund {order['total']} EUR?", "Bye?")
    change(root, "shop_agent.py", 'return f"It is', 'return {"done": True, "text": f"It is')
    change(root, "shop_agent.py", 'Bye?"', 'Bye?"}')
    ended = row_of(evalkit.run("suite.yaml", out="reports/a")).scores["ended"]
    assert isinstance(ended, evalkit.Score)
    assert (ended.passed, ended.reason) == (False, "the agent ended it with 1 scripted turn left")


@pytest.mark.parametrize(
    ("turn", "told"),
    [
        ({"reference": 5}, "`turns[0]`.reference: expected a text or a list of texts, got int 5"),
        ({"contexts": 5}, "`turns[0]`.contexts"),
        ({"contexts": [{"x": 1}]}, "`turns[0]`.contexts"),
        ({"checks": [{"contains": "x"}]}, "`turns[0]`: `checks` cannot be set for a single turn"),
        ({"severity": "critical"}, "`turns[0]`: `severity` cannot be set for a single turn"),
        ({"requird": ["20"]}, "turns[0]: no scorer of the suite reads `requird`"),
        ({"Required": ["20"]}, "turns[0]: no scorer of the suite reads `Required`"),
    ],
)
def test_expectations_of_a_turn_are_checked(root: Path, turn: dict[str, Any], told: str) -> None:
    """Before the first call, with the id of the row."""
    write(root, {**ROW, "turns": [{**ROW["turns"][0], **turn}, ROW["turns"][1]]})
    assert any("id r1" in line and told in line for line in problems(root)), problems(root)


def test_a_turn_may_hold_what_only_people_read(root: Path) -> None:
    """A key that is close to no field of a scorer is a note."""
    write(root, {**ROW, "turns": [{**ROW["turns"][0], "remark": "from a ticket", "reference": None}, ROW["turns"][1]]})
    assert row_of(evalkit.run("suite.yaml", out="reports/a")).output is not None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "mocks.yaml:1:1: the file is empty; write `tools: {get_order: {rules: [...]}}`"),
        ("- x", "mocks.yaml:1:1: the top level is not a mapping; write `tools: {get_order: {rules: [...]}}`"),
        ("tools: {}", "mocks.yaml:1:1 tools: none; add one such as `get_order: {rules: [...]}`"),
        ("tools: {t: {rules: [{error: ''}]}}", "error: empty; say why the tool fails"),
        ('tools: {t: {rules: [{from: "a.*"}]}}', "from: 'a.*' is not the path of one value"),
    ],
)
def test_mocks_that_say_nothing(root: Path, text: str, told: str) -> None:
    """Each is told with its place."""
    (root / "mocks.yaml").write_text(text, encoding="utf-8")
    assert any(told in line for line in problems(root)), problems(root)


@pytest.mark.parametrize("rule", ['{says: ""}', '{says: ".*"}', '{tool: ""}', "{state: {}}", "{tool: x, says: y}"])
def test_rules_to_stop_that_hold_always_or_never(root: Path, rule: str) -> None:
    """They are refused."""
    change(root, "suite.yaml", "max_turns: 5", f"max_turns: 5, stop_when: [{rule}]")
    assert any("stop_when[0]" in line for line in problems(root)), problems(root)


@pytest.mark.parametrize("system", ['{http: "http://127.0.0.1:9/"}', "{command: [python3, shop_agent.py]}"])
def test_a_system_that_cannot_call_an_environment(root: Path, system: str) -> None:
    """An environment that nobody calls would leave every state as it was."""
    change(root, "suite.yaml", '{python: "shop_agent:answer", timeout_s: 5}', system)
    assert any("cannot call an environment of evalkit" in line for line in problems(root)), problems(root)
