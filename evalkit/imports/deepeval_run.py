"""Read deepeval's test runs, as `deepeval test run` and `evaluate` leave them under `.deepeval`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from evalkit.golden.source_file import SourceFile
from evalkit.imports.collector import Collector
from evalkit.imports.deepeval import read_single
from evalkit.imports.ids_and_fields import is_number, own_field
from evalkit.imports.imported import Imported

_WRAPPED = "testRunData"
_CASES, _TALKS = "testCases", "conversationalTestCases"
_GIVEN_NAME = re.compile(r"(test_case|conversational_test_case)_\d+")
"""The name that deepeval gives to a test case without one: its position."""
_NOT_OURS = frozenset(
    "success metrics_data run_duration evaluation_cost order flaky trace images_mapping expectations_data".split()
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def is_run(source: SourceFile) -> bool:
    """Tell whether a file holds a test run."""
    run, _ = _run_of(source)
    return any(
        isinstance(rows, list) and any(isinstance(row, Mapping) and "metricsData" in row for row in rows)
        for rows in (run.get(_CASES), run.get(_TALKS))
    )


def read_run(source: SourceFile, limit: int | None = None) -> Imported:
    """Read a test run: test cases are cases with a stored output, and what the metrics said is recorded."""
    found = Collector(source)
    run, keys = _run_of(source)
    talks = run.get(_TALKS)
    for at in range(len(talks) if isinstance(talks, list) else 0):
        what = "a conversation: its goldens hold more than the run"
        found.lose(source.at(*keys, _TALKS, at), what, "import the goldens that `EvaluationDataset.save_as` writes")
    cases = run.get(_CASES)
    for at, row in enumerate((cases if isinstance(cases, list) else [])[:limit]):
        place = source.at(*keys, _CASES, at)
        if not isinstance(row, Mapping):
            found.lose(place, "a test case that is not a mapping", "run the test again", "case")
            continue
        values = {_HUMP.sub("_", str(key)).lower(): value for key, value in row.items()}
        given = {key: value for key, value in values.items() if key not in _NOT_OURS}
        given["additional_metadata"] = given.pop("metadata", None)
        if isinstance(name := given.get("name"), str) and _GIVEN_NAME.fullmatch(name):
            given["name"] = None
        read_single(found, place, given, dict(_recorded(row)))
    return found.imported("deepeval test run")


def _run_of(source: SourceFile) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return the run in a file and its path."""
    value = source.value if isinstance(source.value, Mapping) else {}
    inner = value.get(_WRAPPED)
    return (inner, (_WRAPPED,)) if isinstance(inner, Mapping) else (value, ())


def _recorded(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what deepeval said of an answer, with the model that said it."""
    if isinstance(row.get("success"), bool):
        yield "pass", row["success"]
    said = row.get("metricsData")
    for each in said if isinstance(said, list) else []:
        if isinstance(each, Mapping) and isinstance(each.get("name"), str):
            known = {"reason": each.get("reason"), "by": each.get("evaluationModel"), "error": each.get("error")}
            texts = {key: text for key, text in known.items() if isinstance(text, str) and text}
            yield own_field(each["name"]), {"value": each["score"] if is_number(each.get("score")) else None, **texts}
