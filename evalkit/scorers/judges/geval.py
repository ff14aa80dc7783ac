"""Compute G-Eval: the expected level of a rubric under the model's probabilities of the levels."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from evalkit.scorers.base import Questions, Services
from evalkit.scorers.judges.asking import NO_ENDPOINT, Question, ask, lacking, rubric_question
from evalkit.scorers.judges.by_rubric import ByRubric
from evalkit.scorers.judges.identity import judge_name
from evalkit.scorers.judges.opinions import Opinion, check_samples, combined
from evalkit.scorers.judges.prompt import system_text
from evalkit.scorers.judges.rubric import Rubric, read_rubric
from evalkit.scorers.judges.rubric_judge import check_pass, details_of
from evalkit.types import Case, Metric, Output, Score, Unscored

if TYPE_CHECKING:
    from evalkit.llm.client import ChatClient
    from evalkit.llm.wire import Token

SCORE_KEY = re.compile(r'"score"\s*:\s*$')
LEVEL = re.compile(r"\s*(\d+)\s*[,}]?\s*$")
LEAST_MASS = 0.5
"""Minimum total probability of the scale's levels; below it the token is not a level."""


@dataclass(frozen=True, kw_only=True)
class GEval:
    """Grade by a rubric, with the expected level instead of the likeliest one.

    The value lies on the rubric's scale; with `pass`, the answer passes if the value reaches it. If the endpoint shows
    the probabilities of its tokens, it is the sum of each level times its probability, from one call; else it is the
    mean of `samples` opinions. Either way it distinguishes 3.6 from 4.4, where a plain judge says 4 both times. The
    steps of the evaluation are the rubric's own text; the model does not generate any. Needs the suite's `judge:`.
    Source: Liu et al. 2023, arXiv 2303.16634.
    """

    name: str = "geval"
    rubric: str
    """A shipped rubric, or a Markdown file, with a scale of levels such as `[1, 5]`; both ends below 10."""
    pass_at: float | None = field(default=None, metadata={"key": "pass"})
    """Smallest expected level that passes; without it, the value has no pass mark."""
    samples: int = 5
    """Number of opinions to ask for if the endpoint shows no probabilities."""

    version: ClassVar[str] = "1"
    shorthand: ClassVar[str] = "rubric"

    def __post_init__(self) -> None:
        check_samples(self.samples)

    def bind(self, services: Services) -> BoundGEval:
        """Read the rubric and take the run's judge.

        Raises:
            ValueError: The rubric cannot be used, or has no levels of one digit.
        """
        rubric = read_rubric(services.root, self.rubric)
        if isinstance(rubric.scale, str) or not 0 <= rubric.scale[0] < rubric.scale[1] <= 9:
            raise ValueError(f"rubric: its scale is {rubric.scale}; G-Eval needs levels of one digit, such as [1, 5]")
        check_pass(self.pass_at, rubric.scale)
        return BoundGEval(self, rubric, rubric.scale, services.llm)


class BoundGEval(ByRubric):
    """`GEval` with its rubric and its endpoint; without an endpoint every grade is `no_judge_endpoint`."""

    version: ClassVar[str] = GEval.version

    def __init__(self, options: GEval, rubric: Rubric, levels: tuple[int, int], client: ChatClient | None) -> None:
        super().__init__(options.name, rubric, (client,) if client else ())
        self._levels = range(levels[0], levels[1] + 1)
        self._pass_at = options.pass_at
        self._samples = options.samples
        self._client = client
        self._system = system_text(rubric, rubric.scale)
        self.metrics = (
            Metric(options.name, float(levels[0]), float(levels[1]), judge=judge_name(client), pass_at=options.pass_at),
        )

    def questions(self, case: Case) -> tuple[Questions, ...]:
        """Return one question if the endpoint shows probabilities, else one for each opinion."""
        likely = 1 if self._samples == 1 else None
        return (Questions(self._client, 1, likely, self._samples),) if self._client else ()

    async def score_repeat(self, case: Case, output: Output, repeat: int) -> Score | Unscored:
        """Grade one answer of one repeat."""
        return await self.opinion(case, output, repeat=repeat)

    async def opinion(self, case: Case, output: Output, sample: int = 0, repeat: int = 0) -> Score | Unscored:
        """Grade one answer once; each `sample` asks for new opinions."""
        if self._client is None:
            return Unscored(self.name, "no_judge_endpoint", NO_ENDPOINT)
        missing = lacking(self.name, self.rubric.parts, case, output)
        if missing:
            return missing
        question = rubric_question(self.name, self._system, self.rubric, case, output)
        start = sample * self._samples
        first, weighed = await self._ask(self._client, question, start, repeat)
        opinions: list[Opinion | Unscored] = [first]
        if not weighed and isinstance(first, Opinion):
            more = range(start + 1, start + self._samples)
            opinions += [
                each for each, _ in await asyncio.gather(*(self._ask(self._client, question, n, repeat) for n in more))
            ]
        return self._grade(combined(self.name, opinions, "mean"))

    async def _ask(
        self, client: ChatClient, question: Question, sample: int, repeat: int
    ) -> tuple[Opinion | Unscored, bool]:
        """Return one opinion, and whether it is an expected level already."""
        parsed = await ask(client, question, sample=sample, repeat=repeat, logprobs=True)
        if isinstance(parsed, Unscored):
            return parsed, False
        level, reason = float(parsed.value.score), parsed.value.reason
        shares = level_shares(parsed.tokens or (), self._levels, parsed.value.score)
        if shares is None:
            return Opinion(level, reason, details_of(parsed), parsed.usage), False
        expected = sum(each * share for each, share in shares.items())
        details = {**details_of(parsed), "levels": {str(each): round(share, 6) for each, share in shares.items()}}
        return Opinion(expected, reason, details, parsed.usage), True

    def _grade(self, opinion: Opinion | Unscored) -> Score | Unscored:
        if isinstance(opinion, Unscored):
            return opinion
        passed = None if self._pass_at is None else opinion.value >= self._pass_at
        method = "token probabilities" if "levels" in opinion.details else f"mean of {self._samples} opinions"
        details = {**opinion.details, "method": method}
        return Score(self.name, opinion.value, passed, opinion.reason, details, opinion.usage)


def level_shares(tokens: Sequence[Token], levels: range, said_level: int) -> dict[int, float] | None:
    """Return the probability of each level at the position of the reply's score, normalised to sum to 1.

    Args:
        tokens: tokens of the reply, in order, each with the probabilities of its alternatives.
        levels: levels of the scale.
        said_level: the level that was read from the reply; a token with another level is not its score.

    Returns:
        Level -> share; `None` if the tokens are unknown, none of them starts with the score, or the levels have less
        than half of the probability there.
    """
    said = ""
    place = None
    for token in tokens:
        found = LEVEL.match(token.text)
        if found and int(found[1]) == said_level and SCORE_KEY.search(said):
            place = token
        said += token.text
    if place is None:
        return None
    shares: dict[int, float] = {}
    for text, probability in place.alternatives.items():
        found = LEVEL.match(text)
        if found and int(found[1]) in levels:
            shares[int(found[1])] = shares.get(int(found[1]), 0.0) + probability
    mass = sum(shares.values())
    return {level: shares[level] / mass for level in sorted(shares)} if mass >= LEAST_MASS else None
