"""A model that grades by a rubric."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import urlsplit

from evalkit.llm.errors import JudgeError
from evalkit.scorers.base import Services, contexts_of
from evalkit.scorers.judges.prompt import PROMPT_VERSION, case_blocks, judge_messages, system_text
from evalkit.scorers.judges.rubric import Rubric, Scale, read_rubric, read_scale
from evalkit.types import Case, Metric, Output, Score, Unscored

if TYPE_CHECKING:
    from evalkit.llm.client import ChatClient
    from evalkit.llm.config import ChatConfig
    from evalkit.llm.wire import Parsed

MAX_CASE_CHARS = 400_000
SHOWN_CHARS = 4_000
NO_ENDPOINT = "the suite names no judge endpoint; add `judge: {chat: {model: ..., base_url: ..., api_key_env: ...}}`"


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Grade by a rubric that a model applies.

    The model sees the parts of the case that the rubric names, fenced as data, and replies with a reason and a level
    of the scale. A reply that is unreadable, off the scale, declined or copied from the answer leaves the case
    unscored: it never becomes a level.
    """

    name: str = "judge"
    rubric: str
    """Markdown file with front matter (`name`, `version`, `scale`), relative to the suite."""
    scale: Literal["pass_fail"] | tuple[int, ...] | None = None
    """`[lowest, highest]` or `pass_fail`; it must be the rubric's own, which is used where this is left out."""
    pass_at: int | None = field(default=None, metadata={"key": "pass"})
    """Lowest level that passes; without it a graded scale neither passes nor fails."""

    version: ClassVar[str] = "1"
    shorthand: ClassVar[str] = "rubric"

    def __post_init__(self) -> None:
        if self.scale is not None:
            _check_pass(self.pass_at, read_scale(self.scale, "scale"))

    def bind(self, services: Services) -> BoundJudge:
        """Read the rubric and take the run's judge endpoint.

        Raises:
            ValueError: The rubric cannot be used, or contradicts these options.
        """
        rubric = read_rubric(services.root, self.rubric)
        if self.scale is not None and read_scale(self.scale, "scale") != rubric.scale:
            raise ValueError(
                f"scale: {self.scale} is not the rubric's {rubric.scale}; remove it here, or mend the rubric"
            )
        _check_pass(self.pass_at, rubric.scale)
        return BoundJudge(self, rubric, services.llm)


class BoundJudge:
    """`Judge` with its rubric and its endpoint; without an endpoint every grade is `no_judge_endpoint`."""

    version: ClassVar[str] = Judge.version

    def __init__(self, options: Judge, rubric: Rubric, client: ChatClient | None) -> None:
        self.name = options.name
        self._pass_at = options.pass_at
        self._rubric = rubric
        self._client = client
        self._system = system_text(rubric, rubric.scale)
        self.metrics = (_metric(options.name, rubric.scale, judge_name(client)),)
        self.needs = frozenset({"reference"}) & rubric.parts
        self.key_parts: Mapping[str, str] = {
            **judge_key(client),
            "rubric": rubric.sha256[:16],
            "prompt": PROMPT_VERSION,
        }

    async def score(self, case: Case, output: Output) -> Score | Unscored:
        """Grade one answer."""
        if self._client is None:
            return Unscored(self.name, "no_judge_endpoint", NO_ENDPOINT)
        contexts = contexts_of(case, output)
        lacking = self._lacking(case, contexts)
        if lacking:
            return lacking
        blocks = case_blocks(self._rubric, case, output.text, contexts)
        size = sum(len(text) for _, text in blocks)
        if size > MAX_CASE_CHARS:
            why = (
                f"the case has {size} characters, a judge is sent at most {MAX_CASE_CHARS}; cut the answer or contexts"
            )
            return Unscored(self.name, "case_too_long", why)
        messages, mark = judge_messages(self._system, blocks)
        try:
            parsed = await self._client.structured(messages, verdict_schema(self._rubric.scale))
        except JudgeError as error:
            return Unscored(self.name, f"judge_{error.kind}", error.message, error.usage)
        return self._copied(parsed, mark, blocks) or self._grade(parsed)

    def _lacking(self, case: Case, contexts: tuple[str, ...]) -> Unscored | None:
        parts = self._rubric.parts
        if "reference" in parts and not any(text.strip() for text in case.reference):
            return Unscored(self.name, "missing_reference", "the rubric compares with a reference; give the case one")
        if "contexts" in parts and not any(text.strip() for text in contexts):
            return Unscored(self.name, "missing_contexts", "the rubric reads contexts; neither system nor case has any")
        return None

    def _copied(self, parsed: Parsed[Any], mark: str, blocks: list[tuple[str, str]]) -> Unscored | None:
        """Refuse a reply that may be the answer's words rather than the judge's."""
        if mark in parsed.text.lower() or mark in parsed.value.reason.lower():
            why = "the reply repeats the mark that fences the case; it may follow the case's words"
            return Unscored(self.name, "echoed_mark", why, parsed.usage)
        if any(_holds_verdict(text, parsed.value.reason) for _, text in blocks):
            why = "the reply is a verdict that stands in the case itself; have a person look at it"
            return Unscored(self.name, "echoed_verdict", why, parsed.usage)
        return None

    def _grade(self, parsed: Parsed[Any]) -> Score:
        level = parsed.value.score
        value = float(level == "pass") if isinstance(level, str) else float(level)
        passed = _passed(value, self._rubric.scale, self._pass_at)
        details = {"rung": parsed.rung, "model": parsed.model, "raw": parsed.text[:SHOWN_CHARS]}
        return Score(self.name, value, passed, parsed.value.reason, details, parsed.usage)


def judge_name(client: ChatClient | None) -> str:
    """Name of a judge in metrics and reports."""
    return f"chat:{client.model}" if client else "chat"


def judge_key(client: ChatClient | None) -> Mapping[str, str]:
    """The parts of a score key that the judge endpoint decides."""
    return {"judge": judge_name(client), "settings": settings_hash(client.config) if client else "none"}


def settings_hash(config: ChatConfig) -> str:
    """Digest of the settings that can move a grade; patience, prices, ports and keys are none of them."""
    host = urlsplit(config.base_url).hostname
    settings = [config.temperature, config.max_tokens, config.seed, host, dict(config.headers)]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


@functools.cache
def verdict_schema(scale: Scale) -> type[Any]:
    """The reply's form: a reason, then a level of the scale."""
    from pydantic import ConfigDict, Field, create_model

    score: Any = Literal["pass", "fail"]
    limits = Field()
    if scale != "pass_fail":
        score, limits = int, Field(ge=scale[0], le=scale[1])
    return create_model(
        "Verdict", __config__=ConfigDict(extra="forbid"), reason=(str, Field(min_length=1)), score=(score, limits)
    )


def _metric(name: str, scale: Scale, judge: str) -> Metric:
    if scale == "pass_fail":
        return Metric(name, binary=True, judge=judge)
    return Metric(name, float(scale[0]), float(scale[1]), judge=judge)


def _passed(value: float, scale: Scale, pass_at: int | None) -> bool | None:
    if scale == "pass_fail":
        return value == 1.0
    return None if pass_at is None else value >= pass_at


def _check_pass(pass_at: int | None, scale: Scale) -> None:
    if pass_at is None:
        return
    if scale == "pass_fail":
        raise ValueError("pass_at: a pass_fail rubric gives the verdict itself; remove it")
    if not scale[0] < pass_at <= scale[1]:
        raise ValueError(
            f"pass_at: {pass_at} tells no level of {scale[0]}..{scale[1]} apart; write a level above the lowest"
        )


def _holds_verdict(text: str, reason: str) -> bool:
    """Tell whether a text holds a JSON object with `score` and this very reason."""
    if '"score"' not in text and "'score'" not in text:
        return False
    from evalkit.llm.wire import json_objects

    return any("score" in found and found.get("reason") == reason for found in json_objects(text))
