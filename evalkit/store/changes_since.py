"""Find how a run folder differs from the rows and files behind its decision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from evalkit.formats.rows import key_of_name
from evalkit.results import Decided
from evalkit.store.chain import HEAD, Scan, head_of
from evalkit.store.folder import DECISION, ROWS, SEAL, SUMMARY, TIMINGS, RunFolder
from evalkit.store.row_keys import Key, RowKeys
from evalkit.store.row_sums import RowSums, side_by_side
from evalkit.store.seal import Seal, decided_of, file_sums, read_seal

DECIDED_BEFORE = "decided_before"
"""Key of `decision.json` in every run with a seal; earlier versions wrote neither."""
SHOWN_ROWS = 10
Noted = RowKeys | frozenset[Key]
"""(digest of the case, repeat) of calls begun by processes that did not end normally."""


@dataclass(frozen=True)
class ChangedRows:
    """Rows of one journal that changed since the decision, by name."""

    file: str
    gone: Sequence[bytes] = ()
    edited: Sequence[bytes] = ()
    added: Sequence[bytes] = ()
    counts: Mapping[bytes, bytes | None] = field(default_factory=dict)
    """Name of an edited or added row -> checksum of its line that may count, `None` if no line may."""

    def sentences(self) -> Iterator[str]:
        """Yield one sentence for each kind of change, with up to `SHOWN_ROWS` rows."""
        kinds = (
            (self.gone, "that the decision rested on", "gone from"),
            (self.edited, "", "edited since the decision in"),
            (self.added, "", "not written by a run, and added since the decision to"),
        )
        for names, which, what in kinds:
            if names:
                count = f"{len(names):,} row{'' if len(names) == 1 else 's'}{' ' if which else ''}{which}"
                yield f"{count} {'is' if len(names) == 1 else 'are'} {what} {self.file}: {_shown(names)}"


@dataclass(frozen=True)
class ChangesSince:
    """Earlier decisions of a run folder, and what changed since."""

    decisions: tuple[Decided, ...] = ()
    """Earlier decisions, oldest first."""
    rows: ChangedRows = field(default_factory=lambda: ChangedRows(ROWS))
    other_rows: tuple[ChangedRows, ...] = ()
    """Changes of the other journals, such as `baseline_rows.jsonl`."""
    files: tuple[str, ...] = ()
    """A sentence for each sealed file that changed, such as `summary.json: edited since the decision`."""
    seal: str = ""
    """Signs of a change in a folder without a seal; empty if there are none."""

    def sentences(self) -> tuple[str, ...]:
        """Describe every change."""
        sealed = (self.seal,) if self.seal else ()
        return (*sealed, *self.rows.sentences(), *self.other_sentences(), *self.files)

    def deciding(self) -> tuple[str, ...]:
        """Describe the changes that affect a decision from the rows; summary and timings are recomputed."""
        return tuple(each for each in self.sentences() if each.partition(":")[0] not in (SUMMARY, TIMINGS))

    def other_sentences(self) -> tuple[str, ...]:
        """Describe the changes of the other journals."""
        return tuple(sentence for each in self.other_rows for sentence in each.sentences())


def before_in(folder: RunFolder, known: Sequence[Decided] = (), noted: Noted = frozenset()) -> ChangesSince:
    """Compare a run folder with its seal.

    Args:
        folder: folder of a run, or of a saved baseline, which has no seal.
        known: decisions of this run from other sources; if there are any, the run was sealed.
        noted: calls whose rows may be newer than the seal.

    Raises:
        InputError: it is not a run folder.
        StoreError: it cannot be read.
    """
    journals = folder.scans()
    earlier, own = _said(folder)
    try:
        seal = read_seal(folder)
    except ValueError as error:
        return ChangesSince(_distinct([*earlier, *known, *own]), seal=f"{SEAL}: {error}")
    if seal is None:
        return ChangesSince(_distinct([*earlier, *known, *own]), seal=_without_seal(folder, journals, bool(known)))
    further = list(zip(folder.journals, journals, seal.rows, strict=True))[1:]
    return ChangesSince(
        _distinct([*earlier, *known, *seal.decisions]),
        _changed(ROWS, journals[0], seal.rows[0], noted.__contains__),
        tuple(_changed(file.name, journal, sealed, lambda key: bool(noted)) for file, journal, sealed in further),
        (*_files(folder, seal), *_decision_file(folder, seal, journals, bool(noted))),
    )


def _without_seal(folder: RunFolder, journals: Sequence[Scan], known: bool) -> str:
    """Describe the signs that a folder without a seal was changed; empty if there are none."""
    decision, manifest = folder.decision(), folder.manifest()
    is_baseline = manifest.accepted is not None
    gone = not is_baseline and (known or DECIDED_BEFORE in (decision or {}))
    found = [f"{SEAL}: is missing, so removed rows cannot be listed"] if gone else []
    stored = (decision or {}).get(HEAD)
    # A baseline saved by an earlier version lacks the rows of the baseline's system, which are part of its head.
    comparable = stored is not None and (not is_baseline or manifest.replaces != "unknown")
    if comparable and head_of(journals, decision) != stored:
        found.append(f"{ROWS} or {DECISION}: changed since the decision, whose head was {stored}")
    return "; ".join(found)


def _said(folder: RunFolder) -> tuple[list[Decided], list[Decided]]:
    """Return the earlier decisions listed in `decision.json`, and its own."""
    decision = folder.decision()
    if decision is None:
        return [], []
    manifest = folder.manifest()
    reasons = decision.get("reasons")
    own = {
        "run_id": manifest.run_id,
        "outcome": decision["outcome"],
        "why": str(reasons[0]) if isinstance(reasons, list) and reasons else "",
        "decided_at": manifest.finished_at,
        "commit": manifest.commit or "",
        "system": manifest.system.identity,
    }
    before = decision.get(DECIDED_BEFORE)
    return _readable(before if isinstance(before, list) else ()), _readable([own])


def _readable(records: Iterable[object]) -> list[Decided]:
    """Keep the decisions in the form that evalkit writes."""
    found = []
    for record in records:
        with suppress(ValueError):
            found.append(decided_of(record))
    return found


def _distinct(decisions: Sequence[Decided]) -> tuple[Decided, ...]:
    """Remove duplicates, because several files hold the same decision of a run."""
    first: dict[tuple[str, str, str], Decided] = {}
    for each in decisions:
        first.setdefault((each.run_id, each.outcome, each.why), each)
    return tuple(first.values())


def _changed(file: str, journal: Scan, sealed: RowSums, tolerated: Callable[[tuple[str, int]], bool]) -> ChangedRows:
    """Find the rows that differ from the sealed ones.

    A tolerated call may have a newer row after its sealed one. A sealed row that the journal no longer holds is gone,
    whether or not its call is tolerated.
    """
    superseded = journal.superseded
    gone, edited, added = list[bytes](), list[bytes](), list[bytes]()
    counts: dict[bytes, bytes | None] = {}
    for name, checksum, now in side_by_side(sealed, journal.sums):
        if now == checksum:
            continue
        if checksum is None:
            if not _tolerated(name, tolerated):
                added.append(name)
                counts[name] = None
            continue
        newer = now is not None and _tolerated(name, tolerated)
        if now is not None and checksum in superseded:
            if not newer:
                added.append(name)
                counts[name] = checksum
        elif now is None or newer:
            gone.append(name)
        else:
            edited.append(name)
            counts[name] = None
    return ChangedRows(file, gone, edited, added, counts)


def _tolerated(name: bytes, tolerated: Callable[[tuple[str, int]], bool]) -> bool:
    try:
        _, digest, repeat = key_of_name(name)
    except ValueError:
        return False
    return tolerated((digest, repeat))


def _files(folder: RunFolder, seal: Seal) -> Iterator[str]:
    now = file_sums(folder)
    for name, then in seal.files.items():
        if now.get(name) != then:
            yield f"{name}: {'edited since the decision' if name in now else 'is gone'}"


def _decision_file(folder: RunFolder, seal: Seal, journals: Sequence[Scan], running: bool) -> Iterator[str]:
    """Yield a sentence if `decision.json` is not the sealed one."""
    decision = folder.decision()
    if decision is None:
        if folder.file(DECISION).exists():
            yield f"{DECISION}: edited since the decision, holds no head"
        elif not running:
            yield f"{DECISION}: is gone; the decision was {seal.decisions[-1].outcome!r}"
        return
    sealed = [Scan(rows, len(rows), ()) for rows in seal.rows]
    same = decision.get(HEAD) == seal.head == head_of(sealed, decision)
    withheld = decision["outcome"] == "no decision" and decision.get(HEAD) == head_of(journals, decision)
    if not same and not withheld:
        yield f"{DECISION}: edited since the decision"


def _shown(names: Sequence[bytes]) -> str:
    """Format case ids, with the repeat if it is not the first."""
    shown = []
    for name in sorted(names)[:SHOWN_ROWS]:
        try:
            case_id, _, repeat = key_of_name(name)
        except ValueError:
            case_id, repeat = "unknown", 0
        shown.append(f"{case_id} (repeat {repeat + 1})" if repeat else case_id)
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")
