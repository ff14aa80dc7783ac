"""Compare a golden set with production calls: the share that it covers, and where cases are missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.aggregate.cohorts import cohort_value
from evalkit.errors import InputError, Problem, noting
from evalkit.golden.json_lines import read_jsonl
from evalkit.golden.read import open_golden
from evalkit.results import Estimate
from evalkit.stats.sampling import ENOUGH_CASES, effective_n, production_coverage
from evalkit.suite.parse import load_suite

Cell = tuple[str, ...]
"""A value for each requested cohort."""


@dataclass(frozen=True, kw_only=True)
class CoveredCell:
    """One kind of call."""

    cell: Cell
    share: float
    """Share of production calls, from 0 to 1."""
    n_cases: int
    """Number of cases in the golden set."""

    @property
    def n_missing(self) -> int:
        """Number of cases that are missing for it to count as covered."""
        return max(0, ENOUGH_CASES - self.n_cases)


@dataclass(frozen=True, kw_only=True)
class GoldenCoverage:
    """How well a golden set covers production."""

    estimate: Estimate
    """Share of production that is covered."""
    effective_n: float
    """Effective number of cases after weighting to production."""
    cells: tuple[CoveredCell, ...]
    """Kinds of calls, the most frequent first."""
    n_cases: int
    n_foreign: int
    """Number of cases of kinds that production does not have."""


def golden_coverage(
    suite_file: Path, by: Sequence[str] | None, *, production: Path | None = None, mix: str | None = None
) -> GoldenCoverage:
    """Compare the golden set of a suite with production.

    Args:
        suite_file: the suite.
        by: names of cohorts, `None` for the first of the suite.
        production: JSON Lines with the cohorts of each call.
        mix: declared shares instead, such as `aml=0.3,privacy=0.7`.

    Raises:
        InputError: suite, cohort, file or mix cannot be used.
    """
    suite = load_suite(suite_file)
    names = tuple(by or suite.options.cohorts[:1])
    unknown = sorted(set(names) - set(suite.options.cohorts))
    if unknown or not names:
        known = ", ".join(suite.options.cohorts) or "none"
        raise InputError(Problem("--by", f"no cohort {unknown[0]!r}" if unknown else "the suite has none", known))
    calls = _calls(production, mix, names)
    golden = open_golden(suite.golden, suite.golden_file, suite.golden_shown, reading=suite.reading)
    held = Counter(tuple(cohort_value(case, name) or "" for name in names) for case in golden.outlines())
    cells = sorted(calls, key=lambda cell: (-calls[cell], cell))
    shares, total = [calls[cell] for cell in cells], sum(calls.values())
    return GoldenCoverage(
        estimate=production_coverage([held[cell] for cell in cells], shares, sampled=production is not None),
        effective_n=effective_n([calls[cell] / held[cell] for cell in cells for _ in range(held[cell])]),
        cells=tuple(CoveredCell(cell=cell, share=calls[cell] / total, n_cases=held[cell]) for cell in cells),
        n_cases=sum(held.values()),
        n_foreign=sum(count for cell, count in held.items() if cell not in calls),
    )


def _calls(file: Path | None, mix: str | None, names: Sequence[str]) -> Mapping[Cell, float]:
    if (file is None) == (mix is None):
        raise InputError(Problem("--production", "give either it or --mix", "calls.jsonl, or --mix aml=0.3,other=0.7"))
    return _sampled(file, names) if file is not None else _declared(mix or "", names)


def _sampled(file: Path, names: Sequence[str]) -> Mapping[Cell, float]:
    if not file.is_file():
        raise InputError(Problem("--production", f"no file {str(file)!r}", "check the path"))
    problems: list[Problem] = []
    counts: Counter[Cell] = Counter()
    note = noting(problems)
    for line, row in read_jsonl(file, str(file), note):
        own = row.get("cohorts")
        given = {**row, **own} if isinstance(own, dict) else row
        missing = [name for name in names if name not in given]
        if missing:
            note(Problem(f"{file}:{line}", f"no {missing[0]!r}", "add it, beside `cohorts` or within"))
            continue
        odd = [name for name in names if isinstance(given[name], dict | list | None)]
        if odd:
            what = f"`{odd[0]}` is {'empty' if given[odd[0]] is None else 'not a text'}"
            note(Problem(f"{file}:{line}", what, "write the value of the cohort"))
            continue
        counts[tuple(str(given[name]) for name in names)] += 1
    if problems or not counts:
        raise InputError(problems or Problem(str(file), "holds no call", "add one JSON object per line"))
    return counts


def _declared(mix: str, names: Sequence[str]) -> Mapping[Cell, float]:
    if len(names) != 1:
        raise InputError(Problem("--mix", f"shares of one cohort, not of {len(names)}", "use --production"))
    shares: dict[Cell, float] = {}
    for part in mix.split(","):
        value, _, number = part.rpartition("=")
        cell = (value.strip(),)
        try:
            share = float(number)
        except ValueError:
            raise InputError(Problem("--mix", f"{part!r} holds no share", "write aml=0.3,privacy=0.7")) from None
        if not value.strip() or cell in shares:
            what = f"{value.strip()!r} is given twice" if value.strip() else f"{part!r} names no value"
            raise InputError(Problem("--mix", what, "write each value once: aml=0.3,privacy=0.7"))
        shares[cell] = share
    if not min(shares.values()) >= 0 or not abs(sum(shares.values()) - 1) <= 0.001:
        what = f"the shares sum to {sum(shares.values()):g}"
        raise InputError(Problem("--mix", what, "write shares of at least 0 that sum to 1"))
    total = sum(shares.values())
    return {cell: share / total for cell, share in shares.items()}
