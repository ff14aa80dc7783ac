"""A case, and a way to grade it by a judge on a local model server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from evalkit.llm.client import ChatClient
from evalkit.llm.config import ChatConfig
from evalkit.scorers.base import Services
from evalkit.testing import FakeModel
from evalkit.types import Case, Output

CASE = Case(id="1", input="What is the fee?", reference=("10 EUR",), contexts=("The fee is 10 EUR a month.",))


async def no_wait(_: float) -> None:
    """Retry at once."""


def graded(
    options: Any,
    servers: FakeModel | Sequence[FakeModel],
    *,
    text: str = "10 EUR",
    case: Case = CASE,
    root: Path = Path(),
    output: Output | None = None,
    outputs_of: Callable[[str], Iterable[tuple[str, Output]]] | None = None,
) -> Any:
    """Grade one answer; the first server is the judge, the others are its panel."""
    members = [servers] if isinstance(servers, FakeModel) else list(servers)

    async def run() -> Any:
        async with AsyncExitStack() as stack:
            clients = []
            for number, server in enumerate(members, 1):
                await stack.enter_async_context(server)
                config = ChatConfig(model=f"m-{number}", base_url=server.base_url, timeout_s=60, max_retries=1)
                clients.append(await stack.enter_async_context(ChatClient(config, env={}, sleep=no_wait)))
            services = Services(root, llm=clients[0], panel=tuple(clients[1:]), outputs_of=outputs_of)
            grade = options.bind(services).score(case, output or Output(text=text))
            return await grade

    return asyncio.run(run())


def sent(request: dict[str, Any]) -> str:
    """The user turn of a request."""
    content: str = request["messages"][1]["content"]
    return content
