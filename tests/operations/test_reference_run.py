"""A reference system is run once on each version of a set, and every run is compared with it on the same cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import evalkit
from evalkit.cli.app import app
from evalkit.errors import InputError
from evalkit.operations.run import decide_again
from evalkit.stats.intervals import newcombe_paired
from evalkit.store.folder import RunFolder
from evalkit.store.history import read_past_run
from evalkit.suite.parse import load_suite

BOT = """\
import pathlib
def answer(input, id, **fields):
    with open("calls.txt", "a") as file:
        file.write("new\\n")
    return "yes" if int(id.split("-")[1]) % 10 else "no"
def old(input, id, **fields):
    with open("calls.txt", "a") as file:
        file.write("old\\n")
    if pathlib.Path("gone").exists():
        raise ConnectionError("the old version cannot be called")
    return "yes" if int(id.split("-")[1]) % 4 else "no"
"""
SUITE = """\
name: s
golden: cases.jsonl
system: {python: "bot:answer"}
reference_system: {python: "bot:old", version: "1.0"}
scorers: [exact]
gate: [pass_rate: {min: 0.01}]
"""


def write(numbers: range) -> None:
    """Write the set."""
    rows = [{"id": f"c-{at}", "input": f"question {at}", "reference": "yes"} for at in numbers]
    Path("cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set of 60 cases; the new system fails each tenth, the old one each fourth."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "bot.py").write_text(BOT, encoding="utf-8")
    (tmp_path / "suite.yaml").write_text(SUITE, encoding="utf-8")
    write(range(60))
    return tmp_path


def run(name: str, **more: Any) -> RunFolder:
    """Run the suite."""
    evalkit.run("suite.yaml", out=f"reports/{name}", baseline="none", **{"reports": False, **more})
    return RunFolder(Path("reports", name))


def summary(folder: RunFolder) -> dict[str, Any]:
    """Its summary."""
    return dict(json.loads(folder.file("summary.json").read_text(encoding="utf-8")))


def calls(who: str) -> int:
    """How often a system was called."""
    return Path("calls.txt").read_text(encoding="utf-8").split().count(who)


def test_the_difference_is_paired_and_the_reference_is_called_once(project: Path) -> None:
    """Newcombe's interval of the same two answers to each case; the second run calls only its own system."""
    first = run("one")
    assert (calls("old"), calls("new")) == (60, 60)
    found = summary(first)["reference"]
    passes = np.array([[at % 10 > 0, at % 4 > 0] for at in range(60)])
    table = [int((passes == each).all(axis=1).sum()) for each in ([1, 1], [1, 0], [0, 1], [0, 0])]
    exact = newcombe_paired(*table)
    assert found["system"] == "1.0"
    assert found["n_missing"] == 0
    for name in ("value", "low", "high"):
        assert found["difference"][name] == pytest.approx(getattr(exact, name))
    notes = " ".join(summary(first)["notes"])
    assert "pass rate minus that of reference system 1.0 on the same 60 cases: 15 pts [" in notes
    second = run("two")
    assert (calls("old"), calls("new")) == (60, 120)
    assert summary(second)["reference"] == found
    again = decide_again(second, None, "none").summary
    assert again.reference is not None
    assert again.notes == tuple(summary(second)["notes"])
    assert [past.name for past in Path("reports").iterdir() if (past / "manifest.json").exists()] in (
        ["one", "two"],
        ["two", "one"],
    )


def test_a_new_version_of_the_set_is_run_again(project: Path) -> None:
    """And so is a new version of the reference; each difference is of one set."""
    run("one")
    write(range(20, 80))
    two = run("two")
    assert calls("old") == 120
    assert summary(two)["reference"]["difference"]["n"] == 60
    text = (project / "suite.yaml").read_text(encoding="utf-8").replace('"1.0"', '"2.0"')
    (project / "suite.yaml").write_text(text, encoding="utf-8")
    assert summary(run("three"))["reference"]["system"] == "2.0"
    assert calls("old") == 180


def test_the_trend_goes_on_over_versions_of_the_set(project: Path) -> None:
    """The pass rate is cut there; the difference against the reference is not, only at another reference."""
    run("one")
    write(range(20, 80))
    folder = run("two", reports=True)
    page = folder.file("report.html").read_text(encoding="utf-8")
    assert "cut before: another golden set" in page
    assert "pass rate against the reference system" in page
    past = [read_past_run(RunFolder(Path("reports", name))) for name in ("one", "two")]
    from evalkit.report.trend import reference_trend

    trend = reference_trend([each for each in past if each is not None])
    assert trend is not None
    assert [point.break_before for point in trend.points] == ["", ""]
    assert trend.points[0].shown == "15 pts"
    text = (project / "suite.yaml").read_text(encoding="utf-8").replace('"1.0"', '"2.0"')
    (project / "suite.yaml").write_text(text, encoding="utf-8")
    past.append(read_past_run(run("three")))
    trend = reference_trend([each for each in past if each is not None])
    assert trend is not None
    assert trend.points[-1].break_before == "another reference system"


def test_a_reference_that_cannot_be_called_gives_no_figure(project: Path) -> None:
    """The run says so, is decided as without it, and names the folder to remove."""
    (project / "gone").touch()
    found = run("one")
    assert summary(found)["reference"]["difference"]["value"] is None
    notes = " ".join(summary(found)["notes"])
    assert "reference system 1.0 has no result for 60 of 60 cases" in notes
    assert "remove reports/reference/" in notes
    decision = found.decision()
    assert decision is not None
    assert decision["outcome"] == "approved"


def test_a_partial_run_does_not_call_it(project: Path) -> None:
    """Nor do stored answers that are graded again, nor a suite without one."""
    run("part", limit=5)
    assert calls("old") == 0
    assert "reference" not in summary(RunFolder(Path("reports/part")))
    text = (project / "suite.yaml").read_text(encoding="utf-8")
    (project / "suite.yaml").write_text(text.replace("reference_system", "# reference_system"), encoding="utf-8")
    assert "reference" not in summary(run("none"))


def test_the_calls_are_named_before_they_are_made(project: Path) -> None:
    """By `check` and `--dry-run`, until the reference was run on this set."""
    said = CliRunner().invoke(app, ["check", "suite.yaml"]).output
    assert "reference system 1.0: 60 cases, once on this version of the set" in " ".join(said.split())
    dry = CliRunner().invoke(app, ["run", "suite.yaml", "--dry-run"]).output
    assert "Not counted: reference system 1.0: 60 cases, once on this version of the set." in " ".join(dry.split())
    run("one")
    assert "reference system" not in CliRunner().invoke(app, ["check", "suite.yaml"]).output


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (', version: "1.0"', "", "reference_system.version: missing"),
        ('"1.0"', '"${HOME}"', "reference_system.version: depends on the environment"),
        ('{python: "bot:old", version: "1.0"}', "{replay: golden}", "reference_system: stored answers"),
        ('system: {python: "bot:answer"}', 'systems: {a: {python: "bot:answer"}}', "reference_system: the suite names"),
    ],
)
def test_what_is_no_pinned_version_is_refused(project: Path, old: str, new: str, said: str) -> None:
    """With place and fix."""
    (project / "suite.yaml").write_text(SUITE.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError) as found:
        load_suite(Path("suite.yaml"))
    assert said in str(found.value)


def test_problems_of_the_reference_are_found_before_the_first_call(project: Path) -> None:
    """As those of the system are."""
    (project / "suite.yaml").write_text(SUITE.replace("bot:old", "bot:nothing"), encoding="utf-8")
    with pytest.raises(InputError, match=r"reference_system\.python"):
        run("one")
    assert not Path("calls.txt").exists()
