"""The comparison of two files of results: figures worked by hand and by scipy, one answer in every format."""

from __future__ import annotations

import csv
import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook
from scipy import stats

import evalkit
from evalkit.errors import ExitCode, InputError
from evalkit.operations.compare_files import ColumnFlags, Comparing, compare_files
from evalkit.operations.run import Result
from evalkit.report.write import material_of, view_of
from evalkit.results import Check
from evalkit.store.folder import RunFolder
from evalkit.store.journal import Journal
from evalkit.types import Failure, Row, Score, Unscored

Rows = list[dict[str, Any]]


def made_by_another_tool(n: int = 500, drop: float = 0.0, seed: int = 0, topics: str = "billing shipping") -> Rows:
    """Results as an eval script writes them: an id, the question, a cohort, pass or fail, and a score of 1 to 5."""
    truth, run = random.Random(1), random.Random(seed)
    names = topics.split()
    rows = []
    for number in range(n):
        topic, ease = names[number % len(names)], truth.random()
        correct = run.random() < max(0.0, (0.95 if ease < 0.85 else 0.3) - (drop if topic == names[0] else 0))
        score = min(5.0, max(1.0, round(3 + correct + run.gauss(0, 0.6), 2)))
        rows.append(
            {
                "case_id": f"q{number:04}",
                "question": f"What about order {number}?",
                "topic": topic,
                "correct": correct,
                "rating": score,
            }
        )
    return rows


def write_csv(path: Path, rows: Rows, *, separator: str = ",", encoding: str = "utf-8", comma: bool = False) -> Path:
    """Write rows as a spreadsheet exports them."""

    def text(value: object) -> str:
        return str(value).replace(".", ",") if comma and isinstance(value, float) else str(value)

    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(rows[0])
        writer.writerows([text(value) for value in row.values()] for row in rows)
    return path


def write_jsonl(path: Path, rows: Rows) -> Path:
    """Write one object a line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_json(path: Path, rows: Rows) -> Path:
    """Write the rows under `results`, as many tools do."""
    path.write_text(json.dumps({"version": 3, "results": rows}), encoding="utf-8")
    return path


def write_parquet(path: Path, rows: Rows) -> Path:
    """Write typed columns."""
    pq.write_table(pa.Table.from_pylist(rows), path)  # type: ignore[no-untyped-call]
    return path


def write_xlsx(path: Path, rows: Rows) -> Path:
    """Write a workbook of one sheet."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(list(rows[0]))
    for row in rows:
        sheet.append(list(row.values()))
    book.save(path)
    return path


WRITERS: dict[str, Callable[[Path, Rows], Path]] = {
    "plain.csv": write_csv,
    "bom.csv": lambda path, rows: write_csv(path, rows, encoding="utf-8-sig"),
    "utf16.csv": lambda path, rows: write_csv(path, rows, encoding="utf-16"),
    "semicolons.csv": lambda path, rows: write_csv(path, rows, separator=";", comma=True),
    "tabs.tsv": lambda path, rows: write_csv(path, rows, separator="\t"),
    "lines.jsonl": write_jsonl,
    "whole.json": write_json,
    "typed.parquet": write_parquet,
    "book.xlsx": write_xlsx,
}


@pytest.fixture
def compare(tmp_path: Path) -> Iterator[Callable[..., Result]]:
    """Compare two lists of rows, or two files."""
    made = iter(range(100))

    def compared(before: Rows | Path, after: Rows | Path, **asked: Any) -> Result:
        number = next(made)
        files = [
            write_csv(tmp_path / f"{number}-{name}.csv", side) if isinstance(side, list) else side
            for name, side in (("before", before), ("after", after))
        ]
        request = Comparing(before=str(files[0]), after=str(files[1]), asked=ColumnFlags(**asked))
        return compare_files(request, tmp_path / f"{number}-out")

    yield compared


def check_of(result: Result, metric: str, cohort: str = "overall") -> Check:
    """The check of a metric in a cohort."""
    (found,) = [
        check
        for check in result.decision.checks
        if (check.name, check.metric, check.cohort) == ("no_regression", metric, cohort)
    ]
    return found


def pass_fail(before: str, after: str) -> tuple[Rows, Rows]:
    """Rows of cases that passed (`p`) or failed (`f`) on each side."""
    sides = [[{"id": f"c{i:02}", "correct": mark == "p"} for i, mark in enumerate(marks)] for marks in (before, after)]
    return sides[0], sides[1]


def test_eight_cases_that_break_one_way_block_by_the_sign_test(compare: Callable[..., Result]) -> None:
    """By hand: 8 of 8 flips in one direction, p = 1/2^8 = 0.0039; 20 of 20 against 12 of 20 is a drop of 40 points."""
    result = compare(*pass_fail("p" * 20, "f" * 8 + "p" * 12))
    check = check_of(result, "correct")
    assert check.p_value == pytest.approx(stats.binomtest(8, 8, alternative="greater").pvalue, abs=0.002)
    assert check.drop is not None
    assert check.drop.value == pytest.approx(0.4)
    assert (check.outcome, result.decision.outcome, result.exit_code) == ("block", "blocked", ExitCode.BLOCKED)
    found = result.decision.comparison
    assert found is not None
    assert set(found.new_failures) == {f"c{i:02}" for i in range(8)}


def test_four_cases_that_break_are_not_enough(compare: Callable[..., Result]) -> None:
    """By hand: p = 1/2^4 = 0.0625 is a warning (up to 0.10), never a block."""
    result = compare(*pass_fail("p" * 20, "f" * 4 + "p" * 16))
    assert check_of(result, "correct").p_value == pytest.approx(1 / 16, abs=0.01)
    assert result.decision.outcome == "approved with conditions"
    assert result.exit_code == ExitCode.APPROVED


def test_the_p_value_of_scores_is_that_of_a_paired_permutation_test(compare: Callable[..., Result]) -> None:
    """Scipy flips the signs of the same differences; the interval is that of a paired t test."""
    rng = np.random.default_rng(5)
    old = np.round(rng.uniform(2, 5, 60), 2)
    new = np.round(np.clip(old - 0.15 + rng.normal(0, 0.5, 60), 1, 5), 2)
    sides = [[{"id": f"{i}", "rating": float(x)} for i, x in enumerate(values)] for values in (old, new)]
    check = check_of(compare(*sides), "rating")
    oracle = stats.permutation_test(
        (old - new,), np.mean, permutation_type="samples", alternative="greater", n_resamples=99_999, rng=rng
    )
    assert check.p_value == pytest.approx(oracle.pvalue, abs=0.006)
    ends = stats.ttest_rel(old, new).confidence_interval(0.95)
    assert check.drop is not None
    assert (check.drop.low, check.drop.high) == pytest.approx((ends.low, ends.high), abs=1e-9)
    assert check.drop.value == pytest.approx(float(np.mean(old - new)))


def test_a_metric_where_less_is_better_drops_when_it_rises(compare: Callable[..., Result]) -> None:
    """Swapped, the same files show no drop."""
    rng = random.Random(3)
    low = [{"id": f"{i}", "word_errors": rng.randint(0, 3)} for i in range(40)]
    high = [row | {"word_errors": row["word_errors"] + 2} for row in low]
    asked = {"metrics": ("word_errors",)}
    assert compare(low, high, **asked).decision.outcome == "blocked"
    assert compare(high, low, **asked).decision.outcome == "approved"


def test_one_column_of_pass_or_fail_is_tested_once(compare: Callable[..., Result]) -> None:
    """It is the pass rate itself; with a second one, a case passes where both do."""
    one = compare(*pass_fail("p" * 20, "p" * 20))
    assert {check.metric for check in one.decision.checks} == {"correct", "coverage"}
    rows = [{"id": f"{i}", "correct": 1, "tone_passed": i % 2} for i in range(20)]
    two = compare(rows, rows)
    assert {check.metric for check in two.decision.checks} == {"pass_rate", "correct", "tone_passed", "coverage"}


def test_a_cohort_that_broke_is_named(compare: Callable[..., Result]) -> None:
    """The cause comes first, and its cases are those of the cohort."""
    result = compare(made_by_another_tool(seed=1), made_by_another_tool(seed=2, drop=0.4))
    first = result.decision.checks[0]
    assert (first.metric, first.cohort, first.outcome) == ("correct", "topic=billing", "block")
    assert first.smallest_drop is not None
    assert "would be found 4 times in 5" in result.decision.comparison.sight  # type: ignore[union-attr]


def figures(result: Result) -> list[tuple[object, ...]]:
    """Everything that a decision rests on, without the names of files."""
    return [
        (
            check.name,
            check.metric,
            check.cohort,
            check.outcome,
            check.p_value,
            check.baseline,
            check.observed,
            check.drop,
        )
        for check in result.decision.checks
    ]


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_figures(name: str, compare: Callable[..., Result], tmp_path: Path) -> None:
    """The same results as CSV in its variants, JSON, Parquet and a workbook: equal p values, drops and decision."""
    before, after = made_by_another_tool(60, seed=1), made_by_another_tool(60, seed=2, drop=0.5)
    plain = compare(before, after)
    files = [WRITERS[name](tmp_path / f"{side}-{name}", rows) for side, rows in (("b", before), ("a", after))]
    found = compare(*files)
    assert figures(found) == figures(plain)
    assert found.decision.comparison.new_failures == plain.decision.comparison.new_failures  # type: ignore[union-attr]
    assert plain.decision.outcome == "blocked"


def test_the_order_of_rows_plays_no_part(compare: Callable[..., Result]) -> None:
    """Rows are paired by their id alone."""
    before, after = made_by_another_tool(80, seed=1), made_by_another_tool(80, seed=2, drop=0.3)
    shuffled = random.Random(0).sample(after, len(after))
    assert figures(compare(before, shuffled)) == figures(compare(before, after))


def test_the_same_file_twice_shows_no_drop(compare: Callable[..., Result]) -> None:
    """No difference in any case: p is 1, and the drop is 0."""
    rows = made_by_another_tool(50, seed=1)
    result = compare(rows, rows)
    check = check_of(result, "correct")
    assert check.drop is not None
    assert (check.p_value, check.drop.value, result.decision.outcome) == (1.0, 0.0, "approved")


def test_too_few_pairs_are_no_decision(compare: Callable[..., Result]) -> None:
    """Of 20 cases 3 have another id: 85 % are paired, 90 are needed."""
    before, after = pass_fail("p" * 20, "p" * 20)
    for row in after[:3]:
        row["id"] += "-new"
    result = compare(before, after)
    assert (result.decision.outcome, result.exit_code) == ("no decision", ExitCode.NO_DECISION)
    reason = result.decision.reasons[0]
    assert "17 of 20 cases" in reason
    assert "c00" in reason
    assert "c00-new" in reason


def test_a_case_that_asks_another_question_is_not_paired(compare: Callable[..., Result]) -> None:
    """The id alone does not make two rows the same case."""
    before = [{"id": f"{i}", "question": f"Question {i}", "correct": 1} for i in range(20)]
    after = [row | ({"question": "Another"} if row["id"] == "3" else {}) for row in before]
    result = compare(before, after)
    assert result.decision.comparison is not None
    assert result.decision.comparison.changed == ("3",)
    assert result.decision.comparison.n_paired == 19


def test_missing_grades_are_counted_and_gated(compare: Callable[..., Result]) -> None:
    """2 of 100 rows without a grade are below the 99 % that a decision needs; 1 of 100 is not."""
    rows = [{"id": f"{i}", "correct": "true"} for i in range(100)]
    one = [row | ({"correct": ""} if row["id"] == "7" else {}) for row in rows]
    two = [row | ({"correct": "NaN"} if row["id"] in ("7", "8") else {}) for row in rows]
    errors = [row | ({"correct": "error"} if row["id"] in ("7", "8") else {}) for row in rows]
    assert compare(rows, one).decision.outcome == "approved"
    assert compare(rows, two).exit_code == ExitCode.NO_DECISION
    failed = compare(rows, errors)
    assert failed.exit_code == ExitCode.NO_DECISION
    assert failed.summary.error_kinds == {"error_in_file": 2}
    check = check_of(failed, "correct")
    assert check.observed is not None
    assert check.observed.value == 1.0  # an error is not a fail


def test_repeats_are_averaged_per_case(compare: Callable[..., Result]) -> None:
    """By hand: 10 cases that pass 4 of 4 before and 2 of 4 after fell by 50 points."""
    before = [{"id": f"{i}", "epoch": e, "correct": 1} for i in range(10) for e in range(4)]
    after = [{"id": f"{i}", "epoch": e, "correct": e % 2} for i in range(10) for e in range(4)]
    check = check_of(compare(before, after), "correct")
    assert check.drop is not None
    assert (check.drop.value, check.drop.n) == (0.5, 10)
    assert check.p_value == pytest.approx(2**-10, abs=1e-3)


def test_cases_of_a_cluster_are_tested_together(compare: Callable[..., Result]) -> None:
    """By hand: 20 cases in 4 clusters are 4 independent pairs, too few for a test."""
    before, after = pass_fail("p" * 20, "f" * 20)
    for rows in (before, after):
        for number, row in enumerate(rows):
            row["session_id"] = number // 5
    result = compare(before, after)
    assert check_of(result, "correct").outcome == "insufficient evidence"


def rows_of(result: Result) -> list[Row]:
    """The rows of the later side."""
    return list(result.folder.rows())


def test_too_few_clusters_are_called_so(compare: Callable[..., Result]) -> None:
    """40 cases in two conversations are not five independent ones, and not too few cases either."""
    before = [{"id": f"{i:02}", "correct": True, "conversation_id": i // 20} for i in range(40)]
    after = [row | {"correct": False} for row in before]
    reasons = compare(before, after).decision.reasons
    assert "no metric has 5 independent clusters of cases that both runs scored" in reasons[0]


def test_what_was_read_is_stored(compare: Callable[..., Result]) -> None:
    """The manifest holds the file, its hash and the meaning of each column; both sides are run folders."""
    result = compare(made_by_another_tool(30, seed=1), made_by_another_tool(30, seed=2))
    facts = result.folder.manifest().imported
    assert facts is not None
    assert facts.columns == {
        "id": "case_id",
        "input": "question",
        "cohorts.topic": "topic",
        "metrics.correct": "correct",
        "metrics.rating": "rating",
    }
    assert (facts.format, facts.n_rows) == ("csv", 30)
    assert rows_of(result)[0].case.place.endswith("after.csv:2")
    assert {file.name for file in result.folder.path.parent.iterdir()} == {"before", "after"}


def test_what_the_files_cannot_say_is_said(compare: Callable[..., Result]) -> None:
    """Who graded, how the systems were set, and what needs a call."""
    notes = " ".join(compare(*pass_fail("p" * 20, "p" * 20)).summary.notes)
    assert "the settings of the two systems" in notes
    assert "cases are paired by `id`" in notes


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With what to name instead."""
    rows = write_csv(tmp_path / "a.csv", made_by_another_tool(5))
    with pytest.raises(InputError, match=r"b\.csv: no such file; name a file of results or a run folder"):
        compare_files(Comparing(before=str(rows), after=str(tmp_path / "b.csv")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["pipe.csv", "zero.json", "loop.xlsx"])
def test_what_is_no_file_is_named(name: str, tmp_path: Path) -> None:
    """Nobody waits for a pipe, reads a device without end, or follows a link in a circle."""
    odd = tmp_path / name
    if name == "pipe.csv":
        os.mkfifo(odd)
    else:
        odd.symlink_to("/dev/zero" if name == "zero.json" else odd)
    with pytest.raises(InputError, match=f"{name}: cannot be read: a "):
        compare_files(Comparing(before=str(odd), after=str(odd)), tmp_path / "none")


def test_two_systems_of_one_file_are_compared(tmp_path: Path) -> None:
    """`--system` names the column, and the rows of each value are a side."""
    before, after = made_by_another_tool(60, seed=1), made_by_another_tool(60, seed=2, drop=0.5)
    rows = [
        {"model": name, **row} for name, side in (("small", before), ("large", after), ("huge", before)) for row in side
    ]
    file = write_csv(tmp_path / "all.csv", rows)
    request = Comparing(before=str(file), system="model", systems=("small", "large"))
    result = compare_files(request, tmp_path / "out")
    assert result.decision.outcome == "blocked"
    assert result.manifest.suite == "all.csv small → all.csv large"
    with pytest.raises(InputError) as raised:
        compare_files(Comparing(before=str(file), system="model"), tmp_path / "none")
    assert str(raised.value) == (
        "--system: 3 systems in the column 'model'; say which two are compared: --system model --before small "
        "--after large"
    )
    with pytest.raises(InputError, match="has 'tiny' under 'model'; it holds 'small', 'large', 'huge'"):
        compare_files(Comparing(before=str(file), system="model", systems=("small", "tiny")), tmp_path / "none")
    with pytest.raises(InputError, match="--after: 'small' would be compared with itself; name the other system"):
        compare_files(Comparing(before=str(file), system="model", systems=("small", "small")), tmp_path / "none")


def test_one_side_alone_is_refused(tmp_path: Path) -> None:
    """With the flags that name the other."""
    file = write_csv(tmp_path / "all.csv", made_by_another_tool(5))
    with pytest.raises(InputError, match="nothing to compare it with; name a second file or run, or the column"):
        compare_files(Comparing(before=str(file)), tmp_path / "none")


def as_long(rows: Rows) -> Rows:
    """One row for each case and metric."""
    return [
        {
            "case_id": row["case_id"],
            "topic": row["topic"],
            "question": row["question"],
            "metric": name,
            "value": row[name],
        }
        for row in rows
        for name in ("correct", "rating")
    ]


def test_a_table_with_one_metric_a_row_gives_the_same_figures(compare: Callable[..., Result]) -> None:
    """The column `metric` names what `value` is."""
    before, after = made_by_another_tool(60, seed=1), made_by_another_tool(60, seed=2, drop=0.5)
    assert figures(compare(as_long(before), as_long(after))) == figures(compare(before, after))


def test_a_metric_of_one_long_table_alone_is_refused(compare: Callable[..., Result]) -> None:
    """It is named, with the metrics that both have."""
    rows = as_long(made_by_another_tool(10))
    fewer = [row for row in rows if row["metric"] != "rating"]
    with pytest.raises(
        InputError, match=r"the metric 'rating' is in .*; name the metrics to compare: --metric correct"
    ):
        compare(rows, fewer)
    with pytest.raises(InputError, match="--metric correct"):
        compare(fewer, rows)


def test_a_metric_with_the_name_of_a_column_keeps_its_values(compare: Callable[..., Result]) -> None:
    """A metric `latency_s` beside a column `latency_s`, and metrics that differ in case alone."""
    names = ("latency_s", "Tone", "tone")
    before = [{"id": f"{i}", "latency_s": 1, "metric": name, "value": 0.5} for i in range(20) for name in names]
    after = [row | {"value": 0.9} if row["metric"] == "tone" else row for row in before]
    for rows in (before, before[::-1]):
        row = rows_of(compare(rows, after))[0]
        values = {name: each.value for name, each in row.scores.items() if isinstance(each, Score)}
        assert values == {"metric_latency_s": 0.5, "tone": 0.5, "metric_tone": 0.9}


def test_each_metric_of_a_long_table_keeps_its_reason_and_its_error(compare: Callable[..., Result]) -> None:
    """They are those of its own row."""
    rows = [
        {"id": f"{i}", "metric": name, "value": 0.5, "reason": f"because of {name}", "error": ""}
        for i in range(20)
        for name in ("tone", "facts")
    ]
    after = [row | {"value": "", "error": "no judge"} if row["metric"] == "facts" else row for row in rows]
    row = rows_of(compare(rows, after))[0]
    tone, facts = row.scores["tone"], row.scores["facts"]
    assert isinstance(tone, Score)
    assert isinstance(facts, Unscored)
    assert (tone.reason, facts.message) == ("because of tone", "no judge")


SUITE = """\
name: faq
golden: golden.jsonl
system: {replay: answers.jsonl}
scorers: [exact, token_f1]
cohorts: [topic]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two runs: in the second, 12 of 40 answers became wrong."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "suite.yaml").write_text(SUITE, encoding="utf-8")
    for name, n_right in (("old", 40), ("new", 28)):
        rows = [
            {
                "id": f"c{i}",
                "input": f"What is {i}?",
                "reference": f"It is {i}",
                "cohorts": {"topic": "ab"[i % 2]},
            }
            for i in range(40)
        ]
        write_jsonl(tmp_path / "golden.jsonl", rows)
        answers = [{"id": f"c{i}", "output": f"It is {i if i < n_right else 'lost'}"} for i in range(40)]
        write_jsonl(tmp_path / "answers.jsonl", answers)
        evalkit.run("suite.yaml", out=f"reports/{name}", baseline="none", reports=False)
    return tmp_path


def test_two_runs_are_compared_as_they_are(project: Path) -> None:
    """The decision is written beside a copy of the later run, whose own files stay."""
    kept = (project / "reports" / "new" / "decision.json").read_bytes()
    result = compare_files(Comparing(before="reports/old", after="reports/new"), project / "out")
    assert result.decision.outcome == "blocked"
    assert result.decision.comparison is not None
    assert len(result.decision.comparison.new_failures) == 12
    assert (project / "reports" / "new" / "decision.json").read_bytes() == kept
    assert evalkit.load_run(project / "out" / "after").outcome == "blocked"
    assert evalkit.compare("reports/old", "reports/new").outcome == "blocked"
    with pytest.raises(InputError, match="reports/new: the flags for columns are for files; a run knows its cases"):
        evalkit.compare("reports/old", "reports/new", id="id")


def test_further_checks_apply_to_runs_too(project: Path) -> None:
    """Their names are those of the run."""
    (project / "gate.yaml").write_text("gate: [{no_regression: {metrics: [exact], by: []}}]\n", encoding="utf-8")
    request = Comparing(before="reports/old", after="reports/new", gate=project / "gate.yaml")
    result = compare_files(request, project / "out")
    assert [check.metric for check in result.decision.checks if check.name == "no_regression"] == ["exact"]


def test_a_run_is_compared_with_a_file(project: Path) -> None:
    """Its metrics, directions and pass marks are those of the run; the file has columns of the same names."""
    table = [
        {"id": f"c{i}", "input": f"What is {i}?", "exact": i < 28, "token_f1": 1.0 if i < 28 else 0.5}
        for i in range(40)
    ]
    file = write_csv(project / "other.csv", table)
    forwards = compare_files(Comparing(before="reports/old", after=str(file)), project / "out")
    runs = compare_files(Comparing(before="reports/old", after="reports/new"), project / "runs")
    assert check_of(forwards, "exact").p_value == check_of(runs, "exact").p_value
    assert check_of(forwards, "exact").drop == check_of(runs, "exact").drop
    assert forwards.decision.outcome == "blocked"
    assert compare_files(Comparing(before=str(file), after="reports/old"), project / "back").exit_code == 0


def test_a_run_with_missing_rows_is_not_compared_with_a_file(project: Path) -> None:
    """The cases that would have failed may be those that are gone."""
    file = write_csv(project / "other.csv", [{"id": f"c{i}", "input": f"What is {i}?", "exact": 1} for i in range(40)])
    rows = project / "reports" / "new" / "rows.jsonl"
    rows.write_bytes(b"".join(rows.read_bytes().splitlines(keepends=True)[:-3]))
    with pytest.raises(InputError, match="reports/new: 3 rows missing; continue it with `evalkit run SUITE --out RUN"):
        compare_files(Comparing(before=str(file), after="reports/new"), project / "out")


def test_a_row_that_was_asked_again_counts_once(project: Path) -> None:
    """As `--retry-errors` leaves it: the first row stays in the file, and the last one counts."""
    file = write_csv(project / "other.csv", [{"id": f"c{i}", "input": f"What is {i}?", "exact": 1} for i in range(40)])
    folder = RunFolder(project / "reports" / "old")
    failed = replace(next(iter(folder.rows())), output=None, scores={}, failure=Failure("error", "down"))
    rows = folder.rows_file.read_bytes()
    folder.rows_file.unlink()
    with Journal(folder.rows_file) as journal:
        journal.append(failed)
    folder.rows_file.write_bytes(folder.rows_file.read_bytes() + rows)
    found = compare_files(Comparing(before=str(file), after="reports/old"), project / "out")
    assert (found.summary.states["scored"], found.summary.expected, found.exit_code) == (40, 40, ExitCode.APPROVED)


GATE = """\
gate:
  - no_regression: {by: [topic], critical: [billing], alpha: 0.02}
  - correct: {min: 0.99}
  - coverage: {min: 0.5}
"""


def test_further_checks_come_from_a_file(tmp_path: Path) -> None:
    """`gate:` as in a suite; its limits are checked against the metrics and cohorts of the files."""
    rows = write_csv(tmp_path / "a.csv", made_by_another_tool(60, seed=1))
    (tmp_path / "gate.yaml").write_text(GATE, encoding="utf-8")
    request = Comparing(before=str(rows), after=str(rows), gate=tmp_path / "gate.yaml")
    result = compare_files(request, tmp_path / "out")
    blocking = [check for check in result.decision.checks if check.outcome == "block"]
    assert [(check.name, check.metric) for check in blocking] == [("correct", "correct")]
    (tmp_path / "gate.yaml").write_text("gate: [{corect: {min: 0.9}}]\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"gate.yaml:1.*unknown metric `corect`; did you mean `correct`\?"):
        compare_files(request, tmp_path / "none")
    (tmp_path / "gate.yaml").write_text("gates: []\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"gate.yaml:1: not a gate; write `gate: "):
        compare_files(request, tmp_path / "none")


def test_python_compares_files_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept unless a folder is named."""
    monkeypatch.chdir(tmp_path)
    before = write_csv(tmp_path / "before.csv", made_by_another_tool(60, seed=1))
    after = write_csv(tmp_path / "after.csv", made_by_another_tool(60, seed=2, drop=0.5))
    decision = evalkit.compare(before, after, passes="correct")
    assert decision.outcome == "blocked"
    assert {check.metric for check in decision.checks} == {"correct", "coverage"}
    assert {file.name for file in tmp_path.iterdir()} == {"before.csv", "after.csv"}
    assert evalkit.compare(before, after, passes="correct", out="kept") == decision
    assert (tmp_path / "kept" / "after" / "report.html").exists()


def test_what_missing_grades_could_hide_is_said(compare: Callable[..., Result]) -> None:
    """By hand: 5 of 100 rows without a grade, where all others pass, would be a drop of 5 points."""
    rows = [{"id": f"{i:02}", "correct": "true"} for i in range(100)]
    gaps = [row | ({"correct": ""} if row["id"] < "05" else {}) for row in rows]
    found = compare(rows, gaps)
    assert found.exit_code == ExitCode.NO_DECISION
    assert found.summary.notes[0] == (
        "correct: 5 rows without a grade after, 0 before; with the worst grade they would add up to 5 pts to the drop"
    )


def test_gaps_alone_hide_no_figure(compare: Callable[..., Result]) -> None:
    """Without a single grade after, what the gaps hide is unknown, not 0."""
    rows = [{"id": f"{i:02}", "correct": "true"} for i in range(40)]
    found = compare(rows, [row | {"correct": "NaN"} for row in rows])
    assert found.summary.notes[0] == (
        "correct: 40 rows without a grade after, 0 before; what they would add to the drop is unknown"
    )


def test_cases_that_failed_and_are_gone_are_a_condition(compare: Callable[..., Result]) -> None:
    """Leaving out what fails does not make a system better."""
    before, after = pass_fail("f" * 3 + "p" * 37, "f" * 3 + "p" * 37)
    result = compare(before, after[2:])
    assert result.decision.outcome == "approved with conditions"
    assert any("2 cases removed (2 of them failing before)" in reason for reason in result.decision.reasons)


def test_times_and_costs_are_shown_and_never_gated(compare: Callable[..., Result]) -> None:
    """Columns with their unit in the name; a column of milliseconds is seconds."""
    before = [{"id": f"{i}", "correct": 1, "latency_ms": 200, "cost_usd": 0.01, "input_tokens": 9} for i in range(20)]
    after = [row | {"latency_ms": 4_000} for row in before]
    result = compare(before, after)
    assert result.decision.outcome == "approved"
    output = rows_of(result)[0].output
    assert output is not None and output.usage is not None
    assert (output.latency_s, output.usage.cost_usd, output.usage.input_tokens) == (4.0, 0.01, 9)
    assert result.folder.manifest().imported.columns["amounts.latency_ms"] == "latency_ms"  # type: ignore[union-attr]


def test_grades_of_a_model_decide_and_are_named(compare: Callable[..., Result]) -> None:
    """The user brought them; that a model gave them is stored and said beside the figures."""
    before, after = pass_fail("p" * 20, "f" * 8 + "p" * 12)
    result = compare(before, after, judged=("correct",))
    assert result.decision.outcome == "blocked"
    facts = result.folder.manifest().imported
    assert facts is not None
    assert facts.judged == ("correct",)
    view = view_of(material_of(result.folder, result.manifest, result.summary, result.decision, result.baseline))
    assert "correct by a model's grades" in view.facts


def test_a_compared_folder_is_of_no_suite(compare: Callable[..., Result]) -> None:
    """It can become a baseline; deciding about it again needs the files."""
    result = compare(*pass_fail("p" * 20, "p" * 20))
    with pytest.raises(InputError, match="holds results of a file, which belong to no suite; compare the files again"):
        evalkit.decide(result.folder.path)


def test_without_a_single_test_there_is_no_decision(compare: Callable[..., Result]) -> None:
    """4 cases are too few to test: that no drop was found says nothing."""
    result = compare(*pass_fail("pppp", "ffff"))
    assert (result.decision.outcome, result.exit_code) == ("no decision", ExitCode.NO_DECISION)
    assert "no metric has 5 cases that both runs scored" in result.decision.reasons[0]


@pytest.mark.parametrize(
    "text", ['{"id": "a"', '{"id": "a", "id": "b", "correct": 1}', '{"id": "a", "correct": "maybe"}']
)
def test_a_problem_of_a_file_that_is_compared_with_itself_is_said_once(tmp_path: Path, text: str) -> None:
    """Both sides have it, at the same place."""
    file = tmp_path / "out.jsonl"
    file.write_text(f"{text}\n{text}\n", encoding="utf-8")
    with pytest.raises(InputError) as refused:
        compare_files(Comparing(before=str(file), after=str(file)))
    lines = str(refused.value).splitlines()
    assert len(set(lines)) == len(lines)
