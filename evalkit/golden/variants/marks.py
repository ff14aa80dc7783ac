"""Change what is between words: blanks and punctuation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from evalkit.golden.variants.draws import Draws
from evalkit.golden.variants.edits import Edit, EditableText

_SPACE = re.compile(" ")
_COMMA_OR_QUOTE = re.compile(r"[,\"'“”‘’]")
_FINAL = re.compile(r"[?.!]+(?=\s*\Z)")
_STRAIGHT: Mapping[str, str] = {"“": '"', "”": '"', "‘": "'", "’": "'"}
_MOST_SPACES = 3


@dataclass(frozen=True, kw_only=True)
class Spaces:
    """One to three blanks for each, one tab, and two line feeds at the end."""

    def edits(self, draft: EditableText, draws: Draws) -> list[Edit]:
        """Return the new blanks."""
        places = [match.start() for match in draft.free_matches(_SPACE)]
        tab = draws.one_of(places) if places else None
        edits = []
        for at in places:
            new = "\t" if at == tab else " " * (1 + draws.below(_MOST_SPACES))
            if new != " ":
                edits.append(Edit(at, at + 1, new))
        end = len(draft.text)
        return [*edits, Edit(end, end, "\n\n")]


@dataclass(frozen=True, kw_only=True)
class Punctuation:
    """No mark at the end, no commas, and curly quotation marks for straight ones or the other way round."""

    def edits(self, draft: EditableText, draws: Draws) -> list[Edit]:
        """Return the marks that change."""
        edits = [Edit(*match.span(), "") for match in draft.free_matches(_FINAL)]
        for match in draft.free_matches(_COMMA_OR_QUOTE):
            new = "" if match[0] == "," else _STRAIGHT.get(match[0]) or _curly(draft.text, match.start())
            edits.append(Edit(*match.span(), new))
        return edits


def _curly(text: str, at: int) -> str:
    """Return the curly form of a straight mark: it opens at the start and after a blank or a bracket."""
    opens = at == 0 or text[at - 1].isspace() or text[at - 1] in "([{"
    return ("“" if opens else "”") if text[at] == '"' else ("‘" if opens else "’")
