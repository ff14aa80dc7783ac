"""Find the rules and cases before a change, in the base branch or a stored baseline."""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeGuard

from evalkit.baselines.base_commit import Base, find_base, target_branch
from evalkit.baselines.load import NO_BASELINE, named_baselines
from evalkit.errors import EvalkitError, InputError, Problem
from evalkit.formats.shapes import fits
from evalkit.golden.old_cases import former_cases
from evalkit.golden.read import GoldenSet, read_cases
from evalkit.results import Amendment
from evalkit.store.folder import BASELINES, MANIFEST, ROWS, RunFolder, is_name
from evalkit.store.git import PREFIX
from evalkit.suite.rules import golden_source, options_of_text, rules_of_options

if TYPE_CHECKING:
    from evalkit.golden.read import GoldenSource
    from evalkit.suite.model import Suite
    from evalkit.types import Case

_SHAPE: Mapping[str, Any] = {
    "gate": list[Any],
    "require_evidence": bool,
    "kappa_floors": dict[str, float],
    "cohorts": list[str],
    "repeat": int,
    "repeat_rule": str,
    "production": dict[str, float],
    "labels": dict[str, dict[str, Any]],
}
_YAML = (".yaml", ".yml")


@dataclass(frozen=True, kw_only=True)
class RulesBefore:
    """The base of a change: its rules and where its cases are."""

    rules: Mapping[str, Any] = field(default_factory=dict)
    """Empty where none are known."""
    since: str = ""
    """Where they are from: `origin/main@9f2c1ab`, or `baseline <run id>`."""
    found: tuple[Amendment, ...] = ()
    """Changes of what is compared, and what could not be compared."""
    base: Base | None = None
    """The commit whose golden set holds the old cases."""
    golden: GoldenSource | None = None
    """That golden set, with its path relative to the project's root."""
    baseline: RunFolder | None = None
    """The stored run whose rows hold the old cases, where no commit does."""


def state_before(
    suite: Suite,
    asked: str | None,
    compared: RunFolder | None,
    env: Mapping[str, str],
    run: Mapping[str, Any] | None = None,
) -> RulesBefore:
    """Find the base of a change, whatever the gate names.

    Args:
        suite: as it is now.
        asked: what `--baseline` names, `None` without it.
        compared: the baseline that the gate compares with, `None` where there is none.
        env: the environment, in which CI names the target branch.
        run: manifest of a stored run, `None` for one that is about to begin; a baseline saved from it, or from a run
            that began later, holds no earlier rules.

    Raises:
        InputError: for a file of the base branch that is there and cannot be read, or is too large.
    """
    named = next(iter(named_baselines(suite)), None)
    base = find_base(suite.root, env, asked, named)
    stored = compared or _stored_baseline(suite, run)
    notes = [*_comparison(asked, named, base), *_target(env, base)]
    at_base = _of_commit(base, suite) if base is not None else None
    if at_base is not None:
        notes += at_base.found
    if at_base is None or not at_base.rules or (at_base.base is not None and _is_vacuous(at_base.base, asked, named)):
        at_base = _of_baseline(stored, suite, at_base)
    if not at_base.rules and not notes:
        notes.append(_nothing_to_compare(base))
    return replace(at_base, found=tuple(notes))


@dataclass(frozen=True, kw_only=True)
class Former:
    """Cases of the base that today's golden set no longer holds in that form."""

    cases: tuple[Case, ...] | None = None
    """`None` where the old cases are not known."""
    of_commit: bool = False
    """True where the base's golden set was read, False where a stored baseline tells them."""
    problems: tuple[Problem, ...] = ()
    """Rows of the base's golden set that cannot be read any more."""


def cases_before(before: RulesBefore, suite: Suite, golden: GoldenSet) -> Former:
    """Find the cases of the base that were removed or edited.

    Raises:
        InputError: the base's golden set or the rows of the baseline cannot be read.
    """
    found = _cases_of_commit(before.base, before.golden, suite, golden) if before.base and before.golden else None
    if found is not None:
        return found
    if before.baseline is not None:
        rows = before.baseline.rows()
        return Former(cases=former_cases((row.case for row in rows if row.repeat == 0), golden.open))
    return Former()


def _cases_of_commit(base: Base, old: GoldenSource, suite: Suite, golden: GoldenSet) -> Former | None:
    """`None` where the commit does not hold the file."""
    if old.path is None:
        return None
    file = suite.root / old.path
    same = suite.golden_file == file and suite.golden.make_ids == old.make_ids
    if same and file.is_file() and not base.differing([old.path]):
        return Former(cases=(), of_commit=True)
    problems: list[Problem] = []
    with tempfile.TemporaryDirectory(prefix="evalkit-base-") as folder:
        copy = Path(folder) / PurePosixPath(old.path).name
        if not base.copy(old.path, copy):
            return None
        try:
            cases = (case for _, case in read_cases(old, copy, f"{base.shown}:{old.path}", problems.append))
            gone = former_cases(cases, golden.open)
        except InputError as error:  # a kind of file that is not read any more
            gone = ()
            problems += error.problems
    return Former(cases=gone, of_commit=True, problems=tuple(problems))


def _is_vacuous(base: Base, asked: str | None, named: str | None) -> bool:
    """True for the commit that is checked out, unless it is what the gate names: only uncommitted edits differ."""
    return base.is_head and not (asked or named or "").startswith(PREFIX)


def _comparison(asked: str | None, named: str | None, base: Base | None) -> Iterator[Amendment]:
    """List changes to the baseline itself."""
    if asked == NO_BASELINE and named is not None:
        yield Amendment(what="baseline", before=named, after="none (--baseline none)", loosens=True)
    name = asked or named
    if name and base is not None and not base.is_head and is_name(name):
        folder = (BASELINES / name).as_posix()
        if changed := base.differing([f"{folder}/{file}" for file in (MANIFEST, f"{ROWS}.gz")]):
            note = f"{' and '.join(PurePosixPath(name).name for name in changed)} are not those of {base.shown}"
            yield Amendment(what=f"baseline {name}", note=note, loosens=True)


def _target(env: Mapping[str, str], base: Base | None) -> Iterator[Amendment]:
    target = target_branch(env)
    if target is not None and (base is None or base.shown.rpartition("@")[0] not in (target, f"origin/{target}")):
        note = "not fetched, so nothing is compared with it; set `fetch-depth: 0` of actions/checkout"
        yield Amendment(what=f"base branch {target}", note=note, loosens=True)


def _nothing_to_compare(base: Base | None) -> Amendment:
    where = "no base branch in git" if base is None else f"not on {base.shown}"
    return Amendment(what="rules", note=f"not compared: {where}, and no stored baseline of this suite", loosens=False)


def _stored_baseline(suite: Suite, run: Mapping[str, Any] | None) -> RunFolder | None:
    """The saved baseline of this suite that is older than the run: `main`, else the first by name."""
    folders = sorted((suite.root / BASELINES).glob("*/"), key=lambda each: (each.name != "main", each.name))
    for folder in (RunFolder(each) for each in folders if not each.name.startswith(".")):
        try:
            manifest = folder.manifest()
        except EvalkitError:
            continue  # whoever names it hears of it
        if run is not None and (manifest["run_id"] == run["run_id"] or manifest["started_at"] > run["started_at"]):
            continue
        if manifest["suite"] == suite.name or manifest["suite_file"] == _relative(suite):
            return folder
    return None


def _of_baseline(stored: RunFolder | None, suite: Suite, at_base: RulesBefore | None) -> RulesBefore:
    """The rules that a stored run was decided by; what it does not hold is taken from the checked-out commit."""
    rest = at_base or RulesBefore()
    if stored is None:
        return rest
    manifest = stored.manifest()
    rules = manifest.get("rules")
    since = f"baseline {manifest['run_id']}"
    if not _is_whole(rules):
        return rest if rest.rules else replace(rest, since=since)
    # The rows of another suite's run hold no earlier form of these cases.
    own = manifest["suite"] == suite.name
    return RulesBefore(rules={**rest.rules, **rules}, since=since, baseline=stored if own else None)


def _is_whole(rules: Any) -> TypeGuard[Mapping[str, Any]]:
    """True for rules as a run writes them."""
    return (
        isinstance(rules, dict)
        and all(fits(rules.get(key, ...), hint) for key, hint in _SHAPE.items())
        and all(fits(file.get("n", ...), int) for file in rules["labels"].values())
        and all(fits(file.get("rows", ...), list[str]) for file in rules["labels"].values())
    )


def _relative(suite: Suite) -> str:
    return suite.path.relative_to(suite.root).as_posix()


def _of_commit(base: Base, suite: Suite) -> RulesBefore:
    """The rules of this suite at a commit; where it was not there, of the suite of the same name."""
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
        paths = {posixpath.normpath(posixpath.join(folder, name)): name for name in names}
        return {paths[path]: data for path, data in base.read(paths).items()}

    options = options_of_text(text, file)
    if options is None:
        note = f"cannot be read as it is on {base.shown}, so its rules are not compared"
        return RulesBefore(base=base, found=(*found, Amendment(what=f"suite {file}", note=note, loosens=True)))
    golden = golden_source(options)
    if golden.path is not None:
        golden = replace(golden, path=posixpath.normpath(posixpath.join(folder, golden.path)))
    rules = rules_of_options(options, read, folder or ".")
    return RulesBefore(rules=rules, since=base.shown, found=found, base=base, golden=golden)


def _moved(base: Base, suite: Suite) -> tuple[str, bytes] | None:
    """Path and text of the suite that this one was at a commit.

    It is a suite of the same name, one that is gone from the disk first; else one of another name that is gone, one
    with the same golden set first.
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
