"""Define the file of a guard, `guard.json`: its thresholds, and what the scores behind them depend on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from evalkit.disk.json_files import read_json, to_json
from evalkit.errors import InputError, Problem
from evalkit.formats.shapes import Faults, read
from evalkit.llm.config import ChatConfig
from evalkit.scorers.judges.local_entailment import NliModel

GUARD_FORMAT = 1
ALL_ANSWERS = ""
"""The cohort value that stands for every answer, of a guard without cohorts."""
Action = Literal["pass", "warn", "block"]
LevelName = Literal["rules", "nli", "judge"]
LEVELS: tuple[LevelName, ...] = ("rules", "nli", "judge")
"""In the order in which they are asked."""
_AGAIN = "write the file again with `evalkit monitor thresholds`"


@dataclass(frozen=True, kw_only=True)
class Promise:
    """The rates that the thresholds keep for answers like the labelled ones."""

    false_block: float
    """Largest share of good answers that is blocked."""
    bad_passed: float
    """Largest share of all answers that is bad and passes."""
    confidence: float | None = None
    """Share of calibrations that keep `false_block`; `None` if it is kept on average."""


@dataclass(frozen=True, kw_only=True)
class LevelThresholds:
    """The thresholds of one level, from its own scores of the labelled answers."""

    key: Mapping[str, str]
    """Everything that its scores depend on."""
    n_good: int
    n_bad: int
    n_unscored: int = 0
    """Labelled answers that it could not score."""
    pass_from: float | None = None
    """Answers pass from this score; `None` if nothing may pass."""
    block_below: Mapping[str, float] = field(default_factory=dict)
    """Cohort value -> answers are blocked below this score; a value that is absent blocks nothing."""
    labels_missing: Mapping[str, int] = field(default_factory=dict)
    """Cohort value -> further good answers to label before it may block."""

    def __post_init__(self) -> None:
        """Reject thresholds that no score can have."""
        for at in (self.pass_from, *self.block_below.values()):
            if at is not None and not 0 <= at <= 1:
                raise ValueError(f"threshold {at:g} is not a score from 0 to 1")

    def action(self, score: float, cohort: str) -> Action:
        """Return the action for a score; a cohort without a threshold is never blocked."""
        block = self.block_below.get(cohort)
        if block is not None and score < block:
            return "block"
        return "pass" if self.pass_from is not None and score >= self.pass_from else "warn"


@dataclass(frozen=True, kw_only=True)
class GuardSettings:
    """Everything that a guard needs."""

    promise: Promise
    levels: Mapping[str, LevelThresholds]
    by: str | None = None
    """Name of the cohort with thresholds of its own for each value."""
    on_timeout: Action = "warn"
    """Action if the time is over or a level fails."""
    judge: ChatConfig | None = None
    nli: NliModel | None = None
    labelled_sha256: str = ""
    """Hash of the labelled file."""

    def __post_init__(self) -> None:
        """Reject levels without what they ask."""
        unknown = set(self.levels) - set(LEVELS)
        if unknown or not self.levels:
            raise ValueError(
                f"levels: expected some of {', '.join(LEVELS)}, got {', '.join(sorted(unknown)) or 'none'}"
            )
        if "judge" in self.levels and self.judge is None:
            raise ValueError("levels: a level `judge` without `judge`")
        if "nli" in self.levels and self.nli is None:
            raise ValueError("levels: a level `nli` without `nli`")


def guard_text(settings: GuardSettings) -> str:
    """Return the text of `guard.json`."""
    return to_json({"format": GUARD_FORMAT, **dataclasses.asdict(settings)})


def read_guard(file: Path, shown: str) -> GuardSettings:
    """Read `guard.json`.

    Args:
        file: the file.
        shown: its name in messages.

    Raises:
        InputError: the file is missing, of another version, or not as it was written.
    """
    try:
        record = read_json(file)
    except OSError as error:
        raise InputError(Problem(shown, f"cannot be read: {error.strerror or error}", _AGAIN)) from None
    except ValueError as error:
        raise InputError(Problem(shown, f"not JSON: {error}", _AGAIN)) from None
    if not isinstance(record, dict) or "levels" not in record:
        raise InputError(Problem(shown, "not the file of a guard", _AGAIN))
    if record.get("format") != GUARD_FORMAT:
        what = f"format {record.get('format')!r}, this version reads {GUARD_FORMAT}"
        raise InputError(Problem(shown, what, _AGAIN))
    return _settings(record, shown)


def _settings(record: dict[str, Any], shown: str) -> GuardSettings:
    faults = Faults()
    try:
        settings = read(GuardSettings, record, faults)
    except ValueError as error:
        raise InputError(Problem(shown, str(error).partition(";")[0], _AGAIN)) from None
    if settings is None:
        found = [f"`{key}` is missing" for key in faults.missing] + [
            f"`{key}` is not as written" for key in faults.wrong
        ]
        raise InputError(Problem(shown, ", ".join(found), _AGAIN))
    return settings
