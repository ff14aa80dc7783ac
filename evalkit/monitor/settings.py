"""Read a monitor from YAML, reporting every problem at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from evalkit.disk.paths import inside_project, project_of
from evalkit.errors import InputError, what_and_fix
from evalkit.formats.build import Builder
from evalkit.formats.yaml_text import Path as Keys
from evalkit.formats.yaml_text import parse
from evalkit.gate.policy import Policy
from evalkit.golden.source import GoldenSource
from evalkit.suite.files import file_bytes
from evalkit.suite.model import JudgeConfig, Suite, SuiteOptions, model_options
from evalkit.suite.parse import lines_of_keys, read_judge
from evalkit.suite.scorer_entry import ScorerEntry
from evalkit.suite.scorers import read_scorers
from evalkit.suite.strings import check_strings, variables_of
from evalkit.suite.system_options import placed_model, read_vendors
from evalkit.systems.replay import ReplaySystem

Format = Literal["jsonl", "otlp", "parquet"]
FOLDER = "monitors"
"""Folder of the project in which monitors keep what they took."""
MOST_COHORTS = 10
_ATTRIBUTES = ("thumb", "action")
"""Fields of logs that no convention of spans holds."""
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")
_RATE = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?) per (?P<unit>year|month|week)")
_PER_YEAR = {"year": 1.0, "month": 12.0, "week": 52.0}
_COHORT_NAME = re.compile(r"[^=|\x00-\x1f]{1,100}")


@dataclass(frozen=True, kw_only=True)
class LogOptions:
    """The logs: their format, and which column holds which field.

    A name with dots is also read as a path: `meta.user` is `user` in the object `meta`. A trace of OTLP has its fields
    by the conventions of its spans, so that only cohorts, `thumb` and
    `action` name attributes.
    """

    format: Format
    id: str = "id"
    """Column of the id of a call, unique within 7 days."""
    at: str = "at"
    """Column of the time of the call: ISO 8601, or seconds since 1970; without an offset it is UTC."""
    input: str = "input"
    """Column of the question."""
    output: str = "output"
    """Column of the answer: a text, or an object as systems return it."""
    contexts: str | None = None
    """Column of the passages that support the answer."""
    session: str | None = None
    """Column of the session, for calls that depend on each other."""
    error: str | None = None
    """Column of the error of a call that gave no answer; empty or null if it gave one."""
    thumb: str | None = None
    """Column, or attribute of a span, with the user's rating: `up` or `down`, 1 or -1, true or false."""
    action: str | None = None
    """Column, or attribute of a span, with what the guard did: `pass`, `warn` or `block`."""
    latency_s: str | None = None
    """Column of the seconds of the call."""
    cost_usd: str | None = None
    """Column of its cost in US dollars."""
    steps: str | None = None
    """Column of the number of its tool calls."""
    tool_errors: str | None = None
    """Column of the number of its failed tool calls."""
    input_tokens: str | None = None
    """Column of its input tokens."""
    output_tokens: str | None = None
    """Column of its output tokens."""

    def __post_init__(self) -> None:
        """Reject names of columns where the conventions of spans decide."""
        given = [
            each.name
            for each in fields(self)
            if each.name not in ("format", *_ATTRIBUTES) and getattr(self, each.name) != each.default
        ]
        if self.format == "otlp" and given:
            raise ValueError(
                f"{given[0]}: a trace has its fields by convention; "
                "remove it, only cohorts, thumb and action name attributes"
            )
        for name in ("id", "at", "input", "output"):
            if not getattr(self, name):
                raise ValueError(f"{name}: empty; name the column")


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """The calls that the judge grades."""

    per_day: int = 1_000
    """Judged calls a day."""
    floor: int = 30
    """Judged calls a day of each value of a cohort, if it has that many."""
    most: float = 0.05
    """Largest share of a day's calls that may be judged."""
    suspects: float = 0.0
    """Share of the sample that is drawn by suspicion (failed rules, errors, thumbs down), 0 to 0.9."""
    arms: str | None = None
    """Cohort whose values are judged equally often, such as `version`, whatever their share of the calls."""
    unit: Literal["session", "call"] = "session"
    """What is drawn: whole sessions, or single calls."""
    salt: str = ""
    """Text that the draw depends on; default: the name of the monitor. Another salt draws other calls."""
    budget_usd_per_day: float | None = None
    """US dollars that judges may cost a day of `take`, if their price is known."""

    def __post_init__(self) -> None:
        """Reject values out of range."""
        for name in ("per_day", "floor"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1, got {getattr(self, name)}")
        if not 0 < self.most <= 1:
            raise ValueError(
                f"most: must be above 0 and at most 1, got {self.most:g}; 0.05 judges at most 5 % of calls"
            )
        if not 0 <= self.suspects <= 0.9:
            raise ValueError(f"suspects: must be at least 0 and at most 0.9, got {self.suspects:g}; write 0.5")
        if self.budget_usd_per_day is not None and not 0 < self.budget_usd_per_day < float("inf"):
            raise ValueError("budget_usd_per_day: must be above 0; remove the key to judge without a limit")


@dataclass(frozen=True, kw_only=True)
class AlarmOptions:
    """How often alarms may be false."""

    false_alarms: str = "0.05 per year"
    """Expected false alarms of all streams together: a number `per year`, `per month` or `per week`."""
    warn: str = "1 per year"
    """Expected false warnings, in the same form."""
    method: Literal["scan"] = "scan"
    """How changes are found."""
    budget_usd_per_month: float | None = None
    """US dollars that the system may cost in 30 days; alarms if the logged costs use it up too fast."""

    def __post_init__(self) -> None:
        """Reject rates that cannot be read."""
        for name in ("false_alarms", "warn"):
            if not _per_year(getattr(self, name)):
                what = f"{getattr(self, name)!r} is not a rate above 0"
                raise ValueError(f"{name}: {what}; write a number and its period, such as `0.05 per year`")
        if self.budget_usd_per_month is not None and not 0 < self.budget_usd_per_month < float("inf"):
            raise ValueError("budget_usd_per_month: must be above 0; remove the key to watch without a budget")
        if self.warnings_per_year < self.alarms_per_year:
            raise ValueError("warn: fewer false warnings than false alarms; write a larger rate, such as `1 per year`")

    @property
    def alarms_per_year(self) -> float:
        """Expected false alarms a year."""
        return _per_year(self.false_alarms)

    @property
    def warnings_per_year(self) -> float:
        """Expected false warnings a year."""
        return _per_year(self.warn)


@dataclass(frozen=True, kw_only=True)
class KeepOptions:
    """What is kept of the texts of calls."""

    text: Literal["sampled", "none"] = "sampled"
    """Texts of the judged calls, or no texts; those of other calls are never stored."""
    days: int = 30
    """Days after which texts are deleted; figures stay."""

    def __post_init__(self) -> None:
        """Reject days out of range."""
        if not 1 <= self.days <= 3_650:
            raise ValueError(f"days: must be 1 to 3,650, got {self.days}")


@dataclass(frozen=True, kw_only=True)
class MonitorOptions:
    """The keys of a monitor's file; each is documented where it is declared."""

    name: str
    """Name of the monitor, and of its folder."""
    logs: LogOptions
    """The logs."""
    scorers: tuple[Any, ...] = ()
    """The scorers: those that ask a judge grade the sample, the others every call."""
    cohorts: tuple[str, ...] | Mapping[str, str] = ()
    """Cohorts to report by, which are columns of the logs, or name -> column."""
    judge: Mapping[str, Any] | None = None
    """The judge, as in a suite."""
    calibrations: tuple[str, ...] = ()
    """Records of `evalkit judge calibrate`, which show that the judge agrees with people."""
    vendors: Mapping[str, Any] = field(default_factory=dict)
    """Changes to the table of model vendors, as in a suite."""
    embedding: str | Mapping[str, Any] = "wordllama"
    """The embedding of similarity scorers, as in a suite."""
    sample: SampleOptions = field(default_factory=SampleOptions)
    """The sample that the judge grades."""
    alarms: AlarmOptions = field(default_factory=AlarmOptions)
    """How often alarms may be false."""
    keep: KeepOptions = field(default_factory=KeepOptions)
    """What is kept of texts."""
    concurrency: int = 16
    """Questions to judges in flight."""

    def __post_init__(self) -> None:
        """Reject names that cannot name a folder or a cohort."""
        if not _NAME.fullmatch(self.name):
            raise ValueError("name: it names a folder; write letters, digits, `-`, `_` and `.`, such as support-prod")
        if not 1 <= self.concurrency <= 1_000:
            raise ValueError(f"concurrency: expected 1 to 1,000, got {self.concurrency}; 16 is a good start")
        if len(self.cohorts) > MOST_COHORTS:
            raise ValueError(f"cohorts: {len(self.cohorts)} of them; name at most {MOST_COHORTS}")
        if len(set(self.cohorts)) < len(self.cohorts):
            raise ValueError("cohorts: a name occurs twice; remove one of them")
        if self.sample.arms is not None and self.sample.arms not in self.cohorts:
            what = f"sample.arms: {self.sample.arms!r} is not a cohort"
            raise ValueError(f"{what}; name it under `cohorts:` too, or remove `arms`")
        for name in self.cohorts:
            if not _COHORT_NAME.fullmatch(name):
                raise ValueError(f"cohorts: {name!r} cannot name a cohort; write one without `=` and `|`")


@dataclass(frozen=True, kw_only=True)
class Monitor:
    """A valid monitor."""

    path: Path
    root: Path
    """The project."""
    options: MonitorOptions
    judge: JudgeConfig | None
    scorers: tuple[ScorerEntry, ...]
    variables: tuple[str, ...] = ()
    """Names of the environment variables that the monitor uses."""
    calibration_files: tuple[Path, ...] = ()
    lines: Mapping[str, str] = field(default_factory=dict)
    """Dotted key -> `file:line:column`, for problems found after reading."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.options.name

    @property
    def folder(self) -> Path:
        """Where it keeps what it took: `monitors/NAME` in the project."""
        return self.root / FOLDER / self.options.name

    @property
    def cohorts(self) -> Mapping[str, str]:
        """Cohort -> column."""
        given = self.options.cohorts
        return dict(given) if isinstance(given, Mapping) else {name: name for name in given}

    @property
    def salt(self) -> str:
        """Text that the draw depends on."""
        return self.options.sample.salt or self.options.name

    @property
    def suite(self) -> Suite:
        """The scorers and the judge as a suite without cases, for what binds the scorers of a run."""
        options = SuiteOptions(
            name=self.name,
            golden="logs",
            scorers=tuple(entry.written for entry in self.scorers) or ("citation",),
            cohorts=tuple(self.cohorts),
            embedding=self.options.embedding,
            concurrency=self.options.concurrency,
            budget_usd=self.options.sample.budget_usd_per_day,
        )
        return Suite(
            path=self.path,
            sha256="",
            root=self.root,
            options=options,
            golden=GoldenSource(path="logs"),
            golden_file=None,
            golden_shown="logs",
            system=ReplaySystem(),
            system_kind="replay",
            judge=self.judge,
            scorers=self.scorers,
            policy=Policy(()),
            variables=self.variables,
            lines=self.lines,
        )


def load_monitor(path: Path, shown: str | None = None) -> Monitor:
    """Read the file of a monitor.

    Raises:
        InputError: reports every problem of the file.
    """
    shown = shown or str(path)
    builder = Builder(parse(file_bytes(path, shown, "monitor"), shown, ("name", "logs", "scorers")))
    options = builder.build(MonitorOptions, builder.document.value, ())
    value = builder.document.value
    vendors = read_vendors(builder, options.vendors if options else {})

    def placed(given: Any, at: Keys) -> Any:
        return placed_model(builder, model_options(given), "model", vendors, at)

    given = value.get("judge") if isinstance(value.get("judge"), Mapping) else None
    judge = read_judge(builder, given, placed)
    listed = value.get("scorers")
    items = options.scorers if options else tuple(listed) if isinstance(listed, list) else ()
    for chat in (judge.chat, *judge.panel) if judge and judge.chat else ():
        if chat.batch:
            what = "batch: a monitor judges its calls at once, and cannot wait for a batch"
            builder.problem(("judge",), what, "remove `batch: true`")
    scorers = read_scorers(builder, items, judge)
    for each in scorers:
        if each.over is not None:
            what = "calls are graded one by one"
            builder.problem(("scorers", each.index, each.written, "over"), what, "remove it")
    records = list(_records(builder, path.resolve().parent, options.calibrations if options else ()))
    check_strings(builder)
    if builder.problems or options is None:
        raise InputError(builder.problems)
    chats = (judge.chat, *judge.panel) if judge and judge.chat else ()
    keys = [name for chat in chats if (name := getattr(chat, "api_key_env", None))]
    return Monitor(
        path=path.resolve(),
        root=project_of(path.resolve().parent),
        options=options,
        judge=judge,
        scorers=scorers,
        variables=tuple(dict.fromkeys((*variables_of(value), *keys))),
        lines=lines_of_keys(builder.document),
        calibration_files=tuple(records),
    )


def _records(builder: Builder, folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Yield the files of calibrations; one that is not there is a problem."""
    for at, name in enumerate(names):
        try:
            file = inside_project(folder, name)
        except ValueError as error:
            builder.problem(("calibrations", at), *what_and_fix(error))
            continue
        if file.is_file():
            yield file
        else:
            fix = "check the path, or write it with `evalkit judge calibrate RUN --out FILE`"
            builder.problem(("calibrations", at), f"no file {name!r}", fix)


def _per_year(text: str) -> float:
    """Return a rate a year; 0 if it cannot be read."""
    found = _RATE.fullmatch(text.strip())
    return float(found["number"]) * _PER_YEAR[found["unit"]] if found else 0.0
