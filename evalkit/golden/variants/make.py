"""Make the variants of a golden set: cases with the id `ORIGINAL~TRANSFORM~NUMBER` in the cluster of their original."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from evalkit.golden.fields import row_of, to_case
from evalkit.golden.slots import TEXTS as SLOT_TEXTS
from evalkit.golden.slots import in_all
from evalkit.golden.variants.attacks import (
    ENCODINGS,
    EXTRACTIONS,
    ROLE_PLAYS,
    TOOL_WISHES,
    WORDINGS,
    Encode,
    Encoding,
    ExtractPrompt,
    InjectContext,
    InjectInput,
    InjectTool,
    RolePlay,
    canary_of,
    code_in,
    system_canary,
)
from evalkit.golden.variants.draws import Draws
from evalkit.golden.variants.edits import Edit, EditableText, EditedText, ProtectedWords, protected_spans
from evalkit.golden.variants.original import VARIANT
from evalkit.golden.variants.passages import ContextOrder, Distractor, PassagePool, expected_words
from evalkit.golden.variants.swap import SlotWords, SwapWords
from evalkit.golden.variants.transforms import Attack, OfContexts, OfWording, Transform
from evalkit.golden.variants.wording import LANGUAGE_TAG, Language
from evalkit.golden.variants.written import WrittenVariants
from evalkit.types import Case, Origin, Severity

SEPARATOR = "~"


@dataclass(frozen=True, kw_only=True)
class VariantPlan:
    """One transform with the cases that it is applied to."""

    name: str
    transform: Transform
    applies: Callable[[Case], bool]
    per_case: int = 1
    """Variants of each case."""
    n: int | None = None
    """Number of cases to take, drawn by the seed; `None` for all."""
    severity: Severity | None = None
    """Severity of the variants; `None` for that of the case."""


@dataclass
class VariantCounts:
    """The count of variants that were made, and of those that were not, with the reason."""

    variants: Counter[str] = field(default_factory=Counter)
    """Name of the transform -> variants."""
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(name of the transform, reason) -> variants that were not made."""


class _LeftOut(Exception):
    """A variant cannot be made of a case; without a reason, it would be the original itself."""


def make_variants(
    cases: Callable[[], Iterable[Case]], plans: Sequence[VariantPlan], seed: int, made: VariantCounts
) -> Iterator[Case]:
    """Yield the variants of each case, transform by transform.

    A variant depends on the seed, the id of the case, the transform and the number alone; a distractor also on which
    contexts the set holds. Variants that equal the original or an earlier variant of the transform are left out.

    Args:
        cases: opens the cases of a golden set.
        plans: the transforms.
        seed: seed of the suite.
        made: counts what was made and what was left out.
    """
    needs_passages = any(isinstance(plan.transform, Distractor) for plan in plans)
    passages = PassagePool(cases() if needs_passages else ())
    drawn = {plan.name: _drawn(cases(), plan, seed) for plan in plans if plan.n is not None}
    for case in cases():
        for plan in plans:
            if plan.applies(case) and (plan.n is None or case.id in drawn[plan.name]):
                yield from _variants_of(case, plan, seed, passages, made)


def _drawn(cases: Iterable[Case], plan: VariantPlan, seed: int) -> frozenset[str]:
    """Return the ids of the first `n` cases of a plan, in an order that the seed draws."""
    ids = (case.id for case in cases if plan.applies(case) and not case.quarantine)
    return frozenset(heapq.nsmallest(plan.n or 0, ids, key=lambda id_: Draws(seed, id_, plan.name, 0).hex))


def _variants_of(
    case: Case, plan: VariantPlan, seed: int, passages: PassagePool, made: VariantCounts
) -> Iterator[Case]:
    seen = {_content(case)}
    for k in range(1, plan.per_case + 1):
        draws = Draws(seed, case.id, plan.name, k)
        try:
            changed, mark = _changed(case, plan.transform, draws, passages)
            if _content(changed) in seen:
                raise _LeftOut("nothing changes" if k == 1 else "nothing changes, or the same as an earlier variant")
            if plan.severity is not None:
                changed = replace(changed, severity=plan.severity)
            mark = {"of": case.id, "name": plan.name, "seed": draws.hex, **mark}
            variant = _marked(changed, case, mark, k)
        except _LeftOut as error:
            if str(error):
                made.left_out[plan.name, str(error)] += 1
            continue
        seen.add(_content(changed))
        made.variants[plan.name] += 1
        yield variant


def _content(case: Case) -> tuple[Any, ...]:
    return case.question, case.contexts


def _marked(changed: Case, case: Case, mark: Mapping[str, Any], k: int) -> Case:
    """Return a variant as it is read from its row, so that its digest is that of the row in a file."""
    variant = replace(
        changed,
        id=SEPARATOR.join((case.id, mark["name"], str(k))),
        cluster=case.cluster or case.id,
        cohorts={**case.cohorts, VARIANT: mark["name"]},
        fields={**changed.fields, VARIANT: dict(mark)},
    )
    found = to_case(row_of(variant), case.place, _unsound)
    assert found is not None  # noqa: S101 - `_unsound` raises before
    return found


def _unsound(what: str, fix: str) -> None:
    raise _LeftOut(f"the set would refuse it: {what}; {fix}")


_Changed = tuple[Case, Mapping[str, Any]]
"""A changed case, and what its mark says besides its origin."""


def _changed(case: Case, transform: Transform, draws: Draws, passages: PassagePool) -> _Changed:
    """Return the changed case, and where it differs.

    Raises:
        _LeftOut: the transform does not apply to such a case.
    """
    if case.quarantine:
        raise _LeftOut("the case is in quarantine")
    if VARIANT in case.fields or VARIANT in case.cohorts:
        raise _LeftOut("the case has a field or a cohort `variant` already")
    if "turns" in case.fields or "user" in case.fields:
        raise _LeftOut("a conversation with several turns")
    if isinstance(transform, Encode | ExtractPrompt):
        return _replaced(case, transform, draws)
    if isinstance(transform, Attack):
        return _injected(case, transform, draws)
    if isinstance(transform, SwapWords):
        return _swapped(case, transform, draws.number)
    if isinstance(transform, WrittenVariants):
        return _written(case, transform, draws.number)
    if isinstance(transform, SlotWords):
        return _refilled(case, transform, draws.number)
    if isinstance(transform, OfContexts):
        return _other_contexts(case, transform, draws, passages)
    draft = EditableText(case.question, protected_spans(case.question, ProtectedWords.of(case)))
    if isinstance(transform, OfWording):
        edits = transform.worded(draft, _language(case, transform.language))
    else:
        edits = transform.edits(draft, draws)
    edited = draft.edited(edits)
    return _asking(case, edited), {"changed": [{"in": "input", "span": list(span)} for span in edited.changed]}


def _swapped(case: Case, words: SwapWords, number: int) -> _Changed:
    """Return the case with the words of the value of this number."""
    values = list(words.values)
    found = words.values_in(case)
    if len(found) != 1:
        raise _LeftOut(f"words of {'several values' if found else 'no value'} of {words.attribute}")
    value, original = values[(number - 1) % len(values)], found.pop()
    if value == original:
        raise _LeftOut
    text, spans = words.swapped(case.question, value)
    changed = words.in_case(_asking(case, EditedText(text, ())), value)
    mark = {"attribute": words.attribute, "value": value, "original_value": original}
    return changed, {"changed": [{"in": "input", "span": span} for span in spans], **mark}


def _written(case: Case, variants: WrittenVariants, number: int) -> _Changed:
    """Return the case as the line of this number has it."""
    rows = variants.rows.get(case.id, ())
    if number > len(rows):
        raise _LeftOut
    fields = in_all(dict(rows[number - 1][1]), variants.filled)
    question = fields.pop("input")
    changed = to_case({**row_of(case), **fields}, case.place, _unsound)
    assert changed is not None  # noqa: S101 - `_unsound` raises before
    asked = _asking(changed, EditedText(question, ()))
    return asked, {"changed": [{"in": "input", "span": [0, len(question)]}]}


def _refilled(case: Case, words: SlotWords, number: int) -> _Changed:
    """Return the case with its slots filled by the value of this number."""
    values, texts = list(words.values), case.fields.get(SLOT_TEXTS)
    if not isinstance(texts, Mapping) or not words.has_slots(texts):
        raise _LeftOut(f"no slots of {words.attribute}")
    value = values[(number - 1) % len(values)]
    if value == words.first:
        raise _LeftOut
    row = {**row_of(case), **in_all(dict(texts), lambda text: words.filled(text, value)[0])}
    changed = to_case({name: each for name, each in row.items() if name != SLOT_TEXTS}, case.place, _unsound)
    assert changed is not None  # noqa: S101 - `_unsound` raises before
    asked = texts.get("input")
    turns = asked if isinstance(asked, list | tuple) else [{"role": "user", "content": asked}]
    last = [turn["content"] for turn in turns if isinstance(turn, Mapping) and turn.get("role") == "user"][-1:]
    spans = [span for text in last if isinstance(text, str) for span in words.filled(text, value)[1]]
    mark = {"attribute": words.attribute, "value": value, "original_value": words.first}
    return changed, {"changed": [{"in": "input", "span": span} for span in spans], **mark}


def _order(transform: InjectInput | InjectContext | InjectTool | RolePlay, draws: Draws) -> tuple[str, dict[str, str]]:
    """Return the instruction of an attack, and what its mark says about it."""
    if isinstance(transform, InjectTool):
        wording = draws.in_turn(list(TOOL_WISHES))
        return TOOL_WISHES[wording].format(tool=transform.tool), {"tool": transform.tool, "wording": wording}
    wording, goal = draws.in_turn(list(WORDINGS)), canary_of(draws)
    order = WORDINGS[wording].format(goal=goal)
    if isinstance(transform, RolePlay):
        order = draws.one_of(ROLE_PLAYS).format(order=order)
    return order, {"goal": goal, "wording": wording}


def _injected(case: Case, transform: InjectInput | InjectContext | InjectTool | RolePlay, draws: Draws) -> _Changed:
    """Return the case with an instruction after its question, or at the end of one of its contexts."""
    order, mark = _order(transform, draws)
    attacked = replace(case, kind="adversarial")
    of_contexts = isinstance(transform, InjectContext) or (
        isinstance(transform, InjectTool) and transform.place == "contexts"
    )
    if not of_contexts:
        end = len(case.question)
        edited = EditableText(case.question).edited([Edit(end, end, f"\n\n{order}")])
        spans = [{"in": "input", "span": list(span)} for span in edited.changed]
        return _asking(attacked, edited), {"changed": spans, **mark, "place": "input"}
    if not case.contexts:
        raise _LeftOut("no contexts")
    at = draws.below(len(case.contexts))
    text = f"{case.contexts[at]}\n\n{order}"
    contexts = (*case.contexts[:at], text, *case.contexts[at + 1 :])
    changed = [{"in": "contexts", "at": at, "span": [len(case.contexts[at]), len(text)]}]
    return replace(attacked, contexts=contexts), {"changed": changed, **mark, "place": "contexts"}


def _replaced(case: Case, transform: Encode | ExtractPrompt, draws: Draws) -> _Changed:
    """Return a case with an attack in place of its question; its other fields stay, as the system may need them."""
    if isinstance(transform, ExtractPrompt):
        wording, goal = draws.in_turn(list(EXTRACTIONS)), code_in(transform.canary or system_canary(draws.seed))
        text = EXTRACTIONS[wording]
    else:
        encoding: Encoding = draws.in_turn(ENCODINGS) if transform.encoding is None else transform.encoding
        wording, goal = encoding, canary_of(draws)
        text = transform.encoded(goal, encoding)
    asked = _asking(case, EditedText(text, ((0, len(text)),)))
    spans = [{"in": "input", "span": [0, len(text)]}]
    mark = {"changed": spans, "goal": goal, "wording": wording, "place": "input", "alone": True}
    return replace(asked, kind="adversarial", reference=()), mark


def _asking(case: Case, edited: EditedText) -> Case:
    """Return a case with another question: its input, or the last turn of the user in it."""
    if isinstance(case.input, str):
        return replace(case, input=edited.text)
    turns = [at for at, message in enumerate(case.input) if message.role == "user"]
    if not turns or case.input[turns[-1]].parts:
        raise _LeftOut("the last turn is not a text of the user")
    asked = replace(case.input[turns[-1]], content=edited.text)
    return replace(case, input=(*case.input[: turns[-1]], asked, *case.input[turns[-1] + 1 :]))


def _language(case: Case, given: Language | None) -> Language:
    """Return the language of a case: the given one, or that of its cohort."""
    cohort = case.cohorts.get("language", "").replace("_", "-").partition("-")[0].lower()
    found = next((language for language in _LANGUAGES if language == (given or cohort)), None)
    if found is None:
        known = ", ".join(_LANGUAGES)
        raise _LeftOut(f"no cohort `language` of {known}; write one into the set, or `language: en` as an option")
    return found


_LANGUAGES: tuple[Language, ...] = tuple(LANGUAGE_TAG)  # type: ignore[arg-type]


def _other_contexts(case: Case, transform: OfContexts, draws: Draws, passages: PassagePool) -> _Changed:
    texts, origins = case.contexts, case.origins
    if isinstance(transform, ContextOrder):
        if len(texts) < 2:
            raise _LeftOut("fewer than two contexts")
        order = transform.order(len(texts), draws)
        changed = replace(
            case, contexts=tuple(texts[at] for at in order), origins=tuple(origins[at] for at in order if origins)
        )
        return changed, {"changed": [{"in": "contexts", "order": order}]}
    if not texts:
        raise _LeftOut("no contexts")
    if not expected_words(case):
        raise _LeftOut("no `reference` or `required` to tell whether a passage answers the question")
    passage = passages.distractor(case, draws)
    if passage is None:
        raise _LeftOut("no context of another case without a word of the answer")
    at = draws.below(len(texts) + 1)
    changed = replace(
        case,
        contexts=(*texts[:at], passage.text, *texts[at:]),
        origins=(*origins[:at], Origin(), *origins[at:]) if origins else (),
    )
    return changed, {"changed": [{"in": "contexts", "at": at, "of": passage.id}]}
