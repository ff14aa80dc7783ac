"""Whatever bytes a file holds, it is read or refused with a problem."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalkit.errors import InputError
from evalkit.golden.read import open_golden
from evalkit.golden.rows import header_of
from evalkit.golden.source import GoldenSource, Reading

READING = Reading(cohorts=("topic",))
NAMES = [
    "cases.csv",
    "cases.tsv",
    "cases.jsonl",
    "cases.json",
    "cases.yaml",
    "cases.xlsx",
    "cases.parquet",
    "cases.arrow",
]
PARTS = [
    "id",
    "input",
    "answer",
    "topic",
    "a",
    "q",
    ",",
    ";",
    "\t",
    "|",
    '"',
    "'",
    "\n",
    "\r",
    "\r\n",
    " ",
    "[",
    "]",
    "{",
    "}",
]
PARTS += [
    ":",
    "- ",
    "sep=",
    "\0",
    "\ufeff",
    "é",
    "cohorts.",
    "&",
    "*",
    "#",
    "NaN",
    "yes",
    '"id"',
    '{"id": "a", "input": "q"}',
]


def read(file: Path, name: str) -> None:
    """Open the set, and its header alone."""
    for opened in (open_golden, header_of):
        with contextlib.suppress(InputError):
            if opened is open_golden:
                assert open_golden(GoldenSource(path=name, make_ids=True), file, name, reading=READING).n_cases
            else:
                header_of(GoldenSource(path=name), file, name)


@pytest.mark.parametrize("name", NAMES)
@settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
@given(
    data=st.binary(max_size=120)
    | st.lists(st.sampled_from(PARTS), max_size=40).map(lambda parts: "".join(parts).encode())
)
def test_any_bytes_are_read_or_named(tmp_path: Path, name: str, data: bytes) -> None:
    """No other exception, in any format; UTF-16 too."""
    file = tmp_path / name
    for content in (data, b"\xff\xfe" + data, data.decode("utf-8", "replace").encode("utf-16")):
        file.write_bytes(content)
        read(file, name)
