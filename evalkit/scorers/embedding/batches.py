"""Batch requests for slow embedders: concurrent requests together, each distinct text once, a bounded cache."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from evalkit.errors import RunError
from evalkit.scorers.rules.normalise import words

Vectors = npt.NDArray[np.float32]

CACHE_BYTES = 8 << 20


class EmbeddingError(RunError):
    """The embedding endpoint or library gave no usable vectors."""


class BatchRejected(EmbeddingError):
    """The endpoint rejected the content of this batch; a smaller batch may be accepted."""


class RawEmbedder(Protocol):
    """A slow source of vectors, to be used through `BatchedEmbedder`."""

    @property
    def name(self) -> str:
        """See `Embedder.name`."""

    async def open(self) -> None:
        """Load the parts that take long or may be missing.

        Raises:
            InputError: they cannot be loaded; the message has the fix.
        """

    async def raw(self, texts: list[str]) -> npt.ArrayLike:
        """Embed one batch; return shape (n, d), rows of any length.

        Raises:
            BatchRejected: a smaller batch may be accepted.
            EmbeddingError: no vectors.
        """

    async def close(self) -> None:
        """Release connections."""


def unit_rows(vectors: npt.ArrayLike) -> Vectors:
    """Scale each row to length 1; zero rows and non-finite rows are kept."""
    rows = np.asarray(vectors, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        peaks = np.abs(rows).max(axis=1, keepdims=True, initial=0)
        rows = rows / np.where(peaks == 0, 1, peaks)  # huge figures must not overflow when squared
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.where(lengths == 0, 1, lengths), dtype=np.float32)


class VectorCache:
    """The most recently used vectors, bounded in bytes so that memory stays flat for any number of cases."""

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._rows: OrderedDict[str, Vectors] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, text: str) -> Vectors | None:
        """Look up a text and mark it as used."""
        row = self._rows.get(text)
        if row is not None:
            self._rows.move_to_end(text)
        return row

    def put(self, text: str, row: Vectors) -> None:
        """Keep a vector, and drop the least recently used ones."""
        if text in self._rows:
            return
        self._rows[text] = row
        self._bytes += _size(text, row)
        while self._bytes > self._max_bytes:
            self._bytes -= _size(*self._rows.popitem(last=False))


def _size(text: str, row: Vectors) -> int:
    return 4 * len(text) + row.nbytes


class BatchedEmbedder:
    """Combines requests of concurrent scorers, embeds equal texts only once, and caches recent vectors."""

    def __init__(self, inner: RawEmbedder, *, batch_size: int = 64, wait_s: float = 0.003) -> None:
        self.name = inner.name
        self._inner = inner
        self._batch_size = batch_size
        self._wait_s = wait_s
        self._cache = VectorCache()
        self._waiting: dict[str, asyncio.Future[Vectors]] = {}
        self._pending: dict[str, asyncio.Future[Vectors]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`."""
        rows = await asyncio.gather(*(self._one(text) for text in texts))
        return np.stack(rows) if rows else np.zeros((0, 0), dtype=np.float32)

    async def tokens(self, text: str) -> tuple[list[str], Vectors]:
        """See `Embedder.tokens`; a token is a word, embedded by itself like a text, or a text without words."""
        pieces = words(text) or [text]
        return pieces, await self.embed(pieces)

    async def __aenter__(self) -> Self:
        """Load the model of the source.

        Raises:
            InputError: its model cannot be loaded.
        """
        await self._inner.open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Release the connections of the source."""
        await self._inner.close()

    async def _one(self, text: str) -> Vectors:
        row = self._cache.get(text)
        # The future is shared: a scorer that is cancelled must not cancel it for the others.
        return row if row is not None else await asyncio.shield(self._pending.get(text) or self._ask(text))

    def _ask(self, text: str) -> asyncio.Future[Vectors]:
        loop = asyncio.get_running_loop()
        future = self._pending[text] = self._waiting[text] = loop.create_future()
        if len(self._waiting) >= self._batch_size:
            self._start()
        elif self._timer is None:
            self._timer = loop.call_later(self._wait_s, self._start)
        return future

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._waiting = self._waiting, {}
        task = asyncio.get_running_loop().create_task(self._run(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, batch: dict[str, asyncio.Future[Vectors]]) -> None:
        try:
            await self._fill(batch)
        finally:
            for text, future in batch.items():
                self._pending.pop(text, None)
                if not future.done():
                    future.cancel()

    async def _fill(self, batch: dict[str, asyncio.Future[Vectors]]) -> None:
        texts = list(batch)
        try:
            rows = unit_rows(await self._inner.raw(texts))
            if len(rows) != len(texts):
                raise EmbeddingError(f"{self.name} gave {len(rows)} vectors for {len(texts)} texts")
        except BatchRejected as error:
            if len(texts) == 1:
                _fail(batch, error)
                return
            # If the endpoint rejects one text, the others of its batch are still embedded.
            half = len(texts) // 2
            await self._fill({text: batch[text] for text in texts[:half]})
            await self._fill({text: batch[text] for text in texts[half:]})
        except Exception as error:  # handed to every scorer that waits for it
            _fail(batch, error)
        else:
            for text, row in zip(texts, rows, strict=True):
                self._cache.put(text, row)
                batch[text].set_result(row)


def _fail(batch: Mapping[str, asyncio.Future[Vectors]], error: Exception) -> None:
    for future in batch.values():
        future.set_exception(error)
        future.exception()  # marks it as seen: a scorer that was cancelled no longer asks
