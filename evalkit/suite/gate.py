"""Read the checks under `gate:`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.errors import InputError, Problem
from evalkit.formats.build import Builder, show
from evalkit.formats.yaml_text import parse
from evalkit.gate.attack_success import AttackSuccess
from evalkit.gate.card import Card
from evalkit.gate.leakage import Leakage
from evalkit.gate.parity_gap import ParityGap
from evalkit.gate.policy import CHECKS, Best, Item, NoRegression, OfVariants, Policy, Threshold
from evalkit.gate.policy_problems import policy_problems
from evalkit.gate.robustness_gap import RobustnessGap
from evalkit.net.vendors import VENDORS
from evalkit.suite.files import file_bytes
from evalkit.suite.model import (
    MOST_ENTRIES,
    SuiteOptions,
)
from evalkit.suite.named_system import REFERENCE
from evalkit.suite.scorers import Steps, named_item, options_of
from evalkit.suite.system_options import Vendors, read_system
from evalkit.suite.systems import several
from evalkit.systems.base import SystemConfig
from evalkit.types import Metric

_ELSEWHERE = {
    Best: "compares the systems of a run",
    Leakage: "searches what a system knows",
    Card: "reads a golden set",
    RobustnessGap: "runs variants",
    AttackSuccess: "runs variants",
    ParityGap: "runs variants",
}
"""Checks that need a run, and what they do."""
_WHOLE = {
    "sample": "its weights hold for all of the sample",
    "systems": "systems are compared on the same cases",
    "matrix": "systems are compared on the same cases",
    "engine": "it runs all cases at once",
    "variants": "variants are compared with cases that a run might not reach",
}
"""Keys of suites whose runs cannot stop early, and why."""


def read_policy(
    builder: Builder, options: SuiteOptions, vendors: Vendors, *, asks_again: bool
) -> tuple[Policy, SystemConfig | None]:
    """Build the policy of a suite and the old system, if one can be called, or note their problems.

    Args:
        builder: the suite's document, which collects problems.
        options: the suite's keys.
        vendors: model vendors, for the old system.
        asks_again: whether calling the system again can give another answer.
    """
    checks, system = _checks(builder, options.gate, vendors, REFERENCE if several(options) else None)
    policy = Policy(
        checks=checks,
        require_evidence=options.require_evidence,
        escalates=system is not None,
        repeats=options.repeat,
        asks_again=asks_again,
        early_stop=options.stops_early,
    )
    if options.early_stop:
        _check_early_stop(builder, options, checks)
    return policy, system


def _check_early_stop(builder: Builder, options: SuiteOptions, checks: Sequence[Item]) -> None:
    """Report what keeps a run from stopping early."""
    for key, why in _WHOLE.items():
        if getattr(options, key):
            builder.problem(("early_stop",), f"`{key}` is given too, and {why}", "remove one of them")
    if not any(isinstance(check, NoRegression) for check in checks):
        what = "the gate compares nothing, so nothing can become certain"
        builder.problem(("early_stop",), what, "add `- no_regression: {baseline: main}` to the gate, or remove it")


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
        if isinstance(check, Best | Leakage | Card | OfVariants):
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
    _, system = read_system(builder, given["system"], vendors, (*path, "system"))
    return {**own, "baseline": given["run"]}, system
