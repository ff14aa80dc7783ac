"""A package's scorer is checked member by member before a run relies on it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from evalkit.errors import Problem
from evalkit.runner.grading import Grader
from evalkit.runner.needs import _told
from evalkit.scorers.custom.packages import check_scorer
from evalkit.types import Metric

SOUND: dict[str, Any] = {
    "name": "tone",
    "version": "1",
    "metrics": (Metric("tone", binary=True),),
    "needs": frozenset({"reference"}),
    "notice": "a sentence",
    "key_parts": {"part": "1"},
}


@pytest.mark.parametrize("without", ["", "notice", "key_parts"])
def test_a_sound_scorer_is_accepted(without: str) -> None:
    """With the optional members and without each."""
    check_scorer(SimpleNamespace(**{name: value for name, value in SOUND.items() if name != without}), "acme 1.0")


@pytest.mark.parametrize(
    ("member", "value", "said"),
    [
        *((name, None, "got None") for name in ("name", "version", "metrics", "needs")),
        ("metrics", Metric("tone"), "a tuple of Metric objects, got Metric"),
        ("metrics", ("tone",), "a tuple of Metric objects"),
        ("needs", "reference", "a set of field names, got str 'reference'"),
        ("needs", {1}, "a set of field names"),
        ("notice", 3, "a text, got int 3"),
        ("key_parts", ["x"], "a mapping of texts, got list"),
        ("key_parts", {"part": 1}, "a mapping of texts"),
    ],
)
def test_a_member_that_is_missing_or_of_another_type_is_named(member: str, value: Any, said: str) -> None:
    """Before the first call, and not as a crash in the middle of a run."""
    with pytest.raises(ValueError, match=f"^acme 1.0: the scorer's `{member}` has to be .*; repair or remove") as error:
        check_scorer(SimpleNamespace(**{**SOUND, member: value}), "acme 1.0")
    assert said in str(error.value)


def test_what_a_check_of_a_case_raises_is_a_problem_of_the_package() -> None:
    """An error of evalkit's own scorers is still a bug that ends the command."""
    problems: list[Problem] = []
    grader = Grader(SimpleNamespace(**SOUND), package="acme 1.0")
    with _told("cases.jsonl:1 id a", "scorer tone: ", problems.append, grader.package):
        raise KeyError("boo")
    assert [str(each) for each in problems] == [
        "cases.jsonl:1 id a: scorer tone: acme 1.0 raised KeyError: 'boo'; repair or remove the package"
    ]
    with pytest.raises(KeyError), _told("", "", problems.append):
        raise KeyError("boo")
