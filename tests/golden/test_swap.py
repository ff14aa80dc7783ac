"""Swapped attributes: every value, everywhere in a case, with the capitals of the original."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.golden.variants.make import VariantCounts, VariantPlan, make_variants
from evalkit.golden.variants.original import mark_of
from evalkit.golden.variants.swap import SwapWords
from evalkit.types import Case

GENDER = SwapWords(
    "gender", {"woman": ("Anna", "she", "Ms"), "man": ("Jonas", "he", "Mr"), "open": ("Kim", "they", "Mx")}
)
CASE = Case(
    id="c1",
    input="Anna asks: may SHE close it? She lives with Hannah.",
    contexts=("Ms Lee's file: she may.", "Nothing here."),
    reference=("Yes, Anna may.",),
    fields={"required": ["Anna|Ms"], "note": "Anna"},
    digest="0" * 64,
)


def made(case: Case, words: SwapWords = GENDER) -> tuple[dict[str, Case], VariantCounts]:
    """The variants by value, and the counts."""
    counts = VariantCounts()
    plan = VariantPlan(name="swap_gender", transform=words, applies=lambda case: True, per_case=len(words.values))
    found = list(make_variants(lambda: [case], [plan], 7, counts))
    return {mark.value: each for each in found if (mark := mark_of(each))}, counts


def test_every_other_value_is_made_and_the_rest_stays() -> None:
    """In question, contexts, reference and expectations; words that only hold one are no words of the list."""
    found, counts = made(CASE)
    assert set(found) == {"man", "open"}
    assert not counts.left_out
    man = found["man"]
    assert man.question == "Jonas asks: may HE close it? He lives with Hannah."
    assert man.contexts == ("Mr Lee's file: he may.", "Nothing here.")
    assert (man.reference, man.fields["required"], man.fields["note"]) == (("Yes, Jonas may.",), ["Jonas|Mr"], "Anna")
    assert [man.question[slice(*each["span"])] for each in man.fields["variant"]["changed"]] == ["Jonas", "HE", "He"]
    mark = mark_of(man)
    assert mark is not None
    assert (mark.attribute, mark.value, mark.original_value) == ("gender", "man", "woman")
    assert man.id == "c1~swap_gender~2"


@pytest.mark.parametrize(
    ("text", "reason"),
    [("Who pays?", "words of no value of gender"), ("Anna and Jonas ask.", "words of several values of gender")],
)
def test_a_case_without_one_clear_value_has_no_variants(text: str, reason: str) -> None:
    """Counted for each value."""
    found, counts = made(Case(id="c", input=text, digest="0" * 64))
    assert not found
    assert counts.left_out == {("swap_gender", reason): 3}


@given(
    st.lists(st.sampled_from(["Anna", "she", "Ms", "pays", "7", "Hannah,"]), min_size=1),
    st.sampled_from(["man", "open"]),
)
def test_a_swap_can_be_undone(words: list[str], value: str) -> None:
    """The words of the value back again give the text."""
    text = " ".join(words)
    swapped, spans = GENDER.swapped(text, value)
    assert GENDER.swapped(swapped, "woman")[0] == text
    assert len(spans) == sum(word in ("Anna", "she", "Ms") for word in words)


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"woman": ("Anna",)}, "fewer than two values"),
        ({"woman": ("Anna", "she"), "man": ("Jonas",)}, "different numbers of words"),
        ({"woman": ("Anna", "her"), "man": ("Jonas", "Her")}, "her is listed twice"),
        ({"woman": (), "man": ()}, "different numbers of words"),
    ],
)
def test_lists_that_cannot_be_swapped_are_refused(values: dict[str, tuple[str, ...]], what: str) -> None:
    """With the fix."""
    found = SwapWords("gender", values).problem()
    assert found is not None
    assert what in found[0]
    assert GENDER.problem() is None
