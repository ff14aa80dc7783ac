"""Compare the systems of a run."""

from __future__ import annotations

from pathlib import Path

from evalkit.aggregate.system_comparison import SystemComparison


def comparison_of(folder: Path) -> SystemComparison | None:
    """Compare the systems of a run from its run folders, and write `comparison.json`; `None` if nothing is compared.

    Args:
        folder: folder of the run, with `systems.json`.
    """
    return None
