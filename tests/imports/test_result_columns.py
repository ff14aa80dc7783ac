"""Which columns of two files of results name the cases and hold grades, and what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import InputError
from evalkit.imports.result_case_columns import case_ids
from evalkit.imports.result_cells import NotAGrade, read_grade
from evalkit.imports.result_columns import ResultColumns, choose_columns
from evalkit.imports.result_flags import ColumnFlags
from evalkit.imports.result_rows import rows_of
from evalkit.imports.result_table import read_results
from evalkit.types import Score, Unscored

Rows = list[dict[str, Any]]


def csv_file(path: Path, rows: Rows) -> Path:
    """Write rows as CSV under the keys of the first one."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def chosen(folder: Path, before: Rows, after: Rows | None = None, **asked: Any) -> ResultColumns:
    """The columns that are chosen for two files."""
    tables = [
        read_results(csv_file(folder / f"{name}.csv", rows))
        for name, rows in (("before", before), ("after", before if after is None else after))
    ]
    return choose_columns(tables[0], tables[1], ColumnFlags(**asked))


def refused(folder: Path, before: Rows, after: Rows | None = None, **asked: Any) -> list[str]:
    """The problems of two files that are refused."""
    with pytest.raises(InputError) as raised:
        chosen(folder, before, after, **asked)
    return [str(problem).replace(f"{folder}/", "") for problem in raised.value.problems]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        *((word, 1.0) for word in ("true", "YES", " Passed ", "correct", "ok", True, 1, "1", "1.0", "C")),
        *((word, 0.0) for word in ("false", "No", "FAIL", "incorrect", False, 0, "0", "I", "N")),
        ("P", 0.5),
        ("0.85", 0.85),
        ("85 %", 0.85),
        ("-1e2", -100.0),
        (3.5, 3.5),
    ],
)
def test_a_grade_is_a_number_or_a_word(cell: object, value: float) -> None:
    """Words of every tool, the letters of inspect, and percentages."""
    assert read_grade(cell).value == value


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        *((cell, "empty") for cell in ("", "  ", None, "NA", "NaN", "null", "n/a")),
        *((cell, "not_finite") for cell in ("inf", "-Infinity", "1e999", float("inf"), float("nan"))),
        *((cell, "error") for cell in ("error", "Timeout", "EXCEPTION")),
    ],
)
def test_what_is_missing_is_named_and_never_a_number(cell: object, kind: str) -> None:
    """An error is not a fail, and an empty cell is not 0."""
    grade = read_grade(cell)
    assert (grade.value, grade.unknown) == (None, kind)


@pytest.mark.parametrize("cell", ["maybe", "1,5", "1_000", "0x10", "١", [1], {"a": 1}, 1e13])
def test_what_is_no_grade_is_refused(cell: object) -> None:
    """Nothing is guessed from a text that looks like a number."""
    with pytest.raises(NotAGrade):
        read_grade(cell)


def test_a_decimal_comma_is_read_in_files_separated_by_semicolons_only(tmp_path: Path) -> None:
    """In any other file `0,85` may be two things."""
    assert read_grade("0,85", decimal_comma=True).value == 0.85
    file = tmp_path / "a.csv"
    file.write_text("id;score\na;0,5\nb;0,75\n", encoding="utf-8")
    table = read_results(file)
    columns = choose_columns(table, table, ColumnFlags())
    pair = rows_of(table, table, columns)
    assert [row.scores["score"].value for row in pair.after.rows] == [0.5, 0.75]  # type: ignore[union-attr]


def test_columns_are_chosen_by_name(tmp_path: Path) -> None:
    """Case and separators of a name play no part; what is a number and has no known name is listed."""
    rows = [
        {
            "Question ID": f"q{i}",
            "Is Correct": i % 2,
            "tone_score": i / 10,
            "Topic": "ab"[i % 2],
            "words": i,
            "score_count": 5 + i,
            "note": "x",
        }
        for i in range(6)
    ]
    found = chosen(tmp_path, rows)
    assert found.cases.id == "question_id"
    assert [(each.column, each.metric.binary) for each in found.grades] == [("is_correct", True), ("tone_score", False)]
    assert found.cohorts == {"topic": "topic"}
    assert found.unused == ("words", "score_count")


def test_flags_win_over_names(tmp_path: Path) -> None:
    """Where columns are named, no other is a grade."""
    rows = [{"key": f"k{i}", "id": f"{i}", "score": i, "stars": i % 5, "team": "ab"[i % 2]} for i in range(6)]
    found = chosen(tmp_path, rows, id="key", metrics=("stars",), cohorts=("team",), lower=("stars",))
    assert found.cases.id == "key"
    assert [(each.metric.name, each.metric.higher_is_better) for each in found.grades] == [("stars", False)]
    assert found.cohorts == {"team": "team"}


def test_a_pass_mark_makes_a_score_pass_or_fail(tmp_path: Path) -> None:
    """Only `--threshold` does: no pass mark is guessed from the shape of the scores."""
    rows = [{"id": f"{i}", "score": i} for i in range(1, 6)]
    assert chosen(tmp_path, rows).grades[0].metric.pass_at is None
    metric = chosen(tmp_path, rows, thresholds={"score": 4.0}).grades[0].metric
    assert (metric.pass_at, metric.low, metric.high) == (4.0, 1.0, 5.0)


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ((0, 0.5), (0, 1)),
        ((2, 4), (1, 5)),
        ((0, 4), (0, 5)),
        ((0, 7), (0, 10)),
        ((3, 64), (0, 100)),
        ((-2, 9), (-2, 9)),
    ],
)
def test_the_range_is_the_smallest_usual_one_over_both_files(
    values: tuple[float, float], scale: tuple[float, float], tmp_path: Path
) -> None:
    """Else that of the values; the test itself is free of scale."""
    before = [{"id": "a", "score": values[0]}, {"id": "b", "score": values[0]}]
    after = [{"id": "a", "score": values[1]}, {"id": "b", "score": values[1]}]
    metric = chosen(tmp_path, before, after).grades[0].metric
    assert (metric.low, metric.high) == scale


@pytest.mark.parametrize(
    ("before", "after"),
    [((0.9, 0.95), (60, 62)), ((60, 62), (0.9, 0.95)), (("85%", "90%"), (60, 62)), ((1, 0), (45, 50))],
)
def test_shares_are_not_compared_with_larger_numbers(
    before: tuple[object, object], after: tuple[object, object], tmp_path: Path
) -> None:
    """0.9 and 60 are one scale only if the user says so: as they are, a fall to 60 % would be a rise."""
    old, new = ([{"id": f"{i}", "score": value} for i, value in enumerate(side)] for side in (before, after))
    (problem,) = refused(tmp_path, old, new)
    assert "the column 'score' ends at" in problem
    assert problem.endswith("write both in one unit, or say the range of both: --scale score=0:100")
    assert chosen(tmp_path, old, new, scales={"score": (0.0, 100.0)}).grades[0].metric.high == 100


def test_a_column_has_one_direction(tmp_path: Path) -> None:
    """Both flags for it contradict each other."""
    rows = [{"id": f"{i}", "correct": i % 2} for i in range(6)]
    (problem,) = refused(tmp_path, rows, higher=("correct",), lower=("Correct",))
    assert problem == "--lower: 'Correct' is named by --higher too; keep the one that is right"


@pytest.mark.parametrize(
    ("name", "higher"),
    [
        *(("accuracy", True), ("error_rate", False), ("perplexity", False), ("token_f1", True), ("price_match", True)),
        *(("error_recall", True), ("metrics_latency", False)),
    ],
)
def test_the_direction_follows_from_the_name(name: str, higher: bool, tmp_path: Path) -> None:
    """Words for errors and losses mean that less is better."""
    rows = [{"id": f"{i}", name: i / 10} for i in range(6)]
    assert chosen(tmp_path, rows, metrics=(name,)).grades[0].metric.higher_is_better is higher


def test_an_unclear_direction_is_refused_until_it_is_said(tmp_path: Path) -> None:
    """A wrong guess would turn a block into a pass."""
    rows = [{"id": f"{i}", "toxicity_score": i / 10} for i in range(6)]
    (problem,) = refused(tmp_path, rows)
    assert problem == (
        "after.csv: the name 'toxicity_score' does not say whether more of it is better; say it: "
        "--lower toxicity_score if a higher number is worse, --higher toxicity_score if it is better"
    )
    assert not chosen(tmp_path, rows, lower=("toxicity_score",)).grades[0].metric.higher_is_better
    for name in ("error_score", "scores_latency", "error_free", "no_errors", "cost_rating"):
        rows = [{"id": f"{i}", name: i / 10} for i in range(6)]
        assert "does not say whether more of it is better" in refused(tmp_path, rows, metrics=(name,))[0]
    named = [{"id": f"{i}", "toxicity_pass": i % 2} for i in range(6)]
    assert chosen(tmp_path, named).grades[0].metric.higher_is_better


def test_a_row_without_a_name_is_never_paired_by_its_position(tmp_path: Path) -> None:
    """The columns are shown, with the flag that names one."""
    rows = [{"key": f"k{i}", "score": i} for i in range(4)]
    (problem,) = refused(tmp_path, rows)
    assert problem == (
        "after.csv: no column of both files names the cases, the columns are key, score; name it: --id key, if it "
        "holds the same for a case in both files"
    )


def test_ids_that_are_missing_are_placed(tmp_path: Path) -> None:
    """The first empty one, with its line."""
    rows = [{"id": "a", "score": 1}, {"id": "", "score": 3}]
    assert refused(tmp_path, rows) == ["before.csv:3 id: empty, but it names the cases; fill in 'id' in every row"]


def test_ids_that_repeat_unevenly_are_refused_with_both_lines(tmp_path: Path) -> None:
    """They may be two cases, or repeats that nobody numbered."""
    rows = [{"id": "a", "score": 1}, {"id": "b", "score": 3}, {"id": "a", "score": 2}]
    (problem,) = refused(tmp_path, rows)
    assert problem == (
        "before.csv:4 id: 'id' 'a' repeats line 2; the columns are id, score; name the column that numbers the repeats "
        "(--repeat COLUMN), or the one that names the cases (--id)"
    )


def test_rows_of_several_systems_are_not_repeats(tmp_path: Path) -> None:
    """A column that tells the rows of an id apart is named, with the line to copy."""
    rows = [{"id": f"{i}", "model": model, "score": i} for i in range(3) for model in ("small", "large")]
    (problem,) = refused(tmp_path, rows)
    assert problem.startswith("before.csv: rows of 2 systems in the column 'model'; compare two of them: ")
    assert problem.endswith("--system model --before small --after small")  # two files: a system with itself


@pytest.mark.parametrize("repeat", [{}, {"repeat": 0}, {"run": 0}])
def test_repeats_of_several_systems_are_not_repeats_of_one(tmp_path: Path, repeat: dict[str, int]) -> None:
    """Numbered or not, by id or by text: the rows of two models are never averaged as one."""
    rows = [
        {"id": f"{i}", **{name: e for name in repeat}, "model": model, "input": f"q{i}", "score": i + e}
        for i in range(3) for model in ("small", "large") for e in range(2)
    ]  # fmt: skip
    numbered = [{**row, **{name: at % 4 for name in repeat}} for at, row in enumerate(rows)]
    for given in (rows, numbered, [{key: row[key] for key in row if key != "id"} for row in rows]):
        assert "rows of 2 systems in the column 'model'" in refused(tmp_path, given)[-1]
    of_one = [{key: row[key] for key in row if key != "id"} for row in rows if row["model"] == "small"]
    if repeat:
        found = chosen(tmp_path, of_one).cases
        assert (found.id, found.is_text, found.repeat) == ("input", True, *repeat)
        assert chosen(tmp_path, numbered, repeat=next(iter(repeat))).cases.repeat == next(iter(repeat))


def test_a_flag_is_proposed_for_a_column_that_may_be_a_grade(tmp_path: Path) -> None:
    """An id or a time is the last guess."""
    rows = [{"id": i, "latency": 1.5, "helpful": i / 10} for i in range(3)]
    assert refused(tmp_path, rows)[0].endswith("name it: --metric helpful")


def test_a_table_of_pandas_with_its_columns_apart_is_read(tmp_path: Path) -> None:
    """As `to_json(orient="split")` and MLflow's `eval_results_table.json` are; rows keep their lines."""
    file = tmp_path / "eval_results_table.json"
    data = [[f"q{i}", i % 2] for i in range(3)]
    file.write_text(json.dumps({"columns": ["inputs", "pass"], "index": [0, 1, 2], "data": data}, indent=1))
    table = read_results(file)
    assert [row.cells for row in table.rows] == [{"inputs": f"q{i}", "pass": i % 2} for i in range(3)]
    assert table.rows[1].line > table.rows[0].line > 1
    for odd in (
        {"columns": ["a", "a"], "data": [[1, 2]]},
        {"columns": ["a"], "data": [[1, 2]]},
        {"columns": [1], "data": [[1]]},
    ):
        file.write_text(json.dumps(odd))
        with pytest.raises(InputError):
            read_results(file)


def test_a_document_may_be_one_long_line(tmp_path: Path) -> None:
    """Tools write JSON without a line break; the limit of a line is one of JSON Lines."""
    file = tmp_path / "long.json"
    rows = [{"id": i, "pass": True, "output": "x" * 1_700_000} for i in range(10)]
    file.write_text(json.dumps({"results": rows}))
    assert len(read_results(file).rows) == 10


def test_repeats_are_numbered_by_a_column_or_by_their_order(tmp_path: Path) -> None:
    """An even number of rows for each id is that many repeats; equal rows of uneven numbers count once."""
    numbered = [{"id": f"{i}", "epoch": e, "score": i} for i in range(3) for e in range(2)]
    assert chosen(tmp_path, numbered).cases.repeat == "epoch"
    even = [{"id": f"{i}", "score": i + e} for i in range(3) for e in range(2)]
    assert chosen(tmp_path, even).cases.in_file_order
    twice = [{"id": "a", "score": 1}, {"id": "a", "score": 1}, {"id": "b", "score": 2}]
    found = chosen(tmp_path, twice)
    assert found.cases.twice == 2  # one in each file
    table = read_results(tmp_path / "before.csv")
    assert len(rows_of(table, table, found).after.rows) == 2


def test_rows_that_ask_different_questions_are_not_repeats(tmp_path: Path) -> None:
    """A column called `sample` numbers the questions of a document as well: each question is a case."""
    rows = [{"doc_id": f"{i}", "sample": e, "question": f"{i} {e}?", "score": i} for i in range(3) for e in range(2)]
    found = chosen(tmp_path, rows).cases
    assert (found.id, found.repeat, found.is_text) == ("question", None, True)
    assert chosen(tmp_path, rows, repeat="sample").cases.id == "doc_id"
    tasks = [{"name": f"task {i}", "sample": e, "score": i} for i in range(3) for e in range(2)]
    assert "'name' 'task 0' repeats line 2" in refused(tmp_path, tasks)[0]
    assert chosen(tmp_path, tasks, repeat="sample").cases.id == "name"


def test_a_question_names_its_case_if_no_id_does(tmp_path: Path) -> None:
    """The hash of its text is the id; a question that is asked twice names nothing."""
    rows = [{"question": f"What about {i}?", "score": i} for i in range(3)]
    found = chosen(tmp_path, rows)
    assert found.cases.is_text
    ids = case_ids(read_results(tmp_path / "after.csv"), found.cases)
    assert len(set(ids)) == 3
    assert all(len(each) == 16 for each in ids)
    assert "names the cases" in refused(tmp_path, [rows[0], rows[0] | {"score": 5}, rows[1]])[0]


def test_a_column_of_grades_that_one_file_lacks_is_refused(tmp_path: Path) -> None:
    """A metric that is left away could hide its drop."""
    before = [{"id": f"{i}", "correct": 1, "tone_score": 0.3} for i in range(3)]
    after = [{"id": f"{i}", "correct": 1} for i in range(3)]
    (problem,) = refused(tmp_path, before, after)
    assert problem == (
        "after.csv: the column 'tone_score' of grades is in before.csv and not in after.csv; name the columns to "
        "compare: --metric correct"
    )
    assert [each.column for each in chosen(tmp_path, before, after, metrics=("correct",)).grades] == ["correct"]


def test_a_cell_that_is_no_grade_is_placed(tmp_path: Path) -> None:
    """File, line, column, what it holds, and what to write."""
    rows = [{"id": "a", "correct": "true"}, {"id": "b", "correct": "mostly"}]
    assert refused(tmp_path, rows)[0] == (
        "before.csv:3 correct: 'mostly' is neither a number nor pass or fail; write a number, pass or fail, or leave "
        "the cell empty if there is no grade"
    )


def test_a_weak_name_is_used_only_where_nothing_else_is_a_grade(tmp_path: Path) -> None:
    """`label` may be the answer of the model."""
    rows = [{"id": f"{i}", "label": "yes", "correct": 1} for i in range(3)]
    assert [each.column for each in chosen(tmp_path, rows).grades] == ["correct"]
    alone = [{"id": f"{i}", "label": ("pass", "fail")[i % 2]} for i in range(3)]
    assert [each.column for each in chosen(tmp_path, alone).grades] == ["label"]
    for answers in (("cat", "dog"), ("yes", "no"), (1, 0)):
        other = [{"id": f"{i}", "label": answers[i % 2]} for i in range(3)]
        assert "no column of both files is known to hold grades" in refused(tmp_path, other)[0]
    verdicts = [{"id": f"{i}", "verdict": ("yes", "no")[i % 2]} for i in range(3)]
    assert [each.column for each in chosen(tmp_path, verdicts).grades] == ["verdict"]


def test_a_column_of_grades_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Not as a column that is not there."""
    rows = [{"id": f"{i}", "correct": "TF"[i % 2]} for i in range(3)]
    assert refused(tmp_path, rows)[0].startswith("before.csv:2 correct: 'T' is neither a number nor pass or fail")


def test_a_flag_that_names_no_column_lists_the_columns(tmp_path: Path) -> None:
    """For each file that lacks it."""
    rows = [{"id": "a", "score": 1}]
    assert refused(tmp_path, rows, metrics=("stars",)) == [
        "--metric: no column 'stars' in before.csv; its columns are id, score",
        "--metric: no column 'stars' in after.csv; its columns are id, score",
    ]


@pytest.mark.parametrize(
    ("asked", "flag"),
    [
        ({"lower": ("toxicity",)}, "--lower"),
        ({"higher": ("toxicity",)}, "--higher"),
        ({"scales": {"toxicity": (0.0, 2.0)}}, "--scale"),
        ({"thresholds": {"toxicity": 0.5}}, "--threshold"),
        ({"judged": ("toxicity",)}, "--judge"),
    ],
)
def test_a_flag_for_a_column_that_is_not_compared_is_refused(asked: dict[str, Any], flag: str, tmp_path: Path) -> None:
    """Without `--metric` it would have no effect, and the user would believe that the column is gated."""
    rows = [{"id": f"{i}", "Correct": i % 2, "toxicity": i / 10} for i in range(6)]
    assert refused(tmp_path, rows, **asked) == [
        f"{flag}: the column 'toxicity' is not compared; name every column to compare: "
        "--metric Correct --metric toxicity"
    ]
    assert chosen(
        tmp_path,
        rows,
        metrics=("Correct", "toxicity"),
        **(asked if "higher" in asked else {"lower": ("toxicity",), **asked}),
    )


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    """Neither is preferred."""
    file = tmp_path / "a.csv"
    file.write_text("id,Score,score\na,1,2\n", encoding="utf-8")
    with pytest.raises(InputError, match="'Score' and 'score' have the same name except for case"):
        read_results(file)


def test_a_grade_that_is_missing_in_one_file_is_unscored(tmp_path: Path) -> None:
    """Empty in both, in rows that have other grades: the metric does not apply to the case, which is counted."""
    before = [{"id": "a", "correct": "1", "tone_score": ""}, {"id": "b", "correct": "0", "tone_score": "0.4"}]
    after = [{"id": "a", "correct": "1", "tone_score": ""}, {"id": "b", "correct": "", "tone_score": "0.4"}]
    columns = chosen(tmp_path, before, after)
    pair = rows_of(read_results(tmp_path / "before.csv"), read_results(tmp_path / "after.csv"), columns)
    first, second = pair.after.rows
    assert "tone_score" not in first.scores
    assert isinstance(second.scores["correct"], Unscored)
    assert isinstance(second.scores["tone_score"], Score)
    assert pair.empty_in_both == {"tone_score": 1}


def test_a_row_without_any_grade_is_unscored_in_both(tmp_path: Path) -> None:
    """That a case was graded in neither file does not take it from the coverage."""
    rows = [{"id": "a", "correct": "1"}, {"id": "b", "correct": ""}]
    columns = chosen(tmp_path, rows)
    table = read_results(tmp_path / "before.csv")
    assert isinstance(rows_of(table, table, columns).after.rows[1].scores["correct"], Unscored)


def test_an_error_is_a_system_error_with_what_the_file_says(tmp_path: Path) -> None:
    """It is never a fail."""
    rows = [{"id": "a", "correct": "error", "error": "HTTP 500"}, {"id": "b", "correct": "true", "error": ""}]
    columns = chosen(tmp_path, rows)
    table = read_results(tmp_path / "before.csv")
    row = rows_of(table, table, columns).after.rows[0]
    assert row.state == "system_error"
    assert row.failure is not None
    assert row.failure.message == "HTTP 500"


def test_objects_inside_rows_are_columns(tmp_path: Path) -> None:
    """`scores: {tone: 0.4}` of JSON is the column `scores.tone`, and what is in there is a grade."""
    file = tmp_path / "a.jsonl"
    rows = [{"id": f"{i}", "scores": {"tone": i / 10}, "cohorts": {"topic": "ab"[i % 2]}} for i in range(4)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    table = read_results(file)
    found = choose_columns(table, table, ColumnFlags())
    assert [each.metric.name for each in found.grades] == ["scores_tone"]
    assert found.cohorts == {"topic": "cohorts_topic"}


def test_two_cohorts_of_one_name_are_both_kept(tmp_path: Path) -> None:
    """A column `topic` beside `cohorts.topic`."""
    rows = [{"id": f"{i}", "correct": i % 2, "topic": "ab"[i % 2], "cohorts.topic": "cd"[i // 3]} for i in range(6)]
    assert chosen(tmp_path, rows).cohorts == {"topic": "topic", "cohorts_topic": "cohorts_topic"}


def test_a_list_of_tags_makes_one_cohort_a_tag(tmp_path: Path) -> None:
    """A case is in each cohort that it names; a list of anything else is none."""
    file = tmp_path / "a.jsonl"
    rows = [{"id": f"{i}", "score": i, "tags": ["vip", "refund"][: 1 + i % 2]} for i in range(4)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    table = read_results(file)
    found = choose_columns(table, table, ColumnFlags())
    assert found.cohort_names == ("tags.refund", "tags.vip")
    cohorts = [row.case.cohorts for row in rows_of(table, table, found).after.rows]
    assert cohorts[:2] == [{"tags.vip": "yes"}, {"tags.refund": "yes", "tags.vip": "yes"}]


@pytest.mark.parametrize("path", [("results",), ("results", "results"), ("data", "samples")])
def test_rows_of_json_are_found_in_the_list_with_a_known_name(path: tuple[str, ...], tmp_path: Path) -> None:
    """In the outer object or one inside it, with their own lines; other lists are no rows."""
    value: Any = [{"id": "a", "score": 1}, {"id": "b", "score": 2}]
    for name in reversed(path):
        value = {"version": 3, "notes": [{"x": 1}], name: value}
    file = tmp_path / "a.json"
    file.write_text(json.dumps(value, indent=1), encoding="utf-8")
    table = read_results(file)
    assert table.texts("id") == ("a", "b")
    lines = file.read_text(encoding="utf-8").splitlines()
    assert all('"id"' in lines[row.line] for row in table.rows)


def test_two_lists_of_rows_are_refused(tmp_path: Path) -> None:
    """With the names of both."""
    file = tmp_path / "a.json"
    file.write_text('{"results": [{"id": "a"}], "more": {"rows": [{"id": "b"}]}}', encoding="utf-8")
    with pytest.raises(InputError, match=r"several lists hold rows: `results` and `more.rows`; keep one list of rows"):
        read_results(file)


def test_more_repeats_than_are_read_are_refused(tmp_path: Path) -> None:
    """A column of many rows an id rather names groups of cases."""
    rows = [{"id": "a", "run": i, "score": i} for i in range(101)]
    assert refused(tmp_path, rows) == [
        "before.csv: 'id' 'a' has 101 rows, at most 100 repeats are read; name the column that names the cases: "
        "--id COLUMN"
    ]


def test_too_many_rows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line from which on nothing is read: both tables are held in memory."""
    monkeypatch.setattr("evalkit.imports.result_table.MAX_ROWS", 3)
    rows = [{"id": f"{i}", "score": i} for i in range(5)]
    with pytest.raises(InputError, match=r"a.csv:5: more than 3 rows; compare a part of them"):
        read_results(csv_file(tmp_path / "a.csv", rows))


def test_a_capital_begins_a_word(tmp_path: Path) -> None:
    """Names of JavaScript tools are those of all others."""
    rows = [
        {"caseId": f"{i}", "isCorrect": i % 2, "toneScore": i / 10, "latencyMs": 200 + i, "F1": 0.5} for i in range(4)
    ]
    found = chosen(tmp_path, rows)
    assert found.cases.id == "case_id"
    assert [each.metric.name for each in found.grades] == ["is_correct", "tone_score", "f1"]
    assert found.amounts == {"latency_ms": "latency_ms"}
