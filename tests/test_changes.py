"""What changed between two texts is shown word by word."""

from hypothesis import given
from hypothesis import strategies as st

from evalkit.text.changes import changes


def test_a_change_is_marked_in_its_surroundings() -> None:
    """Each on one line; a line break and a control character are in sight."""
    assert [*changes("Hi,\nmail a@b.de and 1 x now", "Hi,\nmail [EMAIL_1] and 2 x\x1b now")] == [
        "Hi,<U+000A>mail {-a@b.de-}{+[EMAIL_1]+} and 1 x now",
        "Hi,<U+000A>mail a@b.de and {-1-}{+2+} x now",
        "Hi,<U+000A>mail a@b.de and 1 x{+<U+001B>+} now",
    ]
    assert not [*changes("same", "same")]


@given(st.text(max_size=30), st.text(max_size=30))
def test_texts_that_differ_show_a_change_on_one_line_each(before: str, after: str) -> None:
    """And equal ones none."""
    found = [*changes(before, after)]
    assert bool(found) == (before != after)
    assert not any("\n" in line for line in found)
