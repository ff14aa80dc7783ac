"""What the tests of systems share."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

import pytest
from aiohttp import web

from evalkit.systems import Shared
from evalkit.types import Case

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _import_path(monkeypatch):
    """Take the projects of a test off the import path again."""
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def shared(tmp_path):
    """A project in a folder of its own."""
    return Shared(root=tmp_path, project=tmp_path, concurrency=4, env={})


@pytest.fixture
def apps():
    """A project whose root holds `apps.py`."""
    return Shared(root=HERE, project=HERE, concurrency=4, env={"MODEL_API_KEY": "sk-canary-123456"})


@pytest.fixture
def ask():
    """Open a system, ask it every case at once, give the ends in order."""

    def run(system, shared, *cases, repeat=0):
        async def all_of_them():
            async with system.open(shared) as answer:
                return await asyncio.gather(*(answer(case, repeat) for case in cases))

        return asyncio.run(all_of_them())

    return run


@pytest.fixture
def serve():
    """Ask a system against a server in the same loop: `serve(handler, make_system, shared, *cases)`."""

    def run(handler, make_system, shared, *cases):
        async def all_of_them():
            async with serving(handler) as url, make_system(url).open(shared) as answer:
                return await asyncio.gather(*(answer(case, 0) for case in cases))

        return asyncio.run(all_of_them())

    return run


@contextlib.asynccontextmanager
async def serving(handler):
    """Serve POST requests with one aiohttp handler."""
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/{tail:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
def case():
    """Make a case."""

    def make(input="hi", **fields):
        return Case(**{"id": "c1", "input": input, **fields})

    return make
