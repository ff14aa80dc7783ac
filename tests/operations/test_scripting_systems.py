"""`evalkit.run` of a suite with several systems: each run, the comparison, the ranks and the decision."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

import evalkit

SUITE = """\
name: shouting
golden: cases.jsonl
systems:
  old: {python: "shout:answer", arguments: {wrong: 6}}
  new: {python: "shout:answer", arguments: {wrong: 5}}
  good: {python: "shout:answer", arguments: {wrong: 60}}
scorers: [exact]
"""
SHOUT = """\
def answer(input: str, wrong: int) -> str:
    return "no idea" if int(input[1:]) % wrong == 0 else input.upper()
"""
GATE = "release: [new]\ngate: [pass_rate: 0.5, no_regression]\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose systems are wrong in every 6th, 5th and 60th case; it is the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    sys.modules.pop("shout", None)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "shout.py").write_text(SHOUT, encoding="utf-8")
    rows = [{"id": f"c{i:02d}", "input": f"q{i}", "reference": f"Q{i}"} for i in range(60)]
    (tmp_path / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "suite.yaml").write_text(SUITE + GATE, encoding="utf-8")
    return tmp_path


def ran(**options: object) -> evalkit.SystemRuns:
    """Run the suite."""
    found = evalkit.run("suite.yaml", **options)  # type: ignore[arg-type]
    assert isinstance(found, evalkit.SystemRuns)
    return found


def test_a_run_of_several_systems_gives_what_a_notebook_needs(root: Path) -> None:
    """Each system's run, the comparison with its sentence, the ranks, the decision and the exit code."""
    many = ran(out="reports/first")
    assert ["old", "new", "good"] == list(many) == list(many.runs)
    assert (48, 60) == (
        sum(row.scores["exact"].value for row in many["new"].rows()),  # type: ignore[union-attr]
        len(many["new"].to_pandas()),
    )
    assert many.comparison is not None
    assert ("old", ("new",)) == (many.comparison.reference, many.comparison.release)
    assert {"old", "new", "good"} == set(many.ranks)
    assert many.ranks["good"] is not None
    assert 1 == many.ranks["good"].best
    assert ("approved", 0) == (many.outcome.removesuffix(" with conditions"), many.exit_code)  # type: ignore[union-attr]
    assert many.decision == many["new"].decision
    assert many.reasons
    assert many.reasons[0].startswith("new approved")
    assert many.sentence
    assert "SystemRuns(" in repr(many)
    assert "reports/first" in repr(many)
    for name in ("report.html", "summary.md", "comment.json", "systems/new/report.html"):
        assert (root / "reports/first" / name).is_file(), name


def test_the_table_has_a_line_for_each_system(root: Path) -> None:
    """Figures are numbers, and what is unknown is missing."""
    table = ran(reports=False).table().set_index("system")
    assert ["old", "new", "good"] == list(table.index)
    assert pytest.approx([50 / 60, 48 / 60, 59 / 60]) == table["pass_rate"].tolist()
    assert table["difference"].isna().tolist() == [True, False, False]
    assert pytest.approx(-2 / 60) == table.loc["new", "difference"]
    assert table.loc["new", "difference_low"] < -2 / 60 < table.loc["new", "difference_high"]
    assert table["cost_usd_per_case"].isna().all()
    assert 1 == table.loc["good", "rank_best"]
    assert table.loc["old", "outcome"] is None or table["outcome"].isna().tolist() == [True, False, True]


def test_the_rows_of_all_systems_are_one_table(root: Path) -> None:
    """With a column for the system, from the runs, their folder or its path."""
    many = ran(reports=False)
    frame = many.to_pandas()
    assert {"old": 60, "new": 60, "good": 60} == frame.groupby("system").size().to_dict()
    assert frame.equals(evalkit.to_pandas(many))
    assert pytest.approx(48 / 60) == frame[frame["system"] == "new"]["value"].mean()


def test_a_stored_run_of_several_systems_is_read_and_decided_again(root: Path) -> None:
    """As it was decided, and by the current gate."""
    many = ran(out="reports/first", reports=False)
    again = evalkit.load_run("reports/first")
    assert isinstance(again, evalkit.SystemRuns)
    assert (many.outcome, many.reasons, many.exit_code, many.ranks) == (
        again.outcome,
        again.reasons,
        again.exit_code,
        again.ranks,
    )
    assert many.comparison == again.comparison
    (root / "suite.yaml").write_text(SUITE + GATE.replace("0.5", "0.99"), encoding="utf-8")
    decided = evalkit.decide(many)
    assert isinstance(decided, evalkit.SystemRuns)
    assert ("blocked", 1) == (decided.outcome, decided.exit_code)
    assert decided.decision is not None
    assert "pass_rate" in decided.decision.reasons[0]


def test_without_release_the_systems_are_only_compared(root: Path) -> None:
    """There is no decision, and the exit code is 0."""
    (root / "suite.yaml").write_text(SUITE, encoding="utf-8")
    many = ran(reports=False)
    assert ("compared", None, 0, ()) == (many.outcome, many.decision, many.exit_code, many.reasons)
    limited = ran(limit=10, reports=False)
    assert ("no decision", 3) == (limited.outcome, limited.exit_code)
    assert "--limit 10" in limited.reasons[0]


def test_it_runs_where_an_event_loop_is_running(root: Path) -> None:
    """As in a notebook."""

    async def cell() -> evalkit.SystemRuns:
        return ran(reports=False)

    assert "compared" != asyncio.run(cell()).outcome


def test_one_of_the_runs_is_taken_wherever_a_run_is(root: Path) -> None:
    """A run of several is refused there, with the names of its systems."""
    many = ran(out="reports/first", reports=False)
    found = evalkit.compare(many["old"], many["new"]).comparison
    assert found is not None
    assert 60 == found.n_paired
    with pytest.raises(evalkit.InputError, match="holds the runs of 3 systems"):
        evalkit.compare(many, many)
    with pytest.raises(KeyError):
        many["nobody"]


def test_a_run_that_was_stopped_has_no_comparison(root: Path) -> None:
    """Its runs can be read, and it can be resumed."""
    ran(out="reports/first", reports=False)
    for name in ("decision.json", "comparison.json"):
        (root / "reports/first" / name).unlink()
    (root / "reports/first/systems/new/decision.json").unlink()
    found = evalkit.load_run("reports/first")
    assert isinstance(found, evalkit.SystemRuns)
    assert (None, None, None, {}) == (found.outcome, found.exit_code, found.comparison, found.ranks)
    assert 60 == len(list(found["new"].rows()))
    assert ran(out="reports/first", resume=True, reports=False).comparison is not None


def test_a_damaged_decision_is_refused(root: Path) -> None:
    """With the file."""
    ran(out="reports/first", reports=False)
    (root / "reports/first/decision.json").write_text('{"outcome": 5}', encoding="utf-8")
    with pytest.raises(evalkit.InputError, match=r"decision\.json"):
        evalkit.load_run("reports/first")
