"""Embed texts as unit vectors, offline by default.

```
embedding: wordllama                                            # inside the wheel, no network, no key
embedding: {sentence-transformers: all-MiniLM-L6-v2}            # extra
embedding: {fastembed: BAAI/bge-small-en-v1.5}                  # extra
embedding: {openai: {model: ..., base_url: ..., api_key_env: ...}}
```
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from evalkit.errors import InputError, Problem
from evalkit.net.waits import Waits
from evalkit.scorers.embedding.batches import BatchedEmbedder, VectorCache, Vectors, unit_rows
from evalkit.text.escaping import cut

Encode = Callable[[list[str]], Any]

CHOICES = "wordllama, {sentence-transformers: model}, {fastembed: model}, {openai: {model, base_url, api_key_env}}"
THREAD_CHARS = 50_000
"""Length from which texts block the event loop noticeably (about 1 microsecond per character)."""


class Embedder(Protocol):
    """Turns texts into vectors; safe to share between concurrent scorers of one event loop."""

    @property
    def name(self) -> str:
        """Everything that makes two embeddings incomparable: library, model, size."""

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed `texts`: shape (n, d), rows of length 1; a text without any token is a row of zeros.

        Raises:
            EmbeddingError: the vectors could not be computed.
        """

    async def tokens(self, text: str) -> tuple[list[str], Vectors]:
        """Split `text` into tokens and embed each: n strings and shape (n, d), rows of length 1."""


class WordLlama:
    """Static token embeddings (Llama 2 "supercat", 256 dimensions) pooled by their mean; about 0.3 ms per answer.

    Text is case-folded first: a static table holds "PARIS" and "Paris" as unrelated tokens.

    Tokenizer and weights are read directly from the files in the `wordllama` wheel, because importing the package takes
    twice as long, reconfigures logging, and looks for the tokenizer in a folder that does not exist. The weights are
    mapped, not loaded, so that only the rows in use take memory.
    """

    name = "wordllama l2_supercat 256, case-folded"

    def __init__(self) -> None:
        from tokenizers import Tokenizer

        root = _package_folder("wordllama")
        self._tokenizer = Tokenizer.from_file(str(root / "tokenizers" / "l2_supercat_tokenizer_config.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._table = _map_table(root / "weights" / "l2_supercat_256.safetensors", "embedding.weight")
        self._cache = VectorCache()

    def token_rows(self, text: str) -> tuple[list[str], Vectors]:
        """Return case-folded tokens and their raw vectors; the mean of the rows is the direction of the text."""
        valid = text.casefold().encode("utf-8", "replace").decode()  # a lone surrogate has no UTF-8 form
        encoding = self._tokenizer.encode(valid, add_special_tokens=False)
        return encoding.tokens, self._table[np.asarray(encoding.ids, dtype=np.intp)].astype(np.float32)

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """Embed without an event loop, with the same result as `embed`."""
        return self._stack([self._remembered(text) for text in texts])

    def _stack(self, rows: list[Vectors]) -> Vectors:
        return np.stack(rows) if rows else self._table[:0].astype(np.float32)

    def _remembered(self, text: str) -> Vectors:
        row = self._cache.get(text)
        if row is None:
            row = self._vector(text)
            self._cache.put(text, row)
        return row

    def _vector(self, text: str) -> Vectors:
        pooled: Vectors = unit_rows(self.token_rows(text)[1].sum(axis=0, keepdims=True))[0]
        return pooled

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`."""
        if sum(map(len, texts)) > THREAD_CHARS:
            # The cache belongs to the event loop's thread.
            return self._stack([await asyncio.to_thread(self._vector, text) for text in texts])
        return self.vectors(texts)

    async def tokens(self, text: str) -> tuple[list[str], Vectors]:
        """See `Embedder.tokens`; a token's vector does not depend on its neighbours."""
        call = asyncio.to_thread(self.token_rows, text) if len(text) > THREAD_CHARS else None
        pieces, rows = await call if call else self.token_rows(text)
        return pieces, unit_rows(rows)


def _package_folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise InputError(Problem("embedding", f"{package} is not installed", f"pip install {package}"))
    return Path(spec.origin).parent


def _map_table(path: Path, tensor: str) -> npt.NDArray[np.float16]:
    """Map one half-precision tensor of a safetensors file: 8 bytes of header length, JSON header, data."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))[tensor]
    if header["dtype"] != "F16":
        raise InputError(Problem(path.name, f"{tensor} is {header['dtype']}, not F16", "pip install 'wordllama<0.5'"))
    offset = 8 + length + header["data_offsets"][0]
    return np.memmap(path, dtype=np.float16, mode="r", offset=offset, shape=tuple(header["shape"]))


class LocalModel:
    """A model of an optional library, loaded before the first call and run in a thread, as both take long."""

    def __init__(self, name: str, load: Callable[[], Encode]) -> None:
        self.name = name
        self._load = load
        self._encode: Encode
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """See `RawEmbedder.open`."""
        try:
            self._encode = await asyncio.to_thread(self._load)
        except Exception as error:  # a library's own: no such model, no network, a cut file
            what = (
                f"cannot load {self.name}: {type(error).__name__}: {cut(' '.join(str(error).split()), 300).rstrip('.')}"
            )
            fix = "check the name and, without a network, that the model is on this machine"
            raise InputError(Problem("embedding", what, fix)) from error

    async def raw(self, texts: list[str]) -> npt.ArrayLike:
        """See `RawEmbedder.raw`."""
        async with self._lock:
            vectors: npt.ArrayLike = await asyncio.to_thread(self._encode, texts)
        return vectors

    async def close(self) -> None:
        """Do nothing; there is nothing to release."""


def build_embedder(
    option: str | Mapping[str, Any] | None, environ: Mapping[str, str], waits: Waits | None = None
) -> Embedder:
    """Build the embedder that the suite's `embedding:` names; `None` is the offline default.

    Raises:
        InputError: unknown kind, wrong option, missing library or missing key, with the fix.
    """
    kind, value = _kind_and_value(option)
    if kind == "wordllama":
        return WordLlama()
    if kind == "openai" and isinstance(value, Mapping):
        from evalkit.scorers.embedding.endpoint import endpoint_from

        return BatchedEmbedder(endpoint_from(value, environ, waits))
    if kind in _LIBRARIES and isinstance(value, str) and value:
        _require(kind)
        return BatchedEmbedder(LocalModel(f"{kind} {value}", lambda: _LIBRARIES[kind](value)))
    raise InputError(Problem("embedding", f"cannot read {option!r}", f"write one of: {CHOICES}"))


def _kind_and_value(option: str | Mapping[str, Any] | None) -> tuple[str, Any]:
    if option is None:
        return "wordllama", None
    if isinstance(option, Mapping):
        return next(iter(option.items())) if len(option) == 1 else ("", None)
    return option, None


def _require(library: str) -> None:
    if find_spec(library.replace("-", "_")) is None:
        raise InputError(Problem("embedding", f"{library} is not installed", f"pip install {library}"))


def _load_sentence_transformers(model: str) -> Encode:
    from sentence_transformers import SentenceTransformer

    loaded = SentenceTransformer(model)
    return lambda texts: loaded.encode(texts, convert_to_numpy=True, show_progress_bar=False)


def _load_fastembed(model: str) -> Encode:
    from fastembed import TextEmbedding

    loaded = TextEmbedding(model_name=model)
    return lambda texts: np.stack(list(loaded.embed(texts)))


_LIBRARIES: Mapping[str, Callable[[str], Encode]] = {
    "sentence-transformers": _load_sentence_transformers,
    "fastembed": _load_fastembed,
}
