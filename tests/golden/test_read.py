"""Golden sets: aliases of other tools, every problem named, files as they really are."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalkit.errors import InputError, Problem
from evalkit.golden import fields
from evalkit.golden.fields import to_case
from evalkit.golden.read import GoldenSource, open_golden
from evalkit.runner.case_checks import CaseChecks
from evalkit.types import Case, Message


def cases_of(file: Path, **options: Any) -> list[Case]:
    """Cases of a checked file."""
    return list(open_golden(GoldenSource(path=file.name, **options), file, file.name).open())


def problems_of(file: Path, **options: Any) -> list[str]:
    """What is wrong with a file, as people read it."""
    with pytest.raises(InputError) as raised:
        cases_of(file, **options)
    return [str(problem) for problem in raised.value.problems]


def jsonl(tmp_path: Path, *lines: str | bytes) -> Path:
    """A file of these lines."""
    file = tmp_path / "cases.jsonl"
    file.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    return file


@pytest.mark.parametrize(
    "row",
    [
        pytest.param({"input": "q", "reference": "r", "contexts": ["c"]}, id="ours"),
        pytest.param({"user_input": "q", "reference": "r", "retrieved_contexts": ["c"]}, id="ragas"),
        pytest.param({"question": "q", "ground_truth": "r", "contexts": ["c"]}, id="ragas, old names"),
        pytest.param({"input": "q", "expected_output": "r", "retrieval_context": ["c"]}, id="deepeval"),
        pytest.param({"vars": {"question": "q"}, "__expected": "r", "contexts": ["c"]}, id="promptfoo"),
        pytest.param({"inputs": {"question": "q"}, "outputs": {"answer": "r"}, "contexts": ["c"]}, id="langsmith"),
    ],
)
def test_column_names_of_other_tools_are_read(tmp_path: Path, row: dict[str, Any]) -> None:
    """One case, six spellings."""
    (case,) = cases_of(jsonl(tmp_path, json.dumps({"id": "a", **row})))
    assert (case.question, case.reference, case.contexts) == ("q", ("r",), ("c",))


def test_an_equals_assertion_of_promptfoo_is_the_reference(tmp_path: Path) -> None:
    """`equals: 4` and `4` are one answer there; a colon of the answer's own stays."""
    for cell, answer in (("equals: 4", "4"), ("Answer: 4", "Answer: 4"), ("containsion: x", "containsion: x")):
        (case,) = cases_of(jsonl(tmp_path, json.dumps({"id": "a", "question": "q", "__expected": cell})))
        assert case.reference == (answer,)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"__expected": "llm-rubric: is kind"}, "`__expected` is an assertion of promptfoo (llm-rubric)"),
        ({"__expected": "contains:"}, "(contains)"),
        ({"__expected": "similar(0.8): Paris"}, "(similar)"),
        ({"__expected": "not-equals: Rome"}, "(not-equals)"),
        ({"__expected": "is-json: {not JSON"}, "(is-json)"),
        ({"__expected": "word-count: 5,10"}, "(word-count)"),
        ({"__expected": "not-perplexity-score: 0.5"}, "(not-perplexity-score)"),
        ({"__expected": "similar:cosine(0.8): Paris"}, "(similar"),
        ({"__expected": "trajectory:tool-used: search"}, "(trajectory:tool-used)"),
        ({"__expected": "search-rubric: is current"}, "(search-rubric)"),
        ({"__expected": "file://check.py"}, "(file)"),
        (
            {"__expected": "Paris", "__expected2": "levenshtein: P"},
            "`__expected2` is an assertion of promptfoo (levenshtein)",
        ),
        ({"__expected1": "Paris", "__expected2": "Lyon"}, "`__expected1` and `__expected2` both give the reference"),
        ({"assert": [{"type": "contains", "value": ["Paris"]}]}, "`assert` is an assertion of promptfoo (contains)"),
        ({"assert": [{"type": "contains", "value": "Paris", "weight": 0}]}, "(contains)"),
        ({"assert": [{"type": "latency", "threshold": True}]}, "(latency)"),
        ({"__expected": ["Paris", "python: x > 1"]}, "`__expected` is an assertion of promptfoo (python)"),
        ({"assert": [{"type": "assert-set", "assert": []}]}, "`assert` is an assertion of promptfoo (assert-set)"),
    ],
)
def test_an_assertion_of_promptfoo_is_never_taken_for_an_answer(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    """Graded against the text `contains: Paris` every answer is wrong; left out, every answer is right."""
    problem = "".join(problems_of(jsonl(tmp_path, json.dumps({"id": "a", "vars": {"question": "q"}, **row}))))
    assert said in problem
    assert "`required`" in problem or "keep one of the two" in problem


@pytest.mark.parametrize(
    ("assertion", "check"),
    [
        (("contains", "Paris"), {"contains": {"all": ["Paris"], "ignore_case": False}}),
        (("icontains", "Paris"), {"contains": {"all": ["Paris"], "ignore_case": True}}),
        (("not-contains", "Rome"), {"not_contains": {"all": ["Rome"], "ignore_case": False}}),
        (("icontains-any", "a, b"), {"contains": {"any": ["a", "b"], "ignore_case": True}}),
        (("contains-all", "a,b"), {"contains": {"all": ["a", "b"], "ignore_case": False}}),
        (("regex", "[a-z]+"), {"regex": "[a-z]+"}),
        (("starts-with", "É “Paris” (F)_"), {"regex": r"\AÉ “Paris” \(F\)_"}),
        (("is-json", ""), {"json": {}}),
    ],
)
def test_an_assertion_without_a_model_is_a_check(
    tmp_path: Path, assertion: tuple[str, str], check: dict[str, Any]
) -> None:
    """In a cell and in a list; the column is gone, and an answer beside it is the reference."""
    kind, value = assertion
    listed = [{"type": "equals", "value": 4}, {"type": kind, **({"value": value} if value else {})}]
    for row in ({"__expected": "4", "__expected2": f"{kind}: {value}" if value else kind}, {"assert": listed}):
        (case,) = cases_of(jsonl(tmp_path, json.dumps({"id": "a", "vars": {"question": "q"}, **row})))
        assert (case.reference, case.fields) == (("4",), {"checks": [check]})
    CaseChecks().check_case(case)


def test_limits_of_promptfoo_are_checks_in_our_units(tmp_path: Path) -> None:
    """Milliseconds become seconds; lists of words stay lists; a schema stays a schema."""
    listed = [
        {"type": "latency", "threshold": 1500},
        {"type": "cost", "threshold": 0.01},
        {"type": "contains-any", "value": ["a, b", "c"]},
        {"type": "is-json", "value": {"type": "object"}},
    ]
    (case,) = cases_of(jsonl(tmp_path, json.dumps({"id": "a", "vars": {"question": "q"}, "assert": listed})))
    assert case.fields["checks"] == [
        {"latency": 1.5},
        {"cost": 0.01},
        {"contains": {"any": ["a, b", "c"], "ignore_case": False}},
        {"json": {"schema": {"type": "object"}}},
    ]
    CaseChecks().check_case(case)
    both = {"id": "a", "vars": {"question": "q"}, "assert": listed, "checks": ["exact"]}
    assert "move the assertions into `checks`" in "".join(problems_of(jsonl(tmp_path, json.dumps(both))))


def test_an_answer_of_promptfoo_keeps_the_digest_that_baselines_know(tmp_path: Path) -> None:
    """A cell stays a text, a list stays a list: the content of the case is as it was."""
    rows: list[dict[str, Any]] = [
        {"__expected": "4"},
        {"__expected": ["4"]},
        {"assert": [{"type": "equals", "value": 4}]},
    ]
    found = [cases_of(jsonl(tmp_path, json.dumps({"id": "a", "vars": {"question": "q"}, **row})))[0] for row in rows]
    ours = [cases_of(jsonl(tmp_path, json.dumps({"id": "a", "input": "q", "reference": r})))[0] for r in ("4", ["4"])]
    assert [case.digest for case in found] == [ours[0].digest, ours[1].digest, ours[1].digest]


def test_assert_is_a_field_like_any_other_where_promptfoo_is_not_met(tmp_path: Path) -> None:
    """Without `vars` the word says nothing; an `equals` beside `vars` is the reference."""
    (case,) = cases_of(jsonl(tmp_path, json.dumps({"id": "a", "input": "q", "assert": "yes"})))
    assert case.fields == {"assert": "yes"}
    empty = {"id": "a", "vars": {"question": "q"}, "reference": "4", "assert": [], "__expected": ""}
    (case,) = cases_of(jsonl(tmp_path, json.dumps(empty)))
    assert case.reference == ("4",)
    row = {"id": "a", "vars": {"question": "q"}, "assert": [{"type": "equals", "value": 4}]}
    (case,) = cases_of(jsonl(tmp_path, json.dumps(row)))
    assert (case.reference, case.fields) == (("4",), {})


def test_a_stored_answer_stays_with_its_case(tmp_path: Path) -> None:
    """`response` and `actual_output` are what a system said, never the reference."""
    for name in ("output", "response", "actual_output"):
        (case,) = cases_of(jsonl(tmp_path, json.dumps({"id": "a", "input": "q", name: "said"})))
        assert case.fields == {"output": "said"}
        assert case.reference == ()


def test_chat_input_and_cohorts(tmp_path: Path) -> None:
    """Chat messages become turns; cohort values become text; one word under `cohort` is a cohort of that name."""
    turns = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "q"}]
    row = {"id": 7, "messages": turns, "cohorts": {"vip": True, "tier": 2, "none": None}}
    first, second = cases_of(jsonl(tmp_path, json.dumps(row), '{"id": "b", "input": "q", "cohort": "x"}'))
    assert first.id == "7"
    assert first.input == (Message("system", "be kind"), Message("user", "q"))
    assert first.cohorts == {"vip": "true", "tier": "2"}
    assert second.cohorts == {"cohort": "x"}


BAD_LINES = {
    "cut": ('{"id": "a", "input": "q"', "cases.jsonl:1:25: not JSON: Expecting ',' delimiter; the line is cut"),
    "trailing comma": ('{"id": "a", "input": "q",}', "remove the comma"),
    "single quotes": ("{'id': 'a'}", "use double quotes"),
    "nan": ('{"id": "a", "input": "q", "x": NaN}', "NaN is not a JSON number; write null or leave the key out"),
    "repeated key": ('{"id": "a", "id": "b", "input": "q"}', "the key 'id' is duplicated; keep one of the two"),
    "utf-16 without a mark": (
        '{"id": "a", "input": "q"}'.encode("utf-16-le"),
        "cases.jsonl:1: zero bytes, as in UTF-16 without a byte order mark; save the file as UTF-8",
    ),
    "array": ('[{"id": "a"}]', "cases.jsonl:1: a JSON array, not JSON Lines; write one object per line"),
    "no object": ('"text"', 'not a JSON object; write {"id": ..., "input": ...}'),
    "no id": ('{"input": "q"}', "`id` is missing; give each case its own id"),
    "odd id": ('{"id": "a\\nb", "input": "q"}', "`id` holds control characters"),
    "no input": ('{"id": "a"}', "cases.jsonl:1 id a: `input` is missing; write the question"),
    "empty input": ('{"id": "a", "input": " "}', '`input` is " "'),
    "bad message": ('{"id": "a", "input": [{"role": "me", "content": "q"}]}', "`input[0]` is not a chat message"),
    "contexts text": ('{"id": "a", "input": "q", "contexts": "c"}', '`contexts` is "c", expected a list of texts'),
    "reference number": ('{"id": "a", "input": "q", "reference": 42}', "`reference` is 42, expected a text or a list"),
    "kind": ('{"id": "a", "input": "q", "kind": "gold"}', "choose from golden, adversarial, regression, canary"),
    "severity": ('{"id": "a", "input": "q", "severity": 3}', "choose from low, medium, high, critical"),
    "cohort": ('{"id": "a", "input": "q", "cohorts": {"d": []}}', "`cohorts.d` is []; write a short text"),
    "two inputs": ('{"id": "a", "input": "q", "question": "p"}', "`input` and `question` both give the input"),
    "surrogate": ('{"id": "a", "input": "\\ud800"}', "a lone surrogate, half of a character"),
    "huge integer": (
        '{"id": "a", "input": "q", "n": ' + "9" * 5000 + "}",
        "an integer of 5000 digits; write it as text",
    ),
    "deep": (
        '{"id": "a", "input": "q", "n": ' + "[" * 100_000 + "]" * 100_000 + "}",
        "nested too deep; flatten the row",
    ),
    "not utf-8": (b'{"id": "a", "input": "\xff"}', "not UTF-8 (byte 0xff at 23); save the file as UTF-8"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_is_named_with_its_fix(tmp_path: Path, name: str) -> None:
    """Every fault has a place, a reason and a fix."""
    line, said = BAD_LINES[name]
    (problem,) = problems_of(jsonl(tmp_path, line))
    assert problem.startswith("cases.jsonl:1")
    assert said in problem


def test_all_problems_are_told_together(tmp_path: Path) -> None:
    """One pass names what is wrong on every line, repeats and spellings of cohorts included."""
    file = jsonl(
        tmp_path,
        '{"id": "a", "input": "q", "cohorts": {"d": "Legal"}}',
        "oops",
        '{"id": " a ", "input": "q", "cohorts": {"d": "legal"}}',
        '{"id": "c", "input": 5}',
    )
    said = "\n".join(problems_of(file))
    for part in (
        "cases.jsonl:2:1: not JSON",
        "cases.jsonl:3: `id` 'a' repeats line 1",
        ":4 id c: `input` is 5",
        "'Legal'",
    ):
        assert part in said


def test_an_endless_list_of_problems_is_cut(tmp_path: Path) -> None:
    """200 problems are enough; 20 of them are shown."""
    with pytest.raises(InputError) as raised:
        cases_of(jsonl(tmp_path, *["{"] * 1000))
    assert len(raised.value.problems) == 200
    assert str(raised.value).endswith("... and 180 more")


@pytest.mark.parametrize("text", [b"", b"\n\n  \n"], ids=["empty", "blank"])
def test_an_empty_set_is_refused(tmp_path: Path, text: bytes) -> None:
    """No case is an error, not a pass."""
    assert "no case in it" in problems_of(jsonl(tmp_path, text))[0]


def test_bytes_that_only_look_like_line_ends(tmp_path: Path) -> None:
    """U+0085 and U+2028 inside a text end no line; BOM, CRLF and blank lines are harmless."""
    text = "one\u0085two\u2028three"
    line = json.dumps({"id": "a", "input": text}, ensure_ascii=False)
    (case,) = cases_of(jsonl(tmp_path, b"\xef\xbb\xbf" + line.encode() + b"\r", b"", b"  "))
    assert case.input == text


def test_csv_and_gzip(tmp_path: Path) -> None:
    """CSV cells stay text, lists are JSON, `cohorts.x` columns are gathered; `.gz` is read as it is."""
    file = tmp_path / "cases.csv"
    file.write_text(
        'id,input,reference,contexts,cohorts.domain\n007,"a, b",NA,"[""x"", ""y""]",true\nb,q,,,\n',
        encoding="utf-8-sig",
    )
    first, second = cases_of(file)
    assert (first.id, first.input, first.reference, first.contexts) == ("007", "a, b", ("NA",), ("x", "y"))
    assert first.cohorts == {"domain": "true"}
    assert (second.reference, second.contexts, second.cohorts) == ((), (), {})
    packed = tmp_path / "cases.jsonl.gz"
    packed.write_bytes(gzip.compress(b'{"id": "a", "input": "q"}\n'))
    assert [case.id for case in cases_of(packed)] == ["a"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("id,input\na,b,c\n", "cases.csv:2: 3 cells, the header has 2", id="ragged"),
        pytest.param('id,input\na,"b\n', "cases.csv:2: not CSV", id="open quote"),
        pytest.param(
            "id,id\na,b\n", "cases.csv:1: the header has 2 columns called 'id'; name each column", id="header"
        ),
    ],
)
def test_bad_csv_is_named(tmp_path: Path, text: str, said: str) -> None:
    """A fault of the table has its line."""
    file = tmp_path / "cases.csv"
    file.write_text(text, encoding="utf-8")
    assert problems_of(file)[0].startswith(said)


def test_ids_can_be_made_of_the_content(tmp_path: Path) -> None:
    """`make_ids` gives rows of other tools an id that stays the same while the row does."""
    file = jsonl(tmp_path, '{"input": "q"}', '{"input": "p"}')
    first, second = cases_of(file, make_ids=True)
    assert first.id != second.id
    assert [case.id for case in cases_of(file, make_ids=True)] == [first.id, second.id]


def test_the_same_content_has_the_same_digest(tmp_path: Path) -> None:
    """Key order and spelling of columns change no digest; a changed word does."""
    rows = [
        '{"id": "a", "input": "q", "reference": "r"}',
        '{"reference": "r", "question": "q", "id": "a"}',
        '{"id": "a", "input": "q", "reference": "s"}',
    ]
    one, same, other = (cases_of(jsonl(tmp_path, row))[0].digest for row in rows)
    assert one == same != other


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_named(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """The reader ends with cases or with an input error, whatever the file holds."""
    file = tmp_path_factory.mktemp("any") / "cases.jsonl"
    file.write_bytes(data)
    try:
        assert cases_of(file)
    except InputError as error:
        assert error.problems


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(["id", "input", "reference", "contexts", "kind", "severity", "cohorts", "cluster", "vars", "x"])


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(keys, values, max_size=6))
def test_any_row_is_a_case_or_named(row: dict[str, Any]) -> None:
    """A row either becomes a case, or says what is wrong with it."""
    problems: list[Problem] = []
    case = to_case(row, "f:1", lambda what, fix: problems.append(Problem("f:1", what, fix)))
    assert (case is None) == bool(problems)
    assert all(problem.what and problem.fix for problem in problems)


@given(
    st.dictionaries(
        st.text(max_size=4), st.text(max_size=8) | st.dictionaries(st.text(max_size=3), st.text(max_size=4), max_size=3)
    )
)
def test_rows_of_texts_keep_the_digest_of_canonical_json(row: dict[str, Any]) -> None:
    """A digest is the SHA-256 of JSON with sorted keys, without spaces and with every character as it is."""
    for each in (row, {**row, "n": [1.5, None]}):
        text = json.dumps(each, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        assert fields._digest(each, lambda what, fix: None) == hashlib.sha256(text.encode()).hexdigest()
