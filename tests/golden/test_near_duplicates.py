"""Near-duplicate cases are found by their 5-grams of characters, and what tells a pair apart is named."""

from __future__ import annotations

import random
import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.golden.near_duplicates import (
    LEAST,
    N_HASHES,
    NearText,
    differences,
    grams_of,
    jaccard,
    near_duplicates,
    near_text,
    nearest,
    plain_text,
    signature,
)
from evalkit.types import Case, Message


def texts_of(*texts: str) -> list[NearText]:
    """Cases 0, 1 ... with these texts."""
    return [NearText(str(at), f"cases.jsonl:{at + 1}", text) for at, text in enumerate(texts)]


def told_apart(first: str, second: str) -> tuple[str, ...]:
    """What tells two texts apart."""
    return differences(*texts_of(first, second))


def test_a_copy_in_other_letters_and_punctuation_is_the_same() -> None:
    """Case, punctuation, width and white space do not count; the similarity is 1."""
    pairs = near_duplicates(
        texts_of("When is it due, in Malta?", "WHEN IS IT DUE IN MALTA", "Ｗhen  is it\ndue in Malta", "Why?")
    ).pairs
    assert [(pair.first.id, pair.second.id, pair.jaccard, pair.kind) for pair in pairs] == [
        ("0", "1", 1.0, "same"),
        ("0", "2", 1.0, "same"),
    ]


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ("Is a loan of EUR 10 000 reported?", "Is a loan of EUR 15 000 reported?", ("number",)),
        ("Is a loan of EUR 10 000 reported?", "Is a loan of EUR 10,000 reported?", ()),
        ("Is it from 3 to 5 days?", "Is it from 5 to 3 days?", ("number",)),
        ("٣ days", "3 days", ()),
        ("May the bank close it?", "May the bank not close it?", ("negation",)),
        ("Why is it open?", "Why isn't it open?", ("negation",)),
        ("Why isn’t it open?", "Why isn't it open?", ()),
        ("Ist die Frist vorbei?", "Ist die Frist nicht vorbei?", ("negation",)),
        ("Est-ce permis en France ?", "Est-ce jamais permis en Espagne ?", ("negation", "name")),
        ("Which rules hold in Malta?", "Which rules hold in Cyprus?", ("name",)),
        ("Malta has which rules?", "Cyprus has which rules?", ("name",)),
        ("Which rules hold?", "Please tell me: which rules hold?", ()),
        ("WHICH RULES HOLD IN MALTA", "which rules hold in malta", ()),
        ("Hello. Which rules hold?", "Hello. So which rules hold?", ()),
        ("which rules hold in malta", "which rules hold in cyprus", ()),
    ],
)
def test_what_changes_the_meaning_is_named(first: str, second: str, found: tuple[str, ...]) -> None:
    """Numbers, negations and names, in either order; a frame, a spelling or a case alone is not one of them."""
    assert told_apart(first, second) == found
    assert told_apart(second, first) == found


def test_other_contexts_make_a_variant() -> None:
    """One question about two documents is two cases."""
    one, other = (NearText(id_, "", "Summarise the text.", (id_,)) for id_ in ("a", "b"))
    (pair,) = near_duplicates([one, other]).pairs
    assert (pair.kind, pair.differences) == ("variant", ("contexts",))


def test_a_conversation_is_compared_with_all_its_messages() -> None:
    """The last question alone would make every "yes" a copy of each other; scripted turns count too."""
    chats = [
        Case(id=name, input=(Message("user", f"Tell me about the {name}."), Message("user", "Yes, please do that.")))
        for name in ("mortgage with a fixed rate", "card that was stolen abroad")
    ]
    scripts = [
        Case(id=name, input="Hello", fields={"turns": [{"user": "Hello"}, {"user": f"I need {name}, please."}]})
        for name in ("a duplicate of my invoice", "the opening hours on Sunday")
    ]
    assert near_duplicates([near_text(case) for case in (*chats, *scripts)]).pairs == ()


words = st.text(alphabet="abcdefgh äß中.,?1", min_size=0, max_size=40)


@given(st.lists(words, max_size=8))
@settings(max_examples=60, deadline=None)
def test_pairs_are_those_of_a_direct_comparison(texts: list[str]) -> None:
    """No pair below the threshold, none with itself, each once in file order; equal texts are always found."""
    found = {(pair.first.id, pair.second.id): pair.jaccard for pair in near_duplicates(texts_of(*texts)).pairs}
    plain = [plain_text(text) for text in texts]
    for (first, second), similarity in found.items():
        assert int(first) < int(second)
        assert similarity == pytest.approx(jaccard(grams_of(plain[int(first)]), grams_of(plain[int(second)])))
        assert similarity >= LEAST
    for second, text in enumerate(plain):
        if (first := plain.index(text)) < second:
            assert found[str(first), str(second)] == 1.0


@given(words, words)
@settings(deadline=None)
def test_similarity_is_symmetric_and_one_for_equal_texts(first: str, second: str) -> None:
    """From 0 to 1; the shared 5-grams by counting."""
    ours, theirs = grams_of(plain_text(first)), grams_of(plain_text(second))
    assert jaccard(ours, theirs) == jaccard(theirs, ours) == len(ours & theirs) / len(ours | theirs)
    assert jaccard(ours, ours) == 1


def test_the_share_of_equal_hashes_is_the_similarity() -> None:
    """Mean over 60 pairs within .01: an estimate of 128 hashes has a standard error of at most .044."""
    rng = random.Random(3)
    errors = []
    for _ in range(60):
        text = "".join(rng.choices(string.ascii_lowercase, k=200))
        other = "".join(rng.choice("xyz") if rng.random() < 0.04 else char for char in text)
        estimate = float(np.mean(signature(text) == signature(other)))
        errors.append(estimate - jaccard(grams_of(text), grams_of(other)))
    assert abs(np.mean(errors)) < 0.01
    assert np.std(errors) < 0.05
    assert len(signature("")) == N_HASHES


def test_pairs_above_the_threshold_are_found_as_often_as_bands_promise() -> None:
    """The chance of each pair is that of an equal band among 25; of 1,200 texts in pairs, more than 95 %."""
    rng = random.Random(4)
    vocabulary = ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(3, 9))) for _ in range(2_000)]
    texts: list[str] = []
    wanted: dict[tuple[str, str], float] = {}
    for at in range(600):
        tokens = rng.choices(vocabulary, k=rng.randint(6, 20))
        other = [rng.choice(vocabulary) if rng.random() < 0.08 else token for token in tokens]
        texts += [" ".join(tokens), " ".join(other)]
        similarity = jaccard(grams_of(texts[-2]), grams_of(texts[-1]))
        if similarity >= LEAST:
            wanted[str(2 * at), str(2 * at + 1)] = 1 - (1 - similarity**5) ** 25
    found = {(pair.first.id, pair.second.id) for pair in near_duplicates(texts_of(*texts)).pairs}
    assert len(wanted) > 450
    share = len(found & wanted.keys()) / len(wanted)
    assert share > 0.95
    assert share == pytest.approx(np.mean([*wanted.values()]), abs=0.02)


def test_a_set_of_templates_ends_in_bounded_time() -> None:
    """Each of 400 cases resembles every other; the search says that pairs may be missing."""
    found = near_duplicates(texts_of(*(f"What is the price of item {at} in the shop?" for at in range(400))))
    assert not found.complete
    assert 400 < len(found.pairs) < 400 * 399 / 2
    assert {pair.kind for pair in found.pairs} == {"variant"}


def test_one_text_is_compared_with_others() -> None:
    """For a case that is to be added; the case of the set comes first."""
    known = texts_of("When is due diligence due in Malta?", "Who pays?")
    (pair,) = nearest(NearText("new", "", "When is due diligence due in Cyprus?"), known)
    assert (pair.first.id, pair.second.id, pair.kind) == ("0", "new", "variant")


def test_of_a_long_text_the_beginning_is_compared_and_another_ending_is_a_difference() -> None:
    """Two books with one preface are a variant, two copies of one book are the same."""
    preface = "".join(f"Chapter {number} is about cards. " for number in range(2_000))
    cases = [
        Case(id=str(at), input=preface + end, place=f"cases.jsonl:{at + 1}")
        for at, end in enumerate(("It ends.", "It goes on.", "It goes on."))
    ]
    texts = [near_text(case) for case in cases]
    assert {len(each.text) for each in texts} == {50_000}
    pairs = near_duplicates(texts).pairs
    assert [(pair.first.id, pair.second.id, pair.kind, pair.differences) for pair in pairs] == [
        ("0", "1", "variant", ("ending",)),
        ("1", "2", "same", ()),
    ]
