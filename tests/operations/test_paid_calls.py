"""A run of more calls than anyone pays for by mistake needs a budget."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from evalkit.errors import InputError
from evalkit.operations.dry_run import dry_run
from evalkit.operations.paid_calls import refuse_unlimited, unlimited
from evalkit.operations.run import Planned, Request, plan_run, run_suite
from evalkit.operations.run_each import run_each
from evalkit.runner.engine import Stop
from evalkit.runner.plan import Selection
from evalkit.runner.session import Watcher

SUITE = """\
name: many
golden: cases.jsonl
system: SYSTEM
scorers: [exactJUDGED]
gate:
  - exact: 0.5
"""
PYTHON, HTTP = '{python: "bot:answer"}', "{http: 'HOST/ask'}"
FREE = "prices: {input_usd_per_million: 0, output_usd_per_million: 0}"
PAID = "prices: {input_usd_per_million: 0, output_usd_per_million: 2}"
REMOTE, LOCAL = "https://models.example", "http://127.0.0.1:9"
JUDGE = ", judge: {rubric: correctness, advisory: true}]\njudge: {chat: {model: grader, base_url: 'HOST'PRICES}}\n#"


def chat(host: str, prices: str = "") -> str:
    """A chat system."""
    return f"{{chat: some-model, base_url: '{host}'{', ' if prices else ''}{prices}}}"


def judge(host: str, prices: str = "") -> str:
    """A scorer that asks a judge, with the judge."""
    return JUDGE.replace("HOST", host).replace("PRICES", f", {prices}" if prices else "")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of 6 cases, one more than may be run without a budget."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "bot.py").write_text("def answer(input: str) -> str:\n    return input\n", encoding="utf-8")
    rows = [{"id": f"c{i}", "input": f"q{i}", "reference": "r", "severity": "low" if i else "high"} for i in range(6)]
    (tmp_path / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("evalkit.operations.paid_calls.MOST_CALLS", 5)
    return tmp_path


def problem(system: str, judged: str = "", more: str = "", **settings: object) -> str:
    """What is wrong with the budget of a run; empty if nothing is."""
    text = SUITE.replace("SYSTEM", system).replace("JUDGED", judged) + more
    Path("suite.yaml").write_text(text, encoding="utf-8")

    async def ask() -> str:
        async with AsyncExitStack() as stack:
            request = Request(suite=Path("suite.yaml"), **settings)  # type: ignore[arg-type]
            return str(unlimited([await plan_run(request, os.environ, stack)]) or "")

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("system", "judged", "whose"),
    [
        (chat(REMOTE), "", "the system"),
        (chat(REMOTE, PAID), "", "the system"),
        (chat(LOCAL, PAID), "", "the system"),
        (HTTP.replace("HOST", REMOTE), "", "the system"),
        (PYTHON, judge(REMOTE), "the judge"),
        (PYTHON, judge(LOCAL, PAID), "the judge"),
        (chat(REMOTE), judge(REMOTE), "the system and the judge"),
        (chat(REMOTE, FREE), "", ""),
        (chat(LOCAL), "", ""),
        (HTTP.replace("HOST", LOCAL), "", ""),
        (PYTHON, "", ""),
        ('{command: ["cat"]}', "", ""),
        (PYTHON, judge(LOCAL), ""),
        (PYTHON, judge(REMOTE, FREE), ""),
    ],
)
def test_calls_that_may_cost_money_need_a_budget(project: Path, system: str, judged: str, whose: str) -> None:
    """A price of 0, the user's own code and a model on this machine without a price are free."""
    found = problem(system, judged)
    assert (f"no budget for more than 5 calls of {whose}" in found) if whose else not found
    assert not whose or "add `budget_usd: 50`" in found


def test_the_calls_that_are_made_are_counted(project: Path) -> None:
    """Repeats add to them; cases that are not chosen, or not judged, do not; a budget is enough."""
    assert not problem(chat(REMOTE), selection=Selection(limit=5))
    assert problem(chat(REMOTE), more="repeat: 2\n", selection=Selection(limit=3))
    assert not problem(chat(REMOTE, PAID), more="budget_usd: 1\n")
    assert not problem(chat(REMOTE, PAID), overrides={"budget_usd": 1.0})
    assert not problem(PYTHON, judge(REMOTE).replace("advisory: true", "advisory: true, when: {severity: high}"))
    assert problem(PYTHON, judge(REMOTE).replace("advisory: true", "advisory: true, samples: 3"), more="repeat: 2\n")


def test_a_conversation_counts_its_turns(project: Path) -> None:
    """Two cases of three turns are six calls."""
    rows = [{"id": f"c{i}", "reference": "r", "turns": [{"user": text} for text in "abc"]} for i in range(2)]
    Path("cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert problem(chat(REMOTE), more="conversation: {}\n").startswith("suite.yaml")
    assert not problem(PYTHON, more="conversation: {}\n")


def test_a_run_is_refused_and_a_dry_run_says_so(project: Path) -> None:
    """The run before it writes or calls anything; the estimate, from which a budget can be chosen, is made."""
    problem(chat(REMOTE))
    request = Request(suite=Path("suite.yaml"), out=Path("out"))
    with pytest.raises(InputError, match="no budget for more than 5 calls of the system"):
        asyncio.run(run_suite(request, Watcher(), Stop(), os.environ))
    assert not Path("out").exists()
    notes = asyncio.run(dry_run(request, os.environ))[""].notes
    assert any("The run is refused: no budget for more than 5 calls of the system" in note for note in notes)


def test_several_systems_count_together(project: Path) -> None:
    """One with a budget of its own is not counted."""
    rows = Path("cases.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)[:3]
    Path("cases.jsonl").write_text("".join(rows), encoding="utf-8")
    problem(PYTHON)
    one = SUITE.replace("JUDGED", "").replace("system: SYSTEM", "systems: {a: A, b: B}\nreference: a")
    text = one.replace("A,", f"{chat(REMOTE, PAID)},").replace(": B}", f": {chat(REMOTE + '/b', PAID)}}}")
    Path("suite.yaml").write_text(text, encoding="utf-8")
    request = Request(suite=Path("suite.yaml"), out=Path("out"))
    with pytest.raises(InputError, match="no budget for more than 5 calls of the system"):
        asyncio.run(run_each(request, Watcher(), Stop(), os.environ))
    assert not Path("out").exists()
    notes = [note for each in asyncio.run(dry_run(request, os.environ)).values() for note in each.notes]
    assert any("The run is refused" in note for note in notes)


def test_many_free_calls_read_no_case_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million rows and a function cost no further pass."""
    seen: list[Planned] = []

    def look(planned: list[Planned]) -> None:
        seen.extend(planned)
        object.__setattr__(planned[0].prepared.golden, "open", None)
        refuse_unlimited(planned)

    monkeypatch.setattr("evalkit.operations.run.refuse_unlimited", look)
    problem(PYTHON)
    with pytest.raises(TypeError, match="NoneType"):  # the run itself reads the cases, after this check
        asyncio.run(run_suite(Request(suite=Path("suite.yaml"), out=Path("out")), Watcher(), Stop(), os.environ))
    assert seen
