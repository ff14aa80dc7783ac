"""Prompts of chat systems in files."""

from __future__ import annotations

import json

import pytest
from aiohttp import web

from evalkit.systems import ChatSystem, Shared
from evalkit.types import Message

REPLY = {"model": "m1", "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}}]}


def chat(url="http://h", **options):
    """A chat system with its prompt in a file."""
    return ChatSystem(**{"chat": "m1", "base_url": f"{url}/v1", "retries": 0, "prompt_file": "p.txt", **options})


def sent(serve, shared, row, **options):
    """The messages that one case sends."""
    seen = []

    async def handler(request):
        seen.append((await request.json())["messages"])
        return web.json_response(REPLY)

    serve(handler, lambda url: chat(url, **options), shared, row)
    return seen[0]


@pytest.fixture
def write(tmp_path):
    """Write a file of the project."""

    def made(text, name="p.txt"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return name

    return made


def test_a_text_is_the_user_message(serve, shared, case, write):
    """Placeholders are filled; what the case holds is not read as a placeholder."""
    write("Context: {{contexts}}\nAnswer {{input}} for {{cohorts.topic}}.\n")
    row = case("{{id}}?", contexts=("a",), cohorts={"topic": "law"})
    assert [{"role": "user", "content": "Context: a\nAnswer {{id}}? for law."}] == sent(serve, shared, row)


MESSAGES = [
    {"role": "system", "content": "You know {{cohorts.topic}}."},
    {"role": "user", "content": "1+1"},
    {"role": "assistant", "content": "2"},
    {"role": "user", "content": "Q: {{input}}"},
]


@pytest.mark.parametrize("name", ["p.json", "p.yaml"])
def test_a_list_of_messages_is_sent_in_its_order(name, serve, shared, case, write):
    """JSON is also YAML; each message is filled."""
    write(json.dumps(MESSAGES), name)
    row = case("2+2", cohorts={"topic": "sums"})
    expected = [{**MESSAGES[0], "content": "You know sums."}, *MESSAGES[1:3], {"role": "user", "content": "Q: 2+2"}]
    assert expected == sent(serve, shared, row, prompt_file=name)


def test_a_chat_keeps_its_turns_behind_the_messages_of_the_file(serve, shared, case, write):
    """The last user turn is put into the last message of the file."""
    name = write(json.dumps(MESSAGES), "p.json")
    turns = (Message("user", "hi"), Message("assistant", "hello"), Message("user", "2+2"))
    found = sent(serve, shared, case(turns, cohorts={"topic": "sums"}), prompt_file=name)
    assert ["You know sums.", "1+1", "2", "hi", "hello", "Q: 2+2"] == [each["content"] for each in found]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.txt", "Answer.", "has no placeholder"),
        ("p.txt", "{{reference}}", "a system is never shown the `reference`"),
        ("p.txt", "{{#if input}}", "is not a field name"),
        ("p.txt", b"\xff {{input}}", "UTF-8"),
        ("p.txt", b"{{input}}" + b"x" * (1 << 20), "more than 1 MiB"),
        ("p.json", "[", "is not JSON"),
        ("p.json", "[" * 100_000, "nested too deep"),
        ("p.json", "{}", "expected a list of messages"),
        ("p.json", "[]", "expected a list of messages"),
        ("p.json", '[{"role": "user"}]', "message 1: expected a role and a content alone"),
        ("p.json", '[{"role": "tool", "content": "{{input}}"}]', "message 1: unknown role"),
        ("p.json", '[{"role": "user", "content": ["{{input}}"]}]', "message 1: its content is not a text"),
        ("p.json", '[{"role": "system", "content": "{{input}}"}]', "the last message has the role system"),
        ("p.json", json.dumps([MESSAGES[1]] * 501), "501 messages, at most 500"),
        ("p.yaml", "- role: user\n  content: &a x\n", "p.yaml:2"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_problem_before_the_run(name, text, message, shared, write):
    """Each says what is wrong with the file, and where."""
    write(text, name)
    (problem,) = chat(prompt_file=name).problems(shared)
    assert problem.place == "system.prompt_file"
    assert message in f"{problem.what}; {problem.fix}"


def test_a_file_elsewhere_is_refused(shared, tmp_path):
    """Outside the project, absent, or a folder."""
    (tmp_path / "folder").mkdir()
    for name in ("../p.txt", "none.txt", "folder"):
        (problem,) = chat(prompt_file=name).problems(shared)
        assert f"no file '{name}' inside the project" == problem.what


def test_two_system_messages_are_refused(shared, write):
    """The suite's and the file's."""
    name = write(json.dumps(MESSAGES), "p.json")
    (problem,) = chat(prompt_file=name, system_prompt="Be brief.").problems(shared)
    assert "p.json: has a system message, and the suite gives another one" == problem.what


def test_a_prompt_beside_the_file_is_refused():
    """One of them is a mistake."""
    with pytest.raises(ValueError, match=r"^prompt_file: given beside `prompt`"):
        chat(prompt="Briefly: {{input}}")


def test_the_fingerprint_follows_the_file(tmp_path, write):
    """Another text is another system; a system without a file keeps the fingerprint of earlier versions."""
    shared = Shared(root=tmp_path, project=tmp_path)
    write("One: {{input}}")
    first = chat().fingerprint(shared)
    write("Two: {{input}}")
    assert first != chat().fingerprint(shared)
    assert ChatSystem(chat="m", base_url="http://h").fingerprint(shared).startswith("cf8f12ad46ea")


def test_the_placeholders_are_fields_that_each_row_must_have(shared, write):
    """Those of all messages; none if the file cannot be read, which is a problem of its own."""
    name = write(json.dumps([{"role": "system", "content": "{{tone.word}}"}, MESSAGES[3]]), "p.json")
    assert {"tone.word"} == chat(prompt_file=name).asked_fields(shared)
    assert frozenset() == chat(prompt_file="none.txt").asked_fields(shared)
