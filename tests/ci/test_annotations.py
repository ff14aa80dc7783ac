"""Annotations of failed gates."""

import re
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from evalkit.ci.annotations import MOST, MOST_CASES, annotations_of, case_annotations, command
from evalkit.types import Case, Output, Row, Score, Severity

SUITE = """\
name: s
golden: g.jsonl
system: {replay: golden}
scorers: [exact]
gate:
  - failures: {severity: critical, max: 0}
  - failures: {severity: high, max: 2}
  - pass_rate: {min: 0.85}
"""


def check(name: str, outcome: str = "block", **more: Any) -> dict[str, Any]:
    """A failed check of a decision."""
    known = {
        "metric": "",
        "cohort": "overall",
        "need": "<= 2",
        "observed": {"value": 3},
        "baseline": None,
        "reason": "",
    }
    return {"name": name, "outcome": outcome, **known, **more}


def test_each_gate_is_annotated_on_its_line(tmp_path: Path) -> None:
    """By name, and by the limit where two entries have one name; a check without an entry stands on the first line."""
    suite = tmp_path / "evals" / "s, 1:2.yaml"
    suite.parent.mkdir()
    suite.write_text(SUITE, encoding="utf-8")
    found = annotations_of(
        [check("failures"), check("failures", need="<= 0"), check("pass_rate", need=">= 0.85"), check("coverage")],
        suite,
        tmp_path,
    )
    assert [re.search(r",line=(\d+),", line)[1] for line in found] == ["7", "6", "8", "1"]  # type: ignore[index]
    assert found[0].startswith("::error file=evals/s%2C 1%3A2.yaml,line=7,title=evalkit%3A failures::failures 3, need")


def test_at_most_eight_and_the_blocking_ones_first(tmp_path: Path) -> None:
    """The runner would drop the rest without a word; what passed or only warned is none."""
    checks = [check("a", "no decision"), check("b", "warn"), check("c", "pass"), *(check(f"d{i}") for i in range(20))]
    found = annotations_of(checks, tmp_path / "gone.yaml", tmp_path)
    assert len(found) == MOST
    assert all("d" in line.rpartition("::")[2] for line in found)


def row(case_id: str, severity: Severity = "low", place: str = "g.jsonl:1", **more: Any) -> Row:
    """A case that failed."""
    score = Score("keywords", 0.25, more.pop("passed", False), "found 1 of 4\n::error::x")
    case = Case(id=case_id, input="?", severity=severity, place=place)
    return Row(case=case, output=Output(text="no, never"), scores={"keywords": score}, **more)


def test_new_failures_stand_on_the_lines_of_their_cases(tmp_path: Path) -> None:
    """The most severe first, ten of them, one for each case; what did not fail newly is none."""
    (tmp_path / "evals").mkdir()
    (tmp_path / "evals" / "g, 1.jsonl").touch()
    rows = [row(f"c{i:02d}", place=f"g, 1.jsonl:{i + 1}") for i in range(20)]
    rows += [row("bad", "critical", "g, 1.jsonl:31", repeat=repeat, passed=repeat == 0) for repeat in range(3)]
    rows += [row("mid", "high", "g, 1.jsonl:32"), row("old", "critical", "g, 1.jsonl:33")]
    new = [*(f"c{i:02d}" for i in range(20)), "mid", "bad"]
    found = case_annotations(rows, new, tmp_path / "evals", tmp_path)
    assert len(found) == MOST_CASES
    assert [re.search(r",line=(\d+),", line)[1] for line in found[:3]] == ["31", "32", "1"]  # type: ignore[index]
    assert found[0] == (
        "::warning file=evals/g%2C 1.jsonl,line=31,title=evalkit%3A new failure of bad (critical)::"
        'keywords 0.25 "no, never" found 1 of 4 ::error::x\n'
    )


def test_only_lines_of_files_in_the_repository_are_annotated(tmp_path: Path) -> None:
    """A packed file, a table, an address, a file that is gone or elsewhere: a case of these has no line to show."""
    root = tmp_path / "work"
    root.mkdir()
    for name in ("g.jsonl.gz", "g.parquet", "../out.jsonl", "ok.csv"):
        (root / name).touch()
    places = ["g.jsonl.gz:1", "g.parquet:1", "../out.jsonl:1", "gone.jsonl:1", "https://host/g.jsonl:1", "", "g:x"]
    places += ["a\0.jsonl:1", f"{'x' * 5000}.jsonl:1", "ok.csv:٣", "ok.csv:0"]
    rows = [row(f"c{i}", place=place) for i, place in enumerate([*places, "ok.csv:2"])]
    found = case_annotations(rows, [each.case.id for each in rows], root, root)
    assert [line.partition(",title")[0] for line in found] == ["::warning file=ok.csv,line=2"]


@given(st.text(), st.text())
def test_no_text_ends_a_command_or_starts_one(message: str, value: str) -> None:
    """Whatever the words are, a command is one line with the properties that were given."""
    line = command("error", message, file=value, line="1")
    assert line.count("\n") == 1
    assert len(line.splitlines()) == 1
    head, properties, _ = re.split(r" |::", line.removeprefix("::"), maxsplit=2)
    assert head == "error"
    assert properties.startswith("file=")
    assert not re.search(r"[:\r\n]", re.fullmatch(r"::error (.*?)::.*\n", line)[1])  # type: ignore[index]
