"""Check how many cases of the golden set occur in texts that the system knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from evalkit.gate.findings import only_warns
from evalkit.golden.source import SourceKind
from evalkit.results import OVERALL, Check
from evalkit.text.numbers import plural


@dataclass(frozen=True, kw_only=True)
class Leakage:
    """Allow at most `max` cases of the golden set in the prompts, the corpus or the training data of the system.

    It searches the files under `prompts`, `corpus` or `trained_on` of `golden:`, as `evalkit golden leaks` does.
    """

    shorthand: ClassVar[str] = "max"
    max: int = 0
    of: SourceKind = "prompts"
    """`prompts`, `corpus` or `trained_on`."""
    on_fail: Literal["block", "warn"] = "block"
    why: str = ""
    """Reason for the limit, shown in the release decision; it does not affect the decision."""

    def __post_init__(self) -> None:
        """Reject unknown words and a negative count."""
        if self.of not in ("prompts", "corpus", "trained_on"):
            raise ValueError(f"of: {self.of!r} is not a source; write prompts, corpus or trained_on")
        if self.on_fail not in ("block", "warn"):
            raise ValueError(f"on_fail: {self.on_fail!r}; choose from block, warn")
        if self.max < 0:
            raise ValueError(f"max: {self.max} is negative; write 0 or more")


def leakage_checks(policy: Leakage, leaked: Mapping[str, Sequence[str]]) -> list[Check]:
    """Count the cases that were found before the run.

    Args:
        policy: the limit.
        leaked: kind of source -> ids of its cases; a kind that was not searched is missing.
    """
    from evalkit.gate.words import SHOWN_CASES, some  # its numerical libraries wait for the calls

    need = f"<= {policy.max} cases in {policy.of}"
    blank = Check(name="leakage", metric="", cohort=OVERALL, outcome="pass", need=need)
    found = leaked.get(policy.of)
    if found is None:
        reason = f"`{policy.of}` was not searched for cases when the run began: run the suite again"
        check = replace(blank, outcome="no decision", reason=reason)
    elif len(found) > policy.max:
        reason = (
            f"{plural(len(found), 'case')} in {policy.of}, need {need}: {some(found)}; see `evalkit golden leaks SUITE`"
        )
        check = replace(blank, outcome="block", reason=reason, case_ids=tuple(found[:SHOWN_CASES]))
    else:
        check = replace(blank, reason=f"{plural(len(found), 'case')} in {policy.of}")
    return [only_warns(check)] if policy.on_fail == "warn" else [check]
