"""A case carries checks of its own: graded, gated, shown, compared, and refused with their place."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import evalkit
from evalkit import InputError, Score, Unscored
from evalkit.runner.case_checks import MOST_CHECKS, RULES, CaseChecks
from evalkit.scorers.base import POWERS, Bindable, CaseReader, Keyed
from evalkit.scorers.registry import SCORERS, scorer_class
from evalkit.types import Case, Output, Row, ToolCall

FEE: dict[str, Any] = {
    "id": "fee",
    "input": "What is the fee?",
    "output": "It is 9.80 EUR a month.",
    "checks": [{"contains": "9.80 EUR"}, {"regex": r"\bmonth\b"}, {"not_contains": "free"}],
}
HOURS = {"id": "hours", "input": "When are you open?", "output": "From nine to five."}
GATE = "gate:\n  - pass_rate: {min: 0.5}\n"
Write = Callable[..., Path]


@pytest.fixture
def suite(tmp_path: Path) -> Write:
    """Writes a project whose answers stand in its golden set."""
    (tmp_path / "pyproject.toml").write_text("", encoding="utf-8")

    def write(*rows: dict[str, Any], scorers: str = "  - length: {max: 400}\n", gate: str = GATE) -> Path:
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "cases.jsonl").write_text(text, encoding="utf-8")
        suite = f"name: s\ngolden: cases.jsonl\nsystem: {{replay: golden}}\nscorers:\n{scorers}{gate}"
        (tmp_path / "suite.yaml").write_text(suite, encoding="utf-8")
        return tmp_path / "suite.yaml"

    return write


def rows_of(run: evalkit.Run) -> dict[str, Row]:
    """The rows by case id."""
    return {row.case.id: row for row in run.rows()}


def problems_of(suite: Path) -> list[str]:
    """What stops a run before its first call."""
    with pytest.raises(InputError) as error:
        evalkit.run(suite)
    return [str(problem) for problem in error.value.problems]


def test_the_checks_of_a_case_are_one_metric_that_counts_in_its_pass_rate(suite: Write) -> None:
    """A case passes if it passes all of them; a case without any has no such score; a failed one is named."""
    wrong = {**FEE, "id": "wrong", "output": "It is free each month."}
    run = evalkit.run(suite(FEE, HOURS, wrong, gate="gate:\n  - checks: {min: 0.9}\n"))
    rows = rows_of(run)
    passed, failed = rows["fee"].scores["checks"], rows["wrong"].scores["checks"]
    assert isinstance(passed, Score)
    assert isinstance(failed, Score)
    assert (passed.value, passed.passed, passed.reason) == (1.0, True, "passes all 3 checks")
    assert "checks" not in rows["hours"].scores
    assert (failed.value, failed.passed) == (0.0, False)
    assert failed.reason == (
        "check 1: contains '9.80 EUR': missing '9.80 EUR'; check 3: not_contains 'free': not: holds 'free'"
    )
    assert [each["passed"] for each in failed.details["checks"]] == [False, True, False]
    assert run.outcome == "blocked"
    assert run.summary is not None
    cells = {name: run.summary.cell(name) for name in ("checks", "pass_rate")}
    figures = {name: cell and cell.estimate and cell.estimate.value for name, cell in cells.items()}
    assert figures == {"checks": 0.5, "pass_rate": pytest.approx(2 / 3)}
    for file in ("report.html", "failure_analysis.md"):
        assert "9.80 EUR" in (run.folder / file).read_text(encoding="utf-8")


def test_every_problem_of_every_check_is_reported_before_the_first_call(suite: Write) -> None:
    """Each with file, line, id, the check's key and a fix."""
    bad = {
        **FEE,
        "id": "bad",
        "checks": [
            {"contain": "x"},
            {"python": "os:remove"},
            {"judge": {"rubric": "Is it polite?"}},
            {"contains": {"al": "x"}},
            {"regex": "("},
            {"similarity": 0.8},
            {"rouge_l": {}},
            {"keywords": 1.0},
            {"json": {"schema": "schema.json"}},
            {"contains": {"all": "x", "when": {"kind": "golden"}}},
            {"a": 1, "b": 2},
            7,
            {"not_groundedness": 0.5},
        ],
    }
    found = problems_of(suite(bad, {**HOURS, "checks": "polite"}))
    assert found == [
        "cases.jsonl:1 id bad checks[0]: no check called 'contain'; did you mean `contains`?",
        "cases.jsonl:1 id bad checks[1]: python is not a rule, and a row may use rules only; "
        "add it to the suite's scorers, with `when: {has: FIELD}`",
        "cases.jsonl:1 id bad checks[2]: judge is not a rule, and a row may use rules only; "
        "add it to the suite's scorers, with `when: {has: FIELD}`",
        "cases.jsonl:1 id bad checks[3].contains.al: unknown key; did you mean `all`?",
        "cases.jsonl:1 id bad checks[4].regex.pattern: missing ) '(' at character 1; "
        "fix the pattern, or escape a literal sign with \\",
        "cases.jsonl:1 id bad checks[5]: similarity is not a rule, and a row may use rules only; "
        "add it to the suite's scorers, with `when: {has: FIELD}`",
        "cases.jsonl:1 id bad checks[6]: rouge_l has no pass mark; give it one such as `min:`",
        "cases.jsonl:1 id bad checks[8].json.schema: a row names no files; write the schema itself",
        "cases.jsonl:1 id bad checks[9].contains.when: a check applies to its own case only; remove it",
        "cases.jsonl:1 id bad checks[10]: expected a name or one `name: options`, got a mapping; "
        "start each entry with `- name:`",
        "cases.jsonl:1 id bad checks[11]: expected a name or one `name: options`, got 7; "
        "start each entry with `- name:`",
        "cases.jsonl:1 id bad checks[12]: not_groundedness.content_words is graded, not pass or fail; "
        "use its `max`, or drop `not_`",
        "cases.jsonl:1 id bad checks[7]: keywords needs `required`, which this row does not have; add the field",
        "cases.jsonl:2 id hours checks: expected a list of checks, got 'polite'; "
        'write [{"contains": "..."}], or rename the field',
    ]


def test_a_case_has_a_limited_number_of_checks(suite: Write) -> None:
    """At the limit it runs, above it the row is refused."""
    many = [{"contains": f"{number}"} for number in range(MOST_CHECKS + 1)]
    grade = rows_of(evalkit.run(suite({**FEE, "checks": many[1:]})))["fee"].scores["checks"]
    assert isinstance(grade, Score)
    assert len(grade.details["checks"]) == MOST_CHECKS
    (found,) = problems_of(suite({**FEE, "checks": many}))
    assert found.startswith("cases.jsonl:1 id fee checks: 101 checks, at most 100 are read")


def test_checks_are_read_from_csv_and_are_absent_where_the_cell_or_list_is_empty(suite: Write, tmp_path: Path) -> None:
    """A cell holds the list as JSON; a text is refused with what to write."""
    file = suite(FEE)
    (tmp_path / "suite.yaml").write_text(file.read_text().replace("cases.jsonl", "cases.csv"), encoding="utf-8")
    head = "id,input,output,checks\n"
    cell, sound = '"[{""contains"": ""9.80 EUR""}, ""exact""]"', '"[{""contains"": ""9.80 EUR""}]"'
    (tmp_path / "cases.csv").write_text(head + f"a,q,It is 9.80 EUR,{cell}\n", encoding="utf-8")
    (found,) = problems_of(file)
    assert found == "cases.csv:2 id a checks[1]: exact needs `reference`, which this row does not have; add the field"
    (tmp_path / "cases.csv").write_text(head + f"a,q,It is 9.80 EUR,{sound}\nb,q,r,\nc,q,r,[]\n", encoding="utf-8")
    run = evalkit.run(file)
    assert [("checks" in row.scores) for row in run.rows()] == [True, False, False]
    (tmp_path / "cases.csv").write_text(head + "a,q,It is 9.80 EUR,contains: 9.80 EUR\n", encoding="utf-8")
    (found,) = problems_of(file)
    assert "expected a list of checks, got 'contains: 9.80 EUR'" in found


def test_a_check_that_cannot_be_scored_is_unknown_unless_another_one_failed(suite: Write) -> None:
    """A failure is known where another check is not; unknown is never a pass."""
    unknown = {**HOURS, "checks": ["latency", {"contains": "nine"}]}
    failed = {**HOURS, "id": "no", "checks": [{"latency": 1}, {"contains": "ten"}]}
    unknown["checks"] = [{"latency": 1}, {"contains": "nine"}]
    rows = rows_of(evalkit.run(suite(unknown, failed)))
    grade = rows["hours"].scores["checks"]
    assert isinstance(grade, Unscored)
    assert grade.message.startswith("check 1: latency 1: ")
    assert isinstance(other := rows["no"].scores["checks"], Score)
    assert other.passed is False
    assert other.reason == "check 2: contains 'ten': missing 'ten'"


def test_a_set_without_checks_makes_the_same_run_as_before(suite: Write) -> None:
    """No metric, no key of the manifest and no score is added."""
    run = evalkit.run(suite(HOURS))
    assert run.manifest.score_keys.keys() == {"length"}
    assert [each.name for each in run.manifest.metrics] == ["length"]
    assert "checks" not in json.loads((run.folder / "manifest.json").read_text(encoding="utf-8"))["golden"]
    assert {*rows_of(run)["hours"].scores} == {"length"}


def test_a_gate_on_checks_that_no_case_has_is_a_problem(suite: Write) -> None:
    """Like a gate on any metric that no scorer gives."""
    (found,) = problems_of(suite(HOURS, gate="gate:\n  - checks: {min: 1}\n"))
    assert "gate[0]" in found
    assert "checks" in found


def test_a_scorer_may_not_take_the_name_of_the_metric(suite: Write) -> None:
    """Two scores under one name would overwrite each other."""
    (found,) = problems_of(suite(FEE, scorers="  - length: {max: 400, name: checks}\n"))
    assert "'checks' is the metric of the checks that cases carry" in found


def test_changed_checks_are_a_changed_case_and_resume_keeps_the_others(suite: Write, tmp_path: Path) -> None:
    """The digest covers them: a resumed run asks the changed case again; `score` grades by today's checks."""
    out = tmp_path / "reports" / "run"
    first = evalkit.run(suite(FEE, HOURS), out=out)
    before = {row.case.id: row.case.digest for row in first.rows()}
    assert first.manifest.golden.checks
    same = evalkit.run(tmp_path / "suite.yaml", out=out, resume=True)
    assert same.manifest.score_keys == first.manifest.score_keys
    assert rows_of(same)["fee"].scores == rows_of(first)["fee"].scores
    again = evalkit.run(suite({**FEE, "checks": [{"contains": "12 EUR"}]}, HOURS), out=tmp_path / "reports" / "two")
    after = {row.case.id: row.case.digest for row in again.rows()}
    assert (before["hours"], before["fee"] != after["fee"]) == (after["hours"], True)
    scored = evalkit.score(first.folder, suite(FEE, HOURS))
    assert rows_of(scored)["fee"].scores == rows_of(first)["fee"].scores


def many(n_with_checks: int, wanted: str = "EUR") -> list[dict[str, Any]]:
    """Forty cases that say `9.80 EUR`; the first ones check for a text."""
    checks = {"checks": [{"contains": wanted}]}
    rows = [{"id": f"c{n}", "input": f"What is fee {n}?", "output": "9.80 EUR"} for n in range(40)]
    return [row | (checks if n < n_with_checks else {}) for n, row in enumerate(rows)]


COMPARED = "gate:\n  - no_regression: {baseline: reports/old}\n"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (many(3), many(2), "1 case edited"),
        (many(3, "free"), many(3), "3 cases edited"),
        (many(3, "free"), many(0), "3 cases edited"),
        (many(0), many(3), "3 cases edited"),
    ],
    ids=["one removed", "loosened", "the last ones removed", "the first ones added"],
)
def test_edited_checks_are_a_finding_and_the_old_ones_are_graded(
    suite: Write, before: list[Any], after: list[Any], said: str, tmp_path: Path
) -> None:
    """As for any edited expectation; the other cases stay comparable, and `pass_rate` with them."""
    evalkit.run(suite(*before), out=tmp_path / "reports" / "old")
    run = evalkit.run(suite(*after, gate=COMPARED))
    assert run.decision is not None
    assert run.decision.comparison is not None
    assert not run.decision.comparison.incomparable
    (found,) = [each for each in run.decision.amendments if "edited" in each.what]
    assert found.what == said
    assert found.note.startswith("checks; ")
    fails = "free" in json.dumps(before)
    assert ("fail now" in found.note, "pass" in found.note) == (fails, not fails), found.note


def test_a_new_scorer_of_shared_cases_is_still_not_compared(suite: Write, tmp_path: Path) -> None:
    """Only what no shared case has is left out of the comparison without a word."""
    evalkit.run(suite(*many(3)), out=tmp_path / "reports" / "old")
    found = problems_of(suite(*many(3), scorers="  - length: {max: 400}\n  - contains: EUR\n", gate=COMPARED))
    assert "it has no scores of contains; score its stored answers again" in found[0]


def test_every_rule_that_a_row_may_use_is_recorded_with_its_version() -> None:
    """The score key holds the version of `CaseChecks`: raise it, and the number in `RULES`, when a rule's changes."""
    assert {name: scorer_class(SCORERS[name]).version for name in RULES} == dict(RULES)
    assert CaseChecks.version == "2"


def test_the_guide_names_every_rule_that_a_row_may_use() -> None:
    """The list in golden-sets.md is the one in the code."""
    guide = (Path(__file__).parents[2] / "docs" / "golden-sets.md").read_text(encoding="utf-8")
    listed = guide.split("and that have a pass mark:")[1].split(".")[0]
    assert re.findall(r"`(\w+)`", listed) == [*RULES]


def test_a_rule_of_a_row_has_no_power_that_checks_do_not_pass_on() -> None:
    """`check_case` is passed on. The key of a rule without files is its options, which are part of the case."""
    for name in RULES:
        has = {power for power in POWERS if isinstance(scorer_class(SCORERS[name]), power)}
        # `state` is bound to what replays calls, and refuses a row that needs it: see `expected_state: from_calls`.
        allowed: dict[str, set[type]] = {"json": {Bindable, Keyed}, "state": {Bindable, CaseReader}}
        assert has <= allowed.get(name, {CaseReader}), name


def test_check_case_of_a_rule_reaches_the_row() -> None:
    """`tool_calls` reads a field of the row, and says so before the first call."""
    case = Case(id="a", input="q", fields={"checks": ["tool_calls"], "expected_tool_calls": "no list"})
    with pytest.raises(InputError, match=r"checks\[0\]"):
        CaseChecks().check_case(case)
    sound = Case(id="a", input="q", fields={"checks": [{"contains": {"name": "the fee", "all": "9"}}]})
    grade = asyncio.run(CaseChecks().score(sound, Output(text="8")))
    assert isinstance(grade, Score)
    assert grade.reason == "check 1: the fee: missing '9'"


def test_a_figure_that_is_only_shown_does_not_leave_a_check_unknown() -> None:
    """An answer without an error has no `tool_errors.recovered`, and passes; state and steps are checked too."""
    checks: list[Any] = [{"tool_errors": 0}, {"steps": {"max": 1}}, {"loops": 1}, "state"]
    fields = {"checks": checks, "state": {"n": 1}, "expected_state": {"n": 2}}
    case = Case(id="a", input="q", fields=fields)
    CaseChecks().check_case(case)
    call = ToolCall("add", {"n": 1})
    grade = asyncio.run(CaseChecks().score(case, Output(text="", tool_calls=(call,), state={"n": 2})))
    assert isinstance(grade, Score)
    assert grade.passed, grade.reason
    grade = asyncio.run(CaseChecks().score(case, Output(text="", tool_calls=(call, call), state={"n": 3})))
    assert isinstance(grade, Score)
    assert not grade.passed
    assert "check 4: state: 0 of 1 expected value; n is 3, expected 2" in grade.reason
