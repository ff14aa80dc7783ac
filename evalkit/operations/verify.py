"""Check that a stored run is unchanged since its decision."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.gate.earlier_decisions import found_in
from evalkit.operations.find_run import find_run
from evalkit.results import Decided
from evalkit.store.chain import HEAD, Damage, head_of, scan
from evalkit.store.folder import DECISION, RunFolder
from evalkit.store.journal import read_rows
from evalkit.store.shards import unended

SHOWN_LINES = 20


@dataclass(frozen=True, kw_only=True)
class VerifiedRun:
    """The state of a run's files."""

    n_intact: int
    n_planned: int
    head: str
    decided: bool
    """Whether the run has a decision now."""
    decisions: tuple[Decided, ...]
    """Every decision of the run."""
    findings: tuple[str, ...]
    """The changes, each with its place and fix; empty for an unchanged run."""


def verify_run(name: str, root: Path, published: str | None = None) -> VerifiedRun:
    """Check every row of a run, and that its rows and files are unchanged since the decision.

    Args:
        name: run folder, or name of a saved baseline.
        root: the project.
        published: the head that was published elsewhere, `None` without one.

    Raises:
        InputError: there is no such run.
        StoreError: the run cannot be read.
    """
    folder = find_run(name, root)
    manifest, decision = folder.manifest(), folder.decision()
    journals = {file.name: scan(file) for file in folder.journals if os.path.lexists(file)}
    head = head_of(journals.values(), decision)
    findings: list[str] = []
    n_rows: list[int] = []
    for file, journal in journals.items():
        damaged: list[Damage] = []
        n_rows.append(sum(1 for _ in read_rows(folder.file(file), damaged)))
        findings += _damaged(file, damaged, {each.line for each in journal.damaged})
    before = found_in(folder, root)
    findings += [f"{folder.path}: {sentence}" for sentence in before.sentences()]
    if left := unended(folder.path):
        findings.append(left)
    findings += _unlike(folder, head, (decision or {}).get(HEAD), published)
    return VerifiedRun(
        n_intact=n_rows[0] if n_rows else 0,
        n_planned=manifest.expected,
        head=head,
        decided=decision is not None,
        decisions=before.decisions,
        findings=tuple(findings),
    )


def _damaged(name: str, damaged: Sequence[Damage], unsummed: Collection[int]) -> Iterator[str]:
    for damage in damaged[:SHOWN_LINES]:
        what = "altered: checksum mismatch" if damage.line in unsummed else "altered: no run writes such a row"
        what = "torn, as a kill leaves it" if damage.torn else what
        yield f"{name}:{damage.line}: {what}; `evalkit run SUITE --out RUN --resume` runs its case again"
    hidden = len(damaged) - SHOWN_LINES
    if hidden > 0:
        yield f"... and {hidden} more"


def _unlike(folder: RunFolder, found: str, stored: str | None, published: str | None) -> Iterator[str]:
    if stored is None and folder.file(DECISION).exists():
        yield f"{folder.file(DECISION)}: holds no head; `evalkit gate RUN` decides again from the rows"
    if published is not None and published.strip().lower() != found:
        yield f"--head: {published} was published, this run has another: rows or decision are not those of then"
