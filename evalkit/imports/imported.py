"""Hold what is read from another tool's file: one value for all formats, written by `operations.import_`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Loss:
    """Something of the source that is not carried over, or not with its whole meaning.

    Attributes:
        place: Where it is in the source.
        what: What is not carried over, and why.
        fix: What to do instead.
        part: What was dropped as a whole: `case`, `assertion`, `output` ...; empty if it was carried in part.
    """

    place: str
    what: str
    fix: str
    part: str = ""


@dataclass(frozen=True, slots=True)
class FoundScorer:
    """A scorer as a suite writes it, or a check as a row writes it.

    Attributes:
        place: Place in the source.
        kind: The name in a suite, with `not_` if it is negated.
        options: Its options.
        part: Its name in counts.
    """

    place: str
    kind: str
    options: Mapping[str, Any]
    part: str = "assertion"


@dataclass(frozen=True, slots=True)
class ImportedCase:
    """A case.

    Attributes:
        place: Where it is in the source.
        id: Unique in the source.
        fields: The other fields of its golden row, except `checks`.
        checks: Rules for the answer to this case.
    """

    place: str
    id: str
    fields: Mapping[str, Any]
    checks: tuple[FoundScorer, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOutput:
    """What a system answered to a case, and what the other tool said of it.

    Attributes:
        place: Where it is in the source.
        case_id: The case.
        repeat: Counted from 0.
        output: As systems return it; `None` if the call failed.
        failure: Why it failed.
        recorded: Verdicts of the other tool: name -> value, or a mapping with its value and reason.
    """

    place: str
    case_id: str
    repeat: int = 0
    output: Mapping[str, Any] | None = None
    failure: str | None = None
    recorded: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedSystem:
    """A system of the source: its configuration, or its stored outputs.

    Attributes:
        name: Shown in the suite.
        place: Where it is in the source.
        options: As under `system:` in a suite; `None` if the source says nothing that can be used.
        messages: The prompt, if it is a chat that only a prompt file can hold: `role` and `content` of each message.
        outputs: Stored outputs; then the suite replays them.
    """

    name: str
    place: str
    options: Mapping[str, Any] | None = None
    messages: tuple[Mapping[str, str], ...] = ()
    outputs: tuple[StoredOutput, ...] = ()


@dataclass(frozen=True, slots=True)
class PersonsLabel:
    """A grade that a person gave to an output.

    Attributes:
        place: Where it is in the source.
        case_id: The case.
        text: The answer that was graded.
        metric: What it is about.
        label: `pass`, `fail` or a number.
        rater: Who gave it.
    """

    place: str
    case_id: str
    text: str
    metric: str
    label: str | float
    rater: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """Everything that was read of one source.

    Attributes:
        kind: What the file is, such as `promptfoo results`.
        name: Name of the suite.
        description: Of the suite.
        cases: In the order of the source.
        systems: At least one; the first is that of `suite.yaml`.
        scorers: Of all cases.
        judge: The judge as a suite writes it, if the source names one.
        rubrics: Name of a file -> its text.
        labels: Of people.
        losses: In the order of the source.
        found: Part -> how many the source has, such as `assertion` -> 6.
        variables: Environment variable to set before a run -> what it holds.
        conversation: Whether the cases are conversations that a system leads turn by turn.
        all_pass: Whether the tool accepts a run only if every case passes.
    """

    kind: str
    name: str
    description: str = ""
    cases: tuple[ImportedCase, ...]
    systems: tuple[ImportedSystem, ...]
    scorers: tuple[FoundScorer, ...] = ()
    judge: Mapping[str, Any] | None = None
    rubrics: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[PersonsLabel, ...] = ()
    losses: tuple[Loss, ...] = ()
    found: Mapping[str, int] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    conversation: bool = False
    all_pass: bool = False
