"""Test a model behind an OpenAI-compatible chat endpoint."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from evalkit.disk.files import MAX_TEXT_BYTES
from evalkit.errors import Problem, what_and_fix
from evalkit.formats.completion import cached_tokens
from evalkit.formats.options import LATER
from evalkit.golden.variants.attacks import system_canary
from evalkit.net.addresses import endpoint_url, key_header
from evalkit.net.keys import key_problem, read_key
from evalkit.net.prices import Prices, listed_cost_usd
from evalkit.net.rate_limits import Limits, check_rate
from evalkit.net.request_fields import RequestFields
from evalkit.net.retry import REPEATABLE
from evalkit.systems.base import SYSTEM, Answer, Shared, check_seconds, inside, timed
from evalkit.systems.chat_reply import ChatReply, read_chat, to_chat_output
from evalkit.systems.endpoint import check_header, check_limits, connect, header_problems, paced, timed_by, url_problems
from evalkit.systems.fingerprint import config_hash
from evalkit.systems.prompt import Prompt, problem_of, read_prompt, read_text
from evalkit.systems.secrets import filled, names_in, secrets_of
from evalkit.systems.template import compile_template
from evalkit.systems.tool_errors import check_tool_error
from evalkit.types import Case, Failure, Output

if TYPE_CHECKING:
    import aiohttp

Price = Callable[[int, int, int], float | None]
"""US dollars of input, output and cached input tokens."""
_NO_ANSWER_DEPENDS_ON = (
    *("timeout_s", "version", "retries", "max_bytes", "prices", "stream"),
    *("api_key_header", "requests_per_minute", "tokens_per_minute"),
)
_RESERVED_TOKENS = 1024
"""Tokens of a reply to count towards `tokens_per_minute` until the real ones are known, without `max_tokens`."""
_OURS = frozenset({"model", "messages", "stream", "stream_options", "temperature", "max_tokens"})


@dataclass(frozen=True, kw_only=True)
class ChatSystem:
    """Send each case as a chat to `<base_url>/chat/completions`.

    A refusal or a reply cut at `max_tokens` is an answer. Thoughts before the answer are not part of it. A reply with
    neither text nor tool call, or with a broken tool call, fails the case.
    """

    chat: str
    """The model's name. `groq/MODEL`, or a name that only one vendor uses, needs neither address nor key variable."""
    base_url: str = ""
    """Address such as `http://localhost:11434/v1`; it may contain `${NAME}` from the environment, and a query such as
    Azure's `?api-version=...`, which stays at the end. Default: the vendor's."""
    api_key_env: str | None = None
    """The environment variable that holds the key. Default: the vendor's, if `base_url` is the vendor's."""
    api_key_header: str | None = None
    """Header that carries the key. Default: `Authorization`, with `Bearer`; `api-key` for Azure."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Additional headers; they may contain `${NAME}` from the environment, and secrets must be written this way."""
    system_prompt: str | None = None
    """Text of the system message."""
    system_prompt_file: str | None = None
    """A file with the text of the system message."""
    prompt: str = "{{input}}"
    """The user message, with `{{input}}`, `{{contexts}}`, `{{cohorts.<name>}}` or a field of the row. If the input is a
    chat, this message replaces the text of the last user turn; the rest of the chat is sent as it is."""
    prompt_file: str | None = field(default=None, metadata=LATER)
    """A file with the prompt, in place of `prompt`: the text of the user message, or a `.json` or `.yaml` list of
    `{role, content}` that ends with it; placeholders as in `prompt`."""
    temperature: float | None = None
    max_tokens: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Additional keys of the request, such as `tools` or `seed`."""
    stream: bool = False
    """Stream the reply, to measure the time to the first token."""
    prices: Prices | None = None
    """Prices of tokens. Default: those that genai-prices lists for the model at the vendor's address; an unknown price
    stays unknown."""
    requests_per_minute: float | None = None
    """Requests that the endpoint accepts; calls are spread evenly, and the wait does not count towards `timeout_s`."""
    tokens_per_minute: float | None = None
    """Tokens that the endpoint accepts. A request counts its longest reply (`max_tokens`, or 1,024) until the real one
    is known."""
    retries: int = 20
    """Attempts after the first, with increasing waits, within `timeout_s`."""
    max_bytes: int = 10_000_000
    timeout_s: float = 60.0
    version: str | None = None
    """Your name for this state of the model; the configuration alone cannot tell when it changes."""
    others: ClassVar[str] = "parameters"
    tool_error: str | None = field(default=None, metadata=LATER)
    """Pattern (RE2) of the tool results that are errors, such as `^Error`, for tools that report them as plain text."""
    canary: bool = field(default=False, metadata=LATER)
    """Whether to end the system prompt with a line such as `Reference 7f3a91c2e0b4.`, so that the attack
    `extract_prompt` can tell whether an answer gives the prompt away. The line depends on `seed`."""

    def __post_init__(self) -> None:
        check_limits(self.retries, self.max_bytes)
        check_seconds("timeout_s", self.timeout_s)
        check_tool_error(self.tool_error)
        check_rate("requests_per_minute", self.requests_per_minute)
        check_rate("tokens_per_minute", self.tokens_per_minute)
        check_header("api_key_header", self.api_key_header)
        if not self.chat:
            raise ValueError("chat: empty; write the model's name")
        if self.system_prompt is not None and self.system_prompt_file is not None:
            raise ValueError("system_prompt_file: given beside `system_prompt`; keep one of them")
        if self.prompt_file is not None and self.prompt != Prompt.user:
            raise ValueError("prompt_file: given beside `prompt`; keep one of them")
        if taken := sorted(_OURS & self.parameters.keys()):
            raise ValueError(f"parameters.{taken[0]}: has a key of its own; set it there")
        try:
            compile_template(self.prompt)
        except ValueError as error:
            raise ValueError(f"prompt: {error}") from None

    def problems(self, shared: Shared) -> list[Problem]:
        """Check the address, the key's variable and the prompt files."""
        problems = url_problems("system.base_url", self.base_url, shared.env)
        problems += header_problems("system.headers", self.headers, shared.env)
        if self.api_key_env and (problem := key_problem(self.api_key_env, shared.env)):
            problems.append(Problem("system.api_key_env", *problem))
        if path := self._file("system_prompt_file", shared, problems):
            try:
                read_text(path, MAX_TEXT_BYTES)
            except ValueError as error:
                what, fix = what_and_fix(error)
                problems.append(Problem("system.system_prompt_file", f"{self.system_prompt_file}: {what}", fix))
        if path := self._file("prompt_file", shared, problems):
            own = self.system_prompt is not None or self.system_prompt_file is not None
            if found := problem_of(path, beside_system=own):
                what, fix = found
                problems.append(Problem("system.prompt_file", f"{self.prompt_file}: {what}", fix))
        if self.canary and not problems and not self.system_text(shared):
            fix = "write one under `system_prompt`, or remove `canary`"
            problems.append(Problem("system.canary", "there is no system prompt to put a canary into", fix))
        return problems

    def _file(self, key: str, shared: Shared, problems: list[Problem]) -> Path | None:
        """Return the file under a key, or `None` if the key is not given or, as a problem, there is no such file."""
        name = getattr(self, key)
        path = None if name is None else inside(shared, name)
        if name is not None and (path is None or not path.is_file()):
            what = f"no file {name!r} inside the project"
            problems.append(Problem(f"system.{key}", what, "write its path from the suite's folder"))
            return None
        return path

    def prompt_of(self, shared: Shared) -> Prompt:
        """Return the prompt, which may be in a file.

        Raises:
            ValueError: the file cannot be used.
        """
        path = None if self.prompt_file is None else inside(shared, self.prompt_file)
        return Prompt(self.prompt) if path is None else read_prompt(path)

    def system_text(self, shared: Shared) -> str:
        """Return the system prompt without the canary; empty if there is none, or if it cannot be read."""
        try:
            system = self._system_message(shared)
            return self.prompt_of(shared).system_text if system is None else system
        except ValueError:
            return ""

    def _system_message(self, shared: Shared) -> str | None:
        """Return the system message of the suite; `None` if it gives none.

        Raises:
            ValueError: its file cannot be used.
        """
        if self.system_prompt_file is not None and (path := inside(shared, self.system_prompt_file)):
            return read_text(path, MAX_TEXT_BYTES)
        return self.system_prompt

    def asked_fields(self, shared: Shared) -> frozenset[str]:
        """Return the fields that each row must have, for the placeholders; none if the prompt cannot be read."""
        try:
            return self.prompt_of(shared).fields
        except ValueError:
            return frozenset()

    def fingerprint(self, shared: Shared) -> str | None:
        """Return a hash of the configuration and of the prompt files."""
        if self.version is not None:
            return self.version
        named = (("system_prompt_file", self.system_prompt_file), ("prompt_file", self.prompt_file))
        files = [(key, path) for key, name in named if name is not None and (path := inside(shared, name))]
        headers = () if self.headers else ("headers",)
        canary = system_canary(shared.seed) if self.canary else ""
        return config_hash(self, (*_NO_ANSWER_DEPENDS_ON, *headers), files, canary)

    def open(self, shared: Shared) -> AbstractAsyncContextManager[Answer]:
        """Hold the session for the duration of a run."""
        return self._open(shared)

    @asynccontextmanager
    async def _open(self, shared: Shared) -> AsyncIterator[Answer]:
        texts = (self.base_url, *self.headers.values())
        used = [*(name for text in texts for name in names_in(text)), *([self.api_key_env] if self.api_key_env else [])]
        base_url = filled(self.base_url, shared.env)
        request, price = self._request(shared), self.price_at(base_url)
        longest = self.max_tokens or _RESERVED_TOKENS
        limits = Limits(self.requests_per_minute, self.tokens_per_minute, longest, shared.timetable(SYSTEM))
        async with connect(
            "POST",
            endpoint_url(base_url, "chat/completions"),
            self._headers(base_url, shared.env),
            shared,
            timeout_s=self.timeout_s,
            policy=replace(REPEATABLE, retries=self.retries),
            max_bytes=self.max_bytes,
            limits=limits,
            fields=RequestFields(["stream_options"]),
        ) as endpoint:

            async def read(response: aiohttp.ClientResponse) -> ChatReply:
                return await read_chat(response, self.max_bytes)

            async def answer(case: Case, repeat: int) -> Output | Failure:
                asked = request(case)
                reply = await endpoint.call(asked, read)
                offers_tools = bool(asked.get("tools") or asked.get("functions"))
                output = to_chat_output(reply.value, reply.started, offers_tools=offers_tools)
                return timed_by(_priced(output, price, cached_tokens(reply.value.usage)), reply)

            bounded = timed(answer, self.timeout_s, secrets_of(shared.env, used), self.tool_error)
            yield paced(bounded, limits, lambda case: len(json.dumps(request(case))))

    def _headers(self, base_url: str, env: Mapping[str, str]) -> dict[str, str]:
        key = read_key(self.api_key_env, env) if self.api_key_env else ""
        headers = dict(key_header(key, base_url, self.api_key_header)) if key else {}
        if self.stream:  # each event is read as it comes, so it must come unpacked
            headers["Accept-Encoding"] = "identity"
        return headers | {name: filled(text, env) for name, text in self.headers.items()}

    def _request(self, shared: Shared) -> Callable[[Case], dict[str, Any]]:
        """Prepare everything of a request that is the same for all cases."""
        system, prompt = self._system_message(shared), self.prompt_of(shared)
        if self.canary:
            line = f"\n\n{system_canary(shared.seed)}."
            system, prompt = None if system is None else system + line, prompt.with_last_words(line)
        first = [] if system is None else [{"role": "system", "content": system}]
        options = {"temperature": self.temperature, "max_tokens": self.max_tokens, **self.parameters}
        kept: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
        if self.stream:
            kept |= {"stream": True, "stream_options": {"include_usage": True}}
        turns = prompt.messages()

        def request(case: Case) -> dict[str, Any]:
            environment = case.fields.get("environment") if shared.converses else None
            tools = {} if environment is None else {"tools": list(environment.tools)}
            return {"model": self.chat, "messages": first + turns(case), **tools, **kept}

        return request

    def price_at(self, base_url: str) -> Price | None:
        """Return how input, output and cached input tokens are priced; `None` if the price is unknown."""
        if self.prices is not None:
            return self.prices.cost_usd
        if listed_cost_usd(self.chat, base_url, 1, 1) is None:
            return None
        return partial(listed_cost_usd, self.chat, base_url)


def _priced(output: Output | Failure, price: Price | None, cached: int) -> Output | Failure:
    if price is None or isinstance(output, Failure) or output.usage is None:
        return output
    usage = output.usage
    if usage.input_tokens is None or usage.output_tokens is None:
        return output
    return replace(output, usage=replace(usage, cost_usd=price(usage.input_tokens, usage.output_tokens, cached)))
