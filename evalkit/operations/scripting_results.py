"""What the functions for scripts return: a run, or the runs of several systems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.aggregate.system_comparison import RankInterval, SystemComparison, SystemFigures
from evalkit.disk.json_files import read_json
from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem
from evalkit.formats.manifest import Manifest
from evalkit.results import WORST_FIRST, Decision, Estimate, Summary
from evalkit.store.folder import COMPARISON, DECISION, RunFolder
from evalkit.store.index import sorted_rows
from evalkit.store.stored_run import stored_result
from evalkit.types import Row

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.operations.run import Result
    from evalkit.operations.run_systems import SystemsResult
    from evalkit.store.systems_folder import SystemsFolder


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


@dataclass(frozen=True, kw_only=True, repr=False)
class SystemRuns:
    """The runs of several systems on the same cases, with their comparison; `runs["new"]` is the run of one."""

    folder: Path
    suite: str
    runs: Mapping[str, Run]
    """System -> its run, in the order of the suite."""
    comparison: SystemComparison | None
    """Figures, differences to the reference, ranks and frontier; `None` if the run was stopped before it."""
    outcome: str | None
    """The worst outcome of the release systems; `compared` if none is released, `None` before the decision."""
    exit_code: int | None
    """The exit code of `evalkit run`; `None` before the decision."""
    reasons: tuple[str, ...]
    """Why the outcome is what it is."""

    def __getitem__(self, system: str) -> Run:
        """Return the run of one system.

        Raises:
            KeyError: there is no such system.
        """
        return self.runs[system]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the systems, in the order of the suite."""
        return iter(self.runs)

    @property
    def decision(self) -> Decision | None:
        """The decision of the release system with the worst outcome; `None` if none is released or decided."""
        released = self.comparison.release if self.comparison is not None else ()
        found = [made for name in released if (made := self.runs[name].decision) is not None]
        return min(found, key=lambda each: WORST_FIRST.index(each.outcome), default=None)

    @property
    def ranks(self) -> Mapping[str, RankInterval | None]:
        """System -> the ranks that it may have, 1 is the best; `None` if too few of its cases have a value."""
        return {each.name: each.rank for each in self.comparison.systems} if self.comparison is not None else {}

    @property
    def sentence(self) -> str:
        """What the comparison shows, in one sentence; empty before it."""
        from evalkit.report.system_sentence import sentence

        return sentence(self.comparison) if self.comparison is not None else ""

    def table(self) -> pd.DataFrame:
        """Return the figures: one line for each system, in the order of the suite; unknown ones are missing.

        Columns: `system`, the primary metric with `_low` and `_high`, `difference` to the reference with `_low` and
        `_high`, `p_value`, `rank_best`, `rank_worst`, `worst_cohort`, `cost_usd_per_case`, `latency_p50_s`,
        `latency_p95_s`, `tokens_per_case`, `n_cases`, `n_scored`, `n_errors`, `outcome`.

        Raises:
            InputError: the run was stopped before its systems were compared.
        """
        import pandas as pd

        if self.comparison is None:
            fix = "continue with `resume=True`"
            raise InputError(Problem(shown_path(self.folder), "the run was stopped before its comparison", fix))
        primary = self.comparison.primary
        frame = pd.DataFrame([_line(each, primary) for each in self.comparison.systems])
        texts = ("system", "worst_cohort", "outcome")
        counts = ("rank_best", "rank_worst", "n_cases", "n_scored", "n_errors")
        types = {name: "string" if name in texts else "Int64" if name in counts else "Float64" for name in frame}
        return frame.astype(types)

    def to_pandas(self) -> pd.DataFrame:
        """Read the rows of all systems as a table with a column `system`; see `evalkit.to_pandas`."""
        from evalkit.analysis import to_pandas

        return to_pandas(self.folder)

    def __fspath__(self) -> str:
        """Return the folder, so that the runs can be passed as a path."""
        return str(self.folder)

    def __repr__(self) -> str:
        systems = ", ".join(self.runs)
        return f"SystemRuns({str(self.folder)!r}, suite={self.suite!r}, systems=[{systems}], outcome={self.outcome!r})"


def _line(figures: SystemFigures, primary: str) -> dict[str, Any]:
    rank = figures.rank
    return {
        "system": figures.name,
        **_estimated(primary, figures.primary),
        **_estimated("difference", figures.difference),
        "p_value": figures.p_value,
        "rank_best": rank.best if rank is not None else None,
        "rank_worst": rank.worst if rank is not None else None,
        "worst_cohort": figures.worst_cohort or None,
        "cost_usd_per_case": figures.cost_usd_per_case,
        "latency_p50_s": figures.latency_p50_s,
        "latency_p95_s": figures.latency_p95_s,
        "tokens_per_case": figures.tokens_per_case,
        "n_cases": figures.n_cases,
        "n_scored": figures.n_scored,
        "n_errors": figures.n_errors,
        "outcome": figures.outcome,
    }


def _estimated(name: str, seen: Estimate | None) -> dict[str, float | None]:
    ends = (None, None, None) if seen is None else (seen.value, seen.low, seen.high)
    return dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))


def run_of(result: Result, *, reports: bool = False) -> Run:
    """Return a finished run, and write its reports if they are wanted.

    Raises:
        StoreError: a report cannot be written.
    """
    if reports:
        from evalkit.report.write import material_of, view_of, write_reports

        material = material_of(
            result.folder, result.manifest, result.summary, result.decision, result.baseline, result.labels
        )
        write_reports(material, view_of(material))
    return Run(folder=result.folder.path, manifest=result.manifest, summary=result.summary, decision=result.decision)


def runs_of(result: SystemsResult, *, reports: bool = False) -> SystemRuns:
    """Return the finished runs of several systems, and write their reports and the page above them if wanted.

    Raises:
        StoreError: a report cannot be written.
    """
    runs = {name: run_of(each, reports=reports) for name, each in result.results.items()}
    if reports:
        from evalkit.report.systems.write import compared_view

        reasons = result.shown_reasons
        suite = result.run.suite_file
        compared_view(result.folder.path, result.comparison, suite=suite, reports=True, reasons=reasons)
    return SystemRuns(
        folder=result.folder.path,
        suite=result.run.suite,
        runs=runs,
        comparison=result.comparison,
        outcome=result.outcome,
        exit_code=int(result.exit_code),
        reasons=result.reasons,
    )


def stored_run_of(folder: RunFolder) -> Run:
    """Read a run folder as it was decided.

    Raises:
        InputError: it is not a run folder, or its files are damaged.
    """
    summary, decision = stored_result(folder)
    return Run(folder=folder.path, manifest=folder.manifest(), summary=summary, decision=decision)


def stored_runs_of(folder: SystemsFolder) -> SystemRuns:
    """Read the folder of a run of several systems as it was decided.

    Raises:
        InputError: its files are damaged.
    """
    from evalkit.store.comparison import stored_comparison

    run = folder.read()
    decided = (folder.path / COMPARISON).is_file()
    outcome, exit_code, reasons = _decided(folder.path / DECISION)
    return SystemRuns(
        folder=folder.path,
        suite=run.suite,
        runs={each.name: stored_run_of(folder.folder_of(run, each.name)) for each in run.systems},
        comparison=stored_comparison(folder.path) if decided else None,
        outcome=outcome,
        exit_code=exit_code,
        reasons=reasons,
    )


def _decided(file: Path) -> tuple[str | None, int | None, tuple[str, ...]]:
    """Read outcome, exit code and reasons; nothing is known of a run that was stopped before its decision."""
    try:
        record = read_json(file)
    except FileNotFoundError:
        return None, None, ()
    except (OSError, ValueError) as error:
        what = f"cannot be read: {str(error).splitlines()[0]}"
        raise InputError(Problem(shown_path(file), what, "decide again with `evalkit gate`")) from None
    found = record if isinstance(record, dict) else {}
    outcome, code, reasons = found.get("outcome"), found.get("exit_code"), found.get("reasons")
    sound = isinstance(outcome, str) and type(code) is int and isinstance(reasons, list)
    if not sound or not all(isinstance(each, str) for each in reasons or ()):
        raise InputError(Problem(shown_path(file), "not a decision", "decide again with `evalkit gate`"))
    return outcome, code, tuple(reasons or ())
