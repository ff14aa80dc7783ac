"""HTTP services as systems, against real servers on loopback."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib

import pytest
from aiohttp import web

from evalkit.systems import HttpSystem, Shared
from evalkit.types import Case, Failure, Message, Output, ToolCall, Usage


def system(url, **options):
    """A system that does not wait long."""
    return HttpSystem(**{"http": f"{url}/ask", "timeout_s": 60, **options})


def replying(value, **options):
    """A handler that always answers the same JSON."""

    async def handler(request):
        return web.json_response(value, **options)

    return handler


async def raw(request, data: bytes):
    """Write bytes to the socket as they are, then close it."""
    request.transport.write(data)
    request.transport.close()
    await asyncio.sleep(0)
    return web.Response()


def test_the_default_request_and_reply(serve, shared, case):
    """The input is posted as {"input": ...}, the answer and its parts are found by name."""
    seen = []

    async def handler(request):
        seen.append((request.path, request.content_type, await request.json()))
        return web.json_response(
            {"answer": "yes", "contexts": ["p"], "usage": {"output_tokens": 2, "total": 9}, "debug": 1}
        )

    (output,) = serve(handler, system, shared, case())
    assert [("/ask", "application/json", {"input": "hi"})] == seen
    assert ("yes", ("p",), Usage(output_tokens=2)) == (output.text, output.contexts, output.usage)
    assert output.latency_s > 0


def test_the_body_is_a_template_and_data_is_not(serve, shared, case):
    """Placeholders are filled once; braces, percent signs and dollars in the data stay as they are."""
    hostile = "{{id}} {{7*7}} {0.__class__} %s $(id) ${HOME} \ud800 \u2028 \0"

    async def handler(request):
        return web.json_response({"text": json.dumps(await request.json())})

    body = {
        "q": "{{input}}",
        "note": "for {{ id }}: {{contexts}} / {{cohorts.domain}} / {{extra}}",
        "docs": ["{{contexts}}", {"domain": "{{cohorts.domain}}"}],
        "k": 3,
        "stream": False,
    }
    row = case(hostile, contexts=("a", "b"), cohorts={"domain": "{{input}}"}, fields={"extra": {"x": 1}})
    (output,) = serve(handler, lambda url: system(url, body=body), shared, row)
    assert {
        "q": hostile,
        "note": 'for c1: a\n\nb / {{input}} / {"x": 1}',
        "docs": [["a", "b"], {"domain": "{{input}}"}],
        "k": 3,
        "stream": False,
    } == json.loads(output.text)


def test_a_chat_input_is_sent_as_turns(serve, shared, case):
    """Alone, the placeholder becomes the list of turns; inside a text, one line for each."""

    async def handler(request):
        return web.json_response({"text": json.dumps(await request.json())})

    row = case((Message("user", "a"), Message("assistant", "b")))
    (output,) = serve(handler, lambda url: system(url, body={"m": "{{input}}", "t": "> {{input}}"}), shared, row)
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert {"m": turns, "t": "> user: a\nassistant: b"} == json.loads(output.text)


def test_picked_parts(serve, shared, case):
    """Paths lead to text, passages, usage and tool calls, those of the chat protocol included."""
    reply = {
        "r": [{"say": "yes"}],
        "docs": [{"t": "p1"}, {"t": "p2"}],
        "n": {"in": 5, "out": 6},
        "calls": [{"id": "1", "type": "function", "function": {"name": "look", "arguments": '{"x": 1}'}}],
    }
    pick = {
        "text": "$.r[0].say",
        "contexts": "docs[*].t",
        "usage.input_tokens": "n.in",
        "usage.output_tokens": "n['out']",
        "tool_calls": "calls",
        "trajectory": "steps?",
    }
    (output,) = serve(replying(reply), lambda url: system(url, pick=pick), shared, case())
    assert output == Output(
        text="yes",
        contexts=("p1", "p2"),
        usage=Usage(input_tokens=5, output_tokens=6),
        tool_calls=(ToolCall("look", {"x": 1}, id="1"),),
        latency_s=output.latency_s,
    )


def test_words_that_services_use_for_other_things_need_a_path(serve, shared, case):
    """`state`, `stop`, `messages` and `interrupt` of a reply are read where `pick` names them, else not at all."""
    reply = {"answer": "yes", "state": "done", "stop": True, "messages": 3, "world": {"paid": 1}, "why": "end"}
    (plain,) = serve(replying(reply), system, shared, case())
    assert (plain.text, plain.state, plain.stop, plain.messages) == ("yes", None, None, None)
    pick = {"text": "answer", "state": "world", "stop": "why"}
    (picked,) = serve(replying(reply), lambda url: system(url, pick=pick), shared, case())
    assert (picked.text, picked.state, picked.stop) == ("yes", {"paid": 1}, "end")
    chat = {"log": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    (output,) = serve(replying(chat), lambda url: system(url, pick={"messages": "log"}), shared, case())
    assert (output.text, output.messages) == ("a", (Message("user", "q"), Message("assistant", "a")))


@pytest.mark.parametrize(
    ("reply", "pick", "message"),
    [
        ({"a": 1, "b": 2}, {}, "no text under text, answer, output, there is a mapping with a, b; set `pick.text`"),
        ([1], {}, "expected an object with text or answer or output, got list; set `pick`"),
        ({"a": {"c": 1}}, {"text": "a.b"}, "a.b: no `b`, there is a mapping with c"),
        (
            {"a": "x", "b": 1},
            {"text": "a", "interrupt": "ask"},
            "ask: no `ask`, there is a mapping with a, b; if it may be absent, write `ask?`",
        ),
        ({"a": []}, {"text": "a[0]"}, "a[0]: no item [0], there is a list of 0"),
        ({"a": "x"}, {"text": "a[*].t"}, "a[*].t: `[*]` needs a list, there is str 'x'"),
        ({"a": 7}, {"text": "a"}, "text: expected a string, got int 7"),
        ({"a": "x", "d": "p"}, {"text": "a", "contexts": "d"}, "contexts: expected a list, got str 'p'"),
        (
            {"a": "x", "n": True},
            {"text": "a", "usage.input_tokens": "n"},
            "usage.input_tokens: expected a whole number of at least 0, got bool True",
        ),
    ],
)
def test_a_reply_without_the_answer_says_what_was_there(reply, pick, message, serve, shared, case):
    """A reply that does not hold what is picked fails with the path and what was found."""
    (ended,) = serve(replying(reply), lambda url: system(url, pick=pick), shared, case())
    assert Failure("bad_output", message) == ended


async def html(request):
    """A page where JSON is expected."""
    return web.Response(text="<html>\n<body>Sign in</body></html>", content_type="text/html")


async def bad_json(request):
    """JSON that ends early."""
    return web.Response(text='{"text": "a', content_type="application/json")


async def empty(request):
    """Nothing."""
    return web.Response(content_type="application/json")


async def nan(request):
    """A number that JSON does not have."""
    return web.Response(text='{"text": "a", "ttft_s": NaN}', content_type="application/json")


async def deep(request):
    """JSON nested beyond what a parser can follow."""
    return web.Response(text="[" * 100_000, content_type="application/json")


async def not_utf8(request):
    """Bytes that are no text."""
    return web.Response(body=b'{"text": "\xff"}')


async def bomb(request):
    """A small body that becomes a gigabyte."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    first, again = (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    packed = first + again * 1023  # full flushes make the blocks independent, so one can be repeated
    return web.Response(body=packed, headers={"Content-Encoding": "gzip"})


async def false_gzip(request):
    """Plain text under a gzip header."""
    return web.Response(body=b"plain", headers={"Content-Encoding": "gzip"})


async def brotli(request):
    """An encoding that was not asked for."""
    return web.Response(body=b"x", headers={"Content-Encoding": "br"})


async def endless(request):
    """A body that never ends."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(bytes(1 << 20))


async def drip(request):
    """A body that comes a byte at a time."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.02)


async def hang(request):
    """No answer."""
    await asyncio.sleep(3600)


async def redirect(request):
    """An answer elsewhere."""
    raise web.HTTPFound("http://127.0.0.1:9/elsewhere")


async def broken(request):
    """An error with a page of text."""
    return web.Response(status=500, text="Traceback\n  boom\n" + "x" * 10_000)


async def denied(request):
    """An error that repeats the key."""
    return web.Response(status=401, text="bad key " + request.headers["Authorization"])


@pytest.mark.parametrize(
    ("handler", "kind", "message"),
    [
        (html, "bad_output", "not JSON (Expecting value: line 1 column 1 (char 0)): <html> <body>Sign in"),
        (bad_json, "bad_output", "not JSON (Unterminated string"),
        (empty, "bad_output", "not JSON (Expecting value: line 1 column 1 (char 0)): empty"),
        (nan, "bad_output", "NaN is not a JSON number"),
        (deep, "bad_output", "nested too deeply"),
        (not_utf8, "bad_output", "the reply is not UTF-8 (byte 0xff at 11)"),
        (bomb, "too_large", "longer than 10000000 bytes; raise max_bytes"),
        (false_gzip, "bad_output", "cannot be decompressed"),
        (brotli, "bad_output", "encoded as br, which was not asked for"),
        (endless, "too_large", "raise max_bytes if this is meant"),
        (drip, "timeout", "no answer within 1 s"),
        (hang, "timeout", "no answer within 1 s"),
        (redirect, "http_302", "redirects are not followed"),
        (broken, "http_500", "/ask answered 500: Traceback boom xxx"),
        (denied, "http_401", "answered 401: bad key Bearer ***"),
    ],
)
def test_a_fault_is_a_failure_of_its_case(handler, kind, message, serve, case, tmp_path):
    """Every broken reply ends its call as a named failure in one short line, without the key."""
    shared = Shared(root=tmp_path, project=tmp_path, env={"KEY": "canary-secret"})
    options = {"headers": {"Authorization": "Bearer ${KEY}"}, "timeout_s": 1 if kind == "timeout" else 60}
    (ended,) = serve(handler, lambda url: system(url, **options), shared, case())
    assert kind == ended.kind
    assert message in ended.message
    assert "canary" not in ended.message
    assert len(ended.message) < 600


def test_a_compressed_reply_is_read(serve, shared, case):
    """Gzip below the cap is unpacked."""

    async def handler(request):
        body = gzip.compress(b'{"text": "' + b"a" * 100_000 + b'"}')
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})

    (output,) = serve(handler, system, shared, case())
    assert "a" * 100_000 == output.text


def test_a_large_input_is_sent(serve, shared, case):
    """An input of several megabytes arrives whole."""

    async def handler(request):
        return web.json_response({"text": str(len((await request.json())["input"]))})

    (output,) = serve(handler, system, shared, case("x" * 3_000_000))
    assert "3000000" == output.text


async def refuse(request):
    """Close the connection before any reply."""
    request.transport.abort()
    await asyncio.sleep(0)
    return web.Response()


def failing_first(times, response):
    """A handler whose first calls end as `response` says, with the count of calls."""
    calls = []

    async def handler(request):
        calls.append(asyncio.get_running_loop().time())
        await request.read()
        return await response(request) if len(calls) <= times else web.json_response({"text": "at last"})

    return handler, calls


def status(code, **headers):
    """A response with a status."""

    async def respond(request):
        return web.Response(status=code, headers=headers)

    return respond


def half_a_body(request):
    """Promise more than is sent."""
    return raw(request, b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"text')


@pytest.mark.parametrize("response", [status(429), refuse, half_a_body], ids=["429", "reset", "reset in the body"])
def test_a_passing_fault_is_tried_again(response, serve, shared, case):
    """Refusals for now and broken connections are tried again; latency is that of the answered attempt."""
    handler, calls = failing_first(1, response)
    (output,) = serve(handler, lambda url: system(url, idempotent=True), shared, case())
    assert "at last" == output.text
    assert 2 == len(calls)
    assert output.latency_s < calls[1] - calls[0]


@pytest.mark.parametrize(("body", "sent_twice"), [({"id": "{{id}}"}, True), ({"at": "{{session}}"}, False)])
def test_a_service_that_remembers_the_session_gets_no_turn_twice(body, sent_twice, serve, shared):
    """Not even with `idempotent`; the message says why, and does not ask for a key that is there."""
    handler, calls = failing_first(1, refuse)
    asked = Case(id="c", input="q", fields={"session": "s"})
    (ended,) = serve(handler, lambda url: system(url, idempotent=True, body=body), shared, asked)
    assert len(calls) == (2 if sent_twice else 1)
    if not sent_twice:
        assert ended.message.endswith(
            "; not sent again, because the service remembers the session and may have done its work"
        )


def test_retries_are_bounded(serve, shared, case):
    """After the last retry the call fails and says how often it was tried."""
    handler, calls = failing_first(9, status(503))
    (ended,) = serve(handler, lambda url: system(url, retries=1), shared, case())
    assert "http_503" == ended.kind
    assert ended.message.endswith("answered 503: Service Unavailable (after 2 attempts)")
    assert 2 == len(calls)


def test_nobody_listening_is_a_failure(ask, shared, case):
    """A refused connection is named with its address, without the query."""
    (ended,) = ask(HttpSystem(http="http://u:pw@127.0.0.1:9/a?key=k", retries=0), shared, case())
    assert "connection" == ended.kind
    assert ended.message.startswith("POST http://127.0.0.1:9/a: ClientConnectorError")


def test_cookies_are_not_carried_from_case_to_case(serve, shared, case):
    """What one reply sets, the next request does not send."""
    seen = []

    async def handler(request):
        seen.append(dict(request.cookies))
        response = web.json_response({"text": "a"})
        response.set_cookie("session", "1")
        return response

    serve(handler, system, Shared(shared.root, shared.project, concurrency=1), case(), case(id="c2"))
    assert [{}, {}] == seen


def test_no_more_connections_than_calls_in_flight(serve, shared, case):
    """The pool is as large as the run's concurrency."""
    open_now, most = 0, 0
    full = asyncio.Event()

    async def handler(request):
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        if open_now == shared.concurrency:
            full.set()
        await full.wait()
        await asyncio.sleep(0.01)
        open_now -= 1
        return web.json_response({"text": "a"})

    ends = serve(handler, system, shared, *(case(id=str(i)) for i in range(40)))
    assert 40 == len(ends)
    assert shared.concurrency == most


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"http": "ftp://host/a"}, "system.http: expected an http or https address, got 'ftp://host/a'; write"),
        ({"http": "localhost:8000/a"}, "system.http: expected an http or https address"),
        ({"http": "http://host:99999/a"}, "system.http: expected an http or https address"),
        ({"http": "${BOT_URL}"}, "system.http: environment variable BOT_URL is not set; export BOT_URL="),
        (
            {"http": "http://h", "headers": {"Authorization": "Bearer abc"}},
            "system.headers.Authorization: a secret is written into the suite; write `Authorization: ${MY_KEY}`",
        ),
        (
            {"http": "http://h", "headers": {"x-api-key": "${NO_KEY}"}},
            "system.headers.x-api-key: environment variable NO_KEY is not set",
        ),
        ({"http": "http://h", "headers": {"X-A": "a\r\nX-B: b"}}, "system.headers.X-A: a header holds a line break"),
    ],
)
def test_problems_before_the_first_call(options, problem, shared):
    """Addresses, variables and headers are checked without a call."""
    (found,) = HttpSystem(**options).problems(shared)
    assert str(found).startswith(problem)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"body": {"a": "{{reference}}"}}, r"^body: a system is never shown the `reference`"),
        ({"body": {"a": "{{7*7}}"}}, r"^body: `\{\{7\*7\}\}` is not a field name; write a name"),
        ({"pick": {"contexts": "a"}}, r"^pick: `text` is missing"),
        ({"pick": {"text": "a["}}, r"^pick.text: `a\[` cannot be read"),
        ({"pick": {"text": "a", "context": "b"}}, r"^pick.context: not a part of an output; use "),
        ({"retries": -1}, r"^retries: expected 0 to 20"),
        ({"max_bytes": 0}, r"^max_bytes: "),
        ({"timeout_s": True}, r"^timeout_s: "),
    ],
)
def test_a_wrong_configuration_is_refused(options, message):
    """Each refusal names the field, what is wrong and the fix."""
    with pytest.raises(ValueError, match=message):
        HttpSystem(**{"http": "http://h", **options})


def test_the_fingerprint_is_of_the_configuration(shared):
    """What changes answers changes the fingerprint; a time-out does not; a version stands in for it."""
    plain = HttpSystem(http="http://h").fingerprint(shared)
    assert plain == HttpSystem(http="http://h", timeout_s=5, retries=0).fingerprint(shared)
    assert plain != HttpSystem(http="http://h2").fingerprint(shared)
    assert plain != HttpSystem(http="http://h", body={"q": "{{input}}"}).fingerprint(shared)
    assert "v7" == HttpSystem(http="http://h", version="v7").fingerprint(shared)


def answering(body, content_type):
    """A handler that answers bytes of a type."""

    async def handler(request):
        return web.Response(body=body, headers={"Content-Type": content_type} if content_type else {})

    return handler


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        (b"Paris.\n", "text/plain", "Paris.\n"),
        ("Z\u00fcrich".encode(), "text/plain; charset=utf-8", "Z\u00fcrich"),
        ("Z\u00fcrich".encode("latin-1"), "text/plain; charset=ISO-8859-1", "Z\u00fcrich"),
        (b"**30** days", "text/markdown", "**30** days"),
        (b"42", "text/plain", "42"),
        (b'{"city": "Paris"}', "text/plain", '{"city": "Paris"}'),
        (b'{"text": "Paris"}', "text/plain", "Paris"),
        (b'{"text": "Paris"}', "text/html", "Paris"),
        (b'{"text": "Paris"}', "", "Paris"),
    ],
)
def test_a_reply_of_text_is_the_answer(serve, shared, case, body, content_type, text):
    """A text is taken as it is; JSON with the answer under its name stays JSON, whatever its type."""
    (output,) = serve(answering(body, content_type), system, shared, case())
    assert isinstance(output, Output), output
    assert text == output.text


@pytest.mark.parametrize(
    ("body", "content_type", "options", "message"),
    [
        (b"Paris", "application/json", {}, "not JSON"),
        (b"Paris", "text/html", {}, "not JSON"),
        (b"Paris", "text/plain", {"pick": {"text": "a"}}, "not JSON"),
        (b"\xff", "text/plain", {}, "the reply is not utf-8 text"),
        (b"a", "text/plain; charset=klingon", {}, "the reply is not klingon text"),
    ],
)
def test_other_replies_stay_failures(serve, shared, case, body, content_type, options, message):
    """A text of another type, with `pick`, or in another encoding than it says, is no answer."""
    (output,) = serve(answering(body, content_type), lambda url: system(url, **options), shared, case())
    assert isinstance(output, Failure)
    assert "bad_output" == output.kind
    assert message in output.message


@pytest.mark.parametrize("body", [b"", b" \n\t"])
def test_a_reply_of_text_without_text_is_no_answer(body, serve, shared, case):
    """Nothing shows that the service meant an empty answer, which a rule such as `not_contains` would pass."""

    async def handler(request):
        return web.Response(body=body, headers={"Content-Type": "text/plain"})

    (failed,) = serve(handler, system, shared, case())
    assert (failed.kind, failed.message) == (
        "bad_output",
        'the reply is empty text; send the answer, or JSON such as {"text": ""} if it is empty',
    )


def test_an_empty_text_in_json_is_an_empty_answer(serve, shared, case):
    """The service says so."""
    (output,) = serve(replying({"text": ""}), system, shared, case())
    assert output.text == ""
