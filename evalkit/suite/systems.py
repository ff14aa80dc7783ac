"""Read the systems of a suite that names several: `systems:`, and every combination of `matrix:`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from evalkit.formats.build import Builder, choices, show
from evalkit.formats.systems_run import BY_CASE
from evalkit.formats.yaml_text import dotted
from evalkit.gate.policy import CHECKS, Best, Coverage, Item, NoRegression
from evalkit.suite.matrix import Matrix, SystemDraft, text_of
from evalkit.suite.model import MAX_CONCURRENCY, Suite, SuiteOptions
from evalkit.suite.named_system import NamedSystem, of_run
from evalkit.suite.scorers import Steps
from evalkit.systems.base import SystemConfig

MOST_SYSTEMS = 64
_NAME_CHARS = 100
_OWN = ("concurrency", "budget_usd")
"""Keys of a system under `systems:` beside its own."""
ONLY_COMPARED = "the system is only compared; to gate it, name it under `release:`"
Read = Callable[[Any, Steps], tuple[str, SystemConfig | None]]
"""Builds a system from its value in the suite: kind and configuration."""


def several(options: SuiteOptions) -> bool:
    """Return True if the suite names several systems, even if a matrix has one combination."""
    return bool(options.systems or options.matrix)


def read_systems(builder: Builder, options: SuiteOptions, read: Read) -> tuple[NamedSystem, ...]:
    """Return the systems of a suite in their order; the problems of others are noted.

    Args:
        builder: notes the problems.
        options: options of the suite.
        read: builds one system.
    """
    written = "system" in builder.document.value
    if not several(options):
        if not written:
            builder.problem(("system",), "missing", "add `system:`")
        for key in ("reference", "release"):
            if getattr(options, key):
                builder.problem((key,), "the suite has one system", "remove it, or write `systems:` or `matrix:`")
        if options.order != BY_CASE:
            builder.problem(("order",), "the suite has one system", "remove it, or write `systems:` or `matrix:`")
        return ()
    if written and not options.matrix:
        builder.problem(("system",), "given beside `systems`", "move it under a name in `systems:`")
    drafts = drafts_of(builder, options)
    if len(drafts) > MOST_SYSTEMS:
        what = f"{len(drafts)} systems, at most {MOST_SYSTEMS} are run together"
        builder.problem(("matrix",) if options.matrix else ("systems",), what, "exclude some, or split the suite")
        return ()
    if not drafts and not builder.problems:
        builder.problem(("matrix",), "no combination is left", "exclude fewer")
    drafts = list(_unique(builder, drafts))
    _names_of(builder, options, [draft.name for draft in drafts])
    return tuple(made for draft in drafts if (made := _made(builder, draft, read)) is not None)


def drafts_of(builder: Builder, options: SuiteOptions) -> list[SystemDraft]:
    """Return the systems of a suite with several, before they are read; the problems of others are noted."""
    named = [SystemDraft(name, value, ("systems", name), {}) for name, value in options.systems.items()]
    return [*named, *Matrix(builder, options).drafts()]


def _unique(builder: Builder, drafts: Sequence[SystemDraft]) -> Iterator[SystemDraft]:
    seen: set[str] = set()
    for draft in drafts:
        if not isinstance(draft.name, str) or not draft.name.strip() or not draft.name.isprintable():
            builder.problem(draft.path, f"{show(draft.name)} is not a name", "name it with a short text")
        elif len(draft.name) > _NAME_CHARS:
            what = f"its name has {len(draft.name)} characters, more than {_NAME_CHARS}"
            builder.problem(draft.path, what, "shorten the values, or give it a `name:` under `include:`")
        elif draft.name in seen:
            fix = "rename one; an entry of `include:` takes a `name:`"
            builder.problem(draft.path, f"two systems are called {draft.name!r}", fix)
        else:
            seen.add(draft.name)
            yield draft


def _names_of(builder: Builder, options: SuiteOptions, names: Sequence[str]) -> None:
    """Report names under `reference` and `release` that no system has."""
    asked: list[tuple[Steps, str]] = [(("reference",), options.reference)] if options.reference is not None else []
    asked += [(("release", at), name) for at, name in enumerate(options.release)]
    for path, name in asked:
        if name not in names and names:
            builder.problem(path, f"no system is called {name!r}", choices(name, names))
    if len(set(options.release)) < len(options.release):
        builder.problem(("release",), "a system is named twice", "remove one")


def _made(builder: Builder, draft: SystemDraft, read: Read) -> NamedSystem | None:
    given = draft.options if isinstance(draft.options, Mapping) else {}
    own = {key: given[key] for key in _OWN if key in given}
    options = {key: value for key, value in given.items() if key not in _OWN} if given else draft.options
    problems = list(builder.problems)
    kind, config = read(options, draft.path)
    # Combinations share the template, and so its problems.
    builder.problems[:] = [*problems, *(each for each in builder.problems[len(problems) :] if each not in problems)]
    concurrency, budget = _concurrency(builder, own, draft.path), _budget(builder, own, draft.path)
    if config is None:
        return None
    factors = {name: text_of(value) for name, value in draft.factors.items()}
    return NamedSystem(
        name=draft.name,
        factors=factors,
        config=config,
        kind=kind,
        written=options,
        place=dotted(draft.path),
        concurrency=concurrency,
        budget_usd=budget,
    )


def _concurrency(builder: Builder, own: Mapping[str, Any], path: Steps) -> int | None:
    if "concurrency" not in own:
        return None
    value = builder.value(own["concurrency"], int, (*path, "concurrency"))
    if value is not None and not 1 <= value <= MAX_CONCURRENCY:
        builder.problem((*path, "concurrency"), f"expected 1 to {MAX_CONCURRENCY}, got {value}", "write one such as 4")
        return None
    return int(value) if value is not None else None


def _budget(builder: Builder, own: Mapping[str, Any], path: Steps) -> float | None:
    if "budget_usd" not in own:
        return None
    value = builder.value(own["budget_usd"], float, (*path, "budget_usd"))
    if value is not None and not 0 < value < math.inf:
        builder.problem((*path, "budget_usd"), "must be above 0", "remove the key to spend without a limit")
        return None
    return float(value) if value is not None else None


def alone(suite: Suite, name: str) -> Suite:
    """Return the suite of one of its systems, as if it named no other; its gate applies if the system is released.

    If `no_regression` has no `baseline`, the reference of the run is the baseline, and can be called.
    """
    own = next(each for each in suite.systems if each.name == name)
    reference, released = suite.reference, name in suite.options.release
    options = replace(
        suite.options,
        system=own.written,
        systems={},
        matrix={},
        concurrency=own.concurrency or suite.options.concurrency,
    )
    policy, old = replace(suite.policy, asks_again=own.kind != "replay"), suite.baseline_system
    if not released:
        kept = tuple(check for check in policy.checks if isinstance(check, Coverage))
        policy, old = replace(policy, checks=kept, escalates=False, ungated=ONLY_COMPARED), None
    else:
        policy = replace(policy, n_deciding=len(suite.options.release))
    if released and suite.compares_reference:
        can_ask = reference.kind != "replay" and own.kind != "replay"
        policy, old = replace(policy, escalates=can_ask), reference.config if can_ask else None
    return replace(
        suite,
        options=options,
        system=own.config,
        system_kind=own.kind,
        systems=(),
        system_name=name,
        policy=policy,
        baseline_system=old,
    )


def check_release(builder: Builder, checks: Iterable[Item], reference: NamedSystem, release: Sequence[str]) -> None:
    """Report a released system that would be compared with itself."""
    if reference.name in release and any(map(of_run, checks)):
        what = f"{reference.name!r} is the reference, and would be compared with itself"
        builder.problem(("release",), what, "name another `reference:`, or a `baseline` of `no_regression`")


def check_times(builder: Builder, checks: Sequence[Item], order: str) -> None:
    """Report a limit on the slowdown against the reference if the systems are not called in turn."""
    for index, check in enumerate(checks):
        if order != BY_CASE and isinstance(check, NoRegression) and of_run(check) and check.max_slowdown is not None:
            what = f"with `order: {order}`, the latencies of two systems cannot be compared"
            path = ("gate", index, "no_regression", "max_slowdown")
            builder.problem(path, what, "remove it, or remove `order`")


def check_best(builder: Builder, gate: Sequence[Any], systems: Sequence[NamedSystem], options: SuiteOptions) -> None:
    """Report a `best` that has nothing to compare, or nobody to decide about."""
    key = next(name for name, check in CHECKS.items() if check is Best)
    for index, item in enumerate(gate):
        if item != key and not (isinstance(item, Mapping) and key in item):
            continue
        path = ("gate", index) if item == key else ("gate", index, key)
        if not several(options):
            fix = "remove it, or write `systems:` or `matrix:`"
            builder.problem(path, "compares the systems of a run, and the suite has one", fix)
        elif len(systems) == 1:
            builder.problem(path, f"{systems[0].name!r} is the only system, so it is the best", "remove it, or add one")
        elif systems and not options.release:
            what = "decides about the systems under `release:`, and there is none"
            builder.problem(path, what, f"add `release: [{systems[-1].name}]`, or remove it")
