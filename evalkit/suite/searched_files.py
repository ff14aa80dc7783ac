"""Resolve the files in which cases of the golden set may have leaked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from evalkit.formats.build import Builder
from evalkit.gate.leakage import Leakage
from evalkit.gate.policy import Item
from evalkit.golden.source import GoldenSource, SearchedFiles, SourceKind
from evalkit.suite.scorer_entry import ScorerEntry


def searched_files(
    builder: Builder, golden: GoldenSource, learnt: Iterable[Path | None], base: Path, root: Path
) -> SearchedFiles:
    """Return the files of each kind of source that the suite names; what names no file is a problem.

    Args:
        builder: collects the problems.
        golden: the source of the set.
        learnt: the files under `trained_on`.
        base: folder of the suite.
        root: root of the project, which no file may leave.
    """
    found: dict[SourceKind, list[Path]] = {}
    named: tuple[tuple[SourceKind, Sequence[str]], ...] = (("prompts", golden.prompts), ("corpus", golden.corpus))
    for source, patterns in named:
        if not patterns:
            continue
        from evalkit.golden.leak_sources import files_of

        for at, pattern in enumerate(patterns):
            fault = partial(builder.problem, ("golden", source, at))
            found.setdefault(source, []).extend(files_of(pattern, base, root, fault))
    if trained := [file for file in learnt if file]:
        found["trained_on"] = trained
    return {source: tuple(dict.fromkeys(files)) for source, files in found.items()}


def rubrics_of(scorers: Iterable[ScorerEntry]) -> tuple[str, ...]:
    """Return the `rubric:` of every scorer that has one."""
    named = (getattr(entry.options, "rubric", None) for entry in scorers)
    return tuple(dict.fromkeys(name for name in named if isinstance(name, str)))


def with_rubrics(searched: SearchedFiles, scorers: Iterable[ScorerEntry], base: Path) -> SearchedFiles:
    """Add the user's own rubric files to the prompts: they are what a judge is shown.

    Args:
        searched: the files that the suite names.
        scorers: the scorers of the suite.
        base: folder of the suite.
    """
    if not (names := rubrics_of(scorers)):
        return searched
    from evalkit.scorers.judges.rubric import rubric_path

    files = list(searched.get("prompts", ()))
    for name in names:
        with suppress(ValueError):  # reported where the rubric is bound
            if (file := rubric_path(base, name)) is not None and file.is_file():
                files.append(file)
    return {**searched, "prompts": tuple(dict.fromkeys(files))} if files else searched


def check_leakage(builder: Builder, checks: Sequence[Item], searched: SearchedFiles) -> None:
    """Report a limit on leaked cases without files to search."""
    for index, check in enumerate(checks):
        if isinstance(check, Leakage) and check.of not in searched:
            what = f"the suite names no {check.of} to search"
            example = {"prompts": "[prompts/*.yaml]", "corpus": "[docs]", "trained_on": "[train.jsonl]"}[check.of]
            fix = f"add `{check.of}: {example}` to `golden:`"
            builder.problem(("gate", index, "leakage"), what, fix)
