"""Write the variants of a suite's golden cases to a file, for people to review."""

from __future__ import annotations

from pathlib import Path

from evalkit.disk.writing import drafted
from evalkit.errors import InputError, Problem, StoreError
from evalkit.golden.read import open_golden
from evalkit.golden.variants.make import VariantCounts, make_variants
from evalkit.golden.write import case_line
from evalkit.runner.variants import written_problems
from evalkit.suite.model import Suite
from evalkit.suite.parse import load_suite


def write_variants(suite_file: Path, out: Path) -> VariantCounts:
    """Write the variants that the suite's `variants:` make, one row a line.

    Returns:
        How many there are of each transform, and how many were left out, with the reasons.

    Raises:
        InputError: reports every problem of the suite and its set, or of the place; nothing is written.
        StoreError: the file cannot be written.
    """
    suite = load_suite(suite_file)
    _refuse(suite, out)
    golden = open_golden(suite.golden, suite.golden_file, suite.golden_shown, reading=suite.reading)
    if problems := list(written_problems(suite, golden)):
        raise InputError(problems)
    counts = VariantCounts()
    plans = [entry.plan for entry in suite.variants]
    try:
        with drafted(out) as draft:
            for case in make_variants(golden.open, plans, suite.options.seed, counts):
                draft.write(case_line(case) + b"\n")
            _refuse_none(suite, counts)
    except OSError as error:
        raise StoreError.of(out, error, "name a file in a folder that can be written") from None
    return counts


def _refuse(suite: Suite, out: Path) -> None:
    """Reject a suite without transforms, and a place that holds something else.

    Raises:
        InputError: reports both.
    """
    problems = []
    if not suite.variants:
        fix = "add transforms, such as `variants: [typos, lower, spaces]`"
        problems.append(Problem(suite.place("variants"), "the suite lists no transform", fix))
    if out.suffix.lower() != ".jsonl":
        problems.append(Problem("--out", f"{out} is not a JSON Lines file", "name one such as variants.jsonl"))
    if out.resolve() in suite.inputs:
        problems.append(Problem("--out", f"{out} is an input of the suite", "name another file"))
    elif not out.absolute().parent.is_dir():
        problems.append(Problem("--out", f"there is no folder {out.parent}", "create it, or name another one"))
    if problems:
        raise InputError(problems)


def _refuse_none(suite: Suite, counts: VariantCounts) -> None:
    """Reject transforms that make no variant at all, with the reasons of each.

    Raises:
        InputError: there is no variant.
    """
    if counts.variants:
        return
    place, fix = suite.place("variants"), "list another transform, or other cases under `of`"
    found = [Problem(place, f"{name} makes no variant: {reason}", fix) for name, reason in counts.left_out]
    raise InputError(found or [Problem(place, "no case of the set is one that `of` names", fix)])
