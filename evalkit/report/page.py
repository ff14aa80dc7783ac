"""Render the summary for a job page and a comment.

The JSON goes from the job that ran a pull request's code to the job that may write a comment. It contains no markup,
and all text is escaped when it is rendered, so a hostile file can only produce text.

Standard library only, so a job that comments needs only this checkout.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from evalkit.text.printable import code, plain

FORMAT = 1
COMMENT_BYTES = 60_000
"""Fits a pull request comment, which is limited to 65,536 characters."""
STEP_SUMMARY_BYTES = 900_000
"""Fits a job summary, which is lost entirely beyond 1 MiB."""
PAGE_BYTES = 1_000_000
"""A larger page file is not read."""
ICONS = {"approved": "✅", "approved with conditions": "🟡", "blocked": "❌", "no decision": "⚪", "compared": "📊"}
"""Outcome -> its picture; systems of which none is released are only compared."""
COMPARED_WORDS = {
    "approved": "NO DROP FOUND",
    "approved with conditions": "NO DROP FOUND, WITH CONDITIONS",
    "blocked": "DROPPED",
    "no decision": "NO DECISION",
}
"""Words for results that were read from files: nothing is approved where only a drop is looked for."""
NEXT = "Next"
"""Title of the section with commands to copy."""
_MOST = 200
_CODE_CHARS = 200
_CLINGS = (",", ":", ";", ")")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Code:
    """A word of data, such as an id or an answer, shown as code."""

    text: str


Line = tuple[str | Code, ...]
"""Parts of a text, prose and code in turn."""


@dataclass(frozen=True, slots=True)
class Table:
    """A head, and rows with as many cells."""

    head: tuple[Line, ...]
    rows: tuple[tuple[Line, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A title with an optional table, lines and bullets."""

    title: str = ""
    note: str = ""
    """Shown beside the title."""
    folded: bool = False
    table: Table | None = None
    lines: tuple[Line, ...] = ()
    bullets: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Sections about a run, the most important first."""

    suite: str
    outcome: str
    headline: str
    facts: tuple[str, ...] = ()
    partial: str | None = None
    head: str = ""
    """Hash over the run's rows and decision."""
    sections: tuple[Section, ...] = ()
    news: bool = True
    """False if there is nothing to report: approved, and no case changed sides."""
    compares: bool = False
    """Whether results of files were compared, of which nothing but a drop was looked for."""

    @property
    def word(self) -> str:
        """The outcome in capitals."""
        return COMPARED_WORDS[self.outcome] if self.compares else self.outcome.upper()


def markdown(page: Page, limit_bytes: int = STEP_SUMMARY_BYTES, *, foot: str = "") -> str:
    """Render a page in at most `limit_bytes` bytes of UTF-8.

    Whole sections are dropped from the bottom and counted; the marker and the verdict stay even if they alone are
    longer than the limit.

    Args:
        page: page to render.
        limit_bytes: size limit of the place where the page is shown.
        foot: a last line in trusted Markdown, such as a link to the report; it is never dropped.
    """
    sections = [_section(section) for section in page.sections]
    for kept in range(len(sections), -1, -1):
        hidden = len(sections) - kept
        parts = [_head(page), *sections[:kept]]
        if hidden:
            parts.append(f"_{_hidden(hidden)}_")
        text = "\n\n".join([*parts, *([_seal(page)] if page.head else []), *([foot] if foot else [])]) + "\n"
        if len(text.encode("utf-8", "replace")) <= limit_bytes:
            return text
    return _head(page) + "\n"


def marker(suite: str) -> str:
    """Return the hidden line that identifies the comment later."""
    name = re.sub(r"[^A-Za-z0-9._]+", "_", suite)[:80]
    # Names that become equal as plain text still have separate comments.
    told_apart = "" if name == suite else "." + hashlib.sha256(suite.encode("utf-8", "replace")).hexdigest()[:8]
    return f"<!-- evalkit: {name}{told_apart} -->"


def _head(page: Page) -> str:
    """Return marker, verdict and facts; the line for `evalkit verify` is folded at the end of the page."""
    told = not page.partial or page.partial in page.headline
    partial = "" if told else f"\n\n**Partial run, not a gate:** {plain(page.partial or '')}"
    facts = "".join(f" · {plain(fact, 120)}" for fact in page.facts)
    title = f"### {ICONS[page.outcome]} evalkit: {page.word} — {plain(page.headline)}"
    return f"{marker(page.suite)}\n{title}\n\n{plain(page.suite, 80)}{facts}{partial}"


def _seal(page: Page) -> str:
    """Return the arguments of `evalkit verify --head`."""
    return f"<details><summary>Verify</summary>\n\nhead {code(page.head)}\n\n</details>"


def _section(section: Section) -> str:
    note = f" {plain(section.note)}" if section.note else ""
    title = [f"**{plain(section.title, 80)}**{note}"] if section.title and not section.folded else []
    table = [_table(section.table)] if section.table else []
    bullets = ["\n".join(f"- {line_markdown(line)}" for line in section.bullets)] if section.bullets else []
    body = "\n\n".join([*title, *table, *bullets, *map(line_markdown, section.lines)])
    return (
        f"<details><summary>{plain(section.title, 80)}{note}</summary>\n\n{body}\n\n</details>"
        if section.folded
        else body
    )


def _table(table: Table) -> str:
    rows = [" | ".join(line_markdown(cell, in_table=True) for cell in row) for row in (table.head, *table.rows)]
    head, *body = (f"| {row} |" for row in rows)
    return "\n".join([head, f"|{' --- |' * len(table.head)}", *body])


def line_markdown(line: Line, *, in_table: bool = False) -> str:
    """Render a line: prose escaped, code in spans that its content cannot close."""
    text = ""
    for span in line:
        said = code(span.text, _CODE_CHARS, in_table=in_table) if isinstance(span, Code) else plain(span)
        gap = "" if not text or said.startswith(_CLINGS) else " "
        text += gap + said
    return text


def to_json(page: Page, limit_bytes: int = PAGE_BYTES) -> str:
    """Encode a page as JSON for `read_page`; sections beyond the limit are dropped from the bottom and counted."""
    for kept in range(len(page.sections), 0, -1):
        text = _json(page, kept)
        if len(text) <= limit_bytes:
            return text
    return _json(page, 0)


def _json(page: Page, kept: int) -> str:
    hidden = len(page.sections) - kept
    last = (Section(lines=((_hidden(hidden),),)),) if hidden else ()
    record = {
        "format": FORMAT,
        "suite": page.suite,
        "outcome": page.outcome,
        "headline": page.headline,
        "facts": page.facts,
        "partial": page.partial,
        "head": page.head,
        "news": page.news,
        "sections": [_section_record(section) for section in (*page.sections[:kept], *last)],
        **({"compares": True} if page.compares else {}),
    }
    return json.dumps(record, ensure_ascii=True) + "\n"


def _hidden(count: int) -> str:
    return f"{count} section{'' if count == 1 else 's'} hidden to fit the size limit; see the report."


def _section_record(section: Section) -> dict[str, Any]:
    def line(spans: Line) -> list[Any]:
        return [{"code": span.text} if isinstance(span, Code) else span for span in spans]

    table = section.table
    return {
        "title": section.title,
        "note": section.note,
        "folded": section.folded,
        "head": [line(cell) for cell in table.head] if table else [],
        "rows": [[line(cell) for cell in row] for row in table.rows] if table else [],
        "lines": [line(spans) for spans in section.lines],
        "bullets": [line(spans) for spans in section.bullets],
    }


def read_page(data: bytes) -> Page:
    """Read a page from untrusted JSON.

    Raises:
        ValueError: the page is invalid; the message names the fault.
    """
    if len(data) > PAGE_BYTES:
        raise ValueError(f"{len(data)} bytes, at most {PAGE_BYTES} are read")
    try:
        value = json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    compares = _flag(value.pop("compares", False)) if isinstance(value, dict) else False
    known = _keys(value, {"format", "suite", "outcome", "headline", "facts", "partial", "head", "news", "sections"})
    if known["format"] != FORMAT:
        raise ValueError(f"format {known['format']!r}, this evalkit reads {FORMAT}")
    if _text(known["outcome"]) not in ICONS:
        raise ValueError(f"no outcome {known['outcome']!r}")
    return Page(
        suite=_text(known["suite"]),
        outcome=known["outcome"],
        headline=_text(known["headline"]),
        facts=_each(_text, known["facts"]),
        partial=None if known["partial"] is None else _text(known["partial"]),
        head=_text(known["head"]),
        news=_flag(known["news"]),
        sections=_each(_read_section, known["sections"]),
        compares=compares,
    )


def _read_section(value: Any) -> Section:
    known = _keys(value, {"title", "note", "folded", "head", "rows", "lines", "bullets"})
    head, rows = _each(_read_line, known["head"]), _each(lambda row: _each(_read_line, row), known["rows"])
    if any(len(row) != len(head) for row in rows):
        raise ValueError("a row that does not fit its head")
    return Section(
        title=_text(known["title"]),
        note=_text(known["note"]),
        folded=_flag(known["folded"]),
        table=Table(head, rows) if head else None,
        lines=_each(_read_line, known["lines"]),
        bullets=_each(_read_line, known["bullets"]),
    )


def _read_line(value: Any) -> Line:
    return _each(_read_span, value)


def _read_span(value: Any) -> str | Code:
    return Code(_text(_keys(value, {"code"})["code"])) if isinstance(value, dict) else _text(value)


def _keys(value: Any, names: Iterable[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != set(names):
        raise ValueError(f"expected the keys {', '.join(sorted(names))}")
    return value


def _each(read: Callable[[Any], _T], value: Any) -> tuple[_T, ...]:
    if not isinstance(value, list) or len(value) > _MOST:
        raise ValueError(f"expected a list of at most {_MOST}")
    return tuple(read(item) for item in value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected text, got {type(value).__name__}")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {type(value).__name__}")
    return value
