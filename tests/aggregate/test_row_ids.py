"""Ids of rows sort as texts do, in the memory of their bytes."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.aggregate import row_ids
from evalkit.aggregate.row_ids import ChosenKeys, ChosenTexts, RowIds

TEXTS = st.text(st.sampled_from(["a", "b", "\x00", "é", "😀", "\ud800", "z"]), max_size=20) | st.text(max_size=3)


@given(st.lists(TEXTS, max_size=30), st.randoms())
def test_ids_sort_as_texts_and_keep_the_order_of_equal_ones(texts: list[str], random: object) -> None:
    """Any characters, ends with zeros included; the order that is given decides between equal ids."""
    ids = RowIds()
    for text in texts:
        ids.append(text)
    order = list(range(len(texts)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert ids.sorted(np.array(order, np.int64)).tolist() == sorted(order, key=texts.__getitem__)
    assert list(ids) == texts and len(ids) == len(texts) and ids[1:] == tuple(texts[1:])
    chosen = ChosenTexts(ids, np.array(order[::2], np.int64))
    assert list(chosen) == [texts[at] for at in order[::2]] == list(chosen[:])
    ids.append("more")  # numpy holds no buffer of the texts
    assert ids[-1] == "more"


def test_blocks_are_sorted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids are padded block by block."""
    monkeypatch.setattr(row_ids, "_BLOCK_ROWS", 3)
    ids = RowIds()
    texts = [f"{n * 7919 % 101:x}" for n in range(50)]
    for text in texts:
        ids.append(text)
    assert [texts[at] for at in ids.sorted(np.arange(50)).tolist()] == sorted(texts)


def test_an_id_takes_its_bytes_and_an_end() -> None:
    """A text of 12 characters takes 61 bytes as an object."""
    tracemalloc.start()
    try:
        ids = RowIds()
        for number in range(50_000):
            ids.append(f"case-{number:07d}")
        assert tracemalloc.get_traced_memory()[0] / 50_000 < 26
    finally:
        tracemalloc.stop()


HALVES = st.sampled_from([b"\x00" * 8, b"\x01" + b"\x00" * 7, b"\xff" * 8])
KEYS = st.lists(st.builds(bytes.__add__, HALVES, HALVES), max_size=12)


@given(KEYS, KEYS)
def test_keys_are_found_as_in_a_dict(mine: list[bytes], asked: list[bytes]) -> None:
    """The last of equal keys is found, whatever their halves share."""
    found = chosen_keys(mine).places_of(chosen_keys(asked))
    places = {key: place for place, key in enumerate(mine)}
    assert found.tolist() == [places.get(key, -1) for key in asked]


def chosen_keys(keys: list[bytes]) -> ChosenKeys:
    """Keys that lie behind each other in the other order."""
    return ChosenKeys(b"".join(reversed(keys)), 16, np.arange(len(keys))[::-1])
