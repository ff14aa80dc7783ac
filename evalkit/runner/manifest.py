"""Describe the inputs of a run before its first call."""

from __future__ import annotations

import platform
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

from evalkit import __version__
from evalkit.formats.manifest import FormerCases, GoldenFacts, Manifest, SampleFacts, ScoreKeys, SystemFacts
from evalkit.golden.read import file_sha256
from evalkit.golden.stored_lock import lock_sha256
from evalkit.runner.batch_rounds import first_graders
from evalkit.runner.conversation_key import conversation_key
from evalkit.runner.conversations import environment_files
from evalkit.runner.scoring import Scoring
from evalkit.store.git import head_commit
from evalkit.suite.rules import rules_of
from evalkit.systems.command import CommandSystem
from evalkit.systems.fingerprint import file_hash
from evalkit.systems.python import PythonSystem
from evalkit.systems.secrets import redact

if TYPE_CHECKING:
    from evalkit.gate.assess import Terms
    from evalkit.runner.prepare import Prepared

FILE_HEX = 12
_PACKAGES = ("ragas", "deepeval", "wordllama", "numpy", "aiohttp")


def new_run_id(now: datetime) -> str:
    """Create a unique id that sorts by time: `20260703T102241Z-7c1e42`."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def manifest_of(
    prepared: Prepared,
    terms: Terms,
    *,
    now: datetime,
    expected: int,
    sample: SampleFacts | None,
    command: str,
) -> Manifest:
    """Return the manifest of a run that is about to begin.

    Args:
        prepared: the checked suite.
        terms: terms of its decision.
        now: start of the run.
        expected: number of planned rows.
        sample: how its cases were drawn, `None` if all cases are run.
        command: the command line that started it.
    """
    suite, golden, rules = prepared.suite, prepared.golden, rules_of(prepared.suite)
    former = terms.former
    return Manifest(
        run_id=new_run_id(now),
        commit=head_commit(suite.root),
        suite=suite.name,
        suite_file=suite.path.relative_to(suite.root).as_posix(),
        suite_sha256=suite.sha256,
        golden=GoldenFacts(
            path=golden.path,
            sha256=golden.sha256,
            n_cases=golden.n_cases,
            file_sha256=golden.file_sha256
            or (file_sha256(suite.golden_file) if suite.golden_file is not None else None),
            checks=golden.checks,
            lock=lock_sha256(suite.golden_file),
        ),
        system=SystemFacts(
            kind=suite.system_kind,
            fingerprint=prepared.fingerprint,
            version=suite.system.version,
            name=suite.system_name,
        ),
        system_files=_system_files(prepared),
        baseline_system=_old_fingerprint(prepared),
        judge=_judge(prepared),
        metrics=tuple(prepared.metrics),
        advisory=tuple(sorted(prepared.advisory)),
        score_keys={name: dict(key) for name, key in prepared.score_keys.items()},
        conversation_key=conversation_key(suite),
        scoring=Scoring(prepared.graders, {}).id,
        earlier_scorings=_first_scoring(prepared),
        cohorts=tuple(suite.options.cohorts),
        # More repeats by a flag are evidence for a baseline, not a rule for the runs that are compared with it.
        rules=replace(rules, repeat=min(suite.options.repeat, suite.stated_repeat)),
        seed=suite.options.seed,
        repeats=suite.options.repeat,
        repeat_rule=suite.options.repeat_rule,
        expected=expected,
        partial=terms.partial,
        sample=sample,
        notices=tuple(redact(notice, prepared.secrets) for notice in prepared.notices),
        leaked=prepared.golden.leaked,
        card_gaps=prepared.golden.card_gaps,
        started_at=now.astimezone(UTC).isoformat(timespec="seconds"),
        command=redact(command, prepared.secrets),
        versions=_versions(),
        host={"system": platform.system(), "machine": platform.machine()},
        former=None
        if former is None
        else FormerCases(cases=tuple(each.digest for each in former), blocks=terms.former_blocks),
        case_changes=terms.case_changes,
    )


def resumed(manifest: Manifest, stored: Manifest) -> Manifest:
    """Return the manifest of a resumed run: its own id and start, with the current suite, golden set and scorers."""
    known = {**manifest.earlier_scorings, **stored.scorings}
    earlier = {id_: keys for id_, keys in known.items() if id_ != manifest.scoring}
    own = replace(manifest, run_id=stored.run_id, started_at=stored.started_at, command=stored.command)
    return replace(own, earlier_scorings=earlier, shards=stored.shards)


def _first_scoring(prepared: Prepared) -> dict[str, ScoreKeys]:
    """Return the scoring of the rows whose judges are asked in batches later; empty if there are none."""
    first = first_graders(prepared)
    if len(first) == len(prepared.graders):
        return {}
    keys = {metric.name: dict(grader.key) for grader in first for metric in grader.scorer.metrics}
    return {Scoring(first, {}).id: keys}


def _system_files(prepared: Prepared) -> dict[str, str]:
    """Map each file that the fingerprint covers to the start of its SHA-256, so that a later run can list changes."""
    system, files = prepared.suite.system, environment_files(prepared.suite, prepared.shared)
    if system.version is None and isinstance(system, PythonSystem | CommandSystem):
        files += system.sources(prepared.shared)
    return {name: file_hash(path)[:FILE_HEX] for name, path in files}


def _old_fingerprint(prepared: Prepared) -> str | None:
    """Return the fingerprint of the baseline's system, if it can be called."""
    old = prepared.suite.baseline_system
    return old.fingerprint(prepared.shared) if old is not None else None


def _judge(prepared: Prepared) -> Mapping[str, Any] | None:
    judge = prepared.suite.judge
    if judge is None:
        return None
    if judge.chat is None:
        return {"local": judge.local}
    panel = [{"chat": member.model, "base_url": member.base_url} for member in judge.panel]
    return {"chat": judge.chat.model, "base_url": judge.chat.base_url, **({"panel": panel} if panel else {})}


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "evalkit-gate": __version__}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions
