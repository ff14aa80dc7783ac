"""Write the page on which a person accepts, edits and drops drafted cases, as one HTML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evalkit.report.label_page import write_keyboard_page


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftedCase:
    """One drafted case, with the passage that it is drafted from."""

    of: str
    """Digest of the passage."""
    file: str
    lines: str
    """Lines of the passage in the file."""
    passage: str
    asked: str
    """What a user asked, in a log; empty for a document."""
    question: str
    reference: str
    quote: str
    """Words of the passage that decide the answer."""
    cohorts: Mapping[str, str]
    by: str
    """The model that wrote it."""
    alike: tuple[str, ...] = ()
    """Cases and drafts that resemble it and are likely to mean something else."""


@dataclass(frozen=True, kw_only=True)
class DraftQueue:
    """The drafts of one command, in the order in which they are read."""

    set: str
    """Golden set that they are to join."""
    room: int
    """Number of synthetic cases that may join it."""
    items: tuple[DraftedCase, ...]


def write_draft_page(path: Path, queue: DraftQueue) -> None:
    """Write the page; it opens from disk, sends nothing, and keeps decisions in the browser until they are exported.

    Args:
        path: target file; an older one is replaced once the new one is complete.
        queue: the drafts.
    """
    write_keyboard_page(path, queue, "drafts")
