"""Load ragas once, and connect it with evalkit's client and embedding."""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
import types
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from evalkit.scorers.libraries.asked import Asked, NotApplicable

if TYPE_CHECKING:
    from evalkit.scorers.embedding.embedders import Embedder

VERTEX = "langchain_community.chat_models.vertexai"
_LOCK = threading.Lock()


@dataclass(frozen=True)
class RagasLibrary:
    """The parts of ragas that are used.

    Attributes:
        collections: The module of its current metrics.
        messages: The module of its chat turns.
        llm_base: Class that its judges derive from.
        embedding_base: Class that its embeddings derive from.
    """

    collections: Any
    messages: Any
    llm_base: type[Any]
    embedding_base: type[Any]


def load_ragas() -> RagasLibrary:
    """Import ragas, once for the process, on the first thread that needs it.

    Telemetry is turned off before the import. langchain-community 0.4 has dropped a module that ragas 0.4.3 imports
    only to name a class; an empty module replaces it.

    Raises:
        ImportError: ragas, or something it needs, is not installed.
    """
    with _LOCK:
        os.environ["RAGAS_DO_NOT_TRACK"] = "true"  # again: the end of a run restores the environment
        return _load()


@cache
def _load() -> RagasLibrary:
    if not _is_there(VERTEX):
        stand_in = types.ModuleType(VERTEX)
        stand_in.ChatVertexAI = type("ChatVertexAI", (), {})  # type: ignore[attr-defined]
        sys.modules[VERTEX] = stand_in
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ragas.messages as messages
        import ragas.metrics.collections as collections
        from ragas.embeddings.base import BaseRagasEmbedding
        from ragas.llms.base import InstructorBaseRagasLLM
    with suppress(ImportError):
        from ragas._analytics import do_not_track

        do_not_track()  # it keeps its first answer
    return RagasLibrary(collections, messages, InstructorBaseRagasLLM, BaseRagasEmbedding)


def _is_there(module: str) -> bool:
    if module in sys.modules:
        return True
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def judge_for(library: RagasLibrary, asked: Asked) -> Any:
    """Return the judge object for ragas."""
    return _judge_class(cast("Any", library.llm_base))(asked)


@cache
def _judge_class(base: Any) -> Any:
    class EvalkitLLM(base):  # type: ignore[misc]
        """Sends every question of ragas through evalkit's client."""

        def __init__(self, asked: Asked) -> None:
            self.asked = asked

        async def agenerate(self, prompt: str, response_model: type[Any]) -> Any:
            return await self.asked.ask(prompt, response_model)

        def generate(self, prompt: str, response_model: type[Any]) -> Any:
            raise RuntimeError("ragas called its judge without awaiting it; only `ascore` is supported")

    return EvalkitLLM


async def embedding_for(library: RagasLibrary, embedder: Embedder, texts: Sequence[str]) -> Any:
    """Return the embedding object for ragas; `texts` are embedded in advance for metrics that do not await."""
    made = _embedding_class(cast("Any", library.embedding_base))(embedder)
    await made.learn(texts)
    return made


@cache
def _embedding_class(base: Any) -> Any:
    class EvalkitEmbedding(base):  # type: ignore[misc]
        """Gives ragas the vectors of the suite's embedding."""

        def __init__(self, embedder: Embedder) -> None:
            super().__init__()
            self.embedder = embedder
            self.known: dict[str, list[float]] = {}

        async def learn(self, texts: Sequence[str]) -> None:
            for text, vector in zip(texts, await self.embedder.embed(list(texts)), strict=True):
                if not any(vector):
                    raise NotApplicable("a text has no words that the embedding knows")
                self.known[text] = [float(part) for part in vector]

        async def aembed_text(self, text: str, **_: Any) -> list[float]:
            if text not in self.known:
                await self.learn([text])
            return self.known[text]

        def embed_text(self, text: str, **_: Any) -> list[float]:
            return self.known[text]

    return EvalkitEmbedding
