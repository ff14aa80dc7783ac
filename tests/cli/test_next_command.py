"""Commands of the next steps on a terminal; which ones there are is tested in `tests/report/test_reviewer.py`."""

import shlex

import pytest

from evalkit.report.console import _wrapped

WORDS = ["evalkit", "diff", "reports/first", "reports/a run", "--case", "golden-aml-040"]


@pytest.mark.parametrize("width", [60, 200])
def test_a_long_command_is_broken_where_a_shell_goes_on(width: int) -> None:
    """A narrow terminal gets a part a line; a shell reads the same words at every width."""
    text = _wrapped(shlex.join(WORDS), width)
    assert shlex.split(text.replace("\\\n", " ")) == WORDS
    assert ("\\\n" in text) is (width == 60)
    assert max(map(len, text.splitlines())) <= width
