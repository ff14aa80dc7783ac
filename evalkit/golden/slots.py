"""Fill the slots of a golden row, such as `{{person}}`, with words of the values of an attribute."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

TEXTS = "slot_texts"
"""Field of a filled case that holds its texts with their slots."""
FIELDS = ("input", "contexts", "reference", "required", "forbidden")
"""Fields whose texts have slots."""
SLOT = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")


def filled(text: str, words: Mapping[str, str], unlike: Mapping[str, str]) -> tuple[str, list[list[int]]]:
    """Return a text with its slots filled, and where the words are other ones than those of `unlike`."""
    parts, spans, at, length = list[str](), list[list[int]](), 0, 0
    for match in SLOT.finditer(text):
        new = words.get(match[1], match[0])
        length += match.start() - at
        if new != unlike.get(match[1], match[0]):
            spans.append([length, length + len(new)])
        parts += (text[at : match.start()], new)
        length += len(new)
        at = match.end()
    return "".join([*parts, text[at:]]), spans


def in_all(value: Any, change: Callable[[str], str]) -> Any:
    """Return a value with each text in it changed, at any depth."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: in_all(each, change) for key, each in value.items()}
    return [in_all(each, change) for each in value] if isinstance(value, list | tuple) else value


def slots_in(value: Any) -> set[str]:
    """Return the names of the slots in the texts of a value, at any depth."""
    found = set[str]()

    def note(text: str) -> str:
        found.update(match[1] for match in SLOT.finditer(text))
        return text

    in_all(value, note)
    return found


def fill_row(row: dict[str, Any], words: Mapping[str, str], note: Callable[[str, str], None]) -> None:
    """Fill the slots of a row in place, and keep its texts as they were.

    Args:
        row: the row, with evalkit's names of fields.
        words: slot -> word of the first value.
        note: called with what is wrong, and the fix, for slots without a word.
    """
    found: dict[str, None] = {}

    def fill(text: str) -> str:
        found.update((match[1], None) for match in SLOT.finditer(text))
        return filled(text, words, words)[0]

    texts = {name: row[name] for name in FIELDS if name in row}
    new = {name: in_all(value, fill) for name, value in texts.items()}
    if unknown := [name for name in found if name not in words]:
        slots = ", ".join(f"{{{{{name}}}}}" for name in unknown)
        note(f"no file of a swap fills {slots}", f"add it to every value there; it fills {', '.join(sorted(words))}")
    elif found:
        row |= {**new, TEXTS: texts}
