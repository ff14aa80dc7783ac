"""Compare the systems of a run."""

from __future__ import annotations

from collections.abc import Mapping

from evalkit.aggregate.compare_systems import compare_systems
from evalkit.aggregate.system_columns import columns_of_run
from evalkit.aggregate.system_comparison import SystemComparison
from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem
from evalkit.formats.systems_run import BY_CASE, SystemsRun
from evalkit.results import Outcome
from evalkit.store.comparison import store_comparison
from evalkit.store.folder import SYSTEMS
from evalkit.store.stored_run import load_run
from evalkit.store.systems_folder import SystemsFolder


def comparison_of(folder: SystemsFolder, run: SystemsRun, outcomes: Mapping[str, Outcome]) -> SystemComparison:
    """Compare the systems of a run by their run folders, and write `comparison.json`.

    Args:
        folder: folder of the run.
        run: its systems.
        outcomes: released system -> decision of its gate.

    Raises:
        InputError: a run folder is damaged, or has no such primary metric.
        StoreError: the comparison cannot be written.
    """
    try:
        systems = [
            columns_of_run(
                load_run(folder.folder_of(run, each.name)).frame,
                name=each.name,
                primary=run.primary,
                folder=each.folder,
                factors=each.factors,
                outcome=outcomes.get(each.name),
            )
            for each in run.systems
        ]
    except ValueError as error:
        what = str(error).removeprefix("primary: ").partition(";")[0]
        raise InputError(Problem(f"{shown_path(folder.path / SYSTEMS)} primary", what, "run the suite again")) from None
    seed = folder.folder_of(run, run.reference).manifest().seed
    comparison = compare_systems(
        systems,
        suite=run.suite,
        primary=run.primary,
        reference=run.reference,
        release=run.release,
        seed=seed,
        interleaved=run.order == BY_CASE,
    )
    store_comparison(folder.path, comparison)
    return comparison
