"""Search what the system knows for cases of the golden set, before the first call."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from evalkit.disk.paths import shown_path
from evalkit.errors import Problem
from evalkit.gate.leakage import Leakage
from evalkit.golden.lock import canary_of
from evalkit.golden.overlap import overlap
from evalkit.golden.read import GoldenSet
from evalkit.golden.survey import Lack
from evalkit.suite.model import Suite

if TYPE_CHECKING:
    from evalkit.golden.leakage import Leaks


def search_leaks(suite: Suite, golden: GoldenSet) -> GoldenSet:
    """Return the set with the cases that occur in training data and prompts, and in what a check of the gate names.

    A corpus, which may be large, is searched only for a check.

    Raises:
        InputError: a file cannot be read.
    """
    known = [(file, file.relative_to(suite.root).as_posix()) for file in suite.learnt_files]
    asked = {"prompts", *(check.of for check in suite.policy.checks if isinstance(check, Leakage))}
    files = {source: found for source, found in suite.searched.items() if source in asked}
    equal = () if "trained_on" in asked else tuple(overlap(golden, known))
    if not files:
        return replace(golden, learnt=equal)
    from evalkit.golden.leak_sources import find_leaks
    from evalkit.suite.rubric_examples import examples_by_file

    leaks = find_leaks(golden, files, suite.root, canary_of(suite.golden_file), examples_by_file(suite))
    warnings = (*equal, *_warnings(leaks, shown_path(suite.path)))
    return replace(golden, learnt=warnings, leaked={source: leaks.cases_in(source) for source in files})


def _warnings(leaks: Leaks, suite: str) -> Iterator[Problem]:
    for leak in leaks.found:
        if not leak.case_id:
            what = f"the canary string of the golden set occurs in `{leak.source}`"
            yield Problem(leak.place, what, "the file holds a copy of the set: take it out")
    for source in leaks.searched:
        first = next((leak for leak in leaks.found if leak.source == source and leak.case_id), None)
        if first is None:
            continue
        lack = Lack(first.case_place)
        for case_id in leaks.cases_in(source):
            lack.add(case_id)
        what = f"{lack.n} of {leaks.n_cases} cases occur in `{source}`: {lack}; the first at {first.place}"
        see = f"see `evalkit golden leaks {shlex.quote(suite)}`"
        yield Problem(lack.place, what, f"{see}, and take them out of one of the two")
