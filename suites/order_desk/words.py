"""Hold the agent's texts in English and German."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, str]] = {
    "ask_topic": (
        "How can I help you with your order?",
        "Wie kann ich Ihnen bei Ihrer Bestellung helfen?",
    ),
    "ask_order": (
        "What is your order number, please?",
        "Wie lautet bitte Ihre Bestellnummer?",
    ),
    "ask_postcode": (
        "Please tell me the postcode of the delivery address, so that I can find {order_id}.",
        "Bitte nennen Sie mir die Postleitzahl der Lieferadresse, damit ich {order_id} finde.",
    ),
    "ask_address": (
        "What is the new address for {order_id}? Please write street, number, postcode and town.",
        "Wie lautet die neue Adresse für {order_id}? Bitte mit Straße, Hausnummer, Postleitzahl und Ort.",
    ),
    "not_found": (
        "I cannot find {order_id} with this postcode. Please check both.",
        "Ich finde {order_id} mit dieser Postleitzahl nicht. Bitte prüfen Sie beides.",
    ),
    "status": (
        "Your order {order_id} ({item}) is {status}.",
        "Ihre Bestellung {order_id} ({item}) ist {status}.",
    ),
    "confirm_refund": (
        "I can refund {amount} EUR for {order_id} ({item}). Shall I?",
        "Ich kann Ihnen {amount} EUR für {order_id} ({item}) erstatten. Soll ich das tun?",
    ),
    "refunded": (
        "I have refunded {amount} EUR for {order_id}.",
        "Ich habe Ihnen {amount} EUR für {order_id} erstattet.",
    ),
    "not_approved": (
        "The refund of {amount} EUR for {order_id} was not approved, so nothing was paid.",
        "Die Erstattung von {amount} EUR für {order_id} wurde nicht freigegeben. Es wurde nichts ausgezahlt.",
    ),
    "not_returned": (
        "Order {order_id} is {status}. I can refund it once we have it back.",
        "Bestellung {order_id} ist {status}. Ich kann sie erstatten, sobald sie wieder bei uns ist.",
    ),
    "already_refunded": (
        "Order {order_id} is refunded already.",
        "Bestellung {order_id} ist bereits erstattet.",
    ),
    "confirm_cancel": (
        "Shall I cancel {order_id} ({item})?",
        "Soll ich {order_id} ({item}) stornieren?",
    ),
    "cancelled": (
        "I have cancelled {order_id}.",
        "Ich habe {order_id} storniert.",
    ),
    "confirm_address": (
        "Shall I send {order_id} to {address}?",
        "Soll ich {order_id} an {address} liefern lassen?",
    ),
    "address_changed": (
        "{order_id} now goes to {address}.",
        "{order_id} geht jetzt an {address}.",
    ),
    "too_late": (
        "Order {order_id} is {status}, so I cannot change it any more.",
        "Bestellung {order_id} ist {status}, deshalb kann ich sie nicht mehr ändern.",
    ),
    "left": (
        "I have left {order_id} as it is.",
        "Ich habe {order_id} so gelassen, wie sie ist.",
    ),
    "return_period": (
        "You can send an order back within 30 days of delivery.",
        "Sie können eine Bestellung innerhalb von 30 Tagen nach der Lieferung zurückschicken.",
    ),
    "shipping_cost": (
        "Shipping costs 4.90 EUR, and nothing for orders of 50 EUR or more.",
        "Der Versand kostet 4,90 EUR, ab 50 EUR Bestellwert nichts.",
    ),
    "hours": (
        "You can reach us by telephone from 8:00 to 18:00, Monday to Friday.",
        "Sie erreichen uns telefonisch montags bis freitags von 8:00 bis 18:00 Uhr.",
    ),
    "payment": (
        "You can pay by card, by bank transfer or on invoice.",
        "Sie können mit Karte, per Überweisung oder auf Rechnung zahlen.",
    ),
}
"""Key -> (English, German)."""
_STATUSES: Mapping[str, str] = {
    "open": "in Bearbeitung",
    "shipped": "unterwegs",
    "delivered": "zugestellt",
    "returned": "wieder bei uns",
    "part refunded": "zum Teil erstattet",
    "refunded": "erstattet",
    "cancelled": "storniert",
}


def say(key: str, language: str, **values: str) -> str:
    """Return a text with its values."""
    english, german = TEXTS[key]
    return (german if language == "de" else english).format(**values)


def status_in(language: str, status: str) -> str:
    """Return the word for the status of an order."""
    return _STATUSES[status] if language == "de" else "being packed" if status == "open" else status


def amount_in(language: str, amount_eur: float) -> str:
    """Return an amount with two decimals."""
    text = f"{amount_eur:.2f}"
    return text.replace(".", ",") if language == "de" else text
