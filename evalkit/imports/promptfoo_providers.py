"""Turn promptfoo's providers into systems, with secrets taken out."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from evalkit.errors import InputError
from evalkit.formats.yaml_text import parse_foreign
from evalkit.imports.promptfoo_templates import NotCarried, renamed, with_environment
from evalkit.systems.prompt import MAX_BYTES, ROLES
from evalkit.systems.secrets import is_secret_name, looks_secret, names_in

_VENDORS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "google": "google",
    "mistral": "mistral",
    "groq": "groq",
    "deepseek": "deepseek",
    "xai": "xai",
    "togetherai": "together",
    "openrouter": "openrouter",
    "ollama": "ollama",
}
"""promptfoo's name of a vendor -> ours."""
_PARAMETERS = (
    *("top_p", "frequency_penalty", "presence_penalty", "seed", "stop", "tools", "tool_choice", "response_format"),
    *("reasoning_effort", "max_completion_tokens", "top_k", "logit_bias", "parallel_tool_calls"),
)
"""Keys of a request that have the same name on both sides."""
_ECHO = "import json, sys; print(json.load(sys.stdin)['%s'])"
_FIX = "call it in bot.py, or write `system:` yourself: docs/systems.md"
_PICK = re.compile(r"json((?:\.\w+|\[\d+\])*)")
INPUT = "input"


@dataclass
class Provider:
    """A provider as the config names it.

    Attributes:
        place: Where it is.
        id: Such as `openai:chat:gpt-4o`.
        label: Its name.
        config: Its settings.
        others: Keys beside these.
    """

    place: str
    id: str
    label: str
    config: Mapping[str, Any]
    others: tuple[str, ...] = ()


@dataclass
class Made:
    """A system made of a provider and a prompt.

    Attributes:
        options: As under `system:` in a suite.
        notes: What is not carried over, and the fix.
        variables: Environment variable -> what it holds.
        reads: Field that a program reads the filled prompt from, if that is more than the input.
        messages: The prompt, if it is a chat that only a prompt file can hold.
    """

    options: dict[str, Any]
    notes: list[tuple[str, str]] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    reads: str = INPUT
    messages: tuple[Mapping[str, str], ...] = ()


def read_provider(value: Any, place: str) -> Provider:
    """Read one entry of `providers`.

    Raises:
        NotCarried: it has none of the known forms.
    """
    if isinstance(value, str):
        return Provider(place, value, value, {})
    if isinstance(value, Mapping) and isinstance(value.get("id"), str):
        config = value.get("config")
        others = tuple(
            key for key in value if key not in ("id", "label", "config") and value[key] not in (None, "", [], {})
        )
        label = value.get("label")
        config = config if isinstance(config, Mapping) else {}
        return Provider(place, value["id"], label if isinstance(label, str) else value["id"], config, others)
    if isinstance(value, Mapping) and len(value) == 1:
        (name, options), *_ = value.items()
        options = options if isinstance(options, Mapping) else {}
        return read_provider({"id": name, **options}, place)
    raise NotCarried("a provider without an id", _FIX)


def system_of(provider: Provider, prompt: Any, fields: Mapping[str, str], filled: str = INPUT) -> Made:
    """Return the system that a provider and a prompt make.

    Args:
        provider: the provider.
        prompt: text, or a list of chat messages.
        fields: variable -> field of our rows.
        filled: field for the filled prompt, for programs.

    Raises:
        NotCarried: it has no counterpart.
    """
    head, _, rest = provider.id.partition(":")
    if head in ("http", "https") or provider.id in ("http", "https"):
        made = _http(provider, prompt, fields)
    elif head == "exec":
        made = _command(rest, _read_field(prompt, fields, filled))
    elif provider.id == "echo":
        reads = _read_field(prompt, fields, filled)
        made = Made({"command": ["python3", "-c", _ECHO % reads]}, reads=reads)
    elif head in _VENDORS:
        made = _chat(provider, _VENDORS[head], rest, prompt, fields)
    else:
        what = "runs a file" if head in ("file", "python", "javascript") else "is not known here"
        raise NotCarried(f"the provider {provider.id[:60]!r} {what}", _FIX)
    made.notes += [
        (f"`{key}` of the provider is not read", "set it in the system, if it matters") for key in provider.others
    ]
    return made


def _chat(provider: Provider, vendor: str, rest: str, prompt: Any, fields: Mapping[str, str]) -> Made:
    kind, colon, model = rest.partition(":")
    if colon and kind not in ("chat", "messages", "responses", "gemini"):
        raise NotCarried(f"the provider {provider.id[:60]!r} is not a chat model", _FIX)
    model = model if colon else kind
    if not model:
        raise NotCarried(f"the provider {provider.id[:60]!r} names no model", _FIX)
    made = Made({"chat": f"{vendor}/{model}"})
    _set_prompt(made, prompt, fields)
    known = {"temperature": "temperature", "max_tokens": "max_tokens", "apiKeyEnvar": "api_key_env"}
    parameters: dict[str, Any] = {}
    for key, value in provider.config.items():
        if key in known:
            made.options[known[key]] = value
        elif key in ("apiBaseUrl", "apiHost"):
            url = value if "://" in str(value) else f"https://{value}/v1"
            made.options.update(chat=model, base_url=_setting(str(url), "base_url", made))
        elif key == "apiKey":
            name = _key_name(value, vendor)
            made.options["api_key_env"] = name
            made.variables[name] = f"the key of {provider.label}"
        elif key == "headers" and isinstance(value, Mapping):
            made.options["headers"] = _headers(value, made)
        elif key in _PARAMETERS and "file://" not in json.dumps(value):
            parameters[key] = value
        else:
            made.notes.append(
                (f"`{key}` of the provider is not read", "add it under `parameters`, if it belongs to the request")
            )
    if parameters:
        made.options["parameters"] = parameters
    if "base_url" in made.options and "api_key_env" not in made.options:
        made.notes.append(("the key for its address is not named", "add `api_key_env: NAME` to the system"))
    return made


def _key_name(value: Any, vendor: str) -> str:
    try:
        _, names = with_environment(str(value))
    except NotCarried:
        names = []
    return names[0] if names else names_in(str(value))[0] if names_in(str(value)) else f"{vendor.upper()}_API_KEY"


def _set_prompt(made: Made, prompt: Any, fields: Mapping[str, str]) -> None:
    """Set the prompt: in the options, if it is a user message, alone or after a text for all cases."""
    messages = _messages(prompt)
    if messages is None:
        messages = [{"role": "user", "content": str(prompt)}]
    roles = [message.get("role") for message in messages]
    if roles[-1] != "user" or not all(role in ROLES for role in roles):
        raise NotCarried("the prompt is a chat that does not end with the user", "end it with the user's message")
    if not all(isinstance(each.get("content"), str) for each in messages):
        raise NotCarried("the prompt has parts that are not text", "write it as text")
    texts = [renamed(each["content"], fields) for each in messages]
    if roles in (["system", "user"], ["developer", "user"]) and "{{" not in texts[0]:
        made.options["system_prompt"] = texts[0]
    elif len(texts) > 1:
        made.messages = tuple({"role": str(role), "content": text} for role, text in zip(roles, texts, strict=True))
        if not any("{{" in text for text in texts):
            raise NotCarried("the prompt has no variable", "name one in it, so that each case sends its own")
        return
    if texts[-1] != "{{input}}":
        made.options["prompt"] = texts[-1]


def _messages(prompt: Any) -> list[Mapping[str, Any]] | None:
    """Return the chat that a prompt is, or `None` for a text."""
    value = prompt
    if isinstance(prompt, str) and prompt.lstrip().startswith(("[", "- role:")):
        try:
            in_json = prompt.lstrip().startswith("[")
            value = json.loads(prompt) if in_json else parse_foreign(prompt.encode(), "the prompt", MAX_BYTES)[0]
        except (InputError, ValueError, RecursionError):
            return None
    if isinstance(value, list) and value and all(isinstance(each, Mapping) and "role" in each for each in value):
        return value
    return None


def _read_field(prompt: Any, fields: Mapping[str, str], filled: str) -> str:
    """Return the field that holds the filled prompt: the input, if the prompt is nothing else."""
    if _messages(prompt) is not None:
        raise NotCarried("the prompt is a chat", "build it in the program")
    return INPUT if renamed(str(prompt), fields) == "{{input}}" else filled


def _command(line: str, reads: str) -> Made:
    try:
        words = shlex.split(line)
    except ValueError:
        words = []
    if not words:
        raise NotCarried("a command that cannot be split into words", _FIX)
    what = "promptfoo passes the prompt as an argument, evalkit as JSON on standard input"
    return Made({"command": words}, [(what, f'let it read `json.load(sys.stdin)["{reads}"]`')], reads=reads)


def _http(provider: Provider, prompt: Any, fields: Mapping[str, str]) -> Made:
    config = provider.config
    made = Made({})
    if _messages(prompt) is not None:
        raise NotCarried("the prompt is a chat", "write the messages into `body` of the system")
    text = renamed(str(prompt), fields)
    url = config.get("url", provider.id)
    if not isinstance(url, str) or "://" not in url:
        raise NotCarried("no address", "write it as `url`")
    made.options["http"] = _setting(url, "http", made)
    for key, value in config.items():
        if key in ("url", "transformResponse", "responseParser"):
            continue
        if key == "method" and value in ("POST", "PUT", "PATCH"):
            made.options.update({} if value == "POST" else {"method": value})
        elif key == "method":
            raise NotCarried(f"the method {str(value)[:20]} sends no body", _FIX)
        elif key == "headers" and isinstance(value, Mapping):
            made.options["headers"] = _headers(value, made)
        elif key == "body" and isinstance(value, Mapping | list | str):
            made.options["body"] = _body(value, text, fields, made)
        else:
            made.notes.append((f"`{key}` of the provider is not read", "see docs/systems.md for what `http` takes"))
    parser = config.get("transformResponse", config.get("responseParser"))
    if parser is not None:
        match = _PICK.fullmatch(parser.strip()) if isinstance(parser, str) else None
        if match is None or not match[1]:
            made.notes.append(("`transformResponse` is code", "name the path of the answer: `pick: {text: a.b}`"))
        else:
            made.options["pick"] = {"text": match[1].removeprefix(".")}
    return made


def _body(value: Any, prompt: str, fields: Mapping[str, str], made: Made) -> Any:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise NotCarried("its body is not JSON", "write it as a mapping") from None
    if not isinstance(value, Mapping):
        raise NotCarried("its body is not a mapping", "write it as a mapping")
    return {
        key: _body_value(key, each, prompt, fields, made)
        for key, each in value.items()
        if not _dropped(key, each, made)
    }


def _dropped(key: str, value: Any, made: Made) -> bool:
    if isinstance(value, str) and ((is_secret_name(key) and "{{" not in value) or looks_secret(value)):
        made.notes.append(
            (f"`body.{key}` is a secret, and is left out", "send it in a header: `headers: {X-Key: ${NAME}}`")
        )
        return True
    return False


def _body_value(key: str, value: Any, prompt: str, fields: Mapping[str, str], made: Made) -> Any:
    if isinstance(value, Mapping):
        return _body(value, prompt, fields, made)
    if isinstance(value, list):
        return [_body_value(key, each, prompt, fields, made) for each in value]
    if not isinstance(value, str):
        return value
    marker = "\0prompt\0"
    return renamed(value, {**fields, "prompt": marker}).replace("{{" + marker + "}}", prompt)


def _headers(given: Mapping[str, Any], made: Made) -> dict[str, str]:
    """Return headers with `${NAME}` for what is secret."""
    found = {}
    for name, value in given.items():
        text = _setting(str(value), f"the header {name}", made)
        if not names_in(text) and (is_secret_name(name) or looks_secret(text)):
            variable = re.sub(r"\W+", "_", name).strip("_").upper() or "HEADER"
            scheme, blank, _ = text.partition(" ")
            is_scheme = blank and scheme.lower() in ("bearer", "basic", "token")
            text = f"{scheme} ${{{variable}}}" if is_scheme else f"${{{variable}}}"
            made.variables[variable] = f"the header {name}" + (f", without `{scheme}`" if is_scheme else "")
        found[name] = text
    return found


def _setting(text: str, what: str, made: Made) -> str:
    found, names = with_environment(text)
    for name in [*names, *names_in(found)]:
        made.variables[name] = what
    given = [name for name, value in parse_qsl(urlsplit(found).query) if "${" not in value] if "://" in found else []
    if any(map(is_secret_name, given)) or ("://" in found and looks_secret(found)):
        made.variables["SYSTEM_URL"] = "the address of the system, which holds a secret"
        return "${SYSTEM_URL}"
    return found
