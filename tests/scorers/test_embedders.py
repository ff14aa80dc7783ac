"""Embedders: the offline default against its own library, the endpoint against a real server with faults."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
import pytest
from aiohttp import web

from evalkit.errors import InputError
from evalkit.scorers.embedding.batches import BatchedEmbedder, EmbeddingError, VectorCache, unit_rows
from evalkit.scorers.embedding.embedders import THREAD_CHARS, LocalModel, WordLlama, build_embedder
from evalkit.scorers.embedding.endpoint import EmbeddingEndpoint, EndpointEmbedder

TEXTS = ["Paris is the capital of France.", "naïve café — 日本語 🎉", "x", "The report is due in 30 days."]
Handler = Callable[[web.Request], Awaitable[web.Response]]


def vector_of(text: str) -> list[float]:
    """A vector that tells texts apart."""
    return [float(len(text)), float(text.count("a")), 1.0]


def reply(texts: Sequence[str], backwards: bool = False) -> web.Response:
    """What an endpoint answers."""
    data = [{"index": index, "embedding": vector_of(text)} for index, text in enumerate(texts)]
    return web.json_response({"data": data[::-1] if backwards else data})


class Server:
    """A local endpoint that notes every request."""

    def __init__(self, answer: Callable[[Server, list[str]], web.Response]) -> None:
        self.requests: list[list[str]] = []
        self.keys: list[str | None] = []
        self.url = ""
        self._answer = answer

    async def handle(self, request: web.Request) -> web.Response:
        """Note the request, then answer."""
        texts = (await request.json())["input"]
        self.requests.append(texts)
        self.keys.append(request.headers.get("Authorization"))
        return self._answer(self, texts)

    async def __aenter__(self) -> Server:
        app = web.Application()
        app.router.add_post("/v1/embeddings", self.handle)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._runner.cleanup()


async def at_once(_: float) -> None:
    """Do not wait."""


def asked(server: Server, work: Callable[[BatchedEmbedder], Awaitable[object]], **options: object) -> object:
    """Run `work` against the server with a patient-less endpoint."""

    async def main() -> object:
        async with server:
            endpoint = EmbeddingEndpoint(model="m", base_url=server.url, api_key="sekret-key", retries=2)
            async with BatchedEmbedder(EndpointEmbedder(endpoint, sleep=at_once), **options) as embedder:  # type: ignore[arg-type]
                return await work(embedder)

    return asyncio.run(main())


def test_wordllama_equals_its_library() -> None:
    """Reading the packaged files gives the vectors that the library itself gives the case-folded text."""
    script = (
        "import json, sys, numpy as np\n"
        "from wordllama import WordLlamaInference\n"
        "from evalkit.scorers.embedding.embedders import WordLlama\n"
        "ours = WordLlama()\n"
        "library = WordLlamaInference(np.asarray(ours._table), ours._tokenizer)\n"
        "texts = json.loads(sys.argv[1])\n"
        "print(json.dumps(library.embed([text.casefold() for text in texts], norm=True).tolist()))\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script, json.dumps(TEXTS)], capture_output=True, text=True, check=True
    ).stdout
    assert np.allclose(WordLlama().vectors(TEXTS), json.loads(shown), atol=1e-6)


def test_wordllama_imports_little() -> None:
    """The offline embedding needs neither its own package nor anything heavier than numpy and tokenizers."""
    script = (
        "import sys, asyncio\n"
        "from evalkit.scorers.embedding.embedders import build_embedder\n"
        "asyncio.run(build_embedder(None, {}).embed(['hello']))\n"
        "print(sorted({'wordllama', 'pydantic', 'aiohttp', 'scipy', 'sklearn', 'safetensors'} & set(sys.modules)))\n"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


def test_wordllama_rows_are_unit_and_empty_text_is_zero() -> None:
    """Rows have length 1; a text without any token is a row of zeros, not a division by zero."""
    rows = asyncio.run(WordLlama().embed([*TEXTS, ""]))
    assert rows.shape == (5, 256)
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1, 1, 1, 0], abs=1e-5)


def test_wordllama_long_text_and_lone_surrogate() -> None:
    """A text that is embedded in a thread gets the same vector; a lone surrogate is not an error."""
    embedder = WordLlama()
    long = "one two three " * (THREAD_CHARS // 10)
    rows = asyncio.run(embedder.embed([long, "half \ud83d pair"]))
    assert np.allclose(rows[0], embedder.vectors([long])[0])
    assert np.isfinite(rows).all()
    tokens, vectors = asyncio.run(embedder.tokens(long))
    assert len(tokens) == len(vectors)


def test_wordllama_of_no_texts() -> None:
    """No text gives no row."""
    assert asyncio.run(WordLlama().embed([])).shape == (0, 256)


def test_cache_is_bounded_and_keeps_the_latest() -> None:
    """The cache drops what was unused for longest and never grows over its bytes."""
    row = np.ones(256, dtype=np.float32)
    cache = VectorCache(max_bytes=10 * 1100)
    for number in range(50):
        cache.put(f"text {number:02}", row)
        cache.get("text 00")
    assert len(cache) == 10
    assert cache.get("text 00") is not None
    assert cache.get("text 01") is None


def test_unit_rows_keep_what_is_not_finite() -> None:
    """Huge vectors are scaled; NaN and infinity stay visible."""
    rows = unit_rows([[1e300, 0.0], [np.nan, 1.0], [np.inf, 1.0], [0.0, 0.0]])
    assert rows[0].tolist() == [1.0, 0.0]
    assert not np.isfinite(rows[1]).all()
    assert not np.isfinite(rows[2]).all()
    assert rows[3].tolist() == [0.0, 0.0]


def test_endpoint_batches_concurrent_requests_and_asks_once() -> None:
    """Concurrent scorers share one request, equal texts are asked once, later ones come from the cache."""
    server = Server(lambda _, texts: reply(texts, backwards=True))

    async def work(embedder: BatchedEmbedder) -> object:
        rows = await asyncio.gather(*(embedder.embed([f"text {n % 3}", "shared"]) for n in range(9)))
        again = await embedder.embed(["shared", "text 1"])
        return rows, again

    rows, again = asked(server, work)  # type: ignore[misc]
    assert sorted(server.requests[0]) == ["shared", "text 0", "text 1", "text 2"]
    assert len(server.requests) == 1
    assert np.allclose(rows[1][0], again[1])
    assert np.allclose(again[0], unit_rows([vector_of("shared")])[0])
    assert server.keys == ["Bearer sekret-key"]


def test_endpoint_batch_size_is_bounded() -> None:
    """No request holds more texts than the batch size."""
    server = Server(lambda _, texts: reply(texts))
    rows = asked(server, lambda embedder: embedder.embed([f"{n} " * n for n in range(1, 26)]), batch_size=10)
    assert [len(texts) for texts in server.requests] == [10, 10, 5]
    assert np.shape(rows) == (25, 3)


@pytest.mark.parametrize("status", [500, 429, 503])
def test_endpoint_retries_what_may_pass(status: int) -> None:
    """A passing fault costs a retry, not a score."""

    def answer(server: Server, texts: list[str]) -> web.Response:
        if len(server.requests) < 3:
            return web.Response(status=status, headers={"Retry-After": "0"})
        return reply(texts)

    server = Server(answer)
    assert np.shape(asked(server, lambda embedder: embedder.embed(["a"]))) == (1, 3)
    assert len(server.requests) == 3


def _data(rows: list[object]) -> str:
    return json.dumps({"data": [{"index": index, "embedding": row} for index, row in enumerate(rows)]})


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        pytest.param(500, "broken", r"status 500: broken \(after 3 attempts\)", id="always 500"),
        pytest.param(401, "bad key sekret-key", r"status 401: bad key \*\*\*$", id="401 hides the key"),
        pytest.param(302, "", "status 302", id="redirect"),
        pytest.param(200, _data([[1.0, 2.0]]), r"shape \(1, 2\) for 2 texts", id="too few"),
        pytest.param(200, _data([[1.0, 2.0], [1.0]]), "holds no vectors", id="ragged"),
        pytest.param(200, _data([[], []]), r"shape \(2, 0\)", id="empty rows"),
        pytest.param(200, '{"data": null}', "holds no vectors", id="null"),
        pytest.param(200, "[]", "holds no vectors", id="list"),
        pytest.param(200, "<html>", "holds no vectors", id="html"),
        pytest.param(200, _data([["x"], ["y"]]), "holds no vectors", id="strings"),
    ],
)
def test_endpoint_faults_are_named(status: int, body: str, says: str) -> None:
    """A reply without usable vectors raises an error that says what came back, without the key."""
    server = Server(lambda *_: web.Response(status=status, text=body, headers={"Location": "http://127.0.0.1:9/"}))
    with pytest.raises(EmbeddingError, match=says):
        asked(server, lambda embedder: embedder.embed(["a", "b"]))


def test_endpoint_refused_text_does_not_take_its_neighbours() -> None:
    """Of a batch with one text that the endpoint refuses, the others still get their vectors."""

    def answer(_: Server, texts: list[str]) -> web.Response:
        return web.Response(status=400, text="too long") if "bad" in texts else reply(texts)

    async def work(embedder: BatchedEmbedder) -> list[object]:
        calls = (embedder.embed([text]) for text in ["a", "b", "bad", "c"])
        return await asyncio.gather(*calls, return_exceptions=True)

    outcome = asked(Server(answer), work)
    assert [isinstance(one, EmbeddingError) for one in outcome] == [False, False, True, False]  # type: ignore[attr-defined]


def test_endpoint_nan_stays_visible() -> None:
    """A NaN in a reply is handed on as such: the scorer names it."""
    server = Server(lambda *_: web.Response(text='{"data": [{"index": 0, "embedding": [NaN, 1.0]}]}'))
    rows = asked(server, lambda embedder: embedder.embed(["a"]))
    assert not np.isfinite(rows).all()  # type: ignore[call-overload]


def test_endpoint_that_nobody_serves() -> None:
    """A refused connection is an embedding error after the tries."""
    embedder = EndpointEmbedder(EmbeddingEndpoint(model="m", base_url="http://127.0.0.1:9", retries=2), sleep=at_once)

    async def work() -> None:
        async with BatchedEmbedder(embedder) as batched:
            await batched.embed(["a"])

    with pytest.raises(EmbeddingError, match="after 3 attempts"):
        asyncio.run(work())


def test_cancelled_scorer_leaves_the_others_their_vectors() -> None:
    """A scorer that runs into its time limit does not cancel the request that others wait for."""
    server = Server(lambda _, texts: reply(texts))

    async def work(embedder: BatchedEmbedder) -> object:
        first = asyncio.create_task(embedder.embed(["a"]))
        second = asyncio.create_task(embedder.embed(["a"]))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert np.shape(asked(server, work)) == (1, 3)


def test_a_model_that_cannot_be_loaded_is_told_before_any_call() -> None:
    """A wrong name is a fault of the suite, not of each case."""

    def load() -> Callable[[list[str]], object]:
        raise OSError("no file model.safetensors\nin /nowhere")

    async def work() -> None:
        async with BatchedEmbedder(LocalModel("fastembed m", load)):
            raise AssertionError("opened")

    with pytest.raises(InputError, match=r"embedding: cannot load fastembed m: .*no file model.safetensors") as raised:
        asyncio.run(work())
    assert "that the model is on this machine" in str(raised.value)


def test_local_model_loads_once_and_wrong_counts_are_errors() -> None:
    """A library's model is loaded once, when it is opened; a wrong number of vectors is an error."""
    loads: list[int] = []

    def load() -> Callable[[list[str]], object]:
        loads.append(1)
        return lambda texts: np.ones((len(texts) if "two" not in texts else 1, 4))

    async def work() -> None:
        async with BatchedEmbedder(LocalModel("m", load), wait_s=0.0) as embedder:
            assert (await embedder.embed(["one"])).shape == (1, 4)
            assert (await embedder.embed(["three"])).shape == (1, 4)
            with pytest.raises(EmbeddingError, match="gave 1 vectors for 2 texts"):
                await embedder.embed(["two", "four"])

    asyncio.run(work())
    assert loads == [1]


@pytest.mark.parametrize(
    ("option", "says"),
    [
        pytest.param("word2vec", "write one of: wordllama", id="unknown name"),
        pytest.param({}, "write one of", id="empty"),
        pytest.param({"openai": {"model": "m"}, "fastembed": "x"}, "write one of", id="two kinds"),
        pytest.param({"openai": "m"}, "write one of", id="openai without options"),
        pytest.param({"openai": {"base_url": "https://x"}}, "model is required", id="no model"),
        pytest.param({"openai": {"model": "m", "url": "x"}}, "unknown option 'url'", id="unknown option"),
        pytest.param({"openai": {"model": "m", "base_url": "x"}}, "start it with https://", id="no address"),
        pytest.param({"openai": {"model": "m", "api_key_env": "NO_KEY"}}, "export NO_KEY=", id="missing key"),
        pytest.param({"sentence-transformers": ""}, "write one of", id="no model name"),
    ],
)
def test_wrong_options_say_how_to_mend_them(option: object, says: str) -> None:
    """A wrong `embedding:` is refused before the run, with the fix."""
    with pytest.raises(InputError, match=says):
        build_embedder(option, {})  # type: ignore[arg-type]


@pytest.mark.parametrize("library", ["sentence-transformers", "fastembed"])
def test_missing_library_gives_the_pip_command(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An optional library that is not installed is named with the command that installs it."""
    monkeypatch.setattr("evalkit.scorers.embedding.embedders.find_spec", lambda _: None)
    with pytest.raises(InputError, match=f"pip install {library}"):
        build_embedder({library: "some-model"}, {})


def test_name_holds_no_credentials() -> None:
    """The name, which is written into run folders, has model and address but no user, password or query."""
    option = {"openai": {"model": "m", "base_url": "https://user:pw@host:8443/v1?token=t", "api_key_env": "KEY"}}
    assert build_embedder(option, {"KEY": "secret"}).name == "openai m host:8443/v1"


def test_endpoint_reply_without_end_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply longer than any vectors of so many texts ends the call by its size."""
    monkeypatch.setattr("evalkit.scorers.embedding.endpoint.MOST_BYTES_A_TEXT", 1_000)
    server = Server(lambda *_: web.Response(text=" " * 10_000))
    with pytest.raises(EmbeddingError, match="the reply is longer than 2000 bytes for 1 texts"):
        asked(server, lambda embedder: embedder.embed(["a"]))
