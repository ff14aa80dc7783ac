"""Map each type of promptfoo's assertions to its counterpart: one row a type, in `ASSERTIONS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from evalkit.imports.promptfoo_assertions import (
    GRADE,
    Assertion,
    Carry,
    Draft,
    add_scorer,
    cost,
    equals,
    judged,
    latency,
    overlap,
    ragas,
    refusal,
    rule,
    similar,
    span_count,
    span_duration,
    span_errors,
    step_count,
    tool_arguments,
    tool_call_f1,
    tool_sequence,
    tool_used,
    valid_json,
    words,
)
from evalkit.imports.promptfoo_templates import NotCarried

PYTHON = "write a `python` scorer: docs/own-scorers.md"


@dataclass(frozen=True)
class Uncarried:
    """A type that has no counterpart.

    Attributes:
        what: Why.
        fix: What to do instead.
    """

    what: str
    fix: str


def carry(assertion: Assertion, draft: Draft) -> None:
    """Add the counterpart of an assertion to a case.

    Raises:
        NotCarried: it cannot be carried over.
    """
    row = ASSERTIONS.get(assertion.type)
    if row is None:
        near = get_close_matches(assertion.type, ASSERTIONS, n=1, cutoff=0.8)
        fix = f"write `{near[0]}` if you mean that, and import again" if near else PYTHON
        raise NotCarried(f"no assertion type {assertion.type[:60]!r} is known", fix)
    if isinstance(row, Uncarried):
        raise NotCarried(row.what, row.fix)
    row(assertion, draft)


_CODE = Uncarried("it is code, which an import does not run", PYTHON)
_SQL = Uncarried("evalkit has no parser of SQL", PYTHON)
_MARKUP = Uncarried("evalkit has no parser of XML or HTML", PYTHON)
_OTHER_FORMULA = Uncarried("evalkit does not compute this figure", "use `token_f1`, `rouge_l` or `similarity`")
_NO_LOGPROBS = Uncarried("evalkit keeps no log-probabilities", "leave it out")
_COSINE = Uncarried("evalkit compares by cosine alone", "use `similarity: {min: ...}`")
_REMOTE = Uncarried("it calls a service", "use a `judge` with a rubric: docs/judges.md")
_CALL_FORM = Uncarried("evalkit does not check the form of calls", "check arguments with a `policy`: docs/agents.md")
_SEVERAL = Uncarried("it compares the outputs of several systems", "use the scorer `pairwise`: docs/judges.md")

ASSERTIONS: Mapping[str, Carry | Uncarried] = {
    "equals": equals,
    "contains": rule,
    "icontains": rule,
    "contains-all": rule,
    "icontains-all": rule,
    "contains-any": rule,
    "icontains-any": rule,
    "starts-with": rule,
    "regex": rule,
    "is-json": valid_json(extract=False),
    "contains-json": valid_json(extract=True),
    "is-refusal": refusal,
    "word-count": words,
    "latency": latency,
    "cost": cost,
    "similar": similar,
    "similar:cosine": similar,
    "rouge-n": overlap("rouge_l"),
    "bleu": overlap("bleu"),
    "llm-rubric": judged(GRADE + "It passes if this holds:\n\nVALUE"),
    "model-graded-closedqa": judged(GRADE + "It passes if it meets this criterion:\n\nVALUE"),
    "g-eval": judged(GRADE + "It passes if it meets these criteria:\n\nVALUE"),
    "factuality": judged(
        GRADE + "It passes if it contradicts no fact of {{reference}}; it may say less, or more.", reference=True
    ),
    "model-graded-factuality": judged(
        GRADE + "It passes if it contradicts no fact of {{reference}}; it may say less, or more.", reference=True
    ),
    "trajectory:goal-success": judged("It passes if {{conversation}} ends with this goal reached:\n\nVALUE"),
    "answer-relevance": ragas("answer_relevancy", contexts=False),
    "context-faithfulness": ragas("faithfulness"),
    "context-recall": ragas("context_recall", reference=True),
    "context-relevance": ragas("context_relevance"),
    "conversation-relevance": lambda assertion, draft: add_scorer(
        assertion, draft, "judge", {"rubric": "turn_relevance"}
    ),
    "tool-call-f1": tool_call_f1,
    "trajectory:tool-used": tool_used,
    "trajectory:tool-args-match": tool_arguments,
    "trajectory:tool-sequence": tool_sequence,
    "trajectory:step-count": step_count,
    "trace-span-count": span_count,
    "trace-span-duration": span_duration,
    "trace-error-spans": span_errors,
    "javascript": _CODE,
    "python": _CODE,
    "ruby": _CODE,
    "webhook": _REMOTE,
    "guardrails": _REMOTE,
    "moderation": _REMOTE,
    "classifier": _REMOTE,
    "pi": _REMOTE,
    "agent-rubric": Uncarried("its judge is an agent with tools", "use a `judge` with a rubric: docs/judges.md"),
    "search-rubric": Uncarried("its judge searches the web", "use a `judge` with a rubric: docs/judges.md"),
    "is-sql": _SQL,
    "contains-sql": _SQL,
    "is-xml": _MARKUP,
    "contains-xml": _MARKUP,
    "is-html": _MARKUP,
    "contains-html": _MARKUP,
    "levenshtein": _OTHER_FORMULA,
    "gleu": _OTHER_FORMULA,
    "meteor": _OTHER_FORMULA,
    "perplexity": _NO_LOGPROBS,
    "perplexity-score": _NO_LOGPROBS,
    "similar:dot": _COSINE,
    "similar:euclidean": _COSINE,
    "is-valid-function-call": _CALL_FORM,
    "is-valid-openai-function-call": _CALL_FORM,
    "is-valid-openai-tools-call": _CALL_FORM,
    "finish-reason": Uncarried("evalkit does not keep why a model stopped", "leave it out"),
    "skill-used": Uncarried("evalkit knows no skills", "count calls with `steps: {step: NAME, min: 1}`"),
    "select-best": _SEVERAL,
    "max-score": _SEVERAL,
    "human": Uncarried("a person grades", "label answers: docs/calibration.md"),
}
"""Type without `not-` -> its counterpart, or why there is none."""
