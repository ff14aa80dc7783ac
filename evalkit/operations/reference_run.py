"""Run the reference system of a suite once on each version of its golden set."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
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
from evalkit.store.folder import REFERENCE, REFERENCES, RunFolder
from evalkit.store.running import RUNNING, refuse_if_running
from evalkit.suite.model import Suite
from evalkit.text.numbers import plural


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
    if not _has_ended(place):
        _refuse_if_running(place)
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
    found = _stored(folder, root)
    if found is None or found[0].decision() is None:
        return None
    place, system = found
    return _load(place, system, manifest.score_keys)


def lost_reference(folder: RunFolder, root: Path) -> Iterator[str]:
    """Yield a note if a stored run was compared with a run of the reference system that is not there any more."""
    found = _stored(folder, root)
    if found is not None and found[0].decision() is None:
        place, system = found
        what = f"the run is not compared with reference system {system}: {shown_path(place.path)} is gone"
        yield f"{what}; restore it, or run the suite again"


def _stored(folder: RunFolder, root: Path) -> tuple[RunFolder, str] | None:
    """Return the run of the reference system that a run names, with the version; `None` if it names none."""
    file = folder.file(REFERENCE)
    if not file.exists():
        return None
    try:
        record = read_json(file)
        return RunFolder(inside_project(root, record["folder"])), str(record["system"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        shown = folder.shown_file(REFERENCE)
        raise InputError(Problem(shown, f"cannot be read: {error}", "run the suite again")) from None


def reference_notice(prepared: Prepared) -> str:
    """Say on how many cases the next run asks the reference system; empty if it asks it on none."""
    if prepared.suite.reference_system is None or _has_ended(_place(prepared)):
        return ""
    return f"{_notice(prepared)}, in the first run on this version of the set"


def _notice(prepared: Prepared) -> str:
    suite = prepared.suite
    sample = suite.options.sample_of(None)
    n = prepared.golden.n_cases if sample is None else min(sample.n, prepared.golden.n_cases)
    times = "" if suite.options.repeat == 1 else f" {suite.options.repeat} times each"
    version = suite.reference_system.version if suite.reference_system is not None else ""
    return f"reference system {version}: {plural(n, 'case')}{times}"


def _is_compared(request: Request) -> bool:
    return request.asks_further and request.answers is None and request.selection.partial is None


def _has_ended(place: Path) -> bool:
    """Whether the reference system was run on every case; a run that budget or deadline stopped can go on."""
    return RunFolder(place).decision() is not None and not (place / RUNNING).exists()


def _refuse_if_running(place: Path) -> None:
    """Reject a run beside one that calls the reference system now: another `--out` would not help."""
    try:
        refuse_if_running(place)
    except InputError as error:
        what = f"{error.problems[0].what}, and calls the reference system"
        raise InputError(Problem(shown_path(place), what, "wait for it to end, then continue with --resume")) from None


def _place(prepared: Prepared) -> Path:
    """Return the folder of the reference's run on this set, by these scorers; it may not exist."""
    suite = prepared.suite
    system = suite.reference_system
    parts = [
        prepared.golden.sha256,
        None if system is None else system.fingerprint(prepared.shared),
        prepared.score_keys,
        conversation_key(suite),
        _sampled(suite),
    ]
    text = json.dumps(parts, sort_keys=True, default=dict)
    return suite.root / REFERENCES / hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _sampled(suite: Suite) -> str:
    """Return what decides which cases a suite's sample has; another seed draws others."""
    sample = suite.options.sample_of(None)
    return "" if sample is None else repr((sample, suite.options.seed))


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
    shown = shown_path(place.path)
    try:
        answers = load_baseline(place, score_keys)
    except InputError as error:
        fix = f"restore it, or remove {shown} to run the reference system again"
        raise InputError(Problem(each.place, each.what, fix) for each in error.problems) from None
    assert answers is not None  # noqa: S101 - there is a folder
    return ReferenceRun(system=version, folder=shown, answers=answers, has_ended=_has_ended(place.path))
