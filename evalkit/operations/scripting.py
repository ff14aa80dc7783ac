"""Call evalkit from a script, a notebook or a test.

Each function takes paths as text or `Path`, waits for its result, and gives frozen values back. All of them work while
an event loop is running, as in a notebook.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.disk.paths import project_of
from evalkit.formats.manifest import Manifest
from evalkit.operations.compare_files import ColumnFlags, Comparing, compare_files, decision_of
from evalkit.operations.find_run import find_run
from evalkit.operations.run import Request, Result, decide_again, run_suite
from evalkit.results import Decision, Summary
from evalkit.runner.engine import Stop
from evalkit.runner.event_loop import run_to_end
from evalkit.runner.plan import Selection
from evalkit.runner.session import Watcher
from evalkit.store.folder import RunFolder
from evalkit.store.index import sorted_rows
from evalkit.store.stored_run import stored_result
from evalkit.suite.parse import load_suite
from evalkit.systems.process import no_exit
from evalkit.types import Row

if TYPE_CHECKING:
    import pandas as pd

StrPath = str | os.PathLike[str]


@dataclass(frozen=True, kw_only=True, repr=False)
class Run:
    """A run on disk: its folder, its figures and its decision."""

    folder: Path
    manifest: Manifest
    """The inputs of the run: suite, golden set, system, judge, scorers, versions."""
    summary: Summary | None
    """Every metric by cohort; `None` for a run that was stopped before its decision."""
    decision: Decision | None

    @property
    def outcome(self) -> str | None:
        """`approved`, `approved with conditions`, `blocked` or `no decision`; `None` if there is no decision."""
        return None if self.decision is None else self.decision.outcome

    def rows(self) -> Iterator[Row]:
        """Read the rows one by one, sorted by case id and repeat.

        Raises:
            InputError: the rows are missing or damaged.
        """
        return iter(sorted_rows(RunFolder(self.folder).rows_file)())

    def to_pandas(self) -> pd.DataFrame:
        """Read the rows as a table; see `evalkit.to_pandas`."""
        from evalkit.analysis import to_pandas

        return to_pandas(self.folder)

    def __fspath__(self) -> str:
        """Return the folder, so that a run can be passed as a path."""
        return str(self.folder)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, suite={self.manifest.suite!r}, outcome={self.outcome!r})"


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
) -> Run:
    """Run a suite: call the system, grade every answer, decide.

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
    return _run_of(_ended(request), reports=reports)


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
    return _run_of(_ended(request), reports=reports)


def decide(run: StrPath, *, suite: StrPath | None = None, baseline: StrPath | None = None) -> Run:
    """Decide again about a stored run, with the suite's current gate; nothing is called.

    Args:
        run: a run folder, the name of a saved baseline, or `latest`.
        suite: suite whose gate decides; the suite of the run if not given.
        baseline: a saved baseline or run folder, instead of the suite's; `none` for no comparison.

    Raises:
        InputError: the run, the suite or the baseline cannot be read, or the two cannot be compared.
    """
    asked = None if baseline is None else os.fspath(baseline)
    return _run_of(decide_again(_folder(run), None if suite is None else Path(suite), asked, os.environ))


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
    _run_of(result, reports=True)
    return result.decision


def load_run(run: StrPath) -> Run:
    """Read a run folder, or a saved baseline by its name, as it was decided.

    Raises:
        InputError: there is no such run, or its files are damaged.
    """
    folder = _folder(run)
    summary, decision = stored_result(folder)
    return Run(folder=folder.path, manifest=folder.manifest(), summary=summary, decision=decision)


def _folder(run: StrPath) -> RunFolder:
    return find_run(os.fspath(run), project_of(Path.cwd()))


def _run_of(result: Result, *, reports: bool = False) -> Run:
    if reports:
        from evalkit.report.write import material_of, view_of, write_reports

        material = material_of(
            result.folder, result.manifest, result.summary, result.decision, result.baseline, result.labels
        )
        write_reports(material, view_of(material))
    return Run(folder=result.folder.path, manifest=result.manifest, summary=result.summary, decision=result.decision)


def _ended(request: Request) -> Result:
    """Run to the end on a new event loop, in another thread if this thread's loop is running."""
    stops: list[Callable[[], object]] = []

    async def on_its_loop() -> Result:
        stop, loop = Stop(), asyncio.get_running_loop()
        stops.append(lambda: loop.call_soon_threadsafe(stop.at_once, "Ctrl-C"))
        return await run_suite(request, Watcher(), stop, os.environ)

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
