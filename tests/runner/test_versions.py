"""The version of a system may come from the environment."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from evalkit.errors import InputError
from evalkit.runner.prepare import Prepared, prepare
from evalkit.suite.parse import load_suite

SUITE = """\
name: s
golden: cases.jsonl
system: {SYSTEM, version: "VERSION"}
scorers: [exact]
gate:
  - pass_rate: {min: 0.5}
"""
SYSTEMS = {
    "python": 'python: "bot:answer"',
    "command": 'command: ["true"]',
    "http": 'http: "http://127.0.0.1:9/ask"',
    "chat": "chat: m, base_url: http://127.0.0.1:9/v1",
    "replay": "replay: golden, field: reference",
}


def prepared(root: Path, system: str, version: str, **env: str) -> Prepared:
    """Make a suite ready whose system has this version."""
    (root / "pyproject.toml").touch()
    (root / "bot.py").write_text("def answer(input):\n    return input\n", encoding="utf-8")
    (root / "cases.jsonl").write_text('{"id": "a", "input": "q", "reference": "r", "output": "r"}\n', encoding="utf-8")
    text = SUITE.replace("SYSTEM", system).replace("VERSION", version).replace("field: reference", "field: output")
    (root / "suite.yaml").write_text(text, encoding="utf-8")

    async def ready() -> Prepared:
        async with AsyncExitStack() as stack:
            return await prepare(load_suite(root / "suite.yaml", "suite.yaml"), env, stack)

    return asyncio.run(ready())


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
def test_variables_are_filled_in(tmp_path: Path, system: str) -> None:
    """Every kind of system has the version that the environment names, as its fingerprint too."""
    found = prepared(tmp_path, system, "bot-${COMMIT}", COMMIT="1f3a")
    assert (found.suite.system.version, found.fingerprint) == ("bot-1f3a", "bot-1f3a")
    assert prepared(tmp_path, system, "bot-${COMMIT}", COMMIT="2b").fingerprint == "bot-2b"
    assert prepared(tmp_path, system, "bot-1").fingerprint == "bot-1"


def test_a_variable_that_is_not_set_is_a_problem(tmp_path: Path) -> None:
    """It would give every commit one version."""
    with pytest.raises(InputError) as raised:
        prepared(tmp_path, SYSTEMS["python"], "${COMMIT}")
    (problem,) = raised.value.problems
    assert problem.what == "environment variable COMMIT is not set"
    assert problem.place.startswith("suite.yaml:3")


def test_a_secret_is_no_version(tmp_path: Path) -> None:
    """Runs store and show the version."""
    with pytest.raises(InputError) as raised:
        prepared(tmp_path, SYSTEMS["python"], "${API_KEY}", API_KEY="k")
    assert "this one is a secret" in str(raised.value)


def test_the_value_is_not_hidden_in_answers(tmp_path: Path) -> None:
    """A commit that an answer names is no secret, unlike the variables of a header."""
    assert "COMMIT" not in prepared(tmp_path, SYSTEMS["python"], "${COMMIT}", COMMIT="1f3a").suite.variables
