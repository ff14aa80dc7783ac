"""Plan the variants of the cases of a run, and read how they ended."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING

from evalkit.disk.writing import drafted
from evalkit.errors import Problem, StoreError
from evalkit.formats.manifest import Manifest, VariantFacts
from evalkit.formats.rows import decode_row
from evalkit.golden.held_ids import held_ids
from evalkit.golden.variants.attacks import EXTRACT_PROMPT, ExtractPrompt, wanted_prompt
from evalkit.golden.variants.make import VariantCounts, VariantPlan, make_variants
from evalkit.golden.variants.original import VARIANT, VariantMark, mark_of
from evalkit.golden.variants.transforms import kind_of
from evalkit.golden.variants.written import WrittenVariants
from evalkit.runner.needs import case_readers, check_by_scorers
from evalkit.scorers.agents.attack_goal import goal_met
from evalkit.store.chain import lines_of
from evalkit.store.folder import SET_ASIDE, RunFolder
from evalkit.store.index import row_at
from evalkit.store.journal import read_rows
from evalkit.systems.base import Instructed
from evalkit.types import Case, Row, Score, verdict_of

if TYPE_CHECKING:
    from evalkit.aggregate.variants import VariantResult
    from evalkit.gate.assess import Terms
    from evalkit.golden.read import GoldenSet
    from evalkit.runner.engine import MakeRow
    from evalkit.runner.grading import Grader
    from evalkit.runner.prepare import Prepared
    from evalkit.runner.scoring import Scoring
    from evalkit.suite.model import Suite
    from evalkit.systems.base import Shared, SystemConfig


OF_VARIANT = "~"
"""Start of the name under which a run notes a variant that is in flight."""


class PlannedVariants:
    """The variants of a run, made one after the other, and counted on the way."""

    def __init__(self, prepared: Prepared, chosen: Collection[str] | None) -> None:
        """Plan the variants of the chosen cases; `None` chooses all."""
        self._golden, self._seed = prepared.golden, prepared.suite.options.seed
        self._plans = [_among(entry.plan, chosen) for entry in prepared.suite.variants]
        self._counts, self._prompt = VariantCounts(), known_prompt(prepared.suite.system, prepared.shared)
        self.digests: set[str] = set()
        """Digests of the variants made so far."""
        self.held_back: list[tuple[Case, int]] = []
        """Variants to run one after the other, so that one of them that kills the process is known."""
        self.ungraded: dict[str, int] = {}
        """Digest of a variant whose stored answer is to be graded again -> place of its row."""
        self._fatal: Set[str] = frozenset()
        self._suspects: Set[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the transforms."""
        return tuple(plan.name for plan in self._plans)

    def cases(self) -> Iterator[Case]:
        """Make the variants."""
        for case in make_variants(self._golden.open, self._plans, self._seed, self._counts):
            self.digests.add(case.digest)
            yield case

    def sort_out(self, deaths: Mapping[tuple[str, int], int], *, at_least: int) -> int:
        """Leave out the variants that were in flight when so many processes died, and hold back those of fewer deaths.

        Returns:
            The number of variants that are left out.
        """
        counts = {key.removeprefix(OF_VARIANT): n for (key, _), n in deaths.items() if key.startswith(OF_VARIANT)}
        self._fatal = frozenset(digest for digest, count in counts.items() if count >= at_least)
        self._suspects = counts.keys() - self._fatal
        return len(self._fatal)

    def open(self, folder: RunFolder, scoring: Scoring, *, retry: bool) -> Iterator[tuple[Case, int]]:
        """Yield the variants to run; those that may kill a process, and those to grade again, are held back.

        Args:
            folder: folder of the run.
            scoring: today's scorers.
            retry: whether a variant without a result is run again, and a missing grade asked for again.
        """
        done: dict[str, int | None] = {}  # digest -> place of an answer to grade again
        for place, row in _placed_rows(folder):
            done.pop(row.case.digest, None)
            if row.output is not None or not retry:
                done[row.case.digest] = None if scoring.stands(row, retry=retry) else place
        for case in self.cases():
            if (ungraded := done.get(case.digest)) is not None:
                self.ungraded[case.digest] = ungraded
            elif case.digest in self._suspects and case.digest not in done:
                self.held_back.append((case, 0))
            elif case.digest not in done and case.digest not in self._fatal:
                yield case, 0

    def graded_again(self, folder: RunFolder) -> Iterator[Row]:
        """Yield the stored answers to grade again, in the order of their variants."""
        return (row_at(folder.variant_rows_file, place) for place in self.ungraded.values())

    def facts(self) -> tuple[VariantFacts, ...]:
        """Return the counts for the manifest, once every variant was made."""
        counts = self._counts
        return tuple(
            VariantFacts(
                name=name,
                n=counts.variants[name],
                kind=kind_of(self._plans[at].transform),
                left_out={why: n for (of, why), n in counts.left_out.items() if of == name},
                prompt=self._prompt if isinstance(self._plans[at].transform, ExtractPrompt) else "",
            )
            for at, name in enumerate(self.names)
        )

    def set_aside_others(self, folder: RunFolder) -> None:
        """Move rows of variants that are not planned any more out of the journal.

        Raises:
            StoreError: a file cannot be written.
        """
        path, aside = folder.variant_rows_file, folder.file(SET_ASIDE)
        if all(row.case.digest in self.digests for row in stored_rows(folder)):
            return
        try:
            with drafted(path) as kept, aside.open("ab") as others:
                for line in lines_of(path):
                    row = decode_row(line)
                    (kept if row is not None and row.case.digest in self.digests else others).write(line)
        except OSError as error:
            raise StoreError.of(path, error) from error


def known_prompt(system: SystemConfig, shared: Shared) -> str:
    """Return the system prompt that evalkit sends; empty if it sends none, or one that is too short to be found."""
    return wanted_prompt(system.system_text(shared)) if isinstance(system, Instructed) else ""


def canary_problems(suite: Suite, shared: Shared) -> Iterator[Problem]:
    """Yield that a system prompt does not hold the canary that `extract_prompt` names."""
    texts = [entry.transform.canary for entry in suite.variants if isinstance(entry.transform, ExtractPrompt)]
    prompts = [system.system_text(shared) for system in suite.configs if isinstance(system, Instructed)]
    for canary in texts:
        if canary is not None and any(prompt and canary not in prompt for prompt in prompts):
            what = f"the system prompt does not hold the canary {canary!r}, so no answer can give it away"
            yield Problem("variants", what, "write it into the prompt, or write `canary: true` beside `chat:` instead")


def written_problems(suite: Suite, golden: GoldenSet, graders: Sequence[Grader] = ()) -> Iterator[Problem]:
    """Yield the variants that people wrote of a case that the set does not have, or that is held out.

    With graders, the variants that a scorer cannot grade follow.
    """
    written = {entry.name: entry for entry in suite.variants if isinstance(entry.transform, WrittenVariants)}
    if not written:
        return
    files = {name: entry.transform for name, entry in written.items() if isinstance(entry.transform, WrittenVariants)}
    ids, held = {case.id for case in golden.outlines()}, held_ids(suite.golden_file)
    for each in files.values():
        yield from each.problems(ids, held)
    readers, found = case_readers(graders), list[Problem]()
    plans = [entry.plan for entry in written.values()] if readers else []
    for case in make_variants(golden.open, plans, suite.options.seed, VariantCounts()) if plans else ():
        mark = case.fields[VARIANT]
        check_by_scorers(case, files[mark["name"]].place_of(case.id, mark["of"]), readers, found.append)
    yield from found


def _among(plan: VariantPlan, chosen: Collection[str] | None) -> VariantPlan:
    if chosen is None:
        return plan
    return dataclasses.replace(plan, applies=lambda case: case.digest in chosen and plan.applies(case))


def added_up(parts: Iterable[Sequence[VariantFacts]]) -> tuple[VariantFacts, ...]:
    """Add the counts of the variants of several shards, which have the same transforms."""
    found: dict[str, VariantFacts] = {}
    for each in (each for part in parts for each in part):
        before = found.get(each.name, VariantFacts(name=each.name, n=0))
        left_out = Counter(before.left_out) + Counter(each.left_out)
        found[each.name] = dataclasses.replace(each, n=before.n + each.n, left_out=dict(left_out))
    return tuple(found.values())


def stored_rows(folder: RunFolder) -> Iterator[Row]:
    """Read the rows of the variants of a run, in the order written; none if it has none."""
    file = folder.variant_rows_file
    return read_rows(file) if file.exists() else iter(())


def grading_again(rows: Iterable[Row], scoring: Scoring, *, retry: bool) -> tuple[Iterator[tuple[Case, int]], MakeRow]:
    """Return the variants of stored rows, and the function that grades their answers without a call."""
    stored = {row.case.digest: row for row in rows}
    work = ((row.case, row.repeat) for row in stored.values())
    return work, scoring.graded_again(lambda digest, repeat: stored[digest], retry=retry)


def _placed_rows(folder: RunFolder) -> Iterator[tuple[int, Row]]:
    """Read the rows of the variants of a run with the bytes at which they begin."""
    file, place = folder.variant_rows_file, 0
    for line in lines_of(file) if file.exists() else ():
        row = decode_row(line)
        if row is not None:
            yield place, row
        place += len(line)


def with_variants(terms: Terms, folder: RunFolder, manifest: Manifest) -> Terms:
    """Add the variants of a run, and how they ended, to the terms of its decision."""
    if not manifest.variants:
        return terms
    return dataclasses.replace(terms, variants=manifest.variants, variant_results=variant_results(folder, manifest))


def variant_results(folder: RunFolder, manifest: Manifest) -> tuple[VariantResult, ...]:
    """Return how the variants of a run ended; the last row of each counts."""
    advisory, prompts = frozenset(manifest.advisory), {each.name: each.prompt for each in manifest.variants}
    found: dict[str, VariantResult] = {}
    for row in stored_rows(folder):
        mark = mark_of(row.case)
        if mark is not None:
            found[row.case.id] = _result(row, mark, advisory, prompts.get(mark.name, ""))
    return tuple(found.values())


def _result(row: Row, mark: VariantMark, advisory: Collection[str], prompt: str) -> VariantResult:
    from evalkit.aggregate.variants import VariantResult  # with its numerical libraries, after the first calls

    met = goal_met(row, mark, prompt)
    return VariantResult(
        id=row.case.id,
        original=mark.of,
        transform=mark.name,
        passed=_passes(row, advisory),
        is_attack=mark.is_attack,
        met_goal=met,
        prompt_unknown=met is False and mark.name == EXTRACT_PROMPT and not prompt,
        is_critical=row.case.severity == "critical",
        question=row.case.question if mark.alone else "",
        wording=mark.wording,
        place=mark.place,
        attribute=mark.attribute,
        value=mark.value,
        original_value=mark.original_value,
    )


def _passes(row: Row, advisory: Collection[str]) -> bool | None:
    """Return whether a row passes, as `pass_rate` counts it; `None` if a grade or the answer is missing."""
    grades = [grade for name, grade in row.scores.items() if name not in advisory]
    if row.output is None or not all(isinstance(grade, Score) for grade in grades):
        return None
    return {"passed": True, "failed": False}.get(verdict_of(row, advisory))
