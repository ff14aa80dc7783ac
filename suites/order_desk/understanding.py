"""Read what a customer writes: language, topic, order number, postcode, address, yes or no."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

TOPICS: Mapping[str, str] = {
    "refund": r"refund|money back|reimburse|pay (me|it) back|erstatt|geld .*zurück|rückzahlung|zurückzahl",
    "cancel": r"cancel|call off|don't need .* any ?more|stornier|abbestell|nicht mehr haben",
    "address": r"address|moved|(deliver|send) .{1,8} to |adresse|anschrift|umgezogen|umzug|liefer.* nach",
    "status": r"where is|where's|status|arrive|on its way|wo ist|wo bleibt|wann kommt|unterwegs",
}
"""Patterns of topics in order of precedence; a message about a refund may name the address, but not the other way
round."""
FACTS: Mapping[str, str] = {
    "return_period": r"how long .*(return|send)|return (period|policy|window)|wie lange .*zurück|rückgabefrist|frist",
    "shipping_cost": r"(cost|price)s? .*(shipping|delivery)|(shipping|delivery) (cost|fee|free)|versand",
    "hours": r"open(ing)? hours|when .*(open|call)|telephone|reach you|öffnungszeiten|wann .*erreich|telefon",
    "payment": r"pay(ment)? (by|with|method)|credit card|invoice|zahlungsart|kreditkarte|rechnung|bezahlen",
}
"""Questions that need no order."""
_GERMAN = frozenset(
    "an auch auf bitte bleibt das der die einverstanden erstatten es für genau ich ihnen ihre ist ja jawohl kann mein "
    "meine meinen möchte nach nein neue nicht ohne postleitzahl sie stornieren und wann wie wo zu".split()
)
_ENGLISH = frozenset(
    "and can how i is it me my no not of ok order please postcode refund status sure the to want when where would yes "
    "you".split()
)
_NO = re.compile(r"\b(no|nope|not|don't|stop|leave it|rather keep|nein|nicht|lieber doch|lass)\b")
_YES = re.compile(
    r"\b(yes|yeah|yep|please|go ahead|ok|okay|sure|correct|right|ja|jawohl|gern|bitte|genau|einverstanden)\b"
)
_ORDER = re.compile(r"\b([A-Z])-?(\d{4})\b", re.IGNORECASE)
_ADDRESS = re.compile(r"([A-ZÄÖÜ][^\W\d_]+(?:[ -][^\W\d_]+)*\.? \d+[a-z]?), (\d{5}) ([A-ZÄÖÜ][^\W\d_]+)")
_POSTCODE = re.compile(r"\b\d{5}\b")


@dataclass(frozen=True, slots=True)
class Heard:
    """The facts in one message; `None` or the empty text for a missing one."""

    language: str | None
    topic: str
    fact: str
    order_id: str
    postcode: str
    address: str
    agrees: bool | None


def hear(message: str) -> Heard:
    """Read one message."""
    low = message.lower()
    order, address = _ORDER.search(message), _ADDRESS.search(message)
    # The postcode of a new address is not the one that the customer is known by.
    postcode = _POSTCODE.search(_ADDRESS.sub("", message))
    return Heard(
        language=language_of(low),
        topic=_first(TOPICS, low),
        fact=_first(FACTS, low),
        order_id=f"{order[1].upper()}-{order[2]}" if order else "",
        postcode=postcode[0] if postcode else "",
        address=address[0] if address else "",
        agrees=False if _NO.search(low) else True if _YES.search(low) else None,
    )


def language_of(text: str) -> str | None:
    """Return `de` or `en` by the more frequent function words, `None` if there is a tie."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    german, english = (sum(word in known for word in words) for known in (_GERMAN, _ENGLISH))
    return None if german == english else "de" if german > english else "en"


def _first(patterns: Mapping[str, str], text: str) -> str:
    return next((name for name, pattern in patterns.items() if re.search(pattern, text)), "")
