"""Stratified samples of a golden set."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.runner.draw import draw
from evalkit.suite.model import Sample
from evalkit.types import Case


def a_case(name: str, topic: str | None, kind: str = "golden") -> Case:
    """A case of a topic."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    return Case(id=name, input="q", digest=digest, kind=kind, cohorts={} if topic is None else {"topic": topic})  # type: ignore[arg-type]


def a_set(sizes: dict[str, int], canaries: int = 0) -> list[Case]:
    """Cases by topic, and canaries."""
    cases = [a_case(f"{topic}{i}", topic) for topic, size in sizes.items() for i in range(size)]
    return [*cases, *(a_case(f"canary{i}", "a", "canary") for i in range(canaries))]


def test_every_topic_has_its_floor_and_the_rest_is_in_proportion() -> None:
    """300 of 600 + 200 + 200: 60 % and 20 % twice; with a floor of 80 the small ones have it."""
    pool = a_set({"a": 600, "b": 200, "c": 200})
    plain = draw(pool, Sample(n=300, by="topic", floor=50), 0)
    assert plain.strata == {"topic=a": (600, 180), "topic=b": (200, 60), "topic=c": (200, 60)}
    floored = draw(pool, Sample(n=300, by="topic", floor=80), 0)
    assert floored.strata == {"topic=a": (600, 140), "topic=b": (200, 80), "topic=c": (200, 80)}


def test_a_topic_gives_no_more_than_it_has_and_the_others_fill_up() -> None:
    """Ten cases are ten cases; a case without the cohort is in a stratum of its own."""
    pool = [*a_set({"a": 500, "b": 10}), *(a_case(f"none{i}", None) for i in range(40))]
    drawn = draw(pool, Sample(n=200, by="topic", floor=50), 0)
    assert drawn.strata == {"no topic": (40, 40), "topic=a": (500, 150), "topic=b": (10, 10)}


def test_canaries_are_all_asked() -> None:
    """They are no sample of anything."""
    drawn = draw(a_set({"a": 500, "b": 500}, canaries=12), Sample(n=112, by="topic", floor=10), 0)
    assert drawn.strata["kind=canary"] == (12, 12)
    assert len(drawn.digests) == 112


def test_the_same_seed_draws_the_same_cases_also_after_some_were_added() -> None:
    """The draw is by hash, so a run and its baseline share their cases; another seed draws others."""
    pool, sample = a_set({"a": 600, "b": 200}), Sample(n=200, by="topic")
    first = draw(pool, sample, 1).digests
    assert draw(reversed(pool), sample, 1).digests == first
    assert len(first & draw(pool, sample, 2).digests) < 120
    grown = draw([*pool, *a_set({"a": 610})[600:]], sample, 1).digests
    assert len(first & grown) >= 195


@given(
    st.dictionaries(st.sampled_from("abcdefg"), st.integers(1, 60), min_size=1),
    st.integers(1, 300),
    st.integers(0, 70),
    st.integers(0, 5),
)
def test_a_draw_has_the_size_that_was_asked_and_no_stratum_is_overdrawn(
    sizes: dict[str, int], n: int, floor: int, canaries: int
) -> None:
    """Whatever the set; one that cannot hold two cases of each topic and every canary is refused."""
    pool = a_set(sizes, canaries)
    least = canaries + sum(min(2, size) for size in sizes.values())
    if n < least:
        with pytest.raises(ValueError, match=f"take at least {least}"):
            draw(pool, Sample(n=n, by="topic", floor=floor), 0)
        return
    drawn = draw(pool, Sample(n=n, by="topic", floor=floor), 0)
    assert len(drawn.digests) == min(n, len(pool))
    assert all(count >= min(2, total) for total, count in drawn.strata.values())
    assert sum(count for _, count in drawn.strata.values()) == len(drawn.digests)
    assert all(0 <= count <= total for total, count in drawn.strata.values())
    found = Counter(case.cohorts["topic"] for case in pool if case.digest in drawn.digests and case.kind != "canary")
    assert {f"topic={topic}": count for topic, count in found.items()} == {
        label: count for label, (_, count) in drawn.strata.items() if count and label != "kind=canary"
    }
