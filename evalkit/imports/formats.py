"""Find the format of a file by its content."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import NamedTuple

from evalkit.errors import InputError, Problem
from evalkit.golden.source_file import SourceFile
from evalkit.imports.imported import Imported
from evalkit.imports.otlp import ONE_FILE, TraceOptions


class SourceFormat(NamedTuple):
    """A format of another tool, with the functions that recognise and read it."""

    format: str
    """Value of `--format`."""
    module: str
    """Module of `evalkit.imports`."""
    knows: str
    """Function that tells whether a file is of this kind."""
    reads: str
    """Function that reads one."""
    marks_unknown: bool = False
    """Whether the tool writes NaN for what is unknown."""
    traced: bool = False
    """Whether the file holds traces, which may be in several files."""


FORMATS = (
    SourceFormat("otlp", "otlp", "holds_traces", "read_traces", traced=True),
    SourceFormat("promptfoo", "promptfoo_results", "is_results", "read_results"),
    SourceFormat("promptfoo", "promptfoo_table", "is_table", "read_table"),
    SourceFormat("promptfoo", "promptfoo_config", "is_config", "read_config"),
    SourceFormat("inspect", "inspect_log", "is_log", "read_log", marks_unknown=True),
    SourceFormat("lm-eval", "lm_eval", "is_samples", "read_samples"),
    SourceFormat("langsmith", "langsmith", "holds_runs", "read_runs", traced=True),
    SourceFormat("langsmith", "langsmith_table", "is_table", "read_table"),
    SourceFormat("adk", "adk", "is_eval_set", "read_eval_set"),
    SourceFormat("mlflow", "mlflow", "is_traces", "read_traces"),
    SourceFormat("mlflow", "mlflow", "is_records", "read_records"),
    SourceFormat("langsmith", "langsmith", "is_examples", "read_examples"),
    SourceFormat("deepeval", "deepeval_run", "is_run", "read_run"),
    SourceFormat("deepeval", "deepeval", "is_goldens", "read_goldens"),
    SourceFormat("ragas", "ragas", "is_samples", "read_samples"),
    SourceFormat("openai-evals", "openai_evals", "is_samples", "read_samples"),
    SourceFormat("openai-evals", "openai_evals", "is_events", "read_events"),
)
"""In the order in which they are tried; no file is of two kinds."""
NAMES = tuple(dict.fromkeys(each.format for each in FORMATS))
WRITTEN_BY: Mapping[str, str] = {
    "otlp": "traces in OTLP/JSON, an object with `resourceSpans` or JSON Lines of them",
    "promptfoo": "a config with `prompts`, or what `promptfoo eval -o` writes: JSON, JSON Lines, YAML or CSV",
    "deepeval": "goldens that `EvaluationDataset.save_as` writes, in JSON, JSON Lines or CSV, or a test run",
    "inspect": "a log, in JSON or as `.eval`",
    "lm-eval": "samples that `--log_samples` writes",
    "langsmith": "examples of a data set, or runs, in JSON or JSON Lines, or a data set or an experiment in CSV",
    "adk": "an eval set",
    "mlflow": "traces, or records of an evaluation data set, in JSON or JSON Lines",
    "openai-evals": "samples with `input` and `ideal`, or the events that `oaieval` records, in JSON Lines",
    "ragas": "samples with `user_input`, in JSON Lines, JSON or CSV",
}
"""Format -> the files that are read."""


def read_source(
    source: SourceFile,
    format: str | None,
    limit: int | None,
    answers: SourceFile | None = None,
    traces: TraceOptions = ONE_FILE,
) -> Imported:
    """Read a file in the format that its content shows.

    Args:
        source: the file.
        format: one of `NAMES`, to try no other.
        limit: cases to read.
        answers: a file with outputs for the cases of the first.
        traces: how a file of traces is read.

    Raises:
        InputError: its kind is unknown, or it cannot be read.
    """
    for each in FORMATS:
        if format in (None, each.format):
            module = importlib.import_module(f"evalkit.imports.{each.module}")
            if getattr(module, each.knows)(source):
                if not each.marks_unknown:
                    _refuse_unknown(source)
                if each.traced:
                    return _of_traces(module, each, source, limit, answers, traces)
                _refuse(traces)
                imported: Imported = getattr(module, each.reads)(source, limit)
                return imported if answers is None else _joined(imported, answers)
    if format is not None:
        raise InputError(Problem(source.shown, f"not a file of {format}", f"it is {WRITTEN_BY[format]}"))
    fix = f"name a file of {', '.join(NAMES[:-1])} or {NAMES[-1]}"
    if source.kind in ("table", "archive"):
        fix += "; a table of your own becomes a suite with `evalkit init evals --from FILE`"
    raise InputError(Problem(source.shown, f"no format is recognised in it ({_seen(source)})", fix))


def _of_traces(
    module: ModuleType,
    format: SourceFormat,
    source: SourceFile,
    limit: int | None,
    answers: SourceFile | None,
    options: TraceOptions,
) -> Imported:
    if answers is not None:
        raise InputError(Problem(f"--answers {answers.shown}", "traces hold their own answers", "leave it out"))
    for other in options.more:
        if not getattr(module, format.knows)(other):
            raise InputError(Problem(other.shown, "not a file of traces, as the first is", "import it on its own"))
        _refuse_unknown(other)
    imported: Imported = getattr(module, format.reads)(source, limit, options)
    return imported


def _refuse(options: TraceOptions) -> None:
    if options.more:
        what = "only traces are read from several files"
        raise InputError(Problem(options.more[0].shown, what, "import each file on its own"))
    if options.expect_observed:
        raise InputError(Problem("--expect-observed", "goes with traces alone", "leave it out"))


def _refuse_unknown(source: SourceFile) -> None:
    if source.unknown:
        raise InputError(Problem(source.shown, "NaN is not a JSON number", "write null or leave the key out"))


def _joined(examples: Imported, answers: SourceFile) -> Imported:
    from evalkit.imports.langsmith import holds_runs, joined, read_runs

    if examples.kind != "LangSmith examples" or not holds_runs(answers):
        what = "is for LangSmith only: examples, and their runs"
        raise InputError(Problem(f"--answers {answers.shown}", what, "leave it out"))
    return joined(examples, read_runs(answers))


def _seen(source: SourceFile) -> str:
    keys = [key for key in list(source.first)[:5] if key.isprintable()]
    where = "keys" if keys else "no keys"
    return f"{source.kind} with {where} {', '.join(keys)}".strip()
