"""`evalkit golden draft` and `golden accept` in processes of their own, killed, dry, and from end to end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cli_project import Project

from evalkit.testing import FakeModel

SUITE = """\
name: fees
golden: cases.jsonl
system: {replay: golden}
judge:
  chat: {model: m, base_url: "URL", max_tokens: 200, prices: {input_usd_per_million: 1, output_usd_per_million: 2}}
cohorts: [topic]
concurrency: 1
scorers: [exact]
"""
PLANS = ("amber", "birch", "cedar", "delta", "island", "fjord", "grove", "heron")


def honest(request: dict[str, Any]) -> dict[str, str]:
    """A model that asks for the fee of a plan."""
    name, fee = re.findall(r"The (\w+) plan costs EUR (\d+)", request["messages"][1]["content"])[0]
    reply = {"question": f"{name * 7}: what does it cost?", "reference": f"EUR {fee}", "kind": "topic=loans"}
    return {**reply, "quote": f"The {name} plan costs EUR {fee}"}


@pytest.fixture
def server() -> Iterator[FakeModel]:
    """The judge's endpoint."""
    with FakeModel(honest, latency_s=0.2) as running:
        yield running


@pytest.fixture
def drafting(project: Project, server: FakeModel) -> Project:
    """A project with 40 cases and a document of eight passages."""
    rows = [
        {"id": f"c{n}", "input": f"What is {n * n * 31} in {'abcdefgh'[n % 8] * 9}?", "reference": "x", "answer": "x"}
        | {"cohorts": {"topic": "cards" if n < 30 else "loans"}}
        for n in range(40)
    ]
    (project.root / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (project.root / "docs").mkdir()
    pages = (
        f"The {name} plan costs EUR {100 + n} each year. " + "See the annex. " * 35 for n, name in enumerate(PLANS)
    )
    (project.root / "docs" / "fees.md").write_text("\n\n".join(pages), encoding="utf-8")
    project.suite(text=SUITE.replace("URL", server.base_url))
    return project


def test_a_dry_run_says_what_would_be_asked_and_sends_nothing(drafting: Project, server: FakeModel) -> None:
    """The number of passages, the price, the room, the kinds that lack cases, and the places."""
    ran = drafting.run("golden", "draft", "suite.yaml", "--corpus", "docs", "-n", "5", "--dry-run", "--budget", "0.5")
    assert ran.returncode == 0, ran.stderr
    assert "asks m about 5 of 8 passages\ncost at most about $0.0" in ran.stderr
    assert "without repairs of replies; the budget is $0.50" in ran.stderr
    assert max(map(len, (ran.stdout + ran.stderr).splitlines())) <= 80
    assert "the set has 40 cases; at most 10 synthetic ones can be added" in ran.stderr
    assert "kinds that lack cases: topic=loans 20" in ran.stderr
    assert len([line for line in ran.stdout.splitlines() if line.startswith("docs/fees.md:")]) == 5
    assert server.requests == []
    assert not (drafting.root / "drafts.html").exists()
    assert not (drafting.root / ".evalkit").exists()


def test_drafts_are_written_and_accepted(drafting: Project) -> None:
    """From the documents over the page to a set that the suite still reads."""
    ran = drafting.run("golden", "draft", "suite.yaml", "--corpus", "docs", "--json")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert (len(found["queue"]["items"]), found["rejected"]) == (8, [])
    assert (drafting.root / "drafts.html").is_file()
    plain = drafting.run("golden", "draft", "suite.yaml", "--corpus", "docs")
    assert "8 drafts to review, 0 rejected" in plain.stdout
    assert "8 replies reused" in plain.stderr
    assert "evalkit golden accept suite.yaml EXPORTED.jsonl" in plain.stderr
    keys = ("of", "question", "reference", "quote", "passage", "file", "lines", "cohorts", "by")
    rows = [
        {key: item[key] for key in keys} | {"decision": "accept", "reviewed_by": "ana"}
        for item in found["queue"]["items"]
    ]
    (drafting.root / "export.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    accepted = drafting.run("golden", "accept", "suite.yaml", "export.jsonl")
    assert accepted.returncode == 0, accepted.stderr
    assert "8 cases added to cases.jsonl" in accepted.stderr
    assert drafting.run("check", "suite.yaml").returncode == 0
    again = drafting.run("golden", "draft", "suite.yaml", "--corpus", "docs")
    assert again.returncode == 2
    assert "no passage to draft from" in again.stderr


def test_a_killed_command_loses_no_paid_draft(drafting: Project, server: FakeModel) -> None:
    """After kill -9 only the question in flight is asked again, and the page is that of a command nobody killed."""
    words = ("golden", "draft", "suite.yaml", "--corpus", "docs", "--seed", "3")
    process = subprocess.Popen(
        drafting.command(*words),
        cwd=drafting.root,
        env=os.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    while len(server.requests) < 4 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    asked = len(server.requests)
    assert 4 <= asked < 8
    time.sleep(0.5)
    resumed = drafting.run(*words)
    assert resumed.returncode == 0, resumed.stderr
    assert len(server.requests) <= 9
    assert f"{asked - 1} replies reused" in resumed.stderr or f"{asked} replies reused" in resumed.stderr
    page = (drafting.root / "drafts.html").read_bytes()
    assert drafting.run(*words, "--out", "other.html").returncode == 0
    assert (drafting.root / "other.html").read_bytes() == page


def test_without_a_draft_the_exit_code_says_so_and_reasons_are_counted(drafting: Project) -> None:
    """Exit 3, no page, each rejected passage with its reason."""
    with FakeModel(lambda request: honest(request) | {"quote": "never said in there"}) as liar:
        drafting.suite(text=SUITE.replace("URL", liar.base_url))
        ran = drafting.run("golden", "draft", "suite.yaml", "--corpus", "docs", "-n", "3")
    assert ran.returncode == 3
    assert "0 drafts to review, 3 rejected\n  3 quote not in the passage\n" in ran.stdout
    assert len(re.findall(r"(?m)^rejected docs/fees\.md:\d+: quote not in the passage$", ran.stdout)) == 3
    assert not (drafting.root / "drafts.html").exists()


def test_a_reached_budget_keeps_the_drafts(drafting: Project) -> None:
    """Each reply costs $0.00012: three are paid; exit 3 and how to go on."""
    ran = drafting.run("golden", "draft", "suite.yaml", "--corpus", "docs", "--budget", "0.0003")
    assert ran.returncode == 3
    assert "3 drafts to review" in ran.stdout
    assert "budget reached: 5 passages not asked about; raise --budget and repeat" in ran.stderr
    assert (drafting.root / "drafts.html").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["draft", "suite.yaml"], "give either it or --from-logs"),
        (["draft", "suite.yaml", "--corpus", "gone"], "no file 'gone' that can be searched"),
        (["draft", "suite.yaml", "--corpus", "docs", "--by", "tenant"], "no cohort 'tenant' to choose"),
        (
            ["draft", "suite.yaml", "--corpus", "docs", "--out", "no/where/x.html"],
            "is not a folder; make it first: mkdir no/where",
        ),
        (["accept", "suite.yaml", "gone.jsonl"], "no such file"),
    ],
)
def test_what_cannot_be_used_is_named(drafting: Project, words: list[str], said: str) -> None:
    """Exit 2, and no traceback."""
    ran = drafting.run("golden", *words)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_suite_without_a_judge_is_refused(drafting: Project) -> None:
    """With the line to add."""
    drafting.suite(text=re.sub(r"judge:\n.*\n", "", SUITE))
    ran = drafting.run("golden", "draft", "suite.yaml", "--corpus", "docs")
    assert ran.returncode == 2
    assert "no chat judge, but drafts need one" in ran.stderr
