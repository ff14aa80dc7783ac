"""The index of a golden set counts for the suite that it was made for, and says what `check` said of its rows."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import InputError
from evalkit.golden import json_lines, stored_index
from evalkit.operations.check import SoundSuite, check_suite

SUITE = """name: faq
golden: cases.jsonl
system: {python: "bot:answer"}
scorers:
  - exact
  - keywords: {when: {kind: canary}}
  - length: {max: 50, when: {severity: low}}
cohorts: [topic]
gate:
  - pass_rate: {min: 0.5, by: topic, critical: [fees]}
  - canary: {rule: 2 of 3}
"""


@pytest.fixture(autouse=True)
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Index small sets, and return the rows that are parsed."""
    monkeypatch.setattr(stored_index, "LEAST_BYTES", 0)
    lines: list[bytes] = []
    parse = json_lines.parse_row

    def noted(line: bytes, *rest: Any) -> dict[str, Any] | None:
        lines.append(line)
        return parse(line, *rest)

    monkeypatch.setattr(json_lines, "parse_row", noted)
    return lines


def project(folder: Path, **changes: Any) -> Path:
    """Write a suite and its set."""
    folder.mkdir()
    (folder / "bot.py").write_text("def answer(input):\n    return 'r'\n", encoding="utf-8")
    (folder / "pyproject.toml").write_text("", encoding="utf-8")
    rows = [
        {"id": f"c{n}", "input": f"q{n}", "reference": "r", "cohorts": {"topic": ("fees", "hours")[n % 2]}}
        for n in range(8)
    ]
    rows[3] |= {"kind": "canary", "required": ["r"], **changes}
    (folder / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    suite = folder / "suite.yaml"
    suite.write_text(SUITE, encoding="utf-8")
    return suite


def checked(suite: Path) -> SoundSuite:
    """Check a suite."""
    return asyncio.run(check_suite(suite, dict(HOME=str(suite.parent.parent))))


def said(suite: Path) -> tuple[Any, ...]:
    """Return what a check says of the cases."""
    found = checked(suite)
    golden = found.prepared.golden
    return found.prepared.warnings, golden.warnings, golden.n_cases, golden.cohort_counts, golden.sha256, found.calls


def test_a_second_check_says_the_same_without_the_rows(tmp_path: Path, parsed: list[bytes]) -> None:
    """Warnings about gates and scorers come from counts that are stored too."""
    suite = project(tmp_path / "p")
    first = said(suite)
    assert len(first[0]) >= 2
    parsed.clear()
    assert said(suite) == first and not parsed


@pytest.mark.parametrize(
    ("old", "new", "reads"),
    [
        ("kind: canary", "kind: adversarial", True),
        ("- exact", "- similarity: {min: 0.5}", True),
        ("min: 0.5, by", "min: 0.6, by", False),
        ("rule: 2 of 3", "rule: 2 of 3, on_fail: warn", False),
        (", by: topic, critical: [fees]", "", True),
        ("cohorts: [topic]", "cohorts: [topic, query_length]", True),
        ("golden: cases.jsonl", "golden: {path: cases.jsonl, make_ids: true}", True),
    ],
)
def test_an_edited_suite_reads_the_rows_if_they_may_mean_something_else(
    tmp_path: Path, parsed: list[bytes], old: str, new: str, reads: bool
) -> None:
    """A scorer, its condition, a cohort; but not the limit of a gate."""
    suite = project(tmp_path / "p")
    checked(suite)
    assert old in SUITE
    suite.write_text(SUITE.replace(old, new), encoding="utf-8")
    parsed.clear()
    with_index = said(suite)
    assert bool(parsed) == reads
    for file in tmp_path.glob("p/.evalkit/sets/*.idx"):
        file.unlink()
    assert with_index == said(suite)


def test_what_a_scorer_cannot_read_is_told_at_every_check(tmp_path: Path) -> None:
    """A case with unreadable keywords stays a problem, although the rows themselves are sound."""
    suite = project(tmp_path / "p", required="")
    told = []
    for _ in range(2):
        with pytest.raises(InputError) as error:
            checked(suite)
        told.append([str(each) for each in error.value.problems])
    assert told[0] == told[1] and told[0]
    assert not list(tmp_path.glob("**/*.idx"))
