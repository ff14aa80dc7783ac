"""Chat models as systems, against real servers that speak the protocol."""

from __future__ import annotations

import asyncio
import json
from functools import partial

import pytest
from aiohttp import web

from evalkit.formats.messages import read_messages
from evalkit.net.prices import Prices, listed_cost_usd
from evalkit.systems import ChatSystem, Shared
from evalkit.types import Failure, Message, Output, ToolCall, Usage


def system(url, **options):
    """A system that does not wait long."""
    return ChatSystem(**{"chat": "m1", "base_url": f"{url}/v1", "timeout_s": 60, "retries": 0, **options})


def completion(message, **fields):
    """A whole reply."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": fields.pop("finish", "stop")}
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    return {"id": "x", "model": "m1-2025", "choices": [choice], "usage": usage, **fields}


def replying(value):
    """A handler that always answers the same JSON."""

    async def handler(request):
        return web.json_response(value)

    return handler


def streaming(*events, end=b"data: [DONE]\n\n"):
    """A handler that streams events, some cut in the middle."""

    async def handler(request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": keep-alive\r\n\r\n")
        for event in events:
            data = b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\r\n\r\n"
            await response.write(data[:11])
            await asyncio.sleep(0.01)
            await response.write(data[11:])
        await response.write(end)
        return response

    return handler


def delta(finish=None, **message):
    """One event of a stream."""
    return {"model": "m1-2025", "choices": [{"index": 0, "delta": message, "finish_reason": finish}]}


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
WHOLE = [
    {"role": "developer", "content": "Be kind."},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"x": 1}'}}],
    },
    {"role": "tool", "content": "20", "tool_call_id": "c1", "name": "look"},
    {"role": "assistant", "content": "It is 20.", "reasoning_content": "looked"},
    {"role": "user", "content": [{"type": "text", "text": "And this?"}, IMAGE], "name": "ann"},
]


@pytest.mark.parametrize("prompt", ["{{input}}", "Briefly: {{input}}"])
def test_a_chat_is_sent_whole(prompt, serve, shared, case):
    """Calls, ids, names, pictures and other keys reach the endpoint; a prompt changes the last user's text alone."""
    seen = []

    async def handler(request):
        seen.append(await request.json())
        return web.json_response(completion({"content": "ok"}))

    row = case(read_messages("input", WHOLE))
    serve(handler, lambda url: system(url, prompt=prompt), shared, row)
    text = "And this?" if prompt == "{{input}}" else "Briefly: And this?"
    last = {**WHOLE[-1], "content": [{"type": "text", "text": text}, IMAGE]}
    assert seen[0]["messages"] == [*WHOLE[:-1], last]


COUNTS = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7}}


def test_the_request(serve, case, tmp_path):
    """Model, messages, options, further parameters and the key are sent, and no more."""
    (tmp_path / "system.txt").write_text("Be brief.", encoding="utf-8")
    shared = Shared(root=tmp_path, project=tmp_path, env={"MODEL_KEY": "sk-canary"})
    seen = []

    async def handler(request):
        seen.append((request.path, request.headers["Authorization"], await request.json()))
        return web.json_response(completion({"content": "ok"}))

    options = {
        "api_key_env": "MODEL_KEY",
        "system_prompt_file": "system.txt",
        "prompt": "{{contexts}}\n---\n{{input}}",
        "temperature": 0.0,
        "parameters": {"seed": 3},
    }
    row = case("q {{id}}", contexts=("a", "b"))
    assert [] == system("http://h", **options).problems(shared)
    (output,) = serve(handler, lambda url: system(url, **options), shared, row)
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "a\n\nb\n---\nq {{id}}"},
    ]
    sent = {"model": "m1", "messages": messages, "temperature": 0.0, "seed": 3}
    assert [("/v1/chat/completions", "Bearer sk-canary", sent)] == seen
    assert output == Output(
        text="ok",
        usage=Usage(input_tokens=5, output_tokens=7, model="m1-2025"),
        stop="stop",
        latency_s=output.latency_s,
    )


@pytest.mark.parametrize(
    ("prompt", "last"),
    [("{{input}}", "second"), ("Context: {{contexts}} Q: {{input}}", "Context: p Q: second")],
    ids=["as it is", "in a prompt"],
)
def test_a_chat_input_keeps_its_turns(prompt, last, serve, shared, case):
    """Earlier turns are sent as they are; the last user turn is put into the prompt."""

    async def handler(request):
        return web.json_response(completion({"content": json.dumps((await request.json())["messages"])}))

    turns = (Message("user", "first"), Message("assistant", "reply"), Message("user", "second"))
    row = case(turns, contexts=("p",))
    (output,) = serve(handler, lambda url: system(url, prompt=prompt, system_prompt="S"), shared, row)
    expected = [("system", "S"), ("user", "first"), ("assistant", "reply"), ("user", last)]
    assert expected == [(turn["role"], turn["content"]) for turn in json.loads(output.text)]


CALL = {"id": "1", "type": "function", "function": {"name": "look", "arguments": '{"x": 1}'}}


@pytest.mark.parametrize(
    ("reply", "text", "calls"),
    [
        (completion({"content": "cut"}, finish="length"), "cut", None),
        (completion({"content": None, "refusal": "I cannot."}), "I cannot.", None),
        (
            completion({"content": [{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}]}),
            "in parts",
            None,
        ),
        (completion({"content": None, "tool_calls": [CALL]}), "", (ToolCall("look", {"x": 1}, id="1"),)),
        (
            completion({"tool_calls": [{"function": {"name": "look", "arguments": {"x": 1}}}]}),
            "",
            (ToolCall("look", {"x": 1}),),
        ),
    ],
    ids=["cut", "refusal", "parts", "tool call", "arguments as an object"],
)
def test_every_kind_of_answer_is_an_output(reply, text, calls, serve, shared, case):
    """A reply that is cut, refused, in parts or only a tool call is an answer."""
    (output,) = serve(replying(reply), system, shared, case())
    assert (text, calls) == (output.text, output.tool_calls)


def test_a_model_that_calls_none_of_its_tools_says_so(serve, shared, case):
    """No call of an offered tool is an empty list; without tools to call, nothing is said about calls."""
    offers = {"tools": [{"type": "function", "function": {"name": "look", "parameters": {}}}]}
    (free,) = serve(replying(completion({"content": "hi"})), system, shared, case())
    (offered,) = serve(replying(completion({"content": "hi"})), partial(system, parameters=offers), shared, case())
    assert (free.tool_calls, offered.tool_calls) == (None, ())


def test_the_reason_of_a_stop_is_kept(serve, shared, case):
    """An answer that was cut at its token limit is told from a whole one."""
    ends = ("stop", "length", "tool_calls")
    found = [serve(replying(completion({"content": "x"}, finish=end)), system, shared, case())[0] for end in ends]
    assert tuple(output.stop for output in found) == ends


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        ({"error": {"message": "overloaded"}}, Failure("bad_output", "the reply is an error: overloaded")),
        ({"choices": []}, Failure("bad_output", "no `choices`, there is a mapping with choices")),
        ({"choices": [{"text": "a"}]}, Failure("bad_output", "no `choices[0].message`, there is a mapping with text")),
        ([], Failure("bad_output", "expected an object with `choices`, got list")),
        (completion({"content": 5}), Failure("bad_output", "expected text as content, got int 5")),
        (
            completion({"content": "a"}, usage={"prompt_tokens": -1}),
            Failure("bad_output", "usage.input_tokens: expected a whole number of at least 0, got int -1"),
        ),
    ],
)
def test_a_reply_without_an_answer_is_a_failure(reply, failure, serve, shared, case):
    """What holds no answer says what was there."""
    assert [failure] == serve(replying(reply), system, shared, case())


def called(arguments, name="f", **more):
    """A tool call as a model writes it."""
    return {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}, **more}


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        (
            completion({"content": " \n"}),
            "no_answer: the model gave neither text nor a tool call; finish_reason is stop",
        ),
        (completion({"content": ""}), "no_answer: the model gave neither text nor a tool call; finish_reason is stop"),
        (completion({"content": None}, finish="content_filter"), "no_answer: the model gave neither text nor a tool"),
        (
            completion({"content": None, "reasoning_content": "hm"}, finish="length"),
            "out_of_tokens: the model used all",
        ),
        (completion({"content": "<think>hm, well"}, finish="length"), "out_of_tokens: the model used all"),
        (completion({"content": None, "reasoning": "Paris"}), "no_answer: the model gave thoughts, and no answer"),
        (completion({"content": "<think>Paris</think>\n"}), "no_answer: the model gave thoughts, and no answer"),
        (completion({"tool_calls": [called("{bad")]}), "broken_tool_call: tool_calls[0].arguments: not JSON"),
        (
            completion({"tool_calls": [called('{"a": 1')]}, finish="length"),
            "broken_tool_call: tool_calls[0].arguments: not JSON (Expecting ',' delimiter: line 1 column 8 (char 7)): "
            '{"a": 1; the reply was cut at its token limit',
        ),
        (completion({"tool_calls": [called("[1]")]}), "broken_tool_call: tool_calls[0].arguments: expected a mapping"),
        (completion({"tool_calls": [called([1])]}), "broken_tool_call: tool_calls[0].arguments: expected a mapping"),
        (completion({"tool_calls": [called("{}", name="")]}), "broken_tool_call: tool_calls[0]: no name"),
    ],
)
def test_what_the_model_did_wrong_is_a_fault_of_its_output(reply, fault, serve, shared, case):
    """The endpoint answered, so the call did not fail: the output says why it is no answer."""
    (output,) = serve(replying(reply), system, shared, case())
    assert output.fault.startswith(fault)
    assert (output.text.strip(), output.tool_calls) == ("", ())


def test_sound_calls_beside_a_broken_one_are_kept(serve, shared, case):
    """The fault names the broken call; text and sound calls are what the model gave."""
    reply = completion({"content": "So:", "tool_calls": [called('{"a": 1}'), called('{"a"')]})
    (output,) = serve(replying(reply), system, shared, case())
    assert output.fault.startswith("broken_tool_call: tool_calls[1].arguments: not JSON")
    assert (output.text, output.tool_calls) == ("So:", (ToolCall("f", {"a": 1}, id="1"),))


@pytest.mark.parametrize(
    "message",
    [
        {"content": "<think>\nLondon? No.\n</think>\n\nParis"},
        {"content": "London? No.\n</think>\n\nParis"},
        {"content": "Paris", "reasoning_content": "London? No."},
        {"content": "Paris", "reasoning": "London? No."},
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "No."}]},
                {"type": "text", "text": "Paris"},
            ]
        },
        {"content": [{"type": "reasoning", "text": "London?"}, {"type": "text", "text": "Paris"}]},
    ],
)
def test_thoughts_are_not_part_of_the_answer(message, serve, shared, case):
    """Wherever a server puts the thoughts, whole or streamed, the answer is what follows them."""
    (whole,) = serve(replying(completion(message)), system, shared, case())
    events = streaming(delta(**message), delta("stop"))
    (streamed,) = serve(events, lambda url: system(url, stream=True), shared, case())
    assert whole.text == streamed.text == "Paris"
    assert whole.fault is streamed.fault is None


def test_a_streamed_answer_is_put_together(serve, shared, case):
    """Text, tool calls and usage are gathered from the events, and the first token is timed."""
    handler = streaming(
        delta(role="assistant", content=""),
        delta(content="Grüße "),
        delta(content="\u2028 done"),
        delta(tool_calls=[{"index": 0, "function": {"name": "look", "arguments": '{"x"'}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": ": 1}"}}]),
        delta("tool_calls"),
        COUNTS,
    )
    prices = Prices(input_usd_per_million=2.0, output_usd_per_million=10.0)
    (output,) = serve(handler, lambda url: system(url, stream=True, prices=prices), shared, case())
    # (5 x 2 + 7 x 10) / 1,000,000
    assert Usage(input_tokens=5, output_tokens=7, cost_usd=0.00008, model="m1-2025") == output.usage
    assert "Grüße \u2028 done" == output.text
    assert (ToolCall("look", {"x": 1}),) == output.tool_calls
    assert 0 < output.ttft_s < output.latency_s


@pytest.mark.parametrize(
    ("told", "cost"),
    [
        # (800 x 2 + 200 x 0.5 + 10 x 10) / 1,000,000
        ({"prompt_tokens_details": {"cached_tokens": 200}}, 0.0018),
        ({"prompt_cache_hit_tokens": 200}, 0.0018),
        ({"prompt_tokens_details": None}, 0.0021),
        ({"prompt_tokens_details": {"cached_tokens": 2000}}, None),
    ],
)
def test_cached_input_has_a_price_of_its_own(told, cost, serve, shared, case):
    """As the vendor counts it; more than there was is unknown."""
    usage = {"prompt_tokens": 1000, "completion_tokens": 10, **told}
    prices = Prices(input_usd_per_million=2.0, output_usd_per_million=10.0, cached_input_usd_per_million=0.5)
    reply = replying(completion({"content": "a"}, usage=usage))
    (output,) = serve(reply, lambda url: system(url, prices=prices), shared, case())
    assert output.usage.cost_usd == (None if cost is None else pytest.approx(cost))


def test_known_models_have_listed_prices():
    """Those of the vendor at the address; a server of one's own has no price."""
    address = "https://api.openai.com/v1"
    plain, cached = (listed_cost_usd("gpt-4o", address, 1_000_000, 0, tokens) for tokens in (0, 1_000_000))
    assert 0 < cached < plain
    assert listed_cost_usd("gpt-4o", "http://127.0.0.1:8000/v1", 1, 1) is None
    assert listed_cost_usd("no-such-model", address, 1, 1) is None
    assert system("https://api.openai.com", chat="gpt-4o").price_at(address)(1_000_000, 0, 0) == plain
    assert system("http://h").price_at("http://h/v1") is None


def test_an_endpoint_that_does_not_stream_is_read_whole(serve, shared, case):
    """A whole reply to a streamed request is an answer without a time to first token."""
    (output,) = serve(replying(completion({"content": "ok"})), lambda url: system(url, stream=True), shared, case())
    assert ("ok", None) == (output.text, output.ttft_s)


@pytest.mark.parametrize(
    ("handler", "kind", "message"),
    [
        (streaming(delta(content="half"), end=b""), "bad_output", "the stream ended before the answer did"),
        (streaming(delta(content="a"), {"error": "boom"}), "bad_output", "the reply is an error: boom"),
        (streaming(end=b"data: {oops\n\n"), "bad_output", "not JSON"),
        (streaming(*[delta(content="x" * 1000)] * 40), "too_large", "longer than 20000 bytes"),
    ],
)
def test_a_broken_stream_is_a_failure(handler, kind, message, serve, shared, case):
    """A stream that is cut, wrong or too long holds no answer."""
    (ended,) = serve(handler, lambda url: system(url, stream=True, max_bytes=20_000), shared, case())
    assert kind == ended.kind
    assert message in ended.message


def test_cost_is_unknown_without_prices_or_counts(serve, shared, case):
    """No price and no count give no cost, never 0."""
    prices = Prices(input_usd_per_million=2.0, output_usd_per_million=10.0)
    counted, uncounted = completion({"content": "a"}), completion({"content": "a"}, usage=None)
    (without_prices,) = serve(replying(counted), system, shared, case())
    (without_counts,) = serve(replying(uncounted), lambda url: system(url, prices=prices), shared, case())
    assert without_prices.usage.cost_usd is None
    assert Usage(model="m1-2025") == without_counts.usage


def test_the_key_is_kept_out_of_failures(serve, case, tmp_path):
    """A server that repeats the key does not get it into a message."""

    async def handler(request):
        return web.json_response({"error": {"message": request.headers["Authorization"]}}, status=401)

    shared = Shared(root=tmp_path, project=tmp_path, env={"MODEL_SETTING": "canary-value"})
    (ended,) = serve(handler, lambda url: system(url, api_key_env="MODEL_SETTING"), shared, case())
    assert "http_401" == ended.kind
    assert "Bearer ***" in ended.message


def test_problems_before_the_first_call(shared):
    """Address, key and prompt file are checked together."""
    wrong = ChatSystem(chat="m", base_url="ws://h", api_key_env="NO_KEY", system_prompt_file="../secret.txt")
    assert [
        "system.base_url: expected an http or https address, got 'ws://h'; write `https://host/path`",
        "system.api_key_env: environment variable NO_KEY is not set; export NO_KEY=... before the run",
        "system.system_prompt_file: no file '../secret.txt' inside the project; write its path from the suite's folder",
    ] == [str(problem) for problem in wrong.problems(shared)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chat": ""}, r"^chat: empty"),
        ({"prompt": "{{reference}}"}, r"^prompt: a system is never shown"),
        ({"system_prompt": "a", "system_prompt_file": "b"}, r"^system_prompt_file: given beside `system_prompt`"),
        ({"parameters": {"model": "x"}}, r"^parameters.model: has a key of its own"),
        ({"retries": 99}, r"^retries: "),
    ],
)
def test_a_wrong_configuration_is_refused(options, message):
    """Each refusal names the field, what is wrong and the fix."""
    with pytest.raises(ValueError, match=message):
        ChatSystem(**{"chat": "m", "base_url": "http://h", **options})


@pytest.mark.parametrize("price", [-1.0, float("nan"), float("inf")])
def test_a_price_is_a_number_of_dollars(price):
    """Negative and non-finite prices are refused."""
    with pytest.raises(ValueError, match=r"^output_usd_per_million: expected US dollars"):
        Prices(input_usd_per_million=1.0, output_usd_per_million=price)


def test_the_fingerprint_follows_the_prompt_file(tmp_path, shared):
    """Another text of the system message is another system; another price is not."""
    (tmp_path / "s.txt").write_text("one", encoding="utf-8")
    plain = ChatSystem(chat="m", base_url="http://h", system_prompt_file="s.txt")
    priced = ChatSystem(
        chat="m",
        base_url="http://h",
        system_prompt_file="s.txt",
        prices=Prices(input_usd_per_million=1.0, output_usd_per_million=1.0),
    )
    first = plain.fingerprint(shared)
    assert first == priced.fingerprint(shared)
    (tmp_path / "s.txt").write_text("two", encoding="utf-8")
    assert first != plain.fingerprint(shared)


def piece(name=None, arguments=None, **call):
    """A piece of one tool call in an event of a stream."""
    function = {key: value for key, value in {"name": name, "arguments": arguments}.items() if value is not None}
    return {**call, "function": function} if function or "function" not in call else call


def deltas(*lists):
    """Events with these lists of pieces, and the end."""
    return [*(delta(content=None, tool_calls=list(pieces)) for pieces in lists), delta("tool_calls")]


ONE = (("look", {"city": "Paris"}),)
TWO = (*ONE, ("look", {"city": "Rome"}))
PARIS, ROME = '{"city": "Paris"}', '{"city": "Rome"}'


@pytest.mark.parametrize(
    ("events", "calls"),
    [
        # OpenAI: the first piece has id and name, the index says which call goes on.
        (
            deltas(
                [piece("look", "", index=0, id="a")],
                [piece(arguments='{"city"', index=0)],
                [piece(arguments=': "Paris"}', index=0)],
                [piece("look", "", index=1, id="b")],
                [piece(arguments=ROME, index=1)],
            ),
            TWO,
        ),
        # Both calls in one event, and pieces of both in the next.
        (
            deltas(
                [piece("look", "", index=0, id="a"), piece("look", "", index=1, id="b")],
                [piece(arguments=PARIS, index=0), piece(arguments=ROME, index=1)],
            ),
            TWO,
        ),
        # Ollama: whole calls, each with the index 0 and an id of its own.
        (deltas([piece("look", PARIS, index=0, id="a")], [piece("look", ROME, index=0, id="b")]), TWO),
        (deltas([piece("look", PARIS, index=0, id="a"), piece("look", ROME, index=0, id="b")]), TWO),
        # Whole calls without an index, without an id, with arguments as objects.
        (deltas([piece("look", PARIS), piece("look", ROME)]), TWO),
        (deltas([piece("look", {"city": "Paris"})], [piece("look", {"city": "Rome"})]), TWO),
        # vLLM with a named tool: each piece repeats the name and has an id of its own.
        (
            deltas(
                [piece("look", '{"ci', index=0, id="a1")],
                [piece("look", 'ty": "Pa', index=0, id="a2")],
                [piece("look", 'ris"}', index=0, id="a3")],
            ),
            ONE,
        ),
        # llama.cpp: id and name in each piece.
        (
            deltas(
                [piece("look", "{", index=0, id="a")],
                [piece("look", '"city": "Paris"}', index=0, id="a")],
                [piece("look", "", index=0, id="a")],
            ),
            ONE,
        ),
        # The index is missing in each piece, or in those that follow the first.
        (
            deltas(
                [piece("look", "", id="a")],
                [piece(arguments='{"city": ')],
                [piece(arguments='"Paris"}')],
                [piece("look", "", id="b")],
                [piece(arguments=ROME)],
            ),
            TWO,
        ),
        # A name in pieces, an empty name later, a last piece without a function.
        (
            deltas(
                [piece("lo", index=0, id="a")],
                [piece("ok", index=0)],
                [piece("", PARIS, index=0)],
                [{"index": 0, "id": "a", "function": None}],
                [{"index": 0}],
            ),
            ONE,
        ),
        # No arguments at all.
        (
            deltas([piece("look", "", index=0, id="a")], [piece("look", "", index=1, id="b")]),
            (("look", {}), ("look", {})),
        ),
    ],
)
def test_streamed_tool_calls_of_many_servers(events, calls, serve, shared, case):
    """Servers number, name and cut their calls differently: the calls are the same."""
    (output,) = serve(streaming(*events, COUNTS), lambda url: system(url, stream=True), shared, case())
    assert tuple((call.name, dict(call.arguments)) for call in output.tool_calls) == calls
    assert output.fault is None


def test_whole_tool_calls_that_share_an_index_are_several(serve, shared, case):
    """Some servers give each call of a whole reply the index 0; content is null beside them."""
    calls = [called(PARIS, name="look", index=0), called({"city": "Rome"}, name="look", index=0)]
    (output,) = serve(replying(completion({"content": None, "tool_calls": calls})), system, shared, case())
    assert tuple((call.name, dict(call.arguments)) for call in output.tool_calls) == TWO


def test_a_call_in_the_earlier_form_is_read(serve, shared, case):
    """`function_call` was the only one before `tool_calls`."""
    message = {"content": None, "function_call": {"name": "look", "arguments": PARIS}}
    (output,) = serve(replying(completion(message, finish="function_call")), system, shared, case())
    assert (output.fault, output.tool_calls) == (None, (ToolCall("look", {"city": "Paris"}),))


def test_a_stream_that_breaks_off_is_asked_for_again(serve, shared, case, monkeypatch):
    """A server that restarts ends its streams; a completion changes nothing there, so asking twice does no harm."""

    async def no_sleep(seconds):
        pass

    monkeypatch.setattr("evalkit.net.exchange._sleep", no_sleep)
    handlers = [streaming(delta(content="Par"), end=b""), streaming(delta(content="Paris"), delta("stop"))]

    async def handler(request):
        return await handlers.pop(0)(request)

    (output,) = serve(handler, lambda url: system(url, stream=True, retries=1), shared, case())
    assert (output.text, output.attempts) == ("Paris", 2)


def test_tokens_in_an_event_without_choices(serve, shared, case):
    """Some servers leave `choices` out of the event with the usage."""
    events = [delta(content="Paris"), delta("stop"), {"usage": {"prompt_tokens": 5, "completion_tokens": 7}}]
    (output,) = serve(streaming(*events), lambda url: system(url, stream=True), shared, case())
    assert (output.text, output.usage.output_tokens) == ("Paris", 7)


def failing_first_in_the_body(error, then):
    """A handler that answers status 200 with an error the first time."""
    asked = []

    async def handler(request):
        asked.append(await request.json())
        return web.json_response({"error": error} if len(asked) == 1 else then)

    return handler


@pytest.mark.parametrize("code", [503, "503", 429, 502])
def test_an_error_with_the_status_in_its_body_is_that_status(code, serve, shared, case):
    """Routers answer 200 before the provider has answered, so its error stands in the body."""
    handler = failing_first_in_the_body({"message": "overloaded", "code": code}, completion({"content": "Paris"}))
    (output,) = serve(handler, lambda url: system(url, retries=2), shared, case())
    assert isinstance(output, Output), output
    assert (output.text, output.attempts) == ("Paris", 2)
    (failed,) = serve(replying({"error": {"message": "overloaded", "code": code}}), system, shared, case())
    assert failed.kind == f"http_{code}"
    assert "overloaded" in failed.message


@pytest.mark.parametrize("code", ["context_length_exceeded", None, True, 7, 200])
def test_an_error_without_a_status_stays_a_bad_output(code, serve, shared, case):
    """Nothing says that another attempt would help."""
    (failed,) = serve(replying({"error": {"message": "no", "code": code}}), system, shared, case())
    assert (failed.kind, failed.message) == ("bad_output", "the reply is an error: no")


def test_a_stream_that_breaks_off_with_a_status_is_asked_for_again(serve, shared, case):
    """The provider fell over after the first words."""
    asked = []
    broken = streaming(delta(content="Pa"), {"error": {"message": "overloaded", "code": 503}}, end=b"")
    whole = streaming(delta(content="Paris"), delta("stop"))

    async def handler(request):
        asked.append(1)
        return await (broken if len(asked) == 1 else whole)(request)

    (output,) = serve(handler, lambda url: system(url, retries=2, stream=True), shared, case())
    assert isinstance(output, Output), output
    assert output.text == "Paris"


@pytest.mark.parametrize(
    ("said", "fix"),
    [
        ("'temperature' is not supported with this model.", "the refusal names `temperature`: change or remove it in"),
        ("temperature and top_p: give one of them", "the refusal names `temperature` and `top_p`: change or remove it"),
        ("your messages are odd for this model", None),
        ("temperatures are low", None),
    ],
)
def test_a_refused_field_of_the_suite_is_named_with_the_fix(said, fix, serve, shared, case):
    """It is not dropped, because the suite asks for it; the message says which one the refusal is about."""

    async def handler(request):
        return web.json_response({"error": {"message": said}}, status=400)

    asked = partial(system, temperature=0, parameters={"top_p": 1})
    (failure,) = serve(handler, asked, shared, case())
    assert failure.kind == "http_400"
    assert fix in failure.message if fix else failure.message.endswith("}")
