"""A reference system is run once on each version of a set, and every run is compared with it on the same cases."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
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
    if pathlib.Path("broken").exists() and int(id.split("-")[1]) % 2:
        raise ConnectionError("the new version cannot be called")
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


def test_another_sample_is_run_again(project: Path) -> None:
    """Another seed draws other cases, of which the stored run has no result."""
    (project / "suite.yaml").write_text(f"{SUITE}sample: 20\n", encoding="utf-8")
    assert summary(run("one"))["reference"]["n_missing"] == 0
    (project / "suite.yaml").write_text(f"{SUITE}sample: 20\nseed: 2\n", encoding="utf-8")
    assert summary(run("two"))["reference"]["n_missing"] == 0
    assert calls("old") == 40


def test_the_trend_goes_on_over_versions_of_the_set(project: Path) -> None:
    """The pass rate is cut there; the difference against the reference is not, only at another reference."""
    run("one")
    write(range(20, 80))
    folder = run("two", reports=True)
    page = folder.file("report.html").read_text(encoding="utf-8")
    assert "cut before: another golden set" in page
    assert "cut: another golden set, scorer or reference system" in page
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


def test_an_outage_of_the_system_is_no_gap_of_the_reference(project: Path) -> None:
    """Removing the stored run would buy the same answers again."""
    (project / "broken").touch()
    found = summary(run("one"))
    assert found["reference"]["difference"]["n"] == 30
    assert found["reference"]["n_missing"] == 0
    assert "has no result" not in " ".join(found["notes"])


def test_a_run_waits_for_another_that_calls_the_reference(project: Path) -> None:
    """Another --out would meet the same folder; the calls that were made are kept for --resume."""
    place = Path(json.loads(run("one").file("reference.json").read_text(encoding="utf-8"))["folder"])
    (place / "decision.json").unlink()
    code = "import sys, time; from pathlib import Path; from evalkit.store.running import Running\n"
    code += "with Running(Path(sys.argv[1])): print('locked', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(place)], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            with pytest.raises(InputError) as found:
                run("two")
        finally:
            other.kill()
    said = f"{place}: process {other.pid} is running in it, and calls the reference system"
    assert str(found.value) == f"{said}; wait for it to end, then continue with --resume"
    assert "reference" in summary(run("two", resume=True))


def test_a_lost_run_of_the_reference_is_said(project: Path) -> None:
    """A decision made again without it has no difference, and says why."""
    first = run("one")
    place = json.loads(first.file("reference.json").read_text(encoding="utf-8"))["folder"]
    shutil.rmtree(place)
    again = decide_again(first, None, "none").summary
    assert again.reference is None
    said = f"the run is not compared with reference system 1.0: {place} is gone; restore it, or run the suite again"
    assert said in again.notes


def test_a_reference_that_the_deadline_stopped_goes_on(project: Path) -> None:
    """In the next run, without calling finished cases again; the notes say so."""
    slow = BOT.replace("def old(input, id, **fields):\n", "def old(input, id, **fields):\n    time.sleep(pace())\n")
    slow += "import time\ndef pace():\n    return float(pathlib.Path('pace').read_text())\n"
    (project / "bot.py").write_text(slow, encoding="utf-8")
    (project / "suite.yaml").write_text(f"{SUITE}concurrency: 2\ndeadline_s: 8\n", encoding="utf-8")
    (project / "pace").write_text("1")
    first = summary(run("one"))
    done = first["reference"]["difference"]["n"]
    assert 0 < done < 60
    assert "the next run continues with them" in " ".join(first["notes"])
    (project / "pace").write_text("0")
    assert summary(run("two"))["reference"]["n_missing"] == 0
    assert calls("old") <= 60 + 2


def test_a_damaged_run_of_the_reference_can_be_removed(project: Path) -> None:
    """It is no baseline, so it cannot be saved again."""
    place = json.loads(run("one").file("reference.json").read_text(encoding="utf-8"))["folder"]
    rows = Path(place, "rows.jsonl")
    rows.write_text(rows.read_text(encoding="utf-8").replace("yes", "no", 1), encoding="utf-8")
    with pytest.raises(InputError, match=f"restore it, or remove {place} to run the reference system again"):
        run("two")
    shutil.rmtree(place)
    assert "reference" in summary(run("three"))


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
    assert "reference system 1.0: 60 cases, in the first run on this version of the set" in " ".join(said.split())
    dry = CliRunner().invoke(app, ["run", "suite.yaml", "--dry-run"]).output
    assert "Not counted: reference system 1.0: 60 cases, in the first run on this version of the set." in " ".join(
        dry.split()
    )
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
