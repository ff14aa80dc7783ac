"""Annotations of failed gates."""

import re
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from evalkit.ci.annotations import MOST, annotations_of, command

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
