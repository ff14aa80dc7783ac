"""The guide to conversations: its examples run, and its tables are complete."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import evalkit
from evalkit.errors import InputError
from evalkit.formats.build import key_of
from evalkit.formats.conversation import DURING
from evalkit.scorers.agents.ended import CUT_OFF
from evalkit.systems.conversation.mocks import MockRule
from evalkit.systems.conversation.settings import ConversationSettings
from evalkit.testing import FakeModel
from evalkit.types import Output, Row, Score

PAGE = (Path(__file__).parents[2] / "docs" / "conversations.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)


def blocks(language: str, words: str = "") -> list[str]:
    """Fenced blocks of the page that hold some words."""
    return [text for kind, text in BLOCKS if kind == language and words in text]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The complete example of the page."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "pyproject.toml").touch()
    for name, text in (
        ("bot.py", blocks("python")[0]),
        ("golden.jsonl", blocks("json")[0]),
        ("mocks.yaml", blocks("yaml")[0]),
        ("suite.yaml", blocks("yaml", "name: refunds")[0]),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
    sys.modules.pop("bot", None)
    yield tmp_path
    sys.modules.pop("bot", None)


def rows_of(out: str) -> dict[str, Row]:
    """Run the project's suite; rows by case."""
    return {row.case.id: row for row in evalkit.run("suite.yaml", out=out, baseline="none").rows()}


def output_of(row: Row) -> Output:
    """The output of a row that has one."""
    assert row.output is not None, row.failure
    return row.output


def wrong(row: Row) -> dict[str, str]:
    """What fails, and why."""
    grades = row.scores.values()
    return {each.metric: each.reason for each in grades if isinstance(each, evalkit.Score) and each.passed is False}


def test_the_complete_example_runs(project: Path) -> None:
    """Each conversation passes, and ends as the page says."""
    rows = rows_of("good")
    assert {id_: wrong(row) for id_, row in rows.items()} == {"refund": {}, "refused": {}, "unknown": {}}
    assert [output_of(rows[id_]).stop for id_ in ("refund", "refused", "unknown")] == [
        "script_end", "script_end", "agent_done",
    ]  # fmt: skip
    steps = [(step.kind, step.name, step.turn, step.decision) for step in output_of(rows["refund"]).trajectory or ()]
    assert steps == [
        ("tool", "get_order", 1, None),
        ("tool", "get_order", 2, None),
        ("approval", "refund", 2, "approved"),
        ("tool", "refund", 2, None),
    ]


def test_a_reason_names_the_turn_as_the_page_shows(project: Path) -> None:
    """Another last answer fails in turn 2."""
    told = re.search(r"`(turn 2: .*)`", PAGE)
    assert told is not None
    text = (project / "bot.py").read_text(encoding="utf-8")
    (project / "bot.py").write_text(text.replace("I have refunded it.", "Done."), encoding="utf-8")
    assert wrong(rows_of("other")["refund"]) == {"keywords": told[1]}


def test_what_is_refused_is_refused_in_these_words(project: Path) -> None:
    """The messages of the page are real."""
    rows: list[dict[str, Any]] = [
        {"id": "a", "input": "x", "turns": [{"user": "hi"}]},
        {"id": "b", "user": {"goal": "get a refund"}},
        {"id": "c", "turns": [{"user": "hi"}], "session": "1"},
        {"id": "d", "turns": [{"user": "hi"}], "approvals": [{"tool": "refund", "decision": "yes"}]},
    ]
    text = "".join(json.dumps({**row, "state": {}, "expected_state": {}}) + "\n" for row in rows)
    (project / "golden.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as refused:
        rows_of("none")
    assert str(refused.value).splitlines() == blocks("text", "golden.jsonl:1")[0].splitlines()


def test_the_simulated_user_of_the_page(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins with its opening, gives its order number, agrees, and is stopped by the expected state."""
    monkeypatch.setenv("USER_KEY", "key-for-tests")
    said = [{"say": text, "done": False, "why": None} for text in ("Refund A-17", "Yes")]
    (project / "golden.jsonl").write_text(blocks("json", "sim-1")[0], encoding="utf-8")
    bot = (project / "bot.py").read_text(encoding="utf-8")
    bot = bot.replace('input[0]["content"]', 'input[-1]["content"]').replace("if len(input) == 1", "if len(input) < 4")
    bot = bot.replace("order_id = input", 'order_id = "A-17" if "Yes" in input[-1]["content"] else input')
    (project / "bot.py").write_text(bot, encoding="utf-8")
    with FakeModel(said) as server:
        text = blocks("yaml", "name: simulated")[0].replace("http://127.0.0.1:8000/v1", server.base_url)
        (project / "suite.yaml").write_text(text, encoding="utf-8")
        (project / "bot.py").write_text(bot.replace(', "done": True', ""), encoding="utf-8")
        (row,) = rows_of("simulated").values()
    assert output_of(row).stop == "rule"
    assert [message.content for message in output_of(row).messages or () if message.role == "user"] == [
        "Hello?", "Refund A-17", "Yes",
    ]  # fmt: skip


def test_the_conversations_of_the_page_are_compared(project: Path) -> None:
    """The agent that refunds is better than one that only says so, whichever is shown first."""

    def judge(request: dict[str, Any]) -> dict[str, Any]:
        first = request["messages"][1]["content"].partition("<<<SECOND")[0]
        return {
            "reason": "it made the refund",
            "winner": "first" if '"role": "tool", "name": "refund"' in first else "second",
        }

    bot = (project / "bot.py").read_text(encoding="utf-8")
    (project / "bot.py").write_text(re.sub(r"environment.call\(.refund.*\)", "pass", bot), encoding="utf-8")
    rows_of("reports/baselines/main")
    (project / "bot.py").write_text(bot, encoding="utf-8")
    sys.modules.pop("bot", None)
    with FakeModel(judge) as server:
        text = blocks("yaml", "name: compared")[0].replace("http://127.0.0.1:8000/v1", server.base_url)
        (project / "suite.yaml").write_text(text, encoding="utf-8")
        rows = rows_of("new")
    grades = {name: row.scores["pairwise"] for name, row in rows.items()}
    values = {name: grade.value for name, grade in grades.items() if isinstance(grade, Score)}
    assert values == {"refund": 1.0, "refused": 0.5, "unknown": 0.5}
    assert len(server.requests) == 2, "the others are the same as before"


def test_the_tool_loop_of_the_page_is_recorded(project: Path) -> None:
    """Model and tools are steps of their turn, with the error of the call that failed."""
    (project / "bot.py").write_text(blocks("python", "@evalkit.tool")[0], encoding="utf-8")
    turns = [{"user": "Where is A-17", "required": ["returned"]}, {"user": "And B-1", "required": ["no such order"]}]
    row = {"id": "a", "turns": turns, "state": {}, "expected_state": {}}
    (project / "golden.jsonl").write_text(json.dumps(row), encoding="utf-8")
    suite = blocks("yaml", "name: refunds")[0].replace("  environment: mocks.yaml\n", "").replace("  - state\n", "")
    (project / "suite.yaml").write_text(suite, encoding="utf-8")
    (stored,) = rows_of("loop").values()
    assert wrong(stored) == {}
    steps = [(step.kind, step.name, step.turn, step.error) for step in output_of(stored).trajectory or ()]
    assert steps == [
        ("llm", "model", 1, None),
        ("tool", "get_order", 1, None),
        ("llm", "model", 1, None),
        ("llm", "model", 2, None),
        ("tool", "get_order", 2, "no such order"),
        ("llm", "model", 2, None),
    ]


def test_from_the_starter_to_a_gated_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps of the page, by its own commands: the first run is saved, and the change is blocked by name."""
    monkeypatch.chdir(tmp_path)
    git("init", "-q", "-b", "main", ".")
    lines = [line for line in blocks("sh")[0].splitlines() if line]
    saves, changed = (re.search(pattern, PAGE) for pattern in (r"`(evalkit baseline save .*?)`", r"`(NEEDS_.*?)`"))
    assert saves is not None
    assert changed is not None
    for line in [*lines, saves[1]]:
        ended = command(line)
        assert ended.returncode == 0, (line, ended.stdout, ended.stderr)
    git("add", "talks", "reports/baselines", ".github", ".gitignore")
    git("-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "-qm", "Gate")
    git("switch", "-q", "-c", "change")
    bot = tmp_path / "talks" / "bot.py"
    text = bot.read_text(encoding="utf-8")
    assert 'NEEDS_APPROVAL = {"waive_fee"}' in text
    bot.write_text(text.replace('NEEDS_APPROVAL = {"waive_fee"}', changed[1]), encoding="utf-8")
    ended = command("evalkit run talks/suite.yaml --out reports/change")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "fee-2" in ended.stdout
    policy = {row.case.id: wrong(row).get("policy") for row in evalkit.load_run("reports/change").rows()}
    assert "approve" in (policy["fee-2"] or "")


def command(line: str) -> subprocess.CompletedProcess[str]:
    """Run a command line of the page."""
    words = shlex.split(line, comments=True)
    assert words[0] == "evalkit"
    return subprocess.run(
        [sys.executable, "-m", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )


def git(*words: str) -> None:
    """Run git here."""
    subprocess.run(["git", *words], check=True, capture_output=True)


def test_every_setting_is_on_the_page_with_its_default() -> None:
    """So is every key of a mock's rule, each name that a system is given, and each way to be cut off."""
    table = PAGE.partition("| key of `conversation` |")[2].partition("\n\n")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", table, re.MULTILINE))
    for field in dataclasses.fields(ConversationSettings):
        default = {None: "none", (): "none", True: "true"}.get(field.default, str(field.default).removesuffix(".0"))
        assert rows[field.name].strip().strip("`") == default, field.name
    for name in [*(key_of(field) for field in dataclasses.fields(MockRule)), *DURING, *CUT_OFF]:
        assert f"| `{name}`" in PAGE or f", `{name}` |" in PAGE, name
