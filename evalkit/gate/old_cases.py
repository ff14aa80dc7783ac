"""Apply the results of removed and edited cases, run in their old form, to the decision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from evalkit.aggregate.frame import content_key
from evalkit.aggregate.frozen import FrozenFrame
from evalkit.gate.amendments import amended
from evalkit.gate.pairing import Baseline
from evalkit.results import Amendment, Decision
from evalkit.types import QUARANTINE, Case

_SHOWN_IDS = 10
_BROKEN, _FAILING, _STILL, _UNKNOWN, _HOLDS = (
    "passed before and fail now",
    "fail now",
    "failed before and fail now",
    "gave no result",
    "pass",
)


@dataclass(frozen=True)
class Answered:
    """A case of the base that was run in its old form."""

    case: Case
    edits: tuple[str, ...] | None
    """Parts that differ in the current form; `None` if no case has its id now."""


def former_changes(
    answered: Sequence[Answered], restored: FrozenFrame, baseline: Baseline | None, *, missing: int
) -> tuple[Amendment, ...]:
    """Make one finding each for removed, edited and quarantined cases, with their results in the old form.

    Args:
        answered: the former cases.
        restored: the run's rows with these cases restored.
        baseline: the stored run, with their earlier results; `None` if there is none.
        missing: former cases without a row.
    """
    now = _verdicts(restored)
    before = _verdicts(baseline.frame) if baseline is not None else {}
    found = []
    for word in ("removed", "edited", "quarantined"):
        group = [each for each in answered if _change_of(each) == word]
        if group:
            ended = {each.case.id: _ended(content_key(each.case), now, before) for each in group}
            aside = word == "quarantined"
            edits = sorted({name for each in group for name in each.edits or ()})
            told = _some(list(ended)) if aside else ", ".join(edits)
            note = "; ".join([*([told] if told else []), *_words(ended)])
            # A case that fails now and then may pass this time.
            loosens = aside or any(end != _HOLDS for end in ended.values())
            found.append(Amendment(what=_count(len(group), word), note=note, loosens=loosens))
    if missing:
        note = "not run in its old form" if missing == 1 else "not run in their old form"
        found.append(Amendment(what=_count(missing, "removed or edited"), note=note, loosens=True))
    return tuple(found)


def put_back(own: Decision, restored: Decision | None, changes: Sequence[Amendment], *, n: int, since: str) -> Decision:
    """Return the decision on the run's own rows, blocked if the restored former cases would block it.

    Args:
        own: decision on the run's own rows.
        restored: the decision with the former cases in place of their edited forms; `None` if there is none.
        changes: result of `former_changes`.
        n: former cases.
        since: their source.
    """
    if restored is not None and restored.outcome == "blocked" and own.outcome != "blocked":
        what = f"with {_count(n, 'that this change removed or edited')} put back"
        reasons = tuple(f"{what}: {reason}" for reason in restored.reasons[:1])
        blocking = (check for check in restored.checks if check.outcome == "block")
        checks = tuple(replace(check, reason=f"{what}: {check.reason}") for check in blocking)
        own = replace(own, outcome="blocked", reasons=(*reasons, *own.reasons), checks=(*checks, *own.checks))
    return amended(own, changes, since)


def _change_of(each: Answered) -> str:
    if each.edits is None:
        return "removed"
    return "quarantined" if QUARANTINE in each.edits else "edited"


def _ended(key: bytes, now: dict[bytes, bool], before: dict[bytes, bool]) -> str:
    fails, failed = now.get(key), before.get(key)
    if fails is None:
        return _UNKNOWN
    if not fails:
        return _HOLDS
    if failed is None:
        return _FAILING
    return _STILL if failed else _BROKEN


def _words(ended: dict[str, str]) -> Iterator[str]:
    """Name the cases by result; if all pass, say only that."""
    if set(ended.values()) == {_HOLDS}:
        yield "in the old form " + ("it passes" if len(ended) == 1 else "all pass")
        return
    for end in (_BROKEN, _FAILING, _STILL, _UNKNOWN):
        ids = [case_id for case_id, found in ended.items() if found == end]
        if ids:
            yield f"in the old form {end}: {_some(ids)}"


def _some(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _SHOWN_IDS} more" if len(ids) > _SHOWN_IDS else ""
    return f"{', '.join(ids[:_SHOWN_IDS])}{more}"


def _count(n: int, word: str) -> str:
    return f"{n:,} case{'' if n == 1 else 's'} {word}"


def _verdicts(frame: FrozenFrame) -> dict[bytes, bool]:
    """Map the content of each case to whether it fails; cases without a verdict are left out."""
    known = frame.n_passed + frame.n_failed > 0
    found = zip(frame.keys, frame.fails.tolist(), known.tolist(), strict=True)
    return {key: fails for key, fails, judged in found if judged}
