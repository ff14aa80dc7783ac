"""`evalkit golden leaks` and the gate's `leakage`: which cases a system knows, and what their scores hide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from evalkit import run
from evalkit.cli.golden import golden
from evalkit.gate.leakage import Leakage, leakage_checks
from evalkit.operations.run import decide_again
from evalkit.store.folder import RunFolder

PROMPT = "Answer in short.\nExample: Which fee is due for case 3 of the list?\n"


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite whose system answers half of the cases, and case 3 right."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    rows = [
        {"id": f"c{at}", "input": f"Which fee is due for case {at} of the list?", "reference": f"secretword {at}",
         "output": f"secretword {at}" if at % 2 else "no"}
        for at in range(10)
    ]  # fmt: skip
    (tmp_path / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "prompt.txt").write_text(PROMPT, encoding="utf-8")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.md").write_text("# Fees\n\nWhich fee is due for case 4 of the list? secretword 4\n")
    return write(tmp_path, "{path: cases.jsonl, prompts: [prompt.txt], corpus: [docs]}")


def write(folder: Path, source: str, gate: str = "[pass_rate: {min: 0.1}]") -> Path:
    """Write the suite."""
    file = folder / "suite.yaml"
    text = f"name: fees\ngolden: {source}\nsystem: {{replay: golden}}\nscorers: [exact]\ngate: {gate}\n"
    file.write_text(text, encoding="utf-8")
    return file


def leaks(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(golden, ["leaks", *arguments])


def test_a_leak_is_shown_with_file_and_line_and_without_text(suite: Path) -> None:
    """Exit code 1 for a case in the prompts; nothing of question or answer is printed."""
    ran = leaks("suite.yaml")
    assert ran.exit_code == 1
    assert ran.stdout.splitlines() == [
        "prompts prompt.txt:2: whole question c3 (cases.jsonl:4)",
        "corpus docs/a.md:3: whole question c4 (cases.jsonl:5), with its answer",
        "1 of 10 cases in 1 file of prompts",
        "1 of 10 cases in 1 file of corpus",
    ]
    shown = leaks("suite.yaml", "--json")
    record = json.loads(shown.stdout)
    assert record["flagged"] == {"prompts": ["c3"], "corpus": ["c4"]}
    assert record["leaks"][0]["place"] == "prompt.txt:2"
    assert not any(word in ran.output + shown.output for word in ("secretword", "due for case"))


def test_a_leak_into_a_corpus_alone_is_no_failure(suite: Path) -> None:
    """Exit code 0."""
    write(suite.parent, "{path: cases.jsonl, corpus: [docs]}")
    assert leaks("suite.yaml").exit_code == 0


def test_files_of_other_kinds_are_counted(suite: Path) -> None:
    """A folder of prompts that are not read does not pass silently."""
    for name in ("a.j2", "b.toml", "c.png", "deep/d.weights", ".hidden"):
        file = suite.parent / "prompts" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x", encoding="utf-8")
    write(suite.parent, "{path: cases.jsonl, prompts: [prompts], corpus: [docs]}")
    assert leaks("suite.yaml").stdout.splitlines()[-2:] == [
        "0 of 10 cases in 2 files of prompts, 2 files of other kinds left out",
        "1 of 10 cases in 1 file of corpus",
    ]
    assert json.loads(leaks("suite.yaml", "--json").stdout)["left_out"] == {"prompts": 2, "corpus": 0}


def test_the_effect_on_the_pass_rate_is_shown(suite: Path) -> None:
    """One flagged case passes, one fails; of the other eight, half pass."""
    run("suite.yaml", out="run", reports=False)
    record = json.loads(leaks("suite.yaml", "--run", "run", "--json").stdout)["effect"]
    assert (record["chosen"]["value"], record["chosen"]["n"]) == (0.5, 2)
    assert (record["others"]["value"], record["others"]["n"]) == (0.5, 8)
    assert record["difference"]["low"] < 0 < record["difference"]["high"]
    assert "pass rate of the others   50% [22, 78]" in leaks("suite.yaml", "--run", "run").stdout


def manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a run."""
    return dict(json.loads((folder / "manifest.json").read_text(encoding="utf-8")))


def test_the_gate_blocks_a_run_whose_prompt_holds_a_case(suite: Path) -> None:
    """The corpus is searched where the gate asks for it; a stored run is decided by what was found then."""
    folder = suite.parent
    source = "{path: cases.jsonl, prompts: [prompt.txt], corpus: [docs]}"
    write(folder, source, "[pass_rate: {min: 0.1}, leakage: {max: 0, of: prompts}]")
    decision = run("suite.yaml", out="one", reports=False).decision
    assert decision is not None
    assert decision.outcome == "blocked"
    assert "1 case in prompts, need <= 0 cases in prompts: c3" in " ".join(decision.reasons)
    assert manifest(folder / "one")["leaked"] == {"prompts": ["c3"]}
    again = decide_again(RunFolder(folder / "one"), None, None).decision
    assert (again.outcome, again.reasons) == ("blocked", decision.reasons)
    write(folder, source, "[pass_rate: {min: 0.1}, leakage: {max: 1, of: corpus}]")
    unknown = decide_again(RunFolder(folder / "one"), None, None).decision
    assert unknown.outcome == "no decision"
    assert "the corpus were not searched" not in " ".join(unknown.reasons)
    run("suite.yaml", out="two", reports=False)
    assert manifest(folder / "two")["leaked"] == {"prompts": ["c3"], "corpus": ["c4"]}
    write(folder, "cases.jsonl")
    run("suite.yaml", out="three", reports=False)
    assert "leaked" not in manifest(folder / "three")


def test_what_was_not_searched_gives_no_decision() -> None:
    """Unknown is not zero."""
    (check,) = leakage_checks(Leakage(of="corpus"), {"prompts": ["c1"]})
    assert check.outcome == "no decision"
    (check,) = leakage_checks(Leakage(of="prompts", on_fail="warn"), {"prompts": ["c1"]})
    assert check.outcome == "warn"
    (check,) = leakage_checks(Leakage(), {"prompts": []})
    assert check.outcome == "pass"


@pytest.mark.parametrize(
    ("source", "gate", "message"),
    [
        ("cases.jsonl", "[leakage: 0]", "suite.yaml:5:8 gate[0].leakage: the suite names no prompts to search"),
        ("{path: cases.jsonl, prompts: [p*.txt]}", "[leakage: {of: web}]", "of"),
        ("{path: cases.jsonl, prompts: [none.txt]}", "[leakage: 0]", "no file 'none.txt' that can be searched"),
        ("cases.jsonl", "[exact: 0.1]", "has none of prompts, corpus, trained_on"),
    ],
)
def test_what_cannot_be_searched_is_refused(suite: Path, source: str, gate: str, message: str) -> None:
    """Each with its place in the suite and a line to copy."""
    write(suite.parent, source, gate)
    ran = leaks("suite.yaml")
    assert message in f"{ran.exception} {ran.output}"


RUBRIC = """---
name: mine
version: 1
scale: pass_fail
{more}---
Grade {{{{answer}}}} to {{{{question}}}}.
Example: Which fee is due for case 3 of the list?
Example: Which fee is due for case 5 of the list?
"""


def test_rubrics_of_the_judges_are_prompts(suite: Path) -> None:
    """A rubric of the user is searched without being named; a case that it says it shows as an example is known."""
    folder = suite.parent
    (folder / "rubrics").mkdir()
    rubric = folder / "rubrics/mine.md"
    rubric.write_text(RUBRIC.format(more=""), encoding="utf-8")
    text = "name: fees\ngolden: cases.jsonl\nsystem: {replay: golden}\n"
    text += "judge: {chat: {model: m, base_url: http://127.0.0.1:1/v1}}\n"
    text += "scorers: [exact, judge: {name: fine, rubric: rubrics/mine.md, advisory: true}]\n"
    (folder / "suite.yaml").write_text(text + "gate: [leakage: {max: 0, of: prompts}]\n", encoding="utf-8")
    ran = leaks("suite.yaml")
    assert (ran.exit_code, ran.exception.__class__.__name__) == (1, "SystemExit"), ran.exception
    assert [line for line in ran.stdout.splitlines() if "c3" in line or "c5" in line] == [
        "prompts rubrics/mine.md:7: whole question c3 (cases.jsonl:4)",
        "prompts rubrics/mine.md:8: whole question c5 (cases.jsonl:6)",
    ]
    assert "2 of 10 cases in 1 file of prompts" in ran.stdout
    rubric.write_text(RUBRIC.format(more="examples: [c3, c5]\n"), encoding="utf-8")
    assert leaks("suite.yaml").exit_code == 0
    rubric.write_text(RUBRIC.format(more="examples: [c3]\n"), encoding="utf-8")
    assert json.loads(leaks("suite.yaml", "--json").stdout)["flagged"]["prompts"] == ["c5"]
