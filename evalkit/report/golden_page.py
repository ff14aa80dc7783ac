"""Write the page that says in what state a golden set is, as one HTML file without any text of a case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evalkit.disk.writing import replacing
from evalkit.errors import StoreError
from evalkit.report.html import environment, policy_of, read_asset
from evalkit.report.html_words import ICONS
from evalkit.report.next_steps import NextStep

Tone = Literal["pass", "warn", "block", "no decision"]
WORDS: dict[Tone, str] = {"pass": "in order", "warn": "to look at", "block": "wrong", "no decision": "not known"}
MOST_ROWS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenPart:
    """What is known about one side of a golden set."""

    name: str
    """Such as `Near-duplicates`."""
    tone: Tone
    finding: str
    """One sentence."""
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    """Cells of the table, in the order of the headings."""
    notes: tuple[str, ...] = ()
    next: tuple[NextStep, ...] = ()

    @property
    def slug(self) -> str:
        """The name as part of an address."""
        return self.name.lower().replace(" ", "-")


def write_golden_page(path: Path, suite: str, facts: Sequence[str], parts: Sequence[GoldenPart]) -> None:
    """Write the page; it needs no other file, no script, and sends nothing.

    Args:
        path: target file; an older one is replaced once the new one is complete.
        suite: name of the suite.
        facts: set, number of cases, version, day.
        parts: in the order of the page.

    Raises:
        StoreError: the file cannot be written.
    """
    from markupsafe import Markup

    assets = {"style": read_asset("report.css"), "theme": read_asset("theme.js"), "script": ""}
    text = (
        environment()
        .get_template("golden/golden.html.j2")
        .render(
            suite=suite,
            facts=facts,
            parts=parts,
            pressing=[part for part in parts if part.tone in ("block", "warn")],
            icons=ICONS,
            words=WORDS,
            most=MOST_ROWS,
            policy=policy_of(assets),
            **{name: Markup(text) for name, text in assets.items()},  # noqa: S704 - our own files
        )
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(text)
    except OSError as error:
        raise StoreError.of(path, error, "or name another file with --out") from error
