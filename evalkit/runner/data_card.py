"""Read the data card of a golden set, with the personal data that is found in its cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.disk.sources import texts_in
from evalkit.gate.card import Card
from evalkit.golden.read import read_all
from evalkit.suite.model import Suite
from evalkit.types import Case

if TYPE_CHECKING:
    from evalkit.golden.card import DataCard


def card_of(file: Path, shown: str, shown_card: str) -> DataCard:
    """Return the data card of a set.

    Args:
        file: the set.
        shown: its name in messages.
        shown_card: name of the card's file in messages.

    Raises:
        InputError: set, card or lock cannot be read.
    """
    from evalkit.golden.card import data_card

    cases = read_all(file, shown)
    kinds = Counter(kind for case in cases for kind in _kinds_in(case))
    return data_card(file, shown_card, cases, dict(sorted(kinds.items())), datetime.now(UTC).date())


def card_gaps(suite: Suite) -> tuple[str, ...] | None:
    """Return what the data card of a suite's golden set lacks; `None` if no check of the gate asks for it.

    Raises:
        InputError: the card cannot be read.
    """
    if not any(isinstance(check, Card) for check in suite.policy.checks) or suite.golden_file is None:
        return None
    from evalkit.golden.card import card_file

    file = suite.golden_file
    return card_of(file, suite.golden_shown, card_file(file).relative_to(suite.root).as_posix()).gaps


def _kinds_in(case: Case) -> Iterator[str]:
    """Yield each kind of personal data in a case once."""
    from evalkit.scorers.rules.personal_data import find_personal_data

    texts = [case.input] if isinstance(case.input, str) else [message.content for message in case.input]
    held = [*texts, *case.reference, *case.contexts, *texts_in(dict(case.fields))]
    yield from {found.kind for text in held for found in find_personal_data(text)}
