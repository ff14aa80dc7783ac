"""Parse a suite file, reporting every problem at once."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.disk.files import Unfit, read_file
from evalkit.disk.paths import project_of
from evalkit.errors import InputError, Problem, gathered, what_and_fix
from evalkit.formats.build import Builder, choices, show
from evalkit.formats.yaml_text import Document, dotted, parse
from evalkit.gate.card import Card
from evalkit.gate.leakage import Leakage
from evalkit.gate.policy import CHECKS, Best, Item, NoRegression, Policy, Threshold, policy_problems
from evalkit.golden.read import open_golden
from evalkit.golden.source import GoldenSource
from evalkit.net.vendors import VENDORS, Vendor, with_vendor
from evalkit.suite.conversation import read_settings
from evalkit.suite.model import (
    JudgeConfig,
    Suite,
    SuiteOptions,
    model_options,
    reading_of,
)
from evalkit.suite.named_system import REFERENCE
from evalkit.suite.partial import ABSENT, usable
from evalkit.suite.scorers import Steps, named_item, options_of, read_scorers, refuse_over
from evalkit.suite.searched_files import check_leakage, searched_files
from evalkit.suite.strings import check_strings, variables_of
from evalkit.suite.systems import check_best, check_release, check_times, read_systems, several
from evalkit.systems import SYSTEMS
from evalkit.systems.base import SystemConfig
from evalkit.trust.label_files import read_labels
from evalkit.types import Metric

if TYPE_CHECKING:
    from evalkit.suite.variants import VariantEntry

Vendors = Mapping[str, Vendor]
MOST_ENTRIES = 1_000
"""Maximum length of a list in a suite."""
MOST_NEAR = 1_000
"""Maximum number of files of a folder that are searched for the intended one."""
_ELSEWHERE = {
    Best: "compares the systems of a run",
    Leakage: "searches what a system knows",
    Card: "reads a golden set",
}
"""Checks that need a run, and what they do."""


def load_suite(path: Path, shown: str | None = None) -> Suite:
    """Read a suite file.

    Raises:
        InputError: reports every problem of the file.
    """
    shown = shown or str(path)
    data = file_bytes(path, shown)
    builder = Builder(parse(data, shown))
    options = builder.build(SuiteOptions, builder.document.value, ()) or usable(builder)
    root = project_of(path.resolve().parent)
    golden = options.golden if isinstance(options.golden, GoldenSource) else GoldenSource(path=options.golden)
    files = _Files(builder, path.resolve().parent, root)
    golden_file = files.resolve(golden.path, ("golden",)) if golden.path else None
    learnt = [files.resolve(name, ("golden", "trained_on", i)) for i, name in enumerate(golden.trained_on)]
    searched = searched_files(builder, golden, learnt, files.base, root)
    vendors = read_vendors(builder, options.vendors)

    def placed(given: Any, at: Steps) -> Any:
        return placed_model(builder, model_options(given), "model", vendors, at)

    judge = read_judge(builder, options.judge, placed)
    conversation = read_settings(builder, options.conversation, root, files.resolve, placed)
    systems = read_systems(builder, options, lambda value, at: _system(builder, value, vendors, at))
    system_kind, system = "", None
    if systems:
        named = next((each for each in systems if each.name == options.reference), systems[0])
        system_kind, system = named.kind, named.config
    elif options.system not in (ABSENT, None) and not several(options):
        system_kind, system = _system(builder, options.system, vendors)
    options = _few_entries(builder, options)
    scorers = read_scorers(builder, options.scorers, judge)
    variants = _variants(builder, options.variants)
    if conversation is None:
        refuse_over(builder, scorers)
    policy, baseline_system = _policy(builder, options, vendors, asks_again=system_kind != "replay")
    if systems:
        check_release(builder, policy.checks, named, options.release)
        check_times(builder, policy.checks, options.order)
    check_best(builder, options.gate, systems, options)
    check_leakage(builder, policy.checks, searched)
    labels = _label_files(builder, files, options.labels)
    records = [files.resolve(name, ("calibrations", i)) for i, name in enumerate(options.calibrations)]
    check_strings(builder)
    if builder.problems or system is None:
        problems = list(builder.problems)
        with gathered(problems):
            if golden_file:
                open_golden(golden, golden_file, _relative(golden_file, root), reading=reading_of(options, system))
        with gathered(problems):
            read_labels(*_shown(labels, root))
        raise InputError(problems)
    called = (system, *(each.config for each in systems))
    keys = _keys_of(judge, *called, conversation.user if conversation is not None else None)
    return Suite(
        path=path.resolve(),
        sha256=hashlib.sha256(data).hexdigest(),
        root=root,
        options=options,
        golden=golden,
        golden_file=golden_file,
        golden_shown=_relative(golden_file, root) if golden_file else str(golden.url or golden.hub),
        system=system,
        system_kind=system_kind,
        systems=systems,
        system_names=tuple(each.name for each in systems),
        judge=judge,
        scorers=scorers,
        policy=policy,
        baseline_system=baseline_system,
        label_files=labels,
        calibration_files=tuple(file for file in records if file),
        learnt_files=tuple(file for file in learnt if file),
        searched=searched,
        conversation=conversation,
        variants=variants,
        lines=lines_of_keys(builder.document),
        variables=tuple(dict.fromkeys((*variables_of(builder.document.value), *keys))),
        stated_repeat=options.repeat,
    )


def _variants(builder: Builder, items: Sequence[Any]) -> tuple[VariantEntry, ...]:
    if not items:
        return ()
    from evalkit.suite.variants import read_variants  # few suites need it

    return read_variants(builder, items)


def _label_files(builder: Builder, files: _Files, names: Sequence[str]) -> tuple[Path, ...]:
    """Return the files with labels that can be found; one that is named twice is a problem."""
    found = [files.resolve(name, ("labels", at)) for at, name in enumerate(names)]
    for at, file in enumerate(found):
        if file is not None and file in found[:at]:
            builder.problem(("labels", at), f"{names[at]!r} is named twice", "its labels would count twice")
    return tuple(file for file in found if file)


def _keys_of(judge: JudgeConfig | None, *others: object) -> Iterator[str]:
    """Return the environment variables of keys in the table of vendors."""
    chats = (judge.chat, *judge.panel) if judge else ()
    for each in (*chats, *others):
        if name := getattr(each, "api_key_env", None):
            yield name


def _few_entries(builder: Builder, options: SuiteOptions) -> SuiteOptions:
    """Return the options with long lists cut, since each entry is checked against the others."""
    for name in ("scorers", "gate", "cohorts", "nodes", "labels", "calibrations", "variants"):
        found = getattr(options, name)
        if len(found) > MOST_ENTRIES:
            what = f"{len(found):,} entries, at most {MOST_ENTRIES:,} are read"
            builder.problem((name,), what, "remove some, or split the suite")
            options = dataclasses.replace(options, **{name: found[:MOST_ENTRIES]})
    return options


def file_bytes(path: Path, shown: str, kind: str = "suite") -> bytes:
    """Read a YAML file.

    Args:
        path: the file.
        shown: its name in messages.
        kind: what the file is, in messages.

    Raises:
        InputError: it cannot be read.
    """
    if path.is_dir():
        raise InputError(Problem(shown, f"a folder, not a {kind} file", f"name the file, such as {shown}/{kind}.yaml"))
    try:
        return read_file(path)
    except FileNotFoundError:
        near = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise InputError(
            Problem(shown, "no such file", choices(path.name, near) if near else "check the path")
        ) from None
    except Unfit as error:
        raise InputError(
            Problem(shown, str(error.strerror), "name a YAML file; data belongs in the golden set")
        ) from None
    except OSError as error:
        raise InputError(Problem(shown, f"cannot be read: {error.strerror}", "check its permissions")) from None


@dataclasses.dataclass(frozen=True)
class _Files:
    """Resolves paths of a suite and keeps them inside the project."""

    builder: Builder
    base: Path
    root: Path

    def resolve(self, name: str, path: Steps) -> Path | None:
        if "\0" in name or "\\" in name:
            self.builder.problem(path, "a path with NUL or backslash", "write it with /")
            return None
        try:
            file = (self.base / name).resolve()
        except RuntimeError:
            self.builder.problem(path, f"{name!r} is a link that leads back to itself", "name the file itself")
            return None
        if not file.is_relative_to(self.root):
            self.builder.problem(
                path, f"{name!r} leaves the project {self.root.name}/", "move the file into the project"
            )
            return None
        if not file.is_file():
            self.builder.problem(path, *_no_file(name, file))
            return None
        return file


def _no_file(name: str, file: Path) -> tuple[str, str]:
    """Describe the problem of a path that is not a regular file, and the fix."""
    if file.exists():
        return f"{name!r} is not a regular file", "name a file"
    there = file.parent.iterdir() if file.parent.is_dir() else iter(())
    near = [each.name for each in itertools.islice(there, MOST_NEAR) if each.is_file()]
    return f"no file {name!r}", choices(file.name, near) if near else "check the path"


def _relative(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix()


def _shown(files: Iterable[Path], root: Path) -> tuple[list[Path], list[str]]:
    there = list(files)
    return there, [_relative(file, root) for file in there]


def lines_of_keys(document: Document) -> dict[str, str]:
    """Map each dotted key of a document to `file:line:column`."""
    return {dotted(path): f"{document.source}:{line}:{column}" for path, (line, column) in document.marks.items()}


def read_judge(
    builder: Builder, value: Mapping[str, Any] | None, placed: Callable[[Any, Steps], Any]
) -> JudgeConfig | None:
    """Build the judge of `judge:`, or note its problems; `placed` adds the address of a model's vendor."""
    if value is None:
        return None
    path = ("judge",)
    if set(value) == {"local"}:
        if value["local"] != "correctness":
            builder.problem((*path, "local"), f"no local judge {show(value['local'])}", "the one there is: correctness")
        return JudgeConfig(local="correctness")
    if set(value) in ({"chat"}, {"chat", "panel"}):
        from evalkit.llm.config import ChatConfig

        chat = builder.build(ChatConfig, placed(value["chat"], (*path, "chat")), (*path, "chat"))
        given = value.get("panel", [])
        given = given if isinstance(given, list) else [given]
        members = [placed(each, (*path, "panel", at)) for at, each in enumerate(given)]
        panel = builder.value(members, tuple[ChatConfig, ...], (*path, "panel"))
        return JudgeConfig(chat=chat, panel=panel)
    builder.problem(path, "names no judge or several", "write {local: correctness} or {chat: gpt-4o}")
    return None


def _system(builder: Builder, value: Any, vendors: Vendors, path: Steps = ("system",)) -> tuple[str, Any]:
    kinds = [kind for kind in SYSTEMS if isinstance(value, Mapping) and kind in value]
    if len(kinds) != 1:
        what = f"expected one of {', '.join(SYSTEMS)}, got {show(value) if not kinds else ' and '.join(kinds)}"
        builder.problem(path, what, "write {python: module:function}, {http: https://...} ...")
        return "", None
    if kinds[0] == "chat":
        value = placed_model(builder, value, "chat", vendors, path, skip=("dialect",))
    return kinds[0], builder.build(SYSTEMS[kinds[0]], value, path)


def read_vendors(builder: Builder, given: Mapping[str, Any]) -> Vendors:
    """Return the table of vendors with the suite's changes and additions."""
    vendors = dict(VENDORS)
    for name, value in given.items():
        known = dataclasses.asdict(vendors[name]) if name in vendors else {}
        if isinstance(value, Mapping) and known:
            value = {**known, "models": list(known["models"]), **value}
        if vendor := builder.build(Vendor, value, ("vendors", name)):
            vendors[name] = vendor
    return vendors


def placed_model(
    builder: Builder, value: Any, key: str, vendors: Vendors, path: Steps, *, skip: tuple[str, ...] = ()
) -> Any:
    """Return the options of a model with the address of its vendor."""
    if not isinstance(value, Mapping):
        return value
    try:
        return with_vendor(value, key, vendors, skip=skip)
    except ValueError as error:
        builder.problem((*path, key), *what_and_fix(error))
        return {**value, "base_url": "https://host.invalid"}


def _policy(
    builder: Builder, options: SuiteOptions, vendors: Vendors, *, asks_again: bool
) -> tuple[Policy, SystemConfig | None]:
    checks, system = _checks(builder, options.gate, vendors, REFERENCE if several(options) else None)
    policy = Policy(
        checks=checks,
        require_evidence=options.require_evidence,
        escalates=system is not None,
        repeats=options.repeat,
        asks_again=asks_again,
    )
    return policy, system


def _checks(
    builder: Builder, items: Sequence[Any], vendors: Vendors, baseline: str | None = None
) -> tuple[tuple[Item, ...], SystemConfig | None]:
    """Return the checks of a gate, and the old system if one is named; `baseline` is for those that name none."""
    checks, system = [], None
    for index, item in enumerate(items):
        named = named_item(builder, item, ("gate", index))
        if named is None:
            continue
        name, value, path = named
        cls: type[Any] = CHECKS.get(name, Threshold)
        own, _ = options_of(cls, value) if not isinstance(value, Mapping) else (value, {})
        if cls is NoRegression and isinstance(own.get("baseline"), Mapping):
            own, system = _callable_baseline(builder, own, vendors, (*path, "baseline"))
        elif cls is NoRegression and baseline is not None and "baseline" not in own:
            own = {**own, "baseline": baseline}
        check = builder.build(cls, own, path, named=None if name in CHECKS else {"metric": name})
        if check is not None:
            checks.append(check)
    return tuple(checks), system


def load_gate(path: Path, metrics: Sequence[Metric], cohorts: Collection[str]) -> tuple[Item, ...]:
    """Read the checks of a file with nothing but `gate:`, as in a suite.

    Args:
        path: the file.
        metrics: those that there are.
        cohorts: names of those that there are.

    Raises:
        InputError: with every problem of the file.
    """
    shown = str(path)
    builder = Builder(parse(file_bytes(path, shown), shown, ("gate",)))
    value = builder.document.value
    if not isinstance(value, Mapping) or set(value) != {"gate"} or not isinstance(value["gate"], list):
        raise InputError(Problem(f"{shown}:1", "not a gate", "write `gate: [{no_regression: {by: [topic]}}]` alone"))
    items = value["gate"][:MOST_ENTRIES]
    checks, system = _checks(builder, items, VENDORS)
    if system is not None:
        builder.problem(("gate",), "nothing is called in a comparison", "remove `system` from the baseline")
    for index, check in enumerate(checks):
        if isinstance(check, Best | Leakage | Card):
            what = f"{_ELSEWHERE[type(check)]}, and a comparison of files decides about two sides"
            builder.problem(("gate", index), what, "remove it")
    for index, what, fix in policy_problems(Policy(checks), metrics, cohorts) if not builder.problems else ():
        builder.problem(("gate", index) if index >= 0 else ("gate",), what, fix)
    if builder.problems:
        raise InputError(builder.problems)
    return checks


def _callable_baseline(
    builder: Builder, own: Mapping[str, Any], vendors: Vendors, path: Steps
) -> tuple[Mapping[str, Any], SystemConfig | None]:
    """Split `{run: NAME, system: {...}}` into the name and the old system."""
    given = own["baseline"]
    if set(given) != {"run", "system"}:
        what = f"expected a name, or run and system, got {show(given)}"
        builder.problem(path, what, "write `baseline: main`, or {run: main, system: {...}}")
        return {key: value for key, value in own.items() if key != "baseline"}, None
    _, system = _system(builder, given["system"], vendors, (*path, "system"))
    return {**own, "baseline": given["run"]}, system
