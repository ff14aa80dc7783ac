"""The summary for a job page or a comment."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import report_samples

from evalkit.report.markdown import summary_markdown
from evalkit.report.page import COMMENT_BYTES, STEP_SUMMARY_BYTES, marker
from evalkit.report.view import View


def test_the_summary_is_as_stored(view: View, same_as_golden: Callable[[str, str], None]) -> None:
    """The same run gives the same summary, byte for byte."""
    same_as_golden("summary.md", summary_markdown(view))


def test_the_order_answers_in_ten_seconds(view: View) -> None:
    """What happened, why, what next come in this order, and everything else is folded below."""
    text = summary_markdown(view)
    marks = [
        "BLOCKED",
        "**Why**",
        "| Check |",
        "**Worst new failures**",
        "**Next**",
        "<details>",
        "Judge trust",
        "Latency",
    ]
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)


@pytest.mark.parametrize("limit_bytes", [1, 900, 2_000, 4_000, 8_000, COMMENT_BYTES, STEP_SUMMARY_BYTES])
def test_marker_and_verdict_survive_every_cut(view: View, limit_bytes: int) -> None:
    """Sections go from the bottom, whole and counted; marker and verdict never go."""
    whole, text = summary_markdown(view), summary_markdown(view, limit_bytes)
    assert text.startswith(f"{marker('compliance')}\n### ❌ evalkit: BLOCKED — pass rate in domain=aml fell 90% → 50%")
    if limit_bytes > 900:
        assert len(text.encode()) <= limit_bytes
    if text != whole:
        kept, _, hidden = text.rpartition("\n\n_")
        assert whole.startswith(kept or text.rstrip())
        assert not kept or re.match(r"\d+ sections? hidden", hidden)


@pytest.mark.parametrize("count", [0, 1, 500])
def test_any_number_of_regressions_fits(view: View, count: int) -> None:
    """No, one and five hundred long failures stay within a comment, and the rest is counted."""
    row = replace(view.failing[0].row, case=replace(view.failing[0].row.case, id="x" * 300, input="y" * 9000))
    text = summary_markdown(
        replace(view, failing=(replace(view.failing[0], row=row, before=None),) * count, n_failing=count), COMMENT_BYTES
    )
    assert len(text.encode()) <= COMMENT_BYTES
    assert ("Worst new failures" in text) is bool(count)
    assert text.count("`keywords` 0.25") == min(count, 10)


def test_hostile_text_stays_text(view: View) -> None:
    """No data opens a tag, a link, an image, a mention or a table cell."""
    text = summary_markdown(view)
    assert report_samples.HOSTILE not in text
    prose = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    ours = re.sub(r"<!-- evalkit: [\w.-]+ -->|</?details>|</?summary>", "", prose)
    assert "<" not in ours
    assert "](" not in ours.replace("\\](", "")
    assert not re.search(r"[@#]\w|://", ours)
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_the_marker_holds_only_plain_characters() -> None:
    """A suite's name cannot end the comment that marks it."""
    assert re.fullmatch(r"<!-- evalkit: a_b_c\.[0-9a-f]{8} -->", marker("a --> <b> @c"))
    assert marker("compliance") == "<!-- evalkit: compliance -->"
    assert marker("支援") != marker("審査")


def test_a_partial_run_is_called_one(view: View) -> None:
    """A partial run says why below the verdict."""
    assert "**Partial run, not a gate:** --limit 5" in summary_markdown(replace(view, partial="--limit 5"))
    told = summary_markdown(replace(view, partial="--limit 5", headline="partial run, not a gate: --limit 5"))
    assert told.count("--limit 5") == told.count("artial run, not a gate") == 1


def test_a_reason_that_names_its_check_stands_alone(view: View) -> None:
    """Metric and cohort are said once a line."""
    check = replace(view.pressing[0].check, metric="keywords", cohort="domain=aml", reason="domain=aml: keywords fell")
    bare = replace(check, reason="the judge is not trusted")
    lines = [replace(view.pressing[0], subject="keywords in domain=aml", check=each) for each in (check, bare)]
    text = summary_markdown(replace(view, gates=tuple(lines)))
    assert "\n- domain=aml: keywords fell\n" in text
    assert "\n- `keywords in domain=aml`: the judge is not trusted\n" in text
