"""Learn which fields of a request an endpoint refuses, and send the others."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, TypeVar

from evalkit.net.retry import ExchangeFailed

T = TypeVar("T")

REFUSING_STATUSES = frozenset({400, 422})
RENAMED = {"max_tokens": "max_completion_tokens"}
"""Fields that newer models accept under another name, with the same meaning."""
TOO_LONG = (
    "prompt and reply together are longer than the model's window; send less text, lower max_tokens, "
    "or use a model with a larger window"
)
_IN_ANY_REFUSAL = frozenset({"model", "messages"})
_WINDOW = re.compile(
    r"context.?(length|window|size)|maximum context|(prompt|input) is too long|too many (input |prompt )?tokens"
    r"|exceed\w* the (maximum|available) (number of tokens|context)",
    re.IGNORECASE,
)
"""Messages of OpenAI, Azure, Anthropic, Google, Mistral, vLLM and llama.cpp about a prompt that is too long."""


def is_too_long(status: int | None, message: str) -> bool:
    """Return whether an endpoint refuses a request because it does not fit into the model's window."""
    return status in (400, 413, 422) and bool(_WINDOW.search(message))


class RequestFields:
    """The fields that one endpoint has refused in this run; they are not sent again.

    Args:
        ours: Fields that evalkit adds. They are dropped if they are refused; a field that the suite sets is never
            dropped.
    """

    def __init__(self, ours: Collection[str]) -> None:
        self._ours = frozenset(ours)
        self._renamed: set[str] = set()
        self.given_up: dict[str, None] = {}
        """Names of the refused fields, in the order in which they were refused."""

    async def send(
        self,
        request: Mapping[str, Any],
        attempt: Callable[[dict[str, Any]], Awaitable[T]],
        said: Callable[[bytes], str],
    ) -> T:
        """Send a request, and again without the fields that the endpoint refuses.

        Args:
            request: All fields.
            attempt: Sends the fields that it is given.
            said: Reads the text of a refusal from its body.

        Raises:
            ExchangeFailed: The exception of `attempt`, if the fields are not the reason.
        """
        while True:
            sent = self.fitted(request)
            try:
                return await attempt(sent)
            except ExchangeFailed as failure:
                self.learn(failure.status, said(failure.body), sent)
                if self.fitted(request) == sent:
                    raise

    def stated(self, status: int | None, said: str, request: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the fields of the suite that a refusal names; `model` and `messages` occur in refusals of any kind."""
        if status not in REFUSING_STATUSES:
            return ()
        names = request.keys() - self._ours - _IN_ANY_REFUSAL
        return tuple(sorted(name for name in names if _names(said, re.escape(name))))

    def fitted(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a request without the refused fields, and with the new names."""
        return {
            RENAMED[name] if name in self._renamed else name: value
            for name, value in request.items()
            if name not in self.given_up
        }

    def learn(self, status: int | None, said: str, sent: Mapping[str, Any]) -> None:
        """Note the fields that a refusal names.

        Args:
            status: Status of the reply.
            said: The text of the refusal.
            sent: The request that was refused, as `fitted` returned it.
        """
        if status not in REFUSING_STATUSES:
            return
        for old, new in RENAMED.items():
            if old in sent and _names(said, new):
                self._renamed.add(old)
        self.given_up.update(dict.fromkeys(name for name in sent if name in self._ours and _names(said, name)))


def _names(said: str, field: str) -> bool:
    return re.search(rf"(?<![A-Za-z_]){field}(?![A-Za-z_])", said) is not None
