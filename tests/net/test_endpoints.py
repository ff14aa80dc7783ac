"""What systems, judges and embeddings know of endpoints alike: addresses, keys, proxies, refused fields, limits."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from evalkit.errors import InputError
from evalkit.llm.client import ChatClient
from evalkit.llm.config import ChatConfig
from evalkit.llm.errors import JudgeError
from evalkit.net import exchange
from evalkit.net.addresses import endpoint_url, key_header
from evalkit.net.proxies import find_proxy
from evalkit.net.rate_limits import Limits, Timetable
from evalkit.scorers.embedding.batches import EmbeddingError
from evalkit.scorers.embedding.endpoint import endpoint_from
from evalkit.systems import ChatSystem, HttpSystem, Shared
from evalkit.systems.endpoint import paced
from evalkit.types import Case, Failure, Output, Usage

USAGE = {"prompt_tokens": 9, "completion_tokens": 3}
CASE = Case(id="a", input="q", digest="0" * 64)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Answers each request after a rule has looked at it, and keeps what came."""

    def __init__(self, refuse: Callable[[dict[str, Any]], web.Response | None] = lambda body: None) -> None:
        self.refuse = refuse
        self.bodies: list[dict[str, Any]] = []
        self.requests: list[web.BaseRequest] = []
        self.url = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer in the form that the path asks for."""
        body = await request.json()
        self.bodies.append(body)
        self.requests.append(request)
        if (refusal := self.refuse(body)) is not None:
            return refusal
        if request.path.endswith("/embeddings"):
            return web.json_response(
                {"data": [{"index": at, "embedding": [1.0]} for at, _ in enumerate(body["input"])]}
            )
        if request.path.endswith("/ask"):
            return web.json_response({"text": "Paris"})
        message = {"role": "assistant", "content": "Paris"}
        return web.json_response(
            {"model": "m", "choices": [{"message": message, "finish_reason": "stop"}], "usage": USAGE}
        )

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """Serve on a free port; any request line is taken, as a proxy's is a whole URL."""
        server = web.Server(self.handle)
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self.url
        finally:
            await runner.cleanup()


async def chat(base_url: str, env: Mapping[str, str], **options: Any) -> str:
    """Ask a chat system once."""
    shared = Shared(root=Path("/"), project=Path("/"), env=env)
    system = ChatSystem(chat="m", base_url=base_url, **{"retries": 0, **options})
    if problems := system.problems(shared):
        raise InputError(problems)
    async with system.open(shared) as answer:
        ended = await answer(CASE, 0)
    return ended.text if isinstance(ended, Output) else f"{ended.kind}: {ended.message}"


async def judge(base_url: str, env: Mapping[str, str], **options: Any) -> str:
    """Ask a judge once."""
    config = ChatConfig(model="m", base_url=base_url, **{"max_retries": 0, **options})
    async with ChatClient(config, env=env, sleep=lambda seconds: exchange._sleep(seconds)) as client:
        try:
            return (await client.text("q")).text
        except JudgeError as error:
            return str(error)


async def embedding(base_url: str, env: Mapping[str, str], **options: Any) -> str:
    """Embed a text once."""
    embedder = endpoint_from({"model": "m", "base_url": base_url, **options}, env)
    try:
        return "Paris" if await embedder.raw(["q"]) is not None else ""
    finally:
        await embedder.close()


CALLERS = [chat, judge, embedding]


def asked(server: Server, caller: Any, path: str = "/v1", env: Mapping[str, str] | None = None, **options: Any) -> str:
    """Ask once, against the server."""

    async def run() -> str:
        async with server.open() as url:
            said: str = await caller(f"{url}{path}", env or {}, **options)
            return said

    return asyncio.run(run())


# Addresses and keys


AZURE = "/openai/deployments/gpt?api-version=2024-06-01"


@pytest.mark.parametrize("caller", CALLERS)
def test_the_path_goes_before_the_query_and_azure_takes_its_own_header(caller: Any) -> None:
    """Azure's address ends in a query, and its keys are refused as bearer tokens."""
    server = Server()
    assert asked(server, caller, AZURE, {"AZ_KEY": "secret-az-key"}, api_key_env="AZ_KEY") == "Paris"
    (request,) = server.requests
    operation = "embeddings" if caller is embedding else "chat/completions"
    assert request.path_qs == f"/openai/deployments/gpt/{operation}?api-version=2024-06-01"
    assert request.headers["api-key"] == "secret-az-key"
    assert "Authorization" not in request.headers


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("header", ["X-Gateway-Key", "Authorization"])
def test_the_header_of_the_key_can_be_named(caller: Any, header: str) -> None:
    """A gateway takes the key where it wants it; `Authorization` always is a bearer token."""
    server = Server()
    asked(server, caller, AZURE, {"K": "secret-key"}, api_key_env="K", api_key_header=header)
    sent = {"X-Gateway-Key": "secret-key", "Authorization": "Bearer secret-key"}[header]
    assert server.requests[0].headers[header] == sent
    assert "api-key" not in server.requests[0].headers


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("key", ["secret-key\n", " secret-key\r\n", "secret-key\t "])
def test_blanks_around_a_key_are_left_out(caller: Any, key: str) -> None:
    """A key from a file ends in a line feed, which no header can hold."""
    server = Server()
    assert asked(server, caller, env={"K": key}, api_key_env="K") == "Paris"
    assert server.requests[0].headers["Authorization"] == "Bearer secret-key"


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("key", ["two\nlines", "schlüssel", "a\x00b"])
def test_a_key_that_no_header_holds_is_a_problem_before_the_first_call(caller: Any, key: str) -> None:
    """One problem with a fix, and not a failure of each case; the key is not shown."""
    server = Server()
    with pytest.raises(InputError, match="K cannot be a key: it has line breaks or non-ASCII") as caught:
        asked(server, caller, env={"K": key}, api_key_env="K")
    assert key not in str(caught.value)
    assert not server.requests


def test_a_chat_system_sends_further_headers() -> None:
    """Headers may hold secrets of the environment, without the line end of a file."""
    server = Server()
    headers = {"X-Team": "search", "X-Token": "${TEAM_TOKEN}"}
    assert asked(server, chat, env={"TEAM_TOKEN": "secret-team\n"}, headers=headers) == "Paris"
    assert (server.requests[0].headers["X-Team"], server.requests[0].headers["X-Token"]) == ("search", "secret-team")


def test_a_secret_in_a_header_is_not_shown() -> None:
    """An endpoint that repeats a header in its refusal gives no secret away, nor the stripped form of one."""
    server = Server(lambda body: web.json_response({"error": {"message": "bad token secret-team"}}, status=403))
    said = asked(server, chat, env={"TEAM_TOKEN": "secret-team\n"}, headers={"X-Token": "${TEAM_TOKEN}"})
    assert said.startswith("http_403")
    assert "secret-team" not in said


@pytest.mark.parametrize(
    ("headers", "env", "problem"),
    [
        ({"api-key": "abc"}, {}, "a secret is written into the suite"),
        ({"X-Team": "${TEAM}"}, {}, "environment variable TEAM is not set"),
        ({"X-Team": "${TEAM}"}, {"TEAM": "a\r\nb"}, "TEAM has a line break or a control character inside"),
    ],
)
def test_headers_of_a_chat_system_are_checked_first(headers: Any, env: Any, problem: str) -> None:
    """As those of an `http:` system."""
    with pytest.raises(InputError, match=problem):
        asked(Server(), chat, env=env, headers=headers)


@pytest.mark.parametrize("caller", [chat, judge])
def test_the_name_of_a_header_is_checked(caller: Any) -> None:
    """A name with a colon is a mistake in the suite."""
    with pytest.raises(ValueError, match="api_key_header: not the name of a header"):
        asked(Server(), caller, env={"K": "k"}, api_key_env="K", api_key_header="api key: ")


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("http://h/v1", "http://h/v1/op"),
        ("http://h/v1/", "http://h/v1/op"),
        ("http://h/v1/?a=1", "http://h/v1/op?a=1"),
        ("http://h?a=b/c", "http://h/op?a=b/c"),
    ],
)
def test_addresses(base_url: str, url: str) -> None:
    """One slash, and the query last."""
    assert endpoint_url(base_url, "op") == url
    assert endpoint_url(url, "op") == url  # an address that is copied whole


def test_azure_is_known_by_its_hosts_and_paths() -> None:
    """Its newer address has no deployment in the path."""
    for base_url in ("https://x.openai.azure.com/openai/v1", "https://gw.example/openai/deployments/gpt?api-version=1"):
        assert key_header("k", base_url) == {"api-key": "k"}
    assert key_header("k", "https://api.openai.com/v1") == {"Authorization": "Bearer k"}


# Fields that are refused


def refusing(*fields: str, status: int = 400, form: str = "message") -> Callable[[dict[str, Any]], web.Response | None]:
    """Refuse the first of some fields, in the words of several servers."""

    def refuse(body: dict[str, Any]) -> web.Response | None:
        found = next((field for field in fields if field in body), None)
        if found is None:
            return None
        instead = " Use 'max_completion_tokens' instead." if found == "max_tokens" else ""
        text = f"Unsupported parameter: '{found}' is not supported with this model.{instead}"
        detail = [{"loc": ["body", found], "msg": f"Extra inputs are not permitted.{instead}", "input": body}]
        forms: dict[str, Any] = {
            "message": {"error": {"message": text}},
            "param": {"error": {"message": f"{text} (you sent temperature, seed)", "param": found}},
            "detail": {"detail": detail},
            "text": text,
        }
        return web.json_response(forms[form], status=status)

    return refuse


@pytest.mark.parametrize("form", ["message", "param", "detail", "text"])
@pytest.mark.parametrize("status", [400, 422])
def test_a_judge_gives_up_sampling_fields_that_the_suite_does_not_set(form: str, status: int) -> None:
    """Each is refused once, remembered for the run, and told; the field that is not refused stays."""
    server = Server(refusing("temperature", "max_tokens", status=status, form=form))

    async def run() -> tuple[str, ...]:
        async with server.open() as url, ChatClient(ChatConfig(model="m", base_url=f"{url}/v1"), env={}) as client:
            await client.text("one")
            await client.text("two")
            return client.given_up

    assert asyncio.run(run()) == ("temperature",)
    assert [sorted(body.keys() - {"model", "messages"}) for body in server.bodies] == [
        ["max_tokens", "seed", "temperature"],
        ["max_tokens", "seed"],
        ["max_completion_tokens", "seed"],
        ["max_completion_tokens", "seed"],
    ]


def test_questions_in_flight_learn_from_each_other() -> None:
    """A refusal of a field that another question gave up already costs no further attempt."""
    server = Server(refusing("temperature", "seed"))

    async def run() -> list[str]:
        config = ChatConfig(model="m", base_url=server.url, max_retries=0)
        async with ChatClient(config, env={}) as client:
            return [reply.text for reply in await asyncio.gather(*(client.text(f"q{at}") for at in range(8)))]

    async def served() -> list[str]:
        async with server.open():
            return await run()

    assert asyncio.run(served()) == ["Paris"] * 8


@pytest.mark.parametrize(("field", "value"), [("temperature", 0.7), ("seed", 4)])
def test_a_field_that_the_suite_sets_is_never_dropped(field: str, value: float) -> None:
    """The refusal is the judge's error, with the way out."""
    server = Server(refusing(field))
    said = asked(server, judge, **{field: value})
    assert said.startswith("http_400: Unsupported parameter")
    assert "set temperature or seed to null" in said
    assert len(server.requests) == 1


def test_a_chat_system_learns_the_name_of_the_limit() -> None:
    """`max_completion_tokens` is the same limit, so the user's own value is sent under it."""
    server = Server(refusing("max_tokens"))
    assert asked(server, chat, max_tokens=50) == "Paris"
    assert [body.get("max_completion_tokens") for body in server.bodies] == [None, 50]


def test_a_chat_system_gives_up_stream_options() -> None:
    """The answer counts; its tokens may be unknown."""
    server = Server(refusing("stream_options"))
    assert asked(server, chat, stream=True) == "Paris"
    assert ["stream_options" in body for body in server.bodies] == [True, False]


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"parameters": {"seed": 3}}, {"parameters": {"top_p": 1}}])
def test_a_chat_system_drops_nothing_that_the_suite_sets(options: Any) -> None:
    """A refused field of the suite fails the call with the server's words."""
    server = Server(refusing("temperature", "seed", "top_p"))
    assert asked(server, chat, **options).startswith("http_400")
    assert len(server.requests) == 1


def test_an_http_system_is_asked_with_the_body_of_the_suite() -> None:
    """Nothing in it is renamed."""
    server = Server(refusing("max_tokens"))

    async def run() -> Output | Failure:
        shared = Shared(root=Path("/"), project=Path("/"))
        async with server.open() as url:
            system = HttpSystem(http=f"{url}/ask", body={"q": "{{input}}", "max_tokens": 5}, retries=0)
            async with system.open(shared) as answer:
                return await answer(CASE, 0)

    ended = asyncio.run(run())
    assert isinstance(ended, Failure)
    assert ended.kind == "http_400"


# Proxies


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_the_proxy_of_the_environment_is_used(caller: Any, name: str) -> None:
    """A host that only the proxy can reach is asked through it, with the proxy's own password."""

    async def run() -> str:
        async with server.open() as url:
            env = {name: url.replace("://", "://user:pa%3Ass@")}
            said: str = await caller("http://llm.corp.invalid/v1", env)
            return said

    server = Server()
    assert asyncio.run(run()) == "Paris"
    (request,) = server.requests
    assert request.headers["Host"] == "llm.corp.invalid"
    assert request.headers["Proxy-Authorization"] == f"Basic {base64.b64encode(b'user:pa:ss').decode()}"
    assert "Authorization" not in request.headers


def test_a_password_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~/.netrc` names hosts for other programs; nothing of it is sent."""
    (tmp_path / ".netrc").write_text("default login me password secret-netrc\n", encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    server = Server()
    for caller in CALLERS:
        asked(server, caller)
    assert not [request for request in server.requests if "Authorization" in request.headers]


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize(("status", "again"), [(407, False), (503, True)])
def test_a_proxy_that_refuses_is_named(caller: Any, status: int, again: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was sent through it, so a proxy that is overloaded is asked again; one without a login is not."""
    waits: list[float] = []

    async def no_sleep(seconds: float) -> None:
        waits.append(seconds)

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async def run() -> str:
        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            env = {"https_proxy": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"}
            retries = {chat: {"retries": 1}, judge: {"max_retries": 1}, embedding: {}}[caller]
            try:
                said: str = await caller("https://llm.corp.invalid/v1", env, **retries)
            except EmbeddingError as error:
                return str(error)
            return said

    monkeypatch.setattr(exchange, "_sleep", no_sleep)
    assert f"the proxy answered {status} No; check the proxy in the environment" in asyncio.run(run())
    assert bool(waits) is again


PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("url", "env", "proxy"),
    [
        ("http://h/v1", {"http_proxy": PROXY}, PROXY),
        ("http://h/v1", {"HTTP_PROXY": PROXY}, PROXY),
        ("http://h/v1", {"http_proxy": PROXY, "HTTP_PROXY": "http://other"}, PROXY),
        ("http://h/v1", {"https_proxy": PROXY}, None),
        ("https://h/v1", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://h/v1", {"http_proxy": PROXY}, None),
        ("https://h/v1", {"ALL_PROXY": PROXY}, PROXY),
        ("https://h/v1", {"all_proxy": "http://other", "https_proxy": PROXY}, PROXY),
        ("http://h/v1", {"http_proxy": "proxy.example:3128"}, PROXY),
        ("http://h/v1", {"http_proxy": f" {PROXY}\n"}, PROXY),
        ("http://h/v1", {"http_proxy": ""}, None),
        ("http://localhost:11434/v1", {"http_proxy": PROXY}, None),
        ("http://127.0.0.1:8000/v1", {"http_proxy": PROXY}, None),
        ("http://127.8.0.1/v1", {"http_proxy": PROXY}, None),
        ("http://[::1]:8000/v1", {"http_proxy": PROXY}, None),
        ("http://model.localhost/v1", {"http_proxy": PROXY}, None),
    ],
)
def test_which_proxy_is_used(url: str, env: dict[str, str], proxy: str | None) -> None:
    """By the scheme, in either case, and never for the own machine."""
    assert find_proxy(url, env) == proxy


@pytest.mark.parametrize(
    ("no_proxy", "direct"),
    [
        ("llm.corp.example", True),
        ("corp.example", True),
        (".corp.example", True),
        ("*.corp.example", True),
        ("LLM.Corp.Example", True),
        ("other.example, llm.corp.example", True),
        ("other.example corp.example", True),
        ("*", True),
        ("llm.corp.example:8080", True),
        ("llm.corp.example:9090", False),
        ("rp.example", False),
        ("llm", False),
        ("", False),
        ("10.0.0.0/8", False),
    ],
)
def test_hosts_that_are_called_directly(no_proxy: str, direct: bool) -> None:
    """A host, its domain, a port, everything; not a part of a name."""
    url = "http://llm.corp.example:8080/v1"
    for name in ("no_proxy", "NO_PROXY"):
        assert (find_proxy(url, {"http_proxy": PROXY, name: no_proxy}) is None) is direct


@pytest.mark.parametrize(("no_proxy", "direct"), [("10.0.0.0/8", True), ("10.1.2.3", True), ("10.1.2.0/30", False)])
def test_addresses_that_are_called_directly(no_proxy: str, direct: bool) -> None:
    """Networks are named as clusters write them."""
    assert (
        find_proxy("http://10.1.2.5/v1", {"http_proxy": PROXY, "no_proxy": no_proxy.replace("2.3", "2.5")}) is None
    ) is direct


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("value", ["socks5://user:secret-word@proxy:1080", "http://", "http://proxy:port"])
def test_a_proxy_that_cannot_be_used_is_a_problem_before_the_first_call(caller: Any, value: str) -> None:
    """It names the variable, and does not show its value."""
    with pytest.raises(InputError, match="http_proxy is not the address of an HTTP proxy; write one") as caught:
        asyncio.run(caller("http://llm.corp.invalid/v1", {"http_proxy": value}))
    assert "secret-word" not in str(caught.value)


# Limits


def test_a_system_keeps_its_limits_outside_the_time_out() -> None:
    """Calls wait for their places; the seconds count towards no case."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def answer(case: Case, repeat: int) -> Output:
        return Output(text="a", usage=Usage(input_tokens=50, output_tokens=50))

    async def run(limits: Limits) -> None:
        call = paced(answer, limits, lambda case: 400, sleep)
        for _ in range(3):
            await call(CASE, 0)

    asyncio.run(run(Limits(6, timetable=Timetable(lambda: 0.0))))
    assert waits == [10.0, 20.0]
    waits.clear()
    # 100 characters' worth of tokens and 100 of the reply are reserved, 100 used: 6,000 a minute let 100 pass a second.
    asyncio.run(run(Limits(None, 6000, 100, Timetable(lambda: 0.0))))
    assert waits == pytest.approx([1.0, 2.0])


def test_the_limits_of_systems_are_settings() -> None:
    """Zero would never send anything; no limit changes the fingerprint."""
    shared = Shared(root=Path("/"), project=Path("/"))
    for system, names in (
        (ChatSystem, ("requests_per_minute", "tokens_per_minute")),
        (HttpSystem, ("requests_per_minute",)),
    ):
        options = {"chat": "m", "base_url": "http://h"} if system is ChatSystem else {"http": "http://h"}
        for name in names:
            with pytest.raises(ValueError, match=f"{name}: not above 0"):
                system(**options, **{name: 0})
            limited = system(**options, **{name: 5})
            assert limited.fingerprint(shared) == system(**options).fingerprint(shared)


def test_fingerprints_of_earlier_versions_hold() -> None:
    """Settings that did not exist change no fingerprint, so that runs can be resumed and compared."""
    shared = Shared(root=Path("/"), project=Path("/"))
    plain = ChatSystem(chat="m", base_url="http://h/v1", parameters={"seed": 1})
    assert plain.fingerprint(shared) == "7208d8f966a5ab9997b7cda040497022732e77f573dba2dde89a6798c8b8bdaa"
    assert HttpSystem(http="http://h/v1", headers={"a": "b"}).fingerprint(shared) == (
        "8d07f9795add76500ff0f18479778c6274875622c5af5b06c6cac5c1df7689c8"
    )
    named = ChatSystem(chat="m", base_url="http://h/v1", parameters={"seed": 1}, headers={"X-Model": "b"})
    assert named.fingerprint(shared) != plain.fingerprint(shared)
