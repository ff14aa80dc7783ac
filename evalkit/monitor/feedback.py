"""Read what is said about calls afterwards: ratings of users, and labels of people for answers of a guard.

A line of feedback belongs to a call by its id. It counts on its own day, in the cohorts of its call, and is stored as
an observation that is not a call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec
import numpy as np

from evalkit.guard.settings import Action
from evalkit.monitor.call_source import RefusedRows
from evalkit.monitor.calls import DAY_S, MISSING, Identity, RowRefused, hash64, read_id, read_thumb, read_time
from evalkit.monitor.grading import THUMB
from evalkit.monitor.known_ids import BACK_DAYS, KnownIds
from evalkit.monitor.log_files import LogBlock
from evalkit.monitor.observations import MICRO, Observations, read_observations, stored_files
from evalkit.monitor.series import MetricFacts
from evalkit.monitor.settings import Monitor

BLOCKED_GOOD, DELIVERED_BAD = "blocked_good", "delivered_bad"
FACTS = tuple(MetricFacts(name, higher_is_better=False) for name in (THUMB, BLOCKED_GOOD, DELIVERED_BAD))
"""Share of ratings that were down; of labelled answers: the share of blocked ones that is good, and of delivered ones
that is bad."""
_UNKNOWN = "no call of the week before has this id; take the logs of the call first, then write the line again"


@dataclass(frozen=True, slots=True)
class CallFeedback:
    """One line of feedback.

    Attributes:
        key: Hash by which the same line is known again, 64 bits.
        call: Hash of the id of its call.
        at: Seconds since 1970.
        values: As `FACTS`; NaN where it says nothing.
        place: File and line.
    """

    key: int
    call: int
    at: float
    values: tuple[float, ...]
    place: str

    @property
    def day(self) -> int:
        """Days since 1970."""
        return int(self.at // DAY_S)


def read_feedback(
    blocks: Iterable[LogBlock], monitor: Monitor, now: float, refusals: RefusedRows
) -> Iterator[tuple[list[CallFeedback], LogBlock]]:
    """Yield the feedback of each block of lines.

    Args:
        blocks: Lines of JSON: `id` of a call, `at`, and `thumb`, or `good` with `action`.
        monitor: Whose calls they are about.
        now: Seconds since 1970.
        refusals: Gets the lines that are no feedback.
    """
    identity, decode = Identity.of(monitor), msgspec.json.Decoder().decode
    for block in blocks:
        found = []
        for number, line in enumerate(block.lines, block.first):
            place = f"{block.shown}:{number}"
            try:
                if line.strip():
                    found.append(_feedback(decode(line), identity, now, place))
            except RowRefused as error:
                refusals.add(place, error)
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
                refusals.add(place, "not JSON; write one JSON object a line, in UTF-8")
        yield found, block


def _feedback(row: Any, identity: Identity, now: float, place: str) -> CallFeedback:
    if not isinstance(row, Mapping):
        raise RowRefused("not an object; write one JSON object a line")
    text, at = read_id(row.get("id"), "id", "id"), read_time(row.get("at"), "at", now + DAY_S)
    thumb = read_thumb(row.get("thumb"), "thumb")
    good, action = row.get("good"), row.get("action")
    if good is not None and type(good) is not bool:
        raise RowRefused("good: not true or false; write true if every claim is supported, else false")
    if good is not None and action not in get_args(Action):
        raise RowRefused("action: missing; say what the guard did: `pass`, `warn` or `block`")
    if thumb is None and good is None:
        raise RowRefused("neither thumb nor good; write `thumb: up`, or `good` with `action`")
    down = np.nan if thumb is None else float(not thumb)
    is_blocked = action == "block"
    blocked_good = float(good) if good is not None and is_blocked else np.nan
    delivered_bad = float(not good) if good is not None and not is_blocked else np.nan
    kind = "thumb" if good is None else "label"
    key = hash64(identity.name, f"{kind} {text}")
    return CallFeedback(key, identity.id_of(text), at, (down, blocked_good, delivered_bad), place)


def without_known(given: Sequence[CallFeedback], ids: KnownIds) -> list[CallFeedback]:
    """Return the feedback that was not counted in the days around, each once: what is said first counts.

    Raises:
        StoreError: The ids cannot be read.
    """
    first: dict[int, CallFeedback] = {}
    for each in given:
        first.setdefault(each.key, each)
    by_day: dict[int, list[CallFeedback]] = {}
    for each in first.values():
        by_day.setdefault(each.day, []).append(each)
    fresh = []
    for day, own in by_day.items():
        known = ids.are_known(day, np.array([each.key for each in own], np.uint64))
        fresh += [each for each, is_known in zip(own, known.tolist(), strict=True) if not is_known]
    return fresh


def feedback_observations(
    folder: Path, batch: int, given: Sequence[CallFeedback], names: Sequence[str], refusals: RefusedRows
) -> list[Observations]:
    """Return feedback as observations by day, in the cohorts of their calls.

    Args:
        folder: Of the monitor.
        batch: Number of the batch.
        given: Feedback without doubles.
        names: Of the cohorts.
        refusals: Gets feedback about calls that were not taken in the 7 days before it.

    Raises:
        StoreError: A file of observations cannot be read.
    """
    calls = _calls(folder, given, names)
    by_day: dict[int, list[CallFeedback]] = {}
    for each in given:
        if each.call in calls and each.day - BACK_DAYS <= calls[each.call].day <= each.day:
            by_day.setdefault(each.day, []).append(each)
        else:
            refusals.add(each.place, _UNKNOWN)
    found = []
    for day, own in sorted(by_day.items()):
        owners = [calls[each.call] for each in own]
        values = np.array([each.values for each in own]).T
        found.append(
            Observations(
                batch=batch,
                day=day,
                ids=np.array([each.key for each in own], np.uint64),
                units=np.array([owner.unit for owner in owners], np.uint64),
                at=np.array([round(each.at * MICRO) for each in own], np.int64),
                pi=np.ones(len(own)),
                drawn=np.zeros(len(own), np.bool_),
                cohorts={name: [owner.labels[at] for owner in owners] for at, name in enumerate(names)},
                metrics={facts.metric: column for facts, column in zip(FACTS, values, strict=True)},
                facts=FACTS,
            )
        )
    return found


class _Owner(NamedTuple):
    """The call that feedback is about: its day since 1970, its unit, and its cohorts."""

    day: int
    unit: int
    labels: tuple[str, ...]


def _calls(folder: Path, given: Sequence[CallFeedback], names: Sequence[str]) -> dict[int, _Owner]:
    """Return the calls by the hash of their ids."""
    wanted = np.array(sorted({each.call for each in given}), np.uint64)
    days = [each.day for each in given]
    found: dict[int, _Owner] = {}
    for day, _, file in stored_files(folder):
        if days and min(days) - BACK_DAYS <= day <= max(days):
            stored = read_observations(file)
            for at in np.flatnonzero(np.isin(stored.ids, wanted)).tolist():
                labels = tuple(stored.cohorts[name][at] if name in stored.cohorts else MISSING for name in names)
                found[int(stored.ids[at])] = _Owner(day, int(stored.units[at]), labels)
    return found
