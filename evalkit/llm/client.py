"""Ask a model, with retries, limits, a budget and a cache."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pydantic import BaseModel

from evalkit.formats.usage import add_usage
from evalkit.llm.batch_endpoint import BatchEndpoint
from evalkit.llm.batches import Batches
from evalkit.llm.budget import Budget
from evalkit.llm.cache import FORMAT, ReplyCache, entry_of, key_of, parsed_from, reply_from
from evalkit.llm.config import ChatConfig
from evalkit.llm.endpoint import ChatEndpoint, PricedReply, Refused
from evalkit.llm.errors import JudgeError
from evalkit.llm.ladder import (
    ENOUGH_REFUSALS,
    MAX_REPAIRS,
    RUNGS,
    Rung,
    form_of,
    names_form,
    repair_turns,
    strict_schema,
    with_instruction,
)
from evalkit.llm.prices import cost_usd
from evalkit.llm.wire import (
    Messages,
    ModelReply,
    Parsed,
    Spoken,
    as_messages,
    find_value,
    read_body,
    read_tokens,
    tokens_of,
)
from evalkit.net.exchange import new_session
from evalkit.net.rate_limits import CHARS_PER_TOKEN, Timetable
from evalkit.net.retry import TimeLeft
from evalkit.net.waits import Waits
from evalkit.text.escaping import cut
from evalkit.types import Usage

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T", bound=BaseModel)
R = TypeVar("R", ModelReply, Parsed[Any])

TOP_LOGPROBS = 20
"""Number of alternatives of each token to ask for; OpenAI-compatible endpoints show no more."""

RESAMPLE_TEMPERATURE = 0.3
"""Lowest temperature of additional samples; at 0 a seed has no effect, and the same opinion would be paid for twice."""


@dataclass
class _Question:
    """One question, and its usage so far."""

    turns: list[dict[str, str]]
    sample: int
    repeat: int
    left: TimeLeft
    wants_logprobs: bool = False
    logprobs: bool = False
    """Whether probabilities are asked for: they are wanted, and were not refused."""
    usage: Usage | None = None
    began: float = field(default_factory=monotonic)


class ChatClient:
    """Asks one model at one endpoint.

    Use it as `async with ChatClient(config, env=os.environ) as client`.

    Args:
        config: The endpoint and its settings.
        env: Environment that the key is read from.
        concurrency: Exchanges in flight at once; one that waits to try again is not in flight.
        budget: Limit of the cost; once it is reached, each question raises `BudgetReached`.
        cache: Replies of earlier runs; a question with a cached reply is not asked.
        waits: Where the waits before a further attempt are noted, for the progress of the run.
        timetable: When the limits of the endpoint let the next request pass, if others keep them too.
        sleep: Waits a number of seconds.

    Raises:
        InputError: The key cannot be sent, or the proxy of the environment cannot be used.
    """

    def __init__(  # noqa: PLR0913 - each is something that the run shares
        self,
        config: ChatConfig,
        *,
        env: Mapping[str, str],
        concurrency: int = 16,
        budget: Budget | None = None,
        cache: ReplyCache | None = None,
        waits: Waits | None = None,
        timetable: Timetable | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.config = config
        self._endpoint = ChatEndpoint(config, env, concurrency, budget, sleep, waits, timetable)
        self._concurrency = concurrency
        self._sleep = sleep
        self._budget = budget
        self._cache = cache
        self._session: aiohttp.ClientSession | None = None
        self._rung, self._shows_logprobs = 0, True
        self._refusals: Counter[Rung] = Counter()
        self._first, self._known = asyncio.Lock(), False

    @property
    def model(self) -> str:
        """Name of the model that is asked."""
        return self.config.model

    @property
    def no_key(self) -> str:
        """Why no question can be asked, if the key is missing; then each question ends as `no_key`."""
        return self._endpoint.no_key

    @property
    def given_up(self) -> tuple[str, ...]:
        """Sampling fields that the endpoint refused, and that are no longer sent."""
        return tuple(self._endpoint.fields.given_up)

    @property
    def batches(self) -> Batches | None:
        """Where questions wait for a batch; `None` if each is asked at once."""
        return self._endpoint.batches

    @contextmanager
    def in_batches(self, batches: Batches) -> Iterator[None]:
        """Leave questions to batches within the block: each without a reply yet raises `Deferred`."""
        self._endpoint.batches = batches
        try:
            yield
        finally:
            self._endpoint.batches = None

    def batch_endpoint(self) -> BatchEndpoint:
        """Return the batch endpoint beside the chat endpoint; the client must be open."""
        if self._session is None:
            raise RuntimeError("the client is not open; use `async with ChatClient(...)`")
        return BatchEndpoint(self._endpoint, self._session, self._sleep)

    async def __aenter__(self) -> Self:
        self._session = new_session(self._concurrency)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def text(self, messages: Messages, *, sample: int = 0, repeat: int = 0) -> ModelReply:
        """Ask for a text.

        Args:
            messages: A prompt, or chat turns with `role` and `content`.
            sample: Number of the opinion; each number is sampled separately.
            repeat: Number of the repeat that is graded; repeats do not share cached replies.

        Raises:
            JudgeError: No usable reply; its `kind` names the cause.
        """
        question = _Question(as_messages(messages), sample, repeat, TimeLeft(self.config.deadline_s, "deadline_s"))
        key = self._key(question, None)
        if entry := self._kept(key):
            return reply_from(entry)
        try:
            _, spoken = await self._ask(question, {})
        except Refused as refused:
            raise refused.error from None
        if not spoken.text:
            raise JudgeError("bad_reply", "the reply is empty", usage=question.usage)
        reply = ModelReply(text=spoken.text, rung="text", **_facts(question))
        return self._keep(key, reply, reply_from)

    async def structured(
        self,
        messages: Messages,
        schema: type[T],
        *,
        sample: int = 0,
        repeat: int = 0,
        logprobs: bool = False,
        usable: Callable[[T], bool] = lambda value: True,
    ) -> Parsed[T]:
        """Ask for a value of `schema`, in the strictest mode that the endpoint accepts.

        The next question starts on the rung that answered. An endpoint that refuses to show probabilities, or shows
        none, is not asked for them again.

        Args:
            messages: A prompt, or chat turns with `role` and `content`.
            schema: Form of the value; it is checked strictly on every rung.
            sample: Number of the opinion; each number is sampled separately.
            repeat: Number of the repeat that is graded; repeats do not share cached replies.
            logprobs: Ask for the probabilities of the reply's tokens.
            usable: Whether the caller can use a value; an unusable value is returned but not cached.

        Raises:
            JudgeError: No usable reply after two repair turns; its `kind` names the cause.
        """
        wanted = strict_schema(schema)
        question = _Question(
            with_instruction(as_messages(messages), wanted),
            sample,
            repeat,
            TimeLeft(self.config.deadline_s, "deadline_s"),
            wants_logprobs=logprobs,
        )
        key = self._key(question, wanted, logprobs=logprobs)
        with suppress(ValueError):
            if entry := self._kept(key):
                return parsed_from(entry, schema)
        async with self._alone_at_first():
            parsed = await self._climb(question, wanted, schema, logprobs=logprobs)
        if not usable(parsed.value):
            return parsed
        return self._keep(key, parsed, lambda entry: parsed_from(entry, schema))

    async def _climb(
        self, question: _Question, wanted: dict[str, Any], schema: type[T], *, logprobs: bool
    ) -> Parsed[T]:
        """Ask on the ladder with probabilities, and without them if they are refused."""
        question.logprobs = logprobs and self._shows_logprobs
        try:
            return await self._on_ladder(question, wanted, schema)
        except Refused as refused:
            if not question.logprobs:
                raise JudgeError(refused.error.kind, refused.error.message, usage=question.usage) from None
        question.logprobs = False
        try:
            parsed = await self._on_ladder(question, wanted, schema)
        except Refused as refused:
            raise JudgeError(refused.error.kind, refused.error.message, usage=question.usage) from None
        self._shows_logprobs = False
        return parsed

    @asynccontextmanager
    async def _alone_at_first(self) -> AsyncIterator[None]:
        """Hold other questions until the first is answered, because it shows what the endpoint accepts."""
        if not self._known:
            async with self._first:
                if not self._known:
                    try:
                        yield
                    finally:
                        self._known = not self._endpoint.in_doubt
                    return
        yield

    async def _on_ladder(self, question: _Question, wanted: dict[str, Any], schema: type[T]) -> Parsed[T]:
        """Ask on the first rung that the endpoint accepts; raise `Refused` if there is none, or no probabilities."""
        refusal: Refused | None = None
        refused_rungs: list[Rung] = []
        for index, rung in enumerate(RUNGS):
            if index < self._rung:
                continue
            try:
                parsed = await self._on_rung(question, rung, wanted, schema)
            except Refused as refused:
                refusal = refused
                refused_rungs += [rung] * (ENOUGH_REFUSALS if names_form(refused.error.message) else 1)
                if question.logprobs and "logprob" in refused.error.message.lower():
                    break
                continue
            self._learn(refused_rungs)
            return parsed
        raise refusal or RuntimeError("the ladder has no rung")

    def _learn(self, refused: list[Rung]) -> None:
        """Stop using a rung whose form was refused, or that was refused twice while a lower one was accepted."""
        self._refusals.update(refused)
        while self._refusals[RUNGS[self._rung]] >= ENOUGH_REFUSALS:
            self._rung += 1

    async def _on_rung(self, question: _Question, rung: Rung, wanted: dict[str, Any], schema: type[T]) -> Parsed[T]:
        problem = ""
        for _ in range(1 + MAX_REPAIRS):
            body, spoken = await self._ask(question, form_of(rung, wanted))
            try:
                value = find_value(spoken.text, schema)
            except ValueError as error:
                problem = str(error)
                question.turns = [*question.turns, *repair_turns(spoken.text, problem)]
                continue
            tokens = read_tokens(body) if question.logprobs else None
            self._shows_logprobs = self._shows_logprobs and (not question.logprobs or tokens is not None)
            return Parsed(value=value, text=spoken.text, rung=rung, tokens=tokens, **_facts(question))
        raise JudgeError("bad_reply", f"after {MAX_REPAIRS} repairs: {problem}", usage=question.usage)

    def _key(self, question: _Question, wanted: dict[str, Any] | None, *, logprobs: bool = False) -> str:
        """Return the key of a question: everything that changes its reply, except the rung it is asked on."""
        if self._cache is None:
            return ""
        settings = [self.config.dialect, self.config.base_url, self.config.max_tokens, dict(self.config.headers)]
        sampling = self._sampling(question.sample)
        return key_of([FORMAT, settings, sampling, question.turns, wanted, logprobs, question.sample, question.repeat])

    def _kept(self, key: str) -> dict[str, Any] | None:
        if self._cache is None or (self.batches is not None and self.batches.is_own(key)):
            return None
        return self._cache.get(key)

    def _keep(self, key: str, own: R, read: Callable[[dict[str, Any]], R]) -> R:
        """Store a reply and return the one that counts: another run's, if it was stored in the meantime."""
        entry = entry_of(own)
        if self.batches is not None:
            self.batches.note_own(key)
        kept = entry if self._cache is None else self._cache.put(key, entry)
        with suppress(ValueError):
            return own if kept is entry else replace(read(kept), usage=own.usage, latency_s=own.latency_s)
        return own

    async def _ask(self, question: _Question, form: dict[str, Any]) -> tuple[dict[str, Any], Spoken]:
        """Send one request, count its usage, and reject a reply that was cut or declined."""
        if self._session is None:
            raise RuntimeError("the client is not open; use `async with ChatClient(...)`")
        shown = {"logprobs": True, "top_logprobs": TOP_LOGPROBS} if question.logprobs else {}
        request = {"messages": question.turns, **self._sampling(question.sample), **shown, **form}
        try:
            name = self._name(question) if self.batches is not None else ""
            sent = await self._endpoint.send(self._session, request, question.left, name)
            question.usage = add_usage(question.usage, self._spent(request, sent))
            spoken = read_body(sent.body)
            self._check_end(spoken)
        except JudgeError as error:
            raise JudgeError(error.kind, self._endpoint.redacted(error.message), usage=question.usage) from None
        return sent.body, spoken

    def _name(self, question: _Question) -> str:
        """Name a question for batches: everything that changes its reply, except the form in which it is asked."""
        settings = [self._sampling(question.sample), self.config.max_tokens]
        return key_of([settings, question.turns, question.wants_logprobs, question.sample, question.repeat])

    def _check_end(self, spoken: Spoken) -> None:
        if spoken.finish_reason == "length":
            raise JudgeError("truncated", f"the reply was cut at {self.config.max_tokens} tokens; raise max_tokens")
        if spoken.refusal or spoken.finish_reason == "content_filter":
            said = str(spoken.refusal or "stopped by the vendor's content filter")
            raise JudgeError("refusal", f"the model declined: {cut(said, 500)}")

    def _sampling(self, sample: int) -> dict[str, Any]:
        fields: dict[str, Any] = {"model": self.config.model}
        if self.config.temperature is not None:
            warmer = RESAMPLE_TEMPERATURE if sample else 0.0
            fields["temperature"] = max(self.config.temperature, warmer)
        if self.config.seed is not None or sample:
            fields["seed"] = (self.config.seed or 0) + sample
        return fields

    def _spent(self, request: dict[str, Any], sent: PricedReply) -> Usage:
        usage = self._usage(sent)
        if self._budget is not None and sent.is_new:
            unknown = Usage(cost_usd=self.most_usd(request, sent.share))
            self._budget.add(usage if usage.cost_usd is not None else unknown)
        return usage

    def most_usd(self, request: Mapping[str, Any], share: float = 1.0) -> float | None:
        """Return the cost of a request with the longest possible reply.

        Args:
            request: Its fields.
            share: Share of the price of a direct call, 0 to 1.

        Returns:
            US dollars; `None` if the price of the model is unknown.
        """
        asked = len(str(request)) // CHARS_PER_TOKEN
        return cost_usd(self.config, input_tokens=asked, output_tokens=self.config.max_tokens, share=share)

    def _usage(self, sent: PricedReply) -> Usage:
        tokens_in, tokens_out, cached = tokens_of(sent.body)
        cost = cost_usd(
            self.config, input_tokens=tokens_in, output_tokens=tokens_out, cached_tokens=cached, share=sent.share
        )
        named = sent.body.get("model")
        model = named if isinstance(named, str) and named else self.config.model
        return Usage(
            input_tokens=tokens_in, output_tokens=tokens_out, cost_usd=cost, model=model, cached=sent.is_shared
        )


def _facts(question: _Question) -> dict[str, Any]:
    usage = question.usage or Usage()
    return {"usage": usage, "latency_s": monotonic() - question.began, "model": usage.model or ""}
