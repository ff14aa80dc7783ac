"""Leave out of an import what evalkit's own readers would refuse."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from evalkit.errors import InputError
from evalkit.formats.build import Builder
from evalkit.formats.yaml_text import Document
from evalkit.golden.fields import to_case
from evalkit.imports.imported import (
    FoundScorer,
    Imported,
    ImportedCase,
    ImportedSystem,
    Loss,
    PersonsLabel,
    StoredOutput,
)
from evalkit.net.vendors import VENDORS, with_vendor
from evalkit.runner.case_checks import MOST_CHECKS, CaseChecks
from evalkit.suite.scorers import scorer_entry
from evalkit.systems import SYSTEMS
from evalkit.systems.base import Shared
from evalkit.systems.output import to_output
from evalkit.systems.secrets import looks_secret, names_in
from evalkit.types import Failure

_MOST_REPEATS = 100
_FILLED = frozenset({"http", "headers", "base_url", "version", "command", "prompt", "system_prompt"})
"""Options of a system in which `${NAME}` is filled in, or is text."""
_PLACEHOLDER = "placeholder"
_URL_PLACEHOLDER = "https://placeholder.invalid"


def sound_parts(imported: Imported, source: Path, out: Path, env: Mapping[str, str]) -> Imported:
    """Return an import without what evalkit's own readers would refuse, each with a loss.

    Args:
        imported: what was read.
        source: the file that it was read from.
        out: the folder that it will be written to.
        env: the environment, for programs.
    """
    return _Soundness(imported, source, out, env).checked()


@dataclass
class _Soundness:
    """Leaves out, with a loss, what evalkit's own readers would refuse."""

    imported: Imported
    source: Path
    out: Path
    env: Mapping[str, str]
    losses: list[Loss] = field(default_factory=list)

    def checked(self) -> Imported:
        """Return what is left."""
        self.losses += self.imported.losses
        cases = tuple(case for each in self.imported.cases if (case := self._case(each)))
        ids = {case.id for case in cases}
        systems = tuple(self._system(system, ids) for system in self.imported.systems)
        scorers = tuple(self._scorers(cases))
        judge = self._judge()
        labels = tuple(self._labels(systems))
        losses = tuple(dict.fromkeys(self.losses))
        return replace(
            self.imported,
            cases=cases,
            systems=systems,
            scorers=scorers,
            judge=judge,
            labels=labels,
            losses=losses,
        )

    def _labels(self, systems: Iterable[ImportedSystem]) -> Iterator[PersonsLabel]:
        """Yield the labels of outputs that are kept, once for each answer and rater."""
        kept = {each.place for system in systems for each in system.outputs}
        seen: set[tuple[str, ...]] = set()
        for label in self.imported.labels:
            key = label.case_id, label.text, label.metric, label.rater
            if label.place not in kept or key in seen:
                what = "the output that it is about is not carried over" if label.place not in kept else "given twice"
                self.losses.append(Loss(label.place, f"a label of {label.rater[:60]}: {what}", "see there", "label"))
                continue
            seen.add(key)
            yield label

    def _judge(self) -> Mapping[str, Any] | None:
        given = (self.imported.judge or {}).get("chat")
        if given is None:
            return None
        options = {"chat" if key == "model" else key: value for key, value in given.items()}
        for what, fix in _faults(options, self.out, self.env):
            self.losses.append(Loss(self.imported.systems[0].place, f"the judge: {what}", fix))
            return None
        return self.imported.judge

    def _case(self, case: ImportedCase) -> ImportedCase | None:
        faults: list[tuple[str, str]] = []
        row = self._whole({"id": case.id, **case.fields}, case.place)
        to_case(
            row,
            case.place,
            lambda what, fix: faults.append((what, fix)),
            converses=self.imported.conversation,
            plays_user=True,
        )
        if faults:
            self.losses += [Loss(case.place, what, fix, "case") for what, fix in faults]
            return None
        fields = {name: value for name, value in row.items() if name != "id"}
        whole = [replace(each, options=self._whole(each.options, each.place)) for each in case.checks]
        checks = tuple(each for each in whole if self._is_sound(each, {**fields, "id": case.id}, case.place))
        for each in checks[MOST_CHECKS:]:
            what = f"a case has at most {MOST_CHECKS} checks"
            self.losses.append(Loss(each.place, what, "split the test", each.part))
        return replace(case, fields=fields, checks=checks[:MOST_CHECKS])

    def _is_sound(self, check: FoundScorer, row: Mapping[str, Any], place: str) -> bool:
        entry = {check.kind: check.options}
        case = to_case({**row, "checks": [entry]}, place, lambda what, fix: None, converses=self.imported.conversation)
        if case is None:
            return True
        try:
            CaseChecks().check_case(case)
        except InputError as error:
            found = error.problems[0]
            self.losses.append(Loss(check.place, f"{check.kind}: {found.what}", found.fix, check.part))
            return False
        return True

    def _scorers(self, cases: Iterable[ImportedCase]) -> Iterator[FoundScorer]:
        present = {name for case in cases for name, value in case.fields.items() if value not in (None, "")}
        for at, found in enumerate(self.imported.scorers):
            options = self._whole(found.options, found.place)
            builder = Builder(Document("", {}))
            entry = scorer_entry(builder, found.kind, options, ("scorers", at), None, at)
            if entry is not None and (entry.when is None or present.issuperset(entry.when.has)):
                yield replace(found, options=options)
            elif entry is None:
                problem = builder.problems[0]
                self.losses.append(Loss(found.place, f"{found.kind}: {problem.what}", problem.fix, found.part))

    def _system(self, system: ImportedSystem, ids: set[str]) -> ImportedSystem:
        if system.outputs:
            whole = [replace(each, output=self._whole(each.output, each.place)) for each in system.outputs]
            kept = [each for each in whole if self._is_kept(each, ids)]
            n_kept = Counter[str]()
            for at, each in enumerate(kept):
                kept[at] = replace(each, repeat=n_kept[each.case_id])  # without a gap where one was left out
                n_kept[each.case_id] += 1
            return replace(system, outputs=tuple(kept))
        if system.options is None:
            return system
        options = _relocated(self._whole(system.options, system.place), self.source, self.out)
        faults = [*_faults(options, self.out, self.env)]
        for what, fix in faults[:1]:
            self.losses.append(Loss(system.place, what, fix, "system"))
        return replace(system, options=None if faults else options)

    def _whole(self, value: Any, place: str) -> Any:
        """Return a JSON value without half characters: each becomes U+FFFD."""
        text = json.dumps(value, ensure_ascii=False)
        try:
            text.encode()
        except UnicodeEncodeError:
            what = "half of a character (a lone surrogate) is written as U+FFFD"
            self.losses.append(Loss(place, what, "write the whole character"))
            return json.loads(text.encode("utf-8", "surrogatepass").decode("utf-8", "replace"))
        return value

    def _is_kept(self, stored: StoredOutput, ids: set[str]) -> bool:
        if stored.case_id not in ids:
            self.losses.append(
                Loss(stored.place, "the case that it answers is not carried over", "see there", "output")
            )
            return False
        if stored.repeat >= _MOST_REPEATS:
            what = f"a suite has at most {_MOST_REPEATS} repeats"
            self.losses.append(Loss(stored.place, what, "split the source", "output"))
            return False
        if stored.failure is None and isinstance(ended := to_output(stored.output), Failure):
            self.losses.append(Loss(stored.place, ended.message, "export it again, or fix it in the source", "output"))
            return False
        return True


def _faults(options: Mapping[str, Any], out: Path, env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a system, apart from variables that are still to be set."""
    secret = next((key for key, text in _texts(options, "") if looks_secret(text)), None)
    if secret is not None:
        yield f"`{secret}` of the system holds a secret", "take it from the environment: docs/systems.md"
        return
    unfilled = next((key for key, value in options.items() if key not in _FILLED and _names(value)), None)
    if unfilled is not None:
        yield f"`${{...}}` in `{unfilled}` of the system is not filled in there", "write the value"
        return
    kind = next(key for key in SYSTEMS if key in options)
    try:
        given = with_vendor(options, "chat", VENDORS, skip=("dialect",)) if kind == "chat" else options
    except ValueError as error:
        yield str(error).partition("; ")[0], str(error).partition("; ")[2]
        return
    builder = Builder(Document("", {}))
    system = builder.build(SYSTEMS[kind], given, ("system",))
    yield from ((problem.what, problem.fix) for problem in builder.problems)
    if system is not None:
        folder = out.absolute()
        key = given.get("api_key_env")
        set_aside = placeholders([*_names(given), *([key] if isinstance(key, str) else [])], given)
        shared = Shared(root=folder, project=folder, env={**set_aside, **env})
        yield from ((problem.what, "write `system:` yourself: docs/systems.md") for problem in system.problems(shared))


def _names(value: Any) -> list[str]:
    return [name for _, text in _texts(value, "") for name in names_in(text)]


def _relocated(options: Mapping[str, Any], source: Path, out: Path) -> Mapping[str, Any]:
    """Return a system whose command names files beside the source by their path from the new folder."""
    if not isinstance(options.get("command"), list):
        return options
    here = source.resolve().parent
    return {**options, "command": [_moved(word, here, out.absolute()) for word in options["command"]]}


def _moved(word: str, here: Path, out: Path) -> str:
    if not word or "\0" in word or len(word) > 200 or os.path.isabs(word) or not (here / word).is_file():
        return word
    return Path(os.path.relpath(here / word, out)).as_posix()


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping | list):
        pairs: Iterable[tuple[Any, Any]] = (
            value.items() if isinstance(value, Mapping) else ((key, each) for each in value)
        )
        for name, inner in pairs:
            yield from _texts(inner, str(name))


def placeholders(variables: Iterable[str], *systems: Mapping[str, Any] | None) -> dict[str, str]:
    """Return values for variables, so that what names them can be checked while they are not set."""
    begun = [text for system in systems for _, text in _texts(system or {}, "")]
    return {
        name: _URL_PLACEHOLDER if any(text.startswith(f"${{{name}}}") for text in begun) else _PLACEHOLDER
        for name in variables
    }
