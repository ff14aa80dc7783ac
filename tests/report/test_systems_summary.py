"""The comment and the terminal's table of a comparison of several systems."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
import system_samples as samples
from markdown_it import MarkdownIt
from payloads import PAYLOADS
from rich.console import Console

from evalkit.aggregate.system_comparison import SystemComparison
from evalkit.report.systems.console import print_systems
from evalkit.report.systems.markdown import systems_markdown, systems_page
from evalkit.report.systems.view import SystemsView, build_systems_view
from evalkit.report.systems.write import write_comparison
from evalkit.results import Estimate, Outcome

DOLLAR = ("<span>", "</span>")
"""Around a dollar sign, so that it begins no formula."""
SIZES = [2, 3, 12, 13, 64]


def view_of(compared: SystemComparison, sentence: str = samples.SENTENCE) -> SystemsView:
    """A view without run folders."""
    return build_systems_view(compared, sentence, (), folder="reports/last", suite="suite.yaml")


def seen_words(text: str) -> int:
    """Words that a reader of rendered Markdown sees; a command counts too."""
    html = MarkdownIt("commonmark").enable("table").render(text)
    bare = re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<!--.*?-->", " ", html))
    return sum(any(map(str.isalnum, word)) for word in bare.split())


@pytest.mark.parametrize("k", SIZES)
def test_a_comment_is_short(k: int) -> None:
    """At most 250 words and 12 systems; how many are left out is said."""
    text = systems_markdown(view_of(samples.comparison(k)))
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert seen_words(text) <= 250
    assert len(rows) <= 12
    assert len(rows) == k or f"and {k - len(rows)} more in report.html" in text


def test_long_texts_do_not_make_it_long() -> None:
    """A sentence and names of many words are cut, and the table stays."""
    compared = samples.comparison(12)
    systems = tuple(replace(each, name=f"{each.name} {'word ' * 40}") for each in compared.systems)
    text = systems_markdown(view_of(replace(compared, systems=systems, reference=systems[0].name), "word " * 300))
    assert seen_words(text) <= 250
    assert text.count("\n| `") >= 3


def test_the_comment_holds_what_decides() -> None:
    """Sentence, gate, figures with intervals, unknown costs and the next step."""
    text = systems_markdown(view_of(samples.comparison(12)))
    for said in (
        "| Rank | Cost | Decision |",
        "### ✅ evalkit: APPROVED — gpt-5-mini/short approved",
        samples.SENTENCE,
        "| `gpt-5-mini/short` | 88.0% [85.0, 91.0] | +4.0 pts [0.5, 7.5] | 1 to 3 | $0.00060 | approved |",
        "| `gpt-5/steps` | 86.1% [83.1, 89.1] | +2.1 pts [−1.4, 5.6] | 4 to 7 | unknown | – |",
        "- add cases, about 1,900 in all, to tell the first two systems apart",
    ):
        assert said in text, said


def test_the_reference_and_the_release_systems_are_always_shown() -> None:
    """A short table leaves out others, even better ones."""
    compared = samples.comparison(64)
    last = compared.systems[-1]
    worst = replace(last, primary=samples.estimate(0.1, 0.02), difference=samples.estimate(-0.74, 0.03))
    compared = replace(compared, systems=(*compared.systems[:-1], worst), release=(last.name,))
    text = systems_markdown(view_of(compared))
    assert "| `today` |" in text
    assert f"| `{last.name}` |" in text


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_text_becomes_markup(payload: str) -> None:
    """Names, sentence, notes and case ids of any content give no HTML, link or image, and no row of their own."""
    compared = samples.comparison(3)
    systems = tuple(replace(each, name=f"{payload}{place}") for place, each in enumerate(compared.systems))
    names = tuple(each.name for each in systems)
    hostile = replace(
        compared, systems=systems, suite=payload, reference=names[0], release=names[1:2], disagreements=(payload,)
    )
    text = systems_markdown(view_of(hostile, payload))
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    inner = [each for token in tokens for each in (token.children or ()) if each.content not in DOLLAR]
    kinds = {token.type for token in [*tokens, *inner]}
    assert not kinds & {"html_inline", "link_open", "image"}
    assert [token.content for token in tokens if token.type == "html_block"] in ([], [text.splitlines()[0] + "\n"])
    assert sum(token.type == "tr_open" for token in tokens) == 1 + 3


def printed(compared: SystemComparison, sentence: str = samples.SENTENCE) -> list[str]:
    """What a terminal of 80 columns shows."""
    console = Console(width=80, record=True, file=io.StringIO())
    print_systems(view_of(compared, sentence), console)
    return console.export_text().splitlines()


@pytest.mark.parametrize("k", SIZES)
def test_the_terminal_shows_12_systems_in_80_columns(k: int) -> None:
    """No line of the table is wider than the terminal, and what is left out is counted."""
    lines = printed(samples.comparison(k))
    table = [line for line in lines if re.search(r"\d+\.\d% ", line)]
    assert len(table) == min(12, k)
    assert all(len(line) <= 80 for line in lines if "evalkit " not in line)
    assert any("and 52 more, in report.html" in line for line in lines) == (k == 64)
    assert any("unknown" in line for line in table) == (k in (12, 13))


def test_a_name_of_any_length_fits() -> None:
    """A long name is folded; figures stay on one line and whole."""
    compared = samples.comparison(3)
    systems = (compared.systems[0], replace(compared.systems[1], name="x" * 200), compared.systems[2])
    lines = printed(replace(compared, systems=systems, release=()))
    assert any("+4.0 [0.5, 7.5]" in line and "1 to 3" in line for line in lines)
    assert all(len(line) <= 80 for line in lines if "evalkit " not in line and "--case" not in line)


def test_hostile_names_print_as_text() -> None:
    """Markup of rich and control characters are shown, not obeyed."""
    compared = samples.comparison(2)
    name = "[red]x[/red]\x1b[31m\u202eabc"
    systems = (compared.systems[0], replace(compared.systems[1], name=name))
    text = "\n".join(printed(replace(compared, systems=systems, release=(name,)), name))
    assert "[red]x[/red]<U+001B>[31m<U+202E>abc" in text
    assert "\x1b" not in text


def test_the_comment_is_written_beside_the_page(tmp_path: Path) -> None:
    """`summary.md` holds what `systems_markdown` gives for the same view."""
    compared = samples.comparison(2, n=3)
    samples.write_runs(tmp_path, compared)
    view = write_comparison(tmp_path, compared, samples.SENTENCE)
    assert (tmp_path / "summary.md").read_text(encoding="utf-8") == systems_markdown(view)


def test_an_undefined_figure_is_one_word_in_the_terminal() -> None:
    """Its reason is on the page; the table keeps its width."""
    compared = samples.comparison(2)
    nothing = Estimate(value=None, reason="no case of this system was scored by any scorer")
    broken = replace(compared.systems[1], primary=nothing, difference=nothing, rank=None, cost_usd_per_case=None)
    lines = printed(replace(compared, systems=(compared.systems[0], broken)))
    row = next(line for line in lines if line.lstrip().startswith("gpt-5-mini/short ") and "none" in line)
    assert row.split()[:5] == ["gpt-5-mini/short", "none", "none", "none", "unknown"]


def gated(*outcomes: Outcome) -> SystemComparison:
    """Three systems, of which the last ones are released with these outcomes."""
    compared = samples.comparison(3)
    first = len(compared.systems) - len(outcomes)
    released = tuple(
        replace(each, outcome=outcome) for each, outcome in zip(compared.systems[first:], outcomes, strict=True)
    )
    systems = (*(replace(each, outcome=None) for each in compared.systems[:first]), *released)
    return replace(compared, systems=systems, release=tuple(each.name for each in released))


@pytest.mark.parametrize(
    ("outcomes", "headline"),
    [
        (("blocked",), "gpt-5-mini/steps blocked"),
        (("approved", "blocked"), "gpt-5-mini/steps blocked (one of 2 release systems)"),
        (("blocked", "blocked"), "gpt-5-mini/short blocked (2 of 2 release systems)"),
        (("no decision", "approved"), "gpt-5-mini/short no decision (one of 2 release systems)"),
    ],
)
def test_the_gates_lead(outcomes: tuple[Outcome, ...], headline: str) -> None:
    """A decision is explained by the system that it is about; what the comparison shows comes second."""
    compared = gated(*outcomes)
    lines = printed(compared)
    assert lines[0].split("  ")[1] == headline
    assert lines[1] == samples.SENTENCE
    page = systems_page(view_of(compared))
    assert page.headline == headline
    assert page.sections[0].lines == ((samples.SENTENCE,),)


def test_a_run_that_cannot_be_compared_says_why() -> None:
    """Without release systems, too few answers leave the run without a decision."""
    compared = replace(gated(), release=())
    view = build_systems_view(compared, samples.SENTENCE, (), reasons=("new answered 0 of 12 calls", "partial run"))
    console = Console(width=80, record=True, file=io.StringIO())
    print_systems(view, console)
    lines = console.export_text().splitlines()
    assert lines[:2] == ["NO DECISION  new answered 0 of 12 calls; partial run", samples.SENTENCE]
    assert "⚪ evalkit: NO DECISION — new answered 0 of 12 calls; partial run" in systems_markdown(view)


def test_a_name_breaks_at_its_marks() -> None:
    """Not inside a word, in a terminal of 80 columns; the unit of the differences is in the head."""
    compared = samples.comparison(3)
    name = "gpt-5-mini/with-a-long-name/and-steps"
    systems = (compared.systems[0], replace(compared.systems[1], name=name), compared.systems[2])
    lines = printed(replace(compared, systems=systems, release=(name,)))
    words = [line.split()[0] for line in lines if line.startswith(" ") and line.split()]
    start = next(place for place, word in enumerate(words) if word.startswith("gpt-5-mini/"))
    assert words[start].endswith(("/", "-"))
    assert "".join(words[start : start + 3]).startswith(name)
    assert any("difference, pts" in line for line in lines)
    assert "higher is better" not in "".join(lines)


def test_a_release_system_is_better_too() -> None:
    """Its decision does not hide what the comparison found."""
    compared = samples.comparison(3)
    row = next(place for place, line in enumerate(printed(compared)) if "approved" in line and "88.0%" in line)
    assert "▲ better" in printed(compared)[row + 1]
