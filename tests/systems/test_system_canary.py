"""`canary: true` of a chat system: a line at the end of its system prompt, which is part of its configuration."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from aiohttp import web

from evalkit.golden.variants.attacks import system_canary
from evalkit.systems import ChatSystem

PROMPT = "You answer questions about fees."
LINE = f"{PROMPT}\n\n{system_canary(7)}."


def system(url="http://127.0.0.1:9", **options):
    """A chat system with a canary."""
    return ChatSystem(
        **{"chat": "m1", "base_url": f"{url}/v1", "retries": 0, "system_prompt": PROMPT, "canary": True, **options}
    )


def asked(serve, shared, case, **options):
    """The messages that a server got."""
    bodies = []

    async def handler(request):
        bodies.append(await request.json())
        choice = {"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}
        return web.json_response({"id": "x", "model": "m1", "choices": [choice]})

    serve(handler, lambda url: system(url, **options), replace(shared, seed=7), case())
    return bodies[0]["messages"]


def test_the_line_is_at_the_end_of_the_system_prompt(serve, shared, case):
    """Of a prompt in the suite, in a file, and in a prompt file with messages; without the key nothing is added."""
    (shared.root / "system.txt").write_text(PROMPT, encoding="utf-8")
    turns = [{"role": "system", "content": PROMPT}, {"role": "user", "content": "{{input}}"}]
    (shared.root / "turns.json").write_text(json.dumps(turns), encoding="utf-8")
    expected = [{"role": "system", "content": LINE}, {"role": "user", "content": "hi"}]
    in_file = {"system_prompt": None, "system_prompt_file": "system.txt"}
    in_turns = {"system_prompt": None, "prompt_file": "turns.json"}
    for options in ({}, in_file, in_turns):
        assert asked(serve, shared, case, **options) == expected
        assert system(**options).system_text(shared) == PROMPT
        assert not system(**options).problems(shared)
    assert asked(serve, shared, case, canary=False)[0]["content"] == PROMPT


def test_the_line_is_part_of_the_fingerprint(shared):
    """With it, and with another seed, the system is another one; without it, the seed does not matter."""
    plain = system(canary=False)
    assert plain.fingerprint(shared) == plain.fingerprint(replace(shared, seed=8))
    prints = {plain.fingerprint(shared), *(system().fingerprint(replace(shared, seed=seed)) for seed in (7, 8))}
    assert len(prints) == 3
    assert system_canary(7) != system_canary(8)


@pytest.mark.parametrize("options", [{}, {"prompt": "Question: {{input}}"}])
def test_a_canary_needs_a_system_prompt(shared, options):
    """It names the key and the fix."""
    (problem,) = system(system_prompt=None, **options).problems(shared)
    assert problem.place == "system.canary"
    assert "no system prompt" in problem.what
    assert "system_prompt" in problem.fix
