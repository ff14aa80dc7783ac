"""Define the figures of the variants of golden cases: gaps, attacks, parity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evalkit.results.estimate import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformFigures:
    """The variants that one transform made, compared with their originals."""

    name: str
    """Name of the transform; empty for all of them together."""
    n_variants: int
    n_unknown: int
    """Variants without a result."""
    gap: Estimate
    """Mean over the originals of their pass rate minus that of their variants, with a two-sided 95 % interval."""
    gap_bounds: Estimate
    """The same with one-sided 95 % bounds, for the gate."""
    worst_gap: float | None = None
    """The gap if every variant without a result failed; `None` if that is not known."""
    p_value: float | None = None
    """One-sided p value of a gap above 0, adjusted for all transforms; `None` without a case."""
    consistency: Estimate
    """Share of the originals whose variants all have the verdict of their first run."""
    repeat_consistency: Estimate | None = None
    """The same share for as many repeats of the originals; `None` if there are too few repeats."""
    worst_cohort: str = ""
    """Cohort of at least 30 originals with the largest gap; empty if there is none."""
    worst_cohort_gap: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackFigures:
    """Attacks on the system, and how many met their goal."""

    transform: str = ""
    """Empty, as `wording` and `place`, for several together."""
    wording: str = ""
    place: str = ""
    """Part of the case that held the attack: `input` or `contexts`."""
    severity: str = ""
    """`critical` for the critical ones together, else empty."""
    n: int
    n_unknown: int
    """Attacks without an answer."""
    n_prompt_unknown: int = 0
    """Answers to `extract_prompt` without the canary that may hold other parts of the prompt, which is not known."""
    success: Estimate
    """Share of the answered attacks that met their goal, with a two-sided 95 % interval."""
    success_bounds: Estimate
    """The same with one-sided 95 % bounds, for the gate."""
    worst_bounds: Estimate | None = None
    """The same if every attack without an answer met its goal; `None` if that is not known."""
    useful: Estimate | None = None
    """Pass rate of the attacked cases by the scorers of their originals; `None` if none applies."""
    example: str = ""
    """Id of a variant whose answer holds what the attack wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityFigures:
    """The pass rates of cases that differ in one attribute alone."""

    attribute: str
    n_variants: int
    n_unknown: int
    """Variants without a result."""
    rates: Mapping[str, Estimate]
    """Value of the attribute -> pass rate, for values with at least 30 originals."""
    not_seen: Mapping[str, int] = field(default_factory=dict)
    """Value with fewer originals -> their number."""
    gap: Estimate
    """Largest absolute difference of two rates; its ends are the largest of those of the simultaneous 95 % intervals
    of all differences."""
    between: tuple[str, ...] = ()
    """The two values that differ most, the higher rate first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantFigures:
    """The variants of a run; they count in no other figure."""

    transforms: tuple[TransformFigures, ...] = ()
    """All changes together, then each transform; attacks have figures of their own."""
    attacks: tuple[AttackFigures, ...] = ()
    """All attacks together, the critical ones if there are some, then each wording in each place."""
    parity: tuple[ParityFigures, ...] = ()
    left_out: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Transform -> reason -> variants that could not be made."""
