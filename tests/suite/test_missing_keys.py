"""A run without secrets, as on a fork, and a judge whose endpoint takes no sampling fields."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.errors import InputError
from evalkit.testing import FakeModel, Fault

SUITE = """\
name: case
golden: golden.jsonl
system: {system}
judge: {{chat: {{model: judge-1, base_url: "{url}", api_key_env: HOUSE_KEY}}}}
scorers:
  - exact
  - judge: {{name: correctness, rubric: correctness, pass: 4}}
gate:
  - exact: 0.4
  - correctness: {{min: 3}}
"""
CASES = [("a", "Paris"), ("b", "Rome")]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of two cases, one of them answered well."""
    lines = [{"id": id_, "input": "Capital?", "reference": city, "output": "Paris"} for id_, city in CASES]
    (tmp_path / "golden.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, url: str = "http://127.0.0.1:9/v1", system: str = "{replay: golden}") -> None:
    """Write the suite."""
    (folder / "suite.yaml").write_text(SUITE.format(url=url, system=system), encoding="utf-8")


@pytest.mark.parametrize("key", [None, "", " \n"])
def test_without_the_key_of_the_judge_the_rules_are_scored(
    folder: Path, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    """Each row says `judge_no_key`, the gate makes no decision, and nothing is sent."""
    monkeypatch.delenv("HOUSE_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("HOUSE_KEY", key)
    with FakeModel([{"reason": "r", "score": 5}]) as server:
        write(folder, server.base_url)
        ran = CliRunner().invoke(app, ["run", "suite.yaml", "--out", "run", "--progress", "none"])
    assert (ran.exit_code, server.requests) == (3, [])
    rows = [json.loads(line)["row"] for line in (folder / "run" / "rows.jsonl").read_text("utf-8").splitlines()]
    assert {row["case"]["id"]: row["scores"]["exact"]["value"] for row in rows} == {"a": 1, "b": 0}
    assert {row["scores"]["correctness"]["unscored"] for row in rows} == {"judge_no_key"}
    assert "unscored (judge_no_key)" in ran.output
    assert "environment variable HOUSE_KEY is not set" in " ".join(ran.output.split())


def test_the_passes_of_a_judge_without_a_key_are_unknown_for_the_same_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate says that no case has a value, not that the run lacks the metric; no table without a row is printed."""
    monkeypatch.delenv("HOUSE_KEY", raising=False)
    write(folder)
    suite = folder / "suite.yaml"
    text = suite.read_text("utf-8").replace("correctness: {min: 3}", "correctness.passed: {min: 0.5}")
    suite.write_text(text + "cohorts: [kind]\n", "utf-8")
    ran = CliRunner().invoke(app, ["run", "suite.yaml", "--out", "run", "--progress", "none"])
    assert ran.exit_code == 3
    told = " ".join(ran.output.split())
    assert "correctness.passed is unknown: no case has a value: 2 unscored" in told
    assert "does not have the metric" not in told
    assert "95 % n" not in told, "a table of cohorts with a head alone"


def test_check_warns_about_the_key_of_the_judge(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite is sound; what a run would lack is said."""
    monkeypatch.delenv("HOUSE_KEY", raising=False)
    write(folder)
    checked = CliRunner().invoke(app, ["check", "suite.yaml"])
    assert checked.exit_code == 0
    assert (
        "judge: environment variable HOUSE_KEY is not set: metrics of the judge judge-1 will be unscored; "
        "export HOUSE_KEY=... before the run" in checked.output
    )


def test_check_names_the_proxy_of_each_address(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests leave through it; its password is not shown."""
    monkeypatch.setenv("HOUSE_KEY", "k-123456")
    monkeypatch.setenv("https_proxy", "http://ann:secret-word@proxy.example.org:3128")
    monkeypatch.setenv("no_proxy", "direct.example.org")
    write(folder, "https://llm.example.org/v1", '{chat: m, base_url: "https://direct.example.org/v1"}')
    checked = CliRunner().invoke(app, ["check", "suite.yaml"])
    judge = "https://llm.example.org/v1/chat/completions · judge judge-1, key from HOUSE_KEY"
    assert f"calls      {judge}, through the proxy http://proxy.example.org:3128\n" in checked.output
    assert "calls      https://direct.example.org/v1/chat/completions · m, no key\n" in checked.output
    assert "secret-word" not in checked.output


def test_judge_health_needs_the_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A measurement of the judge without the judge is a mistake."""
    monkeypatch.delenv("HOUSE_KEY", raising=False)
    write(folder)
    probed = CliRunner().invoke(app, ["judge", "health", "suite.yaml"])
    assert isinstance(probed.exception, InputError)
    assert "environment variable HOUSE_KEY is not set; export HOUSE_KEY=..." in str(probed.exception)


def test_the_key_of_the_system_is_needed_before_the_first_call(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without answers there is nothing to score."""
    monkeypatch.delenv("BOT_KEY", raising=False)
    write(folder, system='{chat: m, base_url: "http://127.0.0.1:9/v1", api_key_env: BOT_KEY}')
    ran = CliRunner().invoke(app, ["run", "suite.yaml", "--out", "run", "--progress", "none"])
    assert isinstance(ran.exception, InputError)
    assert "environment variable BOT_KEY is not set; export BOT_KEY=..." in str(ran.exception)
    assert not (folder / "run").exists()


def test_fields_that_the_judge_does_not_take_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are given up once; a note says so."""
    monkeypatch.setenv("HOUSE_KEY", "k-123456")
    refusals = [
        Fault(kind="status", status=400, message=f"Unsupported value: '{name}'") for name in ("temperature", "seed")
    ]
    with FakeModel([{"reason": "r", "score": 5}], faults=refusals) as server:
        write(folder, server.base_url)
        ran = CliRunner().invoke(app, ["run", "suite.yaml", "--out", "run", "--progress", "none"])
    assert [("temperature" in each, "seed" in each) for each in server.requests] == [
        (True, True),
        (False, True),
        (False, False),
        (False, False),
    ]
    assert "the endpoint of the judge judge-1 does not accept temperature or seed; asked without them" in " ".join(
        ran.output.split()
    )
