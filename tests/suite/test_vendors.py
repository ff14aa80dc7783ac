"""Models that a suite names without an address: who serves them, where they are asked, and with which key."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.errors import InputError
from evalkit.net.vendors import VENDORS, Vendor, find_vendor
from evalkit.operations.check import check_suite
from evalkit.suite.model import Suite
from evalkit.suite.parse import load_suite
from evalkit.testing import FakeModel

SUITE = """\
name: s
golden: cases.jsonl
system: SYSTEM
MORE
scorers: [exact]
gate:
  - exact: {min: 0.5}
"""


def write(folder: Path, system: str, more: str = "") -> Path:
    """A suite beside a small golden set."""
    (folder / "pyproject.toml").touch()
    (folder / "cases.jsonl").write_text('{"id": "a", "input": "q", "reference": "ok"}\n', encoding="utf-8")
    file = folder / "suite.yaml"
    file.write_text(SUITE.replace("SYSTEM", system).replace("MORE", more), encoding="utf-8")
    return file


def load(folder: Path, system: str, more: str = "") -> Suite:
    """Read the suite."""
    return load_suite(write(folder, system, more), "suite.yaml")


@pytest.mark.parametrize(
    ("name", "vendor", "model"),
    [
        ("gpt-4o", "openai", "gpt-4o"),
        ("o3-mini", "openai", "o3-mini"),
        ("claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5"),
        ("gemini-2.5-flash", "google", "gemini-2.5-flash"),
        ("mistral-large-latest", "mistral", "mistral-large-latest"),
        ("deepseek-chat", "deepseek", "deepseek-chat"),
        ("grok-4", "xai", "grok-4"),
        ("groq/llama-3.3-70b-versatile", "groq", "llama-3.3-70b-versatile"),
        ("groq/openai/gpt-oss-120b", "groq", "openai/gpt-oss-120b"),
        ("openrouter/meta-llama/llama-3.3-70b", "openrouter", "meta-llama/llama-3.3-70b"),
        ("together/meta-llama/Llama-3.3-70B-Instruct-Turbo", "together", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
        ("ollama/llama3.2", "ollama", "llama3.2"),
    ],
)
def test_a_name_that_tells_its_vendor(name: str, vendor: str, model: str) -> None:
    """A vendor before the name, or a name that one vendor alone uses."""
    found = find_vendor(name)
    assert (found.vendor, found.model) == (VENDORS[vendor], model)


@pytest.mark.parametrize(
    "name", ["llama-3", "gpt-oss-120b", "mistral-small", "deepseek-r1", "meta-llama/llama-3", "groq/", "m", "o", "gpt4"]
)
def test_a_name_that_several_serve_is_not_guessed(name: str) -> None:
    """Open models and unknown names need the vendor; the message lists them and gives a line to copy."""
    with pytest.raises(ValueError, match="is not known; write one before the name") as raised:
        find_vendor(name)
    assert all(vendor in str(raised.value) for vendor in VENDORS)
    assert f"`groq/{name.replace('groq/', 'MODEL')}`" in str(raised.value)


def test_a_name_that_two_vendors_claim_and_a_misspelt_vendor_are_told() -> None:
    """The choices are those that claim it; a vendor in other letters is the one that is meant."""
    house = Vendor(base_url="http://house/v1", models=("gpt-*",))
    with pytest.raises(ValueError, match="may be of openai or house; write `openai/gpt-4o` or `house/gpt-4o`"):
        find_vendor("gpt-4o", {**VENDORS, "house": house})
    with pytest.raises(ValueError, match="such as `openai/gpt-4o`"):
        find_vendor("OpenAI/gpt-4o")


def test_a_vendor_of_ones_own_can_be_defined() -> None:
    """A name with an unknown vendor before it may lack its entry in the table of the suite."""
    with pytest.raises(ValueError, match=r"or define 'acme' under `vendors:`, or add `base_url"):
        find_vendor("acme/large")
    with pytest.raises(ValueError, match="is not known") as raised:
        find_vendor("OpenAI/gpt-4o")
    assert "define" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "system", "n"), [("opanai", "gpt-4o", 1), ("opanai", "opanai/m", 0), ("house", "gpt-4o", 0)]
)
def test_a_gateway_under_a_misspelt_name_is_told(name: str, system: str, n: int, tmp_path: Path) -> None:
    """Its requests would go to the vendor itself."""
    file = write(tmp_path, f"{{chat: {system}}}", f'vendors: {{{name}: {{base_url: "http://127.0.0.1:9/v1"}}}}')
    found = asyncio.run(check_suite(file, {"OPENAI_API_KEY": "k"})).prepared.warnings
    warnings = [str(each).removeprefix(f"{tmp_path}/") for each in found]
    told = (
        "suite.yaml:4:11 vendors.opanai: no model of this suite names the vendor 'opanai', "
        "and https://api.openai.com/v1 is called; did you mean `openai`?"
    )
    assert [each for each in warnings if "vendor" in each] == [told][:n]


def test_an_address_that_is_none_is_a_problem_of_the_table(tmp_path: Path) -> None:
    """It was reported at the judge, which names no address, and for a system not at all."""
    with pytest.raises(InputError) as raised:
        load(tmp_path, "{chat: gpt-4o}", "judge: {chat: gpt-5}\nvendors: {openai: {base_url: gateway}}")
    (problem,) = raised.value.problems
    assert str(problem).endswith(
        "suite.yaml:5:20 vendors.openai.base_url: not an http or https URL; write one such as https://host/v1"
    )


def test_the_table_is_sound() -> None:
    """Only https, but for this machine; no pattern belongs to two vendors; each key has a variable of its own."""
    for vendor in VENDORS.values():
        url = urlsplit(vendor.base_url)
        assert url.scheme == "https" or url.hostname == "localhost"
        assert not vendor.base_url.endswith("/")
        for pattern in vendor.models:
            assert find_vendor(pattern.replace("*", "x")).vendor is vendor
    keys = [vendor.api_key_env for vendor in VENDORS.values()]
    assert len(set(keys)) == len(keys)


def test_the_guide_shows_the_table() -> None:
    """Each vendor stands in docs/models.md with its address, variable and names."""
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    for name, each in VENDORS.items():
        names = ", ".join(f"`{pattern}`" for pattern in each.models) or "none"
        key = f"`{each.api_key_env}`" if each.api_key_env else "none"
        assert f"| `{name}` | `{each.base_url}` | {key} | {names} |" in page


def test_system_judge_and_panel_need_no_address(tmp_path: Path) -> None:
    """The three places take address, key variable and, for judges, the wire format from the table."""
    suite = load(tmp_path, "{chat: gpt-4o}", "judge: {chat: claude-sonnet-4-5, panel: [gpt-4o, {model: groq/llama-3}]}")
    system: Any = suite.system
    assert (system.chat, system.base_url, system.api_key_env) == (
        "gpt-4o",
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
    )
    assert suite.judge is not None
    judges = (suite.judge.chat, *suite.judge.panel)
    assert [(each.model, each.dialect, each.api_key_env) for each in judges] == [
        ("claude-sonnet-4-5", "anthropic", "ANTHROPIC_API_KEY"),
        ("gpt-4o", "openai", "OPENAI_API_KEY"),
        ("llama-3", "openai", "GROQ_API_KEY"),
    ]
    assert {"OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GROQ_API_KEY"} <= set(suite.variables)


def test_an_address_of_the_suite_stands(tmp_path: Path) -> None:
    """With `base_url` nothing is added, also where the name has a vendor: no key goes to another host."""
    system: Any = load(tmp_path, '{chat: groq/llama-3, base_url: "http://127.0.0.1:9/v1"}').system
    assert (system.chat, system.base_url, system.api_key_env) == ("groq/llama-3", "http://127.0.0.1:9/v1", None)


def test_a_key_variable_of_the_suite_stands(tmp_path: Path) -> None:
    """`api_key_env` alone replaces the vendor's."""
    system: Any = load(tmp_path, "{chat: gpt-4o, api_key_env: TEAM_KEY}").system
    assert (system.base_url, system.api_key_env) == ("https://api.openai.com/v1", "TEAM_KEY")


def test_every_unknown_model_is_one_problem(tmp_path: Path) -> None:
    """System, judge and panel are named at once, each once, with their places."""
    with pytest.raises(InputError) as raised:
        load(tmp_path, "{chat: llama-3}", "judge: {chat: {model: qwen}, panel: [phi]}")
    places = [(each.place, each.what) for each in raised.value.problems]
    assert [what for _, what in places] == [
        f"the vendor of {name!r} is not known" for name in ("qwen", "phi", "llama-3")
    ]
    assert [place.split(":")[1] for place, _ in places] == ["4", "4", "3"]


def test_the_table_can_be_changed_and_added_to(tmp_path: Path) -> None:
    """A gateway takes a vendor's place and keeps its key and names; a house vendor is one more."""
    vendors = """\
judge: {chat: house/judge-1}
vendors:
  openai: {base_url: "https://gateway.example.org/openai/v1"}
  house: {base_url: "https://llm.example.org/v1", api_key_env: HOUSE_KEY}"""
    suite = load(tmp_path, "{chat: gpt-4o}", vendors)
    system: Any = suite.system
    assert (system.base_url, system.api_key_env) == ("https://gateway.example.org/openai/v1", "OPENAI_API_KEY")
    assert suite.judge is not None
    assert (suite.judge.chat.model, suite.judge.chat.base_url) == ("judge-1", "https://llm.example.org/v1")


def test_the_configured_address_is_called_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`check` says where requests will go; a run sends them there with the vendor's key."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-000")
    monkeypatch.chdir(tmp_path)
    with FakeModel(["ok"]) as server:
        write(tmp_path, "{chat: gpt-4o}", f'vendors: {{openai: {{base_url: "{server.base_url}"}}}}')
        checked = CliRunner().invoke(app, ["check", "suite.yaml"])
        assert server.requests == []
        ran = CliRunner().invoke(app, ["run", "suite.yaml", "--out", "run", "--progress", "none"])
    assert f"calls      {server.base_url}/chat/completions · gpt-4o, key from OPENAI_API_KEY" in checked.output
    assert ran.exit_code in (0, 3), ran.output
    assert [request["model"] for request in server.requests] == ["gpt-4o"]
    assert server.headers[0]["Authorization"] == "Bearer sk-canary-000"
    assert json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))


def test_a_missing_key_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable comes from the table, and is named before the first call."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "{chat: gpt-4o}")
    checked = CliRunner().invoke(app, ["check", "suite.yaml"])
    assert isinstance(checked.exception, InputError)
    assert "OPENAI_API_KEY is not set; export OPENAI_API_KEY=" in str(checked.exception)
