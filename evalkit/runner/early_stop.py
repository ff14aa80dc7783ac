"""Run the cases of a suite with `early_stop` in parts, and stop once their comparison with the baseline is certain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evalkit.gate.assess import Terms, certainty_of
from evalkit.gate.policy import Canary, Failures, Policy
from evalkit.results import StoppedEarly
from evalkit.runner.case_order import in_random_order
from evalkit.stats.early_stop import looks_of
from evalkit.store.journal import Journal
from evalkit.types import Case

if TYPE_CHECKING:
    from evalkit.runner.engine import MakeRow
    from evalkit.runner.prepare import Prepared
    from evalkit.runner.session import Session
    from evalkit.store.stored_run import StoredRun
    from evalkit.systems.base import Answer


@dataclass(frozen=True)
class Looks:
    """The order of the cases, and where the run is looked at."""

    cases: Sequence[Case]
    ends: tuple[int, ...]
    """Numbers of cases after which the comparison is looked at; the last is that of all cases."""

    async def ask(self, session: Session, answer: Answer, make_row: MakeRow, journal: Journal, terms: Terms) -> None:
        """Run the cases up to the look at which the decision is certain, or all of them.

        Sets `session.stopped` if the run ends before its last case. A look that an earlier process has passed is not
        taken again, so that a resumed run continues as the first one would have.
        """
        for end in self.ends:
            session.cases = lambda end=end: self.cases[:end]  # type: ignore[misc]
            await session.call_all(make_row, journal, terms)
            if session.stop.reason is not None or end == len(self.cases) or self._passed(session, end):
                continue
            if await self._is_certain(session, end, answer, journal, terms):
                return

    def _passed(self, session: Session, end: int) -> bool:
        """Return whether a case after the look was run."""
        repeats = range(session.prepared.suite.options.repeat)
        return any((case.digest, repeat) in session.done for case in self.cases[end:] for repeat in repeats)

    async def _is_certain(self, session: Session, end: int, answer: Answer, journal: Journal, terms: Terms) -> bool:
        """Take a look, and decide with the cases so far if it is certain of the decision."""
        from evalkit.gate.early_stop import confirms

        repeat, planned = session.prepared.suite.options.repeat, session.expected
        why = certainty_of(session.frame, terms, expected=end * repeat)
        if why is None:
            return False
        await session.ask_former(answer, terms.former or (), repeat)
        session.expected = end * repeat
        session.stopped = StoppedEarly(n_cases=end, of=len(self.cases), why=why, calls_saved=planned - session.expected)
        _, decision = await session.decide(answer, journal, terms)
        if session.stop.reason is None and confirms(decision, why):
            session.watcher.note(str(session.stopped))
            return True
        session.expected, session.stopped = planned, None
        return False


def looks_at(prepared: Prepared, terms: Terms) -> Looks | None:
    """Return the order of the cases and the looks of a run; `None` if it runs all cases.

    Cases whose single failure counts come before the first look: canaries, critical ones, and those that a check
    counts. The others follow in a random order, with those of each value of the first cohort at equal distances. All
    cases are held in memory.
    """
    suite, baseline = prepared.suite, terms.baseline
    if terms.policy.early_stop is None or terms.partial is not None or terms.former is None:
        return None
    if baseline is None or baseline.other_conversation:
        return None
    by = next(iter(suite.options.cohorts), "kind")
    cases = in_random_order(prepared.golden.open(None), by, suite.options.seed, None)
    first = [case for case in cases if comes_first(case, terms.policy)]
    known = {case.digest for case in first}
    ends = tuple(end for end in looks_of(len(cases)) if end >= len(first))
    return Looks((*first, *(case for case in cases if case.digest not in known)), (*ends, len(cases)))


def comes_first(case: Case, policy: Policy) -> bool:
    """Return whether a single failure of a case counts, so that it is run before the first look."""
    canaries = any(isinstance(check, Canary) for check in policy.checks)
    counted = (check for check in policy.checks if isinstance(check, Failures))
    return (
        case.severity == "critical"
        or (canaries and case.kind == "canary")
        or any(check.severity in (None, case.severity) and check.kind in (None, case.kind) for check in counted)
    )


def terms_of_stopped(stored: StoredRun, terms: Terms) -> Terms:
    """Return the terms of a stored run that stopped early: it is partial unless the current gate would stop it too.

    Args:
        stored: the run; any other one keeps its terms.
        terms: terms of its decision.
    """
    manifest = stored.manifest
    stopped = manifest.stopped_early
    if stopped is None:
        return terms
    n, of, repeats = stopped.n_cases, stopped.of, terms.policy.repeats
    declared = n in looks_of(of) and of == manifest.golden.n_cases and manifest.expected == n * repeats
    if declared and certainty_of(stored.frame, terms, expected=manifest.expected) == stopped.why:
        saved = (of - n) * repeats
        return replace(terms, stopped=replace(stopped, calls_saved=saved))
    what = f"stopped early at {n:,} of {of:,} cases, where the current gate is not certain; continue with --resume"
    return replace(terms, partial=" ".join(filter(None, [terms.partial, what])))
