"""Define what a span means, whichever convention its attributes follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from evalkit.types import Message, StepKind


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person or a program said of a span.

    Attributes:
        name: Such as `correctness`.
        value: A number.
        label: A word, such as `pass`.
        reason: Why.
        by: Kind of the rater: `HUMAN`, `LLM`, `CODE`; empty if unknown.
        rater: Who it was.
        of_the_answer: Whether it is about the whole trace or session and not about this span.
    """

    name: str
    value: float | None
    label: str
    reason: str
    by: str
    rater: str
    of_the_answer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanMeaning:
    """Hold what one convention says of a span; `None` marks a field that the convention does not give.

    Attributes:
        kind: Kind of the step.
        name: Name of the tool, model or agent.
        call_id: The id that the model gave the call of a tool.
        arguments: Of the call of a tool: a mapping, or its JSON text.
        result: Of the call of a tool.
        asked: Messages that a model or an agent got.
        replied: Messages that it returned.
        finished: Reasons why the model stopped.
        given: Input in the form of the traced function.
        returned: Output in the form of the traced function.
        answer: The answer of the whole trace, if the span states it; else it is the last reply of a model.
        input_tokens: Tokens that the model read.
        output_tokens: Tokens that it wrote.
        cost_usd: Cost in US dollars.
        session: Id of the conversation.
        documents: Passages that were retrieved, as `{id, text, score}`.
        metadata: Further values that the user gave the trace.
        verdicts: Of people and programs.
        faults: Attributes that are not what the convention says.
    """

    kind: StepKind | None = None
    name: str | None = None
    call_id: str | None = None
    arguments: Any = None
    result: Any = None
    asked: tuple[Message, ...] | None = None
    replied: tuple[Message, ...] | None = None
    finished: tuple[str, ...] | None = None
    given: Any = None
    returned: Any = None
    answer: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    session: str | None = None
    documents: tuple[Mapping[str, Any], ...] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    verdicts: tuple[Feedback, ...] = ()
    faults: tuple[str, ...] = ()


_JOINED = ("verdicts", "faults", "metadata")


def merged(first: SpanMeaning, second: SpanMeaning) -> SpanMeaning:
    """Return what two conventions say of a span; the first counts where both say something."""
    known = {
        each.name: getattr(second if getattr(first, each.name) is None else first, each.name)
        for each in fields(SpanMeaning)
        if each.name not in _JOINED
    }
    return SpanMeaning(
        **known,
        metadata={**second.metadata, **first.metadata},
        verdicts=first.verdicts + second.verdicts,
        faults=first.faults + second.faults,
    )
