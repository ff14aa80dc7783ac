"""Kept replies: never a wrong one, whatever happened to the file; what changes a reply is another question."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from evalkit.llm.cache import ReplyCache
from evalkit.llm.client import ChatClient
from evalkit.llm.config import ChatConfig
from evalkit.llm.errors import JudgeError
from evalkit.llm.wire import Parsed
from evalkit.net.prices import Prices
from evalkit.testing import FakeModel, Fault

KEYS_OF_REPEATS = [
    "baeb049321f2c78095a69f65690652bf43037f110520ba0feed8327c57297a33",
    "b3f9da8314d52bdec089a0ba88947461b6fdcc7732c677e0cfa7acc4ff2483a5",
]
PRICES = Prices(input_usd_per_million=10.0, output_usd_per_million=0.0)


class Verdict(BaseModel):
    """What the judge is asked for."""

    score: int


class Other(BaseModel):
    """The same field within another schema."""

    score: int
    reason: str = ""


def ask(
    server: FakeModel,
    file: Path,
    prompt: str = "q",
    schema: type[Any] = Verdict,
    sample: int = 0,
    repeat: int = 0,
    **config: Any,
) -> Parsed[Any]:
    """One question through a client of its own."""

    async def run() -> Parsed[Any]:
        settings = ChatConfig(**{"model": "m", "base_url": server.base_url, "prices": PRICES, **config})
        with ReplyCache(file) as cache:
            async with ChatClient(settings, env={}, cache=cache) as client:
                return await client.structured(prompt, schema, sample=sample, repeat=repeat)

    return asyncio.run(run())


def counting() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A model that never says the same thing twice."""
    said = iter(range(100))
    return lambda _: {"score": next(said)}


def test_a_question_is_paid_for_once(tmp_path: Path) -> None:
    """The second asking makes no call; time and cost are those of the first, and say so."""
    with FakeModel(counting(), latency_s=0.05) as server:
        first = ask(server, tmp_path / "c" / "cache.sqlite")
        again = ask(server, tmp_path / "c" / "cache.sqlite")
        assert len(server.requests) == 1
    assert again.value == first.value == Verdict(score=0)
    assert again.latency_s == first.latency_s > 0.05
    assert (first.usage.cached, again.usage.cached) == (False, True)
    assert again.usage.cost_usd == first.usage.cost_usd == pytest.approx(0.001)
    assert (tmp_path / "c" / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize(
    "changed",
    [
        {"prompt": "Q"},
        {"schema": Other},
        {"sample": 1},
        {"model": "n"},
        {"temperature": 0.7},
        {"seed": 5},
        {"max_tokens": 9},
        {"headers": {"X-Team": "b"}},
    ],
    ids=str,
)
def test_whatever_changes_the_reply_is_another_question(changed: dict[str, Any], tmp_path: Path) -> None:
    """Nothing is taken from a question that differs in prompt, schema, sample or setting."""
    with FakeModel(counting()) as server:
        ask(server, tmp_path / "cache.sqlite")
        other = ask(server, tmp_path / "cache.sqlite", **changed)
        assert len(server.requests) == 2
    assert other.value.score == 1
    assert not other.usage.cached


def test_another_address_is_another_question(tmp_path: Path) -> None:
    """The same model's name elsewhere is another model."""
    with FakeModel(counting()) as server, FakeModel(lambda _: {"score": 50}) as elsewhere:
        ask(server, tmp_path / "cache.sqlite")
        assert ask(elsewhere, tmp_path / "cache.sqlite").value.score == 50


def test_each_repeat_buys_its_own_opinion(tmp_path: Path) -> None:
    """Two repeats of a case with the same answer are two questions."""
    with FakeModel(counting()) as server:
        asked = [ask(server, tmp_path / "cache.sqlite", repeat=number) for number in (0, 1, 0, 1)]
    assert [int(each.value.score) for each in asked] == [0, 1, 0, 1]


def test_replies_kept_by_earlier_versions_are_found() -> None:
    """The bytes that name a kept reply do not change."""

    class Lookups(list[str]):
        """A cache that holds nothing."""

        def get(self, key: str) -> None:
            """Note what is looked up."""
            self.append(key)

    async def run() -> Lookups:
        kept = Lookups()
        config = ChatConfig(model="m", base_url="https://host/v1", headers={"X-A": "b"})
        client = ChatClient(config, env={}, cache=kept)  # type: ignore[arg-type]
        for repeat in (0, 2):
            with pytest.raises(RuntimeError, match="not open"):
                await client.text("q", sample=1, repeat=repeat)
        return kept

    assert asyncio.run(run()) == KEYS_OF_REPEATS


@pytest.mark.parametrize("kind", ["truncated", "refusal", "status"])
def test_a_failure_is_not_kept(kind: Any, tmp_path: Path) -> None:
    """A declined or broken reply is asked again."""
    with FakeModel(counting(), faults=[Fault(kind=kind)]) as server:
        with pytest.raises(JudgeError):
            ask(server, tmp_path / "cache.sqlite", max_retries=0)
        assert not ask(server, tmp_path / "cache.sqlite").usage.cached
        assert ask(server, tmp_path / "cache.sqlite").usage.cached


@pytest.mark.slow
def test_no_flipped_bit_becomes_a_reply(tmp_path: Path) -> None:
    """Of 300 damaged files none gives another verdict, and none stops the question."""
    with FakeModel(lambda _: {"score": 7}) as server:
        for number in range(8):
            ask(server, tmp_path / "cache.sqlite", prompt=f"q{number}")
        whole = (tmp_path / "cache.sqlite").read_bytes()
        draw = random.Random(3)
        hits = 0
        for _ in range(300):
            (tmp_path / "damaged.sqlite").write_bytes(flipped(whole, draw))
            with ReplyCache(tmp_path / "damaged.sqlite") as cache:
                for key in keys_of(tmp_path / "cache.sqlite"):
                    entry = cache.get(key)
                    hits += entry is not None
                    assert entry is None or entry["text"] == '{"score": 7}'
    assert 0 < hits < 300 * 8


def flipped(data: bytes, draw: random.Random) -> bytes:
    """The same bytes with a few bits turned over."""
    damaged = bytearray(data)
    for _ in range(40):
        damaged[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(damaged)


def keys_of(file: Path) -> list[str]:
    """What the file holds."""
    db = sqlite3.connect(file)
    found = [key for (key,) in db.execute("SELECT key FROM replies")]
    db.close()
    return found


@pytest.mark.parametrize("held", [b"", b"not a database, but some notes\n" * 200, b"\x00" * 4096])
def test_a_file_that_is_no_database_is_moved_aside(held: bytes, tmp_path: Path) -> None:
    """The questions are asked and kept; what stood there is still there."""
    file = tmp_path / "cache.sqlite"
    file.write_bytes(held)
    with FakeModel(counting()) as server:
        assert ask(server, file).value.score == 0
        assert ask(server, file).usage.cached
    if held:
        assert (tmp_path / "cache.sqlite.damaged").read_bytes() == held


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE replies SET reply = replace(reply, '0', '5')",
        "UPDATE replies SET reply = CAST(reply AS BLOB)",
        "UPDATE replies SET sum = ''",
        "UPDATE replies SET reply = NULL",
        "DROP TABLE replies",
        "ALTER TABLE replies RENAME COLUMN reply TO answer",
    ],
)
def test_a_changed_row_is_a_miss(change: str, tmp_path: Path) -> None:
    """A poisoned, foreign or half-deleted row is asked anew."""
    file = tmp_path / "cache.sqlite"
    with FakeModel(lambda _: {"score": 0}) as server:
        ask(server, file)
        db = sqlite3.connect(file, isolation_level=None)
        db.execute(change)
        db.close()
        anew = ask(server, file)
        assert len(server.requests) == 2
    assert anew.value.score == 0
    assert not anew.usage.cached


def test_a_disk_that_refuses_the_cache_stops_nothing(tmp_path: Path) -> None:
    """The questions are asked, and the cache says why nothing is kept."""
    (tmp_path / "taken").write_text("a file where the folder should be", encoding="utf-8")
    with ReplyCache(tmp_path / "taken" / "cache.sqlite") as cache:
        assert "not kept" in cache.problem
        cache.put("key", {})
        assert cache.get("key") is None
