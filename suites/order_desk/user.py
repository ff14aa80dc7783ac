"""Play a customer who follows rules, as the model of the user in `suites/agent-simulated.yaml`.

    python -m suites.order_desk.user evalkit run suites/agent-simulated.yaml

starts it at the address in the suite, runs the command and ends with its exit code. Without a command it answers until
it is interrupted. It reads what evalkit sends to every model that plays a user (goal, persona, facts and the
conversation), and nothing else of the case.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from evalkit.testing import FakeModel
from suites.order_desk.understanding import language_of

PORT = 8766
ASKED: Mapping[str, str] = {
    "postcode": r"cannot find|finde .* nicht|postcode .*so that|Postleitzahl der",
    "order number": r"order number|Bestellnummer",
    "new address": r"new address|neue Adresse",
    "answer": r"Shall I|Soll ich",
}
"""Patterns of the assistant's questions -> the name of a fact."""
_DONE = re.compile(r"have (refunded|cancelled|left)|now goes to|erstattet\.|storniert\.|geht jetzt|gelassen|packed|30 ")
_REFUSED = re.compile(
    r"not approved|nicht freigegeben|cannot change|nicht mehr ändern|once we have|sobald|already|bereits"
)


def reply(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the customer's next message, as `{say, done, why}`."""
    task, *talk = [str(message["content"]) for message in request["messages"]]
    goal, persona, facts = _read(task)
    german = language_of(goal) == "de"
    if len(talk) == 1:
        return _says(_opening(goal, facts, german=german, hurried="impatient" in persona))
    heard, said = talk[-1], talk[1::2]
    if _REFUSED.search(heard):
        return _ends("Schade." if german else "That is a pity.", "refused")
    if _DONE.search(heard):
        return _ends("", "reached")
    for name, pattern in ASKED.items():
        if re.search(pattern, heard):
            return _given(_answer(name, facts, german=german), said)
    return _given(facts.get("in other words", ""), said)


def _read(task: str) -> tuple[str, str, dict[str, str]]:
    """Return goal, persona and facts from the instructions of the model."""
    goal = re.search(r"^What the person wants: (.*)$", task, re.MULTILINE)
    persona = re.search(r"^Who the person is: (.*)$", task, re.MULTILINE)
    known = task.partition("What the person knows:\n")[2].partition("\nRules:")[0]
    facts = dict(re.findall(r"^- ([^:\n]+): (.*)$", known, re.MULTILINE))
    return goal[1] if goal else "", persona[1] if persona else "", facts


def _opening(goal: str, facts: Mapping[str, str], *, german: bool, hurried: bool) -> str:
    text = f"Guten Tag, ich möchte {goal}." if german else f"Hello, I would like to {goal}."
    known = [facts[name] for name in ("order number", "postcode", "new address") if name in facts]
    return f"{text} {', '.join(known)}" if hurried and known else text


def _answer(name: str, facts: Mapping[str, str], *, german: bool) -> str:
    if name == "answer":
        return facts.get(name, "Ja, bitte." if german else "Yes, please.")
    return facts.get(name, "Das weiß ich nicht." if german else "I do not know that.")


def _given(text: str, said: Sequence[str]) -> dict[str, Any]:
    """Say something new, or give up."""
    return _says(text) if text and text not in said else _ends("", "gave_up")


def _says(text: str) -> dict[str, Any]:
    return {"say": text, "done": False, "why": None}


def _ends(text: str, why: str) -> dict[str, Any]:
    return {"say": text, "done": True, "why": why}


def main(command: Sequence[str]) -> int:
    """Answer at the suite's address while a command runs."""
    with FakeModel(reply, port=PORT) as server:
        if command:
            return subprocess.run(command, check=False).returncode  # noqa: S603 - the caller's own command
        sys.stdout.write(f"answering at {server.base_url}\n")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
