"""Propose a pass mark, examples or another wording of a judge from people's labels of a stored run."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.disk.paths import shown_path
from evalkit.disk.writing import replacing
from evalkit.errors import InputError, Problem, StoreError, what_and_fix
from evalkit.formats.labelled_text import shown_text
from evalkit.llm.budget import BudgetReached
from evalkit.operations.calibrate import Judged
from evalkit.operations.label import rubric_of
from evalkit.results import Estimate
from evalkit.scorers.judges.asking import ask as ask_model
from evalkit.scorers.judges.rubric import Rubric, parse_rubric, rubric_path
from evalkit.scorers.judges.rubric_judge import BoundJudge, Judge
from evalkit.scorers.judges.tuned_rubric import GradedExample, example_rubric, worded_rubric, wording_question
from evalkit.store.stored_run import suite_file_of
from evalkit.suite.parse import load_suite
from evalkit.trust.pass_marks import PassMark, declared_mark
from evalkit.trust.tuning import (
    CURRENT,
    MIN_QUESTIONS,
    JudgedAnswer,
    Places,
    Plan,
    Tuned,
    Verdict,
    labelled_answers,
    plan_of,
    tuned,
)
from evalkit.types import Metric, Row, Score

if TYPE_CHECKING:
    from evalkit.llm.client import ChatClient
    from evalkit.suite.model import Suite

EXAMPLES, WORDING = "examples", "another wording"
N_EXAMPLES, N_DISAGREEMENTS = 4, 10
_MARK = "pass: "
Progress = Callable[[int, int], None]
"""Called with the number of questions that the judge was asked, and the number of all."""


@dataclass(frozen=True, kw_only=True)
class TunedJudge:
    """What labels say about other versions of a judge."""

    metric: str
    n_labels: int
    """Labelled answers."""
    n_questions: int
    versions: tuple[str, ...]
    """The versions that were compared with the current one."""
    chosen: str
    """`current` if none is better on all labels."""
    is_better: bool
    """Whether the chosen version beats the current one beyond noise, on answers that it was not chosen by."""
    before: Estimate
    """Kappa of the current judge."""
    after: Estimate
    """Held-out kappa of the chosen versions."""
    p_value: float | None
    n_missing: int
    n_unusable: Mapping[str, int] = field(default_factory=dict)
    """Version -> number of grades that are missing, because a reply or the new rubric could not be used."""
    place: str = ""
    """The line of the suite to change; empty if nothing is proposed."""
    line: str = ""
    """What to write there."""
    rubric: str = ""
    """The new file; empty if none was written."""
    examples: tuple[str, ...] = ()
    """Ids of the cases that the new rubric shows; their labels do not count for it."""


async def tune_judge(
    judged: Judged, scorer: str, env: Mapping[str, str], *, asks: bool, seed: int, progress: Progress
) -> TunedJudge:
    """Compare other versions of a judge with the current one, and write a new rubric if one of them is better.

    Args:
        judged: a run with labels of its answers.
        scorer: metric of the judge.
        env: holds the key of the judge.
        asks: whether to try examples and another wording too, for which the judge is asked.
        seed: seed of the splits and the test.
        progress: called after each question.

    Raises:
        InputError: the run cannot be tuned, its labels are too few, or its judge cannot be asked.
        StoreError: the new rubric cannot be written.
    """
    tuning = _tuning_of(judged, scorer, seed)
    versions = tuple(_MARK + f"{mark:g}" for mark in tuning.marks)
    if asks:
        async with AsyncExitStack() as stack:
            judge = await _judge_of(tuning, env, stack)
            await _ask_all(tuning, judge, progress)
        versions = (*versions, EXAMPLES, WORDING)
    if not versions:
        what = f"{scorer} has no pass mark between levels to move"
        raise InputError(Problem("--metric", what, "try examples and another wording with --ask"))
    found = tuned(tuning.answers, versions, tuning.plan, tuning.verdicts, seed=seed)
    proposal = TunedJudge(
        metric=scorer,
        n_labels=len(tuning.answers),
        n_questions=len({each.question for each in tuning.answers}),
        versions=versions,
        chosen=found.chosen,
        is_better=found.is_better,
        before=found.before,
        after=found.after,
        p_value=found.p_value,
        n_missing=found.n_missing,
        n_unusable=tuning.unusable,
    )
    return _proposed(tuning, found, proposal) if found.is_better else proposal


@dataclass
class _Tuning:
    """A judge, its labelled answers, and what other rubrics say of them."""

    metric: Metric
    options: Judge
    suite: Suite
    index: int
    """Position of the scorer in the suite."""
    rubric: Rubric
    answers: tuple[JudgedAnswer, ...]
    rows: tuple[Row, ...]
    """Row of each labelled answer."""
    plan: Plan
    rubrics: dict[tuple[str, Places], bytes] = field(default_factory=dict)
    """(version, answers learned from) -> the rubric."""
    asked: dict[tuple[str, Places, Places], list[Verdict]] = field(default_factory=dict)

    @property
    def marks(self) -> list[float]:
        """Every other level that could be the pass mark."""
        if self.metric.pass_at is None or not isinstance(self.rubric.scale, tuple):
            return []
        low, high = self.rubric.scale
        return [float(mark) for mark in range(low + 1, high + 1) if mark != self.metric.pass_at]

    @property
    def unusable(self) -> dict[str, int]:
        """The versions with missing grades, and their number."""
        counts = Counter(version for (version, _, _), said in self.asked.items() for each in said if each is None)
        return {version: counts[version] for version in (EXAMPLES, WORDING) if counts[version]}

    def verdicts(self, version: str, train: Places, test: Places) -> Sequence[Verdict]:
        """Return the verdicts of a version that learned from `train`."""
        if version in (EXAMPLES, WORDING):
            return self.asked[version, train, test]
        moved = float(version.removeprefix(_MARK)) if version != CURRENT else self.metric.pass_at
        return [self.verdict(self.answers[at].level, moved) for at in test]

    def verdict(self, value: float, pass_at: float | None) -> str:
        """Read a grade by a pass mark; without one, 1 passes."""
        mark = declared_mark(replace(self.metric, pass_at=pass_at)) or PassMark(1.0)
        return "pass" if mark.verdict(value) == "pass" else "fail"

    def example(self, at: int) -> GradedExample:
        """Return a labelled answer as the judge is to see it."""
        row, answer = self.rows[at], self.answers[at]
        assert row.output is not None  # noqa: S101 - only answers are labelled
        passes = sum(said == "pass" for said in answer.people) * 2 > len(answer.people)
        return GradedExample(
            case_id=answer.case_id,
            question=row.case.question,
            answer=shown_text(row.output),
            reference=tuple(row.case.reference) if "reference" in self.rubric.parts else (),
            people="pass" if passes else "fail",
            judge=self.verdict(answer.level, self.metric.pass_at),
        )

    def examples(self, train: Places) -> list[GradedExample]:
        """Choose examples: of either verdict by people, answers that the judge got wrong first, one of a question."""
        seen: set[int] = set()
        found: list[GradedExample] = []
        for verdict in ("pass", "fail"):
            there = [(self.example(at), at) for at in train]
            ranked = [
                (each.judge == each.people, at) for each, at in there if each.people == verdict and self._sure(at)
            ]
            for _, at in sorted(ranked):
                enough = sum(each.people == verdict for each in found) == N_EXAMPLES // 2
                if self.answers[at].question not in seen and not enough:
                    seen.add(self.answers[at].question)
                    found.append(self.example(at))
        return found

    def _sure(self, at: int) -> bool:
        return len(set(self.answers[at].people)) == 1


def _tuning_of(judged: Judged, scorer: str, seed: int) -> _Tuning:
    """Collect what tuning needs.

    Raises:
        InputError: the suite or its rubric is gone, the rubric has another kind of scale, or labels are too few.
    """
    metric = next(each for each in judged.judges if each.name == scorer)
    suite_file, rubric = suite_file_of(judged.stored), rubric_of(judged, scorer)
    suite = load_suite(suite_file) if suite_file else None
    names = [getattr(each.options, "name", "") for each in suite.scorers] if suite else []
    index = names.index(scorer) if scorer in names else 0
    options = suite.scorers[index].options if suite else None
    has_mark = rubric is not None and isinstance(rubric.scale, tuple) and metric.pass_at is not None
    graded = has_mark or (rubric is not None and rubric.scale == "pass_fail")
    if suite is None or rubric is None or not isinstance(options, Judge) or not graded:
        what = f"{scorer} is not a judge with a rubric of pass and fail, or of levels and a pass mark"
        raise InputError(Problem("--metric", what, "choose a scorer `judge` of the suite of this run"))
    answers = labelled_answers(judged.frame, metric, judged.labels)
    questions = len({each.question for each in answers})
    if questions < MIN_QUESTIONS:
        what = f"people labelled answers to {questions} questions with pass or fail, {MIN_QUESTIONS} are needed"
        raise InputError(Problem("--labels", what, "draw more with `evalkit labels sample RUN`"))
    places = {(each.case_id, each.repeat): at for at, each in enumerate(answers)}
    rows = {
        places[key]: row
        for row in judged.stored.folder.rows()
        if (key := (row.case.id, row.repeat)) in places and row.output is not None
    }
    return _Tuning(
        metric=metric,
        options=options,
        suite=suite,
        index=index,
        rubric=rubric,
        answers=answers,
        rows=tuple(rows[at] for at in range(len(answers))),
        plan=plan_of(answers, seed),
    )


@dataclass(frozen=True)
class _Clients:
    """The judge of the suite and its panel."""

    main: ChatClient
    panel: tuple[ChatClient, ...]


async def _judge_of(tuning: _Tuning, env: Mapping[str, str], stack: AsyncExitStack) -> _Clients:
    from evalkit.runner.prepare import prepare

    suite = tuning.suite
    prepared = await prepare(suite, env, stack, replies="taken")
    client = prepared.services.llm
    if client is None:
        fix = "add the line `judge: {chat: gpt-4o-mini}`, or leave out --ask"
        raise InputError(Problem(suite.place("judge"), "no chat judge to ask", fix))
    if client.no_key:
        raise InputError(Problem(suite.place("judge"), *what_and_fix(client.no_key.removeprefix("no key: "))))
    return _Clients(client, prepared.services.panel if tuning.options.panel else ())


async def _ask_all(tuning: _Tuning, judge: _Clients, progress: Progress) -> None:
    """Grade the test side of each split by rubrics that learned from its other side."""
    splits = {(each.train, each.test) for each in tuning.plan.splits}
    whole = tuple(range(len(tuning.answers)))
    trains = sorted({train for train, _ in splits} | {whole})
    for train in trains:
        tuning.rubrics[EXAMPLES, train] = example_rubric(tuning.rubric, tuning.examples(train), tuning.metric.pass_at)
    worded = await asyncio.gather(*(_wording(tuning, judge.main, train) for train in trains))
    tuning.rubrics.update({(WORDING, train): text for train, text in zip(trains, worded, strict=True) if text})
    jobs = [(version, train, test) for version in (EXAMPLES, WORDING) for train, test in sorted(splits)]
    total, n_done = sum(len(test) for _, _, test in jobs), 0

    async def grade(version: str, train: Places, at: int) -> Verdict:
        nonlocal n_done
        found = await _graded(tuning, judge, tuning.rubrics.get((version, train)), at)
        n_done += 1
        progress(n_done, total)
        return found

    for version, train, test in jobs:
        tuning.asked[version, train, test] = list(await asyncio.gather(*(grade(version, train, at) for at in test)))


async def _wording(tuning: _Tuning, client: ChatClient, train: Places) -> bytes | None:
    """Let the judge's model write the rubric anew; `None` if its reply cannot be used."""
    wrong = [each for at in train if (each := tuning.example(at)).judge != each.people][:N_DISAGREEMENTS]
    if not wrong:
        return None
    try:
        found = await ask_model(client, wording_question(tuning.metric.name, tuning.rubric, wrong))
    except BudgetReached:
        return None
    return None if not hasattr(found, "value") else worded_rubric(tuning.rubric, found.value.rubric)


async def _graded(tuning: _Tuning, judge: _Clients, rubric: bytes | None, at: int) -> Verdict:
    if rubric is None:
        return None
    bound = BoundJudge(tuning.options, parse_rubric(rubric, "the new version"), judge.main, judge.panel)
    row = tuning.rows[at]
    assert row.output is not None  # noqa: S101 - only answers are labelled
    try:
        score = await bound.score_repeat(row.case, row.output, row.repeat)
    except BudgetReached:
        return None
    return tuning.verdict(score.value, tuning.metric.pass_at) if isinstance(score, Score) else None


def _proposed(tuning: _Tuning, found: Tuned, proposal: TunedJudge) -> TunedJudge:
    """Add the line of the suite to change, and write the new rubric if the version has one."""
    scorer = f"scorers[{tuning.index}].judge"
    if found.chosen.startswith(_MARK):
        return replace(proposal, place=_place(tuning.suite, f"{scorer}.pass"), line=found.chosen)
    content = tuning.rubrics[found.chosen, tuple(range(len(tuning.answers)))]
    file = _write(tuning, content)
    name = file.relative_to(tuning.suite.path.parent.resolve()).as_posix()
    return replace(
        proposal,
        place=_place(tuning.suite, f"{scorer}.rubric"),
        line=f"rubric: {name}",
        rubric=shown_path(file),
        examples=parse_rubric(content, name).examples,
    )


def _place(suite: Suite, key: str) -> str:
    """Return where a key stands, relative to the current folder if it is inside."""
    return suite.place(key).replace(str(suite.path), shown_path(suite.path))


def _write(tuning: _Tuning, content: bytes) -> Path:
    """Write a new file beside the old rubric, or beside the suite if the rubric has no file of its own."""
    folder = tuning.suite.path.parent.resolve()
    old = rubric_path(folder, tuning.options.rubric)
    stem, place = (old.stem, old.parent) if old else (tuning.options.name, folder)
    file = next(each for each in _names(place, stem) if not each.exists())
    try:
        with replacing(file) as target:
            target.write(content.decode("utf-8"))
    except OSError as error:
        raise StoreError.of(file, error, "then tune again") from error
    return file


def _names(folder: Path, stem: str) -> Iterator[Path]:
    number = 2
    while True:
        yield folder / f"{stem}-{number}.md"
        number += 1
