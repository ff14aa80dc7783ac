"""Load deepeval once and quietly, and connect it with evalkit's client."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TextIO, cast

from evalkit.scorers.libraries.asked import Asked, NotApplicable, Rule, ruled

QUIET: Mapping[str, str] = {
    "DEEPEVAL_TELEMETRY_OPT_OUT": "1",  # else PostHog at exit, and a file in the home folder
    "DEEPEVAL_DISABLE_DOTENV": "1",  # else the import puts the working folder's .env into the process
    "DEEPEVAL_FILE_SYSTEM": "READ_ONLY",  # nothing is stored, whatever it is asked to do
    "DEEPEVAL_EVAL_MODE": "llm",  # others send cases to a vendor's model
}
"""Environment variables to set before deepeval is imported."""
_LOCK = threading.Lock()


@dataclass(frozen=True)
class DeepevalLibrary:
    """The parts of deepeval that are used.

    Attributes:
        metrics: The module of its metrics.
        test_case: The module of its cases.
        llm_base: Class that its judges derive from.
    """

    metrics: Any
    test_case: Any
    llm_base: type[Any]


def load_deepeval() -> DeepevalLibrary:
    """Import deepeval, once for the process, on the first thread that needs it.

    Raises:
        ImportError: deepeval, or something it needs, is not installed.
    """
    with _LOCK:
        os.environ.update(QUIET)  # again: the end of a run restores the environment
        return _load()


def _report_nothing() -> None:
    """Turn usage reports off for the life of the process, even if its environment changes."""
    with contextlib.suppress(ImportError):
        from deepeval.telemetry.client import NoopBackend, set_backend

        set_backend(NoopBackend())


@cache
def _load() -> DeepevalLibrary:
    with muted_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import deepeval.metrics as metrics
        import deepeval.test_case as test_case
        from deepeval.models import DeepEvalBaseLLM
    _report_nothing()
    return DeepevalLibrary(metrics, test_case, DeepEvalBaseLLM)


@contextlib.contextmanager
def muted_thread() -> Iterator[None]:
    """Discard the output of this thread; other threads are not affected."""
    real = sys.stdout
    sys.stdout = cast("TextIO", _Muted(real, threading.get_ident()))
    try:
        yield
    finally:
        sys.stdout = real


class _Muted:
    def __init__(self, real: TextIO, thread: int) -> None:
        self._real = real
        self._thread = thread

    def write(self, text: str) -> int:
        """Write, unless the current thread is muted."""
        return len(text) if threading.get_ident() == self._thread else self._real.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def _verdict_each(reply: Any, given: Mapping[str, int]) -> str | None:
    asked = given["items"]
    if len(reply.verdicts) == asked:
        return None
    return f"{asked} items were given and {len(reply.verdicts)} judged; judge each exactly once"


def _whole_level(reply: Any, given: Mapping[str, int]) -> str | None:
    if reply.score in range(11):
        return None
    return f"score is {reply.score}, it must be a whole number from 0 to 10"


def _some_steps(reply: Any, given: Mapping[str, int]) -> str | None:
    return None if any(step.strip() for step in reply.steps) else "steps is empty; give at least one"


RULES: Mapping[str, Rule] = {"Verdicts": _verdict_each, "ReasonScore": _whole_level, "Steps": _some_steps}
"""Name of deepeval's reply model -> the rule that its replies must keep."""
ITEMS: Mapping[str, str] = {"Claims": "claims", "Statements": "statements"}
"""Name of a reply model -> the list whose items are judged afterwards."""

QUOTING = frozenset({*ITEMS, "Truths", "Steps"})
"""Reply models whose texts may be those of the case."""


class DeepevalRules:
    """The rules for one metric and one case.

    Args:
        items: Number of items to judge, if it is known before the first question.
    """

    def __init__(self, items: int = 0) -> None:
        self._items = items

    def form(self, prompt: str, model: type[Any]) -> type[Any]:
        """See `LibraryRules.form`."""
        rule = RULES.get(model.__name__)
        return ruled(model, rule, (("items", self._items),)) if rule else model

    def examples_end(self, prompt: str, model: type[Any]) -> int:
        """See `LibraryRules.examples_end`: deepeval writes the case between examples, and some forms quote it."""
        return 0 if model.__name__ in QUOTING else len(prompt)

    def look(self, reply: Any, number: int) -> None:
        """See `LibraryRules.look`: deepeval gives 1 to an answer without claims, and to contexts without truths."""
        name = type(reply).__name__
        if name == "Truths" and not reply.truths:
            raise NotApplicable("the judge found no truths in the contexts")
        if name in ITEMS:
            self._items = len(getattr(reply, ITEMS[name]))
            if not self._items:
                raise NotApplicable(f"the judge found no {ITEMS[name]} in the answer")


def judge_for(library: DeepevalLibrary, asked: Asked | None) -> Any:
    """Return the judge object for deepeval; without `asked`, one that must not be used."""
    return _judge_class(cast("Any", library.llm_base))(asked)


@cache
def _judge_class(base: Any) -> Any:
    class EvalkitModel(base):  # type: ignore[misc]
        """Sends every question of deepeval through evalkit's client."""

        def __init__(self, asked: Asked | None) -> None:
            self.asked = asked
            super().__init__("evalkit")

        def load_model(self) -> Any:
            return self

        def get_model_name(self) -> str:
            return "evalkit"

        async def a_generate_with_schema(self, prompt: str, schema: Any = None, **_: Any) -> Any:
            # The inherited method drops a TypeError and asks again without the schema.
            return await self.a_generate(prompt, schema=schema)

        async def a_generate(self, prompt: str, schema: Any = None, **_: Any) -> Any:
            if self.asked is None or schema is None:
                raise RuntimeError("deepeval asked a question that this metric should not need")
            return await self.asked.ask(prompt, schema)

        def generate(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("deepeval called its judge without awaiting it; only `a_measure` is supported")

    return EvalkitModel
