"""Replay the answers that a file of traces holds."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.errors import InputError, Problem
from evalkit.golden.encoding import OtherKind, open_text
from evalkit.golden.source_file import open_source
from evalkit.traces.answers import read_answers
from evalkit.traces.otlp import holds_traces

_BEGINNING = re.compile(rb'\s*\[?\s*\{\s*"resource(?:Spans|Logs)"\s*:')
_HEAD_BYTES = 4096
_Key = tuple[str, int]


def is_traces(path: Path) -> bool:
    """Tell whether a file begins like traces in OTLP/JSON."""
    try:
        with open_text(path, None) as file:
            return _BEGINNING.match(file.read(_HEAD_BYTES)) is not None
    except (OSError, OtherKind, InputError):
        return False  # reported by whoever reads the file


def traced_index(path: Path) -> tuple[Mapping[_Key, Mapping[str, Any] | None], list[Problem]]:
    """Return the answer of each case and repeat, `None` where the traces do not hold its text.

    A case has the id that the trace names as `evalkit.case_id`, else that of the session, else that of the trace.
    Several answers of one case are its repeats, in the order of their time.
    """
    facts = path.stat()
    index, problems = _indexed(path, (facts.st_size, facts.st_mtime_ns))
    return index, [*problems]


@functools.lru_cache(maxsize=2)
def _indexed(
    path: Path, _state: tuple[int, int]
) -> tuple[Mapping[_Key, Mapping[str, Any] | None], tuple[Problem, ...]]:
    """Return the cached answers of an unchanged file."""
    try:
        source = open_source(path, path.name)
    except InputError as error:
        return {}, tuple(error.problems)
    if source.unknown or not holds_traces(source):
        what = "NaN is not a JSON number" if source.unknown else "not traces in OTLP/JSON"
        return {}, (Problem(path.name, what, "export the traces again"),)
    answers = read_answers([source]).answers
    index: dict[_Key, Mapping[str, Any] | None] = {}
    n_of_case = Counter[str]()
    for answer in answers:
        index[answer.case, n_of_case[answer.case]] = answer.output
        n_of_case[answer.case] += 1
    n_named = Counter(name for answer in answers for name in answer.names)
    for answer in answers:
        for name in answer.names:
            if n_named[name] == 1:
                index.setdefault((name, 0), answer.output)
    if not index:
        what = "no trace with a model, tool, agent or node in it"
        return {}, (Problem(path.name, what, "trace with the GenAI or OpenInference conventions"),)
    return index, ()
