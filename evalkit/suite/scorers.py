"""Read the scorers of a suite, or of a case's checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from evalkit.errors import what_and_fix
from evalkit.formats.build import Builder, choices, show
from evalkit.scorers.base import Abbreviated
from evalkit.scorers.custom.python_scorer import PythonScorer
from evalkit.scorers.registry import NEGATION, find_scorer, known_elsewhere, known_names
from evalkit.suite.model import JudgeConfig
from evalkit.suite.scorer_entry import Fold, Over, ScorerEntry, When
from evalkit.text.values import one_line
from evalkit.types import Concern

Steps = tuple[str | int, ...]
COMMON = ("when", "advisory", "concern", "over", "fold")
"""Options of every scorer in a suite."""


def named_item(builder: Builder, item: Any, path: Steps) -> tuple[str, Any, Steps] | None:
    """Split `Name`, `{Name: value}` or `{Name: {options}}` into (name, value or None, path of the value)."""
    if isinstance(item, str):
        return item, None, path
    if isinstance(item, Mapping) and len(item) == 1:
        name, value = next(iter(item.items()))
        return name, value, (*path, name)
    builder.problem(
        path, f"expected a name or one `name: options`, got {show(item)}", "start each entry with `- name:`"
    )
    return None


def read_scorers(builder: Builder, items: tuple[Any, ...], judge: JudgeConfig | None) -> tuple[ScorerEntry, ...]:
    """Return the scorers that can be built; the problems of the others are noted."""
    entries = []
    for index, item in enumerate(items):
        named = named_item(builder, item, ("scorers", index))
        entry = scorer_entry(builder, *named, judge, index) if named else None
        if entry:
            entries.append(entry)
    return tuple(entries)


def scorer_entry(
    builder: Builder, name: str, value: Any, path: Steps, judge: JudgeConfig | None, index: int
) -> ScorerEntry | None:
    """Build one scorer, or note its problems.

    Args:
        builder: notes them.
        name: name as written, including `not_`.
        value: value of the shorthand option, or the options; `None` if only the name is given.
        path: path of the value.
        judge: the suite's.
        index: position of the scorer in its list.
    """
    negated = name.startswith(NEGATION)
    kind = name.removeprefix(NEGATION)
    try:
        found = find_scorer(kind, local=bool(judge and judge.local))
    except ValueError as error:
        builder.problem(path, *what_and_fix(error))
        return None
    if found is None:
        fix = known_elsewhere(kind)
        if not fix:
            fix = choices(kind, known_names())
            packaged = "." in kind and not fix.startswith("did you mean")
            fix = f"install the package that brings it, or {fix}" if packaged else fix
        builder.problem(path, f"no scorer called {kind!r}", fix)
        return None
    cls = found.cls
    options, common = options_of(cls, value)
    when = read_when(builder, common.get("when"), (*path, "when"))
    advisory = builder.value(common.get("advisory", False), bool, (*path, "advisory"))
    concern = builder.value(common.get("concern"), Concern | None, (*path, "concern"))
    over = builder.value(common.get("over"), Over | None, (*path, "over"))
    fold = builder.value(common.get("fold"), Fold | None, (*path, "fold"))
    if kind == "judge" and judge and judge.local:
        for key in set(options) & {"rubric", "scale"}:
            builder.problem((*path, key), "the local judge reads no rubric", "remove it, or set `judge: {chat: ...}`")
            return None
    own_name = negated and cls is not PythonScorer and "name" not in options
    try:
        built = builder.build(cls, options, path, named={"name": name} if own_name else None)
    except Exception as error:
        if not found.package:
            raise
        what = f"{found.package} raised {type(error).__name__}: {one_line(error)}"
        builder.problem(path, what, "check its options, or repair the package")
        return None
    if built is None:
        return None
    if negated and isinstance(built, PythonScorer):
        built = built.negated()
    return ScorerEntry(
        kind=kind,
        options=built,
        negated=negated,
        when=when,
        advisory=bool(advisory),
        concern=concern,
        over=over,
        fold=fold,
        index=index,
        package=found.package,
    )


def options_of(cls: type[Any], value: Any) -> tuple[Any, Mapping[str, Any]]:
    """Separate a scorer's own options from those of every scorer."""
    if value is None:
        return {}, {}
    if isinstance(value, Mapping):
        common = {key: value[key] for key in COMMON if key in value}
        return {key: item for key, item in value.items() if key not in common}, common
    return ({cls.shorthand: value}, {}) if isinstance(cls, Abbreviated) else (value, {})


def read_when(builder: Builder, value: Any, path: Steps) -> When | None:
    """Return which cases are meant, `None` if nothing is said, or after noting its problems."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        builder.problem(path, f"expected a mapping, got {show(value)}", "write {kind: golden} or {has: reference}")
        return None
    own = {key: item for key, item in value.items() if key in ("kind", "severity", "has")}
    cohorts = {key: item for key, item in value.items() if key not in own}
    when: When | None = builder.build(When, {**own, "cohorts": cohorts} if cohorts else own, path)
    return when


def refuse_over(builder: Builder, scorers: Iterable[ScorerEntry]) -> None:
    """Report scorers that grade turns in a suite without conversations."""
    for each in scorers:
        if each.over is not None:
            what, fix = "the suite has no conversations", "remove it, or add `conversation: {max_turns: 10}`"
            builder.problem(("scorers", each.index, each.written, "over"), what, fix)
