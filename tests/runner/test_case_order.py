"""The order of the cases of a run of several systems: random, seeded, and fair to each cohort at any point."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from evalkit.runner.case_order import in_random_order
from evalkit.types import Case


def cases_of(topics: list[str]) -> list[Case]:
    """One case for each topic."""
    return [
        Case(id=f"c{at}", input="x", digest=hashlib.sha256(str(at).encode()).hexdigest(), cohorts={"topic": topic})
        for at, topic in enumerate(topics)
    ]


TOPICS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=80)


@given(TOPICS, st.integers(0, 2**32))
def test_every_case_comes_once_and_the_order_of_the_file_does_not_matter(topics: list[str], seed: int) -> None:
    """Only content and seed matter."""
    cases = cases_of(topics)
    ordered = in_random_order(cases, "topic", seed, None)
    assert sorted(each.id for each in cases) == sorted(each.id for each in ordered)
    assert ordered == in_random_order(reversed(cases), "topic", seed, None)


@given(TOPICS, st.integers(0, 2**32), st.data())
def test_wherever_it_stops_each_cohort_has_its_share(topics: list[str], seed: int, data: st.DataObject) -> None:
    """Give or take one case, and one more for each other cohort in proportion."""
    ordered = in_random_order(cases_of(topics), "topic", seed, None)
    stop = data.draw(st.integers(0, len(topics)))
    seen, all_ = Counter(each.cohorts["topic"] for each in ordered[:stop]), Counter(topics)
    for topic, n in all_.items():
        share = n / len(topics)
        assert abs(seen[topic] - stop * share) <= 1 + len(all_) * share


def test_another_seed_gives_another_order_and_chosen_cases_keep_theirs() -> None:
    """Cases that are not chosen are left out."""
    cases = cases_of(["a", "b"] * 20)
    first = in_random_order(cases, "topic", 0, None)
    assert first != in_random_order(cases, "topic", 1, None)
    assert first != tuple(cases)
    chosen = {each.digest for each in cases[:10]}
    assert {each.digest for each in in_random_order(cases, "topic", 0, chosen)} == chosen


def test_canaries_are_spread_like_a_cohort() -> None:
    """One of ten cases is a canary: one is met in every ten or so."""
    cases = cases_of(["a"] * 100)
    marked = [
        Case(id=each.id, input="x", digest=each.digest, kind="canary" if at % 10 == 0 else "golden")
        for at, each in enumerate(cases)
    ]
    ordered = in_random_order(marked, "kind", 3, None)
    places = [at for at, each in enumerate(ordered) if each.kind == "canary"]
    assert all(8 <= after - before <= 12 for before, after in itertools.pairwise(places))
