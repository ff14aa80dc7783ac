"""The page that crosses from an untrusted job to the one that comments."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
import report_samples
from hypothesis import given
from hypothesis import strategies as st

from evalkit.report.markdown import page_of
from evalkit.report.page import COMMENT_BYTES, Code, Page, Section, Table, markdown, marker, read_page, to_json
from evalkit.report.view import View

TEXTS = st.text(max_size=60) | st.sampled_from(
    [
        report_samples.HOSTILE,
        "```\n# x",
        "@team #12",
        "a | b",
        "<img src=x>",
        "::set-output name=a::b",
        "![i](http://e)",
    ]
)
LINES = st.lists(TEXTS | TEXTS.map(Code), min_size=1, max_size=4).map(tuple)


@st.composite
def pages(draw: st.DrawFn) -> Page:
    """Pages of hostile words."""
    width = draw(st.integers(1, 3))
    rows = draw(st.lists(st.lists(LINES, min_size=width, max_size=width).map(tuple), max_size=3))
    section = Section(
        title=draw(TEXTS),
        note=draw(TEXTS),
        folded=draw(st.booleans()),
        table=Table(tuple(("h",) for _ in range(width)), tuple(rows)),
        lines=tuple(draw(st.lists(LINES, max_size=2))),
        bullets=tuple(draw(st.lists(LINES, max_size=2))),
    )
    return Page(suite=draw(TEXTS), outcome="blocked", headline=draw(TEXTS), facts=(draw(TEXTS),), sections=(section,))


def test_a_page_survives_its_json(view: View) -> None:
    """What is read back is what was written, and gives the same Markdown."""
    page = page_of(view)
    assert read_page(to_json(page).encode()) == page
    assert markdown(read_page(to_json(page).encode())) == markdown(page)


@given(page=pages())
def test_no_text_becomes_markup(page: Page) -> None:
    """Whatever the words of a page are, they open no tag, link, image, mention, heading, fence or table cell."""
    again = read_page(to_json(page).encode("ascii"))
    assert again == page
    text = markdown(page)
    assert text.startswith(f"{marker(page.suite)}\n### ❌ evalkit: BLOCKED")
    prose = re.sub(r"\\[^\w\s]|(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    ours = re.sub(r"<!-- evalkit: [\w.]* -->|</?details>|</?summary>|<span>\$</span>", "", prose)
    assert "<" not in ours
    assert not re.search(r"\]\(|[@#]\w|://", ours)
    assert not re.search(r"^\s*(#+ (?!❌ evalkit)|```|~~~|[-+=]+$)", ours, re.MULTILINE)
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


@pytest.mark.parametrize("count", [0, 1, 500])
def test_a_page_of_any_number_of_regressions_fits_and_is_read_back(view: View, count: int) -> None:
    """Five hundred long failures and checks: marker and verdict stay, the comment's limit holds."""
    row = replace(view.failing[0].row, case=replace(view.failing[0].row.case, id="ü" * 300))
    many = replace(
        view, failing=(replace(view.failing[0], row=row),) * count, n_failing=count, gates=view.gates[:1] * count,
        notes=("ü" * 5_000,) * count, provenance=(("ü" * 80, "ü" * 5_000),) * count,
    )  # fmt: skip
    page = read_page(to_json(page_of(many)).encode())
    text = markdown(page, COMMENT_BYTES, foot="Full report: artifact `evalkit-report`")
    assert len(text.encode()) <= COMMENT_BYTES
    assert text.startswith(f"{marker('compliance')}\n### ❌ evalkit: BLOCKED — ")
    assert "Full report" in text
    assert ("hidden to fit" in text) is (count == 500)


GOOD = json.loads(to_json(Page(suite="s", outcome="approved", headline="h")))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, "format 2"),
        ({"outcome": "splendid"}, "no outcome"),
        ({"outcome": ["approved"]}, "expected text"),
        ({"suite": None}, "expected text"),
        ({"news": 1}, "expected true or false"),
        ({"facts": "abc"}, "expected a list"),
        ({"facts": ["x"] * 201}, "at most 200"),
        ({"sections": [{}]}, "expected the keys"),
        ({"more": 1}, "expected the keys"),
    ],
)
def test_a_page_of_another_form_is_refused(change: dict[str, object], said: str) -> None:
    """Unknown keys, types, outcomes and sizes are refused by name."""
    with pytest.raises(ValueError, match=said):
        read_page(json.dumps({**GOOD, **change}).encode())


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"null", b"[" * 100_000, b" " * 1_000_001], ids=repr)
def test_what_is_no_page_is_refused(data: bytes) -> None:
    """Garbage, deep nesting and a megabyte end in one kind of error."""
    with pytest.raises(ValueError, match=r"."):
        read_page(data)


def test_the_page_needs_only_the_standard_library() -> None:
    """A job that comments has nothing installed."""
    import subprocess
    import sys

    program = (
        "import sys; sys.path.insert(0, '.'); import evalkit.report.page\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('rich', 'typer', 'numpy', 'yaml', 'jinja2')])"
    )
    ran = subprocess.run([sys.executable, "-S", "-I", "-c", program], capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == "[]", ran.stderr


def test_a_page_of_any_size_is_read_again(view: View) -> None:
    """Two hundred metrics and the longest texts: what is written is what the job that comments can read."""
    row, metric = view.cohorts[0], view.metrics[0]
    wide = replace(
        view,
        metrics=tuple(replace(metric, name=f"{place}\U0001f3f3" * 30) for place in range(250)),
        cohorts=tuple(replace(row, cells=(row.cells[0],) * 250) for _ in range(40)),
        notes=("\U0001f3f3" * 9_000,) * 300,
        failing=(replace(view.failing[0], failed=view.failing[0].failed[:1] * 250),),
    )
    page = page_of(wide)
    assert "more metrics in the report" in markdown(page)
    assert markdown(read_page(to_json(page).encode())) == markdown(page)
    cut = read_page(to_json(page, 40_000).encode())
    assert len(to_json(page, 40_000)) <= 40_000
    assert cut.headline == page.headline
    assert cut.sections[: len(cut.sections) - 1] == page.sections[: len(cut.sections) - 1]
    assert "hidden to fit the size limit" in markdown(cut)
