"""Read the tests of promptfoo: variables, assertions, metadata."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from evalkit.golden.source_file import SourceFile
from evalkit.imports.ids_and_fields import Ids, cohorts_of, is_number, own_field
from evalkit.imports.imported import FoundScorer, Imported, ImportedCase, ImportedSystem, Loss
from evalkit.imports.promptfoo_assertions import Assertion, Draft
from evalkit.imports.promptfoo_providers import INPUT
from evalkit.imports.promptfoo_templates import NotCarried, as_text, render, resolved
from evalkit.imports.promptfoo_types import carry
from evalkit.imports.suite_scorers import suite_scorers

_QUESTIONS = ("input", "question", "query", "prompt", "text", "message", "user_input")
"""Variables that are the question, if a test has several."""
_METRIC = re.compile(r"\w[\w .:/()-]{0,59}")
"""Names of promptfoo's metrics that are kept as they are."""
MOST_TESTS = 10_000
_ASSERT_KEYS = {"type", "value", "threshold", "weight", "metric", "assert"}
_TEST_KEYS = {"description", "vars", "assert", "threshold", "metadata", "options"}
_OUR_OPTIONS = {"disableVarExpansion"}
KEY_FIX = "write by hand what it does, or leave it out"


class FoundTest(NamedTuple):
    """A test where it is written.

    Attributes:
        source: The config, or the file that it names.
        keys: Path of the test in it.
        value: The test; or why it cannot be read.
    """

    source: SourceFile
    keys: tuple[str | int, ...]
    value: Any


@dataclass
class ReadTest:
    """One case while it is read."""

    place: str
    variables: dict[str, Any]
    draft: Draft
    id: str = ""


@dataclass
class ReadTests:
    """Reads tests, and notes what is not carried over."""

    source: SourceFile
    stored: bool
    ids: Ids = field(default_factory=Ids)
    losses: dict[Loss, None] = field(default_factory=dict)
    """Each once, in the order of the source."""
    tests: list[ReadTest] = field(default_factory=list)
    n_lost: int = 0
    assertions: set[str] = field(default_factory=set)

    def lose(self, place: str, what: str, fix: str, part: str = "") -> None:
        """Note something that is not carried over."""
        self.losses.setdefault(Loss(place, what, fix, part))

    def read(self, given: FoundTest, default: Mapping[str, Any], otherwise: str) -> list[ReadTest]:
        """Read one test: several cases if a variable is a list; none, with a loss, if it cannot be carried."""
        place, test = given.source.at(*given.keys), given.value
        try:
            if isinstance(test, NotCarried):
                raise test
            if not isinstance(test, Mapping):
                raise NotCarried("a test that is not a mapping", "write its variables under `vars`")
            found = [self._case(given, default, each, otherwise) for each in _expanded(test, default)]
        except NotCarried as error:
            self.lose(place, error.what, error.fix, "case")
            self.n_lost += 1
            return []
        self.others(test, place)
        self.tests += found
        return found

    def _case(
        self,
        found: FoundTest,
        default: Mapping[str, Any],
        given: dict[str, Any],
        name: str,
    ) -> ReadTest:
        test, place = found.value, found.source.at(*found.keys)
        # The variables of results are filled already: what looks like a template there is text.
        variables = given if self.stored else resolved(given)
        metadata = {**mapping_of(default.get("metadata")), **mapping_of(test.get("metadata"))}
        metadata = {key: value for key, value in metadata.items() if not key.startswith("_")}
        fields = {own_field(key): value for key, value in variables.items()}
        draft = Draft({INPUT: _input(variables), **fields}, self.stored)
        if cohorts := cohorts_of(metadata):
            draft.fields["cohorts"] = cohorts
        for key in [key for key in metadata if key not in cohorts]:
            self.lose(place, f"`metadata.{key}` is not a short text", "keep it as a variable")
        self._assert(found._replace(keys=(*found.keys, "assert"), value=test.get("assert")), draft, variables)
        if not self.stored:
            shared = FoundTest(self.source, ("defaultTest", "assert"), default.get("assert"))
            self._assert(shared, draft, variables)
        made = ReadTest(place, variables, draft)
        made.id = self.ids.of(test.get("description"), name)
        return made

    def _assert(self, given: FoundTest, draft: Draft, variables: Mapping[str, Any]) -> None:
        """Read the assertions of a test, each an item of the given value."""
        source, keys, items = given
        if not isinstance(items, list | None):
            self.assertions.add(source.at(*keys))
            self.lose(source.at(*keys), "`assert` is not a list", "write `- ` before each `type:`", "assertion")
        for at, item in enumerate(items if isinstance(items, list) else []):
            inner = (*keys, at)
            if isinstance(item, Mapping) and item.get("type") == "assert-set" and item.get("threshold") is None:
                self._set(FoundTest(source, inner, item), draft, variables)
                continue
            place = source.at(*inner)
            self.assertions.add(place)
            try:
                self._one(item, place, draft, variables)
            except NotCarried as error:
                kind = item.get("type") if isinstance(item, Mapping) else None
                self.lose(place, f"{str(kind)[:60]}: {error.what}", error.fix, "assertion")

    def _set(self, given: FoundTest, draft: Draft, variables: Mapping[str, Any]) -> None:
        """Add the assertions of a set; those of a set with weight 0 decide nothing."""
        source, keys, item = given
        place, weight, inner = source.at(*keys), item.get("weight", 1), item.get("assert")
        if weight == 0 and isinstance(inner, list):
            inner = [{**each, "weight": 0} if isinstance(each, Mapping) else each for each in inner]
        self._assert(FoundTest(source, (*keys, "assert"), inner), draft, variables)
        if weight not in (0, 1):
            what = f"weight {_short(weight)} of the set: a case passes if every check passes"
            self.lose(place, what, "give what matters more a scorer and a gate of its own")
        for key in sorted(item.keys() - {"type", "assert", "weight", "threshold"}):
            if item[key] not in (None, "", [], {}):
                self.lose(place, f"`{key}` of the set is not read", "set it in the scorers: docs/scorers.md")

    def _one(self, item: Any, place: str, draft: Draft, variables: Mapping[str, Any]) -> None:
        if not isinstance(item, Mapping) or not isinstance(item.get("type"), str):
            raise NotCarried("an assertion without a type", "write `type:`")
        if item["type"] == "assert-set":
            raise NotCarried("a set with a threshold", "write its assertions one by one")
        if item.get("transform") is not None:
            raise NotCarried("`transform` changes the output by code", "write a `python` scorer: docs/own-scorers.md")
        kind = item["type"]
        threshold: Any = item.get("threshold")
        if threshold is not None and not is_number(threshold):
            raise NotCarried("its `threshold` is not a number", "write a number")
        given = Assertion(
            place,
            kind.removeprefix("not-"),
            render(item.get("value"), variables),
            None if threshold is None else float(threshold),
            kind.startswith("not-"),
        )
        before = len(draft.checks), len(draft.scorers)
        draft.notes.clear()
        carry(given, draft)
        for what, fix in draft.notes:
            self.lose(place, f"{kind}: {what}", fix)
        self._weighted(item, place, draft, before)

    def _weighted(self, item: Mapping[str, Any], place: str, draft: Draft, before: tuple[int, int]) -> None:
        """Name the new checks, and only show those of weight 0."""
        name = item.get("metric")
        named = {"name": name} if isinstance(name, str) and _METRIC.fullmatch(name) else {}
        new = [FoundScorer(each.place, each.kind, {**each.options, **named}) for each in draft.checks[before[0] :]]
        weight = item.get("weight", 1)
        draft.scorers[before[1] :] = [
            FoundScorer(each.place, each.kind, {**each.options, **named}) for each in draft.scorers[before[1] :]
        ]
        if weight == 0:
            del draft.checks[before[0] :]
            draft.scorers += new
            draft.scorers[before[1] :] = [
                FoundScorer(each.place, each.kind, {**each.options, "advisory": True})
                for each in draft.scorers[before[1] :]
            ]
        else:
            draft.checks[before[0] :] = new
        if weight not in (0, 1):
            what = f"weight {_short(weight)}: a case passes if every check passes"
            self.lose(place, what, "give what matters more a scorer and a gate of its own")
        for key in sorted(item.keys() - _ASSERT_KEYS):
            if item[key] not in (None, "", [], {}):
                self.lose(place, f"`{key}` of the assertion is not read", "set it in the scorer: docs/scorers.md")

    def others(self, test: Mapping[str, Any], place: str) -> None:
        """Note the settings of a test that are not read."""
        if test.get("threshold") is not None:
            what = f"threshold {_short(test['threshold'])}: a case passes if every check passes, not by a mean score"
            self.lose(place, what, "give weight 0 to assertions that may fail, and import again")
        for key in sorted(test.keys() - _TEST_KEYS):
            if test[key] not in (None, "", [], {}):
                self.lose(place, f"`{key}` of the test is not read", KEY_FIX)
        for key, value in mapping_of(test.get("options")).items():
            if key not in _OUR_OPTIONS and value not in (None, "", [], {}):
                self.lose(place, f"`options.{key}` of the test is not read", KEY_FIX)

    def fields(self) -> dict[str, str]:
        """Return the field of each variable; the variable that is the input of every case needs none."""
        questions = {asked(test.variables) for test in self.tests}
        found = {name: own_field(name) for test in self.tests for name in test.variables}
        if len(questions) == 1 and (question := questions.pop()) is not None:
            for test in self.tests:
                test.draft.fields.pop(own_field(question), None)
            found[question] = INPUT
        return found

    def imported(self, kind: str, name: str, systems: Sequence[ImportedSystem], **more: Any) -> Imported:
        """Return what was read, with the scorers that several cases share."""
        rows = [test.draft.fields for test in self.tests]
        shared = suite_scorers([test.draft.scorers for test in self.tests], rows)
        found = {"case": len(self.tests) + self.n_lost, "assertion": len(self.assertions)}
        return Imported(
            kind=kind,
            name=name,
            cases=tuple(
                ImportedCase(test.place, test.id, test.draft.fields, tuple(test.draft.checks)) for test in self.tests
            ),
            systems=tuple(systems),
            scorers=tuple(shared.scorers),
            rubrics=shared.rubrics,
            losses=(*self.losses, *shared.losses),
            found={**found, **more.pop("found", {})},
            all_pass=True,
            **more,
        )


def asked(variables: Mapping[str, Any]) -> str | None:
    """Return the variable that is the question: the only one, or one with a known name."""
    if len(variables) == 1:
        return next(iter(variables))
    return next((name for name in _QUESTIONS if name in variables), None)


def _input(variables: Mapping[str, Any]) -> str:
    name = asked(variables)
    text = as_text(variables[name]) if name is not None else as_text(variables) if variables else ""
    return text if text.strip() else "(no variables)"


def _expanded(test: Mapping[str, Any], default: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the variables of a test, once for each combination of those that are lists."""
    given = {**_variables(default.get("vars")), **_variables(test.get("vars"))}
    options = {**mapping_of(default.get("options")), **mapping_of(test.get("options"))}
    if options.get("disableVarExpansion"):
        yield given
        return
    lists = {name: value for name, value in given.items() if isinstance(value, list) and value}
    n_cases = 1
    for value in lists.values():
        n_cases *= len(value)
    if n_cases > MOST_TESTS:
        raise NotCarried(f"its lists make {n_cases:,} cases", f"write tests of at most {MOST_TESTS:,} combinations")
    for values in itertools.product(*lists.values()):
        yield {**given, **dict(zip(lists, values, strict=True))}


def _variables(value: Any) -> Mapping[str, Any]:
    if isinstance(value, str | list):
        raise NotCarried("`vars` names files, which an import does not open", "write the variables there")
    return mapping_of(value)


def title_of(config: Mapping[str, Any], source: SourceFile) -> str:
    """Return the name of the suite."""
    text = config.get("description")
    return text if isinstance(text, str) and text.strip() else source.path.name.partition(".")[0]


def mapping_of(value: Any) -> dict[str, Any]:
    """Return a mapping; an empty one for anything else."""
    return dict(value) if isinstance(value, Mapping) else {}


def _short(value: Any) -> str:
    return as_text(value)[:20]
