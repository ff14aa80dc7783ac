"""Tests for semantic entropy: known values by hand, properties, and a brute force over every partition."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.stats.meanings import meanings, semantic_entropy, weighted_entropy

texts = st.lists(st.sampled_from("abcdef"), min_size=2, max_size=10)
pairs = st.sets(st.sampled_from([frozenset(pair) for pair in combinations("abcdef", 2)]))


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((4,), 0.0),
        ((1, 1), 1.0),
        ((1, 1, 1, 1), 1.0),
        ((2, 2), 0.5),  # ln 2 / ln 4
        ((3, 1), 0.405639),  # (3/4 ln 4/3 + 1/4 ln 4) / ln 4 = (0.215762 + 0.346574) / 1.386294
        ((2, 1), 0.579380),  # (2/3 ln 3/2 + 1/3 ln 3) / ln 3 = (0.270310 + 0.366204) / 1.098612
        ((5, 3, 2), 0.447173),  # (0.346574 + 0.361192 + 0.321888) / 2.302585
    ],
)
def test_values_worked_by_hand(sizes: tuple[int, ...], expected: float) -> None:
    """-sum (|c|/M) ln(|c|/M) over ln M."""
    assert semantic_entropy(sizes) == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("sizes", [(), (1,), (2, 0), (3, -1)])
def test_what_has_no_entropy_is_refused(sizes: tuple[int, ...]) -> None:
    """One answer shows no spread, and an empty cluster is a mistake: neither is read as 0."""
    with pytest.raises(ValueError, match="answers"):
        semantic_entropy(sizes)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=8).filter(lambda sizes: sum(sizes) > 1))
def test_entropy_lies_between_one_meaning_and_all_different(sizes: list[int]) -> None:
    """0 exactly for one cluster, 1 exactly for clusters of one, and the order of the clusters changes no digit."""
    found = semantic_entropy(sizes)
    assert 0 <= found <= 1
    assert (found == 0) == (len(sizes) == 1)
    assert (found == 1) == (max(sizes) == 1)
    assert semantic_entropy(sizes[::-1]) == found
    shares = [size / sum(sizes) for size in sizes]
    assert found == pytest.approx(-sum(p * math.log(p) for p in shares) / math.log(sum(sizes)), abs=1e-12)


@given(texts, pairs, st.randoms())
def test_the_order_of_the_answers_does_not_matter(
    answers: list[str], alike: set[frozenset[str]], random: Random
) -> None:
    """The same texts are grouped in the same way, however they arrive."""
    shuffled = list(answers)
    random.shuffle(shuffled)
    assert meanings(shuffled, alike) == meanings(answers, alike)


@given(texts, pairs)
def test_every_answer_is_in_one_group_of_answers_that_are_all_alike(
    answers: list[str], alike: set[frozenset[str]]
) -> None:
    """Complete link: any two of a group were judged alike, not only neighbours; equal texts always are."""
    found = meanings(answers, alike)
    assert sorted(text for group in found for text in group) == sorted(answers)
    for group in found:
        assert all(a == b or frozenset((a, b)) in alike for a, b in combinations(group, 2))


@given(texts)
def test_all_alike_and_none_alike(answers: list[str]) -> None:
    """One group if every pair is alike; a group for each text if none is."""
    everything = {frozenset(pair) for pair in combinations("abcdef", 2)}
    assert semantic_entropy([len(group) for group in meanings(answers, everything)]) == 0
    assert [set(group) for group in meanings(answers, ())] == [{text} for text in sorted(set(answers))]


def test_a_chain_is_not_one_meaning() -> None:
    """A like b and b like c do not make a like c."""
    chain = {frozenset("ab"), frozenset("bc")}
    assert meanings(["c", "b", "a"], chain) == (("a", "b"), ("c",))
    assert meanings(["c", "b", "a", "b"], chain) == (("a", "b", "b"), ("c",))


def partitions(n: int) -> Iterator[tuple[int, ...]]:
    """Yield the group of each of n answers, for every partition, the lexicographically smallest first."""

    def longer(start: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(start) == n:
            yield start
            return
        for group in range(max(start, default=-1) + 2):
            yield from longer((*start, group))

    return longer(())


def is_complete(texts: Sequence[str], groups: Sequence[int], alike: set[frozenset[str]]) -> bool:
    """Tell whether all pairs within the groups are alike."""
    return all(
        texts[i] == texts[j] or frozenset((texts[i], texts[j])) in alike
        for i, j in combinations(range(len(texts)), 2)
        if groups[i] == groups[j]
    )


@given(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=6), pairs)
def test_against_every_partition(answers: list[str], alike: set[frozenset[str]]) -> None:
    """Of all partitions into complete groups it is the first one, in the order of the texts."""
    ordered = sorted(answers)
    first = next(groups for groups in partitions(len(ordered)) if is_complete(ordered, groups, alike))
    expected = [tuple(t for t, g in zip(ordered, first, strict=True) if g == at) for at in range(max(first) + 1)]
    assert list(meanings(answers, alike)) == expected


def test_likelihoods_worked_by_hand() -> None:
    """P = .2, .2 | .4 of three answers: shares .5, .5, so ln 2 / ln 3. Likelihoods of e^-800 do not vanish."""
    groups = [[math.log(0.2), math.log(0.2)], [math.log(0.4)]]
    assert weighted_entropy(groups) == pytest.approx(math.log(2) / math.log(3))
    assert weighted_entropy([[one - 800 for one in group] for group in groups]) == pytest.approx(0.6309297535714575)
    assert weighted_entropy([[-1.0, -5.0]]) == 0
    assert weighted_entropy([[-1.0], [-2000.0]]) == 0


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5).filter(lambda sizes: sum(sizes) > 1), st.floats(-500, 0))
def test_equal_likelihoods_give_the_discrete_form(sizes: list[int], log: float) -> None:
    """Then each answer has the same weight."""
    assert weighted_entropy([[log] * size for size in sizes]) == pytest.approx(semantic_entropy(sizes), abs=1e-9)


@given(st.lists(st.lists(st.floats(-700, 0), min_size=1, max_size=4), min_size=2, max_size=4))
def test_the_weighted_entropy_lies_between_0_and_1(groups: list[list[float]]) -> None:
    """And the order of the meanings does not matter."""
    found = weighted_entropy(groups)
    assert 0 <= found <= 1
    assert weighted_entropy(groups[::-1]) == pytest.approx(found, abs=1e-12)


@pytest.mark.parametrize(
    "groups", [[], [[-1.0]], [[-1.0], []], [[-1.0], [0.5]], [[-1.0], [-math.inf]], [[-1.0], [math.nan]]]
)
def test_likelihoods_that_cannot_be_are_refused(groups: list[list[float]]) -> None:
    """A missing one is not 0."""
    with pytest.raises(ValueError, match="groups"):
        weighted_entropy(groups)
