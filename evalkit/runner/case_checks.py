"""Grade an answer by the checks that its own case carries."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from evalkit.errors import InputError, Problem, what_and_fix
from evalkit.formats.build import Builder, choices, show
from evalkit.formats.yaml_text import Document, Path, dotted
from evalkit.runner.grading import Grader, grade_all
from evalkit.scorers.base import CaseReader, Grade
from evalkit.scorers.registry import NEGATION, SCORERS, known_elsewhere, score_key
from evalkit.suite.scorer_entry import When, has_field
from evalkit.suite.scorers import COMMON, named_item, scorer_entry
from evalkit.text.escaping import cut
from evalkit.types import Case, Metric, Output, Score, Unscored

FIELD = METRIC = "checks"
MOST_CHECKS = 100
"""Maximum number of checks of one case."""
RULES: Mapping[str, str] = {
    "budget": "1",
    "citation": "2",
    "contains": "2",
    "cost": "1",
    "efficiency": "1",
    "exact": "1",
    "groundedness": "1",
    "json": "1",
    "json_equal": "1",
    "keywords": "3",
    "latency": "1",
    "leak": "2",
    "length": "1",
    "loops": "1",
    "numbers": "1",
    "prompt_leak": "1",
    "refusal": "3",
    "regex": "1",
    "rouge_l": "1",
    "state": "1",
    "steps": "1",
    "token_f1": "1",
    "tool_calls": "1",
    "tool_errors": "1",
    "trajectory": "1",
}
"""Scorers that a case may name, with the versions behind `CaseChecks.version`. They need no model, no embedding, no
extra and no code, because rows are data and a judge's trust is measured by metric."""
_ENTRY = 'write [{"contains": "..."}], or rename the field'
_KEPT = 1_000
"""Maximum number of lists of checks in the cache."""
_LABEL_CHARS = 80


@dataclass(frozen=True)
class CaseCheck:
    """One check of a case, ready to grade."""

    label: str
    """Its name in reports: `contains '9.80 EUR'`."""
    grader: Grader


@dataclass(frozen=True)
class CaseChecks:
    """Pass an answer that passes every check of its case: one pass/fail metric, `checks`.

    A failed check fails the answer even if other checks have no score. If none fails, a check without a score leaves
    the answer unscored.
    """

    version: ClassVar[str] = "2"
    name: ClassVar[str] = METRIC
    metrics: ClassVar[tuple[Metric, ...]] = (Metric(METRIC, binary=True),)
    needs: ClassVar[frozenset[str]] = frozenset()
    without_text: ClassVar[bool] = True
    """Each check says itself whether it reads the text."""

    def check_case(self, case: Case) -> None:
        """Check every check of a case before the first call.

        Raises:
            InputError: reports all problems; their places are keys such as `checks[1].regex.pattern`.
        """
        checks, unsound = _read(_text(case))
        problems = [*unsound, *(problem for check in checks for problem in _lacking(check, case))]
        if problems:
            raise InputError(problems)

    async def score(self, case: Case, output: Output) -> Score | Unscored:
        """Grade by each check."""
        checks, _ = _read(_text(case))
        # Checks are rules, which do not depend on the repeat.
        outcomes = [_outcome(await _grades(check, case, output)) for check in checks]
        told = [f"check {at}: {check.label}" for at, check in enumerate(checks, 1)]
        failed = [
            f"{what}: {reason}" for what, (passed, reason, _) in zip(told, outcomes, strict=True) if passed is False
        ]
        unknown = [at for at, (passed, _, _) in enumerate(outcomes) if passed is None]
        if unknown and not failed:
            _, reason, kind = outcomes[unknown[0]]
            return Unscored(METRIC, kind, f"{told[unknown[0]]}: {reason}")
        details = [
            {"check": check.label, "passed": passed, "reason": reason}
            for check, (passed, reason, _) in zip(checks, outcomes, strict=True)
        ]
        passes = "passes its check" if len(checks) == 1 else f"passes all {len(checks)} checks"
        return Score(METRIC, float(not failed), not failed, "; ".join(failed) or passes, {"checks": details})


def checks_grader(index: int) -> Grader:
    """Return the grader of cases with checks.

    Args:
        index: position of the grader, after those of the suite.
    """
    scorer = CaseChecks()
    return Grader(scorer, When(has=(FIELD,)), key=score_key(METRIC, scorer, scorer), index=index)


async def _grades(check: CaseCheck, case: Case, output: Output) -> Collection[Grade]:
    """Grade by one check; a metric that is only shown decides nothing here either."""
    shown_only = {metric.name for metric in check.grader.metrics if metric.diagnostic}
    grades = await grade_all((check.grader,))(case, output, 0)
    return [grade for name, grade in grades.items() if name not in shown_only]


def _outcome(grades: Collection[Grade]) -> tuple[bool | None, str, str]:
    """Return whether a check passed (`None` if unknown), why, and the kind of `Unscored`."""
    marked = [each for each in grades if isinstance(each, Score) and each.passed is not None]
    failed = next((each for each in marked if not each.passed), None)
    if failed is not None:
        return False, failed.reason, ""
    unknown = next((each for each in grades if isinstance(each, Unscored)), None)
    return (True, marked[0].reason, "") if unknown is None else (None, unknown.message, unknown.kind)


def _lacking(check: CaseCheck, case: Case) -> Iterator[Problem]:
    """Return an error if the case lacks a field that a check needs."""
    scorer, place = check.grader.scorer, f"{FIELD}[{check.grader.index}]"
    for name in sorted(scorer.needs):
        if not has_field(case, name):
            yield Problem(place, f"{scorer.name} needs `{name}`, which this row does not have", "add the field")
    if isinstance(scorer, CaseReader):
        try:
            scorer.check_case(case)
        except ValueError as error:
            what, fix = what_and_fix(error, "fix it, or remove it")
            yield Problem(place, f"{scorer.name}: {what}", fix)


class _Row(Document):
    """Return a row for the checks; the caller knows its place."""

    def problem(self, path: Path, what: str, fix: str = "") -> Problem:
        """Return a problem at a key of the row."""
        return Problem(dotted(path), what, fix)


def _text(case: Case) -> str:
    return json.dumps(case.fields[FIELD])


@lru_cache(maxsize=_KEPT)
def _read(text: str) -> tuple[tuple[CaseCheck, ...], tuple[Problem, ...]]:
    """Return the checks in a JSON text, and their problems."""
    builder, items = Builder(_Row("", {})), json.loads(text)
    if not isinstance(items, list):
        builder.problem((FIELD,), f"expected a list of checks, got {show(items)}", _ENTRY)
        items = []
    if len(items) > MOST_CHECKS:
        what = f"{len(items):,} checks, at most {MOST_CHECKS} are read"
        builder.problem((FIELD,), what, "remove some, or split the case")
        items = items[:MOST_CHECKS]
    checks = [_check(builder, item, at) for at, item in enumerate(items)]
    return tuple(check for check in checks if check), tuple(builder.problems)


def _check(builder: Builder, item: Any, at: int) -> CaseCheck | None:
    named = named_item(builder, item, (FIELD, at))
    if named is None or not _allowed(builder, *named):
        return None
    entry = scorer_entry(builder, *named, None, at)
    if entry is None:
        return None
    key: Path = (FIELD, at)
    if entry.kind == "json" and isinstance(entry.options.schema, str):
        builder.problem((*key, entry.written, "schema"), "a row names no files", "write the schema itself")
        return None
    if not any(metric.votes for metric in entry.options.metrics):
        builder.problem(key, f"{entry.kind} has no pass mark", "give it one such as `min:`")
        return None
    try:
        return CaseCheck(_label(*named[:2]), Grader(entry.options, negated=entry.negated, index=at))
    except ValueError as error:
        builder.problem(key, *what_and_fix(str(error).removeprefix("name: ")))
        return None


def _allowed(builder: Builder, name: str, value: Any, path: Path) -> bool:
    """Return whether a row may use this scorer with these options."""
    kind, key = name.removeprefix(NEGATION), path[:2]
    if kind in SCORERS and kind not in RULES:
        fix = "add it to the suite's scorers, with `when: {has: FIELD}`"
        builder.problem(key, f"{kind} is not a rule, and a row may use rules only", fix)
        return False
    if kind not in RULES:
        builder.problem(key, f"no check called {kind!r}", known_elsewhere(kind) or choices(kind, RULES))
        return False
    own = [each for each in COMMON if isinstance(value, Mapping) and each in value]
    for each in own:
        builder.problem((*path, each), "a check applies to its own case only", "remove it")
    return not own


def _label(name: str, value: Any) -> str:
    """Name a check as its row writes it; a `name` of its own comes first."""
    if isinstance(value, Mapping):
        own = value.get("name")
        return cut(str(own) if own else f"{name} {json.dumps(value, ensure_ascii=False)}", _LABEL_CHARS)
    if value is None:
        return name
    texts = [
        f"'{each}'" if isinstance(each, str) else str(each) for each in (value if isinstance(value, list) else [value])
    ]
    return cut(f"{name} {', '.join(texts)}", _LABEL_CHARS)
