"""Numbers and scores of rows come back exactly, in as few bytes as they need."""

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.aggregate.columns import Column
from evalkit.aggregate.row_codes import PLAIN_VALUES, RowCodes, RowScores
from evalkit.types import Metric

SCORES = st.sampled_from([0.0, 1.0, -0.0, math.nan, 0.5]) | st.floats()


@given(st.lists(st.integers(0, 300) | st.integers(0, 2**64 - 1), max_size=30))
def test_numbers_of_any_size_come_back(numbers: list[int]) -> None:
    """A larger number widens all before it, and none is cut."""
    codes = RowCodes()
    codes.extend(numbers)
    assert list(codes) == codes.view().tolist() == numbers
    assert len(codes) == len(numbers)
    codes.append(0)  # numpy holds no buffer of the numbers
    assert codes[len(numbers)] == 0


def test_numbers_take_the_bytes_of_the_largest() -> None:
    """A byte each up to 255, then two."""
    codes = RowCodes()
    codes.extend([0, 255])
    assert codes.view().nbytes == 2
    codes.append(256)
    assert codes.view().nbytes == 6


@pytest.mark.parametrize("number", [-1, 2**64])
def test_a_number_out_of_range_is_refused(number: int) -> None:
    """Nothing wraps around."""
    codes = RowCodes()
    with pytest.raises(OverflowError):
        codes.append(number)


@given(st.lists(SCORES, max_size=30))
def test_scores_come_back_bit_for_bit(values: list[float]) -> None:
    """Any double does, zeros of both signs and missing values among them."""
    scores = RowScores()
    for value in values:
        scores.append(value)
    column = Column(Metric(name="m"), scores.view(), np.ones(len(values), np.uint8))
    expected = list(map(bits, values))
    assert [bits(each) for each in column.values.tolist()] == expected
    assert [bits(float(column.at(place))) for place in range(len(values))] == expected


def bits(value: float) -> bytes:
    """The bytes of a double; every NaN has the same."""
    return b"nan" if math.isnan(value) else struct.pack("d", value)


def test_scores_of_0_and_1_take_a_byte() -> None:
    """The first other score makes them doubles."""
    scores = RowScores()
    for value in PLAIN_VALUES:
        scores.append(value)
    assert scores.view().nbytes == 3
    scores.append(0.25)
    assert scores.view().nbytes == 32
