"""Write a sealed decision, with earlier decisions of the run and of other runs of its suite and commit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from evalkit.disk.json_files import to_json
from evalkit.formats.manifest import Manifest
from evalkit.formats.records import decision_record, summary_records
from evalkit.results import Decided, Decision, Summary
from evalkit.store.blocked_runs import blocked_runs, known_of, remember
from evalkit.store.chain import HEAD, head_of
from evalkit.store.changes_since import ChangesSince, Noted, before_in
from evalkit.store.folder import DECISION, SUMMARY, TIMINGS, RunFolder
from evalkit.store.history import PastRun, stored_runs
from evalkit.store.running import noted_in
from evalkit.store.seal import file_sums, write_seal

_MOST_READ = 500


@dataclass(frozen=True)
class EarlierDecisions:
    """Earlier decisions and changed rows that the next decision must list."""

    decisions: tuple[Decided, ...] = ()
    asked_again: tuple[str, ...] = ()
    """Changes to the rows that were undone by running their cases again."""
    withheld: tuple[str, ...] = ()
    """Changes to the rows that were not undone."""
    conditions: tuple[str, ...] = ()
    """Other conditions of an approval."""

    def __add__(self, other: EarlierDecisions) -> EarlierDecisions:
        """Combine two sets of earlier decisions and changes."""
        return EarlierDecisions(
            (*self.decisions, *other.decisions),
            (*self.asked_again, *other.asked_again),
            (*self.withheld, *other.withheld),
            (*self.conditions, *other.conditions),
        )


@dataclass(frozen=True)
class Written:
    """A decision on disk."""

    decision: Decision
    head: str
    """Head of the run."""
    sha256: str
    """SHA-256 of the bytes of `decision.json`."""


def found_in(folder: RunFolder, root: Path, noted: Noted | None = None) -> ChangesSince:
    """Read the earlier decisions of a run, and compare its folder with the rows that they were made from.

    Args:
        folder: folder of a run or a saved baseline.
        root: the project, which remembers blocked runs.
        noted: calls begun since the run last ended normally; `None` to read them from the folder.

    Raises:
        InputError: it is not a run folder.
        StoreError: it cannot be read.
    """
    known = known_of(root, folder.manifest().run_id)
    return before_in(folder, known, noted_in(folder.path) if noted is None else noted)


def of_stored_rows(folder: RunFolder, root: Path) -> EarlierDecisions:
    """Collect the earlier blocks and changes for a decision from stored rows, which cannot be restored without a call.

    Raises:
        InputError: it is not a run folder.
        StoreError: it cannot be read.
    """
    before = found_in(folder, root)  # its seal says what was decided, whatever `decision.json` says now
    changes = (each for each in before.deciding() if not each.startswith(DECISION))
    fix = "continue with `evalkit run SUITE --out RUN --resume`, which asks their cases again, or start a new run"
    return EarlierDecisions(before.decisions, withheld=tuple(f"{each}; {fix}" for each in changes))


def of_answers(folder: RunFolder, root: Path) -> EarlierDecisions:
    """Collect the earlier blocks and changes of the run whose answers `score` grades.

    Raises:
        InputError: it is not a run folder.
        StoreError: it cannot be read.
    """
    before = found_in(folder, root)
    fix = "score the answers of an unchanged run"
    return EarlierDecisions(
        before.decisions, withheld=tuple(f"the scored run: {each}; {fix}" for each in before.deciding())
    )


def of_compared(folder: RunFolder, root: Path) -> EarlierDecisions:
    """Collect the changes to another system's rows of the same run, which this decision compares with.

    Raises:
        InputError: it is not a run folder.
        StoreError: it cannot be read.
    """
    before = found_in(folder, root)
    name, fix = folder.manifest().system.name, "run the suite again"
    changes = (each for each in before.deciding() if not each.startswith(DECISION))
    return EarlierDecisions(withheld=tuple(f"the run of {name}: {each}; {fix}" for each in changes))


def of_resumed(before: ChangesSince) -> EarlierDecisions:
    """Collect the earlier blocks and changes of a resumed run, which ran its own rows again but not the baseline's."""
    sealed = (before.seal,) if before.seal else ()
    withheld = tuple(f"{each}; start a new run" for each in before.other_sentences())
    return EarlierDecisions(before.decisions, (*sealed, *before.rows.sentences()), withheld)


def of_baseline(folder: RunFolder | None, title: str) -> EarlierDecisions:
    """Collect the conditions of a comparison, such as a baseline that was not approved.

    Args:
        folder: folder of the baseline, `None` if nothing is compared.
        title: name for messages.
    """
    if folder is None:
        return EarlierDecisions()
    manifest, decision = folder.manifest(), folder.decision()
    why = f"accepted because {manifest.accepted!r}" if manifest.accepted else "no reason is recorded"
    if manifest.stopped_early is not None:
        return EarlierDecisions(conditions=(f"baseline {title} {manifest.stopped_early}; {why}",))
    if decision is None:
        return EarlierDecisions(conditions=(f"baseline {title} is a run without a decision; {why}",))
    if decision["outcome"] in ("blocked", "no decision"):
        return EarlierDecisions(
            conditions=(f"baseline {title} is a run whose decision was {decision['outcome']!r}; {why}",)
        )
    return EarlierDecisions()


def write_decision(
    folder: RunFolder,
    manifest: Manifest,
    summary: Summary,
    decision: Decision,
    earlier: EarlierDecisions,
    root: Path | None,
) -> Written:
    """Write summary, timings and seal, then `decision.json`, without which a run has no decision.

    Args:
        folder: folder of the run; its manifest is written.
        manifest: manifest of the run.
        summary: summary of its rows.
        decision: decision of its rows alone.
        earlier: the earlier decisions and changes to list.
        root: the project, where blocked runs are recorded; `None` for a comparison of files, which has no suite.

    Raises:
        StoreError: a file cannot be written.
    """
    from evalkit.gate.decide import exit_code
    from evalkit.gate.earlier_blocks import carried

    before = earlier.decisions
    if decision.outcome != "blocked" and root is not None:
        before = (*before, *_others(folder, manifest, root, known={each.run_id for each in before}))
    decision = carried(
        decision,
        before,
        system=manifest.system.identity,
        asked_again=earlier.asked_again,
        withheld=earlier.withheld,
        conditions=earlier.conditions,
    )
    compared, timings = summary_records(summary)
    folder.write_json(SUMMARY, compared)
    folder.write_json(TIMINGS, timings)
    record = {"run_id": manifest.run_id, "exit_code": int(exit_code(decision)), **decision_record(decision)}
    journals = folder.scans()
    record |= {"lock": manifest.golden.lock} if manifest.golden.lock else {}
    head = head_of(journals, record)
    own = Decided(
        run_id=manifest.run_id,
        outcome=decision.outcome,
        why=decision.reasons[0] if decision.reasons else "",
        decided_at=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=manifest.commit or "",
        system=manifest.system.identity,
    )
    if not earlier.withheld:  # what was decided on stays sealed until the change is undone
        write_seal(folder, head, journals, _with(earlier.decisions, own), file_sums(folder))
    if own.outcome == "blocked" and root is not None:
        remember(root, manifest.suite, own)
    text = to_json({**record, HEAD: head})
    folder.write_text(DECISION, text)
    return Written(decision, head, hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest())


def _with(decisions: tuple[Decided, ...], own: Decided) -> tuple[Decided, ...]:
    """Append the new decision, unless it repeats the last one."""
    last = decisions[-1] if decisions else None
    same = last is not None and (last.run_id, last.outcome, last.why) == (own.run_id, own.outcome, own.why)
    return decisions if same else (*decisions, own)


def _others(folder: RunFolder, manifest: Manifest, root: Path, known: set[str]) -> Iterator[Decided]:
    """Return blocked runs of this suite and commit that the reports folder, its parent or the project record."""
    suite, own = manifest.suite, {manifest.run_id, *known}
    commit, system = manifest.commit or "", manifest.system.identity

    def same(decided: Decided) -> bool:
        if decided.run_id in own:
            return False
        own_system = bool(system) and decided.system == system
        if manifest.system.name:  # other systems of the same run say nothing about this one
            return own_system and decided.commit == commit
        return decided.commit == commit if commit else own_system

    found = {each.run_id: each for each in blocked_runs(root, suite) if same(each)}
    around = dict.fromkeys([(root / "reports").resolve(), folder.path.resolve().parent])
    for past in (past for place in around for past in stored_runs(place, suite=suite, most_read=_MOST_READ)):
        if past.outcome == "blocked" and past.run_id not in found and same(each := _decided_of(past)):
            found[past.run_id] = each
    yield from sorted(found.values(), key=lambda each: (each.decided_at, each.run_id))


def _decided_of(past: PastRun) -> Decided:
    reasons = (RunFolder(Path(past.folder)).decision() or {}).get("reasons")
    return Decided(
        run_id=past.run_id,
        outcome="blocked",
        why=str(reasons[0]) if isinstance(reasons, list) and reasons else "",
        decided_at=past.finished_at,
        commit=past.commit,
        system=past.system,
    )
