"""Variants of golden cases: the same bytes for the same seed, protected parts as they were, every gap counted."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.golden.read import open_golden
from evalkit.golden.source import GoldenSource
from evalkit.golden.variants import transforms
from evalkit.golden.variants.draws import Draws
from evalkit.golden.variants.edits import Edit, EditableText, ProtectedWords, protected_spans
from evalkit.golden.variants.letters import LOOKALIKES, Confusables, Typos, neighbours, without_confusables
from evalkit.golden.variants.make import VariantCounts, VariantPlan, make_variants
from evalkit.golden.variants.original import VariantMark, mark_of
from evalkit.golden.variants.passages import PassagePool
from evalkit.golden.write import case_line
from evalkit.types import Case, Message, Origin

OF_USERS = ("swap", "file", "extract_prompt", "inject_tool")
TRANSFORMS = {name: cls for name, cls in transforms.TRANSFORMS.items() if name not in OF_USERS}
"""All that need no file and no text of the user."""
CASE = Case(
    id="aml-01",
    input='Hello, may we pay EUR 10,000.50 under "Article 33" to Zürich, see https://a.eu/x?y=1 or `run -x`, today?',
    reference=("Within 72 hours, if the customer is identified.",),
    contexts=("The customer is identified within 72 hours.", "Records are kept for five years.", "A third passage."),
    cohorts={"language": "en"},
    fields={"required": ["identified|verified"], "expected_tool_calls": [{"name": "pay"}]},
    digest="0" * 64,
)
OTHER = Case(id="tax-01", input="Is it taxed?", contexts=("Snow falls on green hills.",), digest="1" * 64)
PROTECTED = ("10,000.50", "Article 33", "https://a.eu/x?y=1", "`run -x`", "pay")


def variants(*cases: Case, seed: int = 7, per_case: int = 1, only: str = "", **options: Any) -> dict[str, Case]:
    """Every variant of the cases by its id."""
    plans = [
        VariantPlan(name=name, transform=cls(**options), applies=lambda case: True, per_case=per_case)
        for name, cls in TRANSFORMS.items()
        if only in ("", name)
    ]
    return {case.id: case for case in make_variants(lambda: cases, plans, seed, VariantCounts())}


def distance(one: str, other: str) -> int:
    """Levenshtein distance, by the textbook table."""
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        last, row[0] = row[0], at
        for to, twin in enumerate(other, 1):
            last, row[to] = row[to], min(row[to] + 1, row[to - 1] + 1, last + (letter != twin))
    return row[-1]


def test_every_transform_makes_a_case_with_its_origin() -> None:
    """Id, cluster, cohort and field name the original and the transform; the reference stays."""
    found = variants(CASE, OTHER)
    assert {id_ for id_ in found if id_.startswith("aml")} == {f"aml-01~{name}~1" for name in TRANSFORMS}
    for id_, case in found.items():
        of, name, _ = id_.split("~")
        mark = mark_of(case)
        assert mark is not None
        assert mark == (mark if mark.goal else VariantMark(of=of, name=name))
        assert (mark.of, mark.name, bool(mark.goal)) == (of, name, case.kind == "adversarial")
        assert (case.cluster, case.cohorts["variant"]) == (of, name)
    assert found["aml-01~lower~1"].reference == CASE.reference
    assert found["aml-01~lower~1"].fields["required"] == CASE.fields["required"]


def test_the_order_of_cases_and_their_neighbours_do_not_matter() -> None:
    """A seed gives the same bytes for any order, and another seed gives others."""
    cases = [Case(id=f"c{at}", input=f"Why does customer number {at} wait here?") for at in range(20)]
    found = variants(*cases)
    shuffled = random.Random(3).sample(cases, 20)
    again = variants(*shuffled)
    assert {id_: case_line(case) for id_, case in found.items()} == {
        id_: case_line(case) for id_, case in again.items()
    }
    alone = variants(cases[4])
    assert all(found[id_] == case for id_, case in alone.items())
    assert variants(cases[4], seed=8)["c4~typos~1"].input != found["c4~typos~1"].input


def test_the_bytes_of_a_seed_are_these_on_every_platform() -> None:
    """Written down once: a change of them changes every stored variant."""
    found = variants(CASE, OTHER)
    assert found["aml-01~typos~1"].fields["variant"]["seed"].startswith("d4fc786f15cbaa28")
    draws = Draws(7, "aml-01", "typos", 1)
    assert [draws.below(1000) for _ in range(3)] == [249, 158, 216]
    assert found["aml-01~typos~1"].input == str(CASE.input).replace("under", "unedr")
    assert found["aml-01~context_order~1"].contexts == tuple(CASE.contexts[at] for at in (1, 0, 2))


@pytest.mark.parametrize("name", [name for name in TRANSFORMS if name not in ("context_order", "distractor", "encode")])
def test_protected_parts_are_never_touched(name: str) -> None:
    """Numbers, quoted text, URLs, code, words of the answer and names of tools are in every variant."""
    for id_, case in variants(CASE, OTHER, only=name, per_case=5).items():
        if id_.startswith("aml"):
            assert all(part in str(case.input) for part in PROTECTED), case.input


PIECES = st.sampled_from(
    (
        *("hello", "Zürich", "10,000.5", '"as it is"', "https://x.eu/a?b", "`code x`", "e\u0301te\u0301", "straße"),
        *(",", "?", "pay", "identified", "\n", "why not", "…", "§33", "日本語", "ΣΑΣ", "'so'", "x", "A", "don't"),
    )
)


@given(
    st.lists(PIECES, min_size=1, max_size=12),
    st.integers(0, 2**31),
    st.sampled_from(sorted({*TRANSFORMS} - {"encode"})),
)
@settings(max_examples=150, deadline=None)
def test_any_text_keeps_its_protected_parts_and_says_what_changed(pieces: list[str], seed: int, name: str) -> None:
    """In order, the protected parts are the same before and after; without the changed parts, so is the rest."""
    text = " ".join(pieces)
    if not text.strip():
        return
    case = Case(id="c", input=text, reference=("identified",), cohorts={"language": "en"})
    for variant in variants(case, only=name, seed=seed).values():
        after, at = str(variant.input), 0
        for start, end in protected_spans(text, ProtectedWords.of(case)):
            found = after.find(text[start:end], at)
            assert found >= 0, (text, after)
            at = found + end - start
        kept, last = "", 0
        for change in variant.fields["variant"]["changed"]:
            start, end = change["span"]
            kept, last = kept + after[last:start], end
        kept += after[last:]
        rest = iter(text)
        assert all(letter in rest for letter in kept), (text, after)  # a subsequence of the original


@given(st.text(min_size=1, max_size=400), st.integers(0, 2**31), st.sampled_from([0.02, 0.3, 1.0]))
@settings(max_examples=100, deadline=None)
def test_typos_are_few_and_spare_first_letters(text: str, seed: int, rate: float) -> None:
    """The edit distance is at most 8, whatever the rate, and 1 or more where there is a word of four letters."""
    draft = EditableText(text)
    edited = draft.edited(Typos(rate=rate).edits(draft, Draws(seed, "c", "typos", 1)))
    assert distance(text, edited.text) <= 8
    same = EditableText("Customer")
    assert same.edited(Typos().edits(same, Draws(seed, "c", "typos", 1))).text[0] == "C"


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz ,.Z", max_size=60), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_the_map_of_lookalikes_inverts(text: str, seed: int) -> None:
    """Undone, a variant is the original."""
    draft = EditableText(text)
    edited = draft.edited(Confusables().edits(draft, Draws(seed, "c", "confusables", 1)))
    assert without_confusables(edited.text) == text
    assert (edited.text != text) == any(letter in LOOKALIKES for letter in text)


def test_keys_beside_each_other_are_so_both_ways() -> None:
    """A table of neighbours is symmetric, and z and y change places between the layouts."""
    for layout in ("qwerty", "qwertz"):
        beside = neighbours(layout)
        assert all(key in beside[other] for key, others in beside.items() for other in others)
    assert "y" in neighbours("qwerty")["t"]
    assert "z" in neighbours("qwertz")["t"]


def test_an_edit_of_a_protected_part_is_refused() -> None:
    """No transform can touch one by mistake."""
    draft = EditableText("pay 100 now", ((4, 7),))
    for edit in (Edit(4, 5, "2"), Edit(5, 5, ","), Edit(3, 8, "")):
        with pytest.raises(ValueError, match="protected"):
            draft.edited([edit])
    assert draft.edited([Edit(7, 7, "!"), Edit(4, 4, "$")]).text == "pay $100! now"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("lower", "May I PAY 10 EUR at ING?", "may i pay 10 eur at ing?"),
        ("upper", "May I pay 10 EUR?", "MAY I PAY 10 EUR?"),
        ("punctuation", "Well, don't they, at 1,000 EUR?", "Well don’t they at 1,000 EUR"),
        ("courtesy", "Why?", "Hi, could you tell me: Why? Thanks!"),
        ("terse", "Hi there, could you please tell me why it is late? Thanks a lot!", "why it is late? "),
        ("forward", "Why?", "A customer asks: Why?"),
        ("language_tag", "Why?", "Why? Please answer in English."),
    ],
)
def test_a_transform_without_draws_makes_this(name: str, text: str, expected: str) -> None:
    """Worked by hand."""
    case = Case(id="c", input=text, cohorts={"language": "en-GB"})
    (found,) = variants(case, only=name).values()
    assert found.input == expected


def test_a_prefix_is_long_and_spaces_end_in_two_line_feeds() -> None:
    """The question is at the end, unchanged."""
    case = Case(id="c", input="Why is it so?")
    prefixed = str(variants(case, only="prefix")["c~prefix~1"].input)
    assert prefixed.endswith("\n\nQuestion: Why is it so?")
    assert 2_000 <= len(prefixed) < 2_150
    spaced = str(variants(case, only="spaces")["c~spaces~1"].input)
    assert spaced.endswith("\n\n")
    assert spaced.split() == case.question.split()
    assert spaced.count("\t") == 1


def test_what_cannot_be_changed_makes_no_case_and_is_counted() -> None:
    """Each reason is said with its count; of two equal variants one is left."""
    made = VariantCounts()
    cases = [
        Case(id="a", input="why?"),
        Case(id="b", input="Why?", contexts=("one",), fields={"turns": [{"content": "x"}]}),
        Case(id="c", input="Why?", fields={"variant": "of mine"}),
        Case(id="d", input=(Message("user", "Why?", parts=({"type": "text", "text": "Why?"},)),)),
    ]
    plans = [
        VariantPlan(name=name, transform=TRANSFORMS[name](), applies=lambda case: True, per_case=2)
        for name in ("lower", "courtesy", "context_order", "distractor")
    ]
    assert list(make_variants(lambda: cases, plans, 0, made)) == []
    assert made.variants == {}
    reasons = {reason for _, reason in made.left_out}
    assert sum(made.left_out.values()) == 4 * 4 * 2
    for part in ("nothing changes", "conversation", "`variant` already", "cohort `language`", "fewer than two"):
        assert any(part in reason for reason in reasons), reasons
    twice = VariantCounts()
    found = list(
        make_variants(
            lambda: [CASE],
            [VariantPlan(name="lower", transform=TRANSFORMS["lower"](), applies=lambda case: True, per_case=3)],
            0,
            twice,
        )
    )
    assert len(found) == 1
    assert sum(twice.left_out.values()) == 2


def test_only_the_last_turn_of_the_user_changes() -> None:
    """The rest of a chat is as it was."""
    chat = (Message("system", "BE SHORT"), Message("user", "WHO?"), Message("assistant", "I."), Message("user", "WHY?"))
    found = variants(Case(id="c", input=chat), only="lower")["c~lower~1"]
    assert [message.content for message in found.input] == ["BE SHORT", "WHO?", "I.", "why?"]  # type: ignore[union-attr]


def test_contexts_move_with_their_origins_and_a_distractor_has_none() -> None:
    """Two contexts change places; a passage of another cluster that shares no word with the answer comes in."""
    two = Case(id="a", input="q", contexts=("x", "y"), origins=(Origin(id="1"), Origin(id="2")), reference=("snow",))
    (moved,) = variants(two, only="context_order").values()
    assert (moved.contexts, [each.id for each in moved.origins]) == (("y", "x"), ["2", "1"])
    rest = [OTHER, Case(id="b", input="q", contexts=("Nothing of that kind.",), cluster="z")]
    (more,) = (each for each in variants(two, *rest, only="distractor").values() if each.id.startswith("a~"))
    assert set(more.contexts) == {"x", "y", "Nothing of that kind."}
    assert len(more.origins) == 3
    of_one = Case(id="a", input="q", contexts=("x",), cluster="z", reference=("nought",))
    assert PassagePool([rest[1], of_one]).distractor(of_one, Draws(0, "a", "distractor", 1)) is None


def test_a_written_variant_is_the_one_in_memory(tmp_path: Path) -> None:
    """Read from its line, a variant has the same content and digest."""
    found = variants(CASE, OTHER)
    file = tmp_path / "variants.jsonl"
    file.write_bytes(b"".join(case_line(case) + b"\n" for case in found.values()))
    read = list(open_golden(GoldenSource(path=file.name), file, file.name).open())
    assert read == list(found.values())
    assert [json.loads(line)["id"] for line in file.read_text(encoding="utf-8").splitlines()] == list(found)


def test_short_words_of_a_required_text_are_protected_and_of_a_reference_only_in_capitals() -> None:
    """`the` of a reference is in nearly every text; `no` of `required` is what a scorer looks for."""
    case = Case(id="c", input="No, the EU and Thea", reference=("The EU.",), fields={"required": "no"})
    spans = protected_spans(case.question, ProtectedWords.of(case))
    assert [case.question[start:end] for start, end in spans] == ["No", "EU"]


def test_a_variant_that_the_set_would_refuse_is_counted() -> None:
    """An id may be too long with the name of the transform; the other cases are made."""
    counts = VariantCounts()
    plan = VariantPlan(name="lower", transform=TRANSFORMS["lower"](), applies=lambda case: True)
    cases = [Case(id="a" * 198, input="Why?"), Case(id="b", input="Why?")]
    assert [case.id for case in make_variants(lambda: cases, [plan], 0, counts)] == ["b~lower~1"]
    ((name, reason),) = counts.left_out
    assert name == "lower"
    assert "longer than 200" in reason
