"""Write what changed since the base: rules, labels, cases, and the comparison with the baseline."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.report.page import Code, Line, Section
from evalkit.report.view import View
from evalkit.results import Amendment, Comparison
from evalkit.text.printable import MODEL_TEXT_CHARS, one_line

_LINES = 30


def code(text: str, limit: int = MODEL_TEXT_CHARS) -> Code:
    """Return a text of the run as code, on one line and cut."""
    return Code(one_line(text, limit))


def amendments_section(view: View) -> Section | None:
    """Return changes of the rules, with the looser ones marked."""
    if not view.amendments:
        return None
    return Section(
        title="Rules, labels and cases that changed",
        folded=True,
        note=f"since {one_line(view.amended_since, 80)}" if view.amended_since else "",
        bullets=tuple(map(amendment_line, view.amendments[:_LINES])),
    )


def amendment_line(each: Amendment) -> Line:
    """Format ``! looser `gate pass_rate.min` 0.85 → 0.80``."""
    change = f"{one_line(each.before, 100)} → {one_line(each.after, 100)}" if each.before or each.after else ""
    words = " ".join(filter(None, (change, f"({each.note})" if each.note else "")))
    mark = ("! looser:",) if each.loosens else ()
    return (*mark, code(each.what, 100), words) if words else (*mark, code(each.what, 100))


def changes_section(view: View) -> Section | None:
    """Return the comparison as counts and first ids."""
    found = view.comparison
    if found is None:
        return None
    counts = ", ".join(f"{word} {len(ids):,}" for word, ids in _listed(found))
    named = [(word, ids) for word, ids in _listed(found) if word in ("removed", "added", "changed") and ids]
    return Section(
        title="Against the baseline",
        folded=True,
        lines=((f"{one_line(found.baseline_id, 120)}: {found.n_paired:,} pairs; {counts}",),),
        bullets=tuple((f"{word}:", *first_ids(ids)) for word, ids in named),
    )


def first_ids(ids: Sequence[str]) -> Line:
    """Return the first ids of cases, and how many more there are."""
    spans = [span for case_id in ids[:5] for span in (code(case_id, 60), ",")][:-1]
    return (*spans, f"and {len(ids) - 5:,} more") if len(ids) > 5 else tuple(spans)


def _listed(found: Comparison) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return (
        ("new failures", found.new_failures),
        ("fixed", found.fixed),
        ("still failing", found.still_failing),
        ("added", found.added),
        ("removed", found.removed),
        ("changed", found.changed),
    )
