"""Held-out cases are run, and no word of theirs leaves their folder."""

from __future__ import annotations

import json
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import evalkit
from evalkit.cli.golden import golden
from evalkit.cli.run import run as run_command
from evalkit.errors import InputError
from evalkit.golden.held_out import held_file, read_held
from evalkit.operations.merge import merge_shards
from evalkit.operations.run import decide_again
from evalkit.store.folder import RunFolder

FIELDS = (
    "inputword",
    "referenceword",
    "contextword",
    "requiredword",
    "answerword",
    "errorword",
    "noteword",
)
BOT = """\
def answer(input, id, contexts, said=None):
    if "raise" in input:
        raise ValueError("errorword")
    return "yes" if int(id.split("-")[1]) % 3 else said or "no"
"""
SUITE = """\
name: s
golden: cases.jsonl
system: {python: "bot:answer"}
scorers:
  - contains: {all_field: required}
  - exact
cohorts: [topic]
gate: [pass_rate: {min: 0.01}]
"""


def row(at: int) -> dict[str, Any]:
    """A case whose every field has the word HIDE, which held-out cases get instead of another."""
    topic = "big" if at % 5 else "small"
    return {
        "id": f"c-{at}",
        "input": f"inputHIDE {at}",
        "reference": ["yes", f"referenceHIDE {at}"],
        "contexts": [f"contextHIDE {at}"],
        "required": ["yes", "requiredHIDE"] if at % 7 == 0 else ["yes"],
        "note": "noteHIDE",
        "said": "answerHIDE",
        "cohorts": {"topic": topic},
    }


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A locked set with a third of its cases held out; the words of these are `word`, of others `open`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "bot.py").write_text(BOT.replace("(input, id, contexts, said=None)", "(input, id, said)"))
    (tmp_path / "suite.yaml").write_text(SUITE, encoding="utf-8")
    file = tmp_path / "cases.jsonl"
    lines = [json.dumps(row(at)) for at in range(60)]
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    CliRunner().invoke(golden, ["lock", "cases.jsonl", "--held-out", "0.34"])
    for each, word in ((file, "open"), (held_file(file), "word")):
        each.write_text(each.read_text(encoding="utf-8").replace("HIDE", word), encoding="utf-8")
    held = held_file(file)
    text = held.read_text(encoding="utf-8").replace('"inputword', '"raise inputword', 1)
    held.write_text(text, encoding="utf-8")
    CliRunner().invoke(golden, ["lock", "cases.jsonl"])
    return tmp_path


def words_outside(folder: Path) -> dict[str, str]:
    """File -> the first word of a held-out case in it, for every file that is not in `held/` of a run."""
    found = {}
    ids = [json.dumps(case.id) for case in read_held(folder / "cases.jsonl") or ()]
    for file in sorted(folder.rglob("*")):
        if file.is_file() and "held" not in file.relative_to(folder).parts[:-1] and file.suffix != ".pyc":
            content = file.read_bytes().decode("utf-8", "replace")
            hits = [word for word in (*FIELDS, *ids) if word in content]
            if hits and file.name not in ("bot.py", "cases.held.jsonl"):
                found[file.name] = hits[0]
    return found


def test_no_word_of_a_held_case_leaves_its_folder(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """All fields, the answer, the reason of a scorer and an exception: in `held/`, and in no other file or output."""
    ran = CliRunner().invoke(
        _app(), ["suite.yaml", "--out", "reports/one", "--junit", "junit.xml", "--baseline", "none"]
    )
    assert ran.exit_code == 0, ran.output
    inside = b"".join(file.read_bytes() for file in (project / "reports/one/held").rglob("*") if file.is_file())
    for word in FIELDS:
        assert word.encode() in inside, word
    assert words_outside(project) == {}
    spoken = ran.output + "".join(capfd.readouterr())
    assert not [word for word in FIELDS if word in spoken]
    assert "20 held-out cases" in spoken
    reports = {file.suffix for file in (project / "reports/one").iterdir()}
    assert {".html", ".md", ".json", ".jsonl"} <= reports


def _app() -> Any:
    import typer

    app = typer.Typer()
    app.command()(run_command)
    return app


def test_the_folder_is_private(project: Path) -> None:
    """Nobody else reads it, and git leaves it out."""
    evalkit.run("suite.yaml", out="one", baseline="none")
    held = project / "one/held"
    assert stat.S_IMODE(held.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in held.rglob("*") if file.is_file()} == {0o600}
    assert (held / ".gitignore").read_text(encoding="utf-8") == "*\n"


def figures(folder: str = "one") -> dict[str, Any]:
    """The shown figures of the held-out cases."""
    return dict(json.loads(Path(folder, "held.json").read_text(encoding="utf-8")))


def test_only_figures_of_ten_cases_are_shown(project: Path) -> None:
    """By cohort, with the gap to the open cases; the gate counts open ones alone."""
    evalkit.run("suite.yaml", out="one", baseline="none", reports=False)
    found = figures()
    assert found["n_cases"] == 20
    assert min(cell["n_cases"] for cell in found["cells"]) >= 10
    assert {cell["cohort"] for cell in found["cells"]} == {"overall", "topic=big"}
    assert not re.search(r"c-\d", json.dumps(found))
    summary = json.loads((project / "one/summary.json").read_text(encoding="utf-8"))
    assert summary["n_cases"] == 40
    notes = " ".join(summary["notes"])
    assert "20 held-out cases" in notes
    assert "open minus held" in notes
    again = decide_again(RunFolder(Path("one")), None, "none")
    assert again.summary.notes == tuple(summary["notes"])


def test_looks_are_counted(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run is one; from the twentieth on the notes say so."""
    monkeypatch.setattr("evalkit.gate.held_out.MANY_LOOKS", 2)
    for name in ("one", "two"):
        evalkit.run("suite.yaml", out=name, baseline="none", reports=False)
    decide_again(RunFolder(Path("two")), None, "none")
    looks = json.loads((project / ".evalkit/looks.json").read_text(encoding="utf-8"))["looks"]
    assert len(looks) == 2
    assert {look["set"] for look in looks} == {"cases"}
    assert len({look["split"] for look in looks}) == 1
    assert [figures(name)["n_looks"] for name in ("one", "two")] == [1, 2]
    notes = [json.loads(Path(name, "summary.json").read_text(encoding="utf-8"))["notes"] for name in ("one", "two")]
    assert ["rotate" in " ".join(each) for each in notes] == [False, True]


def test_a_fault_of_the_held_file_shows_nothing_of_it(project: Path) -> None:
    """The run ends before a call, with the number of problems."""
    held = held_file(project / "cases.jsonl")
    held.write_text(held.read_text(encoding="utf-8") + '{"id": "inputword", "input": 3}\n', encoding="utf-8")
    with pytest.raises(InputError, match="problem in the held-out cases") as found:
        evalkit.run("suite.yaml", out="one", baseline="none", reports=False)
    assert "inputword" not in str(found.value)


def test_without_the_file_the_run_says_so(project: Path) -> None:
    """As on a machine that does not have it; partial runs leave the split alone."""
    evalkit.run("suite.yaml", out="part", limit=5, reports=False)
    assert not (project / "part/held").exists()
    held_file(project / "cases.jsonl").unlink()
    ran = evalkit.run("suite.yaml", out="one", baseline="none", reports=False)
    assert not (project / "one/held").exists()
    notes = json.loads((project / "one/summary.json").read_text(encoding="utf-8"))["notes"]
    assert "20 held-out cases without figures: their file is not on this machine" in notes
    assert ran.decision is not None
    assert ran.decision.outcome == "approved"


def notes_of(folder: str) -> list[str]:
    """Notes of a run."""
    return list(json.loads(Path(folder, "summary.json").read_text(encoding="utf-8"))["notes"])


def test_a_partial_run_says_what_it_leaves_out(project: Path) -> None:
    """Also when it is decided again, and in the run that is made of shards."""
    evalkit.run("suite.yaml", out="part", limit=5, reports=False)
    assert "20 held-out cases left out: the run is partial" in notes_of("part")
    decide_again(RunFolder(Path("part")), None, "none")
    assert "20 held-out cases left out: the run is partial" in notes_of("part")
    for at in (1, 2):
        CliRunner().invoke(_app(), ["suite.yaml", "--shard", f"{at}/2", "--out", f"shard{at}", "--no-report"])
    merge_shards(["shard1", "shard2"], Path("merged"), {})
    assert "20 held-out cases left out: shards do not run them" in notes_of("merged")


def test_stored_answers_have_none_of_the_split(project: Path) -> None:
    """The run that scores them says so."""
    evalkit.run("suite.yaml", out="one", baseline="none", reports=False)
    evalkit.score("one", "suite.yaml", out="again", reports=False)
    assert "20 held-out cases left out: the answers are stored ones" in notes_of("again")


def test_a_dry_run_names_the_calls_for_the_split(project: Path) -> None:
    """They are not in its figures; a partial run makes none."""
    dry = CliRunner().invoke(_app(), ["suite.yaml", "--dry-run"])
    assert "Not counted: 20 held-out cases, run first." in " ".join(dry.output.split())
    dry = CliRunner().invoke(_app(), ["suite.yaml", "--dry-run", "--limit", "5"])
    assert "held-out cases, run first" not in " ".join(dry.output.split())


def test_check_names_every_call_of_a_run(project: Path) -> None:
    """The held-out cases and the variants, besides the open cases."""
    from evalkit.cli.app import app

    (project / "suite.yaml").write_text(f"{SUITE}variants: [upper]\n", encoding="utf-8")
    lines = [" ".join(line.split()) for line in CliRunner().invoke(app, ["check", "suite.yaml"]).output.splitlines()]
    assert lines[lines.index("a run makes 40 calls, 16 at once") + 1 :][:2] == [
        "besides 20 held-out cases, run first",
        "besides 40 variants",
    ]


def test_noise_does_not_use_the_split(project: Path) -> None:
    """It shows no figures of it, so its calls would be wasted, and it is no look."""
    from evalkit.cli.app import app

    ran = CliRunner().invoke(app, ["noise", "suite.yaml", "--repeat", "2", "--out", "noise"])
    assert ran.exit_code == 0, ran.output
    assert not Path("noise/held").exists()
    assert not Path(".evalkit/looks.json").exists()


def test_a_split_that_is_not_finished_has_no_figures(project: Path) -> None:
    """And the notes say why; the open cases go on."""
    suite = (project / "suite.yaml").read_text(encoding="utf-8")
    (project / "suite.yaml").write_text(suite + "deadline_s: 0.3\n", encoding="utf-8")
    bot = (project / "bot.py").read_text(encoding="utf-8")
    slow = bot.replace("    if ", "    import time\n    time.sleep(60 if 'word' in input else 0)\n    if ", 1)
    (project / "bot.py").write_text(slow.replace("60", "0.5"), encoding="utf-8")
    evalkit.run("suite.yaml", out="one", baseline="none", reports=False)
    notes = json.loads((project / "one/summary.json").read_text(encoding="utf-8"))["notes"]
    assert any(note.startswith("20 held-out cases without figures: deadline of 0.3 s reached") for note in notes)
    assert not (project / ".evalkit/looks.json").exists()


@pytest.mark.parametrize(
    "systems",
    [
        'systems:\n  a: {python: "bot:answer"}\n  b: {python: "bot:answer"}',
        'system: {python: "bot:answer", version: "{{matrix.v}}"}\nmatrix: {v: [one, two]}',
    ],
)
def test_several_systems_leave_the_split_alone(project: Path, systems: str) -> None:
    """The run says so before its first call, and no word of these cases is in any file or output of it."""
    text = SUITE.replace('system: {python: "bot:answer"}', systems)
    (project / "suite.yaml").write_text(text, encoding="utf-8")
    ran = CliRunner().invoke(_app(), ["suite.yaml", "--out", "two", "--no-report"])
    assert "held-out cases are not run with several systems" in ran.output
    for summary in project.glob("two/*/summary.json"):
        assert "20 held-out cases left out: several systems are run" in json.loads(summary.read_bytes())["notes"]
    assert not list(project.glob("two/**/held*"))
    assert words_outside(project) == {}
    assert not [word for word in FIELDS if word in ran.output]


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("present", [False, True])
def test_cases_that_are_held_out_since_the_base_are_not_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, committed: bool, present: bool
) -> None:
    """Neither as removed cases of the baseline, nor as cases in their old form; the gate lost them, which it says."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "bot.py").write_text(BOT, encoding="utf-8")
    (tmp_path / "suite.yaml").write_text(
        SUITE.replace("0.01}]", "0.01}, no_regression: {baseline: reports/before}]"), encoding="utf-8"
    )
    lines = "".join(f"{json.dumps(row(at))}\n" for at in range(60))
    (tmp_path / "cases.jsonl").write_text(lines, encoding="utf-8")
    if committed:
        for command in ("init -q", "add -A", "-c user.name=a -c user.email=a@example.com commit -qm base"):
            subprocess.run(["git", *command.split()], check=True)
    evalkit.run("suite.yaml", out="reports/before", baseline="none", reports=False)
    CliRunner().invoke(golden, ["lock", "cases.jsonl", "--held-out", "0.34"])
    ids = {case.id for case in read_held(tmp_path / "cases.jsonl") or ()}
    if not present:
        held_file(tmp_path / "cases.jsonl").unlink()
    ran = evalkit.run("suite.yaml", out="reports/now")
    decide_again(RunFolder(Path("reports/now")), None, None)
    texts = [file.read_text(encoding="utf-8") for file in Path("reports/now").iterdir() if file.is_file()]
    assert not ids & set(re.findall(r"\bc-\d+\b", "".join(texts)))
    assert ran.decision is not None
    assert any("20 cases held out (no check counts them)" in reason for reason in ran.decision.reasons)
