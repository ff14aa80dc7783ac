"""Define a scorer, and the services that a run gives it.

A scorer is a frozen dataclass: its fields are its options in the suite, its docstring is its documentation. A scorer
that needs a model or an embedding has `bind(services)`, which returns the object that scores.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from evalkit.types import Case, Concern, Failure, Metric, Output, Score, Unscored

if TYPE_CHECKING:
    from evalkit.formats.expected_state import Replayed
    from evalkit.llm.client import ChatClient
    from evalkit.scorers.embedding.embedders import Embedder

Grade = Score | Unscored
Grades = Grade | Sequence[Grade]
AskAgain = Callable[[Case, int], Awaitable[Output | Failure]]
"""(case, repeat) -> another answer of the system that gave the graded one."""


@runtime_checkable
class Scorer(Protocol):
    """Grades one output of one case; it does not know the gate and keeps no results.

    `score` may be a plain or an async method. It returns one grade for each of `metrics`. An exception becomes
    `Unscored(kind="scorer_error")` for all of them, so do not raise one to mean "bad answer".
    """

    version: ClassVar[str]
    """Raise it whenever a change makes earlier scores incomparable."""

    @property
    def name(self) -> str:
        """Unique in the suite."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics that `score` returns, known before the first call; `concern` of each says what it is about."""

    @property
    def needs(self) -> frozenset[str]:
        """Case fields that it needs: `reference`, `contexts`, `required` ..."""

    def score(self, case: Case, output: Output) -> Grades | Awaitable[Grades]:
        """Grade `output`."""


@runtime_checkable
class PerRepeat(Protocol):
    """A scorer that asks a model again for each repeat of a case, even if the answers are equal."""

    def score_repeat(self, case: Case, output: Output, repeat: int) -> Grades | Awaitable[Grades]:
        """Grade `output` of one repeat; `score` is `score_repeat` of repeat 0."""


@runtime_checkable
class Resampling(Protocol):
    """A scorer that asks the system for more answers to the same case."""

    @property
    def more_answers(self) -> int:
        """Further answers for each graded one."""

    def score_again(
        self, case: Case, output: Output, repeat: int, again: AskAgain | None
    ) -> Grades | Awaitable[Grades]:
        """Grade `output` of one repeat; without `again` the answers are stored ones, and no system can be asked."""


@dataclass(frozen=True)
class Questions:
    """Questions to one judge about an answer that can be graded; `None` if the number depends on the answer."""

    judge: ChatClient
    least: int
    likely: int | None
    most: int | None


# Optional parts of a scorer: each is a protocol, which a scorer implements by defining the member.


@runtime_checkable
class Abbreviated(Protocol):
    """A class whose options may be written as one value: `min_recall` of `- keywords: 0.7`."""

    shorthand: ClassVar[str]
    """The option that the value sets."""


@runtime_checkable
class Concerned(Protocol):
    """A class whose metrics are about something other than quality."""

    concern: ClassVar[Concern]


@runtime_checkable
class ReadsPassages(Protocol):
    """A scorer that can grade nothing without contexts, of the case or of the answer."""

    reads_passages: bool


@runtime_checkable
class Bindable(Protocol):
    """Options that need something from the run before they can score."""

    def bind(self, services: Services) -> Scorer | Sequence[Scorer]:
        """Return the bound scorer, or the scorers of a family."""


@runtime_checkable
class Keyed(Protocol):
    """A scorer whose scores depend on more than its version and options."""

    @property
    def key_parts(self) -> Mapping[str, str]:
        """Part -> value; scores are not comparable if one of them differs."""


@runtime_checkable
class Noted(Protocol):
    """A scorer with a notice that each report shows beside its figures."""

    notice: str


@runtime_checkable
class CaseReader(Protocol):
    """A scorer that reads case fields of its own format."""

    def check_case(self, case: Case) -> None:
        """Check the fields before the first call.

        Raises:
            ValueError: `what; fix`, if it cannot read them.
            InputError: several problems, with keys of the row as their places.
        """


@runtime_checkable
class Asking(Protocol):
    """A scorer that asks judges."""

    def questions(self, case: Case) -> Sequence[Questions]:
        """Return the questions to each judge when an answer to `case` is graded."""


@runtime_checkable
class CallsProject(Protocol):
    """Options that may name a function of the project."""

    @property
    def calls_project(self) -> bool:
        """Whether they name one."""

    def own_file(self, project: Path) -> Path | None:
        """Return the file of the project that holds it; `None` for an installed module, or if they name none."""


@runtime_checkable
class OfWholeConversation(Protocol):
    """A scorer that asks about a conversation as a whole, so that it cannot grade a single turn."""

    of_whole_conversation: ClassVar[bool]


@runtime_checkable
class WithoutText(Protocol):
    """A scorer that never reads the text of the answer, so that it can grade an output whose text is unknown."""

    without_text: ClassVar[bool]


@runtime_checkable
class OverConversation(Protocol):
    """Options of a scorer of answers that can also grade conversations as a whole: `over: conversation`."""

    def over_conversation(self) -> Bindable:
        """Return the options of the scorer that does so."""


POWERS: tuple[type, ...] = (Bindable, Keyed, Noted, CaseReader, Asking, PerRepeat)
"""Optional protocols; an object that wraps several scorers forwards each of them."""


class Replays(Protocol):
    """Replays the calls that a case expects in a fresh environment of the suite."""

    async def __call__(self, case: Case) -> Replayed:
        """Return the state before and after them.

        Raises:
            ReplayFailed: one of them fails, or the environment does.
        """


class CodeRunner(Protocol):
    """Runs functions of the project outside the run's thread and event loop."""

    async def call(self, function: Callable[[], Any], read: Callable[[Any], Any]) -> Any:
        """Call `function`, await its result if that is awaitable, and return `read(result)`."""


@dataclass(frozen=True)
class OwnProject:
    """The project that a suite belongs to, for scorers that are functions of it."""

    root: Path
    """Folder that modules are imported from."""
    code: CodeRunner
    inputs: tuple[Path, ...] = ()
    """Files that evalkit reads itself (suite, golden set, labels), which are not part of a scorer."""


@dataclass(frozen=True)
class Services:
    """Services that the scorers of a run share."""

    root: Path
    """Folder that paths in the suite are relative to."""
    embedder: Embedder | None = None
    llm: ChatClient | None = None
    """Client of the configured judge endpoint; `None` if the suite has none."""
    panel: tuple[ChatClient, ...] = ()
    """Additional judges, asked by scorers with `panel: true`."""
    outputs_of: Callable[[str], Iterable[tuple[str, Output]]] | None = None
    """Stored outputs of a baseline or run folder with their `Case.digest`; raises `ValueError` for an unknown run."""
    project: OwnProject | None = None
    """The project and runner of custom scorers; `None` if the suite has none."""
    replays: Replays | None = None
    """Replays expected calls; `None` if the suite has no environment."""


def contexts_of(case: Case, output: Output) -> tuple[str, ...]:
    """Return the passages that should support the answer: those that the system returned, else those of the case."""
    return output.contexts if output.contexts is not None else case.contexts
