"""Replay the answers that a file of traces holds."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.disk.files import Stamp, stamp_of
from evalkit.errors import InputError, Problem
from evalkit.formats.fields import parse_json
from evalkit.golden.encoding import OtherKind, Undecodable, open_text
from evalkit.golden.source_file import SourceFile, open_source
from evalkit.traces.answers import TracedAnswer, read_answers
from evalkit.traces.langsmith import RUN_KEYS, holds_runs
from evalkit.traces.otlp import holds_traces
from evalkit.types import Failure

_BEGINNING = re.compile(rb'\s*\[?\s*\{\s*"resource(?:Spans|Logs)"\s*:')
_HEAD_BYTES = 4096
_MOST_LINE = 8 << 20
_OF_RUNS = (b'"run_type"', b'"trace_id"')
_Key = tuple[str, int]


def is_traces(path: Path) -> bool:
    """Tell whether a file begins like traces in OTLP/JSON, or with a run of LangSmith."""
    try:
        with open_text(path, None) as file:
            head = file.read(_HEAD_BYTES)
            if _BEGINNING.match(head) is not None:
                return True
            return _is_run(head + file.readline(_MOST_LINE)) or (_is_list(head) and holds_runs(_opened(path)))
    except (OSError, OtherKind, Undecodable, InputError):
        return False  # reported by whoever reads the file


def _is_run(text: bytes) -> bool:
    """Tell whether the first line is a run."""
    line = text.lstrip().split(b"\n", 1)[0]
    if not all(key in line for key in _OF_RUNS):
        return False
    try:
        row = parse_json(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and row.keys() >= RUN_KEYS


def _is_list(head: bytes) -> bool:
    return head.lstrip()[:1] == b"["


def _opened(path: Path) -> SourceFile:
    return open_source(path, path.name)


def traced_index(path: Path) -> tuple[Mapping[_Key, Mapping[str, Any] | Failure], list[Problem]]:
    """Return the answer of each case and repeat, or why the system failed.

    A case has the id that the trace names as `evalkit.case_id` or as its example, else that of the session, else that
    of the trace.
    Several answers of one case are its repeats, in the order of their time.
    """
    index, problems = _indexed(path, stamp_of(path.stat()))
    return index, [*problems]


@functools.lru_cache(maxsize=2)
def _indexed(path: Path, _stamp: Stamp) -> tuple[Mapping[_Key, Mapping[str, Any] | Failure], tuple[Problem, ...]]:
    """Return the cached answers of an unchanged file."""
    try:
        source = _opened(path)
    except InputError as error:
        return {}, tuple(error.problems)
    if source.unknown or not (holds_traces(source) or holds_runs(source)):
        what = "NaN is not a JSON number" if source.unknown else "not traces in OTLP/JSON, or runs of LangSmith"
        return {}, (Problem(path.name, what, "export the traces again"),)
    answers = read_answers([source]).answers
    index: dict[_Key, Mapping[str, Any] | Failure] = {}
    n_of_case = Counter[str]()
    for answer in answers:
        index[answer.case, n_of_case[answer.case]] = _ended(answer)
        n_of_case[answer.case] += 1
    n_named = Counter(name for answer in answers for name in answer.names)
    for answer in answers:
        for name in answer.names:
            if n_named[name] == 1:
                index.setdefault((name, 0), _ended(answer))
    if not index:
        what = "no trace with a model, tool, agent or node in it"
        return {}, (Problem(path.name, what, "trace with the GenAI or OpenInference conventions"),)
    return index, ()


def _ended(answer: TracedAnswer) -> Mapping[str, Any] | Failure:
    return Failure("error", answer.failure or "failed") if answer.output is None else answer.output
