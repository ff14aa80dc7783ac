"""Judges' replies of earlier runs: taken, told, never counted as fresh; in processes of its own."""

from __future__ import annotations

import itertools
import json
import sqlite3
import subprocess
from contextlib import closing
from typing import Any

import pytest
from cli_project import Project
from test_spending import PRICES, reply

from evalkit.testing import FakeModel

SUITE = """\
name: cached
golden: cases.jsonl
system: {python: "bot:answer"}
judge: {chat: {model: grader, base_url: "BASE_URL", PRICES}}
scorers:
  - exact
  - judge: {name: correctness, rubric: correctness, pass: 4, advisory: true}
cohorts: [group]
gate:
  - pass_rate: {min: 0.3}
"""


def cell(project: Project, run: str, metric: str) -> dict[str, Any]:
    """One overall figure of a run."""
    cells: Any = project.json(f"{run}/summary.json")["cells"]
    found: dict[str, Any] = next(each for each in cells if (each["metric"], each["cohort"]) == (metric, "overall"))
    return found


def test_a_second_run_asks_no_judge(project: Project) -> None:
    """Same figures, no call, no fresh cost; `--no-cache` asks again; a repeat is another opinion.

    `--refresh-cache` asks again as well, and what it heard is kept in the place of the old.
    """
    project.cases(20)
    levels = [5]
    with FakeModel(lambda request: {"reason": "r", "score": levels[-1]}) as server:
        project.suite(text=SUITE.replace("BASE_URL", server.base_url).replace("PRICES", PRICES))
        asked = []
        for run, flags in (("a", ()), ("b", ()), ("c", ("--no-cache",)), ("d", ("--repeat", "2"))):
            ran = project.run("run", "suite.yaml", "--out", run, *flags)
            assert ran.returncode == 0, ran.stdout + ran.stderr
            asked.append(len(server.requests))
        levels.append(4)
        for run, flags in (("e", ()), ("f", ("--refresh-cache",)), ("g", ())):
            assert project.run("run", "suite.yaml", "--out", run, *flags).returncode == 0
            asked.append(len(server.requests))
        both = project.run("run", "suite.yaml", "--refresh-cache", "--no-cache")
    assert asked == [20, 20, 40, 60, 60, 80, 80]
    figures = [cell(project, run, "correctness")["estimate"]["value"] for run in "aefg"]
    assert figures[0] == figures[1] != figures[2] == figures[3]
    assert both.returncode == 2
    assert "--no-cache" in both.stderr
    assert cell(project, "a", "correctness")["estimate"] == cell(project, "b", "correctness")["estimate"]
    paid = {run: project.json(f"{run}/timings.json")["cells"] for run in "ab"}
    costs: Any = {run: [each for each in paid[run] if each["metric"] == "judge_cost_usd_per_case"] for run in "ab"}  # type: ignore[attr-defined]
    assert costs["a"][0]["estimate"]["value"] > 0
    assert not costs["b"], "no fresh cost"
    assert (project.root / "a" / "summary.json").read_bytes() == (project.root / "b" / "summary.json").read_bytes()
    lines = (project.root / "b" / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    usages = [json.loads(line)["row"]["scores"]["correctness"]["usage"] for line in lines]
    assert all(usage["cached"] is True and usage["cost_usd"] > 0 for usage in usages)


def test_a_budget_pays_for_fresh_calls_only(project: Project) -> None:
    """What an earlier run paid for is free, up to the last cent."""
    project.cases(20)
    with FakeModel(reply) as server:
        text = SUITE.replace("BASE_URL", server.base_url).replace("PRICES", PRICES)
        project.suite(text=text)
        assert project.run("run", "suite.yaml", "--out", "a").returncode == 0
        ran = project.run("run", "suite.yaml", "--out", "b", "--budget", "0.001")
    assert ran.returncode == 0, ran.stdout


def summary(project: Project, run: str) -> bytes:
    """The summary of a run as it stands on disk."""
    return (project.root / run / "summary.json").read_bytes()


def test_runs_on_one_cache_have_one_summary(project: Project) -> None:
    """Three at once on an empty cache, whose judge never says the same thing twice, and three after them."""
    project.cases(6)
    numbers = itertools.count()

    def moody(request: dict[str, Any]) -> dict[str, Any]:
        return {"reason": "r", "score": 1 + next(numbers) % 5}

    with FakeModel(moody, latency_s=1.5) as server:  # so that questions of all three are open at the same time
        project.suite(text=SUITE.replace("BASE_URL", server.base_url).replace("PRICES", PRICES))
        at_once = [
            subprocess.Popen(
                project.command("run", "suite.yaml", "--out", run, "--no-report"),
                cwd=project.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            for run in "abc"
        ]  # fmt: skip
        assert [process.wait(120) for process in at_once] == [0, 0, 0]
        for run in "de":
            assert project.run("run", "suite.yaml", "--out", run, "--no-report").returncode == 0
    assert len({summary(project, run) for run in "abcde"}) == 1


@pytest.mark.parametrize(
    ("forge", "asked"),
    [
        ("UPDATE replies SET reply = replace(reply, ': 2', ': 5'), sum = forged(key, replace(reply, ': 2', ': 5'))", 6),
        ("UPDATE replies SET sum = (SELECT sum FROM replies AS r ORDER BY key LIMIT 1)", 5),
        ("UPDATE replies SET sum = 'x' || sum", 6),
        ("UPDATE replies SET kept_at = 0", 0),
    ],
    ids=["unkeyed checksum", "a sum of another reply", "a damaged sum", "nothing that counts"],
)
def test_forged_replies_are_asked_again(forge: str, asked: int, project: Project) -> None:
    """A file of the working tree makes no verdict; how many did not count is said, and they are kept anew."""
    import hashlib

    project.cases(6)
    with FakeModel(lambda request: {"reason": "r", "score": 2}) as server:
        project.suite(text=SUITE.replace("BASE_URL", server.base_url).replace("PRICES", PRICES))
        assert project.run("run", "suite.yaml", "--out", "a", "--no-report").returncode == 0
        with closing(sqlite3.connect(project.root / ".evalkit" / "cache.sqlite", isolation_level=None)) as db:
            db.create_function(
                "forged", 2, lambda key, text: hashlib.blake2b(f"{key}{text}".encode(), digest_size=16).hexdigest()
            )
            db.execute(forge)
        before = len(server.requests)
        ran = project.run("run", "suite.yaml", "--out", "b", "--no-report")
        assert len(server.requests) - before == asked
        assert project.run("run", "suite.yaml", "--out", "c", "--no-report").returncode == 0
        assert len(server.requests) - before == asked
    said = " ".join(ran.stderr.split())
    assert (f"{asked} replies in the cache were not written with this machine's key; asked again" in said) == bool(
        asked
    )
    assert summary(project, "a") == summary(project, "b") == summary(project, "c")


def test_a_cache_that_comes_without_its_key_counts_for_nothing(project: Project) -> None:
    """Another machine, another secret, or a key inside the project; the same secret elsewhere takes it."""
    project.cases(3)
    secret = {"EVALKIT_CACHE_KEY": "a long value of the pipeline's own"}
    environments = (
        (secret, 3),
        (secret, 0),
        ({"EVALKIT_CACHE_KEY": "", "XDG_STATE_HOME": str(project.root / "state")}, 3),
        (secret, 0),
        ({"XDG_STATE_HOME": str(project.root.parent / f"{project.root.name}-elsewhere")}, 3),
        ({"EVALKIT_CACHE_KEY": "too short"}, 3),
        ({"EVALKIT_CACHE_KEY": "", "XDG_STATE_HOME": "", "HOME": ""}, 3),
    )
    with FakeModel(reply) as server:
        project.suite(text=SUITE.replace("BASE_URL", server.base_url).replace("PRICES", PRICES))
        for number, (env, asked) in enumerate(environments):
            before = len(server.requests)
            ran = project.run("run", "suite.yaml", "--out", f"run{number}", "--no-report", env=env)
            assert ran.returncode == 0, ran.stderr
            assert len(server.requests) - before == asked, (env, ran.stderr)
    assert not (project.root / "state").exists()
    assert "neither read nor stored" in json.dumps(project.json("run6/summary.json"))
