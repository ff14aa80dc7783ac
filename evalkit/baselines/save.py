"""Save a run as a baseline, under a lock and atomically."""

from __future__ import annotations

import ctypes
import gzip
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from evalkit.baselines.find import LATEST, set_aside_name
from evalkit.baselines.load import NO_BASELINE
from evalkit.errors import InputError, Problem, StoreError
from evalkit.formats.manifest import Manifest, ReplacedBaseline
from evalkit.store.chain import HEAD, open_journal
from evalkit.store.folder import BASELINES, DECISION, MANIFEST, ROWS, SUMMARY, RunFolder, is_name
from evalkit.store.history import read_past_run

try:
    import fcntl
except ImportError:  # no such locks on Windows: there two processes may save at the same time
    fcntl = None  # type: ignore[assignment]

LOCK = ".evalkit/baselines.lock"
_MAX_NAME = 100
_AT_CWD = -100
_RENAME_EXCHANGE = 2


def save_baseline(run: RunFolder, name: str, root: Path, accepted: str = "") -> RunFolder:
    """Copy manifest, rows (compressed, the same bytes for the same rows) and decision of a run under `name`.

    A kill at any moment leaves either the previous baseline or the new one. `replaces` in the manifest names the
    previous one.

    Args:
        run: a finished run.
        name: letters, digits, `-`, `_` and `.`.
        root: the project.
        accepted: reason to accept a run that was not approved; kept in its manifest.

    Raises:
        InputError: the name is not a plain word.
        StoreError: it cannot be written.
    """
    if not is_name(name) or len(name) > _MAX_NAME:
        what = f"{name[:_MAX_NAME]!r} is not a plain word of up to {_MAX_NAME} letters"
        raise InputError(Problem("--name", what, "use letters, digits, - and _"))
    if name == NO_BASELINE:
        raise InputError(Problem("--name", f"{name!r} means no baseline in `--baseline none`", "choose another name"))
    if name == LATEST:
        raise InputError(Problem("--name", f"{name!r} means the run that finished last", "choose another name"))
    target = root / BASELINES / name
    try:
        with _alone(root):
            target.parent.mkdir(parents=True, exist_ok=True)
            _recover(target)
            draft = target.with_name(f".{name}.{os.getpid()}.tmp")
            _copy(run, draft, replace(run.manifest(), accepted=accepted, replaces=_replaced(target, run)))
            _swap(draft, target)
    except OSError as error:
        raise StoreError(f"{target}: {error}; check the folder's permissions") from error
    return RunFolder(target)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Wait until no other process saves a baseline of the project; the lock ends with its process."""
    file = root / LOCK
    file.parent.mkdir(parents=True, exist_ok=True)
    ignored = file.with_name(".gitignore")
    if not ignored.exists():
        ignored.write_text("*\n", encoding="utf-8")
    with file.open("a") as held:
        if fcntl is not None:
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _recover(target: Path) -> None:
    """Clean up after a process that was killed while saving."""
    aside = target.with_name(set_aside_name(target.name))
    if aside.exists() and not target.exists():
        aside.rename(target)
    for left in (aside, *target.parent.glob(f".{target.name}.*.tmp")):
        shutil.rmtree(left, ignore_errors=True)


def _copy(run: RunFolder, draft: Path, manifest: Manifest) -> None:
    draft.mkdir()
    further = (file for file in run.journals[1:] if file.exists())
    for file in (run.file(DECISION), run.file(SUMMARY), *further):
        shutil.copyfile(file, draft / file.name)
        _sync(draft / file.name)
    RunFolder(draft).write_manifest(manifest)
    with open_journal(run.rows_file) as rows, (draft / f"{ROWS}.gz").open("wb") as packed:
        with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as stream:
            shutil.copyfileobj(rows, stream)
        packed.flush()
        os.fsync(packed.fileno())


def _replaced(target: Path, run: RunFolder) -> ReplacedBaseline | Literal["unknown"] | None:
    """Return the baseline of that name, or the one that it replaced if the same run is saved again."""
    if not (target / MANIFEST).is_file():
        return None
    try:
        manifest = RunFolder(target).manifest()
    except InputError:
        return ReplacedBaseline(outcome="unknown: its manifest cannot be read")
    if manifest.run_id == run.manifest().run_id:
        return manifest.replaces
    decision, past = RunFolder(target).decision() or {}, read_past_run(RunFolder(target))
    return ReplacedBaseline(
        run_id=manifest.run_id,
        outcome=str(decision.get("outcome", "unknown")),
        head=str(decision.get(HEAD, "")),
        commit=manifest.commit or "",
        values=past.values if past is not None else {},
    )


def _swap(draft: Path, target: Path) -> None:
    """Replace the target with the draft: atomically if the system can, else in two steps that can be undone."""
    if not target.exists():
        draft.rename(target)
    elif _exchanged(draft, target):
        shutil.rmtree(draft)
    else:
        aside = target.with_name(set_aside_name(target.name))
        target.rename(aside)
        draft.rename(target)
        shutil.rmtree(aside)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two folders atomically; return False if the system or its file system cannot."""
    if sys.platform != "linux":
        return False
    with suppress(AttributeError, OSError):
        exchange = ctypes.CDLL(None, use_errno=True).renameat2
        done: int = exchange(_AT_CWD, os.fsencode(one), _AT_CWD, os.fsencode(other), _RENAME_EXCHANGE)
        return done == 0
    return False


def _sync(file: Path) -> None:
    fd = os.open(file, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
