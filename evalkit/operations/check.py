"""Check a suite and everything that it names, without calling anything."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.disk.paths import shown_path
from evalkit.errors import Problem
from evalkit.golden.index import labelled
from evalkit.golden.proofs import read_proofs, unproven
from evalkit.golden.read import GoldenSet
from evalkit.golden.rotation import late_rotation
from evalkit.operations.conversation_calls import ConversationCalls, conversation_calls, single_calls
from evalkit.operations.further_cases import further_cases
from evalkit.operations.plan_systems import ready_systems
from evalkit.operations.run import Request, ready
from evalkit.runner.draw import chosen_cases
from evalkit.runner.plan import Selection
from evalkit.runner.systems import Ready
from evalkit.runner.variants import PlannedVariants
from evalkit.suite.parse import load_suite
from evalkit.text.numbers import plural

if TYPE_CHECKING:
    from evalkit.runner.prepare import Prepared


@dataclass(frozen=True, kw_only=True)
class SoundSuite:
    """A suite without problems, and the inputs of its run."""

    prepared: Prepared
    calls: ConversationCalls
    """Calls in a whole run."""
    further: tuple[str, ...]
    """Cases that a whole run calls besides: held-out cases, variants, those of the reference system."""
    n_labels: int
    baseline: str | None
    """Name of the baseline's folder, `None` before the first baseline is saved."""
    systems: tuple[Ready, ...] = ()
    """The systems of a suite with several, in its order."""
    overdue: tuple[Problem, ...] = ()
    """Warnings about regression cases that no two runs have proven in time, and about a rotation that is due."""


async def check_suite(suite_file: Path, env: Mapping[str, str], today: datetime.date | None = None) -> SoundSuite:
    """Check a suite.

    Args:
        suite_file: the suite.
        env: the environment, for secrets and the base branch.
        today: the day that overdue work is counted to; `None` to leave it out.

    Raises:
        InputError: reports every problem of suite, golden set, system, scorers, gate, labels and baseline.
    """
    suite = load_suite(suite_file)
    request, systems = Request(suite=suite_file, replies="none"), list[Ready]()
    async with AsyncExitStack() as stack:
        if suite.systems:
            prepared, systems = await ready_systems(suite, request, env, stack)
            terms = next((each.terms for each in systems if each.terms.baseline_folder), systems[0].terms)
        else:
            prepared, terms = await ready(suite, request, env, stack)
    chosen, _ = chosen_cases(prepared, Selection())
    repeats = suite.options.repeat
    n_cases = prepared.golden.n_cases if chosen is None else len(chosen)
    calls = single_calls(0)
    for one in [each.prepared.suite for each in systems] or [suite]:
        if suite.conversation is None:
            called = not systems or one.system_kind != "replay"
            calls += single_calls(n_cases * repeats if called else 0)
        else:
            open_cases = prepared.golden.open(chosen)
            calls += conversation_calls(one, ((case, repeats) for case in open_cases))
    late: tuple[Problem, ...] = ()
    if today is not None and suite.golden_file is not None:
        added = _regressions(prepared.golden)
        late = tuple(unproven(prepared.golden.open(added), read_proofs(suite.golden_file), today)) if added else ()
        late += tuple(late_rotation(Path(shown_path(suite.golden_file)), today))
    return SoundSuite(
        prepared=prepared,
        calls=calls,
        systems=tuple(systems),
        further=() if systems else tuple(_further(prepared, chosen)),
        n_labels=len(terms.labels),
        baseline=terms.baseline_folder.path.name if terms.baseline_folder else None,
        overdue=late,
    )


def _further(prepared: Prepared, chosen: frozenset[str] | None) -> Iterator[str]:
    yield from further_cases(prepared)
    # A set with an index is read again only for variants, which are made of its rows.
    variants = PlannedVariants(prepared, chosen).cases() if prepared.suite.variants else ()
    if n := sum(1 for _ in variants):
        yield plural(n, "variant")


def _regressions(golden: GoldenSet) -> frozenset[str]:
    """Return the digests of the regression cases."""
    kinds = labelled(golden.outlines(), lambda case: case.kind)
    return frozenset(digest for kind, digest in kinds if kind == "regression")
