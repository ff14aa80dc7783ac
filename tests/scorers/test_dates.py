"""Tests for dates in texts: forms, readings, and which date follows from which."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scorers.rules.dates import find_dates, stated_readings

SAME = [
    "2024-03-12",
    "12.03.2024",
    "12/3/2024",
    "12 March 2024",
    "March 12, 2024",
    "12th of March 2024",
    "12. März 2024",
]


@pytest.mark.parametrize("text", [*SAME, "Mar 12, 2024", "12 mars 2024".replace("mars", "Mars"), "12 de marzo de 2024"])
def test_a_date_is_one_date_in_every_form(text: str) -> None:
    """Each form reads as 12 March 2024, and leaves no number behind."""
    dates, rest = find_dates(f"It ended on {text}.")
    assert [(2024, 3, 12) in date.readings for date in dates] == [True]
    assert not any(letter.isdigit() for letter in rest)


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("In 2024 it rose.", 0),
        ("Version 1.2.3 of 10.0.0.1", 0),
        ("You may 5 times, or march 3 miles", 0),
        ("32.13.2024", 0),
        ("12 March", 1),
        ("Call 030/12/3456789", 0),
        ("In March 2024 and on 5 May", 2),
        ("The ratio is 3/4/2", 0),
        ("March 5%", 0),
    ],
)
def test_what_is_not_a_date_is_left(text: str, n: int) -> None:
    """Years, versions, months that are other words, and days that do not exist."""
    assert len(find_dates(text)[0]) == n


@pytest.mark.parametrize(
    ("answer", "context", "follows"),
    [
        ("March 2024", "12 March 2024", True),
        ("12 March", "12 March 2024", True),
        ("12 March 2024", "March 2024", False),
        ("12 March 2024", "13 March 2024", False),
        ("12 March 2024", "12 March 2023", False),
        ("05.12.2024", "5 December 2024", True),
        ("05.12.2024", "12 May 2024", True),
        ("5/12/24", "2024-12-05", True),
        ("5 December 2024", "12 May 2024", False),
    ],
)
def test_a_date_follows_from_one_that_says_as_much(answer: str, context: str, follows: bool) -> None:
    """Less may be said than the context says, never more."""
    (mine,), _ = find_dates(answer)
    assert mine.is_among(stated_readings(find_dates(context)[0])) is follows


@given(st.dates(datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)))
def test_every_day_is_read_in_its_usual_forms(day: datetime.date) -> None:
    """ISO, dotted and written out."""
    wanted = (day.year, day.month, day.day)
    for text in (
        day.isoformat(),
        f"{day:%d.%m.%Y}",
        f"{day.day} {day:%B} {day.year}",
        f"{day:%B} {day.day}, {day.year}",
    ):
        (found,), _ = find_dates(text)
        assert wanted in found.readings


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    """A date of a text follows from the text."""
    dates, _ = find_dates(text)
    assert all(date.is_among(stated_readings(dates)) for date in dates)
