"""Load the bot's passages, and split text into sentences, words and languages."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).parents[2] / "golden_sets" / "compliance" / "corpus" / "passages.jsonl"
STEM_LETTERS = 6

FUNCTION_WORDS = {
    "en": frozenset(
        """
        a about after all am an and any are as at be been before being but by can could did do does else for from get
        gets got had has have he her him his how i if in into is it its just many may me mine much must my no not of
        off on once one or our out over own put shall she should so some such than that the their them then there these
        they this those to too under until up us was we were what when where which who whom whose why will with within
        without would yes you your
        """.split()
    ),
    "de": frozenset(
        """
        aber ab als am an auf aus bei beim binnen bis darf das dem den der des die dürfen ein eine einem einen einer es
        für hat ich ihr ihre ihrer im in ist kann können man mit müssen muss nach nicht noch nur oder sich sie sind so
        soll um und uns unser unsere vom von vor wann war was welche welchem welcher welches wem wen wenn wer werden
        wie wird wir wo zu zum zur
        """.split()
    ),
    "fr": frozenset(
        """
        au aux avant avec ce ces cet cette combien comment d dans de des doit dont du elle elles en est et faut fait il
        ils je l la le les leur ma mais ne nos notre nous on ont ou où par pas peut plus pour quand que quel quelle
        quelles quels qui quoi s sa sans se ses si son sont sous sur tous un une vos votre vous y à
        """.split()
    ),
}
"""Function words of each language in the corpus."""

_ALL_FUNCTION_WORDS = frozenset().union(*FUNCTION_WORDS.values())
_GERMAN_MONTH = "(?:Januar|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember)"
_SENTENCE_END = re.compile(rf"(?<=[.?!])\s+(?!{_GERMAN_MONTH}\b)(?=[A-ZÄÖÜÀÂÇÉÈÊ])")


@dataclass(frozen=True, slots=True)
class Passage:
    """One passage of the corpus."""

    id: str
    domain: str
    title: str
    source: str
    in_force: str
    """Day on which the act entered into force (ISO date)."""
    language: str
    text: str

    @property
    def citation(self) -> str:
        """The citation of the passage in an answer: `[aml-10: Regulation (EU) 2024/1624 (AMLR), Article 19]`."""
        return f"[{self.id}: {self.source}]"

    @property
    def context(self) -> str:
        """The passage in one line, with its id and its source."""
        return f"{self.id} | {self.title} | {self.source} | {self.text}"


def read_passages(in_force_until: str | None = None) -> tuple[Passage, ...]:
    """Read the corpus; with an ISO date, only the acts in force by the end of that day."""
    lines = CORPUS.read_text(encoding="utf-8").splitlines()
    passages = (Passage(**json.loads(line)) for line in lines if line.strip())
    return tuple(passage for passage in passages if in_force_until is None or passage.in_force <= in_force_until)


def uploaded(context: str) -> Passage:
    """Read a passage from one line: id, title, source and text."""
    id_, title, source, text = context.split(" | ", 3)
    return Passage(id_, "", title, source, "", "en", text)


def sentences(text: str) -> list[str]:
    """Cut a passage into sentences; a German date such as "10. Juli" stays whole."""
    return _SENTENCE_END.split(text)


def words(text: str) -> list[str]:
    """Return the lower-case words of `text`; thousands such as "10 000" or "10,000" become one word."""
    return re.findall(r"[^\W_]+", re.sub(r"(?<=\d)[ ,.](?=\d{3}\b)", "", text.lower()))


def terms(text: str) -> list[str]:
    """Return content words cut to six letters, a crude stem for English, German and French."""
    return [word[:STEM_LETTERS] for word in words(text) if word not in _ALL_FUNCTION_WORDS]


def language_of(text: str) -> str:
    """Return the corpus language whose function words `text` uses most; English if there is a tie."""
    found = words(text)
    counts = {language: sum(word in known for word in found) for language, known in FUNCTION_WORDS.items()}
    return max(counts, key=lambda language: (counts[language], language == "en"))
