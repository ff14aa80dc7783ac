"""Open the folder of a run: a new one, or one with the rows of an earlier process."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit import __version__
from evalkit.disk.paths import shown_path
from evalkit.errors import EvalkitError, InputError, Problem
from evalkit.formats.manifest import GoldenFacts, Manifest
from evalkit.gate.earlier_decisions import found_in
from evalkit.runner.earlier import EarlierRows
from evalkit.runner.engine import Stop, charge
from evalkit.runner.manifest import resumed
from evalkit.runner.scoring import Scoring
from evalkit.runner.session import Place, Watcher
from evalkit.store.changes_since import ChangesSince, Noted
from evalkit.store.folder import MANIFEST, ROWS, SET_ASIDE, RunFolder
from evalkit.store.journal import read_rows
from evalkit.store.running import Running
from evalkit.store.shards import written_rows
from evalkit.store.stored_run import empty_frame
from evalkit.types import Row

if TYPE_CHECKING:
    from evalkit.runner.prepare import Prepared
    from evalkit.suite.model import Suite

SHOWN_LINES = 10
_SAME = ("system", "baseline_system", "answers", "partial", "seed", "conversation_key")
"""Parts of a manifest that must be the same in a resumed run; others may be edited."""

_IN_WORDS = {
    "conversation_key": "way to lead conversations",
    "baseline_system": "baseline system",
    "partial": "choice of cases",
}
"""Part -> its name in messages, if that differs."""


class OtherRun(InputError):
    """The folder holds a run of another system, or with other settings, that cannot be continued."""


@dataclass(frozen=True)
class Resume:
    """The state of a run that enters a folder, which may already hold rows."""

    prepared: Prepared
    chosen: Collection[str] | None
    watcher: Watcher
    stop: Stop
    again: bool
    """Whether the folder holds an interrupted run."""
    retry: bool


def checked_golden(out: Path | None, suite: Suite) -> GoldenFacts | None:
    """Return the golden set in the manifest of the run in `out`, if the same suite has checked it."""
    try:
        stored = RunFolder(out).manifest() if out is not None else None
    except EvalkitError:
        return None  # told in its turn
    if stored is None or stored.suite_sha256 != suite.sha256 or stored.versions.get("evalkit-gate") != __version__:
        return None
    return stored.golden


def enter(folder: RunFolder, manifest: Manifest, running: Running, resume: Resume) -> Place:
    """Write the manifest of a new run, or continue the existing run.

    Raises:
        OtherRun: the rows are another system's.
        InputError: the folder was filled by a run that was faster.
        StoreError: the disk refuses.
    """
    folder.sweep()
    manifest, wanted = _taken_over(folder, manifest, resume)
    before = _before(folder, resume, running.noted)
    folder.write_manifest(manifest)
    for sentence in (*before.rows.sentences(), *before.other_sentences(), before.seal):
        if sentence:
            resume.watcher.note(sentence)
    earlier = _read(folder, manifest, resume, wanted, before, told=True)
    if earlier.n_unwanted or earlier.n_by_hand or any(not damage.torn for damage in earlier.damaged):
        earlier.set_aside()
        earlier = _read(folder, manifest, resume, wanted, before, told=False)
    return Place(folder, manifest, running, earlier, before)


def look(folder: RunFolder, manifest: Manifest, resume: Resume) -> EarlierRows:
    """Return what `enter` would return, with the same errors, but write nothing."""
    manifest, wanted = _taken_over(folder, manifest, resume)
    earlier = _read(folder, manifest, resume, wanted, _before(folder, resume, None), told=True)
    for _, row in written_rows(folder.path):  # a run takes them into the journal first
        key = (row.case.digest, row.repeat)
        if key not in earlier.done and not (resume.retry and (row.failure is not None or row.skipped is not None)):
            earlier.done.add(key)
            charge(resume.prepared.budget, resume.stop, row, with_judges=True)
    return earlier


def _before(folder: RunFolder, resume: Resume, noted: Noted | None) -> ChangesSince:
    """Return the earlier decisions of a resumed run and the changes since; empty for a new run."""
    begun = folder.file(MANIFEST).is_file()
    return found_in(folder, resume.prepared.suite.root, noted) if begun else ChangesSince()


def _taken_over(folder: RunFolder, manifest: Manifest, resume: Resume) -> tuple[Manifest, Collection[str] | None]:
    """Return the manifest of the run in its folder, and the cases to which stored rows may belong."""
    begun = folder.file(MANIFEST).is_file()
    if begun and not resume.again:
        fix = "name a new folder with --out, or continue with --resume"
        raise InputError(Problem(shown_path(folder.path), "is not empty", fix))
    stored = folder.manifest() if begun else None
    if stored is not None:
        _refuse_others(folder, stored, manifest)
        manifest = resumed(manifest, stored)
    return manifest, _wanted(resume, stored)


def _refuse_others(folder: RunFolder, stored: Manifest, manifest: Manifest) -> None:
    changed = differing_parts(stored, manifest)
    samples = [each and each.asked for each in (stored.sample, manifest.sample)]
    changed += ["sample"] if samples[0] != samples[1] and "partial" not in changed else []
    changed += ["repeats"] if stored.repeats > manifest.repeats else []
    if changed == ["partial"]:
        raise OtherRun(Problem(shown_path(folder.path), *_other_choice(stored.partial, manifest.partial)))
    if changed:
        what = f"the run in it had another {in_words(changed)}{differing_files(stored, manifest)}"
        raise OtherRun(Problem(shown_path(folder.path), what, "start a new run"))


def differing_parts(stored: Manifest, manifest: Manifest) -> list[str]:
    """Return the parts of two manifests that make them runs of different answers."""
    return [part for part in _SAME if getattr(stored, part) != getattr(manifest, part)]


def in_words(parts: Iterable[str]) -> str:
    """Name parts of a manifest for messages."""
    return ", ".join(_IN_WORDS.get(part, part) for part in parts)


def _other_choice(stored: str | None, now: str | None) -> tuple[str, str]:
    """Return what is wrong, and the fix, if only the flags that choose cases differ."""
    if stored is None:
        return f"the run in it was made without {now}", "leave the flag out, or start a new run"
    return f"the run in it was made with {stored}", "repeat the flag, or start a new run"


def differing_files(stored: Manifest, manifest: Manifest) -> str:
    """List the system's files that changed, as ` (bot.py changed, prompt.md added)`."""
    before, now = stored.system_files, manifest.system_files
    if not before or before == now:
        return ""
    words = [
        f"{name} {'added' if name not in before else 'removed' if name not in now else 'changed'}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
    more = [f"{len(words) - SHOWN_LINES} more"] if len(words) > SHOWN_LINES else []
    return f" ({', '.join([*words[:SHOWN_LINES], *more])})" if words else ""


def _wanted(resume: Resume, stored: Manifest | None) -> Collection[str] | None:
    """Return the digests of the cases if the golden set was edited; `None` if every stored row belongs to it."""
    golden = resume.prepared.golden
    if stored is None or stored.golden.sha256 == golden.sha256:
        return None
    return resume.chosen if resume.chosen is not None else frozenset(case.digest for case in golden.outlines())


def _read(
    folder: RunFolder,
    manifest: Manifest,
    resume: Resume,
    wanted: Collection[str] | None,
    before: ChangesSince,
    *,
    told: bool,
) -> EarlierRows:
    scoring = Scoring(resume.prepared.graders, manifest.scorings)
    earlier = EarlierRows(folder, empty_frame(manifest), scoring, wanted, resume.retry, counts=before.rows.counts)
    spend = partial(charge, resume.prepared.budget, resume.stop, with_judges=True) if told else _nothing
    earlier.read(spend)
    if told:
        for file in folder.journals[1:]:
            for row in read_rows(file) if file.exists() else ():
                spend(row)
        _tell(earlier, resume.watcher)
    return earlier


def _nothing(row: Row) -> None:
    """Charge nothing."""


def _tell(earlier: EarlierRows, watcher: Watcher) -> None:
    altered = [str(damage.line) for damage in earlier.damaged if not damage.torn]
    if altered:
        more = f" and {len(altered) - SHOWN_LINES} more" if len(altered) > SHOWN_LINES else ""
        lines = ", ".join(altered[:SHOWN_LINES]) + more
        watcher.note(f"{ROWS}: damaged lines ({lines}) are kept in {SET_ASIDE}, their cases are run again")
    if any(damage.torn for damage in earlier.damaged):
        watcher.note(f"{ROWS}: the last line was torn by the end of the process, its case is run again")
    if earlier.n_unwanted:
        watcher.note(f"{ROWS}: rows of cases that are gone from the golden set are kept in {SET_ASIDE}")
    if earlier.n_by_hand:
        watcher.note(f"{ROWS}: rows that no run wrote are moved to {SET_ASIDE} and do not count")
    if earlier.n_open:
        watcher.note(f"stored answers that changed scorers grade again, without a call: {earlier.n_open}")
