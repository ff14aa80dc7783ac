"""Send the questions of a metric library about one case to a judge, through evalkit's client."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

from evalkit.formats.usage import add_usage
from evalkit.llm.errors import JudgeError
from evalkit.types import Usage

if TYPE_CHECKING:
    from pydantic import BaseModel

    from evalkit.llm.client import ChatClient

Given = tuple[tuple[str, int], ...]
"""Number of items of each name that the judge got: `(("statements", 3),)`."""
LEAST_CHARS = 12
"""Minimum length of a text that shows its origin, unlike `yes` or a number."""
Rule = Callable[[Any, Mapping[str, int]], str | None]
"""The fault of a reply; `None` if there is none."""


class NotApplicable(Exception):
    """The answer contains nothing for the metric to grade."""


class LibraryRules(Protocol):
    """Rules that a library's own reply models do not enforce."""

    def form(self, prompt: str, model: type[Any]) -> type[Any]:
        """Return the reply model to use instead of `model`."""

    def examples_end(self, prompt: str, model: type[Any]) -> int:
        """Return the length of the part of a prompt whose JSON objects are examples, 0 if it cannot be identified."""

    def look(self, reply: Any, number: int) -> None:
        """Inspect a valid reply, after `number` others for this case.

        Raises:
            NotApplicable: The reply has nothing to grade.
        """


class Asked:
    """The questions of one metric about one case, with their usage and the first exception.

    Libraries swallow some exceptions and ask again, so the first one is kept and fails every later question; the scorer
    raises it once the metric has finished.
    """

    def __init__(self, client: ChatClient, rules: LibraryRules, repeat: int = 0) -> None:
        self._client = client
        self._rules = rules
        self._repeat = repeat
        self._times: Counter[str] = Counter()
        self._replies = 0
        # Questions are sent one after the other: if a library asks two at once and one fails, the other is never sent.
        self._turn = asyncio.Lock()
        self.usage: Usage | None = None
        self.error: JudgeError | NotApplicable | None = None

    async def ask(self, prompt: str, model: type[Any]) -> Any:
        """Ask once; the same prompt again is a new sample."""
        async with self._turn:
            return await self._ask(prompt, model)

    async def _ask(self, prompt: str, model: type[Any]) -> Any:
        if self.error is not None:
            raise self.error
        sample = self._times[prompt]
        self._times[prompt] += 1
        try:
            form = self._rules.form(prompt, model)
            parsed = await self._client.structured(prompt, form, sample=sample, repeat=self._repeat)
            self._count(parsed.usage)
            end = self._rules.examples_end(prompt, model)
            if copies_example(parsed.value, prompt[:end], prompt[end:]):
                raise JudgeError("echoed_example", "the reply repeats an example of the prompt")
            self._rules.look(parsed.value, self._replies)
        except (JudgeError, NotApplicable) as error:
            self._count(getattr(error, "usage", None))
            self.error = self.error or error
            raise
        self._replies += 1
        return parsed.value

    def _count(self, usage: Usage | None) -> None:
        if usage is not None:
            self.usage = add_usage(self.usage, usage)


def copies_example(reply: BaseModel, examples: str, case: str) -> bool:
    """Return whether every longer text of a reply comes from the examples in its prompt; small models do that.

    Args:
        reply: A value that fits the form.
        examples: The part of the prompt whose JSON objects are examples.
        case: The rest of the prompt, whose texts a reply may repeat.
    """
    from evalkit.llm.wire import json_objects

    said = [text for text in _texts(reply.model_dump()) if len(text) >= LEAST_CHARS and text not in case]
    if not said:
        return False
    shown = {text for example in json_objects(examples) for text in _texts(example)}
    return shown.issuperset(said)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value.strip()
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)


def ruled(model: type[Any], rule: Rule, given: Given) -> type[Any]:
    """Return a reply model that also enforces `rule`, so that a reply that breaks it is sent back to be repaired."""
    made: type[Any] = _ruled(cast("Any", model), rule, given)
    return made


@functools.lru_cache(maxsize=256)
def _ruled(model: Any, rule: Rule, given: Given) -> Any:
    from pydantic import create_model, model_validator

    def check(reply: Any) -> Any:
        problem = rule(reply, dict(given))
        if problem:
            raise ValueError(problem)
        return reply

    checks: Any = {"keeps_the_rule": model_validator(mode="after")(check)}
    return create_model(model.__name__, __base__=model, __validators__=checks)
