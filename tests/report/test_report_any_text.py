"""Any text in every field of a run: each report, read by a parser of its format, is what it is with harmless text."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hostile_run import HARMLESS, a_manifest, a_run, a_summary, a_view, in_order, write
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from test_report_html import blocks

from evalkit.report.failure_analysis import failure_analysis_markdown
from evalkit.report.junit import write_junit
from evalkit.report.markdown import page_of, summary_markdown
from evalkit.report.page import markdown, read_page, to_json
from evalkit.report.records import release_decision_markdown
from evalkit.text.printable import code, plain

MARKS = (
    "<!--", "-->", "<!", "<![CDATA[", "]]>", "</script>", "<script>", "<b>", "<img src=x onerror=alert(1)>",
    "</title>", "<?", "&", "&lt;", "&#60;", "&#x3c;", "{{", "}}", "{%", "'", '"', "=", "`", "``", "```", "~~~",
    "\\", "|", "||", "* ", "- ", "+ ", "1. ", "# ", "> ", "---", "===", "**", "__", "_", "~~", "[", "]", "(", ")",
    "](", "![", "]: ", "[x]: ", "<https://evil.test>", "<a@b.c>", "https://evil.test", "://", "www.evil.test",
    "@team", "@", "#1", "GH-1", "::", "::set-output ", "##[group]", "\n", "\n\n", "\r", "\t", "    ", "\x0b",
    "\x1b[31m", "\x00", "\x85", "\u2028", "\u202e", "\u2066", "\ufeff", "\ud800", "\ufffe", "\U000e0041", "w", " ",
    "é",
)  # fmt: skip
ANY = st.lists(st.sampled_from(MARKS) | st.characters(codec=None), max_size=12).map("".join)
FEW = settings(
    max_examples=40,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to make a text smaller takes minutes here
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
OUR_HTML = re.compile(r"</?(details|summary|sub|br)( open)?>|<!-- evalkit: [A-Za-z0-9._]+ -->\n?")
LIVE = re.compile(r"(?<![\w\\])@\w|(?<![\w&])#\d|://|(?i:\bwww\.|\bGH-\d)")
"""What a code host makes of prose by itself: mentions, references, addresses."""
UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
FIXED = ("href", "src", "action", "content", "type")
"""Attributes that no text may change, save for names inside the address of a view."""
ADDRESS = re.compile(r"(?<=#/case/)[\w.~%-]+|(?<==)[\w.~%/-]+", re.ASCII)
COMMONMARK = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def shown(payload: str) -> str:
    """The text in a form that is never empty, so that no report leaves a line out for want of words."""
    return f"w{payload}w"


def _address(value: str) -> str:
    return ADDRESS.sub("TEXT", value) if value.startswith("#") else value


HELD = re.compile(r'<span class="nb">(--[a-z][a-z-]*)</span>')
"""A word of a command that looks like an option, which a text may hold too."""


class Skeleton(HTMLParser):
    """Every element with the names of its attributes and its addresses, and what stands in raw elements."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[str] = []
        self.raw: list[str] = []
        self.comments: list[str] = []
        self._in_raw = False
        self.feed(HELD.sub(r"\1", text))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember an element."""
        if tag != "wbr":
            fixed = [_address(str(value)) for name, value in attrs if name in FIXED]
            self.elements.append(f"{tag}{sorted(name for name, _ in attrs)}{fixed}")
        self._in_raw = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        """Leave it."""
        if tag != "wbr":
            self.elements.append(f"/{tag}")
        self._in_raw = False

    def handle_data(self, data: str) -> None:
        """Remember what is run or drawn."""
        if self._in_raw:
            self.raw.append(data)

    def handle_comment(self, data: str) -> None:
        """Remember what is hidden."""
        self.comments.append(data)


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> Skeleton:
    """The report of a run with harmless text."""
    file = write(tmp_path_factory.mktemp("harmless") / "report.html", shown(HARMLESS))
    return Skeleton(file.read_text(encoding="utf-8"))


def static(page: Skeleton) -> list[str]:
    """The elements and our own code, without the data."""
    return [*page.elements, *(text for text in page.raw if not re.fullmatch(r"[A-Za-z0-9+/=\s]*", text))]


@FEW
@example(payload="\ud800")
@given(payload=ANY)
def test_the_html_is_the_same_page_whatever_the_text(tmp_path: Path, harmless: Skeleton, payload: str) -> None:
    """The same elements, attributes, addresses, scripts and styles; the data are base64 that opens as JSON."""
    file = write(tmp_path / "any.html", shown(payload))
    found = Skeleton(file.read_text(encoding="utf-8"))
    assert static(found) == static(harmless)
    assert found.comments == harmless.comments
    data = [text for text in found.raw if re.fullmatch(r"[A-Za-z0-9+/=\s]+", text)]
    assert len(data) == len(found.raw) - 3  # two scripts and the style are our own
    assert len(blocks(file)) == len(data)


@pytest.fixture(scope="module", autouse=True)
def room_for_any_text() -> Iterator[None]:
    """How many lines a comment has depends on how many words they have: not what is asked here."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MOST_WORDS", "_COMMAND_WORDS"):
            patch.setattr(f"evalkit.report.markdown.{name}", 1_000_000)
        yield


def comment(payload: str) -> str:
    """As it is posted: from `comment.json`, read again."""
    return markdown(read_page(to_json(page_of(a_view(payload))).encode("utf-8", "backslashreplace")))


DOCUMENTS: dict[str, Callable[[str], str]] = {
    "summary.md": lambda payload: summary_markdown(a_view(payload)),
    "the comment": comment,
    "release_decision.md": lambda payload: release_decision_markdown(a_view(payload), a_manifest(payload)),
    "failure_analysis.md": lambda payload: failure_analysis_markdown(a_view(payload)),
}


def skeleton(text: str) -> list[str]:
    """The blocks of a Markdown document with what stands in each but words; our own HTML is named, save for dollars."""
    return [part for token in COMMONMARK.parse(text.replace("<span>$</span>", "$")) for part in parts(token)]


def parts(token: Token) -> Iterator[str]:
    """A token, and those inside it."""
    if token.type in ("html_block", "html_inline"):
        yield f"html {sorted(OUR_HTML.sub(lambda found: found[0].split()[0], token.content).split()[:1])}"
        assert not OUR_HTML.sub("", token.content).lstrip().startswith("<"), token.content
    elif token.type == "inline":
        yield from (part for child in token.children or () for part in parts(child))
    elif token.type == "text":
        assert not LIVE.search(token.content), token.content
    else:
        yield f"{token.type} {token.tag} {sorted(token.attrs)}"


@pytest.mark.parametrize("name", DOCUMENTS)
@FEW
@given(payload=ANY)
def test_markdown_is_the_same_document_whatever_the_text(name: str, payload: str) -> None:
    """The same headings, tables, lists, code spans and tags; no link, image, mention or command in between."""
    text = DOCUMENTS[name](shown(payload))
    assert skeleton(text) == skeleton(DOCUMENTS[name](shown(HARMLESS)))
    for line in text.splitlines():
        assert not line.lstrip().startswith(("::", "##[")), line
        assert not UNSEEN.search(line), line


@FEW
@given(payload=ANY)
def test_junit_is_the_same_document_whatever_the_text(tmp_path: Path, payload: str) -> None:
    """The same elements and attributes."""

    def read(text: str) -> list[str]:
        write_junit(tmp_path / "junit.xml", lambda: in_order(a_run(text)), a_summary(text))
        root = ElementTree.parse(tmp_path / "junit.xml").getroot()  # noqa: S314 - our own output
        return [f"{each.tag} {sorted(each.attrib)} {len(each)}" for each in root.iter()]

    assert read(shown(payload)) == read(shown(HARMLESS))


@given(ANY)
def test_escaped_prose_is_one_text_to_a_parser(payload: str) -> None:
    """At the beginning of a line, of a bullet and of a quotation, prose is words and nothing else."""
    said = plain(payload).replace("<span>$</span>", "$")
    for before, outer in (("", 0), ("- ", 1), ("> ", 1), ("1. ", 1)):
        tokens = COMMONMARK.parse(f"{before}{said}\n")
        blocks = [token.type for token in tokens if token.nesting == 1]
        assert len(blocks) <= 2 + outer, (before, said, blocks)
        inside = [child.type for token in tokens for child in token.children or ()]
        assert set(inside) <= {"text"}, (before, said, inside)
        assert not any(LIVE.search(child.content) for token in tokens for child in token.children or ()), said


@given(ANY)
def test_a_code_span_is_one_span_to_a_parser(payload: str) -> None:
    """Nothing before, nothing after, in prose and in a cell."""
    tokens = COMMONMARK.parse(
        f"a {code(shown(payload))} b\n\n| x | y |\n| - | - |\n| {code(payload, in_table=True)} | z |\n"
    )
    inline = [[child.type for child in token.children or ()] for token in tokens if token.type == "inline"]
    cell = ["code_inline"] if plain(payload) else ["text"]
    assert inline == [["text", "code_inline", "text"], ["text"], ["text"], cell, ["text"]]
