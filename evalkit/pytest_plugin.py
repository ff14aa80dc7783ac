"""Gate from a test file: `def test_gate(evalkit_gate): evalkit_gate("suites/faq.yaml")`.

Loaded by every pytest run in an environment that has evalkit, so nothing heavy is imported before the fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from evalkit.operations.run import Request, Result
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

        folder = out or tmp_path_factory.mktemp("evalkit") / "run"
        try:
            result = _run(Path(suite), folder, baseline)
        except EvalkitError as error:
            problem = str(error)
        else:
            if result.decision.outcome not in ("blocked", "no decision"):
                return result.decision
            problem = _words(result)
        pytest.fail(problem, pytrace=False)

    return gate


def _run(suite: Path, out: Path, baseline: str | None) -> Result:
    from evalkit.operations.run import Request
    from evalkit.report.write import material_of, view_of, write_reports
    from evalkit.runner.event_loop import run_to_end
    from evalkit.systems.process import no_exit

    request = Request(suite=suite, out=out, baseline=baseline, command="pytest")
    # No parent process checks how pytest ends, so the system must not be able to end it.
    with no_exit():
        result = run_to_end(_on_its_loop(request))
    material = material_of(
        result.folder, result.manifest, result.summary, result.decision, result.baseline, result.labels
    )
    write_reports(material, view_of(material))
    return result


async def _on_its_loop(request: Request) -> Result:
    import os

    from evalkit.operations.run import run_suite
    from evalkit.runner.engine import Stop
    from evalkit.runner.session import Watcher

    return await run_suite(request, Watcher(), Stop(), os.environ)


def _words(result: Result) -> str:
    from evalkit.store.folder import REPORT

    reasons = [f"- {reason}" for reason in result.decision.reasons[:SHOWN_REASONS]]
    return "\n".join([f"{result.summary.suite}: {result.decision.outcome}", *reasons, str(result.folder.file(REPORT))])
