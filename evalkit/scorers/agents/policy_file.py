"""Read a policy: the rules of what an agent may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from evalkit.errors import InputError, Problem
from evalkit.formats.build import Builder
from evalkit.formats.json_paths import single_path
from evalkit.formats.yaml_text import MAX_BYTES, Document, parse_data
from evalkit.scorers.rules.json_schema import check_schema
from evalkit.types import Severity

EMPTY = "the list is empty; name a tool, such as `refund` or `get_*`"


def _check_globs(rule: Any, *options: str) -> None:
    for option in options:
        globs = getattr(rule, option)
        if not globs:
            raise ValueError(f"{option}: {EMPTY}")
        if not all(globs):
            raise ValueError(f"{option}: a name is empty; write a tool, or a glob such as `get_*`")


@dataclass(frozen=True, kw_only=True)
class NamedTools:
    """Tools of `allow` or `forbid` with a reason or severity of their own."""

    of: tuple[str, ...]
    why: str = ""
    severity: Severity = "medium"

    def __post_init__(self) -> None:
        _check_globs(self, "of")


@dataclass(frozen=True, kw_only=True)
class ArgumentsRule:
    """Arguments fit a JSON Schema (draft 2020-12)."""

    of: tuple[str, ...]
    schema: Mapping[str, Any]
    why: str = ""
    severity: Severity = "medium"

    def __post_init__(self) -> None:
        _check_globs(self, "of")
        check_schema(self.schema)


@dataclass(frozen=True, kw_only=True)
class BeforeRule:
    """A call comes after a successful one of `needs`, with equal arguments under the paths `same`."""

    of: tuple[str, ...]
    needs: tuple[str, ...]
    same: tuple[str, ...] = ()
    why: str = ""
    severity: Severity = "medium"

    def __post_init__(self) -> None:
        _check_globs(self, "of", "needs")
        for path in self.same:
            single_path("same", path)


@dataclass(frozen=True, kw_only=True)
class NeverAfterRule:
    """A call never comes after `step`."""

    of: tuple[str, ...]
    step: tuple[str, ...]
    why: str = ""
    severity: Severity = "medium"

    def __post_init__(self) -> None:
        _check_globs(self, "of", "step")


@dataclass(frozen=True, kw_only=True)
class AtMostRule:
    """The tools together are called at most `n` times."""

    of: tuple[str, ...]
    n: int
    per: Literal["conversation", "turn"] = "conversation"
    why: str = ""
    severity: Severity = "medium"

    def __post_init__(self) -> None:
        _check_globs(self, "of")
        if self.n < 1:
            raise ValueError(f"n: expected 1 or more, got {self.n}; write `forbid` for a tool that is never called")


@dataclass(frozen=True, kw_only=True)
class ApproveRule:
    """Each call was approved before, with the same arguments; an approval is good for one call."""

    of: tuple[str, ...]
    expires_s: float | None = None
    why: str = ""
    severity: Severity = "medium"

    def __post_init__(self) -> None:
        _check_globs(self, "of")
        if self.expires_s is not None and not 0 < self.expires_s < float("inf"):
            raise ValueError(f"expires_s: expected seconds above 0, got {self.expires_s:g}; write 3600 for an hour")


@dataclass(frozen=True, kw_only=True)
class NoBlindRetryRule:
    """A call is not repeated, whether it failed or succeeded, without a successful call of `reads` in between."""

    of: tuple[str, ...]
    reads: tuple[str, ...]
    why: str = ""
    severity: Severity = "medium"

    def __post_init__(self) -> None:
        _check_globs(self, "of", "reads")


@dataclass(frozen=True, kw_only=True)
class EdgeRule:
    """The first or the last step is one of these."""

    step: tuple[str, ...]
    why: str = ""
    severity: Severity = "medium"

    def __post_init__(self) -> None:
        _check_globs(self, "step")


Rule = ArgumentsRule | BeforeRule | NeverAfterRule | AtMostRule | ApproveRule | NoBlindRetryRule | NamedTools | EdgeRule
Globs = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ToolPolicy:
    """The rules of one file.

    Names are globs such as `get_*` and mean tools; `kind:glob`, such as `node:planner`, means steps of another kind.
    """

    description: str = ""
    allow: tuple[str | NamedTools, ...] | None = None
    """Tools that may be called; any other call is a violation."""
    forbid: tuple[str | NamedTools, ...] = ()
    """Tools that may not be called."""
    arguments: tuple[ArgumentsRule, ...] = ()
    before: tuple[BeforeRule, ...] = ()
    never_after: tuple[NeverAfterRule, ...] = ()
    at_most: tuple[AtMostRule, ...] = ()
    approve: tuple[ApproveRule, ...] = ()
    no_blind_retry: tuple[NoBlindRetryRule, ...] = ()
    first: Globs | EdgeRule | None = None
    """Steps that may come first."""
    last: Globs | EdgeRule | None = None
    """Steps that may come last."""
    default: Literal["allow", "forbid"] = "allow"
    """`forbid` means that a tool named by neither `allow` nor `forbid` may not be called."""

    def __post_init__(self) -> None:
        for option in ("allow", "forbid", "first", "last"):
            given = getattr(self, option)
            texts = [each for each in given or () if isinstance(each, str)] if isinstance(given, tuple) else []
            if not all(texts):
                raise ValueError(f"{option}: a name is empty; write a tool, or a glob such as `get_*`")
            if option in ("first", "last") and given == ():
                raise ValueError(f"{option}: {EMPTY}")
        if not any((*self.rules, self.default == "forbid", self.allow is not None)):
            raise ValueError("forbid: the file has no rule; write one such as [delete_*]")

    @property
    def allowed(self) -> tuple[NamedTools, ...] | None:
        """Tools that may be called; `None` for any tool."""
        found = _named(self.allow or ())
        return found if self.allow is not None or self.default == "forbid" else None

    @property
    def forbidden(self) -> tuple[NamedTools, ...]:
        """Tools that may not be called."""
        return _named(self.forbid)

    @property
    def rules(self) -> tuple[tuple[str, Rule], ...]:
        """Every rule but `allow` and `default`, under its key."""
        edges = [(key, getattr(self, key)) for key in ("first", "last")]
        found: list[tuple[str, Rule]] = [("forbid", rule) for rule in self.forbidden]
        for key in ("arguments", "before", "never_after", "at_most", "approve", "no_blind_retry"):
            found += [(key, rule) for rule in getattr(self, key)]
        found += [(key, EdgeRule(step=rule) if isinstance(rule, tuple) else rule) for key, rule in edges if rule]
        return tuple(found)


def _named(given: tuple[str | NamedTools, ...]) -> tuple[NamedTools, ...]:
    """Return texts as one rule, and the others as they are."""
    texts = tuple(each for each in given if isinstance(each, str))
    apart = tuple(each for each in given if not isinstance(each, str))
    return ((NamedTools(of=texts),) if texts else ()) + apart


def read_policy(data: bytes, shown: str) -> ToolPolicy:
    """Read a policy file.

    Args:
        data: its bytes, YAML.
        shown: its path, for messages.

    Raises:
        InputError: every problem, with line and column.
    """
    value, marks = parse_data(data, shown, MAX_BYTES)
    if not isinstance(value, Mapping):
        what = "the file is empty" if value is None else "the top level is not a mapping"
        raise InputError(Problem(f"{shown}:1:1", what, "write rules such as `forbid: [delete_*]`"))
    builder = Builder(Document(shown, value, marks))
    policy: ToolPolicy | None = builder.build(ToolPolicy, value, ())
    if policy is None:
        raise InputError(builder.problems)
    return policy
