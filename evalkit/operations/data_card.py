"""Make the data card of a golden set."""

from __future__ import annotations

from pathlib import Path

from evalkit.golden.card import READERS as READERS
from evalkit.golden.card import REQUIRED, DataCard
from evalkit.golden.card import card_file as card_file
from evalkit.golden.write import refuse_other_kinds
from evalkit.runner.data_card import card_of


def golden_card(file: Path) -> DataCard:
    """Return the data card of a set.

    Args:
        file: the set, in JSON Lines.

    Raises:
        InputError: set, card or lock cannot be read.
    """
    refuse_other_kinds(file, str(file))
    return card_of(file, str(file), str(card_file(file)))


def card_markdown(card: DataCard) -> str:
    """Return a data card as Markdown; a required field that is empty says so."""
    text = card.text
    head = [f"# Data card: {card.set}", ""]
    head += [f"<!-- {card.canary} -->", ""] if card.canary else []
    head += [_line(text.description), ""] if text.description else []
    rows = [("version", card.version or "not locked"), ("cases", f"{card.n_cases:,}")]
    said = {name: getattr(text, name) for name in REQUIRED} | {"owner": card.owner}
    rows += [(name.replace("_", " "), _line(said[name]) or "**missing**") for name in REQUIRED]
    if card.readers_held is not None:
        rows += [("readers of held-out cases", _line(", ".join(card.readers_held)) or "**missing**")]
    found = ", ".join(f"{kind} in {n}" for kind, n in card.personal_data.items())
    rows += [("personal data found by form", found or "none")]
    rows += [("languages", _line(", ".join(text.languages)))] if text.languages else []
    rows += [("known gaps", _line(text.known_gaps))] if text.known_gaps else []
    counts = [("kind", card.kinds), ("severity", card.severities), ("origin", card.origins), *card.cohorts.items()]
    lines = [*head, "| field | value |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)]
    lines += ["", "| property | cases |", "| --- | --- |"]
    lines += [
        f"| {_line(name)} | {', '.join(f'{_line(value)} {n}' for value, n in each.items())} |" for name, each in counts
    ]
    if card.changelog:
        lines += ["", "| version | day | cases | added | removed | changed |", "| --- | --- | --- | --- | --- | --- |"]
        lines += [
            f"| {each.version} | {each.created} | {each.n:,} | {each.added} | {each.removed} | {each.changed} |"
            for each in card.changelog
        ]
    return "\n".join(lines) + "\n"


def _line(value: str) -> str:
    """Return a text as one cell of a table, without markup of its own."""
    flat = " ".join(str(value).split())
    return "".join(f"\\{char}" if char in "\\|<>`*_[]#" else char for char in flat)
