"""`evalkit golden report`: what one page says of a golden set, and that no text of a case is on it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from evalkit import run
from evalkit.cli.golden import golden
from evalkit.report.golden_page import GoldenPart, write_golden_page

SUITE = """name: fees
golden: {{path: cases.jsonl, prompts: [prompt.txt]}}
system: {{replay: golden}}
scorers: [exact]
cohorts: [topic]
{extra}gate: [pass_rate: {{min: 0.1}}]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set with 40 cases on cards and 12 on loans, the last nearly the first; case c7 is in the prompt."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    words = [chr(97 + at // 26) + chr(97 + at % 26) for at in range(64)]
    rows: list[dict[str, Any]] = [
        {
            "id": f"c{at}",
            "input": f"{' '.join(word * 3 + str(at * 31 % 97) for word in words[at : at + 12])[:60]} secretquestion?",
            "reference": f"secretanswer {at}",
            "output": f"secretanswer {at}",
            "topic": "cards" if at < 40 else "loans",
        }
        for at in range(52)
    ]
    rows[51]["input"] = rows[0]["input"].replace("?", "??")
    (tmp_path / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "prompt.txt").write_text(f"Answer in short.\n{rows[7]['input']}\n", encoding="utf-8")
    (tmp_path / "suite.yaml").write_text(SUITE.format(extra=""), encoding="utf-8")
    return tmp_path


def report(*arguments: str) -> tuple[dict[str, str], Result]:
    """Run the command: name of the part -> what is printed of it, on one line."""
    ran = CliRunner().invoke(golden, ["report", "suite.yaml", *arguments])
    whole = re.sub(r"\n {29}", " ", ran.output)
    return {line.split("  ")[0]: line for line in whole.splitlines() if "  " in line}, ran


def test_each_part_says_what_it_found_or_what_it_needs(project: Path) -> None:
    """Without a lock, runs or production nothing is guessed; with them each part is a sentence."""
    said, ran = report()
    assert ran.exit_code == 0, ran.output
    assert max(map(len, ran.output.splitlines())) <= 80
    assert list(said) == ["Coverage", "Near-duplicates", "Leaks", "Items", "Lock", "Card", "Age"]
    assert [name for name, line in said.items() if "not known" in line] == ["Coverage", "Items", "Lock", "Age"]
    assert "1 pair of 52 cases: 1 likely the same, 0 likely another meaning." in said["Near-duplicates"]
    assert "wrong       Cases that were found: 1 of 52 in 1 file of prompts." in said["Leaks"]
    assert "to look at  Missing or wrong: owner," in said["Card"]
    page = (project / "golden.html").read_text(encoding="utf-8")
    assert "cases.jsonl is not locked" in page.replace("cases.jsonl: is", "cases.jsonl is")
    assert "evalkit golden lock cases.jsonl" in page


def test_a_locked_set_with_runs_is_known_whole(project: Path) -> None:
    """Coverage by the suite's production, items from a stored run, the lock and since when cases are in the set."""
    extra = "production: {topic=cards: 0.7, topic=loans: 0.3}\n"
    (project / "suite.yaml").write_text(SUITE.format(extra=extra), encoding="utf-8")
    assert CliRunner().invoke(golden, ["lock", "cases.jsonl"]).exit_code == 0
    run("suite.yaml", out="reports/first")
    said, ran = report("--out", "pages/fees.html")
    assert ran.exit_code == 0, ran.output
    assert not [line for line in said.values() if "not known" in line]
    assert "to look at  The cases cover 82% of production." in said["Coverage"]
    assert "1 run of 1 version" in said["Items"]
    assert "in order    The set is the one that was locked as version" in said["Lock"]
    assert "52 of 52." in said["Age"]
    assert "loans" in (project / "pages/fees.html").read_text(encoding="utf-8")
    first, *others = (project / "cases.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (project / "cases.jsonl").write_text(first + "".join(others[1:]), encoding="utf-8")
    said, _ = report("--mix", "cards=0.999,loans=0.001")
    assert "wrong       The set differs from its lock" in said["Lock"]
    assert "in order    The cases cover >99% of production." in said["Coverage"]


def test_no_text_of_a_case_is_on_the_page(project: Path) -> None:
    """Nor on the console: only ids and places."""
    _, ran = report()
    assert ran.exit_code == 0, ran.output
    for text in (ran.output, (project / "golden.html").read_text(encoding="utf-8")):
        assert "secret" not in text


@pytest.mark.parametrize(("words", "said"), [(["--mix", "moon=1"], ""), (["--production", "no.jsonl"], "no file")])
def test_shares_that_are_given_must_be_usable(words: list[str], said: str, project: Path) -> None:
    """A wrong file is an error, and not an unknown part; a kind without a case is no coverage."""
    found, ran = report(*words)
    if said:
        assert said in str(ran.exception)
        assert not (project / "golden.html").exists()
    else:
        assert "to look at  The cases cover 0%" in found["Coverage"]


def test_hostile_names_are_shown_as_text(tmp_path: Path) -> None:
    """An id may hold markup, or characters that reorder a line."""
    part = GoldenPart(
        name="Leaks",
        tone="block",
        finding="<script>alert(1)</script>",
        headings=("Case",),
        rows=(("<img src=x onerror=alert(1)>",), ("abc\u202edef",)),
    )
    write_golden_page(tmp_path / "page.html", "<b>suite</b>", ("<i>set</i>",), (part,))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "<b>suite" not in page
    assert "\u202e" not in page
