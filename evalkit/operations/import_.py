"""Make a suite, a golden set and stored outputs of another tool's file, without running or fetching anything."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem
from evalkit.formats.build import Builder
from evalkit.formats.yaml_text import Document
from evalkit.golden.fields import to_case
from evalkit.imports.foreign import open_foreign
from evalkit.imports.formats import NAMES, read_foreign
from evalkit.imports.imported import FoundScorer, Imported, ImportedCase, ImportedSystem, Loss, StoredOutput
from evalkit.net.vendors import VENDORS, with_vendor
from evalkit.operations.check import check_suite
from evalkit.operations.import_files import SIMULATOR, files_of, plays_user, suite_files
from evalkit.runner.case_checks import MOST_CHECKS, CaseChecks
from evalkit.suite.scorers import scorer_entry
from evalkit.systems import SYSTEMS
from evalkit.systems.base import Shared
from evalkit.systems.output import to_output
from evalkit.systems.secrets import looks_secret, names_in
from evalkit.types import Failure

__all__ = ["NAMES", "FinishedImport", "ImportRequest", "import_source"]

_MOST_REPEATS = 100
_PLACEHOLDER = "placeholder"
_URL_PLACEHOLDER = "https://placeholder.invalid"


@dataclass(frozen=True, kw_only=True)
class ImportRequest:
    """What to import, and where to.

    Attributes:
        source: A file of another tool.
        out: Folder to write to; it must be empty, or not exist.
        format: Name of the format; `None` to find it by content.
        answers: A file with outputs for the cases of the source.
        limit: Most cases to read.
        strict: Whether a loss is an error.
    """

    source: Path
    out: Path
    format: str | None = None
    answers: Path | None = None
    limit: int | None = None
    strict: bool = False


@dataclass(frozen=True)
class Count:
    """How many parts of a kind the source has, and how many were carried over."""

    part: str
    found: int
    carried: int


@dataclass(frozen=True)
class FinishedImport:
    """A finished import.

    Attributes:
        kind: What the source is.
        counts: Of cases, assertions, systems and outputs.
        losses: What was not carried over.
        variables: Environment variable to set before a run -> what it holds.
        files: Everything that was written.
        suites: The suites among them.
        replays: Whether they replay stored outputs.
        needs_bot: Whether the system is to be written in bot.py.
    """

    kind: str
    counts: tuple[Count, ...]
    losses: tuple[Loss, ...]
    variables: Mapping[str, str]
    files: tuple[Path, ...]
    suites: tuple[Path, ...]
    replays: bool
    needs_bot: bool


async def import_source(request: ImportRequest, env: Mapping[str, str]) -> FinishedImport:
    """Import a file.

    Raises:
        InputError: the source cannot be read, nothing of it can be carried over, the folder is not empty, or something
            was lost and `strict` is set. Then nothing is written.
    """
    shown = request.source.name
    _refuse_full(request.out)
    source = open_foreign(request.source, shown)
    answers = open_foreign(request.answers, request.answers.name) if request.answers is not None else None
    imported = read_foreign(source, request.format, request.limit, answers)
    sound = _Soundness(imported, request, env).checked()
    sound = replace(sound, variables={**dict(_keys(sound)), **sound.variables})
    if not sound.cases:
        raise InputError(
            [*map(_problem, sound.losses), Problem(shown, "no case in it can be carried over", "see above")]
        )
    if request.strict and sound.losses:
        raise InputError([*map(_problem, sound.losses)])
    counts = tuple(_counts(sound))
    files = files_of(sound, shown, counts_of={each.part: (each.found, each.carried) for each in counts})
    made = _write(request.out, files)
    suites = tuple(request.out / name for name in suite_files(sound))
    set_aside = _placeholders(sound.variables, *(system.options for system in sound.systems))
    try:
        for suite in suites:
            await check_suite(suite, {**set_aside, **env})
    except InputError:
        _remove(request.out, made)
        raise
    return FinishedImport(
        kind=sound.kind,
        counts=counts,
        losses=sound.losses,
        variables=sound.variables,
        files=made,
        suites=suites,
        replays=bool(sound.systems[0].outputs),
        needs_bot="bot.py" in files,
    )


def _problem(loss: Loss) -> Problem:
    return Problem(loss.place, loss.what, loss.fix)


def _counts(imported: Imported) -> Iterator[Count]:
    lost = Counter(part for part, _ in {(loss.part, loss.place) for loss in imported.losses})
    for part, found in imported.found.items():
        if part == "case":
            yield Count(part, found, len(imported.cases))
        elif part == "output":
            yield Count(part, found, sum(len(system.outputs) for system in imported.systems))
        elif found:
            yield Count(part, found, max(0, found - lost[part]))
    if imported.labels:
        yield Count("label", len(imported.labels), len(imported.labels))


@dataclass
class _Soundness:
    """Leaves out, with a loss, what evalkit's own readers would refuse."""

    imported: Imported
    request: ImportRequest
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
        losses = tuple(dict.fromkeys(self.losses))
        return replace(self.imported, cases=cases, systems=systems, scorers=scorers, judge=judge, losses=losses)

    def _judge(self) -> Mapping[str, Any] | None:
        given = (self.imported.judge or {}).get("chat")
        if given is None:
            return None
        options = {"chat" if key == "model" else key: value for key, value in given.items()}
        for what, fix in _faults(options, self.request.out, self.env):
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
            return replace(system, outputs=tuple(each for each in whole if self._is_kept(each, ids)))
        if system.options is None:
            return system
        options = _relocated(self._whole(system.options, system.place), self.request)
        faults = [*_faults(options, self.request.out, self.env)]
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
        if stored.failure is None and isinstance(ended := to_output(stored.output), Failure):
            self.losses.append(Loss(stored.place, ended.message, "export it again, or fix it in the source", "output"))
            return False
        return True


def _faults(options: Mapping[str, Any], out: Path, env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a system, variables that are to be set aside."""
    secret = next((key for key, text in _texts(options, "") if looks_secret(text)), None)
    if secret is not None:
        yield f"`{secret}` of the system holds a secret", "take it from the environment: docs/systems.md"
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
        named = [name for _, text in _texts(given, "") for name in names_in(text)]
        key = given.get("api_key_env")
        set_aside = _placeholders([*named, *([key] if isinstance(key, str) else [])], given)
        shared = Shared(root=folder, project=folder, env={**set_aside, **env})
        yield from ((problem.what, "write `system:` yourself: docs/systems.md") for problem in system.problems(shared))


def _relocated(options: Mapping[str, Any], request: ImportRequest) -> Mapping[str, Any]:
    """Return a system whose command names files beside the source by their way from the new folder."""
    if not isinstance(options.get("command"), list):
        return options
    here = request.source.resolve().parent
    return {**options, "command": [_moved(word, here, request.out.absolute()) for word in options["command"]]}


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


def _placeholders(variables: Iterable[str], *systems: Mapping[str, Any] | None) -> dict[str, str]:
    """Return values for variables, so that what names them can be checked while they are not set."""
    begun = [text for system in systems for _, text in _texts(system or {}, "")]
    return {
        name: _URL_PLACEHOLDER if any(text.startswith(f"${{{name}}}") for text in begun) else _PLACEHOLDER
        for name in variables
    }


def _keys(imported: Imported) -> Iterator[tuple[str, str]]:
    """Yield the variables of keys that vendors' models need, with the model."""
    chats: list[tuple[Mapping[str, Any], str]]
    chats = [(system.options, "chat") for system in imported.systems if system.options and "chat" in system.options]
    if imported.judge:
        chats.append((imported.judge["chat"], "model"))
    if plays_user(imported):
        chats.append(({"chat": SIMULATOR}, "chat"))
    for options, key in chats:
        if isinstance(name := with_vendor(options, key, VENDORS).get("api_key_env"), str):
            yield name, f"the key of {options[key]}"


def _refuse_full(out: Path) -> None:
    try:
        full = out.is_dir() and any(out.iterdir())
        other = out.exists() and not out.is_dir()
    except OSError as error:
        raise InputError(Problem(str(out), f"cannot be read ({error.strerror})", "choose another folder")) from None
    if full or other:
        what = "is not a folder" if other else "is not empty"
        raise InputError(Problem(shown_path(out), what, "name a new folder with --out"))


def _write(out: Path, files: Mapping[str, str]) -> tuple[Path, ...]:
    made: list[Path] = []
    try:
        for name, text in files.items():
            file = out / name
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8", newline="\n") as opened:
                made.append(file)
                opened.write(text)
    except OSError as error:
        _remove(out, made)
        what = f"cannot be written ({error.strerror})"
        raise InputError(Problem(shown_path(out), what, "choose another folder")) from None
    return tuple(made)


def _remove(out: Path, made: Iterable[Path]) -> None:
    for file in made:
        file.unlink(missing_ok=True)
    for folder in sorted({file.parent for file in made}, reverse=True):
        folder.rmdir()
