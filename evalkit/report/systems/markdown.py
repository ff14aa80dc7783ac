"""Write a comparison of several systems for a pull request comment or a job page."""

from __future__ import annotations

from evalkit.report.markdown import MOST_WORDS, few_words, words_of_page
from evalkit.report.next_steps import NextStep
from evalkit.report.page import NEXT, Code, Line, Page, Section, Table, markdown
from evalkit.report.systems.view import SystemLine, SystemsView

SHOWN_SYSTEMS = 12
_SENTENCE_WORDS, _TEXT_WORDS, _NAME_CHARS = 40, 16, 60


def systems_page(view: SystemsView) -> Page:
    """Build the page with sentence, gates, table and next step, of at most `MOST_WORDS` visible words.

    The table has at most `SHOWN_SYSTEMS` rows: the reference, the release systems, then the best ones; the others are
    counted.
    """
    pages = (_page(view, most) for most in range(min(SHOWN_SYSTEMS, len(view.lines)), 0, -1))
    return next((page for page in pages if words_of_page(page) <= MOST_WORDS), _page(view, 1))


def systems_markdown(view: SystemsView) -> str:
    """Render the page for a job or a comment."""
    return markdown(systems_page(view))


def shown_lines(view: SystemsView, most: int) -> tuple[SystemLine, ...]:
    """Return the systems of a short table in the order of the figures: reference and release, then the best ones."""
    first = [line for line in view.ranked if line.is_reference or line.is_release]
    others = [line for line in view.ranked if line not in first]
    chosen = [*first, *others][:most]
    return tuple(line for line in view.ranked if line in chosen)


def _page(view: SystemsView, most: int) -> Page:
    """Return the page with a table of `most` systems."""
    shown = shown_lines(view, most)
    hidden = len(view.lines) - len(shown)
    gates: list[Line] = [
        (Code(line.name), f"{line.outcome}{': ' + few_words(line.text, _TEXT_WORDS) if line.text else ''}")
        for line in (view.release[:3] if len(view.release) > 1 else ())
    ]
    more: list[Line] = [(f"and {hidden} more in report.html",)] if hidden else []
    said: tuple[Line, ...] = ((few_words(view.shown, _SENTENCE_WORDS),),) if view.shown else ()
    told = (*((Section(lines=said),) if said else ()), *((Section(bullets=tuple(gates)),) if gates else ()))
    compared = Section(table=Table(_HEAD, tuple(_row(line) for line in shown)), lines=tuple(more))
    following = (Section(title=NEXT, bullets=(_next(view.next[0]),)),) if view.next else ()
    return Page(
        suite=view.comparison.suite,
        outcome=view.outcome or "compared",
        headline=few_words(view.headline, _SENTENCE_WORDS),
        facts=view.facts,
        sections=(*told, compared, *following),
        news=view.outcome != "approved",
    )


_HEAD: tuple[Line, ...] = (("System",), ("Figure",), ("Difference",), ("Rank",), ("Cost",), ("Decision",))


def _row(line: SystemLine) -> tuple[Line, ...]:
    against = "reference" if line.is_reference else f"{line.difference} {line.difference_interval}".rstrip()
    decision = line.outcome or line.moved.replace("unknown", "")
    name = few_words(line.name, 4)[:_NAME_CHARS]
    return (
        (Code(name),),
        (f"{line.primary} {line.interval}".rstrip(),),
        (against,),
        (line.rank,),
        (line.cost,),
        (decision or "–",),
    )


def _next(step: NextStep) -> Line:
    return (f"{step.text}:", Code(step.command)) if step.command else (step.text,)
