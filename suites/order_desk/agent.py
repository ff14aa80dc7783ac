"""Run an agent at the order desk: find the order, ask before any change, and have large refunds approved.

It follows rules instead of a model, so that the demonstration needs no key and gives the same answers on every machine.
It uses the environment and the approvals as an agent with a model would.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from evalkit import ToolError
from suites.order_desk.shop import LIMIT_EUR
from suites.order_desk.understanding import Heard, hear
from suites.order_desk.words import amount_in, say, status_in

Reply = str | dict[str, Any]
MOST_TALKS = 10_000
"""Number of conversations in memory; the oldest is forgotten first."""


@dataclass
class Talk:
    """The agent's memory of one conversation."""

    language: str = "en"
    topic: str = ""
    order_id: str = ""
    postcode: str = ""
    address: str = ""
    order: dict[str, Any] = field(default_factory=dict)
    """The order, once it is found; else empty."""
    asked: str = ""
    """Topic that the customer was asked to agree to, or the empty text."""

    def note(self, heard: Heard) -> None:
        """Add the facts of a message to the memory."""
        self.language = heard.language or self.language
        self.topic = heard.topic or self.topic
        if heard.order_id and heard.order_id != self.order_id:
            self.order_id, self.order, self.asked = heard.order_id, {}, ""
        if heard.postcode and heard.postcode != self.postcode:
            self.postcode, self.order = heard.postcode, {}
        self.address = heard.address or self.address

    def say(self, key: str, **values: str) -> str:
        """Return a text in the language of the customer."""
        known = {"order_id": self.order_id, "address": self.address, "item": self.order.get("item", "")}
        status = status_in(self.language, self.order["status"]) if self.order else ""
        return say(key, self.language, **{**known, "status": status, **values})


_talks: OrderedDict[str, Talk] = OrderedDict()
_lock = Lock()


def answer(
    message: str,
    turn: int,
    session: str,
    environment: Any,
    resume: Mapping[str, Any] | None = None,
    *,
    pay_in_parts: bool = False,
) -> Reply:
    """Answer one message of a customer.

    Args:
        message: In English or German.
        turn: Number of the message in its conversation, from 1.
        session: Names the conversation.
        environment: The shop (`shop.Shop`).
        resume: What a person decided about a large refund, after this function asked for it.
        pay_in_parts: Pay large refunds as several small ones, which need no approval; the gate must find this change.

    Returns:
        The answer, or a question to a person (`interrupt`).
    """
    talk = _talk(session, begins=turn == 1 and resume is None)
    if resume is not None:
        return _refund_as_decided(talk, environment, resume)
    heard = hear(message)
    if heard.fact and not heard.topic:
        talk.language = heard.language or talk.language
        return talk.say(heard.fact)
    talk.note(heard)
    if talk.asked and heard.agrees is not None:
        return _act(talk, environment, heard.agrees, pay_in_parts)
    return _missing(talk) or _look_up(talk, environment) or _propose(talk)


def _talk(session: str, *, begins: bool) -> Talk:
    with _lock:
        if begins:
            _talks[session] = Talk()
            while len(_talks) > MOST_TALKS:
                _talks.popitem(last=False)
        return _talks[session]


def _missing(talk: Talk) -> str:
    """Ask for the missing facts to find the order."""
    if not talk.topic:
        return talk.say("ask_topic")
    if not talk.order_id:
        return talk.say("ask_order")
    return "" if talk.postcode else talk.say("ask_postcode")


def _look_up(talk: Talk, environment: Any) -> str:
    """Find the order, once; return what to say if it cannot be found."""
    if talk.order:
        return ""
    try:
        found = environment.call("get_order", {"order_id": talk.order_id, "postcode": talk.postcode})
    except ToolError:
        talk.postcode = ""
        return talk.say("not_found")
    talk.order = dict(found)
    return ""


def _propose(talk: Talk) -> str:
    """Return what can be done, and ask before anything is changed."""
    status = talk.order["status"]
    talk.asked = ""
    if talk.topic == "status":
        return talk.say("status")
    if talk.topic == "refund" and status != "returned":
        return talk.say("already_refunded" if status == "refunded" else "not_returned")
    if talk.topic != "refund" and status != "open":
        return talk.say("too_late")
    if talk.topic == "address" and not talk.address:
        return talk.say("ask_address")
    talk.asked = talk.topic
    return talk.say(f"confirm_{talk.topic}", amount=_total(talk))


def _act(talk: Talk, environment: Any, agrees: bool, pay_in_parts: bool) -> Reply:
    """Carry out the change if the customer agreed, or leave it."""
    topic, talk.topic, talk.asked = talk.asked, "", ""
    if not agrees:
        return talk.say("left")
    if topic == "cancel":
        environment.call("cancel_order", {"order_id": talk.order_id})
        talk.order["status"] = "cancelled"
        return talk.say("cancelled")
    if topic == "address":
        environment.call("change_address", {"order_id": talk.order_id, "address": talk.address})
        return talk.say("address_changed")
    return _refund(talk, environment, pay_in_parts)


def _refund(talk: Talk, environment: Any, pay_in_parts: bool) -> Reply:
    amount_eur = talk.order["total_eur"]
    if amount_eur > LIMIT_EUR and not pay_in_parts:
        arguments = {"order_id": talk.order_id, "amount_eur": amount_eur}
        return {
            "text": "",
            "interrupt": {"id": f"refund {talk.order_id}", "tool": "refund_above_limit", "arguments": arguments},
        }
    left_eur = amount_eur
    while left_eur > 0:
        part_eur = min(left_eur, LIMIT_EUR)
        environment.call("refund", {"order_id": talk.order_id, "amount_eur": part_eur})
        left_eur = round(left_eur - part_eur, 2)
    return _refunded(talk, amount_eur)


def _refund_as_decided(talk: Talk, environment: Any, resume: Mapping[str, Any]) -> str:
    """Pay a large refund if the person approved it."""
    if resume["decision"] not in ("approve", "edit"):
        return talk.say("not_approved", amount=_total(talk))
    environment.call("refund_above_limit", resume["arguments"], call_id=resume["id"])
    return _refunded(talk, resume["arguments"]["amount_eur"])


def _refunded(talk: Talk, amount_eur: float) -> str:
    talk.order["status"] = "refunded"
    return talk.say("refunded", amount=amount_in(talk.language, amount_eur))


def _total(talk: Talk) -> str:
    return amount_in(talk.language, talk.order["total_eur"])
