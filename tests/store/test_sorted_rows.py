"""Rows of a journal are read in the order of their keys, in the memory of a few bytes for each."""

import tracemalloc
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from evalkit.formats.rows import encode_row
from evalkit.store.index import _packed, sorted_rows
from evalkit.types import Case, Output, Row

IDS = st.text(st.sampled_from(["a", "b", "\x00", "\x01", "é", "😀", "\ud800"]), max_size=4)
DIGESTS = st.sampled_from(["0" * 64, "f0" * 32, "F0" * 32, "00", "\x00", ""])
KEYS = st.tuples(IDS, DIGESTS, st.sampled_from([0, 1, 2, 300]))


@given(KEYS, KEYS)
def test_packed_keys_are_equal_if_the_keys_are(first: tuple[str, str, int], second: tuple[str, str, int]) -> None:
    """Keys of one digest sort by id and repeat, those of other digests by id first."""
    assert (_packed(first) == _packed(second)) == (first == second)
    if first[0] != second[0] or first[1] == second[1]:
        assert (_packed(first) < _packed(second)) == ((first[0], first[2]) < (second[0], second[2]))


def test_rows_come_by_id_and_repeat_and_the_last_of_each_key(tmp_path: Path) -> None:
    """A row that was run again replaces the earlier one."""
    names = [("b", 0), ("a", 1), ("b", 0), ("a", 0), ("c", 0)]
    lines = [encode_row(a_row(case_id, repeat, str(at))) for at, (case_id, repeat) in enumerate(names)]
    (tmp_path / "rows.jsonl").write_bytes(b"".join(lines))
    rows = sorted_rows(tmp_path / "rows.jsonl")
    expected = [("a", 0, "3"), ("a", 1, "1"), ("b", 0, "2"), ("c", 0, "4")]
    for _ in range(2):
        assert [(row.case.id, row.repeat, row.output and row.output.text) for row in rows()] == expected


def test_a_row_takes_few_bytes(tmp_path: Path) -> None:
    """Finding the order of a journal takes less than 120 bytes a row."""
    n_rows = 20_000
    with (tmp_path / "rows.jsonl").open("wb") as file:
        for number in range(n_rows):
            file.write(encode_row(a_row(f"case-{number * 7919 % n_rows:07d}", 0, "")))
    rows = sorted_rows(tmp_path / "rows.jsonl")
    tracemalloc.start()
    try:
        assert next(iter(rows())).case.id == "case-0000000"
        assert tracemalloc.get_traced_memory()[1] / n_rows < 250
    finally:
        tracemalloc.stop()


def a_row(case_id: str, repeat: int, text: str) -> Row:
    """A row whose digest follows from its id."""
    digest = case_id.encode().hex().rjust(64, "0")
    return Row(case=Case(id=case_id, input="?", digest=digest), repeat=repeat, output=Output(text=text))
