"""Put other words around a question: courtesy, no greeting, a forwarded question, a long text before it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from evalkit.golden.variants.draws import Draws
from evalkit.golden.variants.edits import Edit, EditableText

Language = Literal["en", "de", "fr", "es"]
"""Languages that the templates are written in."""
COURTESY: Mapping[str, tuple[str, str]] = {
    "en": ("Hi, could you tell me: ", " Thanks!"),
    "de": ("Hallo, können Sie mir bitte sagen: ", " Danke!"),
    "fr": ("Bonjour, pourriez-vous me dire : ", " Merci !"),
    "es": ("Hola, ¿me podría decir lo siguiente? ", " ¡Gracias!"),
}
FORWARD: Mapping[str, tuple[str, str]] = {
    "en": ("A customer asks: ", ""),
    "de": ("Ein Kunde fragt: ", ""),
    "fr": ("Un client demande : ", ""),
    "es": ("Un cliente pregunta: ", ""),
}
LANGUAGE_TAG: Mapping[str, tuple[str, str]] = {
    "en": ("", " Please answer in English."),
    "de": ("", " Bitte antworten Sie auf Deutsch."),
    "fr": ("", " Veuillez répondre en français."),
    "es": ("", " Por favor, responda en español."),
}
_GREETINGS: Mapping[str, str] = {
    "en": r"hi(?: there)?|hello(?: there)?|hey|dear (?:sir or madam|team|all)|good (?:morning|afternoon|evening)"
    r"|please|(?:could|can|would) you (?:please )?(?:tell me|explain)|i would like to know",
    "de": r"hallo|hi|guten (?:tag|morgen|abend)|sehr geehrte damen und herren|bitte"
    r"|(?:können|könnten) sie mir (?:bitte )?(?:sagen|erklären)",
    "fr": r"bonjour|bonsoir|salut|s'il vous plaît|pou(?:vez|rriez)-vous (?:me )?(?:dire|expliquer)",
    "es": r"hola|buen(?:os días|as tardes|as noches)|por favor|¿?(?:me )?(?:puede|podría) (?:decirme|decir|explicar)",
}
_THANKS: Mapping[str, str] = {
    "en": r"thanks(?: a lot| in advance)?|thank you(?: very much| in advance)?|please",
    "de": r"(?:vielen |besten )?dank(?: im voraus)?|danke(?: schön)?|bitte",
    "fr": r"merci(?: beaucoup| d'avance)?|s'il vous plaît",
    "es": r"(?:muchas )?gracias|por favor",
}
_SUBJECTS = ("garden", "harbour", "library", "orchard", "meadow", "lantern", "village", "bridge", "river", "kitchen")
_ADJECTIVES = ("quiet", "old", "narrow", "green", "wooden", "distant", "early", "broad", "patient", "grey")
_VERBS = ("borders", "follows", "shelters", "faces", "remembers", "crosses", "keeps", "meets", "warms", "leaves")
_OBJECTS = ("road", "hill", "wall", "evening", "market", "boat", "window", "song", "season", "shore")
_ADVERBS = ("slowly", "in spring", "before noon", "without a sound", "after the rain", "every year", "at last")


def _around(draft: EditableText, template: tuple[str, str]) -> list[Edit]:
    end = len(draft.text)
    before, after = template
    return [Edit(at, at, text) for at, text in ((0, before), (end, after)) if text]


@dataclass(frozen=True, kw_only=True)
class _Worded:
    """A template in the language of the case."""

    language: Language | None = None
    """Language of the templates; default: the case's cohort `language`."""


@dataclass(frozen=True, kw_only=True)
class Courtesy(_Worded):
    """The question with a greeting before it and thanks after it."""

    def worded(self, draft: EditableText, language: Language) -> list[Edit]:
        """Return the words around the question."""
        return _around(draft, COURTESY[language])


@dataclass(frozen=True, kw_only=True)
class Terse(_Worded):
    """The question without words of greeting and thanks."""

    def worded(self, draft: EditableText, language: Language) -> list[Edit]:
        """Return what is removed at both ends; nothing if that would leave no word."""
        flags = re.IGNORECASE
        start = re.match(rf"\s*(?:(?:{_GREETINGS[language]})(?!\w)[\s,:!.-]*)+", draft.text, flags)
        end = re.search(rf"(?:(?<!\w)(?:{_THANKS[language]})[\s,!.]*)+\Z", draft.text, flags)
        found = [match for match in (start, end) if match and match[0].strip() and draft.is_free(*match.span())]
        edits = [Edit(*match.span(), "") for match in found]
        overlap = len(edits) == 2 and edits[0].end > edits[1].start
        return [] if overlap or not re.search(r"\w", draft.edited(edits).text) else edits


@dataclass(frozen=True, kw_only=True)
class Forward(_Worded):
    """The question as somebody hands it on."""

    def worded(self, draft: EditableText, language: Language) -> list[Edit]:
        """Return the words before the question."""
        return _around(draft, FORWARD[language])


@dataclass(frozen=True, kw_only=True)
class LanguageTag(_Worded):
    """The question with a wish for the language of the reference."""

    def worded(self, draft: EditableText, language: Language) -> list[Edit]:
        """Return the sentence after the question."""
        return _around(draft, LANGUAGE_TAG[language])


@dataclass(frozen=True, kw_only=True)
class Prefix:
    """An unrelated text before the question."""

    characters: int = 2_000
    """Its least length; the last sentence is whole."""

    def __post_init__(self) -> None:
        """Reject a length that is not one."""
        if not 1 <= self.characters <= 1_000_000:
            raise ValueError(f"characters: {self.characters} is out of range; write 1 to 1,000,000, such as 2000")

    def edits(self, draft: EditableText, draws: Draws) -> list[Edit]:
        """Return the text, with the word that marks the question."""
        sentences: list[str] = []
        length = 0
        while length < self.characters:
            sentences.append(_sentence(draws))
            length += len(sentences[-1]) + 1
        return _around(draft, (" ".join(sentences) + "\n\nQuestion: ", ""))


def _sentence(draws: Draws) -> str:
    one, other = draws.one_of(_ADJECTIVES), draws.one_of(_ADJECTIVES)
    subject, verb, thing = draws.one_of(_SUBJECTS), draws.one_of(_VERBS), draws.one_of(_OBJECTS)
    return f"The {one} {subject} {verb} the {other} {thing} {draws.one_of(_ADVERBS)}."
