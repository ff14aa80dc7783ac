"""Find cases whose input occurs in training data of the system."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from evalkit.errors import MAX_PROBLEMS, InputError, Problem
from evalkit.golden.fields import questions_of
from evalkit.golden.names import field_of, plain_name
from evalkit.golden.read import GoldenSet
from evalkit.golden.rows import training_rows
from evalkit.golden.survey import Lack

_KEY_BYTES = 16


def overlap(golden: GoldenSet, learnt: Collection[tuple[Path, str]]) -> Iterator[Problem]:
    """Yield a warning if cases occur in a declared training set, with their number and the first of them.

    Inputs are equal if their text is, after Unicode form NFC, without regard to case and to the amount of white
    space; of a conversation the last turn of the user counts. Nothing else of a training row is read; a file in which
    some rows have no question has a warning of its own. Hashes of the golden set's inputs are held, and nothing of the
    training set.

    Args:
        golden: the checked set; it is read twice, if there is a training file at all.
        learnt: the training files, each with the name by which it is shown; they are streamed.

    Raises:
        InputError: reports every problem of the training files (at most 200); a file without any question is one.
    """
    asked = {_key(case.question) for case in golden.open()} if learnt else set()
    places: dict[bytes, str] = {}
    warnings: list[Problem] = []
    for place, question in _learnt(learnt, warnings):
        if (key := _key(question)) in asked:
            places.setdefault(key, place)
    found, at = None, ""
    for case in golden.open() if places else ():
        if (key := _key(case.question)) in places:
            found, at = found or Lack(case.place), at or places[key]
            found.add(case.id)
    if found is not None:
        what = f"{found.n} of {golden.n_cases} cases occur in `trained_on`: {found}; the first at {at}"
        yield Problem(found.place, what, "leave them out of one of the two: their scores measure memory")
    yield from warnings


def _learnt(files: Iterable[tuple[Path, str]], warnings: list[Problem]) -> Iterator[tuple[str, str]]:
    """Yield position and text of every question; rows without one are added to `warnings`."""
    problems: list[Problem] = []

    def note(problem: Problem) -> None:
        column = re.split("[.:]", problem.place.removeprefix(shown).partition(" ")[2])[0]
        if column and field_of(plain_name(column)) != "input":
            return  # a cell of a table or a CSV file, which is not read
        problems.append(problem)
        if len(problems) >= MAX_PROBLEMS:
            raise InputError(problems)

    for file, shown in files:
        n_rows = n_mute = 0
        for line, raw in training_rows(file, shown, note):
            questions = list(questions_of(raw))
            n_rows, n_mute = n_rows + 1, n_mute + (not questions)
            yield from ((f"{shown}:{line}", question) for question in questions)
        if not n_rows:
            problems.append(
                Problem(f"{shown}:1", "no row in it", "write the rows, or take the file out of `trained_on`")
            )
        if n_mute:
            tell = problems if n_mute == n_rows else warnings
            tell.append(_mute(shown, n_mute, n_rows))
    if problems:
        raise InputError(problems)


def _mute(shown: str, n_mute: int, n_rows: int) -> Problem:
    """Describe the rows of a training file that have no question."""
    fix = "name it `input`, `question`, `prompt` or `messages`, so that it is compared"
    if n_mute == n_rows:
        return Problem(f"{shown}:1", f"none of its {n_rows:,} rows has a question", fix)
    return Problem(
        f"{shown}:1", f"{n_mute:,} of {n_rows:,} rows of {shown} have no question and were not compared", fix
    )


def _key(question: str) -> bytes:
    text = " ".join(unicodedata.normalize("NFC", question.casefold()).split())
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).digest()
