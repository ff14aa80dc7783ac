"""Check the golden set of a suite, or reuse the index of an earlier check with the same inputs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from evalkit.errors import Problem
from evalkit.formats.manifest import GoldenFacts
from evalkit.golden.read import GoldenSet, known_golden, open_golden
from evalkit.golden.stored_index import CaseTally, IndexStore, state_of
from evalkit.runner.grading import Grader
from evalkit.runner.needs import asked_fields, need_of
from evalkit.runner.unreachable_gates import CaseCounts
from evalkit.suite.model import Suite
from evalkit.systems.base import Shared
from evalkit.systems.replay import ReplaySystem

FOLDER = ".evalkit/sets"
"""Path of the indexes below the project's root."""


def read_golden(  # noqa: PLR0913 - each is a fact about the check
    suite: Suite,
    graders: Sequence[Grader],
    shared: Shared,
    counts: CaseCounts,
    problems: list[Problem],
    *,
    checked: GoldenFacts | None,
    stores: bool,
) -> GoldenSet:
    """Check the golden set of a suite.

    Args:
        suite: the suite.
        graders: its scorers, with the one for checks of cases.
        shared: the folder, and the environment.
        counts: counts the cases.
        problems: takes those that the scorers have with the cases.
        checked: the set of an earlier run of the same suite; if unchanged, it is not checked again.
        stores: whether an index is used and stored.

    Raises:
        InputError: reports the problems of the set.
    """
    source = (suite.golden, suite.golden_file, suite.golden_shown)
    store = index_store(suite, graders, shared, counts, problems) if stores else None
    known = known_golden(*source, checked, reading=suite.reading, store=store) if checked else None
    return known or open_golden(
        *source,
        need=counts.counting(need_of(suite, graders, shared, problems.append)),
        reading=suite.reading,
        cohorts=suite.options.cohorts,
        store=store,
    )


def index_store(
    suite: Suite, graders: Sequence[Grader], shared: Shared, counts: CaseTally, problems: Sequence[Problem]
) -> IndexStore | None:
    """Return where the index of a suite's golden set is stored.

    Args:
        suite: the suite.
        graders: its scorers, with the one for checks of cases.
        shared: the folder, and the environment with the key that signs the index.
        counts: counts the cases while they are read.
        problems: those that the scorers have with the cases; a set with any is checked each time.

    Returns:
        `None` if the set is small or no file, if it has conversations, which are read whole for other reasons too, or
        if a scorer of an installed package, a stored answer without a hash or an unknown key may change what a check
        finds.
    """
    file = suite.golden_file
    if file is None or suite.conversation is not None or state_of(file) is None:
        return None
    if any(grader.package for grader in graders):
        return None
    replayed = [_answers(config, shared) for config in suite.configs if isinstance(config, ReplaySystem)]
    if None in replayed:
        return None
    from evalkit.llm.cache_key import cache_key

    try:
        secret = cache_key(shared.env, suite.root)
    except ValueError:
        return None
    parts = {
        "source": asdict(suite.golden),
        "shown": suite.golden_shown,
        "reading": asdict(suite.reading),
        "cohorts": suite.options.cohorts,
        "counted": counts.names,
        "scorers": [_parts(grader) for grader in graders],
        "options": [asdict(entry.options) for entry in suite.scorers],
        "fields": sorted({name for config in suite.configs for name in asked_fields(config, shared)}),
        "answers": replayed,
    }
    return IndexStore(suite.root / FOLDER, json.dumps(parts, sort_keys=True, default=_plain), secret, counts, problems)


def _parts(grader: Grader) -> list[Any]:
    """Return what decides whether a scorer applies to a case, votes on it, and can read it."""
    scorer, when = grader.scorer, grader.when
    facts = [scorer.name, grader.key, grader.index, grader.advisory, grader.over, sorted(scorer.needs)]
    return [*facts, when and asdict(when), [[metric.name, metric.votes] for metric in scorer.metrics]]


def _answers(config: ReplaySystem, shared: Shared) -> str | None:
    """Return what tells stored answers apart; `None` if only their version is known."""
    if config.from_golden:
        return config.field
    return config.fingerprint(shared) if config.version is None else None


def _plain(value: Any) -> Any:
    """Return a value that JSON lacks as one that is written the same each time."""
    return sorted(map(str, value)) if isinstance(value, set | frozenset) else str(value)
