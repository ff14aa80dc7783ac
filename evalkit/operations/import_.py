"""Make a suite, a golden set and stored outputs from another tool's file, without running or fetching anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem
from evalkit.golden.source_file import open_source
from evalkit.imports.formats import NAMES, read_source
from evalkit.imports.imported import Imported, Loss
from evalkit.imports.otlp import TraceOptions
from evalkit.net.vendors import VENDORS, with_vendor
from evalkit.operations.check import check_suite
from evalkit.operations.import_files import SIMULATOR, files_of, plays_user, suite_files
from evalkit.operations.import_soundness import placeholders, sound_parts

__all__ = ["NAMES", "FinishedImport", "ImportRequest", "import_source"]


@dataclass(frozen=True, kw_only=True)
class ImportRequest:
    """What to import, and where to.

    Attributes:
        source: A file of another tool.
        out: Folder to write to; it must be empty or new.
        format: Name of the format; `None` to find it by content.
        answers: A file with outputs for the cases of the source.
        limit: Most cases to read.
        strict: Whether a loss is an error.
        more: Further files with spans of the same traces.
        expect_observed: Whether the successful calls of a trace become the expected ones.
    """

    source: Path
    out: Path
    format: str | None = None
    answers: Path | None = None
    limit: int | None = None
    strict: bool = False
    more: tuple[Path, ...] = ()
    expect_observed: bool = False


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
        needs_bot: Whether the user has to write the system, in bot.py.
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
    source = open_source(request.source, shown)
    answers = open_source(request.answers, request.answers.name) if request.answers is not None else None
    more = tuple(open_source(path, path.name) for path in request.more)
    traces = TraceOptions(more, request.expect_observed)
    imported = read_source(source, request.format, request.limit, answers, traces)
    sound = sound_parts(imported, request.source, request.out, env)
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
    set_aside = placeholders(sound.variables, *(system.options for system in sound.systems))
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
        elif part == "system":
            yield Count(part, found, sum(bool(system.options) for system in imported.systems))
        elif found:
            yield Count(part, found, max(0, found - lost[part]))
    if n_labels := len(imported.labels) + lost["label"]:
        yield Count("label", n_labels, len(imported.labels))


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
