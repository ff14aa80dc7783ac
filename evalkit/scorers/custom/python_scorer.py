"""Use a function of the project as a scorer."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from evalkit.disk.files import sha256_of
from evalkit.disk.project_code import SPELLING, load_callable, module_file, project_file, raised_at
from evalkit.disk.sources import imported_files
from evalkit.errors import InputError, Problem
from evalkit.formats.messages import input_of
from evalkit.scorers.base import OwnProject, Services, contexts_of
from evalkit.scorers.custom.returned import read_grade
from evalkit.text.values import one_line
from evalkit.types import Case, Metric, Output, Score, Unscored

HASH_HEX = 16
_NOT_A_MODE = "a pass/fail scorer has no range and no pass mark; remove it, or write `binary: false`"


@dataclass(frozen=True, kw_only=True)
class MetricOptions:
    """The meaning of a function's values."""

    name: str | None = None
    """Name of the metric. Default: the function's name."""
    binary: bool | None = None
    """Whether the function says pass or fail. Default: true unless `low`, `high`, `min` or `max` is given."""
    low: float | None = None
    """Lowest value of a graded scorer. Default: 0."""
    high: float | None = None
    """Highest value of a graded scorer. Default: 1."""
    higher_is_better: bool | None = None
    """Whether more is better. Default: true unless `max` is given."""
    unit: str = ""
    """Unit shown beside the figures, such as `words`."""

    def __post_init__(self) -> None:
        if self.name is not None and not self.name.strip():
            raise ValueError("name: empty; write a name, or remove the key")
        if not self.bottom < self.top or not math.isfinite(self.top - self.bottom):
            raise ValueError(f"low: expected less than high, got {self.bottom:g} to {self.top:g}; set both")

    @property
    def bottom(self) -> float:
        """Lowest value."""
        return 0.0 if self.low is None else self.low

    @property
    def top(self) -> float:
        """Highest value."""
        return 1.0 if self.high is None else self.high


@dataclass(frozen=True, kw_only=True)
class PythonScorer:
    """Call your own function, `module:function`, sync or async, from the project's root.

    The function's parameters name what it gets: `text` (the answer), `input`, `reference` (a text), `references` (all
    of them), `contexts`, `cohorts`, `id`, `kind`, `severity`, `case` and `output` (with tool calls, usage and times),
    or a field of the row. The function returns True or False, a number, a `Score`, an `Unscored`, `{value, passed,
    reason}`, or None for an answer that it cannot grade. If it raises, the answer is unscored and the reason names file
    and line. The scorer is pass/fail unless the suite gives `low`, `high`, `min` or `max`.

    The module, the modules of the project that it imports and the files that these name are part of the score key:
    scores from before an edit are not compared with later ones. See own-scorers.md.
    """

    call: str
    """`package.module:function`."""
    metric: MetricOptions | None = None
    """Meaning of the values: name, range and direction."""
    min: float | None = None
    """Smallest value that passes."""
    max: float | None = None
    """Largest value that passes, for a scorer where lower is better."""
    timeout_s: float = 60.0
    """Time limit of one call in seconds; after that the answer is unscored."""

    version: ClassVar[str] = "1"
    shorthand: ClassVar[str] = "call"
    calls_project: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not SPELLING.fullmatch(self.call):
            raise ValueError(f"call: expected `module:function`, got {self.call!r}; write `my_scorers:polite`")
        if not 0 < self.timeout_s < math.inf:
            raise ValueError(f"timeout_s: expected seconds above 0, got {self.timeout_s:g}; write 60")
        self._check_mark()

    def _check_mark(self) -> None:
        given = self.metric or MetricOptions()
        if given.binary:
            for key, value in (("min", self.min), ("max", self.max), ("metric", given.low), ("metric", given.high)):
                if value is not None:
                    raise ValueError(f"{key}: {_NOT_A_MODE}")
        if self.min is not None and self.max is not None:
            raise ValueError("max: given together with min, but only one of them can be the pass mark; remove one")
        if self.min is not None and given.higher_is_better is False:
            raise ValueError("min: less is better here; write `max`")
        if self.max is not None and given.higher_is_better is True:
            raise ValueError("max: more is better here; write `min`")
        for key, mark in (("min", self.min), ("max", self.max)):
            if mark is not None and not given.bottom <= mark <= given.top:
                what = f"{key}: {mark:g} is outside the range {given.bottom:g} to {given.top:g}"
                raise ValueError(f"{what}; change it, or `metric: {{low: ..., high: ...}}`")

    @property
    def function(self) -> str:
        """Name of the function, without its module."""
        return self.call.rpartition(":")[2].rpartition(".")[2]

    @property
    def measured(self) -> Metric:
        """The metric of the function."""
        given = self.metric or MetricOptions()
        mark = self.min if self.max is None else self.max
        graded = any(value is not None for value in (given.low, given.high, mark))
        better = self.max is None if given.higher_is_better is None else given.higher_is_better
        return Metric(
            given.name or self.function,
            low=given.bottom,
            high=given.top,
            higher_is_better=better,
            binary=not graded if given.binary is None else given.binary,
            unit=given.unit,
            pass_at=mark,
        )

    def negated(self) -> PythonScorer:
        """Return the options under `not_python`: without a name, the metric is `not_` and the function's name."""
        given = self.metric or MetricOptions()
        return replace(self, metric=replace(given, name=given.name or f"not_{self.function}"))

    def own_file(self, project: Path) -> Path | None:
        """Return the file of the project that holds the function; `None` for an installed module."""
        return project_file(self.call.partition(":")[0], project)

    def bind(self, services: Services) -> BoundPythonScorer:
        """Import the function and compare its parameters with the available values.

        Raises:
            InputError: it cannot be imported or called; the problem's place is the option.
        """
        project = services.project
        if project is None:
            raise ValueError("call: there is no project to import it from; pass `Services(project=...)`")
        function = load_callable(self.call, project.root, "call")
        module = self.call.partition(":")[0]
        file = module_file(module, project.root)
        files = imported_files(file, module, project.root, project.inputs) if file else {}
        return BoundPythonScorer(self, function, files, project)


_FROM_ROW: Mapping[str, Callable[[Case, Output], Any]] = {
    "text": lambda case, output: output.text,
    "input": lambda case, output: input_of(case),
    "reference": lambda case, output: case.reference[0] if case.reference else None,
    "references": lambda case, output: list(case.reference),
    "contexts": lambda case, output: list(contexts_of(case, output)),
    "cohorts": lambda case, output: dict(case.cohorts),
    "id": lambda case, output: case.id,
    "kind": lambda case, output: case.kind,
    "severity": lambda case, output: case.severity,
    "case": lambda case, output: copy.deepcopy(case),
    "output": lambda case, output: copy.deepcopy(output),
}
"""Parameter name -> its value; the function gets copies, so that it cannot change a row."""


def own_name(given: Mapping[str, Any], written: str) -> str:
    """Return the metric's name for options in a suite, which may be written for another version.

    Args:
        given: the options.
        written: `python` or `not_python`.
    """
    metric = given.get("metric")
    name = metric.get("name") if isinstance(metric, Mapping) else None
    function = str(given.get("call", written)).rpartition(":")[2].rpartition(".")[2]
    return str(name or (f"not_{function}" if written.startswith("not_") else function))


class BoundPythonScorer:
    """`PythonScorer` with its function."""

    version: ClassVar[str] = PythonScorer.version

    def __init__(
        self, options: PythonScorer, function: Callable[..., Any], files: Mapping[str, Path], project: OwnProject
    ) -> None:
        self._function, self._project, self._code = function, project.root, project.code
        self._parameters = _parameters(function)
        self._timeout_s = options.timeout_s
        self._place = _place(function, options.call, project.root)
        self._metric = options.measured
        self.name = self._metric.name
        self.metrics = (self._metric,)
        self.needs = frozenset({"reference"} & {name for name, _ in self._required()})
        self.key_parts: Mapping[str, str] = {f"file {name}": _hash(path) for name, path in files.items()}

    def _required(self) -> list[tuple[str, inspect.Parameter]]:
        ignored = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        return [
            (name, each)
            for name, each in self._parameters.items()
            if each.default is each.empty and each.kind not in ignored
        ]

    def check_case(self, case: Case) -> None:
        """Reject a case without a field that the function needs.

        Raises:
            ValueError: the field is missing, or the case has several references and the function takes one.
        """
        for name, _ in self._required():
            if name not in _FROM_ROW and name not in case.fields:
                fix = "add the field, give the parameter a default, or correct its name"
                raise ValueError(f"{self._place} takes `{name}`, which this row does not have; {fix}")
        if "reference" in self._parameters and "references" not in self._parameters and len(case.reference) > 1:
            what = f"{self._place} takes `reference`, and this row has {len(case.reference)}"
            raise ValueError(f"{what}; name the parameter `references`, which is a list of all")

    async def score(self, case: Case, output: Output) -> Score | Unscored:
        """Call the function on its own thread or loop, so that a slow one does not delay calls of the system."""
        call = functools.partial(self._called, self._arguments(case, output))
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._code.call(call, self._read)  # type: ignore[no-any-return]
        except TimeoutError:
            return Unscored(self.name, "scorer_error", f"{self._place}: no result within {self._timeout_s:g} s")

    def _arguments(self, case: Case, output: Output) -> dict[str, Any]:
        rest = any(each.kind is each.VAR_KEYWORD for each in self._parameters.values())
        names = [*_FROM_ROW, *case.fields] if rest else self._parameters
        given: dict[str, Any] = {}
        for name in names:
            if name == "reference" and not case.reference:
                continue
            if name in _FROM_ROW:
                given[name] = _FROM_ROW[name](case, output)
            elif name in case.fields:
                given[name] = copy.deepcopy(case.fields[name])
        return given

    def _called(self, given: Mapping[str, Any]) -> Any:
        try:
            value = self._function(**given)
        except BaseException as error:  # whatever it raises leaves one answer unscored
            return self._raised(error)
        return self._awaited(value) if type(value) is not str and inspect.isawaitable(value) else value

    async def _awaited(self, value: Any) -> Any:
        try:
            return await value
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return self._raised(error)  # raised by the function itself
        except GeneratorExit:
            raise
        except BaseException as error:
            return self._raised(error)

    def _read(self, value: Any) -> Score | Unscored:
        return read_grade(value, self._metric, self._place)

    def _raised(self, error: BaseException) -> Unscored:
        place = raised_at(error, self._project) or self._place
        text = one_line(error)
        return Unscored(self.name, "scorer_error", f"{place}: {type(error).__name__}{': ' if text else ''}{text}")


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        what = "the function has no signature to read"
        raise InputError(Problem("call", what, "wrap it in one that takes `text`")) from None
    for name, each in parameters.items():
        if each.kind is each.POSITIONAL_ONLY:
            what = f"`{name}` can be given by position only"
            raise InputError(Problem("call", what, "remove the `/` from the signature"))
    return parameters


def _place(function: Callable[..., Any], spelled: str, project: Path) -> str:
    """Return `file:line` of a function, or its spelling if its source is not known."""
    plain = inspect.unwrap(function)
    plain = plain.func if isinstance(plain, functools.partial) else plain
    plain = plain if hasattr(plain, "__code__") else type(plain).__call__
    code = getattr(plain, "__code__", None)
    return f"{_relative(code.co_filename, project)}:{code.co_firstlineno}" if code else spelled


def _relative(file: str, project: Path) -> str:
    path = Path(file)
    return path.relative_to(project).as_posix() if path.is_relative_to(project) else file


def _hash(path: Path) -> str:
    try:
        return sha256_of(path)[:HASH_HEX]
    except OSError:
        return "absent"
