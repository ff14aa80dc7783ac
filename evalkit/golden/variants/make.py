"""Make the variants of a golden set: cases with the id `ORIGINAL~TRANSFORM~NUMBER` in the cluster of their original."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from evalkit.golden.fields import row_of, to_case
from evalkit.golden.variants.draws import Draws
from evalkit.golden.variants.edits import EditableText, EditedText, ProtectedWords, protected_spans
from evalkit.golden.variants.original import VARIANT
from evalkit.golden.variants.passages import ContextOrder, Distractor, PassagePool, expected_words
from evalkit.golden.variants.transforms import OfContexts, OfWording, Transform
from evalkit.golden.variants.wording import LANGUAGE_TAG, Language
from evalkit.types import Case, Origin

SEPARATOR = "~"


@dataclass(frozen=True, kw_only=True)
class VariantPlan:
    """One transform with the cases that it is applied to."""

    name: str
    transform: Transform
    applies: Callable[[Case], bool]
    per_case: int = 1
    """Variants of each case."""


@dataclass
class VariantCounts:
    """The count of variants that were made, and of those that were not, with the reason."""

    variants: Counter[str] = field(default_factory=Counter)
    """Name of the transform -> variants."""
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(name of the transform, reason) -> variants that were not made."""


class _LeftOut(Exception):
    """A variant cannot be made of a case."""


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
    for case in cases():
        for plan in plans:
            if plan.applies(case):
                yield from _variants_of(case, plan, seed, passages, made)


def _variants_of(
    case: Case, plan: VariantPlan, seed: int, passages: PassagePool, made: VariantCounts
) -> Iterator[Case]:
    seen = {_content(case)}
    for k in range(1, plan.per_case + 1):
        draws = Draws(seed, case.id, plan.name, k)
        try:
            changed, spans = _changed(case, plan.transform, draws, passages)
            if _content(changed) in seen:
                raise _LeftOut("nothing changes" if k == 1 else "nothing changes, or the same as an earlier variant")
            variant = _marked(case, changed, plan.name, k, draws.hex, spans)
        except _LeftOut as error:
            made.left_out[plan.name, str(error)] += 1
            continue
        seen.add(_content(changed))
        made.variants[plan.name] += 1
        yield variant


def _content(case: Case) -> tuple[Any, ...]:
    return case.question, case.contexts


def _marked(case: Case, changed: Case, name: str, k: int, seed: str, spans: list[dict[str, Any]]) -> Case:
    """Return a variant as it is read from its row, so that its digest is that of the row in a file."""
    mark = {"of": case.id, "name": name, "seed": seed, "changed": spans}
    variant = replace(
        changed,
        id=SEPARATOR.join((case.id, name, str(k))),
        cluster=case.cluster or case.id,
        cohorts={**case.cohorts, VARIANT: name},
        fields={**case.fields, VARIANT: mark},
    )
    found = to_case(row_of(variant), case.place, _unsound)
    assert found is not None  # noqa: S101 - `_unsound` raises before
    return found


def _unsound(what: str, fix: str) -> None:
    raise _LeftOut(f"the set would refuse it: {what}; {fix}")


def _changed(
    case: Case, transform: Transform, draws: Draws, passages: PassagePool
) -> tuple[Case, list[dict[str, Any]]]:
    """Return the changed case, and where it differs.

    Raises:
        _LeftOut: the transform does not apply to such a case.
    """
    if VARIANT in case.fields or VARIANT in case.cohorts:
        raise _LeftOut("the case has a field or a cohort `variant` already")
    if "turns" in case.fields or "user" in case.fields:
        raise _LeftOut("a conversation with several turns")
    if isinstance(transform, OfContexts):
        return _other_contexts(case, transform, draws, passages)
    draft = EditableText(case.question, protected_spans(case.question, ProtectedWords.of(case)))
    if isinstance(transform, OfWording):
        edits = transform.worded(draft, _language(case, transform.language))
    else:
        edits = transform.edits(draft, draws)
    edited = draft.edited(edits)
    return _asking(case, edited), [{"in": "input", "span": list(span)} for span in edited.changed]


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


def _other_contexts(
    case: Case, transform: OfContexts, draws: Draws, passages: PassagePool
) -> tuple[Case, list[dict[str, Any]]]:
    texts, origins = case.contexts, case.origins
    if isinstance(transform, ContextOrder):
        if len(texts) < 2:
            raise _LeftOut("fewer than two contexts")
        order = transform.order(len(texts), draws)
        changed = replace(
            case, contexts=tuple(texts[at] for at in order), origins=tuple(origins[at] for at in order if origins)
        )
        return changed, [{"in": "contexts", "order": order}]
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
    return changed, [{"in": "contexts", "at": at, "of": passage.id}]
