"""Drive a headless Chromium over its devtools protocol."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-features=IsolateSandboxedIframes",
    "--remote-debugging-port=0",
)
WAIT_S = 300
KEY_CODES = {"Enter": 13, "Escape": 27, "ArrowUp": 38, "ArrowDown": 40}
NOISE = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded", "Page.javascriptDialogOpening")


class Navigated(Exception):
    """The page went to another one before it answered."""


class Tab:
    """One page, with everything that it reported."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._calls = 0
        self.events: list[dict[str, Any]] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command and wait for its answer; what comes between is remembered."""
        self._calls += 1
        await self._socket.send_json({"id": self._calls, "method": method, "params": parameters})
        while True:
            message = json.loads((await self._socket.receive(timeout=WAIT_S)).data)
            if message.get("id") == self._calls:
                if "navigated" in message.get("error", {}).get("message", ""):
                    raise Navigated(message)
                assert "error" not in message, message
                return message["result"]
            self.events.append(message)
            if message["method"] == "Page.javascriptDialogOpening":
                await self._socket.send_json(
                    {"id": 0, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}}
                )

    async def value(self, expression: str) -> Any:
        """Evaluate an expression in the page; promises are awaited."""
        found = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, expression: str) -> None:
        """Wait until an expression is true in the page."""
        for _ in range(WAIT_S * 50):
            with suppress(Navigated):
                if await self.value(f"!!({expression})"):
                    return
            await asyncio.sleep(0.02)
        raise AssertionError(f"never true: {expression}")

    async def leave(self, expression: str) -> None:
        """Evaluate an expression that may open another page, whether or not it is answered before."""
        with suppress(Navigated):
            await self.value(expression)

    async def open(self, path: Path, route: str = "") -> None:
        """Open the report from disk and wait until it is ready or complains."""
        await self.call("Page.navigate", url="about:blank")
        await self.call("Page.navigate", url=path.as_uri() + route)
        await self.until("document.documentElement?.dataset.ready || document.querySelector('#problem:not([hidden])')")

    async def go(self, route: str, shown: str) -> None:
        """Follow a route and wait until a selector is shown."""
        await self.value(f"location.hash = {json.dumps(route)}")
        await self.until(f"document.querySelector({json.dumps(shown)}) !== null")

    async def key(self, key: str) -> None:
        """Press one key."""
        extra: dict[str, Any] = {"windowsVirtualKeyCode": KEY_CODES.get(key, ord(key[0]))}
        text = {"text": key} if len(key) == 1 else {}
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **extra, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key, **extra)

    def noise(self) -> list[dict[str, Any]]:
        """Console messages, errors, policy violations and dialogs."""
        return [event for event in self.events if event["method"] in NOISE]

    def requested(self) -> set[str]:
        """Addresses that were asked for, without the pages' fragments."""
        sent = [event["params"]["request"] for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return {request["url"] for request in sent}


@asynccontextmanager
async def opened_tab(profile: Path) -> AsyncIterator[Tab]:
    """Start Chromium with a fresh profile, a HOME and a temporary folder of its own, and give its page."""
    assert PROGRAM is not None
    # Its socket is in the temporary folder, whose path has to be short.
    with TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as own:
        env = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
        async with _tab_of(profile, {**env, "HOME": own, "TMPDIR": own}) as tab:
            yield tab


@asynccontextmanager
async def _tab_of(profile: Path, env: Mapping[str, str]) -> AsyncIterator[Tab]:
    assert PROGRAM is not None
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        *FLAGS,
        f"--user-data-dir={profile}",
        "about:blank",
        env=env,
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        host = await asyncio.wait_for(_devtools_host(process), WAIT_S)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{host}/json") as response:
                page = next(target for target in await response.json() if target["type"] == "page")
            async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                tab = Tab(socket)
                for domain in ("Page", "Runtime", "Network", "Log"):
                    await tab.call(f"{domain}.enable")
                yield tab
    finally:
        process.terminate()
        await process.communicate()


async def _devtools_host(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async for line in process.stderr:
        if b"DevTools listening on" in line:
            return line.decode().split("/")[2]
    raise AssertionError("Chromium ended before it listened")
