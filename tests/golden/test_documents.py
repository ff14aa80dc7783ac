"""Golden sets in JSON and YAML: one list of rows, with the line of each."""

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import InputError
from evalkit.golden.read import GoldenSet, open_golden
from evalkit.golden.source import GoldenSource, Reading


def opened(tmp_path: Path, name: str, text: str | bytes, **options: Any) -> GoldenSet:
    """A checked set of this text."""
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return open_golden(GoldenSource(path=name, **options), file, name, reading=Reading(cohorts=("topic",)))


def problems_of(tmp_path: Path, name: str, text: str | bytes, **options: Any) -> list[str]:
    """What is wrong with it, as people read it."""
    with pytest.raises(InputError) as raised:
        opened(tmp_path, name, text, **options)
    return [str(problem) for problem in raised.value.problems]


JSON = """[
  {"id": "a", "input": "q", "topic": "fees",
   "reference": ["x", "y"]},

  {"id": "b", "question": "p", "checks": [{"contains": "z"}]}
]
"""
YAML = """# questions
- id: a
  input: q
  topic: fees
  reference: [x, y]
- id: b
  question: p
  checks:
  - contains: z
"""
LINES = "".join(json.dumps(row) + "\n" for row in json.loads(JSON))


@pytest.mark.parametrize(
    ("name", "text", "places"),
    [
        ("g.json", JSON, (2, 5)),
        ("g.json", f'{{"version": 1, "rows": {JSON}}}', (2, 5)),
        ("g.yaml", YAML, (2, 6)),
        ("g.yml", "cases:\n" + YAML, (3, 7)),
        ("g.json", "\ufeff" + JSON, (2, 5)),
        ("g.json", JSON.encode("utf-16"), (2, 5)),
        ("g.yaml", YAML.encode("utf-16"), (2, 6)),
    ],
)
def test_a_list_of_rows_is_read(tmp_path: Path, name: str, text: str | bytes, places: tuple[int, int]) -> None:
    """Cases are those of JSON Lines, digest included; each has the line that it begins on."""
    found = list(opened(tmp_path, name, text).open())
    assert found == list(opened(tmp_path, "g.jsonl", LINES).open())
    assert [case.place for case in found] == [f"{name}:{line}" for line in places]
    assert found[0].cohorts == {"topic": "fees"}


def test_what_stands_beside_the_rows_is_left_out_with_a_word(tmp_path: Path) -> None:
    """One warning names the keys."""
    (warned,) = opened(tmp_path, "g.json", f'{{"version": 1, "rows": {JSON}, "by": "me"}}').warnings
    assert (
        str(warned)
        == 'g.json:1: only the rows under `rows` are read, not "version", "by"; move the needed values into the rows'
    )


def test_a_bad_row_has_its_line(tmp_path: Path) -> None:
    """In both formats."""
    assert problems_of(tmp_path, "g.json", '[\n{"id": "a", "input": "q"},\n{"id": "b", "input": 5},\n7]') == [
        "g.json:3 id b: `input` is 5; write the question, or a list of {role, content} messages",
        'g.json:4: not a row with keys; write {"id": ..., "input": ...}',
    ]
    assert problems_of(tmp_path, "g.yaml", "- id: a\n  input: q\n- id: b\n  input: 5\n- word\n") == [
        "g.yaml:3 id b: `input` is 5; write the question, or a list of {role, content} messages",
        'g.yaml:5: not a row with keys; write {"id": ..., "input": ...}',
    ]


LIST = 'write a list of rows: [{"id": ..., "input": ...}]'


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "g.json",
            '{"a": [{"id": 1}], "b": [{"id": 2}]}',
            "g.json: several keys hold rows: a, b; keep one list of rows",
        ),
        ("g.yaml", "a:\n- id: 1\nb:\n- id: 2\n", "g.yaml:1: several keys hold rows: a, b; keep one list of rows"),
        ("g.json", '{"id": "a", "messages": [{"role": "user"}]}', f"g.json: one row, not a list of rows; {LIST}"),
        ("g.json", '{"question": ["q"], "answer": ["a"]}', f"g.json: columns, not rows; {LIST}"),
        ("g.json", '{"Frage": {"0": "q"}}', f"g.json: columns, not rows; {LIST}"),
        ("g.json", '{"a": 1}', f"g.json: no list of rows; {LIST}"),
        ("g.json", '"text"', f"g.json: not a list of rows; {LIST}"),
        ("g.json", '[{"id": "a",}]', "g.json:1:13: not JSON: "),
        ("g.json", '[{"id": "a"}', "g.json:1:13: not JSON: "),
        ("g.json", '[{"id": "a", "x": NaN}]', "g.json: NaN is not a JSON number; write null"),
        ("g.json", '[{"id": "a", "id": "b"}]', "g.json: the key 'id' is duplicated;"),
        ("g.json", "[" * 100_000, "g.json: nested too deep;"),
        (
            "g.json",
            '[\n{"id": "\xfc"}]'.encode("cp1252"),
            "g.json:2: not UTF-8 (byte 0xfc at 9 of line 2); save the file as UTF-8, or name its encoding",
        ),
        ("g.json", JSON.encode("utf-16-le"), "g.json:1: zero bytes, as in UTF-16 without"),
        ("g.json", "", "g.json:1: no case in it;"),
        ("g.json", "[]", "g.json:1: no case in it;"),
        ("g.json", '{"rows": [], "version": 1}', "g.json:1: no case in it;"),
        ("g.yaml", "", "g.yaml:1: no case in it;"),
        ("g.yaml", "word", "g.yaml:1: not a list of rows; begin each row with `- id:`"),
        ("g.yaml", "- id: a\n  input: yes\n", "g.yaml:2:10 [0].input: YAML reads `yes` as true or false;"),
        ("g.yaml", "- id: a\n input: q\n", "g.yaml:2:2: "),
        ("g.yaml", "- &x {id: a}\n- *x\n", "g.yaml:1:3: anchors (&name) and aliases (*name) are refused;"),
    ],
)
def test_what_is_no_list_of_rows_is_named(tmp_path: Path, name: str, text: str | bytes, said: str) -> None:
    """Nothing is chosen among several lists, and nothing is turned from columns into rows."""
    assert problems_of(tmp_path, name, text)[0].startswith(said)


def test_the_encoding_of_the_suite_applies(tmp_path: Path) -> None:
    """Here too."""
    text = '[{"id": "a", "input": "Gebühr"}]'.encode("cp1252")
    assert next(opened(tmp_path, "g.json", text, encoding="cp1252").open()).input == "Gebühr"


def test_json_lines_under_the_name_of_json_are_told_their_name(tmp_path: Path) -> None:
    """One row a line is another kind of file."""
    file = tmp_path / "g.json"
    file.write_text('{"id": "1", "input": "q"}\n{"id": "2", "input": "r"}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"g\.json:2:1: not JSON: Extra data; .*, or call the file \.jsonl"):
        open_golden(GoldenSource(path="g.json"), file, "g.json")


def test_two_yaml_documents_are_refused_in_words_for_any_file(tmp_path: Path) -> None:
    """A golden set is not a suite."""
    file = tmp_path / "g.yaml"
    file.write_text("- {id: a, input: q}\n---\n- {id: b, input: r}\n", encoding="utf-8")
    with pytest.raises(InputError, match="a second document begins; keep one document a file"):
        open_golden(GoldenSource(path="g.yaml"), file, "g.yaml")
