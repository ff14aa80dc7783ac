"""Read what is said about calls afterwards: ratings of users, and labels of people for answers of a guard.

A line of feedback belongs to a call by its id, and counts in the cohorts of its call. A rating counts on its own day,
since the share of rated calls of the last days would else always look low. A label counts on the day of its call,
whenever a person wrote it. Both are stored as observations that are not calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from evalkit.monitor.call_source import RefusedRows
from evalkit.monitor.calls import (
    DAY_S,
    MISSING,
    Identity,
    RowRefused,
    hash64,
    read_action,
    read_id,
    read_thumb,
    read_time,
)
from evalkit.monitor.grading import THUMB
from evalkit.monitor.log_files import LogBlock
from evalkit.monitor.observations import MICRO, Observations, holds_any, read_observations, stored_files
from evalkit.monitor.series import CALLS, MetricFacts
from evalkit.monitor.settings import Monitor

BLOCKED_GOOD, DELIVERED_BAD = "blocked_good", "delivered_bad"
FACTS = tuple(MetricFacts(name, higher_is_better=False) for name in (THUMB, BLOCKED_GOOD, DELIVERED_BAD))
"""Share of ratings that were down; of labelled answers: the share of blocked ones that is good, and of delivered ones
that is bad."""
RATED_DAYS, LABELLED_DAYS = 7, 28
"""Days after its call in which a rating, or a label, can come."""
WAITING_S = 48 * 3_600.0
"""Seconds that feedback waits for its call, from the first look that read it."""
_UNKNOWN = (
    f"no call of the {RATED_DAYS} days before a rating, or the {LABELLED_DAYS} days before a label, has this id, and "
    "none came within 48 hours; take the logs of the call, then write the line again"
)
_EARLY = "at: before the day of its call; write the time of the rating or label, and check the clock"
_LATE = f"at: a rating more than {RATED_DAYS} days after its call; ratings count in the week after their call"
_SEALED = (
    f"counts on a day more than {LABELLED_DAYS} days before the newest call; "
    f"take ratings within {LABELLED_DAYS} days of their time, and labels within {LABELLED_DAYS} days of their call"
)


@dataclass(frozen=True, slots=True)
class CallFeedback:
    """One rating or label.

    Attributes:
        key: Hash by which another rating, or another label, of the same call is known, 64 bits.
        call: Hash of the id of its call.
        at: Seconds since 1970.
        metric: Which of `FACTS` it is.
        value: 0 or 1.
        place: File and line.
        read: Seconds since 1970 of the look that read it first.
        after: Number of the batch up to which its call was looked for in vain; 0 if it was not.
    """

    key: int
    call: int
    at: float
    metric: str
    value: float
    place: str
    read: float
    after: int = 0

    @property
    def day(self) -> int:
        """Days since 1970."""
        return int(self.at // DAY_S)


def read_feedback(
    blocks: Iterable[LogBlock], monitor: Monitor, now: float, refusals: RefusedRows
) -> Iterator[tuple[list[CallFeedback], LogBlock]]:
    """Yield the feedback of each block of lines.

    Args:
        blocks: Lines of JSON: `id` of a call, `at`, and `thumb`, or `good` with `action`, or both.
        monitor: Whose calls they are about.
        now: Seconds since 1970.
        refusals: Gets the lines that are no feedback.
    """
    identity, decode = Identity.of(monitor), msgspec.json.Decoder().decode
    for block in refusals.readable(blocks):
        found: list[CallFeedback] = []
        for number, line in enumerate(block.lines, block.first):
            place = f"{block.shown}:{number}"
            try:
                if line.strip():
                    found += _feedback(decode(line), identity, now, place)
            except RowRefused as error:
                refusals.add(place, error)
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
                refusals.add(place, "not JSON; write one JSON object a line, in UTF-8")
        yield found, block


def _feedback(row: Any, identity: Identity, now: float, place: str) -> list[CallFeedback]:
    """Return the rating and the label of a line.

    Raises:
        RowRefused: It is no feedback.
    """
    if not isinstance(row, Mapping):
        raise RowRefused("not an object; write one JSON object a line")
    text, at = read_id(row.get("id"), "id", "id"), read_time(row.get("at"), "at", now + DAY_S)
    thumb = read_thumb(row.get("thumb"), "thumb")
    good, is_blocked = row.get("good"), read_action(row.get("action"), "action")
    if good is not None and type(good) is not bool:
        raise RowRefused("good: not true or false; write true if every claim is supported, else false")
    if good is not None and is_blocked is None:
        raise RowRefused("action: missing; say what the guard did: `pass`, `warn` or `block`")
    if thumb is None and good is None:
        raise RowRefused("neither thumb nor good; write `thumb: up`, or `good` with `action`")
    said: list[tuple[str, str, bool]] = []
    if thumb is not None:
        said.append(("thumb", THUMB, not thumb))
    if good is not None:
        said.append(("label", *((BLOCKED_GOOD, good) if is_blocked else (DELIVERED_BAD, not good))))
    call = identity.id_of(text)
    return [
        CallFeedback(hash64(identity.name, f"{kind} {text}"), call, at, metric, float(value), place, now)
        for kind, metric, value in said
    ]


class CallFacts(NamedTuple):
    """What is known of a call that feedback is about."""

    day: int
    """Days since 1970."""
    at: int
    """Microseconds since 1970."""
    unit: int
    labels: tuple[str, ...]
    """Value of each cohort."""
    is_rated: bool
    """Whether its log held a rating."""


@dataclass(frozen=True, slots=True)
class SettledFeedback:
    """Feedback by what becomes of it; what is refused is not here."""

    fresh: list[tuple[CallFeedback, CallFacts]] = field(default_factory=list)
    double: list[CallFeedback] = field(default_factory=list)
    waiting: list[CallFeedback] = field(default_factory=list)
    """That of which no call was taken yet."""


@dataclass(frozen=True, slots=True)
class FeedbackLook:
    """What one look at feedback knows.

    Attributes:
        folder: Of the monitor.
        names: Of the cohorts.
        open_day: The first day, since 1970, on which feedback may still count.
        now: Seconds since 1970.
        last: Number of the last batch.
    """

    folder: Path
    names: Sequence[str]
    open_day: int
    now: float
    last: int


def settle_feedback(look: FeedbackLook, given: Sequence[CallFeedback], refusals: RefusedRows) -> SettledFeedback:
    """Find the call of each rating and label: what is said first about a call counts.

    Args:
        look: At the feedback.
        given: Ratings and labels.
        refusals: Gets what can never count.

    Raises:
        StoreError: A file of observations cannot be read.
    """
    calls, said = _stored(look, given)
    found = SettledFeedback()
    for each in given:
        known = [one for one in calls.get(each.call, ()) if one.day >= each.day - LABELLED_DAYS]
        call = max((one for one in known if one.day <= each.day), default=None, key=lambda one: one.day)
        if call is None:
            if known:
                refusals.add(each.place, _EARLY)
            elif look.now - each.read <= WAITING_S:
                found.waiting.append(replace(each, after=look.last))
            else:
                refusals.add(each.place, _UNKNOWN)
        elif each.metric == THUMB and each.day - call.day > RATED_DAYS:
            refusals.add(each.place, _LATE)
        elif (each.metric == THUMB and call.is_rated) or any(
            call.day <= day <= call.day + RATED_DAYS for day in said.get(each.key, ())
        ):
            found.double.append(each)
        elif _day_of(each, call) < look.open_day:
            refusals.add(each.place, _SEALED)
        else:
            said.setdefault(each.key, []).append(_day_of(each, call))
            found.fresh.append((each, call))
    return found


def feedback_observations(
    batch: int, fresh: Sequence[tuple[CallFeedback, CallFacts]], names: Sequence[str]
) -> list[Observations]:
    """Return feedback as observations by day, in the cohorts of their calls.

    Args:
        batch: Number of the batch.
        fresh: Feedback without doubles, with its calls.
        names: Of the cohorts.
    """
    by_day: dict[int, list[tuple[CallFeedback, CallFacts]]] = {}
    for said, call in fresh:
        by_day.setdefault(_day_of(said, call), []).append((said, call))
    found = []
    for day, own in sorted(by_day.items()):
        at = [round(said.at * MICRO) if said.metric == THUMB else call.at for said, call in own]
        found.append(
            Observations(
                batch=batch,
                day=day,
                ids=np.array([said.key for said, _ in own], np.uint64),
                units=np.array([call.unit for _, call in own], np.uint64),
                at=np.array(at, np.int64),
                pi=np.ones(len(own)),
                drawn=np.zeros(len(own), np.bool_),
                cohorts={name: [call.labels[number] for _, call in own] for number, name in enumerate(names)},
                metrics={
                    facts.metric: np.array([said.value if said.metric == facts.metric else np.nan for said, _ in own])
                    for facts in FACTS
                },
                facts=FACTS,
            )
        )
    return found


def _day_of(said: CallFeedback, call: CallFacts) -> int:
    """Return the day on which feedback counts: its own for a rating, that of its call for a label."""
    return said.day if said.metric == THUMB else call.day


def _stored(
    look: FeedbackLook, given: Sequence[CallFeedback]
) -> tuple[dict[int, list[CallFacts]], dict[int, list[int]]]:
    """Return the calls by the hashes of their ids, and the days of earlier feedback by its key."""
    wanted = np.array(sorted({number for each in given for number in (each.call, each.key)}), np.uint64)
    first = min((each.day for each in given), default=0) - LABELLED_DAYS
    after = min((each.after for each in given), default=0)
    calls: dict[int, list[CallFacts]] = {}
    said: dict[int, list[int]] = {}
    for day, batch, file in stored_files(look.folder) if given else ():
        if batch <= after or day < first or not holds_any(file, wanted):
            continue
        stored = read_observations(file)
        rated = ~np.isnan(stored.metrics.get(THUMB, np.full(len(stored), np.nan)))
        for at in np.flatnonzero(np.isin(stored.ids, wanted)).tolist():
            number = int(stored.ids[at])
            if CALLS.metric not in stored.metrics:
                said.setdefault(number, []).append(day)
                continue
            labels = tuple(stored.cohorts[name][at] if name in stored.cohorts else MISSING for name in look.names)
            facts = CallFacts(day, int(stored.at[at]), int(stored.units[at]), labels, bool(rated[at]))
            calls.setdefault(number, []).append(facts)
    return calls, said
