"""Define the manifest of a run, its inputs and rules, and convert it to JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from evalkit.errors import Problem
from evalkit.formats.records import metric_record
from evalkit.formats.shapes import Faults, Required, read
from evalkit.results import Amendment, StoppedEarly
from evalkit.types import Metric

MANIFEST_FORMAT = 1
MAX_REPEATS = 100
ScoreKeys = Mapping[str, Mapping[str, str]]
"""Metric -> part (`scorer`, `options`, `judge` ...) -> its value: equal for scores that can be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenFacts:
    """The golden set of a run."""

    path: str
    sha256: str
    """Hash of the cases, in order."""
    n_cases: int
    file_sha256: str | None = None
    """Hash of the file's bytes; `None` for a set that is not a file."""
    checks: bool = False
    """Whether a case carries checks of its own; not written if none does."""
    lock: str = ""
    """SHA-256 of the lock of the set; not written if it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFacts:
    """The system of a run."""

    kind: str = ""
    fingerprint: str | None = None
    version: str | None = None
    name: str = ""
    """Its name, if it is one of several of a run; not written for a run of one."""

    @property
    def identity(self) -> str:
        """Its version, else its fingerprint; empty if neither is known."""
        return self.version or self.fingerprint or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFacts:
    """How the cases of a sampled run were drawn; see `Sample` for the request."""

    by: str
    strata: Mapping[str, tuple[float, float]]
    """Label -> (cases of the golden set, cases drawn)."""
    n: int = 0
    floor: int = 0

    @property
    def asked(self) -> tuple[int, str, int]:
        """The suite's request for a sample; the strata follow from it and the golden set."""
        return self.n, self.by, self.floor


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerCases:
    """Cases of the base that were removed or edited, and are run in their old form."""

    cases: tuple[str, ...]
    """Digests of the cases."""
    blocks: bool
    """Whether failures of these cases can block the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantFacts:
    """The variants that one transform made of the cases of a run."""

    name: str
    """Name of the transform."""
    n: int
    """Number of variants, each of which was to be run."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Reason -> number of variants that could not be made."""
    kind: Literal["change", "attack", "swap"] = "change"
    """What they are compared for: the effect of a change, whether an attack meets its goal, or the values of an
    attribute."""
    prompt: str = ""
    """System prompt that `extract_prompt` wants, without its canary; empty if it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredRun:
    """The run whose stored answers were scored."""

    run_id: str
    head: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedFacts:
    """The file of results that the rows were read from."""

    file: str
    sha256: str
    """Of its bytes."""
    format: str
    """`csv`, `jsonl`, `parquet` ..."""
    n_rows: int
    columns: Mapping[str, str]
    """What a column is read as -> its name in the file."""
    judged: tuple[str, ...] = ()
    """Metrics that a model graded, as the user says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacedBaseline:
    """The previous baseline of the same name."""

    run_id: str = ""
    """Empty, like all fields below, if its manifest could not be read."""
    outcome: str
    head: str = ""
    commit: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    """Metric -> overall value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardFacts:
    """One of the runs that were merged into a run."""

    shard: str
    """Its number and the number of shards: `2/8`."""
    run_id: str
    head: str
    n_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFile:
    """The labels of one file."""

    n: int
    rows: tuple[str, ...]
    """A fingerprint of each line, sorted: an edited line differs from an added one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules that decide about a run, with secrets and long texts as fingerprints.

    Options of a part are dotted keys; an option with its default value is left out.
    """

    gate: Sequence[Any] = ()
    """The entries as they are written in the suite."""
    require_evidence: bool = False
    kappa_floors: Mapping[str, float] = field(default_factory=dict)
    cohorts: Sequence[str] = ()
    repeat: int = 1
    repeat_rule: str = "mean"
    production: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, LabelFile] = field(default_factory=dict)
    name: str = ""
    golden: Mapping[str, Any] = field(default_factory=dict)
    system: Mapping[str, Any] = field(default_factory=dict)
    judge: Mapping[str, Any] = field(default_factory=dict)
    embedding: Mapping[str, Any] = field(default_factory=dict)
    scorers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    conversation: Mapping[str, Any] = field(default_factory=dict)
    """Not written if the suite has none."""
    calibrations: Mapping[str, str] = field(default_factory=dict)
    sample: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    concurrency: int = 1
    budget_usd: float | None = None
    deadline_s: float | None = None
    early_stop: float | None = None
    """`fine` of the suite's `early_stop`; `None` if a run never stops early."""
    traffic_per_month: float | None = None
    vendors: Mapping[str, Any] | None = None
    """Changes to the table of model vendors; `None` if they are not known, as in rules of an earlier version."""
    release: Sequence[str] = ()
    """Systems of a run of several whose gates decide; not written, as `reference`, if the suite names none."""
    reference: str = ""
    systems: Sequence[str] = ()
    """Names of all systems of a run of several; empty in rules of an earlier version, as `primary`."""
    primary: str = ""
    variants: Sequence[Any] = ()
    """Transforms as they are written in the suite; not written if there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The inputs of a run, written before its first call."""

    format: int = MANIFEST_FORMAT
    run_id: str
    commit: str | None = None
    suite: str
    suite_file: str
    """Relative to the project's root."""
    suite_sha256: str | None = None
    golden: GoldenFacts
    system: SystemFacts
    system_files: Mapping[str, str] = field(default_factory=dict)
    """Name -> start of the SHA-256 of each file that the fingerprint covers."""
    baseline_system: str | None = None
    """Fingerprint of the baseline's system, if it can be called."""
    judge: Mapping[str, Any] | None = None
    """Description for display."""
    metrics: tuple[Metric, ...]
    advisory: tuple[str, ...]
    """Metrics that are shown and do not count in `pass_rate`."""
    score_keys: ScoreKeys
    conversation_key: Mapping[str, str] = field(default_factory=dict)
    """Part (`user`, `environment`, `max_turns` ...) -> its value: equal for conversations that can be compared; not
    written if the run has none."""
    scoring: str = ""
    """Id of the scoring that graded the rows."""
    earlier_scorings: Mapping[str, ScoreKeys] = field(default_factory=dict)
    """Ids of earlier scorings that may have graded stored rows."""
    cohorts: tuple[str, ...]
    rules: Rules | None = None
    """`None` in a manifest of an earlier version."""
    seed: int
    repeats: int
    """Number of times that each case is run."""
    repeat_rule: str = "mean"
    expected: int
    """Number of planned rows."""
    partial: str | None
    """Why the run gets no decision; `None` for a whole run."""
    stopped_early: StoppedEarly | None = None
    """Where a run with `early_stop` ended, which `expected` takes into account; not written for any other run."""
    sample: SampleFacts | None = None
    notices: tuple[str, ...]
    leaked: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Kind of source (`prompts`, `corpus`, `trained_on`) -> ids of the cases found in it, for each kind that was
    searched; not written if none was."""
    card_gaps: tuple[str, ...] | None = None
    """What the data card of the golden set lacks; not written if no check asked for it."""
    started_at: str = ""
    """ISO 8601, as `finished_at`."""
    command: str = ""
    """The command line that started the run."""
    versions: Mapping[str, str] = field(default_factory=dict)
    host: Mapping[str, str] = field(default_factory=dict)
    baseline: str | None = None
    """Value of `--baseline`."""
    former: FormerCases | None = None
    """`None` if the cases of the base are not known."""
    case_changes: tuple[Amendment, ...] = ()
    variants: tuple[VariantFacts, ...] = ()
    """The variants that were run; known once all were made, and not written if there are none."""
    answers: ScoredRun | None = None
    """The run whose answers were scored; `None` if the system was called."""
    imported: ImportedFacts | None = None
    """The file that the rows were read from; not written for a run."""
    shards: tuple[ShardFacts, ...] = ()
    """The runs that were merged into this one; not written for any other run."""
    finished_at: str = ""
    """Empty while the run is not finished."""
    wall_s: float | None = None
    """Seconds that the calls took; `None` if some were made by another process."""
    head: str = ""
    """Head of rows and decision; known after the decision, and never written to the manifest."""
    accepted: str | None = None
    """Reason given for a saved baseline that was not approved. `None` for a run."""
    replaces: ReplacedBaseline | Literal["unknown"] | None = "unknown"
    """For a saved baseline, the one that it replaced. `unknown` for a run, and for a baseline of an earlier version."""
    further: Mapping[str, Any] = field(default_factory=dict)
    """Keys that this version does not know; they are kept without effect."""

    @property
    def scorings(self) -> Mapping[str, ScoreKeys]:
        """Ids of all scorings that may have graded rows of the run."""
        return {**self.earlier_scorings, self.scoring: self.score_keys}


_REQUIRED: Required = {Metric: {each.name for each in fields(Metric)} - {"diagnostic", "pass_at", "concern"}}
"""Keys that a record must have although the class has a default, because the default would be a guess."""
_LATER_RULES = ("early_stop", "conversation", "vendors", "release", "reference", "systems", "primary", "variants")
"""Rules that earlier versions did not write."""


def manifest_record(manifest: Manifest) -> dict[str, Any]:
    """Convert a manifest to JSON."""
    record = asdict(manifest)
    record.pop("further")
    for key in ("checks", "lock"):
        if not record["golden"][key]:
            del record["golden"][key]
    if manifest.rules is not None and not manifest.rules.conversation:
        del record["rules"]["conversation"]
    if manifest.rules is not None and manifest.rules.vendors is None:
        del record["rules"]["vendors"]
    for key in ("release", "reference", "systems", "primary", "variants", "early_stop"):
        if manifest.rules is not None and not record["rules"][key]:
            del record["rules"][key]
    if not manifest.system.name:
        del record["system"]["name"]
    record["metrics"] = [metric_record(metric) for metric in manifest.metrics]
    absent = {"head", *(("finished_at", "wall_s") if not manifest.finished_at else ())}
    absent |= {"conversation_key"} if not manifest.conversation_key else set()
    absent |= {"imported"} if manifest.imported is None else set()
    absent |= {key for key in ("shards", "leaked", "variants") if not record[key]}
    absent |= {"stopped_early"} if manifest.stopped_early is None else set()
    absent |= {"card_gaps"} if manifest.card_gaps is None else set()
    absent |= {key for key in ("accepted", "replaces") if manifest.accepted is None or record[key] == "unknown"}
    return {**{key: value for key, value in record.items() if key not in absent}, **manifest.further}


def read_manifest(record: Mapping[str, Any], file: str) -> tuple[Manifest | None, list[Problem]]:
    """Convert JSON to a manifest.

    Rules that are incomplete or have another form are read as unknown.

    Args:
        record: JSON of the file.
        file: its name, for messages.

    Returns:
        The manifest and no problem, or `None` and each key that is missing or wrong.
    """
    faults = Faults()
    known = {each.name for each in fields(Manifest)} - {"further"}
    further = {key: value for key, value in record.items() if key not in known}
    given = {key: value for key, value in record.items() if key in known and key != "rules"}
    if isinstance(metrics := given.get("metrics"), list):
        given["metrics"] = [_with_ends(each) for each in metrics]
    given |= {"further": further, "rules": _rules(record.get("rules"))}
    manifest = read(Manifest, given, faults, _REQUIRED)
    repeats = given.get("repeats")
    if isinstance(repeats, int) and not 1 <= repeats <= MAX_REPEATS:
        faults.wrong.append("repeats")
    again = "run the suite again"
    problems = [Problem(file, f"`{key}` is missing", again) for key in faults.missing]
    problems += [Problem(file, f"`{key}` is missing or invalid", again) for key in faults.wrong]
    return (None if problems else manifest), problems


def _rules(record: Any) -> Rules | None:
    faults = Faults()
    found = read(Rules, record, faults, {Rules: {each.name for each in fields(Rules)} - {*_LATER_RULES}})
    return None if faults.missing or faults.wrong else found


def _with_ends(metric: Any) -> Any:
    """Return an end of a range for JSON, where an open end is `null`."""
    if not isinstance(metric, dict):
        return metric
    ends = {"low": -math.inf, "high": math.inf}
    return {**metric, **{key: end for key, end in ends.items() if metric.get(key, ...) is None}}
