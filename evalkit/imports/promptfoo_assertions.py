"""Turn promptfoo's assertions into checks of a case and scorers of a suite."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from evalkit.golden.promptfoo import check_of
from evalkit.imports.ids_and_fields import texts_of
from evalkit.imports.imported import FoundScorer
from evalkit.imports.promptfoo_templates import NotCarried, as_text

MS = 1_000


@dataclass(frozen=True)
class Assertion:
    """One assertion, with the variables of its test filled in.

    Attributes:
        place: Where it is.
        type: Without `not-`.
        value: What it compares with.
        threshold: `None` if it has none.
        negated: Whether it begins with `not-`.
    """

    place: str
    type: str
    value: Any
    threshold: float | None
    negated: bool = False


@dataclass
class Draft:
    """A case while its assertions are read.

    Attributes:
        fields: Of its golden row.
        checks: Rules of this case.
        scorers: Scorers that belong to the suite, for this case.
        stored: Whether the answers are stored ones.
        notes: The meaning that the last assertion loses, and the fix.
    """

    fields: dict[str, Any]
    stored: bool = False
    checks: list[FoundScorer] = field(default_factory=list)
    scorers: list[FoundScorer] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)

    def expect(self, name: str, value: Any) -> None:
        """Set a field that a scorer reads.

        Raises:
            NotCarried: another assertion has set it to another value.
        """
        if self.fields.setdefault(name, value) != value:
            raise NotCarried(f"another assertion of the test sets `{name}` too", "split the test in two")


Carry = Callable[[Assertion, Draft], None]


def _add(assertion: Assertion, draft: Draft, kind: str, options: Mapping[str, Any]) -> None:
    draft.checks.append(FoundScorer(assertion.place, f"not_{kind}" if assertion.negated else kind, options))


def add_scorer(assertion: Assertion, draft: Draft, kind: str, options: Mapping[str, Any]) -> None:
    """Add a scorer of the suite for this case."""
    draft.scorers.append(FoundScorer(assertion.place, f"not_{kind}" if assertion.negated else kind, options))


_SHORT = {"regex": "pattern"}


def rule(assertion: Assertion, draft: Draft) -> None:
    """Types that a golden row may hold too: contains, regex ..."""
    value = assertion.value
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = as_text(value)
    made = check_of(assertion.type, [as_text(each) for each in value] if isinstance(value, list) else value)
    if made is None:
        raise NotCarried(f"`{assertion.type}` without a text to look for", "write the text")
    (kind, options), *_ = made.items()
    _add(assertion, draft, kind, options if isinstance(options, Mapping) else {_SHORT[kind]: options})


def equals(assertion: Assertion, draft: Draft) -> None:
    """Compare the whole answer, or its JSON value."""
    value = assertion.value
    if isinstance(value, Mapping | list):
        _add(assertion, draft, "json", {"schema": {"const": value}})
        return
    text = as_text(value)
    known = texts_of(draft.fields.get("reference"))
    if assertion.negated or known not in ([], [text]) or not text.strip():
        pattern = re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)
        _add(assertion, draft, "regex", {"pattern": rf"\A{pattern}\z"})
        return
    draft.fields["reference"] = text
    _add(assertion, draft, "exact", {"ignore_whitespace": False, "nfkc": False})


def valid_json(*, extract: bool) -> Carry:
    """Return how to require JSON, optionally extracted from prose."""

    def add(assertion: Assertion, draft: Draft) -> None:
        schema = assertion.value
        if schema and not isinstance(schema, Mapping):
            raise NotCarried("the schema is not written out", "write the JSON schema as a mapping")
        options = {**({"schema": schema} if schema else {}), **({"extract": True} if extract else {})}
        _add(assertion, draft, "json", options)

    return add


def refusal(assertion: Assertion, draft: Draft) -> None:
    """Require a refusal, or forbid one."""
    draft.expect("refuse", not assertion.negated)
    draft.checks.append(FoundScorer(assertion.place, "refusal", {}))


def words(assertion: Assertion, draft: Draft) -> None:
    """Bound the number of words."""
    value = assertion.value
    limits = value if isinstance(value, Mapping) else {"min": value, "max": value}
    bounds = {key: _whole(limits[key], key) for key in ("min", "max") if limits.get(key) is not None}
    _add(assertion, draft, "length", {**bounds, "unit": "words"})


def latency(assertion: Assertion, draft: Draft) -> None:
    """Bound the time of the call."""
    seconds = _limit(assertion) / MS
    # The scorer `latency` leaves stored answers unscored, because it is about this run; a budget takes stored times.
    kind, option = ("budget", "seconds") if draft.stored else ("latency", "max_s")
    _add(assertion, draft, kind, {option: seconds})


def cost(assertion: Assertion, draft: Draft) -> None:
    """Bound the cost of the call."""
    _add(assertion, draft, "cost", {"max_usd": _limit(assertion)})


def _limit(assertion: Assertion) -> float:
    limit = assertion.value if assertion.threshold is None else assertion.threshold
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        raise NotCarried("no `threshold`", "write the largest value that passes")
    return float(limit)


def similar(assertion: Assertion, draft: Draft) -> None:
    """Require a similar meaning."""
    _refer(assertion, draft)
    least = 0.75 if assertion.threshold is None else assertion.threshold
    _only_as_it_is(assertion)
    add_scorer(assertion, draft, "similarity", {"min": least})
    draft.notes.append(("another embedding gives other figures", "choose `min` by a run of your system"))


def overlap(kind: str) -> Carry:
    """Return how to show a figure of overlap; its formula differs, so it decides nothing."""

    def add(assertion: Assertion, draft: Draft) -> None:
        _only_as_it_is(assertion)
        _refer(assertion, draft)
        add_scorer(assertion, draft, kind, {"advisory": True})
        draft.notes.append(("the formula differs, so the figure is shown only", "give the scorer a `min` of your own"))

    return add


def _refer(assertion: Assertion, draft: Draft) -> None:
    texts = texts_of(assertion.value)
    if not texts:
        raise NotCarried("no text to compare with", "write it as `value`")
    draft.expect("reference", texts[0] if len(texts) == 1 else texts)


def _only_as_it_is(assertion: Assertion) -> None:
    if assertion.negated:
        raise NotCarried(f"`not-{assertion.type}` has no counterpart", "reverse the assertion")


def judged(text: str, *, reference: bool = False) -> Carry:
    """A judge with a rubric of its own.

    Args:
        text: of the rubric; `VALUE` stands for the assertion's value.
        reference: whether the value is the reference instead.
    """

    def add(assertion: Assertion, draft: Draft) -> None:
        if reference:
            _refer(assertion, draft)
        value = (
            "\n".join(f"- {each}" for each in assertion.value) if isinstance(assertion.value, list) else assertion.value
        )
        if not reference and (not isinstance(value, str) or not value.strip()):
            raise NotCarried("no text to judge by", "write it as `value`")
        if not reference and "{{" in value:
            raise NotCarried("its text has `{{`", "write the text without it")
        body = text if reference else text.replace("VALUE", value)
        add_scorer(assertion, draft, "judge", {"rubric": body})
        if assertion.threshold is not None:
            what = f"threshold {assertion.threshold:g}: the judge says pass or fail"
            draft.notes.append((what, "write the rubric for a scale of levels: docs/judges.md"))

    return add


GRADE = "{{answer}} is the answer to {{question}}.\n\n"


def ragas(metric: str, *, reference: bool = False, contexts: bool = True) -> Carry:
    """Return how to grade by a metric of ragas."""

    def add(assertion: Assertion, draft: Draft) -> None:
        _only_as_it_is(assertion)
        if reference:
            _refer(assertion, draft)
        if contexts:
            texts = texts_of(draft.fields.get("context"))
            if not texts:
                raise NotCarried("the test has no variable `context` with the passages", "add it, or return contexts")
            draft.expect("contexts", texts)
        least = {} if assertion.threshold is None else {"min": assertion.threshold}
        add_scorer(assertion, draft, "ragas", {"use": [{metric: least} if least else metric]})

    return add


def tool_call_f1(assertion: Assertion, draft: Draft) -> None:
    """Compare the names of the tools that were called."""
    _only_as_it_is(assertion)
    value = assertion.value
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise NotCarried("no names of tools", "list them as `value`")
    draft.expect("expected_tool_calls", [{"name": name, "arguments": {}} for name in names])
    least = 1.0 if assertion.threshold is None else assertion.threshold
    _add(assertion, draft, "tool_calls", {"arguments": "ignore", "min_f1": least})


_UNNAMED = re.compile(r"[^\w .:/()-]")
"""Characters that the name of a metric cannot have."""


def tool_used(assertion: Assertion, draft: Draft) -> None:
    """Count the calls of a tool."""
    value = assertion.value
    for each in value if isinstance(value, list) else [value]:
        wanted = each if isinstance(each, Mapping) else {"name": each}
        name = wanted.get("name") or wanted.get("pattern")
        if not isinstance(name, str):
            raise NotCarried("no name of a tool", "write it as `value`")
        bounds = {key: _whole(wanted[key], key) for key in ("min", "max") if wanted.get(key) is not None}
        if assertion.negated and bounds:
            raise NotCarried("`not-` before a `min` or `max`", "swap the bounds")
        bounds = {"max": 0} if assertion.negated else {"min": 1, **bounds}
        title = f"calls of {_UNNAMED.sub('_', name)}"
        draft.checks.append(FoundScorer(assertion.place, "steps", {"name": title, "step": name, **bounds}))


def tool_arguments(assertion: Assertion, draft: Draft) -> None:
    """Require a call with some arguments."""
    _only_as_it_is(assertion)
    value = assertion.value if isinstance(assertion.value, Mapping) else {}
    arguments = value.get("args", value.get("arguments"))
    if not isinstance(value.get("name"), str) or not isinstance(arguments, Mapping):
        raise NotCarried("no name of a tool with `args`", "write both")
    if extra := sorted({"ignore", "defaults"} & value.keys()):
        raise NotCarried(f"`{extra[0]}` has no counterpart", "name the arguments in `arguments_of` of `tool_calls`")
    draft.expect("expected_tool_calls", [{"name": value["name"], "arguments": arguments}])
    how = "exact" if value.get("mode") == "exact" else "at_least"
    _add(assertion, draft, "tool_calls", {"match": "at_least", "arguments": how})


def tool_sequence(assertion: Assertion, draft: Draft) -> None:
    """Require calls in an order."""
    _only_as_it_is(assertion)
    value = assertion.value
    steps = value.get("steps") if isinstance(value, Mapping) else value
    names = [each.get("name") if isinstance(each, Mapping) else each for each in steps or ()]
    if not names or not all(isinstance(name, str) for name in names):
        raise NotCarried("no names of tools", "list them as `steps`")
    draft.expect("expected_trajectory", names)
    mode = value.get("mode") if isinstance(value, Mapping) else None
    match = "exact" if mode == "exact" else "in_order"
    _add(assertion, draft, "trajectory", {"kinds": ["tool"], "match": match, "arguments": "ignore"})


_KINDS = {
    "tool": ["tool"],
    "reasoning": ["llm"],
    None: ["tool", "llm", "agent", "node", "retrieval", "guardrail", "other"],
}


def step_count(assertion: Assertion, draft: Draft) -> None:
    """Bound the number of steps."""
    _only_as_it_is(assertion)
    value = assertion.value if isinstance(assertion.value, Mapping) else {}
    kind = value.get("type")
    kinds = _KINDS.get(kind) if kind is None or isinstance(kind, str) else None
    if kinds is None:
        raise NotCarried(f"steps of type {str(kind)[:40]!r} are not known", "use `steps: {kinds: [...]}`")
    _count_steps(assertion, draft, value, kinds)


def span_count(assertion: Assertion, draft: Draft) -> None:
    """Bound the number of spans."""
    _only_as_it_is(assertion)
    value = assertion.value if isinstance(assertion.value, Mapping) else {}
    _count_steps(assertion, draft, value, _KINDS[None])


def _count_steps(assertion: Assertion, draft: Draft, value: Mapping[str, Any], kinds: Iterable[str]) -> None:
    bounds = {key: _whole(value[key], key) for key in ("min", "max") if value.get(key) is not None}
    if not bounds:
        raise NotCarried("no `min` or `max`", "write one")
    glob = {"step": value["pattern"]} if isinstance(value.get("pattern"), str) else {}
    _add(assertion, draft, "steps", {"kinds": [*kinds], **glob, **bounds})


def span_duration(assertion: Assertion, draft: Draft) -> None:
    """Bound the time of the whole answer."""
    _only_as_it_is(assertion)
    value = assertion.value if isinstance(assertion.value, Mapping) else {}
    longest = value.get("max")
    if value.keys() & {"percentile"} or value.get("pattern", "*") != "*" or not isinstance(longest, int | float):
        raise NotCarried("the time of single spans cannot be limited", "limit the whole: `budget: {seconds: ...}`")
    _add(assertion, draft, "budget", {"seconds": longest / MS})


def span_errors(assertion: Assertion, draft: Draft) -> None:
    """Bound the share of tools that fail."""
    _only_as_it_is(assertion)
    value = assertion.value if isinstance(assertion.value, Mapping) else {"max_count": assertion.value or 0}
    share = value.get("max_percentage")
    if isinstance(share, int | float):
        _add(assertion, draft, "tool_errors", {"max": share / 100})
    elif value.get("max_count", 0) == 0:
        _add(assertion, draft, "tool_errors", {"max": 0.0})
    else:
        raise NotCarried("a number of errors above 0 cannot be allowed", "allow a share: `tool_errors: {max: 0.1}`")


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise NotCarried(f"`{name}` is not a whole number", "write one")
    return int(value)
