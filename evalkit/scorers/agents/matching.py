"""Match expected calls one to one with those made: in any order, in order, or as a whole."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Literal

from evalkit.scorers.agents.acts import Act, ActMatcher

Match = Literal["exact", "any_order", "in_order", "at_least", "at_most"]
VACUOUS: tuple[Match, ...] = ("at_least", "in_order")
"""Modes that any calls satisfy if nothing is expected."""
Pairs = list[tuple[int, int]]
"""Positions of an expected call and of the call that was made."""


def is_match(match: Match, expected: Sequence[Act], made: Sequence[Act], compare: ActMatcher) -> bool:
    """Return True if the calls made meet those expected.

    Args:
        match: `exact`: the same calls in the same order; `any_order`: the same calls, each as often; `in_order`: the
            expected ones in their order, with others between; `at_least`: all expected ones; `at_most`: no others.
        expected: calls or steps.
        made: calls or steps of the system.
        compare: how arguments are compared.
    """
    if match in ("exact", "any_order") and len(expected) != len(made):
        return False
    if match == "exact":
        return all(map(compare.agrees, expected, made))
    if match == "in_order":
        rest = iter(made)
        # The earliest agreeing call leaves most of the rest, so that a greedy search decides.
        return all(any(compare.agrees(want, act) for act in rest) for want in expected)
    n = len(in_any_order(expected, made, compare))
    return n == (len(made) if match == "at_most" else len(expected))


def in_any_order(expected: Sequence[Act], made: Sequence[Act], compare: ActMatcher) -> Pairs:
    """Return a largest one-to-one matching; a greedy search might find a smaller one."""
    wanted: dict[str, list[int]] = defaultdict(list)
    done: dict[str, list[int]] = defaultdict(list)
    for at, want in enumerate(expected):
        wanted[want.name].append(at)
    for at, act in enumerate(made):
        done[act.name].append(at)
    pairs: Pairs = []
    for name, ours in wanted.items():
        pairs += _of_one_name(ours, done.get(name, []), expected, made, compare)
    return sorted(pairs)


def _of_one_name(
    ours: Sequence[int], theirs: Sequence[int], expected: Sequence[Act], made: Sequence[Act], compare: ActMatcher
) -> Pairs:
    shapes = {compare.shape(expected[at]) for at in ours}
    shape = shapes.pop()
    if shapes or compare.key(expected[ours[0]], shape) is None:
        agree = [[place for place, at in enumerate(theirs) if compare.agrees(expected[own], made[at])] for own in ours]
        return [(ours[own], theirs[at]) for own, at in largest_matching(agree, len(theirs))]
    places: dict[object, deque[int]] = defaultdict(deque)
    for at in theirs:
        places[compare.key(made[at], shape)].append(at)
    keys = [(own, compare.key(expected[own], shape)) for own in ours]
    return [(own, places[key].popleft()) for own, key in keys if places[key]]


def largest_matching(agree: Sequence[Sequence[int]], n: int) -> Pairs:
    """Return a largest matching of a bipartite graph.

    Args:
        agree: neighbours on the right of each vertex on the left; earlier vertices stay matched.
        n: vertices on the right.
    """
    matched: list[int | None] = [None] * n
    dead: set[int] = set()
    """Vertices reached by a failed search; no later search can use them either."""
    for root in range(len(agree)):
        _augment(root, agree, matched, dead)
    return [(own, at) for at, own in enumerate(matched) if own is not None]


def _augment(root: int, agree: Sequence[Sequence[int]], matched: list[int | None], dead: set[int]) -> None:
    """Match one more vertex on the left if an augmenting path exists."""
    reached: dict[int, int] = {}
    """Vertex on the right -> the vertex on the left from which it was reached."""
    came: dict[int, int] = {}
    queue = deque([root])
    while queue:
        own = queue.popleft()
        for at in agree[own]:
            if at in reached or at in dead:
                continue
            reached[at] = own
            holder = matched[at]
            if holder is not None:
                came[holder] = at
                queue.append(holder)
                continue
            place: int | None = at
            while place is not None:
                left = reached[place]
                matched[place] = left
                place = came.get(left)
            return
    dead.update(reached)


def in_order(expected: Sequence[Act], made: Sequence[Act], compare: ActMatcher) -> int:
    """Return the length of the longest common subsequence."""
    if not expected or not made:
        return 0
    shapes: dict[str, set[object]] = defaultdict(set)
    for want in expected:
        shapes[want.name].add(compare.shape(want))
    numbers: dict[object, int] = {}
    sides: list[list[int]] = []
    for acts in (expected, made):
        side = []
        for act in acts:
            found = shapes.get(act.name, ())
            key = compare.key(act, next(iter(found))) if len(found) == 1 else None  # type: ignore[arg-type]
            if key is None and found:
                return _longest(expected, made, compare)
            side.append(numbers.setdefault(key or ("other", act.name), len(numbers)))
        sides.append(side)
    from rapidfuzz.distance import LCSseq

    return int(LCSseq.similarity(*sides))


def _longest(expected: Sequence[Act], made: Sequence[Act], compare: ActMatcher) -> int:
    """Return the longest common subsequence for a relation that is not an equality."""
    places: dict[str, list[int]] = defaultdict(list)
    for at, act in enumerate(made):
        places[act.name].append(at)
    # `ends[k]` is the least place at which a common subsequence of k + 1 calls can end (Hunt and Szymanski, 1977).
    ends: list[int] = []
    for want in expected:
        for at in reversed(places.get(want.name, [])):
            if compare.agrees(want, made[at]):
                where = bisect_left(ends, at)
                ends[where : where + 1] = [at]
    return len(ends)
