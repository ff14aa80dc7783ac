"""Define the forms of a judge's reply, and the value of each."""

from __future__ import annotations

import functools
from typing import Any, Literal

from evalkit.scorers.judges.rubric import Rubric, Scale


@functools.cache
def verdict_schema(scale: Scale, criteria: tuple[str, ...] = ()) -> type[Any]:
    """Return the form of the reply: a reason, then the value on the scale.

    A level or a word as `score`; a winner; or for each criterion a reason and whether it is met.
    """
    from pydantic import Field

    if scale == "criteria":
        one = _closed("Criterion", reason=(str, Field(min_length=1)), met=(bool, Field()))
        return _closed("Verdict", **{name: (one, Field()) for name in criteria})
    reason = (str, Field(min_length=1))
    if scale == "pairwise":
        return _closed("Verdict", reason=reason, winner=(Literal["first", "second", "tie"], Field()))
    if scale == "pass_fail":
        return _closed("Verdict", reason=reason, score=(Literal["pass", "fail"], Field()))
    if isinstance(scale, str):
        raise ValueError(f"a rubric of {scale} has one verdict for each line")
    return _closed("Verdict", reason=reason, score=(int, whole_number(scale[0], scale[1])))


def whole_number(low: int, high: int) -> Any:
    """Return a field from `low` to `high` that lists every value, because strict decoders ignore bounds."""
    from pydantic import Field

    return Field(ge=low, le=high, json_schema_extra={"enum": list(range(low, high + 1))})


def _closed(name: str, **fields: Any) -> type[Any]:
    from pydantic import ConfigDict, create_model

    return create_model(name, __config__=ConfigDict(extra="forbid"), **fields)  # type: ignore[no-any-return]


def value_of(verdict: Any, rubric: Rubric) -> tuple[float, str]:
    """Return the value on the metric's range, and its reason; a `pairwise` verdict has no value of its own."""
    if rubric.scale == "criteria":
        found = {name: getattr(verdict, name) for name in rubric.criteria}
        unmet = [f"{name}: {each.reason}" for name, each in found.items() if not each.met]
        met = len(found) - len(unmet)
        return met / len(found), f"{met} of {len(found)} criteria met" + "".join(f"; {why}" for why in unmet)
    level = verdict.score
    return (float(level == "pass") if isinstance(level, str) else float(level)), verdict.reason
