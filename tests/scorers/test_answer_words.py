"""Folded words of the local judge: one form, kinds of quantities, what replaces a name."""

from __future__ import annotations

import time

import numpy as np
import pytest

from evalkit.scorers.judges.answer_forms import one_form
from evalkit.scorers.judges.answer_matches import best_stretch, replaced_share, word_matches
from evalkit.scorers.judges.answer_numbers import degree, numbers
from evalkit.scorers.judges.answer_words import split, word_weights, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Café's 2nd, twelfth Sept. 1,200 3.50", "cafe 2 12 september 1200 3.5"),
        ("twenty-five and Twenty", "25 and 20"),
        ("the 1960s, the 1900s", "the 196x the 19xx"),
        ("16th century, ninth century", "15xx 8xx"),
        ("3 million, 2.50 billion, two hundred", "3e6 2.5e9 2e2"),
        ("World War II", "world war 2"),
        ("EUR 10 000, 1\u202f234\u00a0567 and 10'000", "eur 10000 1234567 and 10000"),
        ("in 2003 200 people, 12 3456, version 1.2 300", "in 2003 200 people 12 3456 version 1.2 300"),
        ("10k, 2.5K a day, 3bn, 1.5M and 2mn", "10e3 2.5e3 a day 3e9 1.5e6 and 2e6"),
        ("5 km, k 5, 3 bn, 300km, 5m tall", "5 km k 5 3 bn 300 km 5 m tall"),
        ("$5m, EUR 2.5m and \u20ac 3m", "5e6 eur 2.5e6 and 3e6"),
        ("2003-05-01, 01.05.2003, 05/01/2003", "1 may 2003 1 may 2003 05 01 2003"),
        ("2003-25-01, 1.13.2003, 12.5.6", "2003 25 01 1.13.2003 12.5.6"),
        ("3:30 pm, 3.30 p.m., 3 PM, 09:00, 15:30", "3:30 pm 3:30 pm 3 pm 9:00 15:30"),
        ("I am 15 pmol, version 3.30", "i am 15 pmol version 3.3"),
        ("555 123 456, Boeing 747 400, 100 000, 1 234 567", "555 123 456 boeing 747 400 100000 1234567"),
        ("20 \u00b0C, 20\u00b0 C, 20 degrees Celsius, 5 degrees F", "20 celsius 20 celsius 20 celsius 5 fahrenheit"),
        ("10 miles per second, 1 second, the second one, 500 BCE", "10 miles per sec 1 sec the 2 1 500 bc"),
        ("5 kilometres, 5 kilometers, 5 km up Mt. Everest", "5 km 5 km 5 km up mount everest"),
        ("", ""),
    ],
)
def test_words_have_one_form(text: str, expected: str) -> None:
    """Accents, number words, ordinals, months, possessives, decades and magnitudes fall together."""
    assert " ".join(words(text)) == expected


@pytest.mark.parametrize("part", ["123 ", "123 1234 ", "1'234", "$1,1.1", "2003-05-", "3:30 p", "\u00b0", "1.1.1.1."])
@pytest.mark.slow
def test_forms_of_a_million_characters_take_no_time(part: str) -> None:
    """Hours, were it quadratic."""
    started = time.process_time()
    one_form(part * (1_000_000 // len(part)))
    assert time.process_time() - started < 120  # a tenth of a second where it is linear


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("12 May 1990", ["day", "month", "year"]),
        ("we may march for 40 miles", ["", "", "", "", "number", ""]),
        ("September in the 1960s", ["month", "", "", "year"]),
        ("0" * 5000, ["number"]),
    ],
)
def test_kinds_of_words(text: str, kinds: list[str]) -> None:
    """Days and the two months that are verbs are told by what stands beside them."""
    assert split(text).kinds == kinds


@pytest.mark.parametrize(
    ("wanted", "given", "expected"),
    [
        ("1524", "16th century", 0.6),
        ("16th century", "1524", 1.0),
        ("1965", "the 1960s", 0.6),
        ("1975", "the 1960s", 0.0),
        ("1200000", "1.2 million", 1.0),
        ("137", "137 million", 0.6),
        ("137 million", "137", 0.0),
        ("3 thousand", "3 million", 0.0),
        ("2.45 billion", "2.4 billion", 0.0),
        ("about 2.45 billion", "2.4 billion", 1.0),
        ("3.99", "5.5", 0.0),
        ("83", "84", 0.0),
        ("83", "83.4", 1.0),
        ("3 million", "3.4 million", 0.0),
        ("1.2.3", "1.2", 0.0),
        ("0", "0.1", 0.0),
        ("39.0", "39.7", 0.0),
        ("39.0", "39.04", 1.0),
        ("39.0", "39", 1.0),
        ("-5", "5", 0.0),
        ("minus 5", "\u22125", 1.0),
        ("6 feet", "1.83 m", 1.0),
        ("2 hours", "100 minutes", 0.0),
        ("100 \u00b0C", "373.15 K", 1.0),
        ("5 pounds", "\u00a35", 1.0),
        ("5 pounds", "$5", 0.0),
        ("1/3", "33 %", 1.0),
        ("2:30 pm", "14:30", 1.0),
        ("2:30 am", "14:30", 0.0),
    ],
)
def test_numbers_agree(wanted: str, given: str, expected: float) -> None:
    """At the precision of the reference, with its sign, in any unit of its kind."""
    [one], [other] = numbers(split(wanted)), numbers(split(given))
    assert degree(one, other) == expected


@pytest.mark.parametrize(
    ("reference", "answer", "replaced"),
    [
        ("Timmy Smith", "Emmitt Smith", True),
        ("Atlanta Braves", "They were the Atlanta Falcons.", True),
        ("Taylor Michel Momsen", "Taylor Momsen", False),
        ("Aaron Harrison", "Aaron and Andrew", False),
        ("Washington metropolitan area", "Washington, D.C.", False),
        ("George Washington", "Then Washington crossed the river", False),
        ("George Washington", "yesterday Washington crossed the river", False),
        ("virtual reality simulator", "virtual reality world", False),
    ],
)
def test_replaced_part_of_a_name(reference: str, answer: str, *, replaced: bool) -> None:
    """Only another word in the very place of a missing word of a name replaces it."""
    wanted, given = split(reference), split(answer)
    weights = word_weights(wanted, ()), word_weights(given, ())
    assert bool(replaced_share(wanted, given, word_matches(wanted, given), weights) > 0) is replaced


def test_best_stretch_keeps_one_window() -> None:
    """Of two places that hold a part each only one counts; a short answer is kept whole."""
    matches = np.zeros((2, 40))
    matches[0, 1] = matches[1, 30] = matches[0, 33] = 1.0
    kept = best_stretch(matches, np.ones(2))
    assert kept.sum() == 2
    assert kept[0, 1] == 0
    assert best_stretch(matches[:, :5], np.ones(2)) is not None
    assert best_stretch(matches[:, :5], np.ones(2)).sum() == 1
