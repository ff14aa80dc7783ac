"""Find the rules and cases before a change, in the base branch or a stored baseline."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from evalkit.baselines.base_commit import NOT_THERE, Base, find_base, target_branch
from evalkit.baselines.code_before import code_changes
from evalkit.baselines.find import FILES, place_of
from evalkit.baselines.load import NO_BASELINE, named_baselines
from evalkit.disk.temporary import temporary_folder
from evalkit.errors import EvalkitError, InputError, Problem
from evalkit.formats.manifest import Manifest, Rules
from evalkit.golden.old_cases import former_cases
from evalkit.golden.read import GoldenSet
from evalkit.golden.rows import read_cases
from evalkit.results import Amendment
from evalkit.store.folder import BASELINES, RunFolder, is_name
from evalkit.store.git import PREFIX
from evalkit.suite.rules import golden_source, options_of_text, rules_of_options, system_names_of_text
from evalkit.text.numbers import plural

if TYPE_CHECKING:
    from evalkit.golden.source import GoldenSource
    from evalkit.suite.model import Suite
    from evalkit.types import Case

_YAML = (".yaml", ".yml")
_RUN = "run:"
"""Prefix of the name of a stored run that a scorer compares with."""


@dataclass(frozen=True, kw_only=True)
class RulesBefore:
    """The base of a change: its rules and the location of its cases."""

    rules: Rules | None = None
    """The rules; `None` if unknown."""
    since: str = ""
    """Their source: `origin/main@9f2c1ab`, or `baseline <run id>`."""
    found: tuple[Amendment, ...] = ()
    """Changes to the comparison itself, and parts that could not be compared."""
    base: Base | None = None
    """The commit whose golden set holds the old cases."""
    golden: GoldenSource | None = None
    """That golden set, with its path relative to the project's root."""
    baseline: RunFolder | None = None
    """The stored run of this suite whose rows hold the old cases, if no commit does."""


def state_before(
    suite: Suite,
    asked: str | None,
    compared: RunFolder | None,
    env: Mapping[str, str],
    run: Manifest | None = None,
) -> RulesBefore:
    """Find the base of a change, independent of the baseline in the gate.

    Args:
        suite: the current suite.
        asked: value of `--baseline`, `None` without it.
        compared: the baseline that the gate compares with, `None` if there is none.
        env: the environment, in which CI names the target branch.
        run: manifest of a stored run, `None` for one that is about to begin; a baseline saved from it, or from a run
            that began later, holds no earlier rules.

    Raises:
        InputError: a file of the base branch cannot be read, or is too large.
    """
    named = next(iter(named_baselines(suite)), None)
    base = find_base(suite.root, env, asked, named)
    stored = compared or _stored_baseline(suite, run)
    notes = [*_comparison(suite, asked, named, base), *_target(env, base)]
    at_base = _of_commit(base, suite) if base is not None else None
    if base is not None and at_base is not None:
        notes += [*at_base.found, *code_changes(suite, base)]
    if at_base is None or not at_base.rules or (at_base.base is not None and _is_vacuous(at_base.base, asked, named)):
        at_base = _of_baseline(stored, suite, at_base)
    elif stored is not None and _is_own(stored, suite):
        at_base = replace(at_base, baseline=stored)
    if not at_base.rules and not notes:
        notes.append(_nothing_to_compare(base))
    return replace(at_base, found=tuple(notes))


@dataclass(frozen=True, kw_only=True)
class Former:
    """Cases of the base that are missing from the current golden set, or differ in it."""

    cases: tuple[Case, ...] | None = None
    """The old cases; `None` if unknown."""
    of_commit: bool = False
    """Whether the base's golden set was read; False if a stored baseline provides them."""
    found: tuple[Amendment, ...] = ()
    """Findings about added cases, and about cases of the base that are not known."""
    drawn: frozenset[str] = frozenset()
    """Digests of the base's sampled cases; empty if the base runs all cases."""


Draw = Callable[[Iterable["Case"]], frozenset[str]]
"""Function that returns the digests of the cases in a sample of a set."""


def cases_before(before: RulesBefore, suite: Suite, golden: GoldenSet, draw: Draw | None) -> Former:
    """Find the cases of the base that were removed or edited.

    Args:
        before: the base.
        suite: the current suite.
        golden: its golden set.
        draw: function that draws the suite's sample, `None` if it runs all cases.

    Raises:
        InputError: the base's golden set or the rows of the baseline cannot be read.
    """
    why = ""
    if before.base is not None and before.golden is not None and before.golden.path is not None:
        found = _cases_of_commit(before.base, before.golden, before.golden.path, suite, golden, draw)
        if isinstance(found, Former):
            return found
        why = found
    former = Former()
    if before.baseline is not None and (why or before.base is None):
        old = tuple(row.case for row in before.baseline.rows() if row.repeat == 0)
        drawn = frozenset[str]()
        if draw is not None:
            asked = before.baseline.manifest().sample is not None
            drawn = frozenset(case.digest for case in old) if asked else draw(old)
        former = Former(cases=former_cases(old, golden.outlines), drawn=drawn)
    if why and before.base is not None:
        former = replace(former, found=tuple(_unread(before.base, before.baseline, why)))
    return former


def _unread(base: Base, stored: RunFolder | None, why: str) -> Iterator[Amendment]:
    """Report a golden set whose old text is not available.

    A set that git does not track is generated for each run, or fetched. It is a condition only if no baseline shows its
    cases, and never on the base itself.
    """
    if stored is not None:
        yield from _baseline_changes(stored.path.name, (stored.path,), base)
    if why != NOT_THERE:
        yield Amendment(what="golden set", note=f"the cases of {base.shown} cannot be read: {why}", loosens=True)
    elif stored is not None:
        note = f"not on {base.shown}; its cases are compared with those of the baseline"
        yield Amendment(what="golden set", note=note, loosens=False)
    elif not base.is_head:
        note = f"not on {base.shown}, so cases that went are not known; commit it, or save a baseline of the base"
        yield Amendment(what="golden set", note=note, loosens=True)


def _cases_of_commit(
    base: Base, old: GoldenSource, path: str, suite: Suite, golden: GoldenSet, draw: Draw | None
) -> Former | str:
    """Find the cases that were removed since a commit, or report why they are not known."""
    file = suite.root / path
    same = suite.golden_file == file.resolve() and suite.golden.reads_like(old)
    if same and base.holding([path]) and not base.differing([path]):
        return Former(cases=(), of_commit=True)
    problems: list[Problem] = []
    copy = temporary_folder("evalkit-base-") / PurePosixPath(path).name
    if why := base.copy(path, copy):
        return why

    shown = f"{base.shown}:{path}"

    def cases(note: Callable[[Problem], None]) -> Iterator[Case]:
        return (case for _, case in read_cases(old, copy, shown, note, reading=suite.reading))

    gone: tuple[Case, ...] = ()
    drawn, n_added = frozenset[str](), 0
    try:
        gone = former_cases(cases(problems.append), golden.outlines)
        ids = {case.id for case in cases(_unheard)}
        n_added = sum(case.id not in ids for case in golden.outlines())
        drawn = draw(cases(_unheard)) if draw is not None else drawn
    except InputError as error:  # a kind of file that is not read any more
        problems += error.problems
    unread = f"{plural(len(problems), 'row')} of {base.shown} cannot be read and are not compared"
    notes = [Amendment(what="golden set", note=unread, loosens=True)] if problems else []
    if n_added:
        notes.append(Amendment(what=f"{plural(n_added, 'case')} added", loosens=False))
    return Former(cases=gone, of_commit=True, found=tuple(notes), drawn=drawn)


def _unheard(problem: Problem) -> None:
    """Discard a problem that was reported when the file was first read."""


def _is_vacuous(base: Base, asked: str | None, named: str | None) -> bool:
    """Return True for the checked-out commit unless the gate names it: only uncommitted edits differ from it."""
    return base.is_head and not (asked or named or "").startswith(PREFIX)


def _comparison(suite: Suite, asked: str | None, named: str | None, base: Base | None) -> Iterator[Amendment]:
    """List changes to the baseline itself, and to other runs that scorers compare with."""
    if asked == NO_BASELINE and named is not None:
        yield Amendment(what="baseline", before=named, after="none (--baseline none)", loosens=True)
    if base is None:
        return
    rivals = (str(getattr(entry.options, "against", "")) for entry in suite.scorers)
    runs = (rival.removeprefix(_RUN) for rival in rivals if rival.startswith(_RUN))
    for name in dict.fromkeys((asked or named or NO_BASELINE, *runs)):
        if name != NO_BASELINE and not name.startswith(PREFIX):
            saved = (suite.root / BASELINES / name,) if is_name(name) else ()
            yield from _baseline_changes(name, (*saved, place_of(name, suite.root)), base)


def _baseline_changes(name: str, places: Iterable[Path | None], base: Base) -> Iterator[Amendment]:
    """List the stored runs that this change edited, removed or added.

    A run that git does not track, such as an artifact of CI, is not part of a change.
    """
    if base.is_head:
        return
    for place in dict.fromkeys(place for place in places if place is not None):
        own = os.path.relpath(place, base.root)
        files = [own] if place.is_file() else [f"{own}/{file}" for file in FILES]
        there = base.holding([own, *files])
        new = [file for file in files if file not in there and (base.root / file).is_file() and base.tracks(file)]
        changed = sorted({*base.differing(there), *new})
        names = [PurePosixPath(file).name for file in changed]
        note = f"{' and '.join(filter(None, (', '.join(names[:-1]), names[-1])))} " if names else ""
        note += f"{'is' if len(names) == 1 else 'are'} not {'that' if len(names) == 1 else 'those'} of {base.shown}"
        if not there and new:
            note = f"not on {base.shown}: this change brings it"
        if changed:
            yield Amendment(what=f"baseline {name}", note=note, loosens=True)


def _target(env: Mapping[str, str], base: Base | None) -> Iterator[Amendment]:
    target = target_branch(env)
    if target is not None and (base is None or base.shown.rpartition("@")[0] not in (target, f"origin/{target}")):
        note = "not fetched, so nothing is compared with it; set `fetch-depth: 0` of actions/checkout"
        yield Amendment(what=f"base branch {target}", note=note, loosens=True)


def _nothing_to_compare(base: Base | None) -> Amendment:
    where = "no base branch in git" if base is None else f"not on {base.shown}"
    return Amendment(what="rules", note=f"not compared: {where}, and no stored baseline of this suite", loosens=False)


def _stored_baseline(suite: Suite, run: Manifest | None) -> RunFolder | None:
    """Return the saved baseline of this suite that is older than the run: `main`, else the first by name."""
    folders = sorted((suite.root / BASELINES).glob("*/"), key=lambda each: (each.name != "main", each.name))
    for folder in (RunFolder(each) for each in folders if not each.name.startswith(".")):
        try:
            manifest = folder.manifest()
        except EvalkitError:
            continue  # whoever names it hears of it
        if run is not None and (manifest.run_id == run.run_id or manifest.started_at > run.started_at):
            continue
        if manifest.suite == suite.name or manifest.suite_file == _relative(suite):
            return folder
    return None


def _of_baseline(stored: RunFolder | None, suite: Suite, at_base: RulesBefore | None) -> RulesBefore:
    """Return the rules by which a stored run was decided, else those of the checked-out commit."""
    rest = at_base or RulesBefore()
    if stored is None:
        return rest
    manifest = stored.manifest()
    since = f"baseline {manifest.run_id}"
    if manifest.rules is None:
        return rest if rest.rules else replace(rest, since=since)
    return RulesBefore(rules=manifest.rules, since=since, baseline=stored if _is_own(stored, suite) else None)


def _is_own(stored: RunFolder, suite: Suite) -> bool:
    """Return False for a run of another suite, whose rows hold no earlier form of these cases."""
    return stored.manifest().suite == suite.name


def _relative(suite: Suite) -> str:
    return suite.path.relative_to(suite.root).as_posix()


def _of_commit(base: Base, suite: Suite) -> RulesBefore:
    """Return the rules of this suite at a commit; if it did not exist, of the suite of the same name."""
    own = _relative(suite)
    text = base.read([own]).get(own)
    file, found = own, tuple[Amendment, ...]()
    if text is None:
        moved = _moved(base, suite)
        if moved is None:
            note = f"not on {base.shown}, so its rules are not compared"
            return RulesBefore(base=base, found=(Amendment(what=f"suite {own}", note=note, loosens=True),))
        file, text = moved
        found = (Amendment(what="suite", before=file, after=own, loosens=True),)
    folder = posixpath.dirname(file)

    def read(names: Collection[str]) -> Mapping[str, bytes]:
        paths = {name: posixpath.normpath(posixpath.join(folder, name)) for name in names}
        found = base.read({*paths.values()})
        return {name: found[path] for name, path in paths.items() if path in found}

    options = options_of_text(text, file, suite)
    if options is None:
        note = f"cannot be read as it is on {base.shown}, so its rules are not compared"
        return RulesBefore(base=base, found=(*found, Amendment(what=f"suite {file}", note=note, loosens=True)))
    golden = golden_source(options)
    if golden.path is not None:
        golden = replace(golden, path=posixpath.normpath(posixpath.join(folder, golden.path)))
    rules = rules_of_options(options, read, folder or ".")
    rules = replace(rules, systems=system_names_of_text(text, file))
    return RulesBefore(rules=rules, since=base.shown, found=(*found, *_root(base, own)), base=base, golden=golden)


def _root(base: Base, own: str) -> Iterator[Amendment]:
    """Yield a changed project root, which moves baselines and the modules of a python system."""
    before, after = base.root_of(own), base.prefix.rstrip("/")
    if before != after:
        yield Amendment(what="project root", before=before or ".", after=after or ".", loosens=True)


def _moved(base: Base, suite: Suite) -> tuple[str, bytes] | None:
    """Find path and text of this suite's earlier form at a commit.

    A suite of the same name comes first, preferably one that is gone from the disk. Otherwise take a suite of another
    name that is gone, preferably one with the same golden set.
    """
    found = []
    for path in {*base.files_with(suite.name), *base.files_with("golden:")}:
        options = options_of_text(text := base.read([path])[path], path) if path.endswith(_YAML) else None
        if options is None:
            continue
        there, other = (suite.root / path).is_file(), options.name != suite.name
        if not (there and other):
            golden = golden_source(options).path
            file = (suite.root / path).parent / golden if golden is not None else None
            found.append((other, there, file is None or file.resolve() != suite.golden_file, path, text))
    return min(found)[3:] if found else None
