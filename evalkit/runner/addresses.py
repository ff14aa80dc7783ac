"""List the addresses that a run sends requests to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from evalkit.net.proxies import find_proxy
from evalkit.runner.chat_clients import judges_of, user_of
from evalkit.suite.model import Suite
from evalkit.systems.chat import ChatSystem
from evalkit.systems.http import HttpSystem
from evalkit.systems.secrets import filled

if TYPE_CHECKING:
    from evalkit.scorers.embedding.embedders import Embedder


def addresses_of(suite: Suite, embedder: Embedder | None, env: Mapping[str, str]) -> Iterator[str]:
    """Yield every address that a run sends requests to, with the variable of the key.

    Args:
        suite: suite that names the endpoints.
        embedder: the opened embedding of the suite, `None` if no scorer needs one.
        env: the environment, which may name a proxy.
    """
    for system in (suite.system, suite.baseline_system, suite.reference_system):
        if isinstance(system, ChatSystem):
            called = f"{_plain_url(system.base_url)}/chat/completions · {system.chat}{_keyed(system.api_key_env)}"
            yield called + _through(filled(system.base_url, env), env)
        elif isinstance(system, HttpSystem):
            yield _plain_url(system.http) + _through(filled(system.http, env), env)
    user = user_of(suite)
    for who, config in (*(("judge", each) for each in judges_of(suite)), *((("user", user),) if user else ())):
        path = "messages" if config.dialect == "anthropic" else "chat/completions"
        called = f"{_plain_url(config.base_url)}/{path} · {who} {config.model}{_keyed(config.api_key_env)}"
        yield called + _through(config.base_url, env)
    if isinstance(suite.options.embedding, Mapping) and embedder and "openai" in suite.options.embedding:
        yield f"{embedder.name} · embedding"


def _plain_url(url: str) -> str:
    """Return an address as in the suite, without user, query and fragment."""
    head, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{head}://{host.rpartition('@')[2]}{slash}{path}".partition("?")[0].partition("#")[0].rstrip("/")


def _through(url: str, env: Mapping[str, str]) -> str:
    """Name the proxy of an address without its password; empty for a direct connection."""
    proxy = find_proxy(url, env)
    return f", through the proxy {_plain_url(proxy)}" if proxy else ""


def _keyed(variable: str | None) -> str:
    return f", key from {variable}" if variable else ", no key"
