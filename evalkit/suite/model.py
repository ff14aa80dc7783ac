"""Define the frozen values of a suite."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal

from evalkit.aggregate.cohorts import DERIVED_VALUES, check_mix
from evalkit.aggregate.repeat_rules import check_rule
from evalkit.gate.policy import EarlyStop, Policy
from evalkit.golden.source import GoldenSource, Reading, SearchedFiles
from evalkit.results import OVERALL
from evalkit.suite.engine import EngineSettings
from evalkit.suite.named_system import NamedSystem, of_run
from evalkit.suite.scorer_entry import ScorerEntry
from evalkit.systems import CALLED
from evalkit.systems.base import SystemConfig
from evalkit.systems.conversation.settings import ConversationSettings
from evalkit.systems.replay import ReplaySystem

if TYPE_CHECKING:
    from evalkit.suite.conversation import SuiteConversation
    from evalkit.suite.variants import VariantEntry

SUITE_VERSION = 1
MAX_CONCURRENCY = 1_000
MOST_ENTRIES = 1_000
"""Maximum length of a list in a suite."""


@dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """The judge of `judge` scorers."""

    local: str | None = None
    """Name of a packaged judge that needs no model: `correctness`."""
    chat: Any = None
    """Options of an OpenAI-compatible endpoint."""
    panel: tuple[Any, ...] = ()
    """Options of additional judges, asked by scorers with `panel: true`."""


def model_options(given: Any) -> Any:
    """Return the options of a judge, which may be given as just the model's name."""
    return {"model": given} if isinstance(given, str) else given


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A stratified sample of the golden set, the same for the same seed; figures are weighted back to the set."""

    n: int
    """Number of cases to run; all canaries are among them."""
    by: str = ""
    """The cohort that defines the strata; default: the first of `cohorts`."""
    floor: int = 50
    """Minimum number of cases of each stratum that has them; the rest is drawn in proportion."""

    def __post_init__(self) -> None:
        """Reject invalid sizes."""
        if self.n < 1:
            raise ValueError(f"n: {self.n} cases are not a sample; write at least 1")
        if self.floor < 0:
            raise ValueError(f"floor: {self.floor} is negative; write 0 or more")


@dataclass(frozen=True, kw_only=True)
class SuiteOptions:
    """The keys of a suite file; each is documented where it is declared."""

    name: str
    """Name of the suite, shown in every report."""
    golden: str | GoldenSource
    """The golden set, relative to this file."""
    system: Any = None
    """The system under test: python, http, command, chat or replay; `{{matrix.NAME}}` is a value of `matrix`."""
    reference_system: Any = None
    """A pinned version of the system, which is run once on each version of the golden set; the pass rate of every run
    is then also given as a difference from it."""
    systems: Mapping[str, Any] = field(default_factory=dict)
    """Several systems in one run: name -> a system, which may also have `concurrency` and `budget_usd`."""
    matrix: Mapping[str, Any] = field(default_factory=dict)
    """Factor -> its values: every combination is a system, but those under `exclude`, and those under `include`."""
    reference: str | None = None
    """The system that the others are compared with; default: the first."""
    release: tuple[str, ...] = ()
    """The systems whose gate decides; default: none, so that the systems are only compared."""
    primary: str = "pass_rate"
    """The metric of the comparison of systems."""
    order: Literal["by_case", "by_system"] = "by_case"
    """`by_case` runs each case on all systems in turn; `by_system` one system after the other, as for local models that
    do not fit in memory together: their latencies cannot be compared."""
    scorers: tuple[Any, ...]
    """The scorers that grade each answer."""
    gate: tuple[Any, ...] = ()
    """The checks that decide."""
    description: str = ""
    """Purpose of the suite."""
    version: int = SUITE_VERSION
    """Version of the suite format."""
    judge: Mapping[str, Any] | None = None
    """The judge: `{local: correctness}`, `{chat: MODEL}` or `{chat: {...}}`, with more judges under `panel: [...]`."""
    vendors: Mapping[str, Any] = field(default_factory=dict)
    """Changes to the table of model vendors, and vendors of your own: name -> {base_url, api_key_env, dialect,
    models}."""
    embedding: str | Mapping[str, Any] = "wordllama"
    """The embedding of similarity scorers."""
    cohorts: tuple[str, ...] = ()
    """Names of the cohorts to report by; `query_length`, `kind` and `severity` are derived."""
    nodes: tuple[str, ...] = ()
    """Nodes of an agent that the gate may name: `planner` gives the metrics `tokens:planner` and `cost_usd:planner`."""
    labels: tuple[str, ...] = ()
    """Label files, relative to this file."""
    calibrations: tuple[str, ...] = ()
    """Records of `evalkit judge calibrate`, relative to this file; used if a run has no labels of its own."""
    kappa_floors: Mapping[str, float] = field(default_factory=dict)
    """Kappa that a judge must reach, by cohort (`overall`, or `name=value`); default: 0.6."""
    conversation: ConversationSettings | None = None
    """Settings of conversations, for rows with `turns` or `user`."""
    concurrency: int = 16
    """Calls in flight."""
    repeat: int = 1
    """How many times each case is run."""
    seed: int = 0
    """Seed of every random draw."""
    repeat_rule: str = "mean"
    """How repeats of a case make up its `pass_rate`: `mean`, `all`, `any`, `majority` or `rate:0.8`."""
    require_evidence: bool = False
    """Whether insufficient evidence means no decision."""
    budget_usd: float | None = None
    """US dollars that a run may spend on calls whose price is known; then it stops and can be resumed."""
    deadline_s: float | None = None
    """Seconds that the calls of a run may take; then those in flight are cancelled, and the run can be resumed."""
    variants: tuple[Any, ...] = ()
    """Transforms that make variants of golden cases, such as `typos` or `{prefix: {characters: 500}, per_case: 2}`."""
    production: Mapping[str, float] = field(default_factory=dict)
    """Shares of production by the values of one cohort: `{topic=hours: 0.6, topic=loans: 0.4}`; `pass_rate` is then
    also given for that mix."""
    sample: int | Sample | None = None
    """Cases to draw from a large golden set by stratum, `500` or `{n: 500, by: topic, floor: 50}`; all where not
    given."""
    traffic_per_month: int | None = None
    """Calls per month, for the projected cost."""
    early_stop: bool | EarlyStop = False
    """Whether a run ends once its comparison with the baseline is certain: `true`, or `{fine: 0.05}` to stop sooner
    where nothing fell."""
    engine: EngineSettings | None = None
    """Run the cases in several processes: `{dask: {workers: 4, shard_size: 1000}}`; for `evalkit run` alone."""

    def __post_init__(self) -> None:
        """Reject values out of range."""
        if self.version != SUITE_VERSION:
            raise ValueError(
                f"version: this evalkit reads version {SUITE_VERSION}, not {self.version}; upgrade evalkit"
            )
        if isinstance(self.golden, str) and not self.golden.strip():
            raise ValueError("golden: empty; name a file, such as `golden: cases.jsonl`")
        if not 1 <= self.concurrency <= MAX_CONCURRENCY:
            raise ValueError(
                f"concurrency: expected 1 to {MAX_CONCURRENCY}, got {self.concurrency}; 16 is a good start"
            )
        if not 1 <= self.repeat <= 100:
            raise ValueError(f"repeat: expected 1 to 100, got {self.repeat}; write 1 for a single answer")
        check_rule(self.repeat_rule)
        if self.traffic_per_month is not None and self.traffic_per_month < 1:
            raise ValueError("traffic_per_month: must be at least 1; remove the key if it is unknown")
        if self.budget_usd is not None and not 0 < self.budget_usd < float("inf"):
            raise ValueError("budget_usd: must be above 0; remove the key to spend without a limit")
        if self.deadline_s is not None and not 0 < self.deadline_s < float("inf"):
            raise ValueError("deadline_s: must be above 0; remove the key to run without a limit")
        check_mix(self.production, self.cohorts)
        self._check_sample()
        for cohort, floor in self.kappa_floors.items():
            name, _, value = cohort.partition("=")
            if cohort != OVERALL and not (value and name in self.cohorts):
                fix = "write `overall`, or `name=value` with a name under `cohorts:`"
                raise ValueError(f"kappa_floors: {cohort!r} is not a cohort of the suite; {fix}")
            if not 0 < floor < 1:
                raise ValueError(f"kappa_floors: {floor:g} for {cohort} is not a kappa to reach; write 0.6 or 0.7")
        if not self.scorers:
            raise ValueError("scorers: the list is empty; add one, such as `- exact`")

    def sample_of(self, n: int | None) -> Sample | None:
        """Return the suite's sample, or one of `n` cases drawn in the same way; `None` for all cases."""
        declared = Sample(n=self.sample) if isinstance(self.sample, int) else self.sample
        found = declared if n is None else replace(declared or Sample(n=n), n=n)
        return None if found is None else replace(found, by=found.by or next(iter(self.cohorts), "kind"))

    @property
    def stops_early(self) -> EarlyStop | None:
        """The rule by which a run ends before its last case; `None` if it never does."""
        return EarlyStop() if self.early_stop is True else self.early_stop or None

    def _check_sample(self) -> None:
        if isinstance(self.sample, int) and self.sample < 1:
            raise ValueError(f"sample: {self.sample} cases are not a sample; write at least 1")
        found = self.sample_of(None)
        if found is not None and found.by not in (*self.cohorts, "kind"):
            raise ValueError(f"sample: by {found.by!r} is not a cohort of the suite; name it under `cohorts:` too")


def reading_of(options: SuiteOptions, system: SystemConfig | None) -> Reading:
    """Return how a suite reads columns; if the system cannot be read, assume that it replays answers."""
    replays = system is None or (isinstance(system, ReplaySystem) and system.from_golden)
    cohorts = tuple(name for name in options.cohorts if name not in DERIVED_VALUES)
    return Reading(
        cohorts=cohorts,
        replays=replays,
        lists=frozenset(_list_fields(options.scorers)),
        converses=options.conversation is not None,
        plays_user=not isinstance(system, (*CALLED, NoneType))
        or (options.conversation is not None and options.conversation.user is not None),
    )


def _list_fields(scorers: Iterable[Any]) -> Iterator[str]:
    """Yield the user's own fields from which scorers read texts, such as `contains: {none_field: taboo}`."""
    for item in scorers:
        for given in item.values() if isinstance(item, Mapping) else ():
            for key, value in given.items() if isinstance(given, Mapping) else ():
                if str(key).endswith("_field") and isinstance(value, str):
                    yield value


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A valid suite."""

    path: Path
    sha256: str
    root: Path
    """Project root, which paths in the suite may not leave."""
    options: SuiteOptions
    golden: GoldenSource
    golden_file: Path | None
    golden_shown: str
    system: SystemConfig
    system_kind: str
    judge: JudgeConfig | None
    scorers: tuple[ScorerEntry, ...]
    policy: Policy
    baseline_system: SystemConfig | None = None
    """The old system, if it can still be called."""
    reference_system: SystemConfig | None = None
    """The pinned version that every run is compared with, if the suite names one."""
    reference_kind: str = ""
    """Its kind, such as `http`."""
    systems: tuple[NamedSystem, ...] = ()
    """The systems of a run of several, in their order; then `system` is that of the reference."""
    system_name: str = ""
    """Name of the system, if it is one of several."""
    system_names: tuple[str, ...] = ()
    """Names of all systems of a run of several."""
    label_files: tuple[Path, ...] = ()
    calibration_files: tuple[Path, ...] = ()
    learnt_files: tuple[Path, ...] = ()
    """Training data of the system or its judge."""
    searched: SearchedFiles = field(default_factory=dict)
    """Prompts, corpus and training data, in which cases may have leaked."""
    lines: Mapping[str, str] = field(default_factory=dict)
    """Dotted key -> `file:line:column`, for problems found after reading."""
    variants: tuple[VariantEntry, ...] = ()
    variant_files: tuple[Path, ...] = ()
    """Files with variants that people wrote."""
    slots: Mapping[str, str] = field(default_factory=dict)
    """Slot of the cases, such as `person` of `{{person}}` -> word that fills it."""
    conversation: SuiteConversation | None = None
    """Settings of conversations, if the suite has them."""
    led_by: Mapping[str, str] = field(default_factory=dict)
    """Conversation key of stored conversations that are scored again; see `Manifest.conversation_key`."""
    variables: tuple[str, ...] = ()
    """Names of the environment variables that the suite uses."""
    stated_repeat: int = 1
    """`repeat` in the file; a flag may override it."""

    def with_timeout(self, timeout_s: float) -> Suite:
        """Return the suite with this timeout for its systems, the old one included.

        Raises:
            ValueError: `timeout_s: what; fix`.
        """
        old, pinned = self.baseline_system, self.reference_system
        systems = (replace(each, config=replace(each.config, timeout_s=timeout_s)) for each in self.systems)  # type: ignore[type-var]
        return replace(
            self,
            systems=tuple(systems),
            system=replace(self.system, timeout_s=timeout_s),  # type: ignore[type-var]
            baseline_system=None if old is None else replace(old, timeout_s=timeout_s),  # type: ignore[type-var]
            reference_system=None if pinned is None else replace(pinned, timeout_s=timeout_s),  # type: ignore[type-var]
        )

    @property
    def reference(self) -> NamedSystem:
        """The system that the others of a run of several are compared with."""
        first = self.systems[0]
        return next((each for each in self.systems if each.name == self.options.reference), first)

    @property
    def compares_reference(self) -> bool:
        """Whether the baseline of the gate is the reference of the run."""
        return any(map(of_run, self.policy.checks))

    @property
    def configs(self) -> tuple[SystemConfig, ...]:
        """Every system of a run."""
        return tuple(each.config for each in self.systems) or (self.system,)

    @property
    def reading(self) -> Reading:
        """How the suite reads the columns of its golden set, which all its systems share."""
        found = [reading_of(self.options, config) for config in self.configs]
        replays, plays = any(each.replays for each in found), any(each.plays_user for each in found)
        return replace(found[0], replays=replays, plays_user=plays, slots=self.slots)

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The input files of a run other than the system's own."""
        golden = (self.golden_file,) if self.golden_file is not None else ()
        mocks = self.conversation.mocks_file if self.conversation is not None else None
        own = (*golden, *((mocks,) if mocks is not None else ()))
        given = (*self.label_files, *self.calibration_files, *self.learnt_files, *self.variant_files)
        return (self.path, *own, *given)

    @property
    def name(self) -> str:
        """Name of the suite."""
        return self.options.name

    def place(self, key: str) -> str:
        """Return `file:line:column key` of a dotted key such as `gate[0].by`, at the nearest written key."""
        known = key
        while known and known not in self.lines:
            known = known[: max(known.rfind("."), known.rfind("["), 0)]
        return f"{self.lines.get(known, self.path.name)} {key}".rstrip()
