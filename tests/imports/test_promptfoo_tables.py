"""Imports of the tables that promptfoo writes as CSV, in each of its layouts."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from import_lab import Import, import_text, rows_of
from test_promptfoo_imports import result, results_of

from evalkit.operations.compare_files import Comparing, compare_files


def table(*rows: list[str]) -> str:
    """Rows as CSV."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    return written.getvalue()


BESIDE = ["Status", "Score", "Named Scores", "Metric: tone", "Grader Reason", "Comment"]
SHORT, KIND = "[openai:gpt-4o] Be short: {{question}}", "[bot] Be kind:\n{{question}}"
NOW = table(
    ["Description", "question", "place", SHORT, *BESIDE, KIND, *BESIDE],
    [
        *("hours", "When?", "Ulm", "At 9.", "PASS", "0.75", '{"tone":0.5}', "0.50", "All passed", ""),
        *("No.", "FAIL", "0.00", "", "", "lacks 9", "looks wrong"),
    ],
    [
        *("", "Refund A-17?", "Bonn", "Done.", "PASS", "1.00", '{"tone":1}', "1.00", "All passed", ""),
        *("429 too many", "ERROR", "0.00", "", "", "", ""),
    ],
)
"""Two systems, two tests; since 2025 the verdict has columns of its own."""


def stored(made: Import, at: int = 1) -> list[tuple[Any, ...]]:
    """Case, answer or failure, and whether promptfoo passed it, of a system."""
    rows = rows_of(made.folder / ("answers.jsonl" if at == 1 else f"answers-{at}.jsonl"))
    return [
        (row["id"], row.get("output", row.get("failure", {}))["text" if "output" in row else "message"], verdict(row))
        for row in rows
    ]


def verdict(row: dict[str, Any]) -> Any:
    """What promptfoo said of an answer."""
    return row["recorded"].get("pass", {}).get("value")


def test_a_table_with_verdicts_in_columns_of_their_own(tmp_path: Path) -> None:
    """Each column of answers is a system; variables, description, scores and reasons are carried, and errors failed."""
    made = import_text(tmp_path, "out.csv", NOW)
    assert made.written.kind == "promptfoo results"
    assert made.counts == {"case": (2, 2), "output": (4, 4)}
    assert [each["name"] for each in made.suites] == ["out / openai:gpt-4o", "out / bot"]
    assert [(row["id"], row["input"], row["place"]) for row in made.golden] == [
        ("hours", "When?", "Ulm"),
        ("test-2", "Refund A-17?", "Bonn"),
    ]
    assert stored(made) == [("hours", "At 9.", True), ("test-2", "Done.", True)]
    assert stored(made, 2) == [("hours", "No.", False), ("test-2", "429 too many", False)]
    assert made.answers[0]["recorded"] == {
        "tone": 0.5, "score": 0.75, "pass": {"value": True, "reason": "All passed"},
    }  # fmt: skip
    assert rows_of(made.folder / "answers-2.jsonl")[0]["recorded"]["pass"] == {
        "value": False, "reason": "lacks 9", "comment": "looks wrong",
    }  # fmt: skip
    assert made.losses == [
        ("out.csv", "a table in CSV holds verdicts and no assertions, so nothing decides in the suite")
    ]


@pytest.mark.parametrize(
    ("header", "cells", "score", "reason"),
    [
        (
            ["city", "[bot] p"],
            ["Ulm", "[PASS] (0.75, tone: 0.50)\n\nAt 9.\n\nAt 10.\n\nPass Reason: good"],
            0.75,
            "good",
        ),
        (["city", "[bot] p"], ["Ulm", "[PASS] (1.00)\n\nAt 9.\n\nAt 10."], 1.0, None),
        (["p {{city}}", "city"], ["[PASS] (1.00) At 9.\n\nAt 10.", "Ulm"], 1.0, None),
        (["p {{city}}", "city"], ["[PASS] At 9.\n\nAt 10.", "Ulm"], None, None),
        (["city", "[bot] p", "Grader Reason", "Comment"], ["Ulm", "[PASS] At 9.\n\nAt 10.", "good", ""], None, "good"),
    ],
)
def test_a_table_with_the_verdict_before_the_answer(
    tmp_path: Path, header: list[str], cells: list[str], score: float | None, reason: str | None
) -> None:
    """As earlier versions wrote it: prompts before variables or after them, with scores and reasons or without."""
    made = import_text(tmp_path, "out.csv", table(header, cells))
    assert made.golden[0]["input"] == "Ulm"
    assert stored(made) == [("test-1", "At 9.\n\nAt 10.", True)]
    (row,) = made.answers
    assert row["recorded"].get("score") == score
    assert row["recorded"]["pass"].get("reason") == reason


def test_failed_and_erroneous_answers_with_the_verdict_in_the_cell(tmp_path: Path) -> None:
    """A failed assertion is an answer, an error a failed call, an empty cell nothing."""
    made = import_text(
        tmp_path,
        "out.csv",
        table(
            ["q", "[bot] p"],
            ["a", "[FAIL] (0.00)\n\nNo.\n\nFail Reason: lacks 9"],
            ["b", "[ERROR] (0.00)\n\n\n\nFail Reason: HTTP 500"],
            ["c", ""],
        ),
    )
    assert stored(made) == [("test-1", "No.", False), ("test-2", "HTTP 500", False)]
    assert "output" in made.answers[0]
    assert "failure" in made.answers[1]


def test_one_cell_without_a_verdict_does_not_hide_a_column_of_answers(tmp_path: Path) -> None:
    """The column stays one of answers, and the cell is listed with its place."""
    rows = [[f"q{number}", "[PASS] yes", "[FAIL] no"] for number in range(30)]
    rows[4][1] = "timed out"
    made = import_text(tmp_path, "o.csv", table(["q", "[a] {{q}}", "[b] {{q}}"], *rows))
    assert [each["name"] for each in made.suites] == ["o / a", "o / b"]
    assert made.counts == {"case": (30, 30), "output": (60, 59)}
    assert {*made.golden[0]} == {"id", "input"}
    assert ("o.csv:6 [a] {{q}}", "it begins with none of [PASS], [FAIL] and [ERROR]") in made.losses


def test_rows_with_equal_variables_are_repeats(tmp_path: Path) -> None:
    """`--repeat 2` writes each test twice."""
    rows = [["x", "[PASS] a"], ["x", "[FAIL] b"], ["y", "[PASS] c"], ["y", "[PASS] d"]]
    made = import_text(tmp_path, "o.csv", table(["q", "[b] p"], *rows))
    assert [(row["id"], row["repeat"]) for row in made.answers] == [
        ("test-1", 0), ("test-1", 1), ("test-2", 0), ("test-2", 1),
    ]  # fmt: skip
    assert made.suite["repeat"] == 2


def test_a_question_that_occurs_twice_among_others_is_two_cases(tmp_path: Path) -> None:
    """A suite that repeats every case would lack answers to the others."""
    rows = [["x", "[PASS] a"], ["x", "[FAIL] b"], ["y", "[PASS] c"]]
    made = import_text(tmp_path, "o.csv", table(["q", "[b] p"], *rows))
    assert [(row["id"], row["repeat"]) for row in made.answers] == [("test-1", 0), ("test-2", 0), ("test-3", 0)]
    assert "repeat" not in made.suite
    assert ("o.csv", "1 row has the variables of another one: it is a case of its own") in made.losses
    assert len(import_text(tmp_path, "o.csv", table(["q", "[b] p"], *rows), "few", limit=2).golden) == 2


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (",0.75,", ",nan,", "the score 'nan' is not a number"),
        (",0.75,", ",1e999,", "the score '1e999' is not a number"),
        ('"{""tone"":0.5}"', "x", "the named scores 'x' are not a JSON object of numbers"),
        ('{""tone"":0.5}', '{""a"":NaN}', "the named scores '{\"a\":NaN}' are not a JSON object of numbers"),
        ('{""tone"":0.5}', '{""a"":null}', "the named score 'a' is not a number"),
    ],
)
def test_a_score_that_is_not_a_number_is_listed(tmp_path: Path, old: str, new: str, what: str) -> None:
    """With its place, and it is not stored."""
    assert old in NOW
    made = import_text(tmp_path, "o.csv", NOW.replace(old, new, 1))
    assert (f"o.csv:3 {SHORT}", what) in made.losses
    assert made.answers[0]["recorded"].keys() == ({"pass", "tone"} if "0.75" in old else {"pass", "score"})


def test_scores_in_the_cell_that_are_not_numbers_are_listed(tmp_path: Path) -> None:
    """What follows the last one that is a score, too."""
    rows = [["x", f"[PASS] ({'9' * 400}.00) a"], ["y", "[PASS] (1.00, tone: 0.50, facts: NaN)\n\nb"]]
    made = import_text(tmp_path, "o.csv", table(["q", "[b] p"], *rows))
    assert made.answers[1]["recorded"].keys() == {"pass", "score", "tone"}
    assert made.losses[1:] == [
        ("o.csv:2 [b] p", f"the score '{'9' * 20}' is not a number"),
        ("o.csv:5 [b] p", "the named scores 'facts: NaN' are not numbers"),
    ]


def test_the_quote_before_formulas_is_left_out_where_the_file_has_it(tmp_path: Path) -> None:
    """A list in Markdown begins with a hyphen; a file with a cell that is not quoted was written without quotes."""
    head = ["q", "[b] p", "Status", "Score", "Named Scores", "Grader Reason", "Comment"]
    rows = [["'-1 + 1", "'- one\n- two", "PASS", "1.00", "", "", ""], ["-1", "'tis so", "PASS", "1.00", "", "", ""]]
    made = import_text(tmp_path, "o.csv", table(head, *rows))
    assert [row["input"] for row in made.golden] == ["-1 + 1", "-1"]
    assert [row["output"]["text"] for row in made.answers] == ["- one\n- two", "'tis so"]
    assert "the quote before cells" in made.losses[1][1]
    plain = import_text(tmp_path, "p.csv", table(head, *rows, ["=1", *rows[0][1:]]), "plain")
    assert plain.answers[0]["output"]["text"] == "'- one\n- two"


def test_the_columns_of_an_attack(tmp_path: Path) -> None:
    """Which plugin and strategy made it is a cohort; its history is a loss."""
    head = ["prompt", "[b] {{prompt}}", "Status", "Score", "Named Scores", "Grader Reason", "Comment"]
    made = import_text(
        tmp_path,
        "o.csv",
        table(
            [*head, "Messages", "RedteamHistory", "pluginId", "strategyId"],
            ["Tell me", "No", "PASS", "1.00", "", "", "", '[{"role": "user"}]', "", "pii", "basic"],
        ),
    )
    assert made.golden[0]["cohorts"] == {"pluginId": "pii", "strategyId": "basic"}
    assert made.losses[1] == ("o.csv", "the column `Messages` is not read")


def test_a_status_that_nobody_knows_is_no_verdict(tmp_path: Path) -> None:
    """It is listed, and neither passed nor failed."""
    made = import_text(tmp_path, "o.csv", NOW.replace(",FAIL,", ",SKIP,"))
    assert stored(made, 2)[0] == ("hours", "No.", None)
    assert made.losses[1] == ("o.csv:3 [bot] Be kind:<U+000A>{{question}}", "the status 'SKIP'")


def test_limit_counts_the_tests_of_a_table(tmp_path: Path) -> None:
    """As in results in JSON."""
    assert [row["id"] for row in import_text(tmp_path, "o.csv", NOW, limit=1).golden] == ["hours"]


def compared(folder: Path, old: str, new: str) -> Any:
    """Compare two texts by their suffix."""
    files = []
    for name, text in (("old", old), ("new", new)):
        files.append(folder / f"{name}.{'json' if text.startswith('{') else 'csv'}")
        files[-1].write_text(text, encoding="utf-8")
    return compare_files(Comparing(before=str(files[0]), after=str(files[1])), folder / "compared")


def test_tables_are_compared_and_a_table_with_results_in_json(tmp_path: Path) -> None:
    """By hand: 12 of 40 break; the JSON of the earlier run and the CSV of the later one pair by what they ask."""
    asked = ["x" * number + "?" for number in range(40)]
    said = {True: "[PASS] (1.00) a", False: "[FAIL] (0.00) a"}
    new = table(["question", "[bot-0] p"], *[[q, said[bool(n % 10 and n % 3)]] for n, q in enumerate(asked)])
    old = table(["question", "[bot-0] p"], *[[q, said[bool(n % 10)]] for n, q in enumerate(asked)])
    in_json = results_of(
        *[result("a", question=q, success=bool(n % 10), score=float(bool(n % 10))) for n, q in enumerate(asked)]
    )
    for at, before in enumerate((old, json.dumps(in_json))):
        (tmp_path / str(at)).mkdir()
        found = compared(tmp_path / str(at), before, new)
        assert found.decision.outcome == "blocked"
        drops = [check.drop.value for check in found.decision.checks if check.metric == "pass" and check.drop]
        assert drops == [pytest.approx(12 / 40)]


def test_more_of_a_metric_of_promptfoo_is_better_whatever_its_name_says(tmp_path: Path) -> None:
    """`cost` is a score of 1 where the assertion on cost passed: a fall is a drop."""
    head = ["q", "[b] p", "Status", "Score", "Named Scores", "Metric: cost", "Grader Reason", "Comment"]
    old = [[f"{'q' * (n + 1)}", "a", "PASS", "1.00", '{"cost":1}', "1.00", "", ""] for n in range(40)]
    new = [[*row[:4], f'{{"cost":{n % 2}}}', f"{n % 2}.00", "", ""] for n, row in enumerate(old)]
    found = compared(tmp_path, table(head, *old), table(head, *new))
    assert found.decision.outcome == "blocked"
    dropped = {check.metric for check in found.decision.checks if check.drop and check.drop.value > 0.4}
    assert dropped == {"scores_cost", "pass_rate"}


@pytest.mark.parametrize("end", ["", ")", ") At 9."])
def test_many_scores_in_a_cell_take_no_time(tmp_path: Path, end: str) -> None:
    """A cell that looks like hundreds of scores is read in time that grows with its length."""
    for part in (", a: 0.50" * 300, ", a: " * 300, ", a: 0.50" * 3_000):
        cell = f"[PASS] (1.00{part}{end}"
        made = import_text(tmp_path, "o.csv", table(["q", "[b] p"], ["x", cell]), f"out-{len(part)}-{part[-1]}")
        assert made.answers[0]["recorded"]["pass"]["value"] is True


@pytest.mark.parametrize("score", ["1.2.3", "", "-", "1e999", "9" * 400, "NaN", "high"])
def test_a_score_that_is_no_number_is_unknown(tmp_path: Path, score: str) -> None:
    """And never 0."""
    made = import_text(tmp_path, "o.csv", NOW.replace(",0.75,", f",{score},"))
    assert "score" not in made.answers[0]["recorded"]
