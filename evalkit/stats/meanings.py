"""Semantic entropy: how many meanings several answers to one question have.

Source: Kuhn 2023, arXiv 2302.09664; Farquhar 2024, Nature 630:625, the discrete form and that with likelihoods. Groups
are stricter than those of the authors' code, which compares an answer with the first member of a group alone.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence


def meanings(answers: Sequence[str], alike: Collection[frozenset[str]]) -> tuple[tuple[str, ...], ...]:
    """Group answers by meaning: complete link, in the order of their texts.

    Each answer joins the first group whose every member is alike to it, else it begins a group. Answers are taken in
    the order of their texts, so the order in which they are given has no effect.

    Args:
        answers: Texts, shape (M,); equal ones are always alike.
        alike: Pairs of different texts with the same meaning.
    """
    groups: list[list[str]] = []
    for text in sorted(answers):
        fitting = (group for group in groups if all(text == one or frozenset((text, one)) in alike for one in group))
        group = next(fitting, None)
        if group is None:
            groups.append([text])
        else:
            group.append(text)
    return tuple(map(tuple, groups))


def semantic_entropy(sizes: Sequence[int]) -> float:
    """Return -sum (|c|/M) ln(|c|/M) over ln M: 0 if all answers mean the same, 1 if each means something else.

    Args:
        sizes: Answers of each meaning, all >= 1; their sum M is at least 2.

    Raises:
        ValueError: There are fewer than two answers, or a meaning without answers.
    """
    total = sum(sizes)
    if total < 2 or min(sizes) < 1:
        raise ValueError(f"sizes {list(sizes)}: give at least two answers, and no meaning without answers")
    if len(sizes) in (1, total):
        return float(len(sizes) > 1)
    return math.fsum(size / total * math.log(total / size) for size in sizes) / math.log(total)


def weighted_entropy(groups: Sequence[Sequence[float]]) -> float:
    """Return -sum p_c ln p_c over ln M, where p_c is the share of the likelihood of meaning c; from 0 to 1.

    Args:
        groups: ln p of each answer, by meaning; M answers in all, at least 2, each ln p finite and at most 0.

    Raises:
        ValueError: There are fewer than two answers, a meaning without answers, or an impossible ln p.
    """
    every = [one for group in groups for one in group]
    if len(every) < 2 or not all(groups):
        raise ValueError("groups: give at least two answers, and no meaning without answers")
    if not all(-math.inf < one <= 0 for one in every):
        raise ValueError("groups: a log-likelihood is not a finite number of at most 0")
    best = max(every)  # so that at least one likelihood does not vanish
    parts = [math.fsum(math.exp(one - best) for one in group) for group in groups]
    whole = math.fsum(parts)
    found = math.fsum(part / whole * math.log(whole / part) for part in parts if part > 0) / math.log(len(every))
    return min(1.0, max(0.0, found))
