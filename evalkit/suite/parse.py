"""Parse a suite file, reporting every problem at once."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.disk.paths import project_of
from evalkit.errors import InputError, gathered
from evalkit.formats.build import Builder, show
from evalkit.formats.yaml_text import Document, dotted, parse
from evalkit.gate.policy import OfVariants
from evalkit.golden.read import open_golden
from evalkit.golden.source import GoldenSource
from evalkit.suite.conversation import read_settings
from evalkit.suite.files import SuiteFiles, file_bytes, relative_path, with_relative_paths
from evalkit.suite.gate import read_policy
from evalkit.suite.model import (
    MOST_ENTRIES,
    JudgeConfig,
    Suite,
    SuiteOptions,
    model_options,
    reading_of,
)
from evalkit.suite.partial import ABSENT, usable
from evalkit.suite.scorers import Steps, read_scorers, refuse_over
from evalkit.suite.searched_files import check_leakage, searched_files, with_rubrics
from evalkit.suite.strings import check_strings, variables_of
from evalkit.suite.system_options import placed_model, read_reference, read_system, read_vendors
from evalkit.suite.systems import check_best, check_release, check_times, read_systems, several
from evalkit.trust.label_files import read_labels

if TYPE_CHECKING:
    from evalkit.suite.variants import VariantEntry


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
    files = SuiteFiles(builder, path.resolve().parent, root)
    golden_file = files.resolve(golden.path, ("golden",)) if golden.path else None
    learnt = [files.resolve(name, ("golden", "trained_on", i)) for i, name in enumerate(golden.trained_on)]
    searched = searched_files(builder, golden, learnt, files.base, root)
    vendors = read_vendors(builder, options.vendors)

    def placed(given: Any, at: Steps) -> Any:
        return placed_model(builder, model_options(given), "model", vendors, at)

    judge = read_judge(builder, options.judge, placed)
    conversation = read_settings(builder, options.conversation, root, files.resolve, placed)
    systems = read_systems(builder, options, lambda value, at: read_system(builder, value, vendors, at))
    system_kind, system = "", None
    if systems:
        named = next((each for each in systems if each.name == options.reference), systems[0])
        system_kind, system = named.kind, named.config
    elif options.system not in (ABSENT, None) and not several(options):
        system_kind, system = read_system(builder, options.system, vendors)
    options = _few_entries(builder, options)
    scorers = read_scorers(builder, options.scorers, judge)
    searched = with_rubrics(searched, scorers, files.base)
    variants = _variants(builder, options.variants, files)
    if conversation is None:
        refuse_over(builder, scorers)
    slots: Mapping[str, str] = {}
    written: tuple[Path, ...] = ()
    if variants:
        from evalkit.suite.variants import check_canary, slots_of, written_files

        slots, written = slots_of(variants), written_files(variants)
        configs = [each.config for each in systems] if systems else [] if system is None else [system]
        check_canary(builder, variants, options.variants, configs)
    policy, baseline_system = read_policy(builder, options, vendors, asks_again=system_kind != "replay")
    reference_kind, reference = read_reference(builder, options, vendors)
    if systems:
        check_release(builder, policy.checks, named, options.release)
        check_times(builder, policy.checks, options.order)
    check_best(builder, options.gate, systems, options)
    check_leakage(builder, policy.checks, searched)
    if any(isinstance(check, OfVariants) for check in policy.checks):
        from evalkit.suite.variants import check_variants

        check_variants(builder, policy.checks, variants, options.variants)
    labels = _label_files(builder, files, options.labels)
    records = [files.resolve(name, ("calibrations", i)) for i, name in enumerate(options.calibrations)]
    check_strings(builder)
    if builder.problems or system is None:
        problems = list(builder.problems)
        with gathered(problems):
            if golden_file:
                reading = dataclasses.replace(reading_of(options, system), slots=slots)
                open_golden(golden, golden_file, relative_path(golden_file, root), reading=reading)
        with gathered(problems):
            read_labels(*with_relative_paths(labels, root))
        raise InputError(problems)
    called = (system, reference, *(each.config for each in systems))
    keys = _keys_of(judge, *called, conversation.user if conversation is not None else None)
    return Suite(
        path=path.resolve(),
        sha256=hashlib.sha256(data).hexdigest(),
        root=root,
        options=options,
        golden=golden,
        golden_file=golden_file,
        golden_shown=relative_path(golden_file, root) if golden_file else str(golden.url or golden.hub),
        system=system,
        system_kind=system_kind,
        systems=systems,
        system_names=tuple(each.name for each in systems),
        judge=judge,
        scorers=scorers,
        policy=policy,
        baseline_system=baseline_system,
        reference_system=reference,
        reference_kind=reference_kind,
        label_files=labels,
        calibration_files=tuple(file for file in records if file),
        learnt_files=tuple(file for file in learnt if file),
        searched=searched,
        conversation=conversation,
        variants=variants,
        variant_files=written,
        slots=slots,
        lines=lines_of_keys(builder.document),
        variables=tuple(dict.fromkeys((*variables_of(builder.document.value), *keys))),
        stated_repeat=options.repeat,
    )


def _variants(builder: Builder, items: Sequence[Any], files: SuiteFiles) -> tuple[VariantEntry, ...]:
    if not items:
        return ()
    from evalkit.suite.variants import read_variants  # few suites need it

    return read_variants(builder, items, files.resolve)


def _label_files(builder: Builder, files: SuiteFiles, names: Sequence[str]) -> tuple[Path, ...]:
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
