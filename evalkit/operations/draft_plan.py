"""Choose the passages from which cases are drafted, and estimate what the drafts cost; nothing is sent."""

from __future__ import annotations

import glob
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.aggregate.cohorts import DERIVED_VALUES
from evalkit.errors import InputError, Problem, noting
from evalkit.formats.contexts import read_contexts
from evalkit.golden.document_passages import Cell, DocumentPassage, draw_passages, passages_of
from evalkit.golden.fields import questions_of
from evalkit.golden.json_lines import read_jsonl
from evalkit.golden.leak_sources import files_of, lines_of
from evalkit.golden.names import ALIASES
from evalkit.golden.rows import read_cases
from evalkit.golden.synthetic import ORIGIN, synthetic_room
from evalkit.golden.write import refuse_other_kinds
from evalkit.llm.ladder import chars_sent
from evalkit.llm.prices import cost_usd
from evalkit.monitor.deidentify import NO_NAMES, deidentify, read_names
from evalkit.net.rate_limits import CHARS_PER_TOKEN
from evalkit.operations.coverage import CoveredCell, golden_coverage
from evalkit.operations.draft_replies import cell_label, draft_messages, draft_schema
from evalkit.runner.chat_clients import judge_needed_by
from evalkit.suite.parse import load_suite
from evalkit.types import Case

if TYPE_CHECKING:
    from evalkit.llm.config import ChatConfig
    from evalkit.suite.model import Suite

MOST_KINDS = 30
"""Number of kinds that a model chooses from."""
MOST_CONTEXT_CHARS = 6_000
"""Characters of the contexts of a logged call that are sent."""


@dataclass(frozen=True, kw_only=True)
class DraftRequest:
    """What is to be drafted."""

    suite: Path
    corpus: Path | None = None
    """Folder or file of documents."""
    logs: Path | None = None
    """Logged calls with question, contexts and cohorts, in JSON Lines."""
    n: int = 20
    """Passages to draft from."""
    by: Sequence[str] = ()
    production: Path | None = None
    mix: str | None = None
    names: Path | None = None
    """List of names that are personal data."""
    seed: int = 0
    budget_usd: float | None = None
    """US dollars; `None` for the budget of the suite."""


@dataclass(frozen=True, slots=True)
class DraftQuestion:
    """What a model is asked about one passage."""

    passage: DocumentPassage
    """Without personal data."""
    digest: str
    """Digest of the passage as it is in its file."""
    kinds: tuple[str, ...]
    """Labels of the cells to choose from, the most wanted first."""


@dataclass(frozen=True, kw_only=True)
class DraftPlan:
    """What a judge's endpoint will be asked."""

    suite: Suite
    golden: Path
    judge: ChatConfig
    budget_usd: float | None
    known: tuple[Case, ...]
    """The cases of the set."""
    names: tuple[str, ...]
    """Cohorts of the cells."""
    lacking: Mapping[str, int]
    """Label of a cell -> number of cases that it lacks, the most lacking first."""
    cells: Mapping[str, Cell]
    """Label -> cell."""
    empty: tuple[str, ...]
    """Labels of cells without any case, which synthetic cases may not make up alone."""
    questions: tuple[DraftQuestion, ...]
    n_passages: int
    """Number of passages, or of calls with contexts, that were found."""
    n_without: int
    """Number of logged calls without contexts or without a question."""
    replaced: Mapping[str, int]
    """Word of a placeholder -> number of replaced data."""
    room: int
    """Number of synthetic cases that may join the set."""
    at_most_usd: float | None
    """Cost if every reply has `max_tokens`; `None` if the price is unknown. Repairs of replies come on top."""


def plan_drafts(request: DraftRequest) -> DraftPlan:
    """Draw passages by the cells that lack cases, and remove personal data from them; nothing is sent or written.

    Raises:
        InputError: suite, set, documents or options cannot be used, no synthetic case may join the set, or no cell
            lacks cases.
    """
    if (request.corpus is None) == (request.logs is None):
        raise InputError(Problem("--corpus", "give either it or --from-logs", "name a folder of documents"))
    suite = load_suite(request.suite)
    judge = judge_needed_by(suite, "drafts need")
    golden, known = draftable_set(suite)
    room = synthetic_room(known)
    if not room:
        what = f"at most 20 % of the cases may be synthetic, and {len(known)} leave no room for one"
        raise InputError(Problem(suite.golden_shown, what, "write cases by hand first; four make room for one"))
    names = _names(suite, known, request.by)
    found = _cells(request, names, known)
    cells = {cell_label(names, each.cell): each for each in found}
    lacking = {label: each.n_missing for label, each in cells.items() if each.n_missing and each.n_cases}
    lacking = dict(sorted(lacking.items(), key=lambda each: -each[1])) if names else {"": request.n}
    if not lacking:
        fix = "choose other cohorts with --by, or write the first case of a kind by hand"
        raise InputError(Problem("--by", "no kind with a case lacks further ones", fix))
    by_label = {label: each.cell for label, each in cells.items()}
    source = _Source(request, suite, golden, names)
    drawn = draw_passages(
        source.passages(), _quotas(request, lacking, by_label), source.cohorts, request.seed, _drafted(known)
    )
    if not drawn:
        raise InputError(Problem(source.shown, "no passage to draft from", source.fix))
    questions, replaced = _questions(request, drawn, lacking, names)
    plan = DraftPlan(
        suite=suite,
        golden=golden,
        judge=judge,
        budget_usd=suite.options.budget_usd if request.budget_usd is None else request.budget_usd,
        known=tuple(known),
        names=names,
        lacking=lacking,
        cells=by_label,
        empty=tuple(label for label, each in cells.items() if names and not each.n_cases),
        questions=questions,
        n_passages=source.n_passages,
        n_without=source.n_without,
        replaced=replaced,
        room=room,
        at_most_usd=_at_most_usd(judge, questions),
    )
    if plan.budget_usd is not None and plan.at_most_usd is None:
        fix = "write `prices: {input_usd_per_million: ..., output_usd_per_million: ...}`, or remove the budget"
        what = f"a budget is set, and the price of {judge.model} is unknown"
        raise InputError(Problem(suite.place("judge"), what, fix))
    return plan


def draftable_set(suite: Suite) -> tuple[Path, list[Case]]:
    """Return the file of a suite's set and its cases, also those that wait for a reference.

    Raises:
        InputError: rows cannot be added to the set, or it has problems.
    """
    file = suite.golden_file
    if file is None or suite.golden.columns:
        fix = "save the set as JSON Lines with evalkit's names of fields"
        raise InputError(Problem(suite.golden_shown, "rows cannot be added to a set of this kind", fix))
    refuse_other_kinds(file, suite.golden_shown)
    problems: list[Problem] = []
    note, cases = noting(problems), list[Case]()
    for _, case in read_cases(suite.golden, file, suite.golden_shown, note, reading=suite.reading, wait=cases.append):
        cases.append(case)
    if problems:
        raise InputError(problems)
    return file, cases


def _names(suite: Suite, known: Sequence[Case], by: Sequence[str]) -> tuple[str, ...]:
    """Return the cohorts that a draft needs: those of `by`, else those that the suite names and every case has."""
    common = set.intersection(*(set(case.cohorts) for case in known)) - {ORIGIN}
    own = tuple(name for name in suite.options.cohorts if name not in DERIVED_VALUES and name != ORIGIN)
    names = tuple(by) or tuple(name for name in own if name in common)
    unknown = [name for name in names if name not in own]
    if unknown:
        raise InputError(Problem("--by", f"no cohort {unknown[0]!r} to choose", f"choose from {', '.join(own)}"))
    lost = sorted(common - set(names))
    if lost:
        fix = f"name it under `cohorts:` of the suite, and give {' '.join(f'--by {name}' for name in (*names, *lost))}"
        raise InputError(Problem("--by", f"lacks {lost[0]!r}, which every case of the set has", fix))
    return names


def _cells(request: DraftRequest, names: tuple[str, ...], known: Sequence[Case]) -> Sequence[CoveredCell]:
    """Return the kinds of calls: those of production, else those of the set."""
    production = request.production or (None if request.mix else request.logs)
    if names and (production or request.mix):
        return golden_coverage(request.suite, names, production=production, mix=request.mix).cells
    counts = Counter(tuple(case.cohorts.get(name, "") for name in names) for case in known)
    whole = {cell: n for cell, n in sorted(counts.items()) if all(cell)}
    return [CoveredCell(cell=cell, share=n / len(known), n_cases=n) for cell, n in whole.items()]


def _quotas(request: DraftRequest, lacking: Mapping[str, int], cells: Mapping[str, Cell]) -> Mapping[Cell, int]:
    """Return the number of passages to draw: of logs by cell, of documents from all of them."""
    if request.logs is None:
        return {(): request.n}
    return {cells.get(label, ()): n for label, n in _shares(request.n, lacking).items()}


def _shares(n: int, lacking: Mapping[str, int]) -> dict[str, int]:
    from evalkit.stats.sampling import allocate_proportional

    counts = allocate_proportional(n, list(lacking.values()))
    return {label: int(count) for label, count in zip(lacking, counts, strict=True)}


def _drafted(known: Sequence[Case]) -> set[str]:
    """Return the digests of the passages from which cases of the set were drafted."""
    return {of for case in known if isinstance(of := case.fields.get("of"), str)}


class _Source:
    """Streams the passages of documents, or of logged calls, and counts them."""

    def __init__(self, request: DraftRequest, suite: Suite, golden: Path, names: tuple[str, ...]) -> None:
        self._logs = request.logs
        self._golden, self._root, self._names = golden.resolve(), suite.root, names
        self.shown = str(request.corpus or request.logs)
        self.fix = "name documents with passages of 80 characters or more, or other ones than before"
        if self._logs is not None:
            self.fix = "name a log whose calls have `input`, `contexts` and the cohorts of the kinds that lack cases"
        self.cohorts = () if self._logs is None else names
        self.n_passages = self.n_without = 0

    def passages(self) -> Iterator[DocumentPassage]:
        """Yield the passages.

        Raises:
            InputError: reports every file or line that cannot be read.
        """
        problems: list[Problem] = []
        found = self._of_corpus(problems) if self._logs is None else self._of_logs(self._logs, problems)
        for each in found:
            self.n_passages += 1
            yield each
        if problems:
            raise InputError(problems)

    def _of_corpus(self, problems: list[Problem]) -> Iterator[DocumentPassage]:
        folder = Path(self.shown).absolute()
        root = self._root if folder.resolve().is_relative_to(self._root) else folder.resolve()
        note = noting(problems)
        name = glob.escape(folder.name)
        files = files_of(name, folder.parent, root, lambda what, fix: note(Problem(self.shown, what, fix)))
        for file in files:
            shown = file.relative_to(root if root == self._root else root.parent).as_posix()
            if file == self._golden:
                continue
            try:
                yield from passages_of(lines_of(file, shown, unseen=False), shown)
            except InputError as error:
                for problem in error.problems:
                    note(problem)

    def _of_logs(self, logs: Path, problems: list[Problem]) -> Iterator[DocumentPassage]:
        if not logs.is_file():
            problems.append(Problem("--from-logs", f"no file {str(logs)!r}", "check the path"))
            return
        note = noting(problems)
        log = logs.resolve()
        shown = log.relative_to(self._root).as_posix() if log.is_relative_to(self._root) else log.name
        for line, row in read_jsonl(logs, self.shown, note):
            question = next(questions_of(row), "").strip()
            contexts = next((row[name] for name in ALIASES["contexts"] if row.get(name)), None)
            try:
                texts = read_contexts("contexts", contexts)[0] if contexts else ()
            except ValueError as error:
                note(Problem(f"{self.shown}:{line}", str(error), "write a list of texts"))
                continue
            text = "\n\n".join(texts).strip()[:MOST_CONTEXT_CHARS]
            if not question or not text:
                self.n_without += 1
                continue
            cohorts = self._cohorts_of(row)
            yield DocumentPassage(file=shown, lines=str(line), text=text, question=question, cohorts=cohorts)

    def _cohorts_of(self, row: Mapping[str, Any]) -> Mapping[str, str]:
        own = row.get("cohorts")
        given = {**row, **own} if isinstance(own, dict) else row
        return {name: str(given[name]) for name in self._names if name in given}


def _questions(
    request: DraftRequest, drawn: Sequence[DocumentPassage], lacking: Mapping[str, int], names: tuple[str, ...]
) -> tuple[tuple[DraftQuestion, ...], Mapping[str, int]]:
    """Return the questions, each with the kinds that it may choose from, and what was replaced in their texts."""
    listed = NO_NAMES if request.names is None else read_names(request.names)
    labels = list(lacking)[:MOST_KINDS] if names else []
    shares = _shares(len(drawn), {label: lacking[label] for label in labels}) if labels else {}
    wanted = [label for label, n in shares.items() for _ in range(n)]
    replaced: Counter[str] = Counter()
    found = []
    for at, passage in enumerate(drawn):
        clean = deidentify({"text": passage.text, "question": passage.question}, listed)
        replaced.update(clean.counts)
        kinds: tuple[str, ...] = ()
        if request.logs is None and labels:
            start = labels.index(wanted[at])
            kinds = tuple(islice(cycle(labels), start, start + len(labels)))
        elif names:
            kinds = (cell_label(names, tuple(passage.cohorts[name] for name in names)),)
        found.append(DraftQuestion(replace(passage, **clean.value), passage.digest, kinds))
    return tuple(found), replaced


def _at_most_usd(judge: ChatConfig, questions: Sequence[DraftQuestion]) -> float | None:
    costs = []
    for each in questions:
        messages, _ = draft_messages(each.passage, each.kinds)
        tokens = math.ceil(chars_sent(messages, draft_schema(each.kinds)) / CHARS_PER_TOKEN)
        costs.append(cost_usd(judge, input_tokens=tokens, output_tokens=judge.max_tokens))
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None
