"""The cases as a table for spreadsheets and pandas."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import report_samples

from evalkit.report.table import write_table
from evalkit.report.view import View
from evalkit.types import Case, Failure, Output, Row, Score, Unscored

TRAPS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1+1", "＝1+1", '=HYPERLINK("http://x.test")', "'=1")


def written(path: Path, view: View, rows: Iterable[Row], before: Iterable[Row] | None = None) -> list[dict[str, str]]:
    """Write rows and read them as a spreadsheet would."""
    kept, old = list(rows), None if before is None else list(before)
    write_table(path, view, lambda: kept, None if old is None else lambda: old)
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, strict=True))


@pytest.fixture
def lines(tmp_path: Path, view: View) -> list[dict[str, str]]:
    """The hand-made run."""
    return written(tmp_path / "cases.csv", view, report_samples.stored_rows(), report_samples.stored_baseline_rows())


def test_each_case_and_repeat_is_one_row(lines: list[dict[str, str]], view: View) -> None:
    """What the case is, how it ended, what was answered, and a value, a state, a reason and the baseline by metric."""
    assert len(lines) == len(list(report_samples.stored_rows()))
    first = next(line for line in lines if line["case_id"] == "aml-0000")
    assert {name: first[name] for name in ("repeat", "kind", "cohort.domain", "state", "verdict", "change")} == {
        "repeat": "0", "kind": "golden", "cohort.domain": "aml", "state": "scored", "verdict": "failed",
        "change": "new failure",
    }  # fmt: skip
    row = next(row for row in report_samples.stored_rows() if row.case.id == "aml-0000")
    grade, output = row.scores["keywords"], row.output
    assert isinstance(grade, Score) and output is not None
    assert (float(first["keywords"]), first["keywords.state"]) == (grade.value, "failed")
    assert first["answer"] == output.text
    assert float(first["keywords.baseline"]) > grade.value


def test_what_is_unknown_is_empty_and_its_state_says_why(lines: list[dict[str, str]]) -> None:
    """A missing score or answer is an empty cell, never 0, with the kind of what went wrong beside it."""
    failed = next(line for line in lines if line["case_id"] == "markets-0011")
    assert (failed["state"], failed["error"], failed["answer"], failed["keywords"]) == (
        "system_error",
        "timeout",
        "",
        "",
    )
    missing = [line for line in lines if line["correctness.state"].startswith("unscored")]
    assert missing
    assert all(line["correctness"] == "" for line in missing)
    assert {line["correctness.state"] for line in missing} == {"unscored: judge_error"}
    skipped = next(line for line in lines if line["state"] == "skipped")
    assert skipped["error"] == "disabled in the golden set"


@pytest.mark.parametrize("trap", TRAPS)
def test_no_text_is_a_formula(tmp_path: Path, view: View, trap: str) -> None:
    """A cell of text that a spreadsheet would run begins with an apostrophe, in every column; numbers stay numbers."""
    case = Case(id=trap, input=trap, reference=(trap,), cohorts={"domain": trap}, digest="d")
    scores = {
        "keywords": Score("keywords", -0.5, passed=False, reason=trap),
        "similarity": Unscored("similarity", trap, trap),
    }
    rows = [
        Row(case=case, output=Output(text=trap), scores=scores),
        Row(case=replace(case, id=f"x{trap}"), failure=Failure(trap, trap)),
    ]
    for line in written(tmp_path / "cases.csv", view, rows):
        for name, cell in line.items():
            if name != "keywords":
                assert not cell.lstrip().startswith(("=", "+", "-", "@", "＝")), (name, cell)
        assert line["keywords"] in ("-0.5", "")


def test_pandas_reads_numbers_as_numbers(tmp_path: Path, lines: list[dict[str, str]]) -> None:
    """The file is read without options: numbers are floats, what is missing is NaN, the first column has its name."""
    frame = pd.read_csv(tmp_path / "cases.csv")
    assert list(frame.columns)[:2] == ["case_id", "repeat"]
    assert len(frame) == len(lines)
    assert frame["keywords"].dtype == float
    assert frame["latency_s"].dtype == float
    assert frame.loc[frame["case_id"] == "markets-0011", "keywords"].isna().all()


def test_a_column_of_a_metric_never_hides_another(tmp_path: Path, view: View) -> None:
    """A cohort or metric of any name keeps a column of its own."""
    case = Case(id="a", input="q", reference=(), cohorts={"state": "x"}, digest="d")
    scores = {name: Score(name, 1.0, passed=True) for name in ("state", "answer", "keywords", "keywords.state")}
    path = tmp_path / "cases.csv"
    written(path, view, [Row(case=case, output=Output(text="t"), scores=scores)])
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file))
    assert len(header) == len(set(header))


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path, view: View) -> None:
    """As `--csv /dev/stdout` asks; a file is replaced, a device never."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_table(pipe, view, lambda: [], None)
        assert pipe.is_fifo()
        assert os.read(reader, 100).startswith(b"\xef\xbb\xbfcase_id,")
    finally:
        os.close(reader)
