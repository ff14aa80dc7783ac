"""The small parts that systems share."""

from __future__ import annotations

import asyncio
import base64
import math
import subprocess
import sys

import numpy as np
import pytest
from yarl import URL

from evalkit.formats.plain import MAX_DEPTH
from evalkit.systems import timed
from evalkit.systems.output import to_output
from evalkit.systems.pick import compile_path
from evalkit.systems.secrets import redact, secrets_of
from evalkit.text.values import one_line
from evalkit.types import Case, Failure, Output, ToolCall, Usage


class Text(str):
    """A string with a text of its own."""

    def __str__(self):
        return "something else"


@pytest.mark.parametrize(
    ("value", "output"),
    [
        ("", Output(text="")),
        ("a\ud800\u2028\0", Output(text="a\ud800\u2028\0")),
        (Text("kept"), Output(text="kept")),
        (np.str_("numpy"), Output(text="numpy")),
        ({"text": "a", "contexts": []}, Output(text="a", contexts=())),
        ({"text": "a", "contexts": None, "usage": None, "tool_calls": None}, Output(text="a")),
        (
            {"text": "a", "usage": {"input_tokens": np.int64(3), "cost_usd": np.float32(0.5)}},
            Output(text="a", usage=Usage(input_tokens=3, cost_usd=0.5)),
        ),
        ({"text": "a", "tool_calls": [{"name": "f"}]}, Output(text="a", tool_calls=(ToolCall("f", {}),))),
        ({"text": "a", "latency_s": 2}, Output(text="a", latency_s=2.0)),
    ],
    ids=repr,
)
def test_answers_that_are_read(value, output):
    """Strings and mappings become outputs with plain values."""
    ended = to_output(value)
    assert output == ended
    assert type(ended.text) is str


def nested(depth):
    """A list in a list in a list ..."""
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "expected a string or {text, contexts, usage, tool_calls, trajectory}, got None"),
        (True, "expected a string or {text, contexts, usage, tool_calls, trajectory}, got bool True"),
        (b"a", "expected a string or {text, contexts, usage, tool_calls, trajectory}, got bytes"),
        ({}, "text: missing; the answer has no keys"),
        ({"text": None}, "text: expected a string, got None"),
        ({"text": "a", "context": []}, "unknown key str 'context'; did you mean `contexts`?"),
        ({"text": "a", "xyz": 1}, "unknown key str 'xyz'; the keys are text, text_known, contexts, usage"),
        ({"text": "a", "contexts": "p"}, "contexts: expected a list, got str 'p'"),
        ({"text": "a", "contexts": ["p", 2]}, "contexts[1]: expected a text or {id, text, score}, got int 2"),
        ({"text": "a", "usage": 3}, "usage: expected {input_tokens, output_tokens, cost_usd, model}, got int 3"),
        ({"text": "a", "usage": {"input_tokens": True}}, "usage.input_tokens: expected a whole number of at least 0"),
        ({"text": "a", "usage": {"input_tokens": 1.0}}, "usage.input_tokens: expected a whole number of at least 0"),
        ({"text": "a", "usage": {"cost_usd": math.nan}}, "usage.cost_usd: expected a finite number of at least 0"),
        ({"text": "a", "usage": {"cost_usd": "0.1"}}, "usage.cost_usd: expected a number, got str '0.1'"),
        ({"text": "a", "usage": {"tokens": 1}}, "usage: unknown key str 'tokens'"),
        ({"text": "a", "ttft_s": -1}, "ttft_s: expected a finite number of at least 0, got int -1"),
        ({"text": "a", "latency_s": 10**5000}, "too large"),
        ({"text": "a", "tool_calls": {"name": "f"}}, "tool_calls: expected a list, got a mapping with name"),
        ({"text": "a", "tool_calls": [{"args": 1}]}, "tool_calls[0]: expected {name, arguments}"),
        ({"text": "a", "tool_calls": [{"name": "f", "arguments": [1]}]}, "tool_calls[0].arguments: expected a mapping"),
        (
            {"text": "a", "tool_calls": [{"name": "f", "arguments": {"x": {1}}}]},
            "tool_calls[0].arguments.x: JSON cannot hold set",
        ),
        ({"text": "a", "trajectory": [{"x": math.inf}]}, "trajectory[0].x: JSON cannot hold float inf"),
        ({"text": "a", "trajectory": [{1: 2}]}, "trajectory[0] key: expected a string, got int 1"),
        ({"text": "a", "trajectory": ["step"]}, "trajectory[0]: expected a mapping, got str 'step'"),
        ({"text": "a", "trajectory": [{"x": nested(99)}]}, f"nested deeper than {MAX_DEPTH}"),
    ],
)
def test_answers_that_are_refused(value, message):
    """What is not an answer fails with the place, what was got and what is expected."""
    ended = to_output(value)
    assert "bad_output" == ended.kind
    assert message in ended.message


class Unprintable(Exception):
    """An exception that fails to print."""

    def __str__(self):
        raise ValueError("no")


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("a\n\n b\t c", "a b c"),
        ("\x1b[31mred\x07\u202e", "\ufffd[31mred\ufffd\ufffd"),
        ("x" * 600, "x" * 499 + "…"),
        (Unprintable(), "(a Unprintable that cannot be shown)"),
    ],
)
def test_messages_are_one_printable_line(value, line):
    """Line breaks, control characters and length cannot break a message."""
    assert line == one_line(value)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b[0].c", 1),
        ("$.a.b[-1].c", 2),
        ("$", {"a": {"b": [{"c": 1}, {"c": 2}]}, "x y": {"*": 3}}),
        ("a.b[*].c", [1, 2]),
        ("$['x y'][\"*\"]", 3),
        ("a.nothing.c?", None),
        ("a.b[7].c?", None),
    ],
)
def test_paths_lead_to_values(path, found):
    """Names, quoted names, positions and every item are followed; an optional path may lead nowhere."""
    assert found == compile_path(path)({"a": {"b": [{"c": 1}, {"c": 2}]}, "x y": {"*": 3}})


@pytest.mark.parametrize("path", ["a[", "a[x]", "a..b", "a b", "a['b]", "a?.b"])
def test_paths_that_cannot_be_read(path):
    """A path that is not understood is refused whole."""
    with pytest.raises(ValueError, match="cannot be read"):
        compile_path(path)


@pytest.mark.parametrize(
    "address",
    [
        lambda value: URL(f"http://host/p?key={value}"),
        lambda value: URL("http://host/p").with_query({"key": value}),
        lambda value: URL(f"http://host/{value.replace('?', '')}/p"),
    ],
    ids=["query", "given query", "path"],
)
def test_secrets_are_blotted_out_of_addresses_as_they_are_sent(address):
    """Some marks are escaped and some are not; a service that echoes its address gives them back so."""
    value = "zQ7+pelican/marsh=44%&x y~|[]é:;,@!$'()*"
    sent = str(address(value))
    assert value not in sent
    cleaned = redact(sent, secrets_of({"A_KEY": value}))
    assert "pelican" not in cleaned
    assert "44" not in cleaned


def test_secrets_are_blotted_out_in_every_form():
    """A value is found as it is, URL-encoded and in base64; short values are no secrets."""
    env = {"NAMED": "p/ss word", "MY_API_KEY": "abcdefgh", "db_password": "hunter22", "TOKEN": "ab", "HOME": "/home/x"}
    secrets = secrets_of(env, ["NAMED", "ABSENT"])
    text = f"p/ss word p%2Fss%20word {base64.b64encode(b'p/ss word').decode()} abcdefgh hunter22 ab /home/x"
    assert "*** *** *** *** *** ab /home/x" == redact(text, secrets)


@pytest.mark.parametrize(
    "output", [Output(text="a", latency_s=9.0), Output(text="a", replayed=True)], ids=["own", "replayed"]
)
def test_a_given_latency_stands(output):
    """A latency of the system's own is kept, and a replayed answer gets none."""

    async def answer(case, repeat):
        return output

    assert output == asyncio.run(timed(answer, 5)(Case(id="a", input="q"), 0))


def test_a_time_out_inside_a_time_out_is_told_apart():
    """The time-out that ends a call is the one that is named."""

    async def answer(case, repeat):
        async with asyncio.timeout(0.01):
            await asyncio.sleep(5)

    ended = asyncio.run(timed(answer, 5)(Case(id="a", input="q"), 0))
    assert Failure("timeout", "the system timed out") == ended


def test_importing_systems_is_light():
    """Neither aiohttp nor numpy is loaded before a system is opened."""
    code = "import sys, evalkit.systems; sys.exit(bool({'aiohttp', 'numpy', 'pydantic'} & sys.modules.keys()))"
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode


@pytest.mark.slow
def test_a_list_that_holds_one_list_twice_is_not_copied_without_end():
    """Twenty-four levels hold 16 million values in a few hundred bytes."""
    value = ["x"]
    for _ in range(24):
        value = [value, value]
    ended = to_output({"text": "a", "tool_calls": [{"name": "f", "arguments": {"a": value}}]})
    assert isinstance(ended, Failure)
    assert ended.kind == "bad_output"
    assert "more than 1,000,000 values" in ended.message
