"""The rules before a change: those of the base branch where the baseline names one, else the baseline's own."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

from evalkit.errors import InputError
from evalkit.store.git import PREFIX, commit_of, git, split, text_at
from evalkit.store.soundness import fits
from evalkit.suite.rules import rules_of_text

if TYPE_CHECKING:
    from evalkit.store.folder import RunFolder
    from evalkit.suite.model import Suite

_SHAPE: Mapping[str, Any] = {
    "gate": list[Any],
    "require_evidence": bool,
    "kappa_floors": dict[str, float],
    "cohorts": list[str],
    "repeat": int,
    "repeat_rule": str,
    "production": dict[str, float],
    "labels": dict[str, dict[str, Any]],
}


def rules_before(suite: Suite, reference: str, baseline: RunFolder) -> tuple[Mapping[str, Any], str]:
    """The rules before, and where they stood.

    Args:
        suite: as it is now.
        reference: what the baseline was found by.
        baseline: its folder.

    Returns:
        Empty rules where neither the base branch nor the baseline tells them.

    Raises:
        InputError: for a file of the base branch that is there and cannot be read, or is too large.
    """
    manifest = baseline.manifest()
    if reference.startswith(PREFIX):
        ref, commit = split(reference)[0], commit_of(reference, suite.root)
        found = _at(commit, suite)
        if found is not None:
            return found, f"{ref}@{commit[:7]}"
    rules = manifest.get("rules")
    return (rules if _is_whole(rules) else {}), f"baseline {manifest['run_id']}"


def _is_whole(rules: Any) -> TypeGuard[Mapping[str, Any]]:
    """True for rules as a run writes them."""
    return (
        isinstance(rules, dict)
        and all(fits(rules.get(key, ...), hint) for key, hint in _SHAPE.items())
        and all(fits(file.get("n", ...), int) for file in rules["labels"].values())
        and all(fits(file.get("rows", ...), list[str]) for file in rules["labels"].values())
    )


def _at(commit: str, suite: Suite) -> Mapping[str, Any] | None:
    """The rules of this suite's file at a commit, `None` where it was not there or cannot be read."""
    prefix = git(suite.root, "rev-parse", "--show-prefix").decode("utf-8", "replace").strip()
    file = posixpath.join(prefix, suite.path.relative_to(suite.root).as_posix())

    def read(name: str) -> bytes | None:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(file), name))
        reference = f"{PREFIX}{commit}:{path}"
        try:
            split(reference)
        except InputError:
            return None  # no commit holds a file of such a name
        return text_at(reference, suite.root)

    text = read(posixpath.basename(file))
    return None if text is None else rules_of_text(text, file, read)
