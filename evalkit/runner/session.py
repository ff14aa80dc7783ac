"""Drive one run from its first call to its decision: journal rows, count, stop early."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
from collections.abc import Awaitable, Callable, Collection, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from time import perf_counter  # by name: a system may patch the module
from typing import TYPE_CHECKING

from evalkit.aggregate.statuses import QUARANTINED
from evalkit.baselines.load import load_baseline
from evalkit.formats.manifest import Manifest
from evalkit.gate.assess import Terms, assess, refuse_incomparable
from evalkit.results import Decision, StoppedEarly, Summary
from evalkit.runner.alternation import MOST_TIMED_CASES, alternating
from evalkit.runner.batch_rounds import first_graders, grade_in_batches
from evalkit.runner.chat_clients import client_notes
from evalkit.runner.conversations import open_system
from evalkit.runner.earlier import Already, EarlierRows
from evalkit.runner.engine import MakeRow, Stop, answered_and_graded, charge, charged, run_cases
from evalkit.runner.fail_fast import FailFast
from evalkit.runner.grading import GradeAll, Grader, grade_all
from evalkit.runner.old_cases import open_former, with_former
from evalkit.runner.plan import drawn, plan
from evalkit.runner.quarantine import DEATHS, Quarantine
from evalkit.runner.refusals import Refusals
from evalkit.runner.scoring import Scoring
from evalkit.runner.variants import OF_VARIANT, PlannedVariants, grading_again, with_variants
from evalkit.store.changes_since import ChangesSince
from evalkit.store.folder import DECISION, RunFolder
from evalkit.store.journal import Journal, read_rows
from evalkit.store.row_keys import Key
from evalkit.store.running import Running
from evalkit.systems.secrets import without_secrets
from evalkit.types import Case, Row

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.gate.decide import NeedsRepeats
    from evalkit.runner.chat_clients import Replies
    from evalkit.runner.early_stop import Looks
    from evalkit.runner.prepare import Prepared
    from evalkit.systems.base import Answer

_WARMED = ("evalkit.stats.distributions", "evalkit.aggregate.summary", "evalkit.gate.decide")
"""Modules imported in a thread during the first calls, to save time at the end."""


class Interrupted(Exception):
    """The user stopped the run; it can be resumed from the journal."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__(str(folder.path))
        self.folder = folder


@dataclass(frozen=True)
class Watcher:
    """Callbacks for run progress."""

    begin: Callable[[Prepared, int, Already, str], None] = lambda prepared, expected, already, baseline: None
    """Called before the first call with the checked suite, rows expected, rows present and title of the baseline."""
    row: Callable[[Row], None] = lambda row: None
    """Called when a repeat of a case has ended."""
    note: Callable[[str], None] = lambda text: None
    """Called with a notice for the user."""


@dataclass(frozen=True)
class Place:
    """An open run folder."""

    folder: RunFolder
    manifest: Manifest
    running: Running
    earlier: EarlierRows
    """Rows left by an earlier process."""
    before: ChangesSince
    """Its earlier decisions."""


class Session:
    """One run from its first call to its decision."""

    def __init__(
        self,
        prepared: Prepared,
        watcher: Watcher,
        stop: Stop,
        place: Place,
        chosen: Collection[str] | None,
        fail_fast: int | None = None,
    ) -> None:
        self.prepared, self.watcher, self.stop, self.chosen = prepared, watcher, stop, chosen
        self.paced: Callable[[MakeRow], MakeRow] = lambda make_row: make_row
        """Keeps the planned calls at the pace of the other systems of a run."""
        self.on_engine: Callable[[Journal], Awaitable[Collection[Key]]] | None = None
        """Runs the planned calls in other processes, and returns the cases that ended several of them."""
        self.cases: Callable[[], Iterable[Case]] = lambda: prepared.golden.open(chosen)
        """Gives the cases in the order in which they are run."""
        self.looks: Looks | None = None
        """Where the run may end before its last case."""
        self.stopped: StoppedEarly | None = None
        self.folder, self.running, self.earlier = place.folder, place.running, place.earlier
        self.frame, self.done = place.earlier.frame, place.earlier.done
        self.refusals = Refusals(prepared.suite.options.concurrency)
        self.secrets, self.advisory = prepared.secrets, prepared.advisory
        self.manifest = place.manifest
        self._first = first_graders(prepared)
        """Scorers that grade an answer at once; the others wait for batches."""
        self.answered = place.manifest.answers is not None
        """Whether stored answers are scored, so that no system is called."""
        self.expected: int = place.manifest.expected
        n_open = self.expected - len(self.done) + place.earlier.n_open
        self._failing = FailFast(fail_fast, n_open, prepared.suite.options, self.advisory, stop)
        self._undecided = False
        self.wall_s: float | None = None
        """Seconds that the calls took, `None` if some were made in another process."""

    async def to_decision(self, answer: Answer, journal: Journal, terms: Terms) -> tuple[Summary, Decision]:
        """Run the cases that are not in the journal, run suspects again if the gate needs it, and decide."""
        await self.ask(answer, journal, terms)
        return await self.decide(answer, journal, terms)

    async def ask(self, answer: Answer, journal: Journal, terms: Terms) -> None:
        """Run the cases that are not in the journal, and removed or edited ones of the base."""
        self.watcher.begin(self.prepared, self.expected, self.earlier.already, terms.baseline_title)
        warming = asyncio.create_task(asyncio.to_thread(_warm))
        started = perf_counter()
        if not self._defers:
            await self.grade_stored(self.earlier.ungraded(), self.earlier.graded_again(), journal)
        await self._ask_apart(journal, self._died())
        if self.on_engine is not None and self.stop.reason is None:
            await self._ask_apart(journal, await self.on_engine(journal))
        make_row = self.paced(self._maker(answer, self._first))
        if self.looks is None:
            await self.call_all(make_row, journal, terms)
        else:
            await self.looks.ask(self, answer, make_row, journal, terms)
        await self.ask_former(answer, terms.former or (), self.prepared.suite.options.repeat)
        self.wall_s = None if self.earlier.n_rows else perf_counter() - started
        await self._ask_variants(answer)
        if self._defers and self.stop.reason is None:
            await grade_in_batches(self, journal)
        await warming
        for note in client_notes(self.prepared):
            self.watcher.note(note)
        if (budget := self.prepared.budget) is not None and budget.uncounted:
            self.watcher.note(budget.uncounted)

    async def decide(self, answer: Answer, journal: Journal, terms: Terms) -> tuple[Summary, Decision]:
        """Decide, and run suspects again if the gate needs it."""
        if terms.policy.escalates and self.folder.old_rows_file.exists():
            terms = self._with_old_rows(terms)
        terms = dataclasses.replace(with_variants(terms, self.folder, self.manifest), stopped=self.stopped)
        make_row = self._maker(answer)
        while True:
            if self.stop.reason is not None:
                terms = dataclasses.replace(terms, partial=self.stop.reason)
            self.prepared.process.back()
            summary, decision = assess(self.frame, terms, expected=self.expected, wall_s=self.wall_s)
            if isinstance(decision, Decision):
                refuse_incomparable(decision)
                return summary, await self._with_former(decision, answer, terms)
            more = self._again(decision, self.done)
            await self._call(iter(more), make_row, journal)
            if decision.both and self.stop.reason is None:
                terms = await self._call_old(decision, terms)

    @property
    def _defers(self) -> bool:
        """Whether some scorers wait for batches."""
        return len(self._first) < len(self.prepared.graders)

    def _maker(self, answer: Answer, graders: Sequence[Grader] | None = None) -> MakeRow:
        """Return the function that makes the rows of this run, with all scorers or some."""
        graders = self.prepared.graders if graders is None else graders
        return self._noted(answered_and_graded(answer, self._grade(answer, graders), Scoring(graders, {}).id))

    def _grade(self, answer: Answer, graders: Sequence[Grader] | None = None) -> GradeAll:
        """Return the function that grades the answers of a system."""
        again = None if self.answered else charged(answer, self.prepared.budget)
        return grade_all(self.prepared.graders if graders is None else graders, again)

    async def grade_stored(
        self, work: Iterator[tuple[Case, int]], make_row: MakeRow, journal: Journal, concurrency: int | None = None
    ) -> None:
        """Grade stored answers, whose calls are paid for; as many at once as the suite says, or `concurrency`."""
        await self._call(work, self._noted(make_row), journal, paid=True, concurrency=concurrency)

    def _noted(self, make_row: MakeRow) -> MakeRow:
        """Note each case before it runs, so that the next process knows which were in flight."""

        async def noted(case: Case, repeat: int) -> Row:
            self.running.begins(case.digest, repeat)
            return await make_row(case, repeat)

        return noted

    def _died(self) -> set[Key]:
        """Return the cases that were in flight when two processes died."""
        died = self.running.deaths(self.done)
        suspects = {key for key, count in died.items() if count >= DEATHS}
        suspects -= {key for key in suspects if key[0].startswith(OF_VARIANT)}
        return suspects | self.earlier.quarantined

    async def _ask_apart(self, journal: Journal, suspects: Collection[Key]) -> None:
        """Run cases that may have ended a process in a subprocess; skip those that kill it too."""
        if not suspects or self.answered or self.stop.reason is not None:
            return
        self.watcher.note(f"in flight when the process died, so run in another one: {len(suspects)} of the cases")
        suite, killers = self.prepared.suite, dict[Key, str]()
        cache = self.prepared.cache
        replies: Replies = "none" if cache is None else "taken" if cache.taken else "renewed"
        trial = Quarantine(suite.path, suite.options.concurrency, replies, self.prepared.shared.env, suite.system_name)

        async def ask() -> None:
            killers.update(await trial.ask(sorted(suspects), lambda row: self._take(row, journal)))

        await self.stop.bound(ask())
        if self.stop.signal is not None:
            raise Interrupted(self.folder)
        digests = frozenset(digest for digest, _ in killers)
        repeats = sorted({repeat for _, repeat in killers})
        for case, repeat in plan(self.prepared.golden.open(digests), repeats, chosen=digests, done=()):
            if ended := killers.get((case.digest, repeat)):
                reason = f"{QUARANTINED}: processes died while it ran, the last one by itself ({ended})"
                self._count(self._keep(Row(case=case, repeat=repeat, skipped=reason), journal))

    async def call_all(self, make_row: MakeRow, journal: Journal, terms: Terms) -> None:
        """Run the planned cases; if speed is compared, alternate with the baseline's system."""
        options = self.prepared.suite.options
        if self.done.n_below(options.repeat) >= self.expected:
            return None
        work = plan(self.cases(), range(options.repeat), chosen=self.chosen, done=self.done)
        old_system = self.prepared.suite.baseline_system
        if old_system is None or terms.baseline is None or not (terms.policy.alternates or terms.asks_both):
            return await self._call(work, make_row, journal)
        n_timed = self.expected if terms.asks_both else MOST_TIMED_CASES
        timed = drawn(self.prepared.golden.outlines(), n_timed, options.seed, among=self.chosen)
        async with open_system(old_system, self.prepared) as answer:
            ask_old = answered_and_graded(answer, self._grade(answer))
            with Journal(self.folder.old_rows_file) as old_journal:
                keep_old = partial(self._keep_old, journal=old_journal)
                paired = alternating(make_row, ask_old, keep_old, timed, options.repeat if terms.asks_both else 1)
                return await self._call(work, paired, journal)

    def _again(self, asked: NeedsRepeats, done: Container[Key]) -> list[tuple[Case, int]]:
        wanted = frozenset(asked.case_ids)
        cases = (case for case in self.prepared.golden.open() if case.id in wanted)
        return list(plan(cases, range(asked.repeats), chosen=None, done=done))

    async def _call_old(self, asked: NeedsRepeats, terms: Terms) -> Terms:
        """Run the baseline's system as well; its rows are kept separately and count as the baseline's."""
        suite, prepared = self.prepared.suite, self.prepared
        if suite.baseline_system is None or terms.baseline_folder is None:
            return terms
        files = [file for file in (terms.baseline_folder.rows_file, self.folder.old_rows_file) if file.exists()]
        done = {(row.case.digest, row.repeat) for file in files for row in read_rows(file)}

        async with open_system(suite.baseline_system, prepared) as answer:
            make_row = answered_and_graded(answer, self._grade(answer))
            await self._call_beside(iter(self._again(asked, done)), make_row, self.folder.old_rows_file)
        return self._with_old_rows(terms)

    async def ask_former(self, answer: Answer, cases: Collection[Case], repeats: int) -> None:
        """Run removed or edited cases of the base in their old form; their rows are kept separately."""
        work = open_former(self.folder, cases, repeats, self.earlier.scoring.id) if cases else []
        if not work or self.stop.reason is not None:
            return
        self.watcher.note(f"removed or edited cases are run in their old form too: {len(cases)}")
        make_row = answered_and_graded(answer, self._grade(answer), self.earlier.scoring.id)
        await self._call_beside(iter(work), make_row, self.folder.former_rows_file)

    async def _ask_variants(self, answer: Answer) -> None:
        """Run the variants of the cases; their rows are kept separately."""
        if not self.prepared.suite.variants or self.stop.reason is not None:
            return
        variants = PlannedVariants(self.prepared, self.chosen)
        self.watcher.note(f"variants of the cases are run too: {', '.join(variants.names)}")
        if fatal := variants.sort_out(self.running.deaths(self.done), at_least=DEATHS):
            self.watcher.note(f"variants that were in flight when the process died are left out: {fatal}")
        make_row = answered_and_graded(answer, self._grade(answer), self.earlier.scoring.id)

        async def noted(case: Case, repeat: int) -> Row:
            self.running.begins(OF_VARIANT + case.digest, repeat)
            return await make_row(case, repeat)

        scoring, retry = self.earlier.scoring, self.earlier.retry
        await self._call_beside(variants.open(self.folder, scoring, retry=retry), noted, self.folder.variant_rows_file)
        again = grading_again(variants.graded_again(self.folder), scoring, retry=retry)
        await self._call_beside(*again, self.folder.variant_rows_file, paid=True)
        await self._call_beside(iter(variants.held_back), noted, self.folder.variant_rows_file, solo=True)
        if self.stop.reason is None:
            variants.set_aside_others(self.folder)
            self.manifest = dataclasses.replace(self.manifest, variants=variants.facts())

    async def _call_beside(
        self, work: Iterator[tuple[Case, int]], make_row: MakeRow, file: Path, *, solo: bool = False, paid: bool = False
    ) -> None:
        """Run cases whose rows are kept in a file of their own."""
        concurrency = 1 if solo else self.prepared.suite.options.concurrency
        with Journal(file) as journal:
            keep = partial(self._keep_old, journal=journal, paid=paid)
            await run_cases(work, make_row, keep, concurrency=concurrency, stop=self.stop)
        if self.stop.signal is not None:
            raise Interrupted(self.folder)

    async def _with_former(self, own: Decision, answer: Answer, terms: Terms) -> Decision:
        """Add the results of former cases to the decision, running them again if the gate needs it."""
        found = with_former(own, self.folder, self.manifest, terms, final=self.stop.reason is not None)
        while not isinstance(found, Decision):
            again = [case for case in terms.former or () if case.id in found.case_ids]
            await self.ask_former(answer, again, found.repeats)
            found = with_former(own, self.folder, self.manifest, terms, final=self.stop.reason is not None)
        return found

    def _keep_old(self, row: Row, journal: Journal, *, paid: bool = False) -> list[Row]:
        journal.append(without_secrets(row, self.secrets))
        charge(None if paid else self.prepared.budget, self.stop, row)
        return [row]

    def _with_old_rows(self, terms: Terms) -> Terms:
        keys = self.prepared.score_keys
        key, same_run = self.manifest.conversation_key, terms.same_run
        baseline = load_baseline(terms.baseline_folder, keys, self.folder, key, same_run=same_run, written_now=same_run)
        return dataclasses.replace(terms, baseline=baseline)

    async def _call(
        self,
        work: Iterator[tuple[Case, int]],
        make_row: MakeRow,
        journal: Journal,
        *,
        paid: bool = False,
        concurrency: int | None = None,
    ) -> None:
        def keep(row: Row) -> list[Row]:
            charge(None if paid else self.prepared.budget, self.stop, row)
            kept = [self._keep(each, journal) for each in self.refusals.take(row)]
            if self.refusals.reason:
                self.stop(self.refusals.reason)
            return kept

        concurrency = concurrency or self.prepared.suite.options.concurrency
        await run_cases(work, make_row, keep, count=self._count, concurrency=concurrency, stop=self.stop)
        held = self.refusals.release()
        if self.stop.signal is not None:
            raise Interrupted(self.folder)
        for row in held if self.stop.reason is None else ():
            self._count(self._keep(row, journal))

    def take(self, row: Row, line: bytes, journal: Journal) -> None:
        """Take the row of a worker as it wrote it, unless its case is done."""
        if (row.case.digest, row.repeat) not in self.done:
            self.running.begins(row.case.digest, row.repeat)
            self._take(row, journal, line)

    def _take(self, row: Row, journal: Journal, line: bytes | None = None) -> None:
        """Take a row from another process."""
        charge(self.prepared.budget, self.stop, row, with_judges=True)
        self._count(self._keep(row, journal, line))

    def _keep(self, row: Row, journal: Journal, line: bytes | None = None) -> Row:
        """Append a row and invalidate any earlier decision."""
        if not self._undecided:
            self.folder.file(DECISION).unlink(missing_ok=True)
            self._undecided = True
        if line is None:
            row = without_secrets(row, self.secrets)
            journal.append(row)
        else:
            journal.append_line(line)
        self.done.add((row.case.digest, row.repeat))
        if not self._is_open(row):
            self._failing.take(row)
        return row

    def _is_open(self, row: Row) -> bool:
        """Return whether the judges of a row are asked later."""
        return self._defers and not self.earlier.scoring.stands(row)

    def _count(self, row: Row) -> None:
        if not self._is_open(row):
            self.frame.add(row)
            self.watcher.row(row)


def _warm() -> None:
    for name in _WARMED:
        with suppress(Exception):  # a system may have changed the path; it is imported again where it is needed
            importlib.import_module(name)
