"""Choose the thresholds of a guard from labelled answers, and write them to a file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.disk.files import sha256_of
from evalkit.disk.writing import replacing
from evalkit.errors import InputError, Problem, StoreError, noting, what_and_fix
from evalkit.golden.rows import read_cases
from evalkit.golden.source import GoldenSource, Reading
from evalkit.guard.levels import GuardLevel, GuardModels, LevelFailed
from evalkit.guard.settings import ALL_ANSWERS, Action, GuardSettings, LevelName, LevelThresholds, Promise, guard_text
from evalkit.monitor.settings import load_monitor
from evalkit.scorers.judges.local_entailment import NliModel
from evalkit.scorers.rules.rule import passages
from evalkit.stats.conformal import block_thresholds, pass_threshold
from evalkit.systems.output import to_output
from evalkit.text.escaping import cut, on_one_line
from evalkit.types import Case, Failure, Output

Progress = Callable[[int, int], None]
"""Called with the number of scored answers and the number of all, over every level."""
IN_FLIGHT = 16
_SHOWN_LABEL = 40
"""Characters that are shown of a label that is not one."""
LABEL = "good"
"""Field of a labelled row: true if every claim of the answer is supported."""


@dataclass(frozen=True, kw_only=True)
class LabelledAnswer:
    """An answer with a person's label."""

    case: Case
    output: Output
    good: bool
    cohort: str


@dataclass(frozen=True, kw_only=True)
class LevelReport:
    """The thresholds of a level, and what they do to the labelled answers themselves."""

    name: LevelName
    thresholds: LevelThresholds
    pass_labels_missing: int
    """Further labelled answers before anything may pass."""
    actions: Mapping[bool, Mapping[Action, int]]
    """Label -> action -> labelled answers."""
    errors: tuple[str, ...]
    """Why answers could not be scored, each once."""


@dataclass(frozen=True, kw_only=True)
class GuardThresholds:
    """A guard, and a report of each of its levels."""

    settings: GuardSettings
    levels: tuple[LevelReport, ...]
    n_good: int
    n_bad: int

    def write(self, file: Path) -> None:
        """Write `guard.json`.

        Raises:
            StoreError: the file cannot be written.
        """
        try:
            with replacing(file) as text:
                text.write(guard_text(self.settings))
        except OSError as error:
            raise StoreError.of(file, error, "or name another file with --out") from None


@dataclass(frozen=True, kw_only=True)
class GuardOptions:
    """What a guard has to keep."""

    false_block: float = 0.02
    """Largest share of good answers that is blocked."""
    bad_passed: float = 0.03
    """Largest share of all answers that is bad and passes."""
    confidence: float | None = 0.95
    """Share of calibrations that keep `false_block`; `None` to keep it on average."""
    by: str | None = None
    """Cohort with a block threshold for each value."""
    on_timeout: Action = "warn"

    def __post_init__(self) -> None:
        """Reject rates that are not shares."""
        for name in ("false_block", "bad_passed", "confidence"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1:
                raise ValueError(f"{name}: expected a share above 0 and below 1, got {value:g}; write 0.05")

    @property
    def promise(self) -> Promise:
        """The rates."""
        return Promise(false_block=self.false_block, bad_passed=self.bad_passed, confidence=self.confidence)


def read_labelled(file: Path, shown: str, by: str | None) -> tuple[LabelledAnswer, ...]:
    """Read labelled answers: rows with `input`, `output`, `contexts`, `good` and cohorts, under any of their names.

    Args:
        file: JSON Lines, or another kind of golden set.
        shown: its name in messages.
        by: cohort that each row must have; `None` if none is needed.

    Raises:
        InputError: reports every problem of the file.
    """
    problems: list[Problem] = []
    note = noting(problems)
    if not file.is_file():
        raise InputError(Problem(shown, "no such file", "name the file with the labelled answers"))
    source = GoldenSource(path=file.name, make_ids=True)
    reading = Reading(cohorts=(by,) if by else (), replays=True)
    found: list[LabelledAnswer] = []
    places: dict[str, str] = {}
    for _, case in read_cases(source, file, shown, note, reading=reading):
        first = places.setdefault(case.id, case.place)
        if first != case.place:
            what = f"repeats {first}: the same id or, without ids, the same row"
            note(Problem(case.place, what, "keep one of the two"))
            continue
        one = _labelled(case, by)
        if isinstance(one, Problem):
            note(one)
        else:
            found.append(one)
    if not problems and not any(one.good for one in found):
        what = f"{len(found)} labelled answers, and none of them is good"
        problems.append(Problem(shown, what, "label good answers too: thresholds come from their scores"))
    if problems:
        raise InputError(problems)
    return tuple(found)


def _labelled(case: Case, by: str | None) -> LabelledAnswer | Problem:
    good, stored = case.fields.get(LABEL), case.fields.get("output")
    if not isinstance(good, bool):
        shown = cut(on_one_line(json.dumps(good, ensure_ascii=False, default=str)), _SHOWN_LABEL)
        what = f"`{LABEL}` is {shown}" if LABEL in case.fields else f"`{LABEL}` is missing"
        return Problem(case.place, what, "write true if every claim is supported, else false")
    output = to_output(stored) if stored is not None else None
    if output is None or isinstance(output, Failure):
        why = "no answer" if output is None else output.message
        return Problem(case.place, why, 'add the text of the answer as `"output": "..."`')
    contexts = passages(case, output)
    if contexts is None:
        return Problem(case.place, "no contexts, but claims are checked against them", 'add `"contexts": ["..."]`')
    if by is not None and by not in case.cohorts:
        return Problem(case.place, f"no cohort `{by}`", f'add `"{by}": "..."`')
    origins = case.origins if output.contexts is None else output.origins
    answer = Output(text=output.text, contexts=contexts, origins=origins)
    return LabelledAnswer(case=case, output=answer, good=good, cohort=case.cohorts[by] if by else ALL_ANSWERS)


def guard_models(
    monitor: Path, options: GuardOptions, *, nli: NliModel | None, env: Mapping[str, str], root: Path
) -> GuardModels:
    """Return the models of a guard: the judge of a monitor, and a local model.

    Args:
        monitor: file of the monitor.
        options: what the guard has to keep.
        nli: local model for entailment.
        env: environment with the key of the judge.
        root: folder of the guard's file, which the path of the model is relative to.

    Raises:
        InputError: the monitor cannot be used, or `options.by` is not one of its cohorts.
    """
    found = load_monitor(monitor)
    if options.by is not None and options.by not in found.cohorts:
        known = ", ".join(found.cohorts) or "none; add `cohorts: [topic]`"
        raise InputError(Problem("--by", f"{options.by!r} is not a cohort of {monitor}", f"its cohorts: {known}"))
    judge = found.judge.chat if found.judge is not None else None
    return GuardModels(judge=judge, nli=nli, env=env, root=root)


def nli_model(path: str | None, revision: str | None) -> NliModel | None:
    """Return the local model that flags name.

    Raises:
        InputError: a flag cannot be used.
    """
    if path is None:
        if revision is not None:
            raise InputError(Problem("--nli-revision", "no model is named", "add --nli with its name on the hub"))
        return None
    try:
        return NliModel(path=path, revision=revision)
    except ValueError as error:
        name, _, rest = str(error).partition(": ")
        raise InputError(Problem("--nli" if name == "path" else "--nli-revision", *what_and_fix(rest))) from None


async def guard_thresholds(
    labelled: Path,
    shown: str,
    options: GuardOptions,
    *,
    models: GuardModels,
    progress: Progress = lambda done, total: None,
) -> GuardThresholds:
    """Score labelled answers at every level, and choose the thresholds of each level.

    Args:
        labelled: file of labelled answers.
        shown: its name in messages.
        options: what the guard has to keep.
        models: the models of the guard; none for rules alone.
        progress: called after each answer.

    Raises:
        InputError: the file cannot be used, or a level could score none of the good answers.
    """
    answers = read_labelled(labelled, shown, options.by)
    levels = models.levels("--nli")
    n_done = 0

    def one_more() -> None:
        nonlocal n_done
        n_done += 1
        progress(n_done, len(answers) * len(levels))

    reports = [await _calibrated(level, answers, options, shown, one_more) for level in levels]
    settings = GuardSettings(
        promise=options.promise,
        levels={report.name: report.thresholds for report in reports},
        by=options.by,
        on_timeout=options.on_timeout,
        judge=models.judge,
        nli=models.nli,
        labelled_sha256=sha256_of(labelled),
    )
    n_good = sum(answer.good for answer in answers)
    return GuardThresholds(settings=settings, levels=tuple(reports), n_good=n_good, n_bad=len(answers) - n_good)


async def _calibrated(
    level: GuardLevel, answers: Sequence[LabelledAnswer], options: GuardOptions, shown: str, done: Callable[[], None]
) -> LevelReport:
    scores = await _scores(level, answers, done)
    scored = [(one, score) for one, score in zip(answers, scores, strict=True) if isinstance(score, float)]
    errors = tuple(dict.fromkeys(score for score in scores if isinstance(score, str)))
    good: dict[str, list[float]] = {one.cohort: [] for one in answers}
    for one, score in scored:
        if one.good:
            good[one.cohort].append(score)
    if not any(good.values()):
        what = f"{level.name} could score none of the good answers: {errors[0] if errors else 'unknown'}"
        fix = "check the judge with `evalkit judge health`"
        if level.name != "judge":
            fix = "read the reason above, and label answers that have contexts"
        raise InputError(Problem(shown, what, fix))
    promise = options.promise
    blocks = block_thresholds(good, promise.false_block, promise.confidence)
    bad = [score for one, score in scored if not one.good]
    passing = pass_threshold([score for found in good.values() for score in found], bad, promise.bad_passed)
    thresholds = LevelThresholds(
        key=dict(level.key),
        n_good=sum(map(len, good.values())),
        n_bad=len(bad),
        n_unscored=len(answers) - len(scored),
        pass_from=passing.value,
        block_below={cohort: found.value for cohort, found in blocks.items() if found.value is not None},
        labels_missing={cohort: found.n_missing for cohort, found in blocks.items() if found.n_missing},
    )
    actions: dict[bool, dict[Action, int]] = {label: {"pass": 0, "warn": 0, "block": 0} for label in (True, False)}
    for one, score in scored:
        actions[one.good][thresholds.action(score, one.cohort)] += 1
    return LevelReport(
        name=level.name,
        thresholds=thresholds,
        pass_labels_missing=passing.n_missing,
        actions=actions,
        errors=errors,
    )


async def _scores(level: GuardLevel, answers: Sequence[LabelledAnswer], done: Callable[[], None]) -> list[float | str]:
    """Return the score of each answer, or why it could not be scored."""
    free = asyncio.Semaphore(IN_FLIGHT)

    async def score(one: LabelledAnswer) -> float | str:
        async with free:
            try:
                found: float | str = (await level.check(one.case, one.output)).compared_score
            except LevelFailed as failed:
                found = str(failed)
        done()
        return found

    try:
        return list(await asyncio.gather(*map(score, answers)))
    finally:
        await level.close()


def report_lines(found: GuardThresholds) -> Iterator[str]:
    """Yield what a person reads about the thresholds."""
    promise = found.settings.promise
    sure = "on average" if promise.confidence is None else f"in {promise.confidence:.0%} of calibrations"
    yield f"{found.n_good} good and {found.n_bad} bad answers"
    yield f"at most {promise.false_block:.1%} of good answers are blocked, {sure}"
    if found.n_bad:
        yield f"at most {promise.bad_passed:.1%} of all answers are bad and pass"
    else:
        yield "no bad answers are labelled: label some to see whether any pass"
    for level in found.levels:
        yield from _level_lines(level, found.settings.by)


def _level_lines(level: LevelReport, by: str | None) -> Iterator[str]:
    at = level.thresholds
    yield ""
    yield f"{level.name}: {'nothing passes' if at.pass_from is None else f'passes from {at.pass_from:.3f}'}"
    if level.pass_labels_missing:
        yield f"  to let anything pass, label {level.pass_labels_missing} more answers"
    elif at.pass_from is None:
        yield "  bad answers have the best scores, so this level cannot tell them apart"
    for cohort in sorted({*at.block_below, *at.labels_missing}):
        where = f" for {by}={cohort}" if by else ""
        if cohort in at.block_below:
            yield f"  blocks below {at.block_below[cohort]:.3f}{where}"
        else:
            yield f"  blocks nothing{where}: label {at.labels_missing[cohort]} more good answers"
    for label, name in ((True, "good"), (False, "bad")):
        counts = level.actions[label]
        if sum(counts.values()):
            yield f"  of the labelled {name} answers: {', '.join(f'{n} {action}' for action, n in counts.items())}"
    if at.n_unscored:
        yield f"  {at.n_unscored} could not be scored: {level.errors[0]}"
