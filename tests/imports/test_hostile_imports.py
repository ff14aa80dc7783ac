"""Files that are damaged or hostile: an import ends with exit code 2 and a place, or lists what it could not read."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from import_lab import import_text
from samples import SAMPLES, TEXTS, text_of

from evalkit.errors import InputError
from evalkit.systems.replayed_traces import is_traces

ALL = {**SAMPLES, **TEXTS}
ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 10**40, "", " ", "x", "{{x}}", "file:///etc/passwd", "\ud800", "a\nb\x1b[31m"),
    *([], [[]], [None], {}, {"": ""}, {"a": {"b": [1]}}, "9" * 400, "${HOME}"),
)
"""Values of a wrong type, or of a shape that nobody expects."""


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every path of a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths_in(inner, (*path, key))


def with_value(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with another value at a path."""
    if not path:
        return new
    made = copy.deepcopy(value)
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return made


def tried(folder: Path, name: str, content: Any) -> str:
    """Import; the message of a refusal, or nothing."""
    folder.mkdir()
    try:
        import_text(folder, name, content)
    except InputError as error:
        for problem in error.problems:
            assert problem.place.startswith(name), problem
            assert problem.what
            assert problem.fix
        assert not (folder / "out").exists()
        return str(error)
    return ""


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.slow
def test_a_value_of_a_wrong_type_is_a_problem_or_a_loss(tmp_path: Path, kind: str) -> None:
    """Any value of any sample may be anything: there is no traceback, and what is written is sound."""
    name, content = SAMPLES[kind]
    rows = isinstance(content, str)
    value = [json.loads(line) for line in content.splitlines()] if rows else content
    chosen = random.Random(kind)
    places = [path for path in paths_in(value) if path]
    trials = [(path, chosen.choice(ODD)) for path in places for _ in range(2)]
    for number, (path, odd) in enumerate(chosen.sample(trials, min(len(trials), 60))):
        changed = with_value(value, path, odd)
        text = "".join(json.dumps(row) + "\n" for row in changed) if rows else json.dumps(changed)
        tried(tmp_path / str(number), name, text)


@pytest.mark.parametrize("kind", ALL)
def test_a_file_that_is_cut_is_refused(tmp_path: Path, kind: str) -> None:
    """With the place where it ends; a YAML file that is cut between two lines may be whole."""
    name, content = ALL[kind]
    text = text_of(content)
    for number, share in enumerate((0.1, 0.35, 0.6, 0.9, 0.99)):
        said = tried(tmp_path / str(number), name, text[: int(len(text) * share)])
        assert said or not name.endswith(".json")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", "[" * 100_000, "a.json: nested deeper than 100 levels"),
        ("a.json", '{"a":' * 5_000 + "1" + "}" * 5_000, "nested deeper than 100 levels"),
        ("a.json", '{"prompts": ' + "[" * 200 + "]" * 200 + ', "tests": []}', "nested deeper than 100 levels"),
        ("a.yaml", "a: " + "[" * 10_000, "nested deeper than 50 levels"),
        ("a.yaml", "a: &a [x]\nb: [*a, *a]\n", "no format is recognised in it (document with keys a, b)"),
        ("a.yaml", "a: &a [*a]\n", "aliases make deeper than 50 levels"),
        ("a.yaml", "a: !!python/object/apply:os.system [ls]\n", "the tag"),
        ("a.json", '{"prompts": NaN, "tests": []}', "NaN is not a JSON number"),
        ("a.json", '{"prompts": 1e999, "tests": []}', "too large for a number"),
        ("a.json", '{"prompts": ' + "9" * 5_000 + "}", "an integer of 5000 digits"),
        ("a.json", json.dumps({"prompts": [], "tests": [{"k" * 5_000: 1}]}), "a key of 5,000 characters"),
        ("a.json", "[" + "0," * 5_000_001 + "0]", "values, more than 5,000,000"),
        ("a.jsonl", "[0]\n" * 5_000_001, "values, more than 5,000,000"),
        ("a.json", '{"a": 1, "a": 2}', "the key 'a' is duplicated"),
        ("a.json", '{"results": {"results": [' + "{}," * 100_000 + "{}]}}", "results.results: 100,001 rows, more than"),
        ("a.json", "", "a.json:1:1: not JSON"),
        ("a.json", "7", "no format is recognised"),
        ("a.json", '{"some": "thing"}', "no format is recognised in it (document with keys some)"),
        ("a.json", "[]", "no format is recognised"),
        ("a.jsonl", '{"a": 1}\n{"b": \n', "a.jsonl:2:"),
        ("a.js", "process.exit()", "a program: an import runs nothing"),
        ("a.csv", "a,b\n1,2\n", "no format is recognised"),
        ("a.csv", 'a,b\n"1,2\n', "a.csv:2: not CSV"),
        ("a.zip", "PK\x03\x04 and so on", "not a whole zip file"),
    ],
    ids=lambda each: each[:30],
)
def test_a_hostile_file_is_refused_with_its_place(tmp_path: Path, name: str, text: str, said: str) -> None:
    """Limits of depth, size, numbers and keys hold for every format."""
    found = tried(tmp_path / "x", name, text)
    assert said in found
    assert name in found


def test_bytes_that_are_not_utf_8_are_refused(tmp_path: Path) -> None:
    """With the byte and its line."""
    (tmp_path / "a.json").write_bytes(b'{"a":\n "\xff"}')
    with pytest.raises(InputError, match=r"a.json:2: not UTF-8 \(byte 0xff"):
        import_text_of(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.json", '{"a":\n 1}'), ("a.jsonl", '{"a": 1}\n{"a": 2}'), ("a.yaml", "a:\n  b"), ("a.csv", "a,b\n1,2")],
)
def test_utf_16_that_is_cut_inside_a_character_is_refused(tmp_path: Path, name: str, text: str) -> None:
    """With its line, for every format; a replay reads the same files, and says the same."""
    (tmp_path / name).write_bytes(text.encode("utf-16")[:-1])
    with pytest.raises(InputError, match=rf"{name}:2: not utf-16 \(truncated data\)"):
        import_text_of(tmp_path / name)
    assert not is_traces(tmp_path / name)


def import_text_of(file: Path) -> None:
    """Import a file as it is."""
    from import_lab import import_file

    import_file(file, file.parent / "out")


@pytest.mark.parametrize("name", ["folder", "missing.json", "pipe.json"])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    """A folder, nothing, and a pipe, which nobody waits for."""
    import os

    if name == "folder":
        (tmp_path / name).mkdir()
    elif name == "pipe.json":
        os.mkfifo(tmp_path / name)
    with pytest.raises(InputError):
        import_text_of(tmp_path / name)


def test_a_folder_with_files_is_not_written_to(tmp_path: Path) -> None:
    """Nothing of it is touched."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    name, content = SAMPLES["promptfoo config"]
    with pytest.raises(InputError, match="is not empty; name a new folder with --out"):
        import_text(tmp_path, name, content)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["mine"]
