"""A run of conversations that is killed again and again: no turn is delivered twice, no half conversation is kept."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from evalkit.store.journal import read_rows
from evalkit.types import Row

N_CASES, N_TURNS = 12, 3
SUITE = """\
name: talks
golden: cases.jsonl
system:
  http: "http://127.0.0.1:PORT/threads/{{session}}"
  body: {message: "{{message}}", turn: "{{turn}}"}
  version: "1"
conversation: {max_turns: 5, stop_when: [{says: never}]}
scorers:
  - contains: {name: echoed, all_field: required, over: turn}
concurrency: 4
gate: [pass_rate: {min: 0.9}]
"""


class Service:
    """Remembers conversations by session, as a stateful agent does; tells every delivery."""

    def __init__(self) -> None:
        self.delivered: Counter[tuple[str, int]] = Counter()
        self.heard: defaultdict[str, list[str]] = defaultdict(list)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_post("/threads/{session}", self._turn)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]

    async def _turn(self, request: web.Request) -> web.Response:
        body, session = await request.json(), request.match_info["session"]
        self.delivered[session, body["turn"]] += 1
        self.heard[session].append(body["message"])
        await asyncio.sleep(0.01)
        return web.json_response({"text": f"{len(self.heard[session])}: {self.heard[session][-1]}"})

    def stop(self) -> None:
        """End the server and its thread."""
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def service() -> Iterator[Service]:
    """A stateful agent behind HTTP."""
    running = Service()
    yield running
    running.stop()


def project(root: Path, port: int) -> None:
    """A suite of scripted conversations, whose answers show how many turns the agent remembers."""
    root.mkdir()
    (root / "pyproject.toml").touch()
    (root / "suite.yaml").write_text(SUITE.replace("PORT", str(port)), encoding="utf-8")
    rows = [
        {
            "id": f"c{at:02d}",
            "turns": [{"user": f"{at} {k}", "required": [f"{k}: {at} {k}"]} for k in range(1, N_TURNS + 1)],
        }
        for at in range(N_CASES)
    ]
    (root / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def start(root: Path) -> subprocess.Popen[bytes]:
    """Run, or go on."""
    folder = root / "o"
    begun = any((folder / name).exists() for name in (".running", "manifest.json"))
    words = ["run", "suite.yaml", "--out", "o", "--no-report", "--progress", "none", *(["--resume"] if begun else [])]
    command = [sys.executable, "-m", "evalkit", *words]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kept(root: Path) -> dict[str, Row]:
    """The rows of the journal, each once."""
    found: dict[str, Row] = {}
    file = root / "o/rows.jsonl"
    for row in read_rows(file) if file.exists() else ():
        assert row.case.id not in found, f"{row.case.id} is there twice"
        found[row.case.id] = row
    return found


def untimed(row: Row) -> Any:
    """A row without what differs from run to run."""
    assert row.output is not None
    messages = tuple(replace(message, details={}) for message in row.output.messages or ())
    return replace(row, output=replace(row.output, latency_s=None, messages=messages))


def check_kills(service: Service, tmp_path: Path, n_kills: int) -> None:
    """Kill runs at random moments, finishing each, until there were enough kills."""
    whole = tmp_path / "whole"
    project(whole, service.port)
    assert start(whole).wait(120) == 0
    expected = {name: untimed(row) for name, row in kept(whole).items()}
    assert len(expected) == N_CASES
    draw, killed, number = random.Random(17), 0, 0
    while killed < n_kills:
        number += 1
        root = tmp_path / f"killed{number}"
        project(root, service.port)
        ended: int | None = None
        for _ in range(25):
            finished = kept(root)
            process = start(root)
            try:
                ended = process.wait(0.3 + 0.8 * draw.random())
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
            now = kept(root)
            assert {name: now[name] for name in finished} == finished
            for row in now.values():
                assert row.output is not None
                assert row.output.stop == "script_end"
                assert sum(message.role == "user" for message in row.output.messages or ()) == N_TURNS
        else:
            ended = start(root).wait(120)
        assert ended == 0
        assert {name: untimed(row) for name, row in kept(root).items()} == expected
    assert max(service.delivered.values()) == 1
    for session, messages in service.heard.items():
        assert [turn for found, turn in service.delivered if found == session] == [*range(1, len(messages) + 1)]


def test_conversations_survive_kills(service: Service, tmp_path: Path) -> None:
    """Finished ones are not repeated, half-done ones begin again under another session."""
    check_kills(service, tmp_path, n_kills=6)


@pytest.mark.long
def test_conversations_survive_two_hundred_kills(service: Service, tmp_path: Path) -> None:
    """The same, often."""
    check_kills(service, tmp_path, n_kills=200)
