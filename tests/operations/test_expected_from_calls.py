"""`expected_state: from_calls`: the state after the expected calls is the state that a conversation must leave."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import evalkit
from evalkit.errors import InputError
from evalkit.operations.check import check_suite

SUITE = """\
name: shop
golden: golden.jsonl
system: {python: "calls_agent:answer", timeout_s: 5}
conversation: {max_turns: 5, environment: mocks.yaml, timeout_s: 2}
scorers: [state]
gate: [pass_rate: {min: 0.1}]
"""
MOCKS = """\
tools:
  get_order: {rules: [{from: "orders.{order_id}"}]}
  refund:
    writes: true
    rules:
      - {when: {order_id: A-17}, set: {"orders.{order_id}.status": refunded, "orders.{order_id}.notes[0]": paid}}
      - {error: "no such order; none"}
"""
AGENT = """\
import json

def answer(message, environment):
    for name, arguments in json.loads(message):
        environment.call(name, arguments)
    return "Done."
"""
WORLD = """\
from evalkit import ToolError

class Shop:
    tools = []

    def __init__(self, state):
        self.state = {"opened": True, "cart": [], **state}

    def call(self, name, arguments):
        if name == "drop":
            del self.state[arguments["key"]]
        elif name == "add":
            self.state["cart"].append(arguments)
        elif name == "pop":
            self.state["cart"].pop(0)
        elif name == "set":
            self.state[arguments["key"]] = arguments["value"]
        elif name == "crash":
            raise KeyError("stock")
        elif name == "leave":
            raise SystemExit(3)
        elif name == "hang":
            import time
            time.sleep(30)
        else:
            raise ToolError(f"no tool called {name}")
"""
STATE = {"orders": {"A-17": {"status": "returned", "total": 20, "notes": ["sent"]}}}
Calls = list[tuple[str, dict[str, Any]]]
REFUND: Calls = [("refund", {"order_id": "A-17"})]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project whose agent makes the calls that the user names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name, text in {
        "pyproject.toml": "",
        "suite.yaml": SUITE,
        "mocks.yaml": MOCKS,
        "calls_agent.py": AGENT,
        "calls_world.py": WORLD,
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    yield tmp_path
    for name in ("calls_agent", "calls_world"):
        sys.modules.pop(name, None)


def case(id_: str, made: Calls, expected: Calls | None, **fields: Any) -> dict[str, Any]:
    """A row of one turn."""
    calls = {} if expected is None else {"expected_tool_calls": as_expected(expected)}
    turns = [{"user": json.dumps(made)}]
    return {"id": id_, "turns": turns, "state": STATE, "expected_state": "from_calls", **calls, **fields}


def as_expected(calls: Calls) -> list[dict[str, Any]]:
    """Calls as a golden row has them."""
    return [{"name": name, "arguments": arguments} for name, arguments in calls]


def write(root: Path, *rows: dict[str, Any], **changes: str) -> None:
    """Write the golden set, and a suite with some text replaced."""
    (root / "golden.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    text = SUITE
    for old, new in changes.items():
        known = {"environment": "environment: mocks.yaml", "scorers": "scorers: [state]", "system": SYSTEM}[old]
        assert known in text
        text = text.replace(known, new)
    (root / "suite.yaml").write_text(text, encoding="utf-8")


SYSTEM = 'system: {python: "calls_agent:answer", timeout_s: 5}'
PYTHON = 'environment: {python: "calls_world:Shop"}'


def grades(run: evalkit.Run) -> dict[str, tuple[float, str]]:
    """Value and reason of `state` by case."""
    found = {}
    for row in run.rows():
        grade = row.scores["state"]
        assert isinstance(grade, evalkit.Score), grade
        found[row.case.id] = (round(grade.value, 3), grade.reason)
    return found


def problems(root: Path) -> list[str]:
    """What `check` refuses, which a run refuses too."""
    found = []
    for refused in (
        lambda: asyncio.run(check_suite(root / "suite.yaml", {})),
        lambda: evalkit.run("suite.yaml", out="reports/none"),
    ):
        with pytest.raises(InputError) as raised:
            refused()
        found.append([str(each) for each in raised.value.problems])
    assert found[0] == found[1]
    return found[0]


def test_the_whole_state_is_compared_with_mocks(root: Path) -> None:
    """The expected calls, others with the same effect, a missing one, and one too many."""
    twice = [*REFUND, ("get_order", {"order_id": "A-17"}), *REFUND]
    write(
        root,
        case("as-expected", REFUND, REFUND),
        case("same-effect", twice, REFUND),
        case("missing", [], REFUND),
        case("too-much", REFUND, []),
        case("nothing", [("get_order", {"order_id": "A-17"})], []),
    )
    assert grades(evalkit.run("suite.yaml", out="reports/a")) == {
        "as-expected": (1.0, "2 of 2 expected values"),
        "same-effect": (1.0, "2 of 2 expected values"),
        "missing": (
            0.0,
            '0 of 2 expected values; orders.A-17.status is "returned", expected "refunded"; '
            'orders.A-17.notes[0] is "sent", expected "paid"',
        ),
        "too-much": (
            0.0,
            'nothing was to change; orders.A-17.status changed from "returned" to "refunded"; '
            'orders.A-17.notes[0] changed from "sent" to "paid"',
        ),
        "nothing": (1.0, "nothing was to change"),
    }


def test_the_whole_state_is_compared_with_a_class(root: Path) -> None:
    """Lists that grow and shrink, keys that are removed or null, and what the class itself puts into its state."""
    add: Calls = [("add", {"item": 1}), ("add", {"item": 2})]
    pop: Calls = [*add, ("pop", {})]
    drop: Calls = [("drop", {"key": "note"})]
    note = {"state": {"note": "x"}}
    null: Calls = [("set", {"key": "note", "value": None})]
    write(
        root,
        case("add", add, add),
        case("add-less", add[:1], add),
        case("pop", pop, pop),
        case("pop-not", add, pop),
        case("drop", drop, drop, **note),
        case("drop-not", [], drop, **note),
        case("drop-is-not-null", null, drop, **note),
        case("null-is-not-drop", drop, null, **note),
        case("drop-all", [("drop", {"key": "cart"})], [], **note),
        environment=PYTHON,
    )
    found = grades(evalkit.run("suite.yaml", out="reports/a"))
    assert {id_: value for id_, (value, _) in found.items()} == {
        "add": 1.0, "add-less": 0.5, "pop": 1.0, "pop-not": 0.0, "drop": 1.0, "drop-not": 0.0,
        "drop-is-not-null": 0.0, "null-is-not-drop": 0.0, "drop-all": 0.0,
    }  # fmt: skip
    assert found["drop-not"][1] == '0 of 1 expected value; note is "x", expected to be removed'
    assert found["add-less"][1] == "1 of 2 expected values; cart[1].item is missing, expected 2"
    assert found["drop-all"][1] == "nothing was to change; cart was removed: []"


def test_expectations_of_turns_are_replayed_in_their_order(root: Path) -> None:
    """Those of the whole row take precedence."""
    add: Calls = [("add", {"item": 1})]
    turns = [
        {"user": json.dumps(add), "expected_tool_calls": as_expected(add)},
        {"user": "[]"},
        {"user": json.dumps([("pop", {})]), "expected_tool_calls": as_expected([("pop", {})])},
    ]
    row = {"id": "turns", "turns": turns, "expected_state": "from_calls"}
    whole = {**row, "id": "whole", "expected_tool_calls": as_expected(add)}
    write(root, row, whole, environment=PYTHON)
    found = grades(evalkit.run("suite.yaml", out="reports/a"))
    assert found["turns"] == (1.0, "nothing was to change")
    assert found["whole"] == (0.0, "0 of 1 expected value; cart[0].item is missing, expected 1")


def test_what_cannot_be_replayed_is_a_problem_of_its_row(root: Path) -> None:
    """The line, the number of the call, its tool and its error, all rows at once."""
    unknown: Calls = [("get_order", {"order_id": "A-17"}), ("refund", {"order_id": "B-1"})]
    turns = [{"user": "[]", "expected_tool_calls": as_expected(REFUND)}]
    turns += [{"user": "[]", "expected_tool_calls": as_expected(unknown)}]
    write(
        root,
        case("r1", [], REFUND),
        case("r2", [], unknown),
        case("r3", [], [("refnd", {})]),
        {**case("r4", [], None), "turns": turns},
    )
    said = "failed at call 2, refund: no such order; none; correct the calls or the state"
    assert problems(root) == [
        f"golden.jsonl:2 id r2: `expected_state`: replaying `expected_tool_calls` {said}",
        "golden.jsonl:3 id r3: `expected_state`: replaying `expected_tool_calls` failed at call 1, refnd: "
        "no tool called refnd; correct the calls or the state",
        f"golden.jsonl:4 id r4: `expected_state`: replaying `turns[1].expected_tool_calls` {said}",
    ]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("crash", "failed at call 1, crash: KeyError: 'stock'"),
        ("leave", "failed: SystemExit: 3"),
        ("hang", "took more than 2 s"),
    ],
)
@pytest.mark.slow
def test_code_of_the_project_cannot_end_the_check(root: Path, call: str, said: str) -> None:
    """It runs away from the event loop, and may raise, exit or hang."""
    write(root, case("r1", [], [(call, {})]), environment=PYTHON)
    (found,) = problems(root)
    assert found.startswith("golden.jsonl:1 id r1: `expected_state`: replaying `expected_tool_calls` " + said)


def test_an_environment_that_cannot_be_made(root: Path) -> None:
    """It is named for its row."""
    world = WORLD.replace('{"opened"', 'state["orders"] and {"opened"')
    (root / "calls_world.py").write_text(world, encoding="utf-8")
    write(root, case("r1", [], [], state={}), case("r2", [], []), environment=PYTHON)
    (found,) = problems(root)
    assert "id r1: `expected_state`: the environment cannot be made: KeyError: 'orders'; " in found


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (case("r1", [], None), "`expected_state: from_calls` needs the calls to replay; add `expected_tool_calls`"),
        (case("r1", [], None, expected_tool_calls=None), "needs the calls to replay"),
        (case("r1", [], None, expected_tool_calls="refund"), "`expected_tool_calls` must be a list of {name, argum"),
        (case("r1", [], [], expected_state="fromcalls"), "`expected_state` must map paths to values, or be from_calls"),
    ],
)
def test_rows_without_calls(root: Path, row: dict[str, Any], said: str) -> None:
    """They are refused, and say what to write."""
    write(root, row)
    (found,) = problems(root)
    assert "golden.jsonl:1 id r1" in found
    assert said in found


@pytest.mark.parametrize(
    "changes",
    [{"environment": "ended: true"}, {"scorers": "scorers: [length: {max: 9}]", "environment": "ended: true"}],
)
def test_without_an_environment(root: Path, changes: dict[str, str]) -> None:
    """There is nothing to replay the calls in; a check that the row carries cannot replay them either."""
    carried = {"checks": [{"state": {}}]} if "scorers" in changes else {}
    write(root, case("r1", [], REFUND, **carried), **changes)
    (found,) = problems(root)
    assert "`expected_state: from_calls` has no environment to replay the calls in; " in found


def test_any_state_cannot_pass(root: Path) -> None:
    """Calls that change nothing leave nothing to compare with `only: false`."""
    reads: Calls = [("get_order", {"order_id": "A-17"})]
    write(root, case("r1", [], reads), case("r2", REFUND, REFUND), scorers="scorers: [state: {only: false}]")
    (found,) = problems(root)
    assert "golden.jsonl:1 id r1" in found
    assert "the calls change nothing, and any state passes; remove `only: false`" in found


def test_ignored_paths_are_not_expected_either(root: Path) -> None:
    """A clock or a random id in the state is left out on both sides."""
    world = WORLD.replace('"opened": True', '"opened": id(self), "log": []')
    world = world.replace(
        '        if name == "drop"', '        self.state["log"].append(id(self))\n        if name == "drop"'
    )
    (root / "calls_world.py").write_text(world, encoding="utf-8")
    add: Calls = [("add", {"item": 1})]
    rows = [case("same", add, add), case("other", [], add)]
    write(root, *rows, environment=PYTHON, scorers="scorers: [state: {ignore: [opened, log]}]")
    assert {id_: value for id_, (value, _) in grades(evalkit.run("suite.yaml", out="reports/a")).items()} == {
        "same": 1.0,
        "other": 0.0,
    }


def test_a_rule_to_stop_looks_at_the_expected_state(root: Path) -> None:
    """The conversation ends when the wanted changes are there; without any, it goes on."""
    turns = [{"user": json.dumps(calls)} for calls in ([], REFUND, [])]
    row = {"id": "r1", "turns": turns, "state": STATE, "expected_state": "from_calls"}
    rows = [{**row, "expected_tool_calls": as_expected(REFUND)}, {**row, "id": "r2", "expected_tool_calls": []}]
    write(root, *rows, environment="environment: mocks.yaml, stop_when: [{state: expected}]")
    ended = {row.case.id: row.output for row in evalkit.run("suite.yaml", out="reports/a").rows()}
    stops = {id_: (output.stop, len(output.messages or ())) for id_, output in ended.items() if output}
    assert stops == {"r1": ("rule", 4), "r2": ("script_end", 6)}


@pytest.mark.parametrize(("expected", "stop"), [({"a": 1}, "rule"), ({"a": 2}, "script_end"), ({}, "script_end")])
def test_a_rule_to_stop_looks_at_the_state_that_a_system_reports(root: Path, expected: Any, stop: str) -> None:
    """Without an environment too."""
    (root / "calls_agent.py").write_text("def answer(message): return {'text': 'x', 'state': {'a': 1}}\n", "utf-8")
    row = {"id": "r1", "turns": [{"user": "1"}, {"user": "2"}], "state": {"a": 0}, "expected_state": expected}
    write(root, row, environment="stop_when: [{state: expected}]")
    (found,) = evalkit.run("suite.yaml", out="reports/a").rows()
    assert found.output is not None
    assert found.output.stop == stop


def test_stored_conversations_are_scored_by_the_calls(root: Path) -> None:
    """`score` replays the calls in the environment of the suite; another one gives scores that are not comparable."""
    write(root, case("r1", REFUND, REFUND))
    first = evalkit.run("suite.yaml", out="reports/a")
    again = evalkit.score("reports/a", "suite.yaml", out="reports/b")
    assert grades(again) == grades(first)
    assert key(again) == key(first)
    (root / "mocks.yaml").write_text(MOCKS.replace('status": refunded', 'status": paid'), encoding="utf-8")
    other = evalkit.score("reports/a", "suite.yaml", out="reports/c")
    assert grades(other)["r1"][0] == 0.5
    assert set(key(other).items() ^ key(first).items()) == {("environment", key(other)["environment"])}


def test_replayed_answers_are_scored_by_the_calls(root: Path) -> None:
    """The environment of such a suite is part of how they are scored, and only where it matters."""
    output = {"text": "Done.", "state": {**STATE, "more": 1}}
    row = {**case("r1", [], REFUND), "output": output}
    write(root, row, system="system: {replay: golden}")
    run = evalkit.run("suite.yaml", out="reports/a")
    assert grades(run)["r1"][0] == 0.0
    assert grades(run)["r1"][1].endswith("more was added: 1")
    before = key(run)["environment"]
    (root / "mocks.yaml").write_text(MOCKS + "\n", encoding="utf-8")
    assert key(evalkit.run("suite.yaml", out="reports/b"))["environment"] != before
    write(root, {**row, "expected_state": {}}, system="system: {replay: golden}")
    assert "environment" not in key(evalkit.run("suite.yaml", out="reports/c"))


def key(run: evalkit.Run) -> dict[str, str]:
    """What must be equal for scores of `state` to be compared."""
    return dict(run.manifest.score_keys["state"])


def test_what_was_expected_is_stored_with_the_grade(root: Path) -> None:
    """The row itself names the calls alone."""
    write(root, case("r1", [], REFUND))
    (row,) = evalkit.run("suite.yaml", out="reports/a").rows()
    assert row.case.fields["expected_state"] == "from_calls"
    grade = row.scores["state"]
    assert isinstance(grade, evalkit.Score)
    assert grade.details["expected"] == ['orders.A-17.status: "refunded"', 'orders.A-17.notes[0]: "paid"']
