"""A project whose system talks: what a run says of the turn that failed, and two conversations side by side."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from cli_project import Project, Ran

SUITE = """\
name: shop
golden: talks.jsonl
system: {python: "shop:answer", timeout_s: 20}
conversation: {max_turns: 5, environment: mocks.yaml}
scorers:
  - keywords: {over: turn}
gate:
  - pass_rate: {min: 0.1}
"""
MOCKS = """\
tools:
  get_order: {rules: [{from: "orders.{order_id}"}]}
  refund:
    writes: true
    rules:
      - {when: {order_id: A-17}, set: {"orders.{order_id}.status": refunded}, returns: {ok: true}}
      - {error: "no such order"}
"""
STATE = {"orders": {"A-17": {"status": "returned", "total": 20}}}
FIRST = {"user": "Refund A-17", "required": ["20"]}
TALKS = (
    {"id": "r1", "turns": [FIRST, {"user": "Yes.", "required": ["14 days"]}], "state": STATE},
    {"id": "r2", "turns": [FIRST, {"user": "Crash."}], "state": STATE},
)
SHOP = """\
def answer(message, turn, environment):
    if turn == 1:
        order = environment.call("get_order", {"order_id": message.split()[-1]})
        return f"An order of {order['total']} EUR. Refund?"
    if message == "Crash.":
        raise RuntimeError("out of stock")
    environment.call("refund", {"order_id": "A-17"})
    return "ANSWER"
"""


@pytest.fixture
def shop(tmp_path: Path) -> tuple[Project, list[Ran]]:
    """A project with two runs: `first` says when the money arrives, `second` does not."""
    project = Project(tmp_path)
    (tmp_path / "mocks.yaml").write_text(MOCKS, encoding="utf-8")
    (tmp_path / "talks.jsonl").write_text("\n".join(map(json.dumps, TALKS)), encoding="utf-8")
    project.suite(text=SUITE)
    ran: list[Ran] = []
    for name, answer in (("first", "Refunded, within 14 days."), ("second", "Refunded.")):
        (tmp_path / "shop.py").write_text(SHOP.replace("ANSWER", answer), encoding="utf-8")
        ran.append(project.run("run", "suite.yaml", "--out", name))
    return project, ran


def test_the_turn_that_failed_is_named_and_compared(shop: tuple[Project, list[Ran]]) -> None:
    """Progress and JUnit name the turn; `diff --case` prints both conversations, the equal turn once."""
    project, (_, second) = shop
    told = [line for line in second.stderr.splitlines() if line.startswith("✗")]
    assert sorted(line[:51] for line in told) == [
        '✗ r1 turn 2  keywords 0.00 "Refunded." found 0 of 1',
        "✗ r2 turn 2  exception: RuntimeError: out of stock",
    ]
    suite = ElementTree.parse(project.root / "second" / "junit.xml").getroot()  # noqa: S314 - our own output
    messages = {case.get("name"): [child.get("message") for child in case] for case in suite.iter("testcase")}
    assert str(messages["r1"][0]).startswith("turn 2: keywords 0: ")
    assert messages["r2"] == ["turn 2: RuntimeError: out of stock"]
    ran = project.run("diff", "first", "second", "--case", "r1")
    lines = [line.rstrip() for line in ran.stdout.splitlines()]
    assert ran.returncode == 0 and max(map(len, lines)) <= 80
    at = lines.index("turn 1  the same in both")
    assert lines[at + 1 : at + 5] == [
        "user  Refund A-17",
        '  tool get_order {"order_id": "A-17"}',
        '    → {"status": "returned", "total": 20}',
        "assistant  An order of 20 EUR. Refund?",
    ]
    changed = next(line for line in lines if "| assistant  Refunded." in line)
    assert changed.startswith("assistant  Refunded, within 14 days.")
    crashed = project.run("diff", "first", "second", "--case", "r2").stdout
    assert crashed.count("the same in both") == 2
    assert "✗ exception: RuntimeError: out of stock" in crashed
