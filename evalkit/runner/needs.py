"""Collect the fields that a suite requires of each case, checked before the first call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches

from evalkit.errors import InputError, Problem, what_and_fix
from evalkit.formats.conversation import DURING, conversation_of
from evalkit.formats.turns import turn_cases
from evalkit.golden.read import GoldenSet
from evalkit.golden.survey import Need
from evalkit.runner.grading import Grader
from evalkit.scorers.base import CaseReader
from evalkit.suite.model import Suite
from evalkit.suite.scorer_entry import has_field
from evalkit.systems.base import Shared, SystemConfig
from evalkit.systems.chat import ChatSystem
from evalkit.systems.replay import ReplaySystem
from evalkit.systems.template import has_placeholder
from evalkit.text.numbers import plural
from evalkit.text.values import one_line
from evalkit.types import Case

_EXPECTED = frozenset({"required", "forbidden", "reference", "contexts", "expected_tool_calls", "expected_trajectory"})
"""Fields of turns that shipped scorers read."""


def need_of(suite: Suite, graders: Sequence[Grader], shared: Shared, note: Callable[[Problem], None]) -> Need:
    """Yield the missing parts of a case: `scorer:field`, `cohort:name`, `system:field` or `answer:`."""
    cohorts = set(suite.options.cohorts) - {"query_length", "kind", "severity"}
    during = DURING if suite.conversation is not None else ()
    named = {name.partition(".")[0]: name for config in suite.configs for name in asked_fields(config, shared)}
    fields = sorted(name for first, name in named.items() if first not in during)
    readers = case_readers(graders)
    settings = suite.conversation.settings if suite.conversation is not None else None
    replays = [each for each in enumerate(suite.configs) if isinstance(each[1], ReplaySystem)]
    answered = [(at, config.answered(shared)) for at, config in replays if isinstance(config, ReplaySystem)]

    needing = [(index, grader, tuple(grader.scorer.needs)) for index, grader in enumerate(graders)]
    needing = [each for each in needing if each[2]]

    def lacks(case: Case) -> Iterator[str]:
        for index, grader, names in needing:
            if not _holds(grader, case, names) and grader.applies(case):
                held = _seen(grader, case)
                yield from [f"{index}:{name}" for name in names if not any(has_field(one, name) for one in held)]
        for problem in _misspelt(case, graders) if settings is not None else ():
            note(problem)
        if settings is not None and (n := len(conversation_of(case).turns)) > settings.max_turns:
            what = f"{n} turns, and the suite's max_turns is {settings.max_turns}"
            note(Problem(f"{case.place} id {case.id}", what, f"write `max_turns: {n}`, or split the case"))
        yield from [f"cohort:{cohort}" for cohort in cohorts if cohort not in case.cohorts]
        yield from [f"system:{name}" for name in fields if not has_placeholder(case, name)]
        for at, has_answer in answered:
            with _told(f"{case.place} id {case.id}", "", note):
                yield from () if has_answer(case) else (f"answer:{at}",)
        check_by_scorers(case, f"{case.place} id {case.id}", readers, note)

    return lacks


def case_readers(graders: Sequence[Grader]) -> list[tuple[Grader, CaseReader]]:
    """Return the graders whose scorers check cases before the first call."""
    return [(grader, grader.scorer) for grader in graders if isinstance(grader.scorer, CaseReader)]


def check_by_scorers(
    case: Case, place: str, readers: Sequence[tuple[Grader, CaseReader]], note: Callable[[Problem], None]
) -> None:
    """Note what the scorers of a case find wrong with it."""
    for grader, reader in readers:
        if grader.applies(case):
            with _told(place, f"scorer {grader.scorer.name}: ", note, grader.package):
                for part in _seen(grader, case):
                    reader.check_case(part)


def asked_fields(config: SystemConfig, shared: Shared) -> Collection[str]:
    """Return the fields that a system's request needs of each case."""
    if isinstance(config, ChatSystem):
        return config.asked_fields(shared)
    fields: Collection[str] = getattr(config, "fields", ())
    return fields


def _misspelt(case: Case, graders: Sequence[Grader]) -> Iterator[Problem]:
    """Yield expectations of turns that no scorer reads although one reads a field with a similar name."""
    read = {name for grader in graders for name in grader.scorer.needs} | _EXPECTED
    for at, turn in enumerate(conversation_of(case).turns):
        for key in turn.expect:
            near = [] if key in read else get_close_matches(key.lower(), read, n=1, cutoff=0.8)
            if near:
                place = f"{case.place} id {case.id} turns[{at}]"
                yield Problem(place, f"no scorer of the suite reads `{key}`", f"did you mean `{near[0]}`?")


def _holds(grader: Grader, case: Case, names: Sequence[str]) -> bool:
    """Return whether a case has all that a scorer of it needs, as almost every one has."""
    return grader.over != "turn" and all([has_field(case, name) for name in names])


def _seen(grader: Grader, case: Case) -> Sequence[Case]:
    """Return the cases that a scorer gets for one row: its turns, if it grades those."""
    if grader.over != "turn":
        return (case,)
    asked = grader.asked_of_turns(case)
    return [seen for seen in turn_cases(case) if all(has_field(seen, name) for name in asked)]


@contextmanager
def _told(place: str, who: str, note: Callable[[Problem], None], package: str = "") -> Iterator[None]:
    """Record the error that a check of a case raises, and continue."""
    try:
        yield
    except InputError as error:
        for problem in error.problems:
            note(replace(problem, place=f"{place} {problem.place}"))
    except ValueError as error:
        what, fix = what_and_fix(error, "fix it, or remove it")
        note(Problem(place, f"{who}{what}", fix))
    except Exception as error:
        if not package:
            raise
        what = f"{package} raised {type(error).__name__}: {one_line(error)}"
        note(Problem(place, f"{who}{what}", "repair or remove the package"))


def missing(suite: Suite, graders: Sequence[Grader], golden: GoldenSet) -> Iterator[Problem]:
    """Yield a problem for each missing field."""
    for key, lack in golden.missing.items():
        owner, _, name = key.partition(":")
        some = f"{lack.n} of {plural(golden.n_cases, 'case')} {'has' if lack.n == 1 else 'have'} no"
        if owner == "cohort":
            fix = f"add it, or remove {name} from `cohorts:`"
            yield Problem(lack.place, f"{some} cohort {name!r} ({lack})", fix)
        elif owner == "answer":
            if lack.n == golden.n_cases:
                fix = suite.configs[int(name)].fix  # type: ignore[attr-defined]
                place = suite.systems[int(name)].place if suite.systems else "system"
                yield Problem(f"{place}.replay", f"none of the {lack.n} cases has a stored answer", fix)
        elif owner == "system":
            place = "system" if lack.n == golden.n_cases else lack.place
            fix = "add the field to each row, or fix the placeholder"
            yield Problem(place, f"{some} `{name}`, which the request asks for as {{{{{name}}}}} ({lack})", fix)
        else:
            grader = graders[int(owner)]
            scorer = grader.scorer.name
            fix = f"add it, or give the scorer `when: {{has: {name}}}`"
            if grader.over == "turn":
                fix = f"add it to a turn, as in `turns: [{{user: ..., {name}: ...}}]`, or leave rows out with `when:`"
            yield Problem(lack.place, f"{some} `{name}`, which scorer {scorer} needs ({lack})", fix)
