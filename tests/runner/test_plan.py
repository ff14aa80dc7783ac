"""The keys of finished rows are held in few bytes."""

import hashlib

import pytest

from evalkit.store.row_keys import Key, RowKeys


def keys_of(*keys: Key) -> RowKeys:
    """Return a set of these keys."""
    found = RowKeys()
    for key in keys:
        found.add(key)
    return found


def test_keys_are_a_set() -> None:
    """A key counts once, and its repeats are told apart."""
    keys = keys_of(("a", 0), ("a", 0), ("a", 2), ("b", 1), ("not hexadecimal", 0))
    assert len(keys) == 4 and ("a", 2) in keys and ("a", 1) not in keys and ("c", 0) not in keys
    keys.discard(("a", 0))
    keys.discard(("a", 9))
    assert len(keys) == 3 and ("a", 0) not in keys


@pytest.mark.parametrize(("repeats", "n"), [(0, 0), (1, 2), (2, 3), (3, 4), (9, 4)])
def test_keys_of_the_planned_repeats(repeats: int, n: int) -> None:
    """What the gate had run again beyond the plan is left out."""
    assert keys_of(("a", 0), ("b", 0), ("b", 1), ("b", 2)).n_below(repeats) == n


def test_a_text_that_is_no_key_is_not_in() -> None:
    """Anything can be looked up."""
    assert "a" not in keys_of(("a", 0)) and len(RowKeys()) == 0


def test_digests_that_begin_alike_differ() -> None:
    """No part of a digest is left out."""
    digest = hashlib.sha256().hexdigest()
    assert (digest[:-1] + "x", 0) not in keys_of((digest, 0))
