"""Test an HTTP service that answers with JSON, or with text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from evalkit.errors import Problem
from evalkit.formats.fields import USAGE_KEYS, parse_json
from evalkit.formats.options import LATER
from evalkit.net.rate_limits import Limits, check_rate
from evalkit.net.retry import AT_MOST_ONCE, REPEATABLE, RetryPolicy
from evalkit.systems.base import SYSTEM, Answer, CallFailed, Shared, check_seconds, timed
from evalkit.systems.endpoint import check_limits, connect, header_problems, paced, timed_by, url_problems
from evalkit.systems.fingerprint import config_hash
from evalkit.systems.output import OUTPUT_KEYS, to_output
from evalkit.systems.pick import Pick, compile_path
from evalkit.systems.secrets import filled, names_in, secrets_of
from evalkit.systems.template import BRACES, as_text, compile_template, fields_in
from evalkit.systems.tool_errors import check_tool_error
from evalkit.text.values import shown
from evalkit.types import Case, Failure, Output

if TYPE_CHECKING:
    import aiohttp

TEXT_KEYS = ("text", "answer", "output")
_PICKED_ONLY = ("text", "messages", "state", "stop", "interrupt", "fault", "done")
_BY_NAME = tuple(key for key in OUTPUT_KEYS if key not in _PICKED_ONLY)
"""Parts that are read without `pick`; services use the other names for various things."""
_TEXT_TYPES = ("text/plain", "text/markdown")
PICKED = frozenset(OUTPUT_KEYS) | {f"usage.{key}" for key in USAGE_KEYS}


@dataclass(frozen=True, kw_only=True)
class HttpSystem:
    """Send each case as JSON to a URL and pick the answer out of the JSON reply, or take a reply of text as the answer.

    A request that was turned away (408, 425, 429, 503, 529, no connection) is sent again within `timeout_s`, not before
    `Retry-After`. A request that the service may have processed is sent again only if `idempotent` is set. Redirects
    are not followed.
    """

    http: str
    """The URL; it may contain `${NAME}` from the environment, and fields of the case as in `body`, such as
    `/threads/{{session}}/runs`."""
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers; they may contain `${NAME}` from the environment, and secrets must be written this way."""
    body: Mapping[str, Any] = field(default_factory=lambda: {"input": "{{input}}"})
    """JSON with `{{input}}`, `{{id}}`, `{{kind}}`, `{{contexts}}`, `{{cohorts.<name>}}` or a field of the row."""
    resume_body: Mapping[str, Any] | None = field(default=None, metadata=LATER)
    """JSON that is sent instead of `body` when an interrupt was answered, with `{{resume.decision}}`,
    `{{resume.arguments}}` and `{{resume.id}}`."""
    pick: Mapping[str, str] = field(default_factory=dict)
    """Where the parts of the answer are in the reply: `text`, `contexts`, `usage.input_tokens`, `tool_calls` ... ->
    path such as `documents[*].text`; a path that ends in `?` may be absent. Without `pick` the text is `text`, `answer`
    or `output`, and the other parts are read under their own names, except `messages`, `state`, `stop`, `interrupt`,
    `fault` and `done`, which need a path because services use these names for other things. Without `pick`, a reply of
    type `text/plain` or `text/markdown` is the answer itself, unless it is a JSON object with such a text; an empty one
    is `bad_output`."""
    requests_per_minute: float | None = None
    """Requests that the service accepts; calls are spread evenly, and the wait does not count towards `timeout_s`."""
    retries: int = 20
    """Attempts after the first, with increasing waits, within `timeout_s`."""
    idempotent: bool = False
    """Set it if asking twice does no harm: a request whose reply was lost (500, 502, 504, a broken connection) is then
    sent again. PUT is always sent again."""
    max_bytes: int = 10_000_000
    """Longest reply, after decompression."""
    timeout_s: float = 60.0
    version: str | None = None
    """Your name for this state of the service; the configuration alone cannot tell when it changes."""
    tool_error: str | None = field(default=None, metadata=LATER)
    """Pattern (RE2) of the tool results that are errors, such as `^Error`, for tools that report them as plain text."""

    def __post_init__(self) -> None:
        check_limits(self.retries, self.max_bytes)
        check_seconds("timeout_s", self.timeout_s)
        check_tool_error(self.tool_error)
        check_rate("requests_per_minute", self.requests_per_minute)
        for name in ("http", "body", "resume_body"):
            try:
                compile_template(getattr(self, name))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        _reader(self.pick)

    def problems(self, shared: Shared) -> list[Problem]:
        """Check the URL and the headers, and that their environment variables are set."""
        return [
            *url_problems("system.http", url_of(self.http, lambda name: "0"), shared.env),
            *header_problems("system.headers", self.headers, shared.env),
        ]

    @property
    def fields(self) -> frozenset[str]:
        """Fields that each row must have, for the placeholders."""
        return fields_in([self.http, self.body])

    def fingerprint(self, shared: Shared) -> str | None:
        """Return a hash of the configuration without secrets."""
        ignored = ("timeout_s", "version", "retries", "idempotent", "max_bytes", "requests_per_minute")
        return self.version or config_hash(self, ignored)

    @property
    def _remembers(self) -> bool:
        return "session" in fields_in([self.http, self.body])

    @property
    def _policy(self) -> RetryPolicy:
        # A turn is not sent twice if a service with a memory may have processed it.
        repeatable = (self.idempotent or self.method == "PUT") and not self._remembers
        return replace(REPEATABLE if repeatable else AT_MOST_ONCE, retries=self.retries)

    def open(self, shared: Shared) -> AbstractAsyncContextManager[Answer]:
        """Hold the session for the length of a run."""
        return self._open(shared)

    @asynccontextmanager
    async def _open(self, shared: Shared) -> AsyncIterator[Answer]:
        fill, read = compile_template(self.body), _reader(self.pick)
        fill_again = fill if self.resume_body is None else compile_template(self.resume_body)
        used = [name for text in (self.http, *self.headers.values()) for name in names_in(text)]
        headers = {name: filled(text, shared.env) for name, text in self.headers.items()}
        url = filled(self.http, shared.env)
        varies = "{{" in url

        def url_for(case: Case) -> str:
            return url_of(url, lambda name: _part_of_url(name, as_text(compile_template(f"{{{{{name}}}}}")(case))))

        limits = Limits(self.requests_per_minute, timetable=shared.timetable(SYSTEM))
        async with connect(
            self.method,
            url_of(url, lambda name: name) if varies else url,
            headers,
            shared,
            timeout_s=self.timeout_s,
            policy=self._policy,
            max_bytes=self.max_bytes,
            limits=limits,
            remembers=self._remembers,
        ) as endpoint:

            async def received(response: aiohttp.ClientResponse) -> tuple[bytes, str | None]:
                is_text = response.content_type in _TEXT_TYPES and not self.pick
                return await endpoint.read_bytes(response), (response.charset or "utf-8") if is_text else None

            async def answer(case: Case, repeat: int) -> Output | Failure:
                resumed = shared.converses and case.fields.get("resume") is not None
                body_sent = (fill_again if resumed else fill)(case)
                reply = await endpoint.call(body_sent, received, url_for(case) if varies else None)
                body, charset = reply.value
                return timed_by(read(body) if charset is None else _text_or(read, body, charset), reply)

            bounded = timed(answer, self.timeout_s, secrets_of(shared.env, used), self.tool_error)
            yield paced(bounded, limits, lambda case: 0)


def _part_of_url(name: str, value: str) -> str:
    if value in ("", ".", ".."):  # the URL would become that of another resource
        raise CallFailed("bad_field", f"the URL needs {{{{{name}}}}}, which is {value!r} here")
    return value


def url_of(template: str, get: Callable[[str], str]) -> str:
    """Fill the placeholders of a URL; each value is quoted, so that it stays one part of the URL."""
    return BRACES.sub(lambda found: quote(get(found[1].strip()), safe=""), template)


def _reader(pick: Mapping[str, str]) -> Callable[[bytes], Output | Failure]:
    """Return the function that reads a reply.

    Raises:
        ValueError: A part or a path of `pick` cannot be read.
    """
    if pick and not pick.keys() & {"text", "messages"}:
        raise ValueError("pick: `text` is missing; add the path of the answer")
    picks: dict[str, Pick] = {}
    for name, path in pick.items():
        if name not in PICKED:
            raise ValueError(f"pick.{name}: not a part of an output; use {', '.join(sorted(PICKED))}")
        try:
            picks[name] = compile_path(path)
        except ValueError as error:
            raise ValueError(f"pick.{name}: {error}") from None

    def read(body: bytes) -> Output | Failure:
        try:
            reply = parse_json(body)
            return to_output(_picked(picks, reply) if picks else _by_name(reply))
        except (ValueError, LookupError) as error:
            what = error.args[0] if isinstance(error, LookupError) else error
            raise CallFailed(
                "bad_output", f"the reply is {what}" if isinstance(error, ValueError) else f"{what}"
            ) from None

    return read


def _text_or(read: Callable[[bytes], Output | Failure], body: bytes, charset: str) -> Output | Failure:
    """Read a reply of a text type: JSON, because some services label it as text, or else the answer itself."""
    try:
        text = body.decode(charset)
    except (ValueError, LookupError) as error:
        raise CallFailed("bad_output", f"the reply is not {charset} text ({error})") from None
    with suppress(ValueError):
        reply = parse_json(text)
        if isinstance(reply, Mapping) and any(isinstance(reply.get(key), str) for key in TEXT_KEYS):
            return read(body)
    if not text.strip():
        fix = 'send the answer, or JSON such as {"text": ""} if it is empty'
        raise CallFailed("bad_output", f"the reply is empty text; {fix}")
    return Output(text=text)


def _part(name: str, pick: Pick, reply: Any) -> Any:
    try:
        return pick(reply)
    except LookupError as error:
        if name == "text":
            raise
        path = error.args[0].partition(": ")[0]
        raise LookupError(f"{error.args[0]}; if it may be absent, write `{path}?`") from None


def _picked(picks: Mapping[str, Pick], reply: Any) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    usage: dict[str, Any] = {}
    for name, pick in picks.items():
        if name.startswith("usage."):
            usage[name.removeprefix("usage.")] = _part(name, pick, reply)
        else:
            parts[name] = _part(name, pick, reply)
    if usage:
        parts["usage"] = {**(parts.get("usage") or {}), **usage}
    return parts


def _by_name(reply: Any) -> Any:
    if isinstance(reply, str):
        return reply
    if not isinstance(reply, Mapping):
        raise LookupError(f"expected an object with {' or '.join(TEXT_KEYS)}, got {shown(reply)}; set `pick`")
    key = next((key for key in TEXT_KEYS if isinstance(reply.get(key), str)), None)
    if key is None:
        raise LookupError(f"no text under {', '.join(TEXT_KEYS)}, there is {shown(reply)}; set `pick.text`")
    parts = {"text": reply[key], **{name: reply[name] for name in _BY_NAME if name in reply}}
    if isinstance(usage := parts.get("usage"), Mapping):  # services count under many names; ours are taken
        parts["usage"] = {name: usage[name] for name in USAGE_KEYS if name in usage} or None
    return parts
