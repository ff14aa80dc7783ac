"""What a scorer is, and what it may use.

A scorer is a frozen dataclass: its fields are its options in the suite, its docstring is its documentation. One that
needs a model or an embedding has `bind(services)`, which returns the object that scores.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from evalkit.types import Case, Metric, Output, Score, Unscored

if TYPE_CHECKING:
    from evalkit.llm.client import ChatClient
    from evalkit.scorers.embedding.embedders import Embedder

Grade = Score | Unscored
Grades = Grade | Sequence[Grade]


@runtime_checkable
class Scorer(Protocol):
    """Grades one output of one case; it knows no gate and keeps no result.

    `score` may be a plain or an async method. It returns one grade for each of `metrics`. An exception is read as
    `Unscored(kind="scorer_error")` for all of them: raise nothing to mean "bad answer".
    """

    version: ClassVar[str]
    """Raise it whenever a change makes earlier scores incomparable."""

    @property
    def name(self) -> str:
        """Unique in the suite."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What `score` returns, known before the first call; each says with `concern` what it bears on."""

    @property
    def needs(self) -> frozenset[str]:
        """Case fields without which it cannot score: `reference`, `contexts`, `required` ..."""

    def score(self, case: Case, output: Output) -> Grades | Awaitable[Grades]:
        """Grade `output`.

        A bound scorer may also have `key_parts` (part -> value: what makes its scores incomparable where it differs),
        `notice` (a sentence that stands beside its figures in every report), `check_case` (raises `ValueError`,
        before the first call, for a case whose fields it cannot read) and `questions` (case -> `Questions` that grading
        an answer to it puts to each judge).
        """


@runtime_checkable
class PerRepeat(Protocol):
    """A scorer that asks a model anew for each repeat of a case, even if the answers are equal."""

    def score_repeat(self, case: Case, output: Output, repeat: int) -> Grades | Awaitable[Grades]:
        """Grade `output` of one repeat; `score` is `score_repeat` of repeat 0."""


@dataclass(frozen=True)
class Questions:
    """Questions that one answer puts to one judge, where it can be graded; `None` where only the answer tells."""

    judge: ChatClient
    least: int
    likely: int | None
    most: int | None


class CodeRunner(Protocol):
    """Runs functions of the project away from the run's thread and event loop."""

    async def call(self, function: Callable[[], Any], read: Callable[[Any], Any]) -> Any:
        """Call `function`, await what it returns if that is awaitable, and give what `read` makes of it."""


@dataclass(frozen=True)
class OwnProject:
    """The project that a suite belongs to, for scorers that are functions of it."""

    root: Path
    """Folder that modules are imported from."""
    code: CodeRunner
    inputs: tuple[Path, ...] = ()
    """Files that a run reads for itself (suite, golden set, labels): they are not part of a scorer."""


@dataclass(frozen=True)
class Services:
    """What scorers share in a run."""

    root: Path
    """Folder that paths in the suite are relative to."""
    embedder: Embedder | None = None
    llm: ChatClient | None = None
    """Client of the configured judge endpoint; `None` where the suite has none."""
    panel: tuple[ChatClient, ...] = ()
    """Further judges, asked beside it by scorers with `panel: true`."""
    answers_of: Callable[[str], Mapping[str, str]] | None = None
    """Answers of a baseline or run folder by `Case.digest`; raises `ValueError` where there is no such run."""
    project: OwnProject | None = None
    """What own scorers are imported from and run by; `None` where the suite has none."""


def contexts_of(case: Case, output: Output) -> tuple[str, ...]:
    """Passages that the answer should rest on: those the system returned, else those of the case."""
    return output.contexts if output.contexts is not None else case.contexts
