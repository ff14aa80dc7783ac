"""What is sent again, by whom and when, against a real server that fails."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import Any

import pytest

from evalkit.llm.client import ChatClient
from evalkit.llm.config import ChatConfig
from evalkit.llm.errors import JudgeError
from evalkit.net import exchange
from evalkit.net.retry import AT_MOST_ONCE, REPEATABLE
from evalkit.net.waits import Waits
from evalkit.scorers.embedding.batches import EmbeddingError
from evalkit.scorers.embedding.endpoint import EmbeddingEndpoint, EndpointEmbedder
from evalkit.systems import ChatSystem, HttpSystem, Shared
from evalkit.testing import FakeModel, Fault
from evalkit.types import Case, Failure, Output

AGAIN = {408, 425, 429, 503, 529}
"""The server turned the request away."""
LOST = {409, 500, 502, 504, 520, 521, 522, 523, 524}
"""The work may have been done."""
ALL = [*sorted(AGAIN | LOST), 301, 400, 401, 403, 404, 410, 413, 422, 501, 505]
BODY = {"model": "m", "messages": [{"role": "user", "content": "{{input}}"}]}


class Sleep(list[float]):
    """Notes each wait instead of waiting, and what the run says about it meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = Waits()
        self.said: list[str] = []

    async def __call__(self, seconds: float) -> None:
        """Note one wait."""
        self.append(seconds)
        self.said.append(str(self.waits))
        await asyncio.sleep(0)


Caller = Callable[[FakeModel, Sleep], Awaitable[bool]]
"""Asks once; returns whether it got an answer."""


async def judge(server: FakeModel, sleep: Sleep) -> bool:
    """A judge's question."""
    config = ChatConfig(model="m", base_url=server.base_url)
    async with ChatClient(config, env={}, sleep=sleep, waits=sleep.waits) as client:
        try:
            await client.text("q")
        except JudgeError:
            return False
    return True


async def embedding(server: FakeModel, sleep: Sleep) -> bool:
    """A batch of texts."""
    endpoint = EmbeddingEndpoint(model="m", base_url=server.base_url)
    embedder = EndpointEmbedder(endpoint, sleep=sleep, waits=sleep.waits)
    try:
        await embedder.raw(["a"])
    except EmbeddingError:
        return False
    finally:
        await embedder.close()
    return True


def system(make: Callable[[str], Any]) -> Caller:
    """A call of a system."""

    async def ask(server: FakeModel, sleep: Sleep) -> bool:
        shared = Shared(root=Path(), project=Path(), env={}, waits=sleep.waits)
        async with make(server.base_url).open(shared) as answer:
            return isinstance(await answer(Case(id="a", input="q"), 0), Output)

    return ask


PICK = {"text": "choices[0].message.content"}
CALLERS: dict[str, tuple[Caller, bool]] = {
    "judge": (judge, True),
    "embedding": (embedding, True),
    "chat": (system(lambda url: ChatSystem(chat="m", base_url=url)), True),
    "http": (system(lambda url: HttpSystem(http=f"{url}/chat/completions", body=BODY, pick=PICK)), False),
    "http, idempotent": (
        system(lambda url: HttpSystem(http=f"{url}/chat/completions", body=BODY, pick=PICK, idempotent=True)),
        True,
    ),
}
"""Name -> (caller, whether a lost reply is asked for again)."""


@pytest.fixture
def sleep(monkeypatch: pytest.MonkeyPatch) -> Sleep:
    """Stands in for the waits of systems too."""
    waits = Sleep()
    monkeypatch.setattr(exchange, "_sleep", waits)
    return waits


def asked(caller: str, sleep: Sleep, *faults: Fault) -> tuple[bool, int]:
    """Whether there was an answer in the end, and the number of requests."""

    async def run() -> tuple[bool, int]:
        async with FakeModel(["ok"], faults=faults) as server:
            return await CALLERS[caller][0](server, sleep), len(server.requests)

    return asyncio.run(run())


@pytest.mark.parametrize("caller", CALLERS)
def test_each_status_and_broken_connection(caller: str, sleep: Sleep) -> None:
    """A request that was turned away is sent again, a lost one only where asking twice does no harm."""
    once = {status: asked(caller, sleep, Fault(kind="status", status=status)) for status in ALL}
    lost = {kind: asked(caller, sleep, Fault(kind=kind)) for kind in ("reset", "reset_in_body")}
    again = AGAIN | LOST if CALLERS[caller][1] else AGAIN
    assert once == {status: (status in again, 1 + (status in again)) for status in ALL}
    assert set(lost.values()) == {(True, 2) if CALLERS[caller][1] else (False, 1)}
    assert len(sleep) == len(again) + 2 * CALLERS[caller][1]
    assert all(0.5 <= wait <= 2.5 for wait in sleep)


@pytest.mark.parametrize("caller", CALLERS)
def test_retry_after_holds_for_every_caller(caller: str, sleep: Sleep) -> None:
    """Seconds and dates are both kept, with jitter on top."""
    for asked_for in ("20", formatdate(time() + 20, usegmt=True)):
        assert asked(caller, sleep, Fault(kind="status", status=503, retry_after=asked_for)) == (True, 2)
    assert len(sleep) == 2
    assert all(re.fullmatch(r"retrying 1 \(http_503, next \d+ s\)", said) for said in sleep.said)
    assert str(sleep.waits) == ""
    assert all(18.5 <= wait <= 22.5 for wait in sleep)


@pytest.mark.parametrize("caller", CALLERS)
def test_a_wait_beyond_the_deadline_is_not_begun(caller: str, sleep: Sleep) -> None:
    """What the time limit cannot hold fails at once."""
    assert asked(caller, sleep, Fault(kind="status", status=429, retry_after="1000000000")) == (False, 1)
    assert sleep == []


@pytest.mark.parametrize("caller", CALLERS)
def test_attempts_end(caller: str, sleep: Sleep) -> None:
    """The waits grow; a judge and an embedding are asked seven times, a system until its time limit is reached."""
    ended, requests = asked(caller, sleep, *[Fault(kind="status", status=503)] * 30)
    assert not ended
    assert requests == len(sleep) + 1 <= (7 if caller in ("judge", "embedding") else 21)
    assert all(wait >= 0.5 * 2**number for number, wait in enumerate(sleep[:5]))
    assert sum(sleep) > (20 if caller in ("judge", "embedding") else 55)


@pytest.mark.parametrize("caller", CALLERS)
def test_a_server_that_restarts_costs_no_case(caller: str, sleep: Sleep) -> None:
    """Nobody listens for ten seconds: the request is sent again until somebody does."""

    async def run() -> bool:
        async with FakeModel() as gone:
            port = gone._port
        server = FakeModel(["ok"], port=port)
        entered = False

        class Restart(Sleep):
            async def __call__(self, seconds: float) -> None:
                nonlocal entered
                sleep.append(seconds)
                if sum(sleep) >= 10 and not entered:
                    entered = True
                    await server.__aenter__()

        ask, wait = CALLERS[caller][0], Restart()
        exchange._sleep, before = wait, exchange._sleep
        try:
            return await ask(server, wait)
        finally:
            exchange._sleep = before
            await server.__aexit__()

    assert asyncio.run(run())
    assert sum(sleep) >= 10


def test_a_lost_reply_says_how_to_allow_a_repeat(sleep: Sleep) -> None:
    """The failure of an `http:` system names the setting."""

    async def run() -> Output | Failure:
        async with FakeModel(always=Fault(kind="status", status=502)) as server:
            shared = Shared(root=Path(), project=Path(), env={})
            async with HttpSystem(http=f"{server.base_url}/chat/completions", body=BODY).open(shared) as answer:
                return await answer(Case(id="a", input="q"), 0)

    ended = asyncio.run(run())
    assert isinstance(ended, Failure)
    assert ended.kind == "http_502"
    assert ended.message.endswith("set `idempotent: true`")


def test_the_guide_shows_the_policies() -> None:
    """The two rows of docs/calls.md hold the statuses of the two sets."""
    page = (Path(__file__).parents[2] / "docs" / "calls.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if "; status " in line]
    told = [{*map(int, re.findall(r"\b\d{3}\b", line))} for line in rows]
    assert told == [AGAIN, LOST - {521, 522, 523}]  # "520 to 524"


def test_put_is_idempotent(sleep: Sleep) -> None:
    """HTTP defines PUT so, and the policies differ in nothing but what they repeat."""
    assert HttpSystem(http="http://h", method="PUT")._policy.statuses == REPEATABLE.statuses
    assert HttpSystem(http="http://h", method="PATCH")._policy.statuses == AT_MOST_ONCE.statuses
    assert AT_MOST_ONCE.statuses < REPEATABLE.statuses
    assert AT_MOST_ONCE.retries == REPEATABLE.retries
