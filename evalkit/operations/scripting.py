"""Call evalkit from a script, a notebook or a test.

Each function takes paths as text or `Path`, waits for its result, and gives frozen values back. All of them work while
an event loop is running, as in a notebook.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.disk.paths import project_of
from evalkit.operations.compare_files import ColumnFlags, Comparing, compare_files, decision_of
from evalkit.operations.find_run import find_run, find_systems
from evalkit.operations.run import Request, Result, decide_again
from evalkit.operations.run_each import run_each
from evalkit.operations.scripting_results import Run, SystemRuns, run_of, runs_of, stored_run_of, stored_runs_of
from evalkit.results import Decision
from evalkit.runner.engine import Stop
from evalkit.runner.event_loop import run_to_end
from evalkit.runner.plan import Selection
from evalkit.runner.session import Watcher
from evalkit.store.folder import RunFolder
from evalkit.suite.parse import load_suite
from evalkit.systems.process import no_exit

if TYPE_CHECKING:
    from evalkit.operations.run_systems import SystemsResult

StrPath = str | os.PathLike[str]


def run(  # noqa: PLR0913 - each is a flag of `evalkit run`
    suite: StrPath,
    *,
    out: StrPath | None = None,
    baseline: StrPath | None = None,
    resume: bool = False,
    limit: int | None = None,
    cases: str | Collection[str] = (),
    cohorts: str | Collection[str] = (),
    repeat: int | None = None,
    concurrency: int | None = None,
    reports: bool = True,
) -> Run | SystemRuns:
    """Run a suite: call the system, grade every answer, decide.

    Returns:
        The run; for a suite with `systems:` or `matrix:`, the runs of its systems and their comparison.

    Args:
        suite: the suite file.
        out: an empty folder for the run; `reports/<run-id>` in the project if not given.
        baseline: a saved baseline or run folder to compare with, instead of the suite's; `none` for no comparison.
        resume: continue the interrupted run in `out`.
        limit: draw this many cases. Like a run of some `cases` or `cohorts`, this is partial and gets no decision.
        cases: ids of the only cases to run.
        cohorts: the only cohorts to run, such as `domain=aml`; `!domain=aml` leaves one out.
        repeat: run each case this many times.
        concurrency: calls in flight.
        reports: whether to write report.html, summary.md, junit.xml and the decision records.

    Raises:
        InputError: reports every problem of the suite and its files, before the first call.
        StoreError: the disk refused a file; the run can be resumed.
    """
    given = {"repeat": repeat, "concurrency": concurrency}
    request = Request(
        suite=Path(suite),
        out=None if out is None else Path(out),
        baseline=None if baseline is None else os.fspath(baseline),
        resume=resume,
        selection=Selection(limit=limit, case_ids=_several(cases), cohorts=_several(cohorts)),
        overrides={key: value for key, value in given.items() if value is not None},
        command="python",
    )
    ended = _ended(request)
    return run_of(ended, reports=reports) if isinstance(ended, Result) else runs_of(ended, reports=reports)


def score(
    run: StrPath,
    suite: StrPath,
    *,
    out: StrPath | None = None,
    baseline: StrPath = "none",
    resume: bool = False,
    reports: bool = True,
) -> Run:
    """Grade the stored answers of a run again, with the scorers of a suite; the system is not called.

    Args:
        run: a run folder, the name of a saved baseline, or `latest`.
        suite: the suite whose scorers grade.
        out: an empty folder for the new run; `reports/<run-id>` in the project if not given.
        baseline: a saved baseline or run folder to compare with; `none` for no comparison.
        resume: continue the interrupted scoring in `out`.
        reports: whether to write the reports.

    Raises:
        InputError: reports every problem of the run, the suite and its files.
        StoreError: the disk refused a file.
    """
    file = Path(suite)
    request = Request(
        suite=file,
        out=None if out is None else Path(out),
        baseline=os.fspath(baseline),
        resume=resume,
        answers=find_run(os.fspath(run), load_suite(file).root),
        command="python",
    )
    ended = _ended(request)
    if not isinstance(ended, Result):
        raise TypeError("the answers of one system are graded")
    return run_of(ended, reports=reports)


def decide(run: StrPath, *, suite: StrPath | None = None, baseline: StrPath | None = None) -> Run | SystemRuns:
    """Decide again about a stored run, with the suite's current gate; nothing is called.

    Args:
        run: a run folder, the name of a saved baseline, or `latest`.
        suite: suite whose gate decides; the suite of the run if not given.
        baseline: a saved baseline or run folder, instead of the suite's; `none` for no comparison.

    Raises:
        InputError: the run, the suite or the baseline cannot be read, or the two cannot be compared.
    """
    asked = None if baseline is None else os.fspath(baseline)
    file = None if suite is None else Path(suite)
    if (several := find_systems(os.fspath(run))) is not None:
        from evalkit.operations.run_systems import decide_systems_again

        return runs_of(decide_systems_again(several, file, asked, os.environ))
    return run_of(decide_again(_folder(run), file, asked, os.environ))


def compare(  # noqa: PLR0913 - each is a flag of `evalkit compare`
    before: StrPath,
    after: StrPath,
    *,
    id: str | None = None,
    passes: str | Collection[str] = (),
    metrics: str | Collection[str] = (),
    cohorts: str | Collection[str] = (),
    cluster: str | None = None,
    repeat: str | None = None,
    higher: str | Collection[str] = (),
    lower: str | Collection[str] = (),
    scales: Mapping[str, tuple[float, float]] | None = None,
    thresholds: Mapping[str, float] | None = None,
    judged: str | Collection[str] = (),
    labels: StrPath | Collection[StrPath] = (),
    out: StrPath | None = None,
) -> Decision:
    """Compare the results of two systems case by case: runs, or files of any tool.

    Args:
        before: results of the old system: a run folder, the name of a saved baseline, or a file such as `before.csv`.
        after: the same of the new system.
        id: column that names the cases of a file.
        passes: columns of pass or fail.
        metrics: columns of grades to compare; those with a known name if neither these nor `passes` are given.
        cohorts: columns of cohorts.
        cluster: column whose value is the same in cases that depend on each other.
        repeat: column that numbers the repeats of a case.
        higher: columns in which more is better.
        lower: columns in which less is better.
        scales: column -> range of its scores.
        thresholds: column -> score from which a case passes.
        judged: columns that a model graded.
        labels: files of people's labels of the later answers; with them, the model must be trusted to decide.
        out: an empty folder for both sides and the reports; by default, nothing is kept.

    Returns:
        The decision of a gate with `no_regression` alone; `comparison` lists the cases that changed.

    Raises:
        InputError: a run or a file cannot be read, or a column is missing or unclear.
    """
    asked = ColumnFlags(
        id=id,
        passes=_several(passes),
        metrics=_several(metrics),
        cohorts=_several(cohorts),
        cluster=cluster,
        repeat=repeat,
        higher=_several(higher),
        lower=_several(lower),
        scales=scales or {},
        thresholds=thresholds or {},
        judged=_several(judged),
    )
    files = (labels,) if isinstance(labels, str | os.PathLike) else labels
    request = Comparing(
        before=os.fspath(before), after=os.fspath(after), asked=asked, labels=tuple(Path(file) for file in files)
    )
    if out is None:
        return decision_of(request)
    result = compare_files(request, Path(out))
    run_of(result, reports=True)
    return result.decision


def load_run(run: StrPath) -> Run | SystemRuns:
    """Read a run folder, or a saved baseline by its name, as it was decided.

    Raises:
        InputError: there is no such run, or its files are damaged.
    """
    if (several := find_systems(os.fspath(run))) is not None:
        return stored_runs_of(several)
    return stored_run_of(_folder(run))


def _folder(run: StrPath) -> RunFolder:
    return find_run(os.fspath(run), project_of(Path.cwd()))


def _ended(request: Request) -> Result | SystemsResult:
    """Run to the end on a new event loop, in another thread if this thread's loop is running."""
    stops: list[Callable[[], object]] = []

    async def on_its_loop() -> Result | SystemsResult:
        stop, loop = Stop(), asyncio.get_running_loop()
        stops.append(lambda: loop.call_soon_threadsafe(stop.at_once, "Ctrl-C"))
        return await run_each(request, Watcher(), stop, os.environ)

    # No parent process checks the end of this one, so the system must not be able to end it.
    with no_exit():
        if not _loop_is_running():
            return run_to_end(on_its_loop())
        with ThreadPoolExecutor(1, "evalkit") as pool:
            ended = pool.submit(lambda: run_to_end(on_its_loop()))
            try:
                return ended.result()
            except KeyboardInterrupt:
                for stop in stops:
                    stop()
                raise


def _loop_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _several(given: str | Collection[str]) -> tuple[str, ...]:
    """Return the given texts; a single text is a list of one."""
    return (given,) if isinstance(given, str) else tuple(given)
