"""`evalkit run --dry-run`: checks as a run does, says what it would ask and cost, and sends and writes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_project import Project
from test_spending import CENT_A_CALL, PRICES, chat, reply

from evalkit.operations.estimate import RunEstimate
from evalkit.operations.span import Span
from evalkit.testing import FakeModel

JUDGED = """\
name: planned
golden: cases.jsonl
system: SYSTEM
judge:
  chat: {model: grader, base_url: "BASE_URL", requests_per_minute: 600PRICES}
  panel: [{model: second, base_url: "BASE_URL"PRICES}]
scorers:
  - exact
  - judge: {name: correctness, rubric: correctness, pass: 4, advisory: true}
EXTRA
cohorts: [group]
concurrency: 4
gate:
  - pass_rate: {min: 0.3}
"""


def write(project: Project, server: FakeModel, *, priced: bool = True, extra: str = "", system: str = "") -> None:
    """A suite whose system and judges are the server."""
    prices = f", {PRICES}" if priced else ""
    text = JUDGED.replace("SYSTEM", system or chat(server)).replace("BASE_URL", server.base_url)
    project.suite(text=text.replace("PRICES", prices).replace("EXTRA", extra))


def planned(project: Project, *flags: str) -> dict[str, Any]:
    """The estimate as JSON."""
    ran = project.run("run", "suite.yaml", "--dry-run", "--json", *flags)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def ends(found: dict[str, Any]) -> tuple[float | None, ...]:
    """The three figures of a span."""
    return found["low"], found["likely"], found["high"]


def files(root: Path) -> set[str]:
    """Everything in a folder, byte-code aside."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if "__pycache__" not in path.parts}


def test_a_dry_run_sends_and_writes_nothing(project: Project) -> None:
    """Neither system nor judge hears of it, no folder appears, and what is unknown is not a number."""
    project.cases(20)
    with FakeModel(reply) as server:
        write(project, server)
        before = files(project.root)
        found = planned(project, "--out", "first", "--budget", "1")
        shown = project.run("run", "suite.yaml", "--dry-run")
        assert server.requests == []
    assert files(project.root) == before
    assert (found["n_cases"], found["n_rows"], found["n_grades"]) == (20, 20, 40)
    assert ends(found["calls"]["system"]) == (20, 20, 20)
    assert ends(found["calls"]["grader"]) == (20, 20, 60)
    assert ends(found["calls"]["second"]) == (0, 0, 0)
    assert ends(found["tokens"]["judges"]) == (None, None, None)
    assert found["budget"] == "cannot be told"
    assert ends(found["seconds"]) == (2, None, None), "20 requests, 600 a minute"
    assert shown.returncode == 0, shown.stderr
    assert "nothing was sent" in shown.stdout
    assert "unknown" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_the_number_of_calls_is_that_of_the_run(project: Project) -> None:
    """Panels, opinions and orders multiply; a later run takes tokens and money from the first one."""
    project.cases(10)
    extra = """\
  - judge: {name: panelled, rubric: correctness, pass: 4, panel: true, samples: 2, advisory: true}
  - pairwise: {advisory: true}
"""
    with FakeModel(answer, usage=CENT_A_CALL) as server:
        write(project, server, extra=extra)
        found = planned(project, "--no-cache")
        assert server.requests == []
        ran = project.run("run", "suite.yaml", "--out", "reports/first", "--no-cache")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        models = [request["model"] for request in server.requests]
        again = planned(project, "--budget", "0.5")
    assert found["calls"]["system"]["likely"] == models.count("bot")
    assert found["calls"]["grader"]["low"] == models.count("grader"), "every answer is its reference: no pair is asked"
    assert found["calls"]["grader"]["likely"] == models.count("grader") + 20
    assert found["calls"]["second"]["likely"] == models.count("second")
    assert again["typical"] == "reports/first (10 answers)"
    assert again["cost_usd"]["system"]["likely"] == pytest.approx(0.1)
    assert again["tokens"]["system"]["likely"] == pytest.approx(1100)


def answer(request: dict[str, Any]) -> Any:
    """As a system the sum, as a judge a level or a tie."""
    text = request["messages"][-1]["content"]
    return {"reason": "r", "winner": "tie"} if "<<<FIRST" in text else reply(request)


def test_a_sample_a_limit_and_a_resumed_run_ask_less(project: Project) -> None:
    """Chosen cases only, and of an interrupted run what is open, with the budget that is left."""
    project.cases(30)
    with FakeModel(reply, usage=CENT_A_CALL) as server:
        write(project, server)
        assert planned(project, "--sample", "12")["n_rows"] == 12
        assert planned(project, "--limit", "7", "--repeat", "2")["n_rows"] == 14
        assert planned(project, "--case", "left-001")["n_rows"] == 1
        first = project.run("run", "suite.yaml", "--out", "first", "--budget", "0.2")
        assert first.returncode == 3
        asked, rows = len(server.requests), (project.root / "first" / "rows.jsonl").read_bytes()
        left = planned(project, "--out", "first", "--resume", "--budget", "0.25")
        assert len(server.requests) == asked
        assert (project.root / "first" / "rows.jsonl").read_bytes() == rows
        done = rows.count(b"\n")
        assert (left["n_done"], left["n_rows"]) == (done, 30 - done)
        assert left["budget_usd"] == pytest.approx(0.25 - 0.02 * done)
        assert left["budget"] == "not enough"
        assert left["typical"] == f"first ({done} answers)"


def test_a_suite_without_a_judge_has_no_judge_to_count(project: Project) -> None:
    """No row of judges; a python system says nothing of tokens, which stays unknown in words."""
    project.run("run", "suite.yaml", "--out", "reports/first", "--baseline", "none")
    project.root.joinpath("calls.log").unlink()
    shown = project.run("run", "suite.yaml", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert project.calls() == []
    assert "judge" not in shown.stdout
    assert "unknown" in shown.stdout
    assert ends(planned(project)["calls"]["system"]) == (120, 120, 120)


def test_a_price_that_is_unknown_is_said_in_words(project: Project) -> None:
    """Tokens of the earlier run are known, their price is not: no dollar stands anywhere."""
    project.cases(10)
    with FakeModel(reply, usage=CENT_A_CALL) as server:
        write(project, server, priced=False, system=f"{{chat: bot, base_url: '{server.base_url}'}}")
        assert project.run("run", "suite.yaml", "--out", "reports/first").returncode == 0
        shown = project.run("run", "suite.yaml", "--dry-run")
    assert "price unknown" in shown.stdout
    assert "1,100" in shown.stdout
    assert "$" not in shown.stdout


def test_what_only_the_answer_tells_is_no_number(project: Project) -> None:
    """Claims are listed, then checked where there are any; of a library nobody knows the number."""
    project.cases(10)
    with FakeModel(reply) as server:
        write(project, server, extra="  - geval: {rubric: tone, advisory: true}\n  - claims: {advisory: true}")
        found = planned(project)
        write(project, server, extra="  - ragas: {use: [answer_relevancy], advisory: true}")
        library = planned(project)
        assert server.requests == []
    assert ends(found["calls"]["grader"]) == (30, None, 3 * (10 + 50 + 20))
    assert ends(library["calls"]["grader"]) == (20, None, None)


def test_a_stopped_run_speaks_by_the_rows_that_it_has(project: Project) -> None:
    """Its time is divided by them and not by its plan, at a concurrency that is not known; nine rows say nothing."""
    project.suite(broken="left")
    project.run("run", "suite.yaml", "--out", "reports/first", "--baseline", "none", "--fail-fast", "12")
    rows = project.root / "reports" / "first" / "rows.jsonl"
    lines, manifest = rows.read_bytes().splitlines(keepends=True), project.json("reports/first/manifest.json")
    assert 12 <= len(lines) < 120
    found = planned(project, "--baseline", "none")
    assert found["seconds"]["likely"] == pytest.approx(manifest["wall_s"] / len(lines) * 120)
    assert "Time: at the earlier run's concurrency, which is not kept." in found["notes"]
    rows.write_bytes(b"".join(lines[:9]))
    assert planned(project, "--baseline", "none")["typical"] is None


@pytest.mark.parametrize(
    ("judge", "word"),
    [
        (Span.exactly(20), "enough"),
        (Span(20, 20, 60), "probably enough"),
        (Span(20, 20, None), "probably enough"),
        (Span(20, None, None), "probably enough"),
    ],
    ids=["exact", "repairs", "no-most", "unknown"],
)
def test_a_budget_is_enough_only_where_every_call_is_priced(judge: Span, word: str) -> None:
    """The high cost holds no repairs of judges' replies, so it promises nothing where there may be some."""
    counts = dict.fromkeys(("n_golden", "n_cases", "repeats", "n_scorers", "n_rows", "n_done", "n_regraded"), 1)
    found = RunEstimate(
        suite="s", n_grades=20, concurrency=4, calls={"system": Span.exactly(20), "grader": judge}, tokens={},
        cost_usd={"judges": Span(0.1, 0.2, 0.4)}, seconds=Span(), budget_usd=0.5, typical="first", **counts,
    )  # fmt: skip
    assert found.budget_word == word


REFUSED = [("--baseline", "nowhere/at-all"), ("--case", "nobody"), ("--out", "full"), ("--resume",)]


@pytest.mark.parametrize("flags", REFUSED, ids=" ".join)
def test_a_dry_run_refuses_what_a_run_refuses(project: Project, flags: tuple[str, ...]) -> None:
    """The same words and the same exit code."""
    (project.root / "full").mkdir()
    (project.root / "full" / "file.txt").touch()
    dry = project.run("run", "suite.yaml", "--dry-run", *flags)
    real = project.run("run", "suite.yaml", *flags)
    assert dry.returncode == real.returncode
    assert dry.returncode in (2, 5)
    assert dry.stdout == ""
    if flags != ("--resume",):
        assert dry.stderr == real.stderr
    assert project.calls() == []
