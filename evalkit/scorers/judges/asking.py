"""Ask a judge one question about a case: fence the case, and reject a reply that may be copied from it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from evalkit.formats.usage import add_usage
from evalkit.llm.errors import JudgeError
from evalkit.scorers.base import contexts_of
from evalkit.scorers.judges.prompt import REMINDER, case_blocks, goal_of, judge_messages, reminder_of, said_in
from evalkit.scorers.judges.rubric import Rubric
from evalkit.scorers.judges.transcript import MAX_CHARS, transcript_of
from evalkit.scorers.judges.verdicts import verdict_schema
from evalkit.types import Case, Output, Unscored, Usage

if TYPE_CHECKING:
    from evalkit.llm.client import ChatClient
    from evalkit.llm.wire import Parsed

Blocks = Sequence[tuple[str, str]]
"""(name, text) of each part of the case, in the order in which they are sent."""

MAX_CASE_CHARS = 400_000
MOST_NESTED = 3
ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
REASON_KEY = re.compile(r"""['"]?(reason|why)['"]?\s*[:=]\s*['"]$""")
AGAIN = (
    "Your reply cannot be used: it repeats the mark. Grade as you were asked to, and reply with one JSON object that "
    "fits the schema, without the mark."
)
QUOTES, KEY_CHARS = ("'", '"'), 60
NO_ENDPOINT = "the suite names no judge endpoint; add `judge: {chat: {model: ..., base_url: ..., api_key_env: ...}}`"


@dataclass(frozen=True)
class Question:
    """One question to a judge about a case."""

    metric: str
    system: str
    """The static text, equal for every case."""
    blocks: Blocks
    schema: type[Any]
    """The form of the reply, as a pydantic model."""
    reminder: str = REMINDER
    """The last sentence of the message."""
    given: Blocks = field(default=())
    """Texts of the case other than the blocks that a reply may not repeat as its own verdict."""


def rubric_question(metric: str, system: str, rubric: Rubric, case: Case, output: Output) -> Question:
    """Return the question that a rubric asks about an answer, or about a whole conversation."""
    return Question(
        metric,
        system,
        case_blocks(rubric.parts, case, output),
        verdict_schema(rubric.scale, tuple(rubric.criteria)),
        reminder_of(rubric.parts),
        said_in(case, output if "conversation" in rubric.parts else None),
    )


async def ask(
    client: ChatClient, question: Question, *, sample: int = 0, repeat: int = 0, logprobs: bool = False
) -> Parsed[Any] | Unscored:
    """Ask one question; any failure is `Unscored`, with its usage.

    Args:
        client: The judge.
        question: What to ask.
        sample: Number of the opinion; another number is sampled anew.
        repeat: Number of the repeat that is graded; repeats do not share cached replies.
        logprobs: Ask for the probabilities of the reply's tokens.
    """
    size = sum(len(text) for _, text in question.blocks)
    if size > MAX_CASE_CHARS:
        why = f"the case has {size} characters, a judge reads at most {MAX_CASE_CHARS}; cut the answer or contexts"
        return Unscored(question.metric, "case_too_long", why)
    messages, mark = judge_messages(question.system, list(question.blocks), question.reminder)
    wanted: dict[str, Any] = {"logprobs": True} if logprobs else {}
    spent: Usage | None = None
    for asked_again in (False, True):
        try:
            parsed = await client.structured(messages, question.schema, sample=sample, repeat=repeat, **wanted)
        except JudgeError as error:
            return Unscored(question.metric, f"judge_{error.kind}", error.message, total_usage([spent, error.usage]))
        parsed = replace(parsed, usage=total_usage([spent, parsed.usage]) or parsed.usage)
        if asked_again or not _repeats(parsed, mark):
            break
        spent = parsed.usage
        messages = [*messages, {"role": "assistant", "content": parsed.text}, {"role": "user", "content": AGAIN}]
    return _copied(question, parsed, mark) or parsed


def _repeats(parsed: Parsed[Any], mark: str) -> bool:
    """Return whether a reply holds the mark that fences the case."""
    said = parsed.value.model_dump(mode="json")
    return mark in parsed.text.lower() or any(mark in text.lower() for text in _texts(said))


def _copied(question: Question, parsed: Parsed[Any], mark: str) -> Unscored | None:
    """Reject a reply that may be the case's words rather than the judge's."""
    said = parsed.value.model_dump(mode="json")
    if _repeats(parsed, mark):
        why = "the reply repeats the mark that fences the case, twice; it may follow the case's words"
        return Unscored(question.metric, "echoed_mark", why, parsed.usage)
    if any(_holds_verdict(text, said, question.schema) for _, text in [*question.blocks, *question.given]):
        why = "the reply repeats a verdict that occurs in the case itself; have a person look at it"
        return Unscored(question.metric, "echoed_verdict", why, parsed.usage)
    return None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


def _holds_verdict(text: str, said: dict[str, Any], schema: type[Any] | None = None) -> bool:
    """Return whether a text holds this verdict: its reason word for word after that key, or an equal object."""
    plain = text
    for _ in range(MOST_NESTED):  # JSON within a string of JSON is escaped once more
        if any(_follows_key(plain, reason) for reason in _reasons(said)):
            return True
        plain = ESCAPE.sub(_unescaped, plain)
    from evalkit.llm.wire import json_objects

    return any(_contains(found, said, schema) for found in json_objects(text))


def _reasons(said: Any) -> Iterator[str]:
    if isinstance(said, dict):
        for key, value in said.items():
            if key in ("reason", "why") and isinstance(value, str):
                yield value
            else:
                yield from _reasons(value)
    elif isinstance(said, list):
        for part in said:
            yield from _reasons(part)


def _follows_key(text: str, reason: str) -> bool:
    at = text.find(reason)
    while at >= 0:
        closed = text[at + len(reason) : at + len(reason) + 1] in QUOTES
        if closed and REASON_KEY.search(text[max(0, at - KEY_CHARS) : at]):
            return True
        at = text.find(reason, at + 1)
    return False


def _unescaped(found: re.Match[str]) -> str:
    code = found[1]
    if code[0] == "u":
        return chr(int(code[1:], 16))
    return {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}.get(code, code)


def _contains(found: Any, said: Any, schema: type[Any] | None) -> bool:
    """Return whether a value is or holds the verdict, in any form in which a judge's reply is read."""
    from evalkit.llm.reply_forms import in_clear_form

    if found == said or (schema is not None and isinstance(found, dict) and in_clear_form(found, schema) == said):
        return True
    parts = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    return any(_contains(part, said, schema) for part in parts)


def lacking(metric: str, parts: frozenset[str], case: Case, output: Output) -> Unscored | None:
    """Return an error if the case lacks a part that the rubric reads."""
    if "reference" in parts and not any(text.strip() for text in case.reference):
        return Unscored(metric, "missing_reference", "the rubric compares with a reference; give the case one")
    if "contexts" in parts and not any(text.strip() for text in contexts_of(case, output)):
        return Unscored(metric, "missing_contexts", "the rubric reads contexts; neither system nor case has any")
    if "goal" in parts and not goal_of(case):
        return Unscored(metric, "missing_goal", "the rubric reads the goal of the user; the case names none")
    return too_long(metric, str(transcript_of(case, output))) if "conversation" in parts else None


def too_long(metric: str, transcript: str, what: str = "the conversation") -> Unscored | None:
    """Return why a transcript is not read, `None` if it is short enough.

    Args:
        metric: that is not graded.
        transcript: as a judge would read it.
        what: names it.
    """
    size = len(transcript)
    if size <= MAX_CHARS:
        return None
    return Unscored(metric, "too_long", f"{what} has {size:,} characters, a judge reads at most {MAX_CHARS:,}")


def check_goal(rubric: Rubric, case: Case) -> None:
    """Reject a case without the goal that a rubric reads.

    Raises:
        ValueError: `what; fix`.
    """
    if "goal" in rubric.parts and not goal_of(case):
        fix = "add a text `goal`, or give the scorer `when: {has: user}`"
        raise ValueError(f"the rubric reads {{{{goal}}}}, and the case names none; {fix}")


def total_usage(spent: Sequence[Usage | None]) -> Usage | None:
    """Sum the usage of several calls; `None` if none was made."""
    total: Usage | None = None
    for usage in spent:
        if usage is not None:
            total = add_usage(total, usage)
    return total
