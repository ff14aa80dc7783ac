"""Cases whose input stands in what the system learnt from: a score on them measures memory."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from evalkit.errors import InputError, Problem
from evalkit.golden.read import MAX_PROBLEMS, GoldenSet, GoldenSource, read_cases
from evalkit.golden.survey import Lack
from evalkit.types import Case

_KEY_BYTES = 16


def overlap(golden: GoldenSet, learnt: Iterable[tuple[Path, str]]) -> Iterator[Problem]:
    """A warning where cases ask what stands in a declared training set, with their number and the first of them.

    Inputs are equal where their text is, after Unicode form NFC, without regard to case and to the amount of white
    space; of a conversation the last turn of the user counts. Hashes of the golden set's inputs are held, and nothing
    of the training set.

    Args:
        golden: the checked set; it is read twice.
        learnt: the training files, each with the name by which it is shown; they are streamed.

    Raises:
        InputError: with every problem of the training files (at most 200).
    """
    asked = {_key(case) for case in golden.open()}
    places: dict[bytes, str] = {}
    for case in _learnt(learnt):
        if (key := _key(case)) in asked:
            places.setdefault(key, case.place)
    found, at = None, ""
    for case in golden.open() if places else ():
        if (key := _key(case)) in places:
            found, at = found or Lack(case.place), at or places[key]
            found.add(case.id)
    if found is not None:
        what = f"{found.n} of {golden.n_cases} cases ask what stands in `trained_on`: {found}; the first at {at}"
        yield Problem(found.place, what, "leave them out of one of the two: their scores measure memory")


def _learnt(files: Iterable[tuple[Path, str]]) -> Iterator[Case]:
    problems: list[Problem] = []

    def note(problem: Problem) -> None:
        problems.append(problem)
        if len(problems) >= MAX_PROBLEMS:
            raise InputError(problems)

    for file, shown in files:
        source = GoldenSource(path=str(file), make_ids=True)
        yield from (case for _, case in read_cases(source, file, shown, note))
    if problems:
        raise InputError(problems)


def _key(case: Case) -> bytes:
    text = " ".join(unicodedata.normalize("NFC", case.question.casefold()).split())
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).digest()
