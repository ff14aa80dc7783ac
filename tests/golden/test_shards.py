"""Shards divide a golden set without a rest, and keep what belongs together in one of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.golden.shards import BUCKETS, Shard, bucket_of, number_of, read_shard, shard_of_run
from evalkit.types import Case

IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(case_id=IDS, cluster=st.none() | IDS)
def test_a_case_is_in_exactly_one_shard_of_any_number(case_id: str, cluster: str | None) -> None:
    """For 1 to 16 shards, and as many as there are buckets."""
    case = Case(id=case_id, input="", cluster=cluster)
    for of in (*range(1, 17), BUCKETS):
        assert [n for n in range(1, of + 1) if Shard(n, of).holds(case)] == [number_of(case, of)]


@given(first=IDS, second=IDS, cluster=IDS)
def test_cases_of_a_cluster_share_a_bucket(first: str, second: str, cluster: str) -> None:
    """Whatever their ids are; and a cluster of a name is where the case of that id is."""
    found = {bucket_of(Case(id=each, input="", cluster=cluster)) for each in (first, second)}
    assert found == {bucket_of(Case(id=cluster, input=""))}


def test_a_shard_is_a_contiguous_range_of_buckets_of_its_share() -> None:
    """A higher bucket is never in a lower shard, and 20,000 cases spread evenly over 8 shards."""
    cases = [Case(id=f"case-{n}", input="") for n in range(20_000)]
    assert {bucket_of(case) for case in cases} <= set(range(BUCKETS))
    by_bucket = sorted({(bucket_of(case), number_of(case, 8)) for case in cases})
    assert [number for _, number in by_bucket] == sorted(number for _, number in by_bucket)
    counts = [sum(number_of(case, 8) == n for case in cases) for n in range(1, 9)]
    assert all(2_300 < count < 2_700 for count in counts)


def test_the_buckets_stay_what_they_are() -> None:
    """Shards of two versions of evalkit would not fit together otherwise."""
    assert [bucket_of(Case(id=name, input="")) for name in ("a", "q1", "ü")] == [819, 1034, 1335]


@pytest.mark.parametrize(
    "text", ["", "2", "0/4", "5/4", "1/0", "-1/4", "1/4097", "1/4 ", "a/b", "1/2/3", "٢/8", "1.5/4"]
)
def test_what_is_no_shard_is_refused_with_a_fix(text: str) -> None:
    """What it is, and how to write one."""
    with pytest.raises(ValueError, match=r"; (write|choose|number)"):
        read_shard(text)


def test_a_shard_is_read_back_from_what_its_run_is_partial_by() -> None:
    """Other choices of cases are not taken for one."""
    assert shard_of_run(Shard(2, 8).flag) == Shard(2, 8) == read_shard("2/8")
    for partial in (None, "--limit 2", "--case --shard 2/8", "--shard 2/8 --limit 3", "--shard 9/8"):
        assert shard_of_run(partial) is None
