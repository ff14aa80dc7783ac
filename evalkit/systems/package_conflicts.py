"""Warn about packages that a python system would import in a different version than the one installed for it."""

from __future__ import annotations

import importlib.metadata
import site
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from evalkit.errors import Problem

SHOWN_PACKAGES = 5
"""Maximum number of packages that a warning names; the others are counted."""


def shadowed_packages() -> Iterator[Problem]:
    """Warn if evalkit's environment hides packages of the interpreter it was made from.

    An environment made with `--system-site-packages`, as by the GitHub action, contains both sets of packages and
    imports its own first. A package with the same version in both is not listed.

    Yields:
        At most one warning, at `system.python`, with the versions that are used and hidden.
    """
    folders = _hidden_folders()
    if not folders:
        return
    used: dict[str, str] = {}
    for found in importlib.metadata.distributions(path=[each for each in sys.path if each not in folders]):
        used.setdefault(_normal(found.name), found.version)
    hidden = {_normal(each.name): each.version for each in importlib.metadata.distributions(path=folders)}
    differing = sorted(name for name, version in hidden.items() if used.get(name, version) != version)
    if not differing:
        return
    shown = ", ".join(f"{name} {used[name]} instead of {hidden[name]}" for name in differing[:SHOWN_PACKAGES])
    more = f", and {len(differing) - SHOWN_PACKAGES} more" if len(differing) > SHOWN_PACKAGES else ""
    yield Problem(
        "system.python",
        f"the system imports packages of evalkit's environment: {shown}{more}",
        "to test it with its own packages, call it with `command:` or `http:` from its own environment",
    )


def _hidden_folders() -> list[str]:
    """Return package folders on the path, behind evalkit's own, that belong to another environment or interpreter."""
    if sys.prefix == sys.base_prefix:
        return []
    folders = {Path(each).resolve() for each in (*site.getsitepackages([sys.base_prefix]), site.getusersitepackages())}
    own = sysconfig.get_path("purelib")
    behind = sys.path[sys.path.index(own) + 1 :] if own in sys.path else []
    folders |= {Path(each).resolve() for each in behind if Path(each).name == "site-packages"}
    folders.discard(Path(sysconfig.get_path("platlib")).resolve())
    return [each for each in sys.path if each and Path(each).resolve() in folders]


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
