"""Enforce rules for judges' replies that ragas' own reply models do not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from evalkit.scorers.libraries.asked import Given, NotApplicable, Rule, ruled

CASE_MARK = "\ninput: "
"""Marks the beginning of the case in a prompt of ragas, after the examples."""


def given_in(prompt: str) -> Given:
    """Count the lists in the input at the end of a ragas prompt, one JSON object whose texts have no raw line ends."""
    start = prompt.rfind(CASE_MARK)
    try:
        found, _ = json.JSONDecoder().raw_decode(prompt, start + len(CASE_MARK))
    except ValueError:
        return ()
    return tuple((name, len(value)) for name, value in found.items() if isinstance(value, list))


def _one_of(name: str, *allowed: int) -> Rule:
    def rule(reply: Any, given: Mapping[str, int]) -> str | None:
        value = getattr(reply, name)
        return None if value in allowed else f"{name} is {value}, it must be one of {', '.join(map(str, allowed))}"

    return rule


def _verdict_per_statement(reply: Any, given: Mapping[str, int]) -> str | None:
    asked = given.get("statements", 0)
    if len(reply.statements) != asked:
        return f"{asked} statements were given and {len(reply.statements)} judged; judge each exactly once"
    return _first(_one_of("verdict", 0, 1)(one, given) for one in reply.statements)


def _attributions(reply: Any, given: Mapping[str, int]) -> str | None:
    return _first(_one_of("attributed", 0, 1)(one, given) for one in reply.classifications)


def _answers(reply: Any, given: Mapping[str, int]) -> str | None:
    asked = given.get("questions", 0)
    if len(reply.answers) != asked:
        return f"{asked} questions were given and {len(reply.answers)} answered; answer each exactly once"
    return None if set(reply.answers) <= {"0", "1"} else 'every answer must be "0" or "1"'


def _question(reply: Any, given: Mapping[str, int]) -> str | None:
    if not reply.question.strip():
        return "question is empty"
    return _one_of("noncommittal", 0, 1)(reply, given)


def _classes(reply: Any, given: Mapping[str, int]) -> str | None:
    asked, judged = given.get("answer", 0), len(reply.TP) + len(reply.FP)
    if judged != asked:
        return f"the answer has {asked} statements and {judged} are in TP or FP; put each in exactly one"
    return None if reply.TP or reply.FN else "no statement of the ground truth is in TP or FN"


def _first(problems: Any) -> str | None:
    return next((problem for problem in problems if problem), None)


RULES: Mapping[str, Rule] = {
    "NLIStatementOutput": _verdict_per_statement,
    "StatementFaithfulnessOutput": _verdict_per_statement,
    "ContextPrecisionOutput": _one_of("verdict", 0, 1),
    "ContextRecallOutput": _attributions,
    "AnswerRelevanceOutput": _question,
    "AnswerAccuracyOutput": _one_of("rating", 0, 2, 4),
    "ContextRelevanceOutput": _one_of("rating", 0, 1, 2),
    "ResponseGroundednessOutput": _one_of("rating", 0, 1, 2),
    "RubricScoreOutput": _one_of("score", 1, 2, 3, 4, 5),
    "InstanceRubricScoreOutput": _one_of("score", 1, 2, 3, 4, 5),
    "AnswersGenerated": _answers,
    "ClassificationWithReason": _classes,
}
"""Name of ragas' reply model -> the rule that its replies must keep."""

MUST_HOLD: Mapping[str, str] = {
    "StatementGeneratorOutput": "statements",
    "ClaimDecompositionOutput": "claims",
    "ContextRecallOutput": "classifications",
    "ExtractedKeyphrases": "keyphrases",
    "QuestionsGenerated": "questions",
}
"""Name of a reply model -> the list that must not be empty, although ragas then gives a number (or NaN)."""


class RagasRules:
    """The rules for one metric and one case."""

    def form(self, prompt: str, model: type[Any]) -> type[Any]:
        """See `LibraryRules.form`."""
        rule = RULES.get(model.__name__)
        return ruled(model, rule, given_in(prompt)) if rule else model

    def examples_end(self, prompt: str, model: type[Any]) -> int:
        """See `LibraryRules.examples_end`."""
        return max(0, prompt.rfind(CASE_MARK))

    def look(self, reply: Any, number: int) -> None:
        """See `LibraryRules.look`: stop if the list that everything else depends on is empty."""
        name = type(reply).__name__
        # The entities of the reference are asked for first; a context without any is a true recall of 0.
        needed = "entities" if name == "EntitiesList" and number == 0 else MUST_HOLD.get(name)
        if needed and not getattr(reply, needed):
            raise NotApplicable(f"the judge found no {needed} to grade")
