"""Checksums of rows by their names take little memory, and sort and supersede as in a dict."""

import hashlib
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.store import row_sums
from evalkit.store.row_sums import RowSums, SortedRows, in_order, side_by_side

IDS = st.text(st.sampled_from(['"', "\\", "a", "b", ",", "é", "\x00", " ", "{"]), max_size=5)
DIGESTS = st.sampled_from(["0" * 64, "f0" * 32, "0f" * 32, "F0" * 32, "x", "", " 0" * 32])


def name_of(case_id: str, digest: str, repeat: Any) -> bytes:
    """Return the beginning of a row, without the end of its last text."""
    case = {"id": case_id, "digest": digest}
    text = json.dumps({"v": 1, "repeat": repeat, "case": case}, separators=(",", ":"), ensure_ascii=False)
    return text.encode().removesuffix(b'"}}')


NAMES = st.builds(name_of, IDS, DIGESTS, st.sampled_from([0, 1, 2, 10, 100])) | st.binary(max_size=20)


@given(st.lists(st.tuples(NAMES, st.integers(0, 10**9))))
def test_names_sort_and_supersede_as_in_a_dict(rows: list[tuple[bytes, int]]) -> None:
    """The last row of a name counts, whatever the ids and digests."""
    chunk_rows, row_sums._CHUNK_ROWS = row_sums._CHUNK_ROWS, 3
    try:
        found, expected, superseded = RowSums(), dict[bytes, bytes](), set[bytes]()
        for name, number in rows:
            checksum = hashlib.blake2b(b"%d" % number, digest_size=16).hexdigest().encode()
            found.add(name, checksum)
            if name in expected:
                superseded.add(expected[name])
            expected[name] = checksum
    finally:
        row_sums._CHUNK_ROWS = chunk_rows
    assert list(found.in_order()) == sorted(expected.items()) == list(in_order(expected))
    assert found.superseded == superseded and len(found) == len(expected)


def test_a_row_takes_few_bytes() -> None:
    """A name has 120 bytes; a row with it, its checksum and its place in the order takes less."""
    n_rows = 3 * row_sums._CHUNK_ROWS
    tracemalloc.start()
    try:
        found = RowSums()
        for number in range(n_rows):
            digest = hashlib.sha256(b"%d" % number).hexdigest()
            found.add(name_of(f"case-{number:07d}", digest, 0), digest[:32].encode())
        assert tracemalloc.get_traced_memory()[0] / n_rows < 80
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("repeat", ["", "1,2", '0,"case":{"id":"a'])
def test_names_of_another_form_are_kept_whole(repeat: str) -> None:
    """What is no number of a repeat does not take part in the short form."""
    name = b'{"v":1,"repeat":' + repeat.encode() + b',"case":{"id":"a","digest":"' + b"0" * 64
    found = RowSums()
    found.add(name, b"0" * 32)
    assert list(found.in_order()) == [(name, b"0" * 32)]


@given(
    st.lists(st.tuples(NAMES, st.integers(0, 9)), max_size=20),
    st.lists(st.tuples(NAMES, st.integers(0, 9)), max_size=20),
)
def test_two_journals_are_compared_name_by_name(
    first: list[tuple[bytes, int]], second: list[tuple[bytes, int]]
) -> None:
    """Each name comes once, with the checksum that counts on either side."""
    dicts = [{name: b"%032d" % number for name, number in rows} for rows in (first, second)]
    sums = []
    for rows in (first, second):
        found = RowSums()
        for name, number in rows:
            found.add(name, b"%032d" % number)
        sums.append(found)
    names = sorted({*dicts[0], *dicts[1]})
    assert list(side_by_side(*sums)) == [(name, dicts[0].get(name), dicts[1].get(name)) for name in names]


@given(st.lists(st.binary(max_size=3)))
def test_rows_sort_in_chunks(rows: list[bytes]) -> None:
    """Strings of any length come in order, however many chunks they fill."""
    chunk_rows, row_sums._CHUNK_ROWS = row_sums._CHUNK_ROWS, 3
    try:
        found = SortedRows()
        for row in rows:
            found.add(row)
    finally:
        row_sums._CHUNK_ROWS = chunk_rows
    assert list(found) == list(found) == sorted(rows)
