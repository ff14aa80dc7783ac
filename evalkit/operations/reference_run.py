"""Run the reference system of a suite once on each version of its golden set."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from evalkit.baselines.load import load_baseline
from evalkit.disk.json_files import read_json, to_json
from evalkit.disk.paths import inside_project, shown_path
from evalkit.errors import InputError, Problem
from evalkit.formats.manifest import Manifest, ScoreKeys
from evalkit.gate.policy import Policy
from evalkit.gate.reference_system import ReferenceRun
from evalkit.operations.run import Request, run_suite
from evalkit.runner.conversation_key import conversation_key
from evalkit.runner.engine import Stop
from evalkit.runner.prepare import Prepared
from evalkit.runner.session import Interrupted, Watcher
from evalkit.store.folder import REFERENCE, RunFolder
from evalkit.suite.model import Suite
from evalkit.text.numbers import plural

REFERENCES = Path("reports/reference")
"""Where the runs of reference systems are kept, relative to the project; no list of runs shows them."""


async def run_reference(
    prepared: Prepared, request: Request, folder: RunFolder, watcher: Watcher, stop: Stop, env: Mapping[str, str]
) -> ReferenceRun | None:
    """Return the reference system's run on this version of the set, and run it if there is none yet.

    Only a whole run of the suite's system is compared. Budget and deadline are the suite's, for these cases alone.

    Args:
        prepared: the checked suite.
        request: of the run that is compared.
        folder: folder of that run, which is entered; it keeps which reference it was compared with.
        watcher: hears that the reference system is run.
        stop: stops the run.
        env: the environment.

    Raises:
        InputError: the stored run cannot be read.
        StoreError: the disk failed.
        Interrupted: the user stopped the run.
    """
    suite = prepared.suite
    if suite.reference_system is None or not _is_compared(request):
        return None
    place = _place(prepared)
    if RunFolder(place).decision() is None:
        watcher.note(f"{_notice(prepared)} are run first")
        part = stop.part(lambda: None)
        try:
            await run_suite(_asked(request, suite, place), Watcher(), part, env, _as_reference(suite))
        except Interrupted:
            raise Interrupted(folder) from None
    version = suite.reference_system.version or ""
    folder.write_text(REFERENCE, to_json({"system": version, "folder": place.relative_to(suite.root).as_posix()}))
    return _load(RunFolder(place), version, prepared.score_keys)


def reference_of(folder: RunFolder, root: Path, manifest: Manifest) -> ReferenceRun | None:
    """Read the run of the reference system that a stored run was compared with; `None` if there is none any more.

    Raises:
        InputError: it is damaged.
    """
    file = folder.file(REFERENCE)
    if not file.exists():
        return None
    try:
        record = read_json(file)
        place, system = RunFolder(inside_project(root, record["folder"])), str(record["system"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        shown = folder.shown_file(REFERENCE)
        raise InputError(Problem(shown, f"cannot be read: {error}", "run the suite again")) from None
    return None if place.decision() is None else _load(place, system, manifest.score_keys)


def reference_notice(prepared: Prepared) -> str:
    """Say on how many cases the next run asks the reference system; empty if it asks it on none."""
    if prepared.suite.reference_system is None or RunFolder(_place(prepared)).decision() is not None:
        return ""
    return f"{_notice(prepared)}, once on this version of the set"


def _notice(prepared: Prepared) -> str:
    suite = prepared.suite
    sample = suite.options.sample_of(None)
    n = prepared.golden.n_cases if sample is None else min(sample.n, prepared.golden.n_cases)
    times = "" if suite.options.repeat == 1 else f" {suite.options.repeat} times each"
    version = suite.reference_system.version if suite.reference_system is not None else ""
    return f"reference system {version}: {plural(n, 'case')}{times}"


def _is_compared(request: Request) -> bool:
    return request.asks_further and request.answers is None and request.selection.partial is None


def _place(prepared: Prepared) -> Path:
    """Return the folder of the reference's run on this set, by these scorers; it may not exist."""
    suite = prepared.suite
    system = suite.reference_system
    parts = [
        prepared.golden.sha256,
        None if system is None else system.fingerprint(prepared.shared),
        prepared.score_keys,
        conversation_key(suite),
        repr(suite.options.sample_of(None)),
    ]
    text = json.dumps(parts, sort_keys=True, default=dict)
    return suite.root / REFERENCES / hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _as_reference(suite: Suite) -> Suite:
    """Return the suite with its reference system as the one under test, and without a gate."""
    assert suite.reference_system is not None  # noqa: S101 - checked by the caller
    return dataclasses.replace(
        suite,
        system=suite.reference_system,
        system_kind=suite.reference_kind,
        reference_system=None,
        baseline_system=None,
        policy=Policy(()),
        label_files=(),
        variants=(),
    )


def _asked(request: Request, suite: Suite, place: Path) -> Request:
    return Request(
        suite=suite.path,
        out=place,
        resume=place.exists(),
        baseline="none",
        asks_further=False,
        replies=request.replies,
        process=request.process,
    )


def _load(place: RunFolder, version: str, score_keys: ScoreKeys) -> ReferenceRun:
    answers = load_baseline(place, score_keys)
    assert answers is not None  # noqa: S101 - there is a folder
    return ReferenceRun(system=version, folder=shown_path(place.path), answers=answers)
