"""The `json` scorer reads JSON strictly and checks it against a schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import InputError
from evalkit.scorers.base import Services
from evalkit.scorers.rules.json_schema import MAX_DEPTH, Json
from evalkit.types import Case, Output, Score

SCHEMA = {
    "type": "object",
    "properties": {
        "fee": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}},
    },
    "required": ["fee"],
}


def grade(scorer: Json, answer: str) -> Score:
    """Grade an answer."""
    score = scorer.score(Case(id="c", input="q"), Output(text=answer))
    assert score.value == float(score.passed or 0)
    return score


@pytest.mark.parametrize(
    "answer", ["{}", ' [1, -2.5e3, "a", null, true]\n', '"text"', "0", '{"İ":"\\ud83d\\ude00"}', '"a\u2028b"']
)
def test_valid(answer: str) -> None:
    """Any strict JSON value passes without a schema."""
    assert grade(Json(), answer).passed is True


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param("", "not JSON: the answer is empty", id="empty"),
        pytest.param(" \n", "not JSON: the answer is empty", id="blank"),
        pytest.param("{'a': 1}", "line 1, column 2", id="single quotes"),
        pytest.param('{"a": 1,}', "not JSON:", id="trailing comma"),
        pytest.param('{"a":\n 1', "not JSON:", id="cut off"),
        pytest.param("Here: {}", "line 1, column 1", id="prose"),
        pytest.param("[NaN]", "NaN is not a JSON number", id="nan"),
        pytest.param("-Infinity", "-Infinity is not a JSON number", id="infinity"),
        pytest.param("1e999", "number 1e999 is beyond a double", id="beyond a double"),
        pytest.param("9" * 5_000, "integer of 5000 digits, at most 300 are read", id="five thousand digits"),
        pytest.param('{"a": 1, "b": {"c": 1, "c": 2}}', "key 'c' given twice", id="duplicate key"),
        pytest.param("[" * 1_000 + "]" * 1_000, "nested deeper than 50", id="nesting"),
        pytest.param("[" * 1_000_000, "nested deeper than 50", id="a million brackets"),
        pytest.param('["' + '\\"' * 50_000, "not JSON:", id="unterminated escapes"),
        pytest.param('{"a": "\u0001"}', "not JSON: Invalid control character", id="control character"),
    ],
)
def test_refused(answer: str, reason: str) -> None:
    """What is not a strict JSON is a named failure."""
    score = grade(Json(), answer)
    assert score.passed is False
    assert reason in score.reason


@pytest.mark.parametrize(
    ("answer", "passed"),
    [
        pytest.param('Sure:\n```json\n{"fee": 3}\n```\nDone [1].', True, id="code block"),
        pytest.param('```\nfee\n```\n```json\n{"fee": 3}\n```', True, id="marked block first"),
        pytest.param('The answer is {"fee": 3}, see [1].', True, id="prose"),
        pytest.param('As {said}: {"fee": 3}', True, id="a brace that starts no value"),
        pytest.param('{"fee": 3', False, id="cut off"),
        pytest.param('{"x": {"fee": 3}, "y": ', False, id="a part of what is cut off does not count"),
        pytest.param('```json\n{"fee": }\n```', False, id="bad block"),
        pytest.param('{"fee": 3, "fee": 4}', False, id="duplicate key"),
        pytest.param("no value here", False, id="no value"),
        pytest.param("", False, id="empty"),
        pytest.param("{" * 100_000, False, id="a hundred thousand braces"),
        pytest.param("[" * 100_000, False, id="a hundred thousand brackets"),
        pytest.param("x " + "[" * 60 + "]" * 60, False, id="nesting"),
    ],
)
def test_extract(answer: str, passed: bool) -> None:
    """The first value in code blocks or prose is what counts."""
    assert grade(Json(schema=SCHEMA, extract=True), answer).passed is passed


@pytest.mark.parametrize(
    ("answer", "errors"),
    [
        ('{"fee": 3, "tags": ["a"]}', []),
        ("{}", ["$: 'fee' is a required property"]),
        ('{"fee": "3"}', ["$.fee: '3' is not of type 'number'"]),
        (
            '{"fee": 3, "tags": ["a", 1, "B"]}',
            ["$.tags[1]: 1 is not of type 'string'", "$.tags[2]: 'B' does not match '^[a-z]+$'"],
        ),
        ("[]", ["$: [] is not of type 'object'"]),
    ],
    ids=["fits", "missing", "type", "nested", "other type"],
)
def test_schema_errors_have_paths(answer: str, errors: list[str]) -> None:
    """Every violation is listed with its path."""
    score = grade(Json(schema=SCHEMA), answer)
    assert (score.passed, score.details["errors"]) == (not errors, errors)


def test_deepest_answer_meets_a_recursive_schema() -> None:
    """A schema that refers to itself is followed as deep as an answer may go."""
    schema = {"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}
    assert grade(Json(schema=schema), "[" * MAX_DEPTH + "]" * MAX_DEPTH).passed is True


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "objekt"}, r"schema: \$\.type: .*; follow draft 2020-12"),
        ({"$ref": "https://example.com/s.json"}, "schema: .*nothing is fetched; put the part under"),
        ({"$ref": "#/$defs/gone"}, "schema: .*'#/\\$defs/gone' is not in it"),
        ({"$ref": "#"}, "schema: refers to itself endlessly"),
        ({"pattern": "a(?=b)"}, "schema: .*look-ahead is not supported"),
        ({"const": float("nan")}, "schema: contains what JSON cannot represent"),
        ({"const": {1, 2}}, "schema: contains what JSON cannot represent"),
    ],
    ids=["type", "remote", "dangling", "endless", "pattern", "nan", "set"],
)
def test_bad_schema_is_refused(schema: Mapping[str, Any], message: str) -> None:
    """A schema that cannot be used says so before the first call."""
    with pytest.raises(ValueError, match=message):
        Json(schema=schema)


def test_names_that_look_like_keywords_are_no_keywords() -> None:
    """A property called `pattern`, and data in `enum`, are left alone."""
    schema = {"properties": {"pattern": {"type": "string"}}, "enum": [{"pattern": "("}, {"$ref": "x"}]}
    assert grade(Json(schema=schema), '{"pattern": "("}').passed is True


def test_schema_file(tmp_path: Path) -> None:
    """A path is read relative to the suite, and its content is a part of the score key."""
    (tmp_path / "fee.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    bound = Json(schema="fee.json").bind(Services(root=tmp_path))
    assert grade(bound, "{}").passed is False
    assert bound.key_parts == Json(schema=SCHEMA).key_parts != {}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        pytest.param(None, "cannot be read", id="absent"),
        pytest.param(b"\xff", "not UTF-8", id="encoding"),
        pytest.param(b"{", "not JSON", id="no json"),
        pytest.param(b"[]", "not a JSON object", id="list"),
        pytest.param(b'{"type": 5}', "$.type", id="no schema"),
    ],
)
def test_bad_schema_file_names_the_file(tmp_path: Path, content: bytes | None, what: str) -> None:
    """The error has the path, what is wrong and how to fix it."""
    if content is not None:
        (tmp_path / "fee.json").write_bytes(content)
    with pytest.raises(InputError) as caught:
        Json(schema="fee.json").bind(Services(root=tmp_path))
    (problem,) = caught.value.problems
    assert problem.place == "fee.json"
    assert what in problem.what
    assert problem.fix


@pytest.mark.parametrize("name", ["../fee.json", "/etc/hostname", "link/fee.json"])
def test_a_schema_stays_inside_the_project(tmp_path: Path, name: str) -> None:
    """Neither a relative path, nor an absolute one, nor a link leads out of it."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").touch()
    (tmp_path / "fee.json").write_text("{}", encoding="utf-8")
    (project / "link").symlink_to(tmp_path)
    with pytest.raises(InputError, match="leaves the project; move the file into it"):
        Json(schema=name).bind(Services(root=project))


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(values)
def test_what_json_writes_passes(value: object) -> None:
    """Every JSON value is valid, and found in prose where it is an object or a list."""
    text = json.dumps(value)
    assert grade(Json(), text).passed is True
    if isinstance(value, dict | list):
        assert grade(Json(extract=True), f"Answer: {text} so.").passed is True


@given(st.text() | st.text(alphabet='{}[]",:1e\\ `\n'))
def test_never_raises(answer: str) -> None:
    """Any text is graded."""
    for scorer in (Json(), Json(extract=True), Json(schema=SCHEMA, extract=True)):
        assert grade(scorer, answer).value in (0.0, 1.0)
