"""Read the transforms under `variants:` of a suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.errors import InputError, noting
from evalkit.formats.build import Builder, choices, show
from evalkit.formats.yaml_text import parse
from evalkit.gate.attack_success import AttackSuccess
from evalkit.gate.parity_gap import ParityGap
from evalkit.gate.policy import Item
from evalkit.gate.robustness_gap import RobustnessGap
from evalkit.golden.variants.attacks import EXTRACT_PROMPT, ExtractPrompt
from evalkit.golden.variants.make import VariantPlan
from evalkit.golden.variants.swap import SlotWords, Swap, SwapWords
from evalkit.golden.variants.transforms import TRANSFORMS, Transform, kind_of
from evalkit.golden.variants.written import File, WrittenVariants, read_written
from evalkit.suite.files import file_bytes
from evalkit.suite.scorer_entry import When
from evalkit.suite.scorers import Steps, read_when
from evalkit.systems.base import Instructed, SystemConfig
from evalkit.types import SEVERITIES, Severity

COMMON = ("of", "per_case", "n", "severity")
"""Keys beside the name of a transform."""
MOST_PER_CASE = 100


@dataclass(frozen=True, kw_only=True)
class VariantEntry:
    """One line under `variants:`."""

    name: str
    """Name of the transform."""
    transform: Transform
    of: When
    """The cases of which variants are made."""
    per_case: int = 1
    """Variants of each case."""
    n: int | None = None
    """Number of cases to take, drawn by the seed; `None` for all."""
    severity: Severity | None = None
    """Severity of the variants; `None` for that of the case."""

    @property
    def plan(self) -> VariantPlan:
        """The transform with the cases that it is applied to."""
        return VariantPlan(
            name=self.name,
            transform=self.transform,
            applies=self.of.matches,
            per_case=self.per_case,
            n=self.n,
            severity=self.severity,
        )


Resolve = Callable[[str, Steps], Path | None]
"""Returns the file with a name in the suite; `None` after noting why there is none."""


def read_variants(builder: Builder, items: Sequence[Any], resolve: Resolve) -> tuple[VariantEntry, ...]:
    """Return the transforms that can be built; the problems of the others are noted."""
    entries: list[VariantEntry] = []
    for index, item in enumerate(items):
        entry = _entry(builder, item, ("variants", index), resolve)
        if entry is None:
            continue
        if any(entry.name == other.name for other in entries):
            fix = "keep one, with a higher `per_case` for more variants of a case"
            builder.problem(("variants", index), f"{entry.name} is listed twice", fix)
            continue
        entries.append(entry)
    return _with_others(builder, entries)


def _entry(builder: Builder, item: Any, path: Steps, resolve: Resolve) -> VariantEntry | None:
    given = {item: {}} if isinstance(item, str) else item
    names = [key for key in given if key not in COMMON] if isinstance(given, Mapping) else []
    if len(names) != 1:
        fix = "write `- typos`, or `- {typos: {rate: 0.1}, per_case: 2}`"
        builder.problem(path, f"expected the name of one transform, got {show(item)}", fix)
        return None
    name = str(names[0])
    if name not in TRANSFORMS:
        builder.problem(path, f"no transform called {show(names[0])}", choices(name, list(TRANSFORMS)))
        return None
    before = len(builder.problems)
    name, transform = _transform(builder, name, given[name], (*path, name), resolve)
    everything = isinstance(transform, WrittenVariants)
    of = read_when(builder, given.get("of", {} if everything else {"kind": "golden"}), (*path, "of"))
    per_case = _per_case(builder, given, transform, (*path, "per_case"))
    n = builder.value(given.get("n"), int | None, (*path, "n"))
    if isinstance(n, int) and n < 1:
        builder.problem((*path, "n"), f"expected 1 or more, got {n}", "write the number of cases, or remove it")
    severity = given.get("severity")
    if severity is not None and severity not in SEVERITIES:
        fix = choices(str(severity), SEVERITIES)
        builder.problem((*path, "severity"), f"no severity called {show(severity)}", fix)
    if of is None or len(builder.problems) > before:
        return None
    return VariantEntry(name=name, transform=transform, of=of, per_case=per_case, n=n, severity=severity)


def _transform(builder: Builder, name: str, value: Any, path: Steps, resolve: Resolve) -> tuple[str, Any]:
    """Return a transform with its name in the run; `None` in its place after noting its problems."""
    if name == "file" and isinstance(value, str):
        value = {File.shorthand: value}
    built = builder.build(TRANSFORMS[name], {} if value is None else value, path)
    if isinstance(built, Swap):
        return f"{name}_{built.attribute}", _words(builder, built, path, resolve)
    if isinstance(built, File):
        return built.name, _written(builder, built, path, resolve)
    return name, built


def _per_case(builder: Builder, given: Mapping[str, Any], transform: Any, path: Steps) -> Any:
    """Return the number of variants of each case, after noting a wrong one."""
    own = "a variant for each value" if isinstance(transform, SwapWords | SlotWords) else "a variant of each line"
    if isinstance(transform, SwapWords | SlotWords | WrittenVariants):
        if "per_case" in given:
            builder.problem(path, f"the transform makes {own}", "remove it")
        return transform.most
    per_case = builder.value(given.get("per_case", 1), int, path)
    if isinstance(per_case, int) and not 1 <= per_case <= MOST_PER_CASE:
        builder.problem(path, f"expected 1 to {MOST_PER_CASE}, got {per_case}", "write 1 for a single one")
    return per_case


def _written(builder: Builder, given: File, path: Steps, resolve: Resolve) -> WrittenVariants | None:
    """Return the variants in a file; `None` after noting its problems."""
    if given.name in TRANSFORMS:
        builder.problem(path, f"{given.name} is a transform of evalkit", "give the file another name")
        return None
    file = resolve(given.path, path)
    if file is None:
        return None
    before = len(builder.problems)
    found = read_written(file, given.path, noting(builder.problems))
    if not found.rows and len(builder.problems) == before:
        builder.problem(path, f"{given.path} has no line", 'write lines such as `{"of": "case-1", "input": "..."}`')
    return found if len(builder.problems) == before else None


def _words(builder: Builder, swap: Swap, path: Steps, resolve: Resolve) -> SwapWords | SlotWords | None:
    """Return the words of an attribute; `None` after noting the problems of their file."""
    file = resolve(swap.file, (*path, "file"))
    if file is None:
        return None
    try:
        value = parse(file_bytes(file, swap.file, "words"), swap.file, (swap.attribute,)).value
    except InputError as error:
        builder.problems += error.problems
        return None
    entry = value.get(swap.attribute) if isinstance(value, Mapping) else None
    if not isinstance(entry, Mapping):
        fix = choices(swap.attribute, [str(key) for key in value] if isinstance(value, Mapping) else [])
        builder.problem((*path, "attribute"), f"{swap.file} has no attribute {swap.attribute!r}", fix)
        return None
    if entry.get("irrelevant") is not True:
        what = f"{swap.file} does not say that the right answer never depends on {swap.attribute}"
        builder.problem((*path, "attribute"), what, "check the cases, then write `irrelevant: true` beside `values`")
    values = entry.get("values")
    words: SwapWords | SlotWords
    if isinstance(values, Mapping) and values and all(map(_are_slots, values.values())):
        words = SlotWords(swap.attribute, {str(name): dict(each) for name, each in values.items()}, {})
    elif isinstance(values, Mapping) and all(map(_are_words, values.values())):
        words = SwapWords(swap.attribute, {str(name): tuple(each) for name, each in values.items()})
    else:
        fix = "write `values: {woman: [Anna, she], man: [Jonas, he]}`"
        builder.problem((*path, "file"), f"{swap.file}: {swap.attribute} has no lists of words", fix)
        return None
    if found := words.problem():
        what, fix = found
        builder.problem((*path, "file"), f"{swap.file}: {swap.attribute}: {what}", fix)
    return words


def written_files(entries: Sequence[VariantEntry]) -> tuple[Path, ...]:
    """Return the files with variants that people wrote."""
    return tuple(entry.transform.file for entry in entries if isinstance(entry.transform, WrittenVariants))


def slots_of(entries: Sequence[VariantEntry]) -> dict[str, str]:
    """Return the word of the first value for each slot that the transforms fill."""
    swaps = [entry.transform for entry in entries if isinstance(entry.transform, SlotWords)]
    return {name: word for swap in swaps for name, word in swap.values[swap.first].items()}


def _with_others(builder: Builder, entries: Sequence[VariantEntry]) -> tuple[VariantEntry, ...]:
    """Give each swap the slots of the others, and files of variants all of them; report a slot of two attributes."""
    slots, filled_by, found = slots_of(entries), dict[str, str](), list[VariantEntry]()
    for entry in entries:
        if isinstance(entry.transform, SlotWords):
            own = entry.transform.values[entry.transform.first]
            for name in filled_by.keys() & own.keys():
                what = f"{{{{{name}}}}} is filled by {filled_by[name]} and by {entry.transform.attribute}"
                builder.problem(("variants",), what, "rename it for one of them, in the file and in the cases")
            filled_by |= dict.fromkeys(own, entry.transform.attribute)
            others = {name: word for name, word in slots.items() if name not in own}
            entry = replace(entry, transform=replace(entry.transform, others=others))
        elif isinstance(entry.transform, WrittenVariants):
            entry = replace(entry, transform=replace(entry.transform, slots=slots))
        found.append(entry)
    return tuple(found)


def _are_slots(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(each, str) for pair in value.items() for each in pair)


def _are_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) and word.strip() for word in value)


def check_variants(
    builder: Builder, checks: Sequence[Item], entries: Sequence[VariantEntry], items: Sequence[Any]
) -> None:
    """Report a check of variants in a suite that makes none of that kind, unless some of its `items` are not read."""
    if len(entries) < len(items):
        return
    kinds = {kind_of(entry.transform) for entry in entries}
    for index, check in enumerate(checks):
        for cls, (kind, what, fix) in _NEEDS.items():
            if isinstance(check, cls) and kind not in kinds:
                builder.problem(("gate", index), what, fix)


def check_canary(
    builder: Builder, entries: Sequence[VariantEntry], items: Sequence[Any], systems: Sequence[SystemConfig]
) -> None:
    """Report an `extract_prompt` whose canary nobody gives, or both the suite and a system."""
    entry = next((each for each in entries if isinstance(each.transform, ExtractPrompt)), None)
    if entry is None or not isinstance(entry.transform, ExtractPrompt):
        return
    path = ("variants", next(at for at, item in enumerate(items) if EXTRACT_PROMPT in _keys(item)), EXTRACT_PROMPT)
    own = [isinstance(system, Instructed) and system.canary for system in systems]
    if entry.transform.canary is not None and any(own):
        builder.problem(
            (*path, "canary"), "the system has `canary: true`, which adds another one", "remove one of them"
        )
    elif entry.transform.canary is None and not all(own):
        fix = "write `canary: true` beside `chat:`; for another system, add a line to its prompt and name it: "
        fix += '`{extract_prompt: {canary: "Reference 7f3a91c2e0"}}`'
        builder.problem(path, "the prompt of the system has no canary that an answer could give away", fix)


def _keys(item: Any) -> Sequence[Any]:
    return tuple(item) if isinstance(item, Mapping) else (item,)


_NEEDS = {
    RobustnessGap: ("change", "no transform changes a case", "add one, such as `variants: [typos]`"),
    AttackSuccess: ("attack", "no transform attacks the system", "add one, such as `variants: [inject_input]`"),
    ParityGap: (
        "swap",
        "no transform swaps an attribute",
        "add one, such as `variants: [{swap: {attribute: gender, file: swaps.yaml}}]`",
    ),
}
