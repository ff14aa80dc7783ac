"""Make scorers of a suite from those that single cases ask for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalkit.imports.imported import FoundScorer, Loss

MOST = 20
"""Maximum number of scorers that differ between cases."""
RUBRICS = "rubrics"
_UNFIT = re.compile(r"\W+")
"""What a name of the source may have, and one of a scorer, a file and a field may not."""
_WRITTEN_OUT = 60
"""Length from which a rubric is a text, and not a name."""


@dataclass
class SuiteScorers:
    """Scorers of a suite.

    Attributes:
        scorers: In the order of the first case that asks for each.
        rubrics: Name of a file -> its text.
        losses: For those beyond the limit.
    """

    scorers: list[FoundScorer] = field(default_factory=list)
    rubrics: dict[str, str] = field(default_factory=dict)
    losses: list[Loss] = field(default_factory=list)


def suite_scorers(wanted: Sequence[Sequence[FoundScorer]], rows: Sequence[dict[str, Any]]) -> SuiteScorers:
    """Return one scorer for all cases that ask for an equal one.

    A scorer that not every case asks for applies where a field marks the case.

    Args:
        wanted: scorers of each case.
        rows: fields of each case, which get the marks.
    """
    made = SuiteScorers()
    cases: dict[str, list[int]] = {}
    first: dict[str, FoundScorer] = {}
    for at, scorers in enumerate(wanted):
        for each in scorers:
            key = json.dumps([each.kind, each.options], sort_keys=True)
            first.setdefault(key, each)
            cases.setdefault(key, []).append(at)
    names: set[str] = set()
    for number, (key, found) in enumerate(first.items()):
        if number >= MOST:
            fix = "give these tests one text to be judged by, or split the source"
            what = f"more than {MOST} scorers that differ between tests"
            made.losses.append(Loss(found.place, what, fix, found.part))
            continue
        given = _UNFIT.sub("_", str(found.options.get("name", found.kind))).strip("_")
        name = _unused(given or found.kind, names)
        options: dict[str, Any] = {**found.options, "name": name, **_rubric(found.options, name, made.rubrics)}
        if len(set(cases[key])) < len(rows):
            mark = f"for_{name}"
            options["when"] = {"has": mark}
            for at in cases[key]:
                rows[at][mark] = True
        made.scorers.append(FoundScorer(found.place, found.kind, options, found.part))
    return made


def _rubric(options: Mapping[str, Any], name: str, rubrics: dict[str, str]) -> dict[str, Any]:
    text = options.get("rubric")
    if not isinstance(text, str) or ("\n" not in text and len(text) < _WRITTEN_OUT):
        return {}
    file = f"{RUBRICS}/{name}.md"
    rubrics[file] = f"---\nname: {name}\nversion: 1\nscale: pass_fail\n---\n{text.rstrip()}\n"
    return {"rubric": file}


def _unused(name: str, names: set[str]) -> str:
    number, found = 1, name
    while found in names:
        number += 1
        found = f"{name}_{number}"
    names.add(found)
    return found
