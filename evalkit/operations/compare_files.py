"""Compare the results of two systems, as files of any tool or as run folders, by the rules of the gate."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from evalkit.disk.paths import project_of
from evalkit.errors import InputError, Problem, StoreError
from evalkit.formats.manifest import GoldenFacts, ImportedFacts, Manifest, ScoreKeys, SystemFacts
from evalkit.gate.earlier_decisions import EarlierDecisions, of_stored_rows, write_decision
from evalkit.gate.policy import Item, NoRegression, Policy
from evalkit.imports.result_columns import ResultColumns, choose_columns
from evalkit.imports.result_flags import ColumnFlags
from evalkit.imports.result_rows import PairedResults, Results, rows_of
from evalkit.imports.result_table import ResultTable
from evalkit.operations.compare import Compared, compared, tested_once
from evalkit.operations.compare_sides import Comparing, Side, sides_of, tables_of
from evalkit.operations.run import Result
from evalkit.results import Decision
from evalkit.runner.manifest import new_run_id
from evalkit.store.folder import AFTER, BEFORE, MANIFEST, RunFolder, new_run_folder
from evalkit.store.journal import Journal
from evalkit.suite.gate import load_gate
from evalkit.text.numbers import difference, plural, style_of
from evalkit.trust.label_files import read_labels
from evalkit.trust.labels import Label
from evalkit.types import Row, Score, Unscored

__all__ = ["ColumnFlags", "Comparing", "compare_files", "decision_of"]

_SHOWN_COLUMNS = 8
_FEW_GAPS, _SMALL_SHARE = 3, 0.01
"""Smaller numbers and shares of grades that only the new side lacks are not reported."""
_JUDGE = "a model"
"""Stands for the judge, whose name the files do not say alike."""
_SETTINGS = "also unknown: the settings of the two systems"
_NOT_KNOWN = f"{_SETTINGS}, and how well a judge agrees with people"
_NOT_CHECKED = "not checked, because no case can be run again: critical cases, canaries, suspect cases"


def compare_files(request: Comparing, out: Path | None = None) -> Result:
    """Compare two results and decide; both are written as run folders `before` and `after`.

    Args:
        request: what to compare.
        out: an empty folder; `reports/<id>` in the project if not given.

    Raises:
        InputError: with every problem of the files, the columns and the flags.
        StoreError: the disk refused a file.
    """
    old, new = sides_of(request)
    return _compared(old, new, request, out)


def decision_of(request: Comparing) -> Decision:
    """Compare two results and decide, without keeping anything.

    Raises:
        InputError: with every problem of the files, the columns and the flags.
    """
    old, new = sides_of(request)
    if isinstance(old, RunFolder) and isinstance(new, RunFolder):
        return _of_two_runs(old, new, request).decision
    with tempfile.TemporaryDirectory(prefix="evalkit-compare-") as folder:
        return _compared(old, new, request, Path(folder) / "comparison").decision


def _compared(old: Side, new: Side, request: Comparing, out: Path | None) -> Result:
    if isinstance(old, RunFolder) and isinstance(new, RunFolder):
        return _of_runs(old, new, request, out)
    before, after, asked = tables_of(old, new, request.asked)
    columns = choose_columns(before, after, asked)
    pair = rows_of(before, after, columns)
    if request.labels:
        pair = _with_judge(pair, columns)
    more = () if request.gate is None else load_gate(request.gate, pair.metrics, columns.cohort_names)
    return _of_files(pair, columns, request, more, new_folder(out))


def _with_judge(pair: PairedResults, columns: ResultColumns) -> PairedResults:
    """Return the results with the model that graded as a judge, which people's labels must show to be trusted.

    Raises:
        InputError: no model graded, or the files hold no answers that people could label.
    """
    problems = []
    if not columns.judged:
        fix = "name the column that a model graded: --judge COLUMN"
        problems.append(Problem("--labels", "no grade of these files is known to come from a model", fix))
    if columns.cases.output is None:
        fix = "write each answer under `output` in both files; labels are bound to the text of an answer"
        problems.append(Problem("--labels", "the files hold no answers", fix))
    if problems:
        raise InputError(problems)
    named = (replace(each, judge=_JUDGE) if each.name in columns.judged else each for each in pair.metrics)
    return replace(pair, metrics=tuple(named))


def new_folder(out: Path | None) -> Path:
    """Return the folder of a comparison, which is empty.

    Raises:
        InputError: it is not.
    """
    chosen = project_of(Path.cwd()) / "reports" / new_run_id(datetime.now(UTC)) if out is None else out
    if chosen.is_dir() and any(chosen.iterdir()):
        raise InputError(Problem(str(chosen), "is not empty", "name a new folder with --out"))
    return new_run_folder(chosen, resume=False).path.absolute()


def _of_two_runs(old: RunFolder, new: RunFolder, request: Comparing) -> Compared:
    """Compare two runs, which know their own metrics, cohorts and repeats.

    Raises:
        InputError: a flag names a column.
    """
    if request.asked != ColumnFlags():
        what = "the flags for columns are for files; a run knows its cases and metrics"
        raise InputError(Problem(request.after or request.before, what, "leave them out"))
    labels = read_labels(request.labels, [str(file) for file in request.labels], new.manifest().metrics)
    policy = None
    if request.gate is not None:
        manifest = new.manifest()
        more = load_gate(request.gate, manifest.metrics, manifest.cohorts)
        policy = _policy(more, str(old.path), None, manifest.repeats)
    return compared(old, new, policy=policy, seed=request.seed, labels=labels)


def _policy(more: tuple[Item, ...], baseline: str, metrics: tuple[str, ...] | None, repeats: int) -> Policy:
    """Return the checks of a file, with one for drops if it has none."""
    drops = [check for check in more if isinstance(check, NoRegression)] or [NoRegression()]
    drops = [replace(check, baseline=baseline, metrics=check.metrics or metrics) for check in drops]
    others = [check for check in more if not isinstance(check, NoRegression)]
    # Without a single test, nothing was found either.
    return Policy((*drops, *others), require_evidence=True, repeats=repeats, asks_again=False)


def _of_runs(old: RunFolder, new: RunFolder, request: Comparing, out: Path | None) -> Result:
    """Compare two runs; the decision is written beside a copy of the later one, whose own decision stays."""
    found = _of_two_runs(old, new, request)
    out = new_folder(out)
    copy = RunFolder(out / AFTER)
    try:
        copy.path.mkdir()
        for file in (new.rows_file, new.file(MANIFEST)):
            shutil.copyfile(file, copy.path / file.name)
    except OSError as error:
        raise StoreError.of(out, error, "then compare again") from error
    changed = of_stored_rows(new, project_of(Path.cwd())).withheld
    return _written(copy, found, old, EarlierDecisions(withheld=changed))


def _of_files(
    pair: PairedResults, columns: ResultColumns, request: Comparing, more: tuple[Item, ...], out: Path
) -> Result:
    notes = _notes(pair, columns, _SETTINGS if request.labels else _NOT_KNOWN)
    title = f"{pair.before.table.name} → {pair.after.table.name}"
    old = write_side(out / BEFORE, pair.before, (pair, columns), title, request.seed)
    new = write_side(out / AFTER, pair.after, (pair, columns), title, request.seed)
    policy = _policy(more, pair.before.table.shown, tested_once(pair.metrics), pair.after.n_repeats)
    labels = read_labels(request.labels, [str(file) for file in request.labels], pair.metrics)
    found = compared(old, new, policy=policy, seed=request.seed, notes=notes, labels=labels)
    return _written(new, found, old, EarlierDecisions(), labels)


def _written(
    folder: RunFolder, found: Compared, old: RunFolder, earlier: EarlierDecisions, labels: tuple[Label, ...] = ()
) -> Result:
    manifest = found.stored.manifest
    written = write_decision(folder, manifest, found.summary, found.decision, earlier, None)
    manifest = replace(manifest, head=written.head)
    return Result(folder, manifest, found.summary, written.decision, old, written.sha256, labels)


def write_side(
    path: Path, side: Results, read: tuple[PairedResults, ResultColumns], title: str, seed: int
) -> RunFolder:
    """Write the results of one system as a run folder.

    Args:
        path: of the folder.
        side: the results.
        read: the pair of results that they are part of, and what their columns mean.
        title: name of the comparison.
        seed: of the draws.
    """
    pair, columns = read
    folder = new_run_folder(path, resume=False)
    table = side.table
    folder.write_manifest(
        Manifest(
            run_id=f"{table.name}@{table.sha256[:7]}",
            suite=title,
            suite_file="",
            golden=GoldenFacts(path=table.shown, sha256=_content(side), n_cases=side.n_cases),
            system=SystemFacts(kind="results"),
            metrics=pair.metrics,
            advisory=(),
            score_keys=_keys(columns),
            cohorts=columns.cohort_names,
            seed=seed,
            repeats=side.n_repeats,
            expected=len(side.rows),
            partial=None,
            notices=(),
            imported=ImportedFacts(
                file=table.shown,
                sha256=table.sha256,
                format=table.kind,
                n_rows=len(table.rows),
                columns=_meanings(table, columns),
                judged=columns.judged,
            ),
        )
    )
    with Journal(folder.rows_file) as journal:
        for row in side.rows:
            journal.append(row)
    return folder


def _content(side: Results) -> str:
    """Return the SHA-256 of the cases, in the order of their ids."""
    digests = dict.fromkeys(row.case.digest for row in side.rows)
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _keys(columns: ResultColumns) -> ScoreKeys:
    return {
        each.metric.name: {"scorer": "results", "column": each.column, "reading": each.why} for each in columns.grades
    }


def _meanings(table: ResultTable, columns: ResultColumns) -> dict[str, str]:
    """Return what each column that counts is read as -> its own name."""
    cases = columns.cases
    named = {
        "id": cases.id,
        "repeat": cases.repeat,
        "input": cases.input,
        "output": cases.output,
        "cluster": cases.cluster,
        **{f"cohorts.{name}": column for name, column in columns.cohorts.items()},
        **{f"cohorts.{name}": column for name, (column, _) in columns.tags.items()},
        **{f"amounts.{name}": column for name, column in columns.amounts.items()},
        **{f"metrics.{each.metric.name}": each.column for each in columns.grades},
    }
    return {name: table.names[column] for name, column in named.items() if column is not None}


def _notes(pair: PairedResults, columns: ResultColumns, unknown: str) -> tuple[str, ...]:
    """Say how the files were read, and what they cannot show."""
    return (*_gaps(pair), unknown, _NOT_CHECKED, *how_read(pair, columns))


def how_read(pair: PairedResults, columns: ResultColumns) -> tuple[str, ...]:
    """Say as what the columns were read, and which rows and columns do not count."""
    return (*_read_as(pair, columns), *_left_out(pair, columns))


def _gaps(pair: PairedResults) -> Iterator[str]:
    """Say what grades that only the new side lacks could hide: failures often look like gaps."""
    n_rows = len(pair.after.rows)
    for metric in pair.metrics:
        before, after = (sum(_is_missing(row, metric.name) for row in side.rows) for side in (pair.before, pair.after))
        if after - before < _FEW_GAPS or after - before <= _SMALL_SHARE * n_rows:
            continue
        grades = [row.scores.get(metric.name) for row in pair.after.rows]
        known = [grade.value for grade in grades if isinstance(grade, Score)]
        gaps = f"{metric.name}: {plural(after, 'row')} without a grade after, {before} before"
        if not known:
            yield f"{gaps}; what they would add to the drop is unknown"
            continue
        worst = metric.low if metric.higher_is_better else metric.high
        hidden = abs(sum(known) / len(known) - worst) * (after - before) / n_rows
        added = difference(hidden, style_of(metric.name, metric), n_rows)
        yield f"{gaps}; with the worst grade they would add up to {added} to the drop"


def _is_missing(row: Row, metric: str) -> bool:
    return row.failure is not None or isinstance(row.scores.get(metric), Unscored)


def _read_as(pair: PairedResults, columns: ResultColumns) -> Sequence[str]:
    names, cases = pair.after.table.names, columns.cases
    grades = "; ".join(f"`{names[each.column]}`: {each.why}" for each in columns.grades)
    how = "the text of " if cases.is_text else ""
    parts = [f"cases are paired by {how}`{names[cases.id]}`"]
    if cases.repeat:
        parts.append(f"`{names[cases.repeat]}` numbers their repeats")
    if cases.in_file_order and max(pair.before.n_repeats, pair.after.n_repeats) > 1:
        parts.append("rows of one id are its repeats")
    if cases.cluster:
        parts.append(f"cases of one `{names[cases.cluster]}` depend on each other")
    if columns.cohort_names:
        parts.append("cohorts: " + ", ".join(columns.cohort_names))
    return (f"read as {grades}", ", ".join(parts))


def _left_out(pair: PairedResults, columns: ResultColumns) -> list[str]:
    found = []
    if columns.unused:
        listed = ", ".join(f"`{name}`" for name in columns.unused[:_SHOWN_COLUMNS])
        more = f" and {len(columns.unused) - _SHOWN_COLUMNS} more" if len(columns.unused) > _SHOWN_COLUMNS else ""
        found.append(
            f"numbers that are not compared: {listed}{more}; "
            "if they are grades, name every column to compare with --metric"
        )
    for name, count in pair.empty_in_both.items():
        found.append(f"{name}: {plural(count, 'case')} without a grade in both files, read as not applicable")
    if columns.cases.twice:
        found.append(f"{plural(columns.cases.twice, 'row')} equal to an earlier one, counted once")
    for table in (pair.before.table, pair.after.table):
        found += [str(problem) for problem in table.left_out[:5]]
    return found
