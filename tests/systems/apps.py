"""Callables that tests name as systems under test."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

RELEASE = threading.Event()
not_callable = 7


def echo(input):
    """Answer with the input."""
    return input


async def echo_async(input, id, contexts, cohorts, kind, greeting="hello"):
    """Answer with everything an async callable may name."""
    return f"{greeting} {id} {input} {contexts} {cohorts} {kind}"


def everything(input, **fields):
    """Say which fields a callable that takes any gets."""
    return ",".join(sorted(fields))


def own_field(input, tenant, tier="free"):
    """Use fields of the row."""
    tenant.append("changed by the system")
    return f"{tenant} {tier}"


def wants_reference(input, reference):
    """Ask for the expected answer."""
    return reference


def by_position(input, /):
    """Take the input by position only."""
    return input


def no_input(question):
    """Take no input."""
    return question


def structured(input):
    """Answer with every part of an output."""
    return {
        "text": f"re: {input}",
        "contexts": ["a", "b"],
        "usage": {"input_tokens": 3, "output_tokens": 4, "cost_usd": 0.5, "model": "m"},
        "tool_calls": [{"name": "look", "arguments": {"x": 1}}],
        "trajectory": [{"step": 1}],
        "ttft_s": 0.25,
    }


def wait(input):
    """Block until the tests release it."""
    RELEASE.wait(600)
    return "late"


def wait_if_told(input):
    """Block for the input "block", answer at once for the others."""
    return wait(input) if input == "block" else input


async def never(input):
    """Never answer."""
    await asyncio.sleep(3600)


def fails(input):
    """Raise with a message of several lines that holds a secret."""
    raise RuntimeError("first line\nsecond line, key sk-canary-123456")


def stops(input):
    """Try to end the process."""
    sys.exit(3)


async def stops_async(input):
    """Try to end the process from a coroutine."""
    sys.exit(3)


async def cancels_itself(input):
    """Await something that is cancelled by the system itself."""
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


def raises_stop_iteration(input):
    """Raise what a future refuses to hold."""
    return next(iter(()))


def times_out_itself(input):
    """Fail with a time-out of its own."""
    raise TimeoutError("the model took 9 s")


def returns_coroutine(input):
    """A sync wrapper around an async function."""
    return echo_async(input, "i", [], {}, "golden")


class Bot:
    """An object whose method is called."""

    def answer(self, input):
        """Answer with the input."""
        return f"bot {input}"


class AsyncBot:
    """An object that is called itself, asynchronously."""

    async def __call__(self, input):
        """Answer with the input."""
        return f"async bot {input}"


bot = Bot()
async_bot = AsyncBot()


def slow(input):
    """Answer after a while."""
    time.sleep(0.05)
    return input
