"""Describe what a run was made of, before its first call."""

from __future__ import annotations

import platform
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

from evalkit import __version__
from evalkit.formats.records import metric_record
from evalkit.golden.read import file_sha256
from evalkit.runner.scoring import Scoring
from evalkit.store.folder import FORMAT
from evalkit.store.git import head_commit
from evalkit.suite.rules import rules_of
from evalkit.systems.command import CommandSystem
from evalkit.systems.fingerprint import file_hash
from evalkit.systems.python import PythonSystem
from evalkit.systems.secrets import redact

if TYPE_CHECKING:
    from evalkit.runner.prepare import Prepared
from evalkit.store.stored_run import scorings_of

FILE_HEX = 12
_PACKAGES = ("ragas", "deepeval", "wordllama", "numpy", "aiohttp")


def new_run_id(now: datetime) -> str:
    """Create a unique id that sorts by time: `20260703T102241Z-7c1e42`."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def manifest_of(
    prepared: Prepared,
    *,
    now: datetime,
    expected: int,
    partial: str | None,
    sample: Mapping[str, Any] | None,
    command: str,
) -> dict[str, Any]:
    """Build the manifest of a new run.

    Args:
        prepared: the checked suite.
        now: start of the run.
        expected: rows that the plan asks for.
        partial: why the run is partial and so not gated, `None` for a whole one.
        sample: how its cases were drawn, `None` if all of them are asked.
        command: the command line that began it.
    """
    suite, golden = prepared.suite, prepared.golden
    return {
        "format": FORMAT,
        "run_id": new_run_id(now),
        "commit": head_commit(suite.root),
        "suite": suite.name,
        "suite_file": suite.path.relative_to(suite.root).as_posix(),
        "suite_sha256": suite.sha256,
        "golden": {
            "path": golden.path,
            "sha256": golden.sha256,
            "n_cases": golden.n_cases,
            "file_sha256": file_sha256(suite.golden_file) if suite.golden_file is not None else None,
        },
        "system": {
            "kind": suite.system_kind,
            "fingerprint": prepared.fingerprint,
            "version": getattr(suite.system, "version", None),
        },
        "system_files": _system_files(prepared),
        "baseline_system": _old_fingerprint(prepared),
        "judge": _judge(prepared),
        "metrics": [metric_record(metric) for metric in prepared.metrics],
        "advisory": sorted(prepared.advisory),
        "score_keys": {name: dict(key) for name, key in prepared.score_keys.items()},
        "scoring": Scoring(prepared.graders, {}).id,
        "earlier_scorings": {},
        "cohorts": list(suite.options.cohorts),
        # Further runs by a flag are evidence for a baseline, and no rule for the runs that are compared with it.
        "rules": {**rules_of(suite), "repeat": min(suite.options.repeat, suite.stated_repeat)},
        "seed": suite.options.seed,
        "repeats": suite.options.repeat,
        "repeat_rule": suite.options.repeat_rule,
        "expected": expected,
        "partial": partial,
        "sample": sample,
        "notices": [redact(notice, prepared.secrets) for notice in prepared.notices],
        "started_at": now.astimezone(UTC).isoformat(timespec="seconds"),
        "command": redact(command, prepared.secrets),
        "versions": _versions(),
        "host": {"system": platform.system(), "machine": platform.machine()},
    }


def resumed(manifest: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Build the manifest of a resumed run: its own id and start, with the current suite, golden set and scorers."""
    own = {key: stored[key] for key in ("run_id", "started_at", "command")}
    earlier = {id_: keys for id_, keys in scorings_of(stored).items() if id_ != manifest["scoring"]}
    return {**manifest, **own, "earlier_scorings": earlier}


def _system_files(prepared: Prepared) -> dict[str, str]:
    """Map each file that the fingerprint covers to the head of its SHA-256, so that a later run can list changes."""
    system = prepared.suite.system
    if system.version is not None or not isinstance(system, PythonSystem | CommandSystem):
        return {}
    return {name: file_hash(path)[:FILE_HEX] for name, path in system.sources(prepared.shared)}


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
