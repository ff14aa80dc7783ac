"""Slots such as `{{person}}`: filled the same everywhere in a case, by the value of an attribute."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.golden.fields import to_case
from evalkit.golden.slots import filled
from evalkit.golden.variants.make import VariantCounts, VariantPlan, make_variants
from evalkit.golden.variants.original import mark_of
from evalkit.golden.variants.swap import SlotWords
from evalkit.types import Case

GENDER = SlotWords(
    "gender",
    {
        "woman": {"person": "Anna", "them": "her", "their": "her"},
        "man": {"person": "Jonas", "them": "him", "their": "his"},
    },
    {"country": "Spain"},
)
FIRST = {**GENDER.values["woman"], "country": "Spain"}
ROW = {
    "id": "c1",
    "input": "{{person}} of {{country}} lost {{ their }} card. Who helps {{them}}? Not Anna Lee.",
    "contexts": ["{{person}} called.", "Nothing here."],
    "reference": "The bank helps {{them}}.",
    "required": ["{{person}}"],
    "note": "{{person}}",
}


def case_of(row: dict[str, Any]) -> tuple[Case | None, list[str]]:
    """The case of a row, and what is wrong with it."""
    told: list[str] = []
    return to_case(row, "c.jsonl:3", lambda what, fix: told.append(f"{what}; {fix}"), slots=FIRST), told


def made(case: Case) -> tuple[list[Case], VariantCounts]:
    """The variants of a case, and the counts."""
    counts = VariantCounts()
    plan = VariantPlan(name="swap_gender", transform=GENDER, applies=lambda case: True, per_case=2)
    return list(make_variants(lambda: [case], [plan], 7, counts)), counts


def test_a_case_is_run_with_the_first_value_and_varied_with_the_others() -> None:
    """In question, contexts, reference and expectations; other attributes and the user's own fields stay."""
    case, told = case_of(ROW)
    assert case is not None, told
    assert case.question == "Anna of Spain lost her card. Who helps her? Not Anna Lee."
    assert (case.contexts[0], case.reference) == ("Anna called.", ("The bank helps her.",))
    (man,), counts = made(case)
    assert man.question == "Jonas of Spain lost his card. Who helps him? Not Anna Lee."
    assert (man.contexts, man.reference) == (("Jonas called.", "Nothing here."), ("The bank helps him.",))
    assert (man.fields["required"], man.fields["note"]) == (["Jonas"], "{{person}}")
    assert "slot_texts" not in man.fields
    mark = mark_of(man)
    assert mark is not None
    assert (mark.attribute, mark.value, mark.original_value) == ("gender", "man", "woman")
    spans = [tuple(each["span"]) for each in man.fields["variant"]["changed"] if each["in"] == "input"]
    assert [man.question[slice(*span)] for span in spans] == ["Jonas", "his", "him"]
    assert not counts.left_out


def test_other_words_make_another_case() -> None:
    """Its digest depends on them, so that answers to the old ones are not taken for it."""
    first, _ = case_of(ROW)
    other = to_case(ROW, "c.jsonl:3", lambda what, fix: None, slots={**FIRST, "person": "Eva"})
    assert first is not None
    assert other is not None
    assert first.digest != other.digest


def test_a_chat_is_filled_in_all_its_turns() -> None:
    """Before and after the last question."""
    turns = [
        {"role": "user", "content": "I am {{person}}."},
        {"role": "assistant", "content": "Hello {{person}}."},
        {"role": "user", "content": "Help {{them}}."},
    ]
    case, told = case_of({"id": "c", "input": turns})
    assert case is not None, told
    (man,), _ = made(case)
    assert [message.content for message in man.input] == ["I am Jonas.", "Hello Jonas.", "Help him."]  # type: ignore[union-attr]


@pytest.mark.parametrize("field", ["input", "reference"])
def test_a_slot_without_a_word_is_reported(field: str) -> None:
    """With what can be filled."""
    case, told = case_of({"id": "c", "input": "Hi", field: "{{persn}} asks."})
    assert case is None
    assert told == [
        "no file of a swap fills {{persn}}; add it to every value there; it fills " + ", ".join(sorted(FIRST))
    ]


def test_a_case_without_slots_stays() -> None:
    """It has no variant, with the reason."""
    case, _ = case_of({"id": "c", "input": "Who pays?"})
    assert case is not None
    assert "slot_texts" not in case.fields
    found, counts = made(case)
    assert not found
    assert set(counts.left_out) == {("swap_gender", "no slots of gender")}


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"woman": {"person": "Anna"}}, "fewer than two values"),
        ({"woman": {"person": "Anna"}, "man": {"person": "Jo", "them": "him"}}, "the values fill different slots"),
        ({"woman": {}, "man": {}}, "the values fill different slots"),
    ],
)
def test_words_that_do_not_fit_together_are_refused(values: dict[str, dict[str, str]], what: str) -> None:
    """With the fix."""
    found = SlotWords("gender", values, {}).problem()
    assert found is not None
    assert what in found[0]


@given(st.lists(st.one_of(st.text(), st.sampled_from(["{{a}}", "{{ b }}", "{{c}}"]))), st.text(), st.text())
def test_spans_say_where_the_words_differ(parts: list[str], one: str, other: str) -> None:
    """Outside them, both fillings are the same text."""
    text = "".join(parts)
    first = {"a": "x", "b": one}
    new, spans = filled(text, {"a": "x", "b": other}, first)
    old, back = filled(text, first, {"a": "x", "b": other})
    assert len(spans) == len(back)
    assert _outside(new, spans) == _outside(old, back)
    assert all(new[start:end] == other for start, end in spans)


def _outside(text: str, spans: list[list[int]]) -> str:
    parts, at = [], 0
    for start, end in spans:
        parts.append(text[at:start])
        at = end
    return "|".join([*parts, text[at:]])
