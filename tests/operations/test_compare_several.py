"""More than two systems of one file are compared on one page."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from scipy import stats

from evalkit.errors import InputError
from evalkit.operations.compare_files import ColumnFlags, Comparing
from evalkit.operations.compare_several import compare_several, systems_of
from evalkit.report.headline import AS_THEY_ARE
from evalkit.report.systems.console import print_systems
from evalkit.report.systems.write import compared_view
from evalkit.store.comparison import stored_comparison

N = 60
FAILS = {"today": range(10), "small": range(30), "large": range(5)}
"""System -> the cases that it fails."""


def write_table(path: Path) -> Path:
    """Write a row for each case and system."""
    lines = ["id,question,topic,model,correct"]
    for name, failed in FAILS.items():
        for number in range(N):
            right = str(number not in failed).lower()
            lines.append(f"q{number},Where is {number}?,{'ab'[number % 2]},{name},{right}")
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return path


def test_each_system_is_compared_with_the_first(tmp_path: Path) -> None:
    """By hand: `small` breaks 20 cases and mends none, `large` mends 5; the figures are 50, 30 and 55 of 60."""
    request = Comparing(before=str(write_table(tmp_path / "all.csv")), system="model")
    names = systems_of(request)
    assert names == ("today", "small", "large")
    found = compare_several(request, names, tmp_path / "out").comparison
    systems = {each.name: each for each in found.systems}
    assert found.reference == "today"
    assert found.primary == "correct"
    assert {name: each.primary.value for name, each in systems.items()} == pytest.approx(
        {"today": 50 / 60, "small": 30 / 60, "large": 55 / 60}
    )
    small, large = systems["small"], systems["large"]
    assert small.difference is not None
    assert small.difference.value == pytest.approx(-20 / 60)
    assert small.p_value is not None
    assert small.p_value == pytest.approx(2 * stats.binom.cdf(0, 20, 0.5), abs=1e-3)
    assert large.difference is not None
    assert large.difference.value == pytest.approx(5 / 60)
    assert [each.frontier for each in found.systems] == ["unknown"] * 3
    assert stored_comparison(tmp_path / "out") == found
    view = compared_view(tmp_path / "out", found, suite="", reports=True)
    assert view.outcome is None
    assert "Where is 7?" not in (tmp_path / "out" / "summary.md").read_text(encoding="utf-8")
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000


def test_what_the_file_cannot_show_is_said(tmp_path: Path) -> None:
    """Who graded is unknown, which columns were read, that a model graded; no suite and no report is promised."""
    asked = ColumnFlags(judged=("correct",))
    request = Comparing(before=str(write_table(tmp_path / "all.csv")), system="model", asked=asked)
    found = compare_several(request, systems_of(request), tmp_path / "out").comparison
    text = "\n".join(found.notes)
    for said in (AS_THEY_ARE, "a model gave the grades of correct", "read as `correct`", "cases are paired by `id`"):
        assert said in text, said
    assert len(found.notes) == len(set(found.notes))
    assert "both files" not in text
    view = compared_view(tmp_path / "out", found, suite="", reports=True)
    console = Console(width=80, record=True, file=io.StringIO())
    print_systems(view, console)
    assert "note  these grades are taken as they are" in console.export_text()
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "read as `correct`" in page
    assert "a click on the cell opens" not in page
    assert "prices:" not in page


def test_another_reference_comes_first(tmp_path: Path) -> None:
    """The reference is the system that the user names; an unknown one is refused with those that there are."""
    file = str(write_table(tmp_path / "all.csv"))
    assert systems_of(Comparing(before=file, system="model", reference="large")) == ("large", "today", "small")
    with pytest.raises(InputError, match="it holds 'today', 'small', 'large'"):
        systems_of(Comparing(before=file, system="model", reference="huge"))


def test_two_named_systems_are_compared_by_the_gate(tmp_path: Path) -> None:
    """The page is for more than two."""
    file = str(write_table(tmp_path / "all.csv"))
    assert systems_of(Comparing(before=file, system="model", systems=("today", "small"))) == ()
    assert systems_of(Comparing(before=file)) == ()


def test_a_gate_decides_about_two(tmp_path: Path) -> None:
    """Flags that decide are refused, with what to add."""
    request = Comparing(
        before=str(write_table(tmp_path / "all.csv")),
        system="model",
        gate=tmp_path / "gate.yaml",
        labels=(tmp_path / "people.jsonl",),
    )
    with pytest.raises(InputError, match=r"--gate: decides about two systems.*--before and --after") as refused:
        compare_several(request, systems_of(request), tmp_path / "out")
    assert [problem.place for problem in refused.value.problems] == ["--gate", "--labels"]
    assert not (tmp_path / "out").exists()
