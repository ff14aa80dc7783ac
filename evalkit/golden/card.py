"""Describe a golden set for those who rely on it: its data card (Gebru et al. 2021, doi:10.1145/3458723).

What a person has to say stands in `NAME.card.yaml` beside the set; the rest is counted.
"""

from __future__ import annotations

import datetime
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from evalkit.disk.files import Unfit, read_file
from evalkit.errors import InputError, Problem
from evalkit.formats.build import Builder
from evalkit.formats.yaml_text import parse
from evalkit.golden.lock import canary_of
from evalkit.golden.stored_lock import LockedVersion, is_locked, read_lock, stem_of
from evalkit.types import Case

_OPTIONAL = ("description", "languages", "known_gaps")
_NO_DATA = frozenset({"none", "no", "n a", "na", "nil", "nein", "keine", "no personal data"})
"""Words of `personal_data` of a set without any."""
_PLACEHOLDERS = frozenset({"todo", "tbd", "tba", "tbc", "fixme"})
_NO_WORDS = re.compile("[\\W_\u115f\u1160\u3164\uffa0]+")
"""What is between words, with the letters of Hangul that nobody sees."""
_ZONES = datetime.timedelta(days=1)
"""Today may be tomorrow elsewhere."""


@dataclass(frozen=True, kw_only=True)
class CardText:
    """What a person says about a golden set; every text but the last three is required."""

    owner: str = ""
    """Who answers for the set."""
    source: str = ""
    """Where its questions and references come from."""
    usage_rights: str = ""
    """Licence or agreement under which they may be used."""
    sensitivity: str = ""
    """Who may read the set, such as `public` or `internal`."""
    personal_data: str = ""
    """Which personal data it holds, and why; `none` if it holds none."""
    retention: str = ""
    """How long it is kept."""
    deletion: str = ""
    """How a person's data or a whole case are deleted on request."""
    approved_by: str = ""
    approved_on: str = ""
    """Day as an ISO date."""
    labels: str = ""
    """Who wrote and checked the references: people, authors, a model."""
    description: str = ""
    languages: tuple[str, ...] = ()
    known_gaps: str = ""
    """What the set is known not to cover."""


READERS = "readers_held"
"""The one gap that the lock fills, and not the card's file."""
REQUIRED = tuple(each.name for each in fields(CardText) if each.name not in _OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class DataCard:
    """The data card of a golden set."""

    set: str
    text: CardText
    version: str
    """Version of the lock; empty if the set is not locked."""
    owner: str
    """Who answers for the set, by its card, else by its lock."""
    readers_held: tuple[str, ...] | None
    """Who may read the held-out cases; `None` if the set has none."""
    changelog: tuple[LockedVersion, ...]
    """Versions of the set, the oldest first."""
    canary: str
    n_cases: int
    kinds: Mapping[str, int]
    severities: Mapping[str, int]
    origins: Mapping[str, int]
    """Value of `origin` -> number of cases; `not stated` for those without."""
    cohorts: Mapping[str, Mapping[str, int]]
    personal_data: Mapping[str, int]
    """Kind of personal data found by form -> number of cases with it."""
    gaps: tuple[str, ...]
    """The required fields that say nothing, a day of approval that cannot be, a statement that the scan contradicts,
    and `readers_held` if the lock has held-out cases and does not say who reads them."""


def card_file(file: Path) -> Path:
    """Return the file with the text of a set's card, which may not exist: `faq.v2.card.yaml` for `faq.v2.jsonl`."""
    return file.with_name(f"{stem_of(file.name)}.card.yaml")


def read_card(file: Path, shown: str) -> CardText:
    """Read what a person says about a set; empty if there is no file.

    Args:
        file: the set.
        shown: name of the card's file in messages.

    Raises:
        InputError: reports every problem of the file.
    """
    held = card_file(file)
    if not os.path.lexists(held):
        return CardText()
    try:
        builder = Builder(parse(read_file(held), shown, REQUIRED))
    except (Unfit, OSError) as error:
        raise InputError(Problem(shown, f"cannot be read: {error.strerror}", "write a YAML file")) from None
    text: CardText | None = builder.build(CardText, builder.document.value, ())
    if text is None:
        raise InputError(builder.problems)
    return text


def data_card(
    file: Path, shown: str, cases: Sequence[Case], personal_data: Mapping[str, int], today: datetime.date
) -> DataCard:
    """Return the data card of a set.

    Args:
        file: the set.
        shown: name of the card's file in messages.
        cases: every case of the set.
        personal_data: kind of personal data -> number of cases with it.
        today: the day that an approval may not be after.

    Raises:
        InputError: the text of the card, or the lock, cannot be read.
    """
    names = sorted({name for case in cases for name in case.cohorts})
    text, lock = read_card(file, shown), read_lock(file) if is_locked(file) else None
    said = {name: getattr(text, name) for name in REQUIRED}
    said["owner"] = said["owner"] if lock is None or said["owner"].strip() else ", ".join(lock.owners)
    readers = lock.readers_held if lock is not None and lock.n_held else None
    return DataCard(
        set=stem_of(file.name),
        text=text,
        version=lock.version if lock is not None else "",
        owner=said["owner"],
        readers_held=readers,
        changelog=lock.changelog if lock is not None else (),
        canary=canary_of(file),
        n_cases=len(cases),
        kinds=_counted(case.kind for case in cases),
        severities=_counted(case.severity for case in cases),
        origins=_counted(str(case.fields.get("origin", "not stated")) for case in cases),
        cohorts={name: _counted(case.cohorts[name] for case in cases if name in case.cohorts) for name in names},
        personal_data=personal_data,
        gaps=(
            *(name for name in REQUIRED if _is_gap(name, said[name], personal_data, today)),
            *([READERS] if readers == () else []),
        ),
    )


def _is_gap(name: str, said: str, personal_data: Mapping[str, int], today: datetime.date) -> bool:
    """Whether a required field says nothing, or what cannot be."""
    words = _NO_WORDS.sub(" ", unicodedata.normalize("NFKC", said).casefold()).split()
    if not words or words[0] in _PLACEHOLDERS:
        return True
    if name == "approved_on":
        return not _is_past(said.strip(), today)
    return name == "personal_data" and bool(personal_data) and " ".join(words) in _NO_DATA


def _is_past(said: str, today: datetime.date) -> bool:
    try:
        return datetime.date.fromisoformat(said) <= today + _ZONES
    except ValueError:
        return False


def _counted(values: object) -> Mapping[str, int]:
    return dict(sorted(Counter(values).items(), key=lambda each: (-each[1], each[0])))  # type: ignore[call-overload]
