"""Paths of values in JSON: written, shown, followed, set."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.formats.json_paths import MISSING, leaves, path_pattern, set_at, shown_path, single_path, value_at
from evalkit.scorers.agents.policy_file import BeforeRule
from evalkit.scorers.agents.tool_calls import ToolCalls

KEYS = st.text(min_size=1, max_size=6).filter(lambda key: not ('"' in key and "'" in key))


@given(st.lists(KEYS, min_size=1, max_size=4))
def test_a_shown_path_is_read_as_itself(keys: list[str]) -> None:
    """Whatever its keys hold, a dollar sign at the beginning too."""
    assert path_pattern("p", shown_path(tuple(keys))) == tuple(keys)


@pytest.mark.parametrize(
    ("text", "parts"),
    [("$", ()), ("$.a", ("a",)), ("$version", ("$version",)), ("$[0]", ("0",)), ('orders["A.17"]', ("orders", "A.17"))],
)
def test_the_root(text: str, parts: tuple[str, ...]) -> None:
    """A lone dollar is the whole; a key may begin with one."""
    assert path_pattern("p", text) == parts


@pytest.mark.parametrize("text", ["", "$", "items[*].price", "*"])
def test_the_path_of_one_value(text: str) -> None:
    """A pattern of several would compare nothing with nothing."""
    with pytest.raises(ValueError, match="is not the path of one value"):
        single_path("p", text)
    with pytest.raises(ValueError, match="is not the path of one value"):
        ToolCalls(arguments_of={"refund": (text, "id")})
    with pytest.raises(ValueError, match="is not the path of one value"):
        BeforeRule(of=("refund",), needs=("get",), same=(text,))


def test_values_are_found_and_set() -> None:
    """A last key may be new; what holds it must be there."""
    state = {"a": [{"b": 1}], "c": {}}
    assert value_at(state, ("a", "0", "b")) == 1
    assert value_at(state, ("a", "1")) is MISSING
    assert set_at(state, ("c", "new"), 2)
    assert set_at(state, ("a", "0", "b"), 3)
    assert not set_at(state, ("x", "y"), 4)
    assert not set_at(state, ("a", "5"), 4)
    assert state == {"a": [{"b": 3}], "c": {"new": 2}}
    assert dict(leaves(state)) == {("a", 0, "b"): 3, ("c", "new"): 2}
