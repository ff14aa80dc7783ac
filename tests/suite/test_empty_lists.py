"""An empty list is a value wherever a case says what is expected: nothing is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evalkit import InputError, Score, Unscored, run
from evalkit.suite.scorer_entry import has_field
from evalkit.types import Case

Ended = dict[str, list[tuple[str, float | str, bool | None]]]


def graded(root: Path, scorer: str, rows: list[Mapping[str, Any]] | str) -> Ended:
    """Metric -> (case, value or why there is none, mark) of a run over stored answers; a text is a CSV file."""
    (root / "pyproject.toml").write_text("", encoding="utf-8")
    csv = isinstance(rows, str)
    text = (
        rows
        if isinstance(rows, str)
        else "".join(json.dumps({**({} if "vars" in row else {"input": "q"}), **row}) + "\n" for row in rows)
    )
    (root / f"cases.{'csv' if csv else 'jsonl'}").write_text(text, encoding="utf-8")
    suite = f"name: s\ngolden: cases.{'csv' if csv else 'jsonl'}\nsystem: {{replay: golden}}\nscorers:\n  - {scorer}\n"
    (root / "suite.yaml").write_text(
        suite + "  - length: {name: counted, max: 99}\ngate:\n  - failures: {severity: critical, max: 0}\n",
        encoding="utf-8",
    )
    found: Ended = {}
    for row in run(root / "suite.yaml", out=root / "out", baseline="none").rows():
        for name, grade in row.scores.items():
            if name == "counted":
                continue
            value = grade.kind if isinstance(grade, Unscored) else grade.value
            mark = grade.passed if isinstance(grade, Score) else None
            found.setdefault(name, []).append((row.case.id, value, mark))
    return found


def refused(root: Path, scorer: str, rows: list[Mapping[str, Any]]) -> list[str]:
    """What `run` says before the first call."""
    with pytest.raises(InputError) as raised:
        graded(root, scorer, rows)
    return [str(problem) for problem in raised.value.problems]


def answered(text: str = "yes", **fields: Any) -> dict[str, Any]:
    """A stored answer."""
    return {"text": text, **fields}


CALLED = [{"name": "f", "arguments": {}}]


def test_no_call_is_expected(tmp_path: Path) -> None:
    """`expected_tool_calls: []`: a case where every call is one too many is scored, and fails where one is made."""
    rows = [
        {"id": "kept", "expected_tool_calls": [], "output": answered(tool_calls=[])},
        {"id": "made", "expected_tool_calls": [], "output": answered(tool_calls=CALLED)},
        {"id": "left", "output": answered(tool_calls=CALLED)},
    ]
    found = graded(tmp_path, "tool_calls: {when: {has: expected_tool_calls}}", rows)
    assert found["tool_calls.f1"] == [("kept", 1.0, True), ("made", 0.0, False)]


@pytest.mark.parametrize("name", ["ragas: [tool_call_accuracy, tool_call_f1]", "deepeval: [tool_correctness]"])
def test_no_call_is_expected_by_the_libraries(tmp_path: Path, name: str) -> None:
    """The metrics of ragas and deepeval read it as ours do."""
    rows = [
        {"id": "kept", "expected_tool_calls": [], "output": answered(tool_calls=[])},
        {"id": "made", "expected_tool_calls": [], "output": answered(tool_calls=CALLED)},
    ]
    for metric, grades in graded(tmp_path, name, rows).items():
        assert [(case, value) for case, value, _ in grades] == [("kept", 1.0), ("made", 0.0)], metric


def test_nothing_is_required_or_forbidden(tmp_path: Path) -> None:
    """`required: []`: nothing need be named, and what is forbidden still fails; `forbidden: []`: no word is wrong."""
    rows = [
        {"id": "free", "required": [], "output": "yes"},
        {"id": "caught", "required": [], "forbidden": ["yes"], "output": "yes"},
        {"id": "named", "required": ["yes"], "forbidden": [], "output": "yes"},
    ]
    marks = graded(tmp_path, "keywords", rows)["keywords"]
    assert marks == [("caught", 1.0, False), ("free", 1.0, True), ("named", 1.0, True)]


@pytest.mark.parametrize("option", ["all_field", "any_field", "none_field"])
def test_nothing_is_looked_for(tmp_path: Path, option: str) -> None:
    """`contains` asks nothing of an answer by an empty list, whichever of its options names the field."""
    rows = [{"id": "a", "texts": [], "output": "yes"}]
    assert graded(tmp_path, f"contains: {{{option}: texts}}", rows)["contains"] == [("a", 1.0, True)]


def test_no_source_is_expected(tmp_path: Path) -> None:
    """`citation` asks for no certain source by an empty list; how many citations it wants stays."""
    rows = [{"id": "a", "source": [], "contexts": ["doc-1 says"], "output": "yes [doc-1]"}]
    assert graded(tmp_path, "citation: {source_field: source}", rows)["citation"] == [("a", 1.0, True)]


def test_a_metric_over_nothing_is_refused_before_the_first_call(tmp_path: Path) -> None:
    """`reference_contexts: []` leaves nothing to compare with: the share of no passage is no number."""
    rows = [{"id": "a", "reference_contexts": [], "contexts": ["c"], "reference": "r", "output": "yes"}]
    (problem,) = refused(tmp_path, "ragas: [non_llm_context_recall]", rows)
    assert "cases.jsonl:1 id a" in problem
    assert "`reference_contexts` is empty" in problem
    assert problem.endswith("remove it and give the scorer `when: {has: reference_contexts}`, or add a passage")


@pytest.mark.parametrize(
    ("scorer", "field", "said"),
    [("refusal", "refuse", "`refuse` must be true or false"), ("prompt_leak", "canary_strings", "names no canary")],
)
def test_a_list_where_no_list_is_expected_stays_refused(tmp_path: Path, scorer: str, field: str, said: str) -> None:
    """A field that is no list of expected things has no meaning when empty."""
    (problem,) = refused(tmp_path, scorer, [{"id": "a", field: [], "output": "yes"}])
    assert said in problem


@pytest.mark.parametrize("name", ["contexts", "retrieved_contexts", "retrieval_context"])
def test_no_context_is_none_given(tmp_path: Path, name: str) -> None:
    """`contexts: []` and its aliases: the case gives no passage, as if the field were not there."""
    rows = [{"id": "a", name: [], "output": "yes"}, {"id": "b", name: ["c"], "output": "yes"}]
    assert graded(tmp_path, "length: {max: 9, when: {has: contexts}}", rows)["length"] == [("b", 1.0, True)]


@pytest.mark.parametrize("name", ["reference", "ground_truths", "expected_output", "expected"])
def test_no_reference_is_none_given(tmp_path: Path, name: str) -> None:
    """`reference: []` and its aliases: no answer is known to be right, which `exact` refuses."""
    (problem,) = refused(tmp_path, "exact", [{"id": "a", name: [], "output": "yes"}])
    assert "1 of 1 case has no `reference`, which scorer exact needs (a)" in problem


def test_an_empty_list_of_promptfoo_expects_nothing(tmp_path: Path) -> None:
    """`assert: []` and `__expected: []` give no reference."""
    row = {"id": "a", "vars": {"question": "q"}, "assert": [], "__expected": [], "output": "yes"}
    (problem,) = refused(tmp_path, "exact", [row])
    assert "has no `reference`" in problem


def test_a_cell_of_a_table_may_hold_an_empty_list(tmp_path: Path) -> None:
    """`[]` in CSV is a list; an empty cell is nothing, and the case has no such field."""
    rows = "id,input,required,output\nwritten,q,[],yes\nblank,q,,yes\n"
    assert graded(tmp_path, "keywords: {when: {has: required}}", rows)["keywords"] == [("written", 1.0, True)]


@pytest.mark.parametrize(
    ("value", "there"), [([], True), (0, True), (False, True), ({}, True), ("", False), (None, False)]
)
def test_what_counts_as_a_value(value: object, there: bool) -> None:
    """A field is missing where it is absent, null or an empty text."""
    assert has_field(Case(id="a", input="q", fields={"x": value}), "x") is there
    assert not has_field(Case(id="a", input="q"), "x")
