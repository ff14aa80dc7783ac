"""Make logs of the compliance assistant in production: thirty days, of which the last ten have a stale index.

    python -m suites.compliance.traffic logs/                     # calls-2026-11-28.jsonl ..., one file a day
    python -m suites.compliance.traffic logs/ --format otlp       # traces, as a collector writes them

The questions are those of the golden set, and a few of its own about the rules of 2024. From day 21 on the index misses
the acts that entered into force after 1 January 2024, so that answers get worse in the domain `aml` and nowhere else.
Some users put invented personal data into their question. The same seed and last day give the same bytes.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from suites.compliance.bot import answer
from suites.compliance.corpus import language_of

CASES = Path(__file__).parents[2] / "golden_sets" / "compliance" / "cases.jsonl"
STALE = "2024-01-01"
STALE_FROM = 21
"""The first day (from 1) with the stale index."""
WEEKEND = 0.6
"""Calls of a day at the weekend, of those of a working day."""
DOMAINS = {"aml": 0.3, "privacy": 0.25, "payments": 0.15, "dora": 0.1, "mifid": 0.1, "consumer_credit": 0.1}
TIERS = {"free": 0.7, "paid": 0.3}
PERSONAL = 0.06
"""Share of the calls with personal data in the question."""
OWN = (
    "Our client wants to pay 9 000 euro in cash on Saturday for a used boat, are we over the EU limit for cash?",
    "When will AMLA start to supervise firms directly?",
    "Is our group picked for AMLA oversight if we work in seven Member States?",
    "A client with a risky profile: how old may his file get before we update it?",
    "Which city hosts AMLA, the new European supervisor?",
    "Can our country set a lower cap on paying in banknotes than the rest of Europe?",
    "What does our compliance manager on the board have to sign off?",
    "How are holdings counted along a chain of companies when we look for the beneficial owner?",
)
"""Questions in the domain `aml` that the golden set does not hold; the stale index has no answer to the first four."""
NAMES = ("Ada Brandt", "Luis Ferrer", "Mira Novak", "Jonas Weber", "Chloé Martin", "Piotr Zielny")
_FRAMES = (
    "{question} Please answer to {email}.",
    "This is {name}. {question}",
    "{question} You can call me back: +49 30 {phone}.",
    "My IBAN is DE89 3704 0044 0532 0130 00. {question}",
)


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What is made."""

    until: datetime.date
    """The last day."""
    days: int = 30
    calls: int = 20_000
    """About so many calls in all days."""
    seed: int = 21


@dataclass(frozen=True, kw_only=True)
class TrafficCall:
    """One call."""

    id: str
    at: float
    """Seconds since 1970."""
    question: str
    text: str
    """The answer."""
    docs: tuple[str, ...]
    session: str
    domain: str
    language: str
    tier: str
    seconds: float
    cost_usd: float
    thumb: str | None


def days_of(traffic: Traffic) -> Iterator[tuple[datetime.date, list[TrafficCall]]]:
    """Yield each day with its calls in the order of time."""
    rng = random.Random(traffic.seed)  # noqa: S311 - invented calls
    dates = [traffic.until - datetime.timedelta(days=back) for back in reversed(range(traffic.days))]
    weights = [WEEKEND if date.weekday() >= 5 else 1.0 for date in dates]
    for number, (date, weight) in enumerate(zip(dates, weights, strict=True), 1):
        n_calls = round(traffic.calls * weight / sum(weights))
        yield date, _day(rng, date, n_calls, stale=number >= STALE_FROM)


def _day(rng: random.Random, date: datetime.date, n_calls: int, *, stale: bool) -> list[TrafficCall]:
    start = datetime.datetime.combine(date, datetime.time(6), datetime.UTC).timestamp()
    calls: list[TrafficCall] = []
    while len(calls) < n_calls:
        session = f"s-{date:%m%d}-{len(calls):05d}"
        tier = _drawn(rng, TIERS)
        domain = _drawn(rng, DOMAINS)
        at = start + rng.random() * 16 * 3_600
        for _ in range(min(rng.choice((1, 1, 2, 3)), n_calls - len(calls))):
            at += rng.uniform(20, 200)
            calls.append(_call(rng, at, session, (domain, tier), stale=stale))
    return sorted(calls, key=lambda call: (call.at, call.id))


def _call(rng: random.Random, at: float, session: str, cohorts: tuple[str, str], *, stale: bool) -> TrafficCall:
    domain, tier = cohorts
    question = rng.choice(OWN) if domain == "aml" and rng.random() < 0.5 else rng.choice(_questions()[domain])
    text, docs = _answered(question, stale)
    asked = question
    if rng.random() < PERSONAL:
        name = rng.choice(NAMES)
        email = name.lower().replace(" ", ".").replace("é", "e") + "@post.example"
        asked = rng.choice(_FRAMES).format(
            question=question, name=name, email=email, phone=rng.randint(1_000_000, 9_999_999)
        )
    unhappy = 0.25 if not docs else 0.02
    return TrafficCall(
        id=hashlib.blake2b(f"{session} {at}".encode(), digest_size=8).hexdigest(),
        at=round(at, 3),
        question=asked,
        text=text,
        docs=docs,
        session=session,
        domain=domain,
        language=language_of(question),
        tier=tier,
        seconds=round(rng.lognormvariate(0.2, 0.4), 3),
        cost_usd=round(0.0002 + 0.000001 * len(text), 6),
        thumb="down" if rng.random() < unhappy else "up" if rng.random() < 0.05 else None,
    )


def _drawn(rng: random.Random, shares: dict[str, float]) -> str:
    return rng.choices(list(shares), weights=list(shares.values()))[0]


@cache
def _questions() -> dict[str, list[str]]:
    """Return the plain questions of the golden set by domain."""
    found: dict[str, list[str]] = {}
    for line in CASES.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["kind"] == "golden":
            found.setdefault(row["cohorts"]["domain"], []).append(row["input"])
    return found


@cache
def _answered(question: str, stale: bool) -> tuple[str, tuple[str, ...]]:
    found = answer(question, corpus_until=STALE if stale else None)
    return found["text"], tuple(found["contexts"])


def json_row(call: TrafficCall) -> dict[str, Any]:
    """Return a call as a line of a log in JSON."""
    at = datetime.datetime.fromtimestamp(call.at, datetime.UTC).isoformat(timespec="milliseconds")
    row: dict[str, Any] = {"id": call.id, "at": at, "question": call.question, "answer": call.text}
    row |= {"docs": list(call.docs), "session": call.session, "domain": call.domain, "language": call.language}
    return row | {"tier": call.tier, "seconds": call.seconds, "cost_usd": call.cost_usd, "thumb": call.thumb}


def otlp_export(call: TrafficCall) -> dict[str, Any]:
    """Return a call as a trace of two spans in OTLP/JSON, by the conventions of OpenTelemetry for generative AI."""
    trace = hashlib.blake2b(call.id.encode(), digest_size=16).hexdigest()
    start, end = call.at, call.at + call.seconds
    root = _span(
        trace,
        1,
        "invoke_agent compliance",
        (start, end),
        {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.conversation.id": call.session,
            "gen_ai.input.messages": _message("user", call.question),
            "gen_ai.output.messages": _message("assistant", call.text),
            **{f"app.{name}": getattr(call, name) for name in ("domain", "language", "tier")},
        },
    )
    documents = json.dumps([{"id": doc.partition(" ")[0], "content": doc} for doc in call.docs], ensure_ascii=False)
    retrieval = _span(
        trace,
        2,
        "retrieval passages",
        (start, (start + end) / 2),
        {"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.documents": documents},
    )
    return {"resourceSpans": [{"scopeSpans": [{"spans": [retrieval, root]}]}]}


def _span(trace: str, number: int, name: str, times: tuple[float, float], attributes: dict[str, str]) -> dict[str, Any]:
    parent = {} if number == 1 else {"parentSpanId": f"{1:016x}"}
    start, end = (str(round(at * 1_000) * 1_000_000) for at in times)
    values = [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()]
    span = {"traceId": trace, "spanId": f"{number:016x}", **parent, "name": name, "kind": 1}
    return {**span, "startTimeUnixNano": start, "endTimeUnixNano": end, "attributes": values}


def _message(role: str, text: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}], ensure_ascii=False)


def write_logs(folder: Path, traffic: Traffic, *, otlp: bool = False) -> int:
    """Write a file a day, and return the number of calls."""
    folder.mkdir(parents=True, exist_ok=True)
    record = otlp_export if otlp else json_row
    n_calls = 0
    for date, calls in days_of(traffic):
        lines = (json.dumps(record(call), ensure_ascii=False) + "\n" for call in calls)
        (folder / f"calls-{date}.jsonl").write_text("".join(lines), encoding="utf-8")
        n_calls += len(calls)
    return n_calls


def main(words: Sequence[str] | None = None) -> int:
    """Write the logs that the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--format", choices=("jsonl", "otlp"), default="jsonl")
    parser.add_argument("--until", type=datetime.date.fromisoformat, help="last day; default: yesterday in UTC")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=21)
    given = parser.parse_args(words)
    until = given.until or datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(days=1)
    traffic = Traffic(until=until, days=given.days, calls=given.calls, seed=given.seed)
    n_calls = write_logs(given.folder, traffic, otlp=given.format == "otlp")
    sys.stdout.write(f"{n_calls:,} calls of {given.days} days until {until} in {given.folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
