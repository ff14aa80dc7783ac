"""Provide the base class of scorers that ask judges to grade by a rubric."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from evalkit.scorers.judges.asking import check_goal
from evalkit.scorers.judges.identity import judge_key
from evalkit.scorers.judges.prompt import PROMPT_VERSION
from evalkit.types import Case, Output, Score, Unscored

if TYPE_CHECKING:
    from evalkit.llm.client import ChatClient
    from evalkit.scorers.judges.rubric import Rubric


class ByRubric(ABC):
    """A scorer bound to its rubric and to the endpoints to ask, if there are any.

    Args:
        name: Name of the scorer.
        rubric: Rubric for the judges.
        judges: The judge and its panel; empty if the suite has no endpoint.
    """

    def __init__(self, name: str, rubric: Rubric, judges: tuple[ChatClient, ...]) -> None:
        self.name = name
        self.rubric = rubric
        self.needs = frozenset({"reference"}) & rubric.parts
        key = judge_key(judges[0] if judges else None, judges[1:])
        self.key_parts: Mapping[str, str] = {**key, "rubric": rubric.sha256[:16], "prompt": PROMPT_VERSION}

    def check_case(self, case: Case) -> None:
        """Reject a case without the goal that the rubric reads.

        Raises:
            ValueError: `what; fix`.
        """
        check_goal(self.rubric, case)

    async def score(self, case: Case, output: Output) -> Score | Unscored:
        """Grade one output of the first repeat."""
        return await self.score_repeat(case, output, 0)

    @abstractmethod
    async def score_repeat(self, case: Case, output: Output, repeat: int) -> Score | Unscored:
        """Grade one output of one repeat."""
