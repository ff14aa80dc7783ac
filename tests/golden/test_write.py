"""Rows of a JSON Lines set are changed and added; the other lines stay as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.errors import InputError
from evalkit.golden.write import add_row, set_fields

LINES = ['\ufeff{"id":  "a", "input": "é"}', "", '{"id": "b", "input": "x\u2028y"}\r', '{"id": "c", "input": "z"}']


def test_only_the_named_lines_change(tmp_path: Path) -> None:
    """A mark of byte order, spacing, blank lines, line ends and a missing last one stay."""
    file = tmp_path / "cases.jsonl"
    file.write_bytes("\n".join(LINES).encode())
    set_fields(file, "cases.jsonl", {3: {"cluster": "k"}})
    found = file.read_bytes().decode().split("\n")
    assert found == [*LINES[:2], '{"id": "b", "input": "x\u2028y", "cluster": "k"}\r', LINES[3]]
    set_fields(file, "cases.jsonl", {1: {"cluster": "k"}})
    assert file.read_text(encoding="utf-8").startswith('\ufeff{"id": "a", "input": "é", "cluster": "k"}\n')


def test_a_row_is_appended_on_a_line_of_its_own(tmp_path: Path) -> None:
    """Also after a last line without an end, and in a new file."""
    file = tmp_path / "cases.jsonl"
    file.write_bytes(b'{"id": "a"}')
    add_row(file, "cases.jsonl", {"id": "ä"})
    assert file.read_bytes() == '{"id": "a"}\n{"id": "ä"}\n'.encode()
    add_row(tmp_path / "new.jsonl", "new.jsonl", {"id": "b"})
    assert (tmp_path / "new.jsonl").read_text(encoding="utf-8") == '{"id": "b"}\n'


@pytest.mark.parametrize("changes", [{1: {"cluster": "k"}, 2: {"cluster": "k"}}, {9: {"cluster": "k"}}])
def test_a_set_with_a_line_that_is_no_row_stays(tmp_path: Path, changes: dict[int, dict[str, str]]) -> None:
    """Nothing is written."""
    file = tmp_path / "cases.jsonl"
    file.write_bytes(b'{"id": "a"}\nhalf')
    with pytest.raises(InputError, match=r"cases\.jsonl:[29]"):
        set_fields(file, "cases.jsonl", changes)
    assert file.read_bytes() == b'{"id": "a"}\nhalf'


def test_other_kinds_of_files_are_not_changed(tmp_path: Path) -> None:
    """With the kind that can be."""
    with pytest.raises(InputError, match="save it as JSON Lines"):
        add_row(tmp_path / "cases.csv", "cases.csv", {"id": "a"})


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=1, max_size=5))
def test_any_text_reads_back(texts: list[str]) -> None:
    """Rows that were appended are those of the file, in order."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cases.jsonl"
        for text in texts:
            add_row(file, "cases.jsonl", {"input": text})
        rows = [json.loads(line)["input"] for line in file.read_bytes().decode().split("\n")[:-1]]
    assert rows == texts
