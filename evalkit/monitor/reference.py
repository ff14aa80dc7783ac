"""Keep what a reference period showed, and the thresholds of the alarms, in `reference.json`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.disk.json_files import read_json, to_json
from evalkit.disk.writing import replacing
from evalkit.errors import InputError, Problem, StoreError
from evalkit.monitor.series import Stream, date_of
from evalkit.stats.scan import Level, Streams

REFERENCE = "reference.json"
FORMAT = 1
_REMAKE = "make it again: evalkit monitor reference MONITOR.yaml --from DATE --to DATE"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceStream:
    """One stream in the reference period; the figures are those of `Level`, for one stream."""

    metric: str
    cohort: str
    """Empty for all calls."""
    score_key: str
    is_rate: bool
    higher_is_better: bool
    mean: float
    n: float
    """Effective answers."""
    variance: float
    factor: float
    day_sd: float
    weekend: float
    weekend_share: float
    skew: float
    """Skewness of a single answer's score; 0 for a rate."""
    effect: float
    """Design effect of clusters, at least 1."""
    a_day: float
    """Effective answers of a day."""

    @property
    def stream(self) -> Stream:
        """Which stream it is."""
        return Stream(self.metric, self.cohort, self.score_key)

    @property
    def sign(self) -> int:
        """1 if a fall is bad, -1 if a rise is."""
        return 1 if self.higher_is_better else -1


@dataclass(frozen=True, slots=True, kw_only=True)
class InputReference:
    """The questions of the reference period; by day, for tests that exchange whole days."""

    days: tuple[int, ...] = ()
    """Days since 1970 with kept texts."""
    sums: tuple[tuple[float, ...], ...] = ()
    """Weighted sum of the embeddings of each of these days."""
    weights: tuple[float, ...] = ()
    embedder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A reference period, with thresholds simulated from it."""

    monitor: str
    made: str
    """Time in UTC, ISO 8601."""
    first: int
    """First day, since 1970."""
    last: int
    """Last day; it belongs to the period."""
    seed: int
    years: int
    """Simulated years without a change."""
    alarm_threshold: float
    warning_threshold: float
    alarms_per_year: float
    warnings_per_year: float
    streams: tuple[ReferenceStream, ...]
    cuts: Mapping[str, float] = field(default_factory=dict)
    """Stream of a share -> the amount that it counts from."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Stream in words -> why it is not watched."""
    inputs: InputReference = InputReference()

    @property
    def dates(self) -> tuple[str, str]:
        """First and last date."""
        return date_of(self.first), date_of(self.last)

    @property
    def level(self) -> Level:
        """The streams for the scan, in their order."""
        names = [each.name for each in fields(Level)]
        return Level(*(np.array([getattr(each, name) for each in self.streams], float) for name in names))

    @property
    def scanned(self) -> Streams:
        """What the scan needs to know of the streams; pools matter only while a reference is made."""
        signs = np.array([each.sign for each in self.streams], np.int64)
        variances = np.array([math.nan if each.is_rate else each.variance for each in self.streams])
        return Streams(
            np.zeros(len(signs), np.int64), signs, variances, np.array([e.skew for e in self.streams], float)
        )


def shown_stream(stream: Stream) -> str:
    """Write a stream for people, such as `citation.passed, topic=cards (key 0a1b2c3d4e5f)`."""
    key = f" (key {stream.score_key})" if stream.score_key else ""
    return f"{stream.metric}, {stream.cohort or 'all calls'}{key}"


def write_reference(folder: Path, reference: Reference) -> Path:
    """Write the file, atomically, and return it.

    Raises:
        StoreError: It cannot be written.
    """
    file = folder / REFERENCE
    try:
        with replacing(file) as text:
            text.write(to_json({"format": FORMAT, **asdict(reference)}))
    except OSError as error:
        raise StoreError.of(file, error, "then run `evalkit monitor reference` again") from error
    return file


def read_reference(folder: Path) -> Reference | None:
    """Read the file; `None` if there is none.

    Raises:
        InputError: It is not a reference that this version reads.
    """
    file = folder / REFERENCE
    if not file.is_file():
        return None
    try:
        raw = read_json(file)
        problems = list(_problems(raw))
        if not problems:
            return _reference(raw)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        problems = [f"not a reference of evalkit ({type(error).__name__})"]
    raise InputError(Problem(str(file), problems[0], _REMAKE))


def _problems(raw: Any) -> Iterator[str]:
    if not isinstance(raw, Mapping):
        yield "not an object"
    elif raw.get("format") != FORMAT:
        yield f"format {raw.get('format')!r:.20}; this evalkit reads format {FORMAT}"
    elif not all(_finite(value) for each in raw["streams"] for value in each.values()):
        yield "a figure is not a number"


def _finite(value: object) -> bool:
    return isinstance(value, str | bool) or (isinstance(value, int | float) and math.isfinite(value))


def _reference(raw: Mapping[str, Any]) -> Reference:
    given = {name: value for name, value in raw.items() if name != "format"}
    inputs = raw["inputs"]
    found = Reference(
        **given
        | {
            "streams": tuple(_checked(ReferenceStream(**each)) for each in raw["streams"]),
            "inputs": InputReference(
                days=tuple(map(int, inputs["days"])),
                sums=_rows(inputs["sums"]),
                weights=tuple(map(float, inputs["weights"])),
                embedder=str(inputs["embedder"]),
            ),
        }
    )
    numbers = (found.alarm_threshold, found.warning_threshold, found.alarms_per_year, *found.cuts.values())
    if not all(isinstance(each, int | float) and math.isfinite(each) for each in (*numbers, found.first, found.last)):
        raise ValueError("a figure is not a number")
    if not len(found.inputs.days) == len(found.inputs.sums) == len(found.inputs.weights):
        raise ValueError("inputs: days, sums and weights differ in number")
    return found


def _checked(found: ReferenceStream) -> ReferenceStream:
    """Reject figures that the scan cannot use."""
    texts = (found.metric, found.cohort, found.score_key)
    if not all(isinstance(each, str) for each in texts) or min(found.n, found.variance) < 0 or found.factor < 1:
        raise ValueError(f"stream {found.metric!r}: a figure is out of range")
    return found


def _rows(given: Sequence[Sequence[float]]) -> tuple[tuple[float, ...], ...]:
    rows = tuple(tuple(map(float, row)) for row in given)
    if len({len(row) for row in rows}) > 1:
        raise ValueError("inputs: embeddings differ in length")
    return rows
