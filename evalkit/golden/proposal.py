"""Propose a field for each column of a table, from the names of the columns alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evalkit.golden.names import EXPECTATIONS, KNOWN_FIELDS, field_of, plain_name

_MEANINGS: tuple[tuple[str, str, str], ...] = (
    ("id", r"(^|_)(id|nr|no|num|number|nummer|lfd)\.?$|^(key|case|#)$", "it numbers the rows"),
    (
        "reference",
        r"expected|erwartet|attendue?s?$|esperad|attes[ao]|verwacht|reference|referenz|gold|truth|ideal|(^|_)soll"
        r"|muster|correct|richtig|target|solution|l(ö|oe)sung",
        "its name means the expected answer",
    ),
    (
        "forbidden",
        r"must_not|darf_nicht|verboten|forbidden|ne_doit_pas|no_debe|non_deve",
        "its name means words that an answer must not have",
    ),
    (
        "required",
        r"keyword|stichw|schlagw|schl(ü|ue)sselw|mots?_cl|palabras?_cl|parol[ae]_chiav|must_(contain|include|have|mention)"
        r"|muss_\w*(enthalten|vorkommen|nennen)|pflicht(wort|w(ö|oe)rter|begriff)|doit_contenir|debe_contener|deve_contenere",
        "its name means words that an answer must have",
    ),
    (
        "output",
        r"actual|generated|predict|response|output|(model|bot|system|assistant)_?(answer|antwort|reply)",
        "it names what a system said",
    ),
    ("contexts", r"contexts?|kontext|passages?|chunks?|documents?|dokumente?", "it names passages"),
    (
        "input",
        r"question|frage|query|prompt|input|eingabe|anfrage|pregunta|domanda|vraag|pergunta|request|message|nachricht"
        r"|utterance",
        "it names what is asked",
    ),
    ("answer", r"answer|antwort|r(é|e)ponse|respuesta|risposta|antwoord|resposta|reply", ""),
    (
        "cohorts",
        r"topic|thema|categor|kategorie|domain|language|sprache|intent|tenant|mandant|region|product|produkt|risk"
        r"|segment",
        "it names a kind of question",
    ),
)
"""Field, the words of its columns in several languages, and the reason to show. The first that matches is taken."""
_NOT_MEANT = re.compile(
    r"(^|_)(typ|type|art|kind|class|time|zeit|dauer|duration|seconds?|tokens?|count|anzahl|number_of|length|l(ä|ae)nge|language"
    r"|sprache|date|datum|score|rating|incorrect|wrong|false|falsch\w*|negative|distractors?)(_|$|\W)|typ$|type$|zeit$"
)
"""Words of columns about a question or an answer that do not hold it."""
NO_NAME = "no column has a name for this field"
MAY_BE_STORED = "it may hold the expected answer; if it holds answers that the system gave, map it to `output`"
"""Reason to show for a proposal that a person has to confirm."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """One column that probably holds a field."""

    field: str
    """A field of a case: `input`, `reference`, `cohorts.topic` ..."""
    column: str
    """Name of the column, as in the table."""
    reason: str
    """Reason, for people."""
    sure: bool = False
    """Whether evalkit reads the column as this field without a setting."""


def propose_columns(header: Sequence[str]) -> tuple[Proposal, ...]:
    """Propose the fields of a table's columns, at most one column for each field, in the order of the header.

    Only names are considered. If no name indicates the question, the first column without another meaning is proposed
    as the input, and the next one as the reference.

    Args:
        header: names of the columns.
    """
    found: dict[str, Proposal] = {}
    taken = set[str]()
    for proposal in (*_known(header), *_likely(header)):
        if proposal.field not in found and proposal.column not in taken:
            found[proposal.field] = proposal
            taken.add(proposal.column)
    if "input" not in found:
        rest = [column for column in header if column not in taken and column.strip()]
        for field, column in zip(("input", *(["reference"] if "reference" not in found else [])), rest, strict=False):
            found[field] = Proposal(field, column, NO_NAME)
    place = {column: at for at, column in enumerate(header)}
    return tuple(sorted(found.values(), key=lambda each: place[each.column]))


def _known(header: Sequence[str]) -> Iterator[Proposal]:
    """Yield the columns with the name of a field, except `answer`, which has two meanings."""
    is_langsmith = {"inputs", "outputs"} <= set(map(plain_name, header))
    for column in header:
        name = plain_name(column)
        group, dot, rest = column.strip().partition(".")
        if dot and rest and plain_name(group) == "cohorts":
            yield Proposal(f"cohorts.{rest}", column, "it has the name of a cohort", True)
        elif column.startswith(EXPECTATIONS):
            yield Proposal("checks", column, "it holds assertions of promptfoo", True)
        elif is_langsmith and name == "outputs":
            yield Proposal("reference", column, "it holds the expected answer beside `inputs`", True)
        elif name in KNOWN_FIELDS and name != "answer":
            yield Proposal(field_of(name), column, "it has the name of the field", True)


def _likely(header: Sequence[str]) -> Iterator[Proposal]:
    """Yield the columns whose name has a word for a field."""
    answers = []
    for column in header:
        name = plain_name(column)
        about = bool(_NOT_MEANT.search(name))
        meanings = ((f, why) for f, words, why in _MEANINGS if re.search(words, name) and (f == "cohorts" or not about))
        field, reason = next(meanings, ("", ""))
        if field == "answer":
            answers.append(column)
        elif field == "cohorts":
            yield Proposal(f"cohorts.{name}", column, reason)
        elif field:
            yield Proposal(field, column, reason)
    yield from (Proposal("reference", column, MAY_BE_STORED) for column in answers)
