"""A judge chooses between the answers of the systems of a stored run."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import evalkit
from evalkit.cli.app import app
from evalkit.testing import FakeModel, Fault

SUITE = """\
name: shouting
golden: cases.jsonl
systems:
  short: {python: "shout:answer", arguments: {n: 1}}
  middle: {python: "shout:answer", arguments: {n: 2}}
  long: {python: "shout:answer", arguments: {n: 3}}
scorers: [exact]
judge: {chat: {model: m, base_url: "URL", max_retries: 0}}
"""
SHOUT = 'def answer(input: str, n: int) -> str:\n    return "word " * (n + 2 * (int(input[1:]) % 5 == n))\n'


def longer(request: dict[str, Any]) -> dict[str, str]:
    """A judge that prefers the longer of the two answers."""
    sent = request["messages"][-1]["content"]
    first, second = (len(re.findall("word", part)) for part in re.split("SECOND", sent.split("FIRST", 1)[1])[:2])
    return {"reason": "length", "winner": "first" if first > second else "second" if second > first else "tie"}


def project(root: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Make a suite of three systems, and run it."""
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "path", [*sys.path])
    sys.modules.pop("shout", None)
    (root / "pyproject.toml").touch()
    (root / "shout.py").write_text(SHOUT, encoding="utf-8")
    rows = [{"id": f"c{i:02d}", "input": f"q{i}", "reference": "x"} for i in range(30)]
    (root / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (root / "suite.yaml").write_text(SUITE.replace("URL", url), encoding="utf-8")
    evalkit.run("suite.yaml", out="reports/many", reports=False)


def judged(*words: str) -> tuple[int, str]:
    """Run the command; exit code and output."""
    ran = CliRunner().invoke(app, ["judge", "tournament", *words])
    return ran.exit_code, ran.output if ran.exception is None or isinstance(ran.exception, SystemExit) else str(
        ran.exception
    )


def test_the_systems_are_ordered_by_the_choices_of_the_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One call for each answer, but for pairs of equal ones; the second time, every reply comes from the cache."""
    with FakeModel(longer) as model:
        project(tmp_path, monkeypatch, model.base_url)
        code, said = judged("reports/many")
        assert 0 == code, said
        assert 84 == len(model.requests)
        first = (tmp_path / "reports/many/tournament.json").read_bytes()
        assert 0 == judged("reports/many")[0]
        assert 84 == len(model.requests)
    record = json.loads(first)
    assert ["long", "middle", "short"] == record["systems"]
    assert (90, 30, 0) == (record["n_pairs"], record["n_cases"], record["n_missing"])
    again = json.loads((tmp_path / "reports/many/tournament.json").read_bytes())
    assert record["preferences"] == again["preferences"]
    shares = {(each["system"], each["other"]): each["share"] for each in record["preferences"]}
    assert {("long", "middle"), ("long", "short"), ("middle", "short")} == set(shares)
    assert shares["long", "short"]["low"] > 0.5
    assert shares["long", "middle"]["value"] > 0.5
    assert 0.3 < record["position"] < 0.7
    assert "90 pairs of answers to 30 cases" in said
    assert "not a gate" in said


def test_pairs_without_a_reply_are_counted_and_never_a_tie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge was down for some of them."""
    with FakeModel(longer, faults=[Fault(kind="status", status=400)] * 10) as model:
        project(tmp_path, monkeypatch, model.base_url)
        code, said = judged("reports/many", "--json")
    assert 0 == code, said
    found = json.loads(said[said.index("[\n") :])[0]
    assert found["n_missing"] + found["n_pairs"] == 90
    assert found["n_missing"] > 0


def test_a_judge_that_never_answers_gives_no_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what failed."""
    with FakeModel(always=Fault(kind="status", status=400)) as model:
        project(tmp_path, monkeypatch, model.base_url)
        code, said = judged("reports/many")
    assert 0 != code
    assert "84 pairs without a reply" in said
    assert not (tmp_path / "reports/many/tournament.json").exists()


def test_what_cannot_be_compared_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of one system, and a suite without a judge."""
    with FakeModel(longer) as model:
        project(tmp_path, monkeypatch, model.base_url)
        assert "not a run of several systems" in judged("reports/many/systems/long")[1]
        text = (tmp_path / "suite.yaml").read_text(encoding="utf-8")
        (tmp_path / "suite.yaml").write_text(text.partition("judge:")[0], encoding="utf-8")
        assert "no chat judge, but a tournament needs one" in judged("reports/many")[1]
        assert not model.requests
