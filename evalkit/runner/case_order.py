"""Order the cases of a run of several systems, so that those of a run that stops early are a fair sample."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from evalkit.aggregate.cohorts import stratum_of
from evalkit.runner.plan import draw_key
from evalkit.types import Case


def in_random_order(cases: Iterable[Case], by: str, seed: int, chosen: Collection[str] | None) -> tuple[Case, ...]:
    """Return the chosen cases in a random order, in which the cases of each cohort value are at equal distances.

    The cases are held in memory. The order depends on their content and the seed alone.

    Args:
        cases: the golden set.
        by: name of the cohort, or `kind`; canaries are a value of their own.
        seed: seed of the order.
        chosen: digests of the cases to run, `None` for all.
    """
    members: dict[str, list[tuple[bytes, str, Case]]] = {}
    for case in cases:
        if chosen is None or case.digest in chosen:
            members.setdefault(stratum_of(case, by), []).append((draw_key(case.digest, seed), case.id, case))
    placed = []
    for label, own in members.items():
        start = int.from_bytes(draw_key(label, seed), "big") / 2**64
        own.sort(key=lambda each: each[:2])
        placed += [((at + start) / len(own), *each) for at, each in enumerate(own)]
    return tuple(case for *_, case in sorted(placed, key=lambda each: each[:3]))
