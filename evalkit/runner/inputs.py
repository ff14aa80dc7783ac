"""Check inputs before the first call: labels against cases, baseline against scorers."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.aggregate.frame import content_key
from evalkit.baselines.find import NO_ANSWERS
from evalkit.baselines.load import find_baseline_of, load_baseline
from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem, gathered
from evalkit.gate.assess import Terms
from evalkit.gate.policy import ADD_GATE, NO_GATE, NoRegression
from evalkit.net.vendors import VENDORS
from evalkit.runner.terms import read_labels_of
from evalkit.stats.early_stop import LEAST_CASES, looks_of
from evalkit.store.folder import DECISION, MANIFEST, ROWS, SUMMARY
from evalkit.systems.chat import ChatSystem
from evalkit.systems.package_conflicts import shadowed_packages
from evalkit.systems.python import PythonSystem
from evalkit.trust.calibration_files import read_calibrations
from evalkit.trust.label_files import label_problems, unknown_metrics

if TYPE_CHECKING:
    from evalkit.gate.comparable import Applied
    from evalkit.gate.pairing import Baseline
    from evalkit.runner.prepare import Prepared
    from evalkit.store.folder import RunFolder
    from evalkit.suite.model import Suite

_OWN_NAME = (
    "name one for this suite, as in `no_regression: {baseline: second}`, and save its run with "
    "`evalkit baseline save RUN --name second`"
)


def other_problems(suite: Suite, baseline: str | None) -> list[Problem]:
    """Collect the problems of labels, calibrations and baseline, each read independently."""
    problems: list[Problem] = []
    with gathered(problems):
        read_labels_of(suite)
    with gathered(problems):
        read_calibrations(suite.calibration_files, suite.root)
    with gathered(problems):
        load_baseline(find_baseline_of(suite, baseline), {})
    return problems


def refuse_places(targets: Iterable[Path]) -> None:
    """Reject output files that cannot be created or that the run depends on, before any call.

    Raises:
        InputError: names each of them.
    """
    problems = [Problem(str(each), "it is a folder", "name a file in it") for each in targets if os.path.isdir(each)]
    kept = {MANIFEST, ROWS, SUMMARY, DECISION}
    problems += [
        Problem(str(each), "it is a file of a run", "name another place")
        for each in targets
        if each.name in kept and os.path.exists(each.parent / MANIFEST)
    ]
    for each in targets:
        above = next((parent for parent in each.absolute().parents if os.path.exists(parent)), None)
        if above is not None and not above.is_dir():
            problems.append(Problem(str(each), f"{above} is not a folder", "name a file in a folder"))
    if problems:
        raise InputError(problems)


def refuse_unfit(prepared: Prepared, terms: Terms) -> None:
    """Reject labels that fit no case or scale, and a baseline whose scores were made differently.

    Raises:
        InputError: reports every problem.
    """
    problems: list[Problem] = []
    if terms.labels:
        ids = frozenset(case.id for case in prepared.golden.outlines())
        problems += label_problems(terms.labels, ids, prepared.metrics)
    problems += _other_scores(prepared, terms)
    if problems:
        raise InputError(problems)


def _other_scores(prepared: Prepared, terms: Terms) -> Iterator[Problem]:
    if terms.baseline is None or terms.baseline_folder is None:
        return
    place = terms.baseline_folder.shown_file(MANIFEST)
    if not terms.baseline.frame.has_answers:
        yield Problem(place, NO_ANSWERS, "save a run with answers of the system as the baseline")
    for check in terms.policy.checks:
        if isinstance(check, NoRegression):
            fix = fix_of_scores(prepared.suite, terms.baseline_folder, check.baseline)
            yield from unlike_scores(prepared, terms.baseline, check.metrics, place, fix)


def fix_of_scores(suite: Suite, folder: RunFolder, name: str) -> str:
    """Return how to make the scores of a baseline comparable with those of a suite.

    Args:
        suite: the suite.
        folder: the baseline.
        name: name or place by which the suite finds it.
    """
    from evalkit.gate.comparable import score_again

    return score_again(folder.shown, shown_path(suite.path), name)


def unlike_scores(
    prepared: Prepared, baseline: Baseline, metrics: Collection[str] | None, place: str, fix: str
) -> Iterator[Problem]:
    """Yield the metrics that a run of the suite could not compare; `pass_rate` only if no other metric explains it.

    Args:
        prepared: the suite.
        baseline: the stored run.
        metrics: those that the policy compares; `None` for all that decide.
        place: location of the baseline.
        fix: how to make its scores comparable.
    """
    from evalkit.gate.comparable import applied_in, incomparable_metrics, is_shared, unlike

    planned, stored = _planned(prepared, baseline), applied_in(baseline.frame)
    deciding = [metric.name for metric in prepared.metrics if metric.name not in prepared.advisory]
    shared = [name for name in deciding if name in baseline.score_keys or is_shared(planned, stored, name)]
    rate = ["pass_rate"] if planned.voters else []
    known = {*rate, *prepared.score_keys}
    asked = [*shared, *rate] if metrics is None else [name for name in metrics if name.removesuffix(".passed") in known]
    found = incomparable_metrics(planned, baseline, asked)
    if found and planned.cases.isdisjoint(stored.cases):
        yield Problem(
            place, "none of its cases is in this suite, so it is probably another suite's baseline", _OWN_NAME
        )
        return
    for name, part in found.items():
        if name != "pass_rate" or len(found) == 1:
            yield Problem(place, unlike(name, part), fix)


def _planned(prepared: Prepared, baseline: Baseline) -> Applied:
    """Return which cases the metrics of a suite apply to, if every case has an answer."""
    from evalkit.gate.comparable import Applied

    cases: set[bytes] = set()
    left_out: dict[str, set[bytes]] = {metric.name: set() for metric in prepared.metrics}
    chooses = any(grader.when is not None for grader in prepared.graders)
    for case in prepared.golden.open() if chooses else prepared.golden.outlines():
        key = content_key(case)
        cases.add(key)
        for grader in prepared.graders:
            if not grader.applies(case):
                for metric in grader.metrics:
                    left_out[metric.name].add(key)
    # Stored scores show whether a scorer votes: if it had no pass mark in the baseline, it has none now.
    silent = baseline.score_keys.keys() - baseline.frame.advisory - set(baseline.frame.voters)
    voters = [metric.name for metric in prepared.metrics if metric.votes and metric.name not in prepared.advisory]
    return Applied(
        voters=frozenset(voters) - silent,
        cases=frozenset(cases),
        answered=frozenset(cases),
        left_out={name: frozenset(keys) for name, keys in left_out.items()},
    )


def warnings_of(prepared: Prepared, terms: Terms) -> tuple[Problem, ...]:
    """Collect warnings about what is allowed but probably not intended, each with its position."""
    metrics = {metric.name for metric in prepared.metrics}
    return (
        *prepared.golden.warnings,
        *prepared.golden.learnt,
        *prepared.doubts,
        *_without_keys(prepared),
        *_own_judge(prepared.suite),
        *_misspelt_vendors(prepared),
        *_own_packages(prepared.suite),
        *_no_gate(prepared.suite),
        *_no_look(prepared),
        *_led_differently(terms),
        *unknown_metrics(terms.labels, metrics),
    )


def _no_gate(suite: Suite) -> Iterator[Problem]:
    """Warn if a run of the suite can only end without a decision."""
    if not suite.policy.can_block and not suite.policy.ungated:
        yield Problem(suite.place("gate"), NO_GATE, ADD_GATE)


def _no_look(prepared: Prepared) -> Iterator[Problem]:
    """Warn if a set is too small for a run to stop early."""
    n = prepared.golden.n_cases
    if prepared.suite.policy.early_stop is not None and not looks_of(n):
        what = f"every case is run: a look needs {LEAST_CASES} cases, and a set of {n} has none at three quarters"
        yield Problem(prepared.suite.place("early_stop"), what, "remove it, or add cases")


def _led_differently(terms: Terms) -> Iterator[Problem]:
    """Warn if nothing will be compared because the baseline's conversations were led differently."""
    folder, baseline = terms.baseline_folder, terms.baseline
    if folder is None or baseline is None or not baseline.other_conversation or terms.asks_both:
        return
    from evalkit.gate.no_regression import led_differently

    for check in (each for each in terms.policy.checks if isinstance(each, NoRegression)):
        what, fix = led_differently(check.baseline, baseline.other_conversation)
        yield Problem(folder.shown_file(MANIFEST), what, fix)


def _misspelt_vendors(prepared: Prepared) -> Iterator[Problem]:
    """Warn about a vendor that no model names and whose name is nearly that of a vendor that is called instead."""
    for name in prepared.suite.options.vendors.keys() - VENDORS.keys():
        for near in difflib.get_close_matches(name, VENDORS, n=1, cutoff=0.8):
            address, own = VENDORS[near].base_url, prepared.suite.options.vendors[name]["base_url"]
            called = [each for each in prepared.addresses if each.startswith(address)]
            if called and not any(each.startswith(own) for each in prepared.addresses):
                what = f"no model of this suite names the vendor {name!r}, and {address} is called"
                yield Problem(prepared.suite.place(f"vendors.{name}"), what, f"did you mean `{near}`?")


def _own_packages(suite: Suite) -> Iterator[Problem]:
    """Warn if a python system would import evalkit's versions of its packages."""
    if isinstance(suite.system, PythonSystem):
        yield from (replace(each, place=suite.place(each.place)) for each in shadowed_packages())


def _without_keys(prepared: Prepared) -> Iterator[Problem]:
    """Warn about judges and simulated users that cannot be asked, such as on a fork, which has no secrets."""
    llm, panel = prepared.services.llm, prepared.services.panel
    for client in (*((llm,) if llm else ()), *panel):
        if client.no_key:
            variable = client.config.api_key_env
            what = f"environment variable {variable} is not set: metrics of the judge {client.model} will be unscored"
            yield Problem(prepared.suite.place("judge"), what, f"export {variable}=... before the run")
    user = prepared.user
    if user is not None and user.no_key:
        variable = user.config.api_key_env
        what = f"environment variable {variable} is not set: conversations of simulated users will be unscored"
        yield Problem(prepared.suite.place("conversation.user"), what, f"export {variable}=... before the run")


def _own_judge(suite: Suite) -> Iterator[Problem]:
    """Warn if a model grades its own answers, which it prefers."""
    if not isinstance(suite.system, ChatSystem) or suite.judge is None or suite.judge.chat is None:
        return
    for at, config in enumerate((suite.judge.chat, *suite.judge.panel)):
        if config.model.casefold() == suite.system.chat.casefold():
            place = suite.place("judge.chat.model" if at == 0 else f"judge.panel[{at - 1}].model")
            what = f"the judge {config.model} is the system under test"
            yield Problem(place, what, "take another model: one that grades itself prefers its own answers")
