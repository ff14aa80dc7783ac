"""Gate from a test file: `def test_gate(evalkit_gate): evalkit_gate("suites/faq.yaml")`.

Loaded by every pytest run in an environment that has evalkit, so nothing heavy is imported before the fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from evalkit.operations.scripting_results import Run, SystemRuns
    from evalkit.results import Decision

Gate = Callable[..., "Decision"]
SHOWN_REASONS = 5


@pytest.fixture
def evalkit_gate(tmp_path_factory: pytest.TempPathFactory) -> Gate:
    """Run a suite and fail the test unless it is approved, conditions included.

    The fixture is a function `(suite, *, baseline=None, out=None) -> Decision`: `suite` is a path, `baseline` a saved
    baseline or run folder instead of the suite's (`none` for none), `out` an empty folder for the run.
    """

    def gate(suite: str | Path, *, baseline: str | None = None, out: Path | None = None) -> Decision:
        from evalkit.errors import EvalkitError
        from evalkit.operations.scripting import run

        folder = out or tmp_path_factory.mktemp("evalkit") / "run"
        try:
            ended = run(suite, out=folder, baseline=baseline)
        except EvalkitError as error:
            problem = str(error)
        else:
            if ended.decision is not None and ended.outcome not in ("blocked", "no decision"):
                return ended.decision
            problem = _words(ended)
        pytest.fail(problem, pytrace=False)

    return gate


def _words(ended: Run | SystemRuns) -> str:
    from evalkit.operations.scripting_results import SystemRuns
    from evalkit.store.folder import REPORT

    if isinstance(ended, SystemRuns):
        suite, said = ended.suite, ended.reasons or ("no system is under `release:`, so nothing is decided",)
    else:
        suite, said = ended.manifest.suite, ended.decision.reasons if ended.decision is not None else ()
    reasons = [f"- {reason}" for reason in said[:SHOWN_REASONS]]
    return "\n".join([f"{suite}: {ended.outcome}", *reasons, str(ended.folder / REPORT)])
