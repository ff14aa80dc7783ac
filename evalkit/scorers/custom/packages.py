"""Find scorers of installed packages by their entry points."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.scorers.base import Bindable
from evalkit.text.values import one_line, shown
from evalkit.types import Metric

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "evalkit.scorers"
"""Entry points of this group name a scorer's class: `acme.tone = "acme_scorers:Tone"`."""


@dataclass(frozen=True)
class PackagedScorer:
    """A scorer's class and the package that provides it."""

    cls: type[Any]
    package: str
    """Name and version of the distribution, such as `acme-scorers 1.2.0`."""


def packaged_names() -> Collection[str]:
    """List the names of scorers that installed packages provide."""
    return _found(tuple(sys.path)).keys()


def packaged_scorer(name: str, shipped: Collection[str]) -> PackagedScorer | None:
    """Import the scorer that a package provides under `name`; `None` if no package does.

    Args:
        name: name in a suite.
        shipped: names of evalkit's own scorers, which no package may take.

    Raises:
        ValueError: `what; fix`. A package uses a shipped name, two packages provide `name`, or its class cannot be
            imported or is not a scorer.
    """
    found = _found(tuple(sys.path))
    for taken in sorted(found.keys() & {*shipped}):
        what = f"the package {_package(found[taken][0])} brings a scorer called {taken!r}, a name that evalkit uses"
        raise ValueError(f"{what}; remove the package, or have it renamed")
    if name not in found:
        return None
    packages = sorted({_package(each) for each in found[name]})
    if len(packages) > 1:
        raise ValueError(f"the packages {' and '.join(packages)} both bring {name!r}; remove one of them")
    return PackagedScorer(_loaded(found[name][0], packages[0]), packages[0])


@functools.cache
def _found(path: tuple[str, ...]) -> Mapping[str, list[EntryPoint]]:
    """Return entry points by name; they are read once for each value of `sys.path`."""
    from importlib.metadata import entry_points  # a suite of shipped scorers does without it

    found: dict[str, list[EntryPoint]] = {}
    for each in entry_points(group=GROUP):
        found.setdefault(each.name, []).append(each)
    return found


def _loaded(point: EntryPoint, package: str) -> type[Any]:
    try:
        cls = point.load()
    except BaseException as error:  # whatever the package does while it is imported
        what = f"importing {point.value} of {package} failed: {type(error).__name__}: {one_line(error)}"
        raise ValueError(f"{what.replace('; ', ', ')}; repair or remove the package") from None
    frozen = isinstance(cls, type) and dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    if not frozen or not (hasattr(cls, "score") or isinstance(cls, Bindable)):
        what = f"{point.value} of {package} is not a frozen dataclass with `score` or `bind`"
        raise ValueError(f"{what}; see docs/own-scorers.md")
    return cls  # type: ignore[no-any-return]


def check_scorer(scorer: Any, package: str) -> None:
    """Check the members of a bound scorer that a package provides.

    Raises:
        ValueError: `what; fix`. A member is missing or has the wrong type.
    """
    for name, (wanted, fits) in _MEMBERS.items():
        value = getattr(scorer, name, None)
        if value is None and name in _OPTIONAL:
            continue
        if not fits(value):
            what = f"{package}: the scorer's `{name}` has to be {wanted}, got {shown(value)}"
            raise ValueError(f"{what}; repair or remove the package")


def _all(kinds: tuple[type[Collection[Any]], ...], part: type) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        return isinstance(value, kinds) and all(isinstance(each, part) for each in value)

    return fits


_MEMBERS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "name": ("a text", lambda value: isinstance(value, str)),
    "version": ("a text", lambda value: isinstance(value, str)),
    "metrics": ("a tuple of Metric objects", _all((tuple, list), Metric)),
    "needs": ("a set of field names", _all((frozenset, set, tuple, list), str)),
    "notice": ("a text", lambda value: isinstance(value, str)),
    "key_parts": (
        "a mapping of texts",
        lambda value: isinstance(value, Mapping) and _all((list,), str)([*value.values()]),
    ),
}
_OPTIONAL = frozenset({"notice", "key_parts"})


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value
