"""Let a judge choose between the answers of the systems of a stored run, two at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem, what_and_fix
from evalkit.formats.conversation import conversation_of
from evalkit.llm.budget import BudgetReached
from evalkit.operations.probe_judge import comparer_of
from evalkit.operations.stored_systems import as_in_suite, suite_of_systems
from evalkit.results import Estimate
from evalkit.scorers.judges.asking import total_usage
from evalkit.scorers.judges.identity import judge_name
from evalkit.store.folder import RunFolder
from evalkit.store.journal import read_rows
from evalkit.store.systems_folder import SystemsFolder
from evalkit.suite.parse import load_suite
from evalkit.types import Case, Unscored, Usage

if TYPE_CHECKING:
    from evalkit.scorers.judges.pairwise import BoundPairwise
    from evalkit.stats.tournament import Preferences

FILE = "tournament.json"
TRUST = "untrusted: no labels say which answers people prefer; a diagnosis, not a gate"
Progress = Callable[[int, int], None]
"""Called with the number of pairs that were judged and the number of all pairs."""


@dataclass(frozen=True, kw_only=True)
class Preference:
    """How often one system is preferred to another."""

    system: str
    other: str
    share: Estimate
    """Probability that the judge prefers the first, without the effect of the place."""


@dataclass(frozen=True, kw_only=True)
class TournamentFound:
    """The choices of a judge between the answers of several systems."""

    judge: str
    trust: str
    systems: tuple[str, ...]
    """The most preferred first."""
    preferences: tuple[Preference, ...]
    """Every system and each one after it."""
    position: float
    """Share of equal pairs in which the judge chooses the answer shown first; 0.5 for a fair judge."""
    undefeated: tuple[str, ...]
    """Systems that lost and tied no pair: how far they are ahead is unknown."""
    winless: tuple[str, ...]
    n_cases: int
    n_pairs: int
    """Judged pairs."""
    n_missing: int
    """Pairs without a usable reply."""
    missing_kinds: Mapping[str, int]
    usage: Usage | None
    """Usage of the replies that were not cached."""


@dataclass(frozen=True)
class _Pairing:
    """Two answers to one case, in the order in which they are shown."""

    case: Case
    first: int
    second: int
    texts: tuple[str, str]


async def run_tournament(
    folder: SystemsFolder, suite_file: Path | None, env: Mapping[str, str], *, seed: int, progress: Progress
) -> TournamentFound:
    """Ask the suite's judge about the answers of every system, and write `tournament.json` into the run.

    Each case gives a random cycle through the systems that answered it, and each pair is shown in one random order.
    Conversations are left out. No system is called, and cached replies are reused.

    Args:
        folder: a run of several systems.
        suite_file: the suite; `None` for that of the run.
        env: holds the key of the judge.
        seed: seed of the pairs and the intervals.
        progress: called after each pair.

    Raises:
        InputError: run or suite cannot be read, the suite has no judge, or no pair connects all systems.
        StoreError: the file cannot be written.
    """
    from evalkit.runner.prepare import prepare

    run, _ = as_in_suite(folder, suite_file)
    suite = load_suite(suite_file or suite_of_systems(folder, run))
    names = [each.name for each in run.systems]
    async with AsyncExitStack() as stack:
        prepared = await prepare(suite, env, stack, replies="taken")
        if prepared.services.llm is None:
            fix = "add the line `judge: {chat: gpt-4o-mini}`, or another model's name"
            raise InputError(Problem(suite.place("judge"), "no chat judge, but a tournament needs one", fix))
        if prepared.services.llm.no_key:
            what = prepared.services.llm.no_key.removeprefix("no key: ")
            raise InputError(Problem(suite.place("judge"), *what_and_fix(what)))
        pairings = list(_pairings([folder.folder_of(run, name) for name in names], seed))
        if not pairings:
            what = "no case has answers of two systems, apart from conversations"
            raise InputError(Problem(shown_path(folder.path), what, "run the suite again"))
        choices = await _asked(pairings, comparer_of(prepared), progress)
        judge = judge_name(prepared.services.llm)
    found = _found(pairings, choices, names, seed, shown_path(folder.path))
    found = replace(found, judge=judge)
    RunFolder(folder.path).write_json(FILE, tournament_record(found))
    return found


def tournament_record(found: TournamentFound) -> dict[str, object]:
    """Convert the result to JSON."""
    return {"format": 1, **asdict(found)}


def _pairings(folders: Sequence[RunFolder], seed: int) -> Iterator[_Pairing]:
    import numpy as np

    from evalkit.stats.tournament import cycle

    cases: dict[str, Case] = {}
    answers: dict[str, dict[int, str]] = {}
    for number, folder in enumerate(folders):
        for row in read_rows(folder.rows_file):
            answered = row.output is not None and row.output.fault is None
            if row.repeat == 0 and answered and not _is_conversation(row.case):
                cases[row.case.digest] = row.case
                answers.setdefault(row.case.digest, {})[number] = row.output.text  # type: ignore[union-attr]
    for digest in sorted(cases):
        texts = answers[digest]
        # The pairs of a case do not depend on other cases.
        rng = np.random.default_rng([seed, int(digest[:16], 16)])
        for first, second in cycle(sorted(texts), rng):
            yield _Pairing(cases[digest], first, second, (texts[first], texts[second]))


def _is_conversation(case: Case) -> bool:
    return "turns" in case.fields or conversation_of(case).user is not None


_Chosen = tuple[float | None, str, Usage | None]
"""Points of the answer shown first (`None` without a reply), the kind of what failed, and the usage."""


async def _asked(pairings: Sequence[_Pairing], judge: BoundPairwise, progress: Progress) -> list[_Chosen]:
    n_done = 0

    async def ask(each: _Pairing) -> _Chosen:
        nonlocal n_done
        try:
            found = await judge.choose(each.case, *each.texts)
        except BudgetReached:
            found = Unscored(judge.name, "budget", "")
        n_done += 1
        progress(n_done, len(pairings))
        return (None, found.kind, found.usage) if isinstance(found, Unscored) else (found.points, "", found.usage)

    return list(await asyncio.gather(*map(ask, pairings)))


def _found(
    pairings: Sequence[_Pairing], chosen: Sequence[_Chosen], names: Sequence[str], seed: int, place: str
) -> TournamentFound:
    import numpy as np

    from evalkit.stats.clusters import cluster_codes
    from evalkit.stats.tournament import Choices, preferences

    kept = [(each, points) for each, (points, _, _) in zip(pairings, chosen, strict=True) if points is not None]
    missing = [kind for points, kind, _ in chosen if points is None]
    choices = Choices(
        clusters=cluster_codes([each.case.cluster or each.case.id for each, _ in kept]).astype(np.int64),
        first=np.array([each.first for each, _ in kept], np.int64),
        second=np.array([each.second for each, _ in kept], np.int64),
        points=np.array([points for _, points in kept], np.float64),
        k=len(names),
    )
    try:
        made = preferences(choices, rng=np.random.default_rng(seed))
    except ValueError as error:
        what, fix = what_and_fix(str(error).removeprefix("choices: "))
        kinds = f" ({len(missing)} pairs without a reply: {', '.join(sorted(set(missing)))})" if missing else ""
        raise InputError(Problem(place, f"{what}{kinds}", fix)) from None
    order = sorted(range(len(names)), key=lambda at: (-float(made.strengths[at]), names[at]))
    fresh = [usage for _, _, usage in chosen if usage is not None and not usage.cached]
    return TournamentFound(
        judge="",
        trust=TRUST,
        systems=tuple(names[at] for at in order),
        preferences=tuple(_preferences(made, order, names, len(np.unique(choices.clusters)))),
        position=float(1 / (1 + np.exp(-made.position))),
        undefeated=tuple(names[at] for at in made.undefeated),
        winless=tuple(names[at] for at in made.winless),
        n_cases=len({each.case.digest for each, _ in kept}),
        n_pairs=len(kept),
        n_missing=len(missing),
        missing_kinds={kind: missing.count(kind) for kind in sorted(set(missing))},
        usage=total_usage(fresh),
    )


def _preferences(made: Preferences, order: Sequence[int], names: Sequence[str], n: int) -> Iterator[Preference]:
    for place, at in enumerate(order):
        for other in order[place + 1 :]:
            share = Estimate(
                value=float(made.preferred[at, other]),
                low=float(made.low[at, other]),
                high=float(made.high[at, other]),
                n=n,
                method="quasi-likelihood with position effect, bootstrap over cases",
            )
            yield Preference(system=names[at], other=names[other], share=share)
