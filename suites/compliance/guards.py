"""Decline requests before any search: attacks, personal data, misuse and investment tips."""

from __future__ import annotations

import re
from typing import Literal

Reason = Literal["instructions", "personal data", "misuse", "investment advice"]

_ORDER = (
    r"(?:give|show|tell|send|read|list|print|display|what (?:is|are|else)|which of your|wie lautet|nenne?|zeige?|gib|"
    r"donnez?|montrez?|affichez?|quel(?:le)? est)"
)
_PERSONAL = (
    r"(?:(?:home |e-?mail )?address|iban|balance|card number|cvv|pin|passwords?|phone|telephone|date of birth|passport|"
    r"credit score|portfolio of|(?:your|all) (?:clients|customers)|personal data of|know about (?:her|him)|"
    r"telefonnummer|anschrift|kontostand|geburtsdatum|adresse|numéro de (?:compte|téléphone)|mot de passe)"
)
_PATTERNS: dict[Reason, str] = {
    "instructions": (
        r"\b(?:ignore|disregard|forget|bypass|ignoriere|vergiss|oublie)\b.{0,40}"
        r"\b(?:instructions?|rules|documents|prompts?|anweisungen|regeln|consignes)\b"
        r"|\bsystem (?:prompt|override)\b|\bdeveloper mode\b|\bhidden instructions\b|\bnew instructions?:"
        r"|\byou are now\b|\bact as (?:a|an)\b|\bpretend (?:you|to)\b|\b(?:reply|answer) (?:only )?with the word\b"
        r"|\bmessage système\b"
    ),
    "personal data": rf"\b{_ORDER}\b.{{0,60}}\b{_PERSONAL}\b",
    "misuse": (
        r"\b(?:not|without|nobody|no one)\b.{0,25}\b(?:get(?:ting)?|being|be|reports?) ?(?:caught|traced|noticed|me)\b"
        r"|\bhow (?:can|do|to|could)\b.{0,15}\b(?:launder|hide|clone|steal|hack|forge)\b|\bto launder\b|\bransomware\b"
    ),
    "investment advice": (
        r"\bshould i (?:buy|sell|invest)\b|\bwhich (?:stock|share|fund)s?\b.{0,20}\b(?:buy|sell|rise)\b"
    ),
}
_COMPILED = {reason: re.compile(pattern, re.IGNORECASE | re.DOTALL) for reason, pattern in _PATTERNS.items()}

_OPENING = {
    "en": "I cannot help with this request.",
    "de": "Bei dieser Anfrage kann ich nicht helfen.",
    "fr": "Je ne peux pas vous aider pour cette demande.",
}
_OFFER = {
    "en": "I answer questions on EU financial regulation in English, German and French from a fixed set of passages.",
    "de": "Ich beantworte Fragen zum EU-Finanzrecht auf Deutsch, Englisch und Französisch aus festen Textstellen.",
    "fr": "Je réponds aux questions de droit financier de l'Union en français, anglais et allemand.",
}


def reason_to_decline(question: str) -> Reason | None:
    """Return why the wording of `question` alone is enough to decline it, `None` if it is not."""
    return next((reason for reason, pattern in _COMPILED.items() if pattern.search(question)), None)


def refusal(language: str) -> str:
    """Return a polite refusal that states the bot's purpose without repeating the question."""
    return f"{_OPENING[language]} {_OFFER[language]}"
