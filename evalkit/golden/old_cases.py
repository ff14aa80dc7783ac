"""Find cases of a golden set that a change removed or edited."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from evalkit.types import Case

_OWN = ("input", "reference", "contexts", "kind", "severity", "cohorts", "cluster")
_KEY_HEX = 16


def former_cases(before: Iterable[Case], now: Callable[[], Iterable[Case]]) -> tuple[Case, ...]:
    """Return the cases of `before` whose content is no longer in the set, in their old form.

    A case that was in quarantine then is left out: no gate counted it.

    Args:
        before: cases of the set as it was.
        now: streams the cases of today's set.
    """
    known = {_key(case) for case in now()}
    return tuple(case for case in before if not case.quarantine and _key(case) not in known)


def edited_parts(before: Case, now: Case) -> tuple[str, ...]:
    """Return the sorted names of the fields that differ between two forms of a case."""
    own = {name for name in _OWN if getattr(before, name) != getattr(now, name)}
    own |= {"contexts"} if before.origins != now.origins else set()
    names = {*before.fields, *now.fields}
    return tuple(sorted(own | {name for name in names if before.fields.get(name, ...) != now.fields.get(name, ...)}))


def _key(case: Case) -> int:
    """Return 64 bits of the digest; a million of them take a tenth of the memory of the texts."""
    return int(case.digest[:_KEY_HEX], 16)
