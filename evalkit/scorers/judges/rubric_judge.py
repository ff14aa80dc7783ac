"""Grade by a rubric with a model."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from evalkit.scorers.base import Questions, Services
from evalkit.scorers.judges.asking import NO_ENDPOINT, ask, lacking, rubric_question
from evalkit.scorers.judges.by_rubric import ByRubric
from evalkit.scorers.judges.identity import judge_name
from evalkit.scorers.judges.line_judge import LineJudge
from evalkit.scorers.judges.opinions import Combine, Opinion, check_samples, combined
from evalkit.scorers.judges.prompt import system_text
from evalkit.scorers.judges.rubric import Rubric, Scale, read_rubric, read_scale
from evalkit.scorers.judges.verdicts import value_of
from evalkit.text.escaping import cut
from evalkit.types import Case, Metric, Output, Score, Unscored

if TYPE_CHECKING:
    from evalkit.llm.client import ChatClient
    from evalkit.llm.wire import Parsed

SHOWN_CHARS = 4_000


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Have a model grade by a rubric.

    The model sees the parts of the case that the rubric names, fenced as data. It replies with a reason and a level of
    the scale, pass or fail, or whether each criterion is met; the value is the level, 1 or 0, or the share of criteria
    that are met. A rubric whose scale is `turns` or `requests` gives a verdict on each turn of a conversation, or on
    each request of its user, with a quote that is checked; the value is the share without a fault. With `pass`, the
    answer passes if a level or share reaches it. A reply that cannot be read, is off the scale, declines or copies the
    case leaves the case unscored. Needs the suite's `judge:`.
    """

    name: str = "judge"
    rubric: str
    """A shipped rubric, a Markdown file with front matter (`name`, `version`, `scale`), relative to the suite, or the
    text of a rubric. Shipped for answers: `citation_accuracy`, `completeness`, `correctness`, `faithfulness`,
    `refusal`, `tone`. Shipped for conversations: `conversation_complete`, `goal_reached`, `knowledge_retention`,
    `plan_adherence`, `role_adherence`, `topic_adherence`, `turn_relevance`, and `user_faults` of simulated users."""
    scale: Literal["pass_fail", "criteria"] | tuple[int, ...] | None = None
    """`[lowest, highest]`, `pass_fail` or `criteria`. Default: the scale in the rubric's front matter, which this must
    not contradict; `pass_fail` for a text without front matter."""
    pass_at: float | None = field(default=None, metadata={"key": "pass"})
    """Lowest level, or lowest share of criteria, that passes; without it, the value has no pass mark."""
    samples: int = 1
    """Number of opinions of each judge about one answer; all of them are stored."""
    panel: bool = False
    """Ask every member of the suite's `judge: {panel: [...]}` beside the main judge."""
    combine: Literal["majority", "mean", "agree"] | None = None
    """How several opinions become one grade: `majority` of all asked, `mean`, or `agree` (unscored if they differ).
    Default: `majority` for pass or fail, else `mean`."""

    version: ClassVar[str] = "1"
    shorthand: ClassVar[str] = "rubric"

    def __post_init__(self) -> None:
        check_samples(self.samples)
        if self.scale is not None:
            check_pass(self.pass_at, read_scale(self.scale, "scale"))

    def bind(self, services: Services) -> BoundJudge | LineJudge:
        """Read the rubric and take the run's judges.

        Raises:
            ValueError: The rubric cannot be used, or contradicts these options.
        """
        rubric = read_rubric(services.root, self.rubric, self.scale)
        if self.scale is not None and read_scale(self.scale, "scale") != rubric.scale:
            raise ValueError(
                f"scale: {self.scale} is not the rubric's {rubric.scale}; remove it here, or fix the rubric"
            )
        if rubric.scale == "pairwise":
            raise ValueError("rubric: it compares two answers; use it with the scorer `pairwise`")
        check_pass(self.pass_at, rubric.scale)
        if rubric.scale in ("turns", "requests"):
            return self._over_lines(rubric, services)
        if self.panel and services.llm and not services.panel:
            raise ValueError("panel: the suite names no panel; write `judge: {chat: {...}, panel: [{...}, {...}]}`")
        return BoundJudge(self, rubric, services.llm, services.panel if self.panel else ())

    def _over_lines(self, rubric: Rubric, services: Services) -> LineJudge:
        if self.samples > 1 or self.panel or self.combine:
            raise ValueError(f"samples: a rubric of {rubric.scale} has one opinion; remove samples, panel and combine")
        if self.pass_at is not None and rubric.of == "user":
            raise ValueError("pass_at: the rubric is about the user, who passes nothing; remove it")
        return LineJudge(self.name, rubric, self.pass_at, services.llm)


class BoundJudge(ByRubric):
    """`Judge` with its rubric and its endpoints; without an endpoint every grade is `no_judge_endpoint`."""

    version: ClassVar[str] = Judge.version

    def __init__(
        self, options: Judge, rubric: Rubric, client: ChatClient | None, panel: tuple[ChatClient, ...] = ()
    ) -> None:
        self._judges = (client, *panel) if client else ()
        super().__init__(options.name, rubric, self._judges)
        self._pass_at = options.pass_at
        self._samples = options.samples
        self._combine: Combine = options.combine or ("majority" if rubric.scale == "pass_fail" else "mean")
        self._system = system_text(rubric, rubric.scale)
        self.metrics = (_metric(options.name, rubric.scale, judge_name(client, panel), options.pass_at),)

    def questions(self, case: Case) -> tuple[Questions, ...]:
        """Return one question for each opinion and member of the panel."""
        return tuple(Questions(judge, self._samples, self._samples, self._samples) for judge in self._judges)

    async def score_repeat(self, case: Case, output: Output, repeat: int) -> Score | Unscored:
        """Grade one answer of one repeat."""
        if not self._judges:
            return Unscored(self.name, "no_judge_endpoint", NO_ENDPOINT)
        missing = lacking(self.name, self.rubric.parts, case, output)
        if missing:
            return missing
        asked = [(judge, sample) for judge in self._judges for sample in range(self._samples)]
        opinions = await asyncio.gather(
            *(self._opinion(case, output, judge, sample, repeat) for judge, sample in asked)
        )
        return self._grade(combined(self.name, opinions, self._combine))

    async def opinion(self, case: Case, output: Output, sample: int = 0) -> Score | Unscored:
        """Grade one answer once, by the main judge alone."""
        if not self._judges:
            return Unscored(self.name, "no_judge_endpoint", NO_ENDPOINT)
        return self._grade(await self._opinion(case, output, self._judges[0], sample))

    async def _opinion(
        self, case: Case, output: Output, judge: ChatClient, sample: int, repeat: int = 0
    ) -> Opinion | Unscored:
        question = rubric_question(self.name, self._system, self.rubric, case, output)
        parsed = await ask(judge, question, sample=sample, repeat=repeat)
        if isinstance(parsed, Unscored):
            return parsed
        value, reason = value_of(parsed.value, self.rubric)
        return Opinion(value, reason, details_of(parsed), parsed.usage)

    def _grade(self, opinion: Opinion | Unscored) -> Score | Unscored:
        if isinstance(opinion, Unscored):
            return opinion
        passed = _passed(opinion.value, self.rubric.scale, self._pass_at)
        return Score(self.name, opinion.value, passed, opinion.reason, opinion.details, opinion.usage)


def details_of(parsed: Parsed[Any]) -> Mapping[str, Any]:
    """Return the stored details of a reply: how it was asked for, the model, and its text."""
    return {"rung": parsed.rung, "model": parsed.model, "raw": cut(parsed.text, SHOWN_CHARS)}


def _metric(name: str, scale: Scale, judge: str, pass_at: float | None) -> Metric:
    if isinstance(scale, str):
        return Metric(name, binary=scale == "pass_fail", judge=judge)
    return Metric(name, float(scale[0]), float(scale[1]), judge=judge, pass_at=pass_at)


def _passed(value: float, scale: Scale, pass_at: float | None) -> bool | None:
    if scale == "pass_fail":
        return value == 1.0
    return None if pass_at is None else value >= pass_at


def check_pass(pass_at: float | None, scale: Scale) -> None:
    """Reject a pass mark that every value or no value reaches.

    Raises:
        ValueError: The scale gives the verdict itself, or the mark is not above its lowest level or exceeds its
            highest.
    """
    if pass_at is None:
        return
    if scale in ("pass_fail", "pairwise"):
        raise ValueError(f"pass_at: a {scale} rubric gives the verdict itself; remove it")
    low, high = (0, 1) if isinstance(scale, str) else scale
    if not low < pass_at <= high:
        raise ValueError(f"pass_at: expected a level above {low}, at most {high}, got {pass_at:g}; write one of these")
