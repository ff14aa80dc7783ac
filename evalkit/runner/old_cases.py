"""Run removed and edited cases of the base in their old form, and decide again with their results."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from evalkit.formats.manifest import Manifest
from evalkit.gate.assess import Terms, assess
from evalkit.golden.old_cases import edited_parts
from evalkit.results import Decision
from evalkit.store.folder import RunFolder
from evalkit.store.journal import read_rows
from evalkit.store.stored_run import load_run
from evalkit.types import Case, Row

if TYPE_CHECKING:
    from evalkit.aggregate.frame import Frame
    from evalkit.aggregate.frozen import FrozenFrame
    from evalkit.gate.decide import NeedsRepeats
    from evalkit.gate.old_cases import Answered


def with_former(
    own: Decision, folder: RunFolder, manifest: Manifest, terms: Terms, *, final: bool
) -> Decision | NeedsRepeats:
    """Add the results of former cases to the decision of a run.

    The run is assessed a second time with these cases restored, each in place of its edited form. If that blocks, the
    run is blocked. The figures of the run do not include them.

    Args:
        own: the decision on the run's own rows.
        folder: folder of the run.
        manifest: manifest of the run; it lists the former cases.
        terms: terms of the decision.
        final: whether no case can be run again.

    Returns:
        `NeedsRepeats` if the gate needs more runs of a former case than there are.

    Raises:
        InputError: rows of the run cannot be read.
    """
    former = manifest.former
    if former is None or not former.cases or terms.partial is not None:
        return own
    wanted = frozenset(former.cases)
    from evalkit.aggregate.frozen import freeze
    from evalkit.gate.old_cases import former_changes, put_back

    rows = _rows_of(folder, wanted)
    ids = frozenset(row.case.id for row in rows)
    frame = _restored(folder, rows, ids)
    frozen = freeze(frame)
    # Additional cases of a sample would have no correct weight.
    may_block = former.blocks and manifest.sample is None
    restored = None if not may_block else _assessed(frame, frozen, terms, final=final)
    if restored is not None and not isinstance(restored, Decision):
        if asked := tuple(case for case in restored.case_ids if case in ids):
            return replace(restored, case_ids=asked)
        restored = _assessed(frame, frozen, terms, final=True)
    assert restored is None or isinstance(restored, Decision)  # noqa: S101 - a final assessment asks for no repeats
    answered = _answered(folder, rows)
    changes = former_changes(answered, frozen, terms.baseline, missing=len(wanted) - len(answered))
    return put_back(own, restored, changes, n=len(wanted), since=terms.amended_since)


def _restored(folder: RunFolder, rows: Iterable[Row], ids: Collection[str]) -> Frame:
    """Return the rows of the run, with former cases in place of their edited forms."""
    frame = load_run(folder, without=ids).frame
    frame.sample = None
    for row in rows:
        frame.add(row)
    return frame


def _assessed(frame: Frame, frozen: FrozenFrame, terms: Terms, *, final: bool) -> Decision | NeedsRepeats:
    policy = replace(terms.policy, escalates=False)
    again = replace(terms, policy=policy, amendments=(), former=(), variants=())
    return assess(frame, again, expected=int((frozen.repeats < policy.repeats).sum()), final=final)[1]


def open_former(folder: RunFolder, cases: Iterable[Case], repeats: int, scored_by: str) -> list[tuple[Case, int]]:
    """List former cases x repeats without a row graded by today's scorers."""
    file = folder.former_rows_file
    rows = read_rows(file) if file.exists() else ()
    done = {(row.case.digest, row.repeat) for row in rows if row.scored_by == scored_by}
    return [(case, n) for case in cases for n in range(repeats) if (case.digest, n) not in done]


def _rows_of(folder: RunFolder, wanted: Collection[str]) -> list[Row]:
    """Return the rows of the manifest's former cases that count."""
    file = folder.former_rows_file
    last: dict[tuple[str, int], Row] = {}
    for row in read_rows(file) if file.exists() else ():
        if row.case.digest in wanted:
            last[row.case.digest, row.repeat] = row
    return list(last.values())


def _answered(folder: RunFolder, rows: Iterable[Row]) -> list[Answered]:
    """Return each former case with its current form."""
    from evalkit.gate.old_cases import Answered

    former: Mapping[str, Case] = {row.case.digest: row.case for row in rows}
    ids = {case.id for case in former.values()}
    now = {row.case.id: row.case for row in folder.rows() if row.case.id in ids}
    return [
        Answered(case, None if case.id not in now else edited_parts(case, now[case.id])) for case in former.values()
    ]
