"""Write a comparison of several systems for a pull request comment or a job page."""

from __future__ import annotations

from evalkit.report.markdown import MOST_WORDS, few_words, words_in
from evalkit.report.page import ICONS, Code, Line, Table, line_markdown, marker, table_markdown
from evalkit.report.systems.view import SystemLine, SystemsView
from evalkit.text.printable import plain

MOST_SYSTEMS = 12
_SENTENCE_WORDS, _TEXT_WORDS, _NAME_CHARS = 40, 16, 60


def systems_markdown(view: SystemsView) -> str:
    """Render sentence, gates, table and next step in at most `MOST_WORDS` visible words.

    The table has at most `MOST_SYSTEMS` rows: the reference, the release systems, then the best ones; the others are
    counted.
    """
    for most in range(min(MOST_SYSTEMS, len(view.lines)), 0, -1):
        lines, text = _page(view, most)
        if words_in(lines) <= MOST_WORDS:
            break
    return text


def shown_lines(view: SystemsView, most: int) -> tuple[SystemLine, ...]:
    """Return the systems of a short table in the order of the figures: reference and release, then the best ones."""
    first = [line for line in view.ranked if line.is_reference or line.is_release]
    others = [line for line in view.ranked if line not in first]
    chosen = [*first, *others][:most]
    return tuple(line for line in view.ranked if line in chosen)


def _page(view: SystemsView, most: int) -> tuple[list[Line], str]:
    """Return the visible lines with a table of `most` systems, and the page."""
    shown = shown_lines(view, most)
    table = Table(_HEAD, tuple(_row(line) for line in shown))
    hidden = len(view.lines) - len(shown)
    word = f"{view.outcome.upper()} — " if view.outcome else ""
    title: Line = (f"evalkit: {word}{few_words(view.sentence, _SENTENCE_WORDS)}",)
    facts: Line = (" · ".join(view.facts),)
    gates: list[Line] = [
        (Code(line.name), f"{line.outcome}{': ' + few_words(line.text, _TEXT_WORDS) if line.text else ''}")
        for line in view.release[:3]
    ]
    more: list[Line] = [(f"and {hidden} more in report.html",)] if hidden else []
    next_line: list[Line] = [_next(view)] if view.next else []
    icon = ICONS[view.outcome] + " " if view.outcome else ""
    parts = [
        f"{marker(view.comparison.suite)}\n### {icon}{plain(title[0] if isinstance(title[0], str) else '')}",
        f"{plain(view.comparison.suite, 80)} · {line_markdown(facts)}",
        "\n".join(f"- {line_markdown(line)}" for line in gates),
        table_markdown(table),
        *(f"_{line_markdown(line)}_" for line in more),
        *(line_markdown(line) for line in next_line),
    ]
    seen = [title, (view.comparison.suite,), facts, *gates, *more, *next_line]
    return [*seen, *(cell for row in (table.head, *table.rows) for cell in row)], "\n\n".join(
        filter(None, parts)
    ) + "\n"


_HEAD: tuple[Line, ...] = (("System",), ("Figure",), ("Difference",), ("Rank",), ("Cost",), ("Verdict",))


def _row(line: SystemLine) -> tuple[Line, ...]:
    against = "reference" if line.is_reference else f"{line.difference} {line.difference_interval}".rstrip()
    verdict = line.outcome or line.moved.replace("unknown", "")
    name = few_words(line.name, 4)[:_NAME_CHARS]
    return (
        (Code(name),),
        (f"{line.primary} {line.interval}".rstrip(),),
        (against,),
        (line.rank,),
        (line.cost,),
        (verdict or "–",),
    )


def _next(view: SystemsView) -> Line:
    step = view.next[0]
    return ("Next:", step.text, *((Code(step.command),) if step.command else ()))
