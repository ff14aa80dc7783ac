"""A monitor with days of calls, written as `take` writes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from evalkit.monitor.cells import cells_of, strata_of
from evalkit.monitor.observations import Observations, write_observations
from evalkit.monitor.sampled_texts import append_texts
from evalkit.monitor.series import SERIES, Counts, MetricFacts, Series, date_of, day_of, digest_of_key
from evalkit.operations.monitor_reference import MadeReference, ReferenceRequest, make_reference
from evalkit.operations.monitor_status import StatusRequest, monitor_status
from evalkit.report.monitor.status import Status
from evalkit.results import OVERALL, Agreement, Estimate, Trust
from evalkit.trust.calibration import Calibration
from evalkit.trust.calibration_files import write_calibration
from evalkit.types import Case, Output, Row, Score

DAY_S = 86_400
FIRST = "2026-06-01"
"""A Monday."""
YAML = """\
name: support
logs: {format: jsonl}
cohorts: [topic]
scorers: [citation]
"""
RULE = "aaaaaaaaaaaa"
JUDGE_PARTS = {"judge": "gpt-4o", "rubric": "r"}
JUDGE, OTHER_JUDGE = digest_of_key(JUDGE_PARTS), digest_of_key({**JUDGE_PARTS, "judge": "gpt-5"})


@dataclass
class Lab:
    """The monitor `support`; every day has the same number of calls, of topic cards (2 of 3) and loans."""

    file: Path
    per_day: int = 300
    seed: int = 1
    judge_key: str = JUDGE
    judge: str = "gpt-4o"
    days: int = 0
    """Days so far."""
    rates: dict[str, float] = field(default_factory=lambda: {"cards": 0.9, "loans": 0.8})
    pi: float = 0.5
    latency_s: float = 1.0
    hour_usd: float = 0.1
    """US dollars of an hour."""
    graded: float = 1.0
    """Share of the sample that the judge graded."""
    v2: float | None = None
    """Share of the calls that version v2 answers; `None` in a monitor without versions."""
    gone: frozenset[str] = frozenset()
    """Metrics that the logs or the scorers no longer have."""
    question: Callable[[int], str] = lambda at: f"question {at % 40} about cards and accounts"

    @property
    def folder(self) -> Path:
        """Where the monitor keeps what it took."""
        return self.file.parent / "monitors" / "support"

    @property
    def first(self) -> int:
        """First day, since 1970."""
        return day_of(FIRST)

    @property
    def now(self) -> float:
        """A minute after the last day began its successor."""
        return float((self.first + self.days) * DAY_S + 60)

    def add(self, days: int, *, texts: bool = False) -> None:
        """Add days of calls, and one call of the next day, so that they are over."""
        for _ in range(days):
            self._batch(self.first + self.days, self.per_day, texts=texts)
            self.days += 1

    def close_day(self) -> None:
        """Add one call of the next day, so that the last one is over."""
        self._batch(self.first + self.days, 1, texts=False)

    def _batch(self, day: int, n: int, *, texts: bool) -> None:
        rng = np.random.default_rng((self.seed, day))
        topics = np.where(np.arange(n) % 3 == 2, "loans", "cards")
        at = day * DAY_S + np.sort(rng.integers(0, DAY_S, n)) if n > 1 else np.array([day * DAY_S])
        chance = np.array([self.rates[topic] for topic in topics])
        drawn = rng.random(n) < self.pi
        passed = (rng.random(n) < chance).astype(float)
        judged = drawn & (rng.random(n) < self.graded)
        metrics = {
            "error": np.zeros(n),
            "citation.passed": passed,
            "steps": rng.geometric(0.4, n).astype(float),
            "latency_s": self.latency_s * np.exp(rng.normal(0, 0.5, n)),
            "cost_usd": np.full(n, self.hour_usd * 24 / max(n, self.per_day)),
            "correctness.scored": np.where(drawn, judged, np.nan),
            "correctness.passed": np.where(judged, (rng.random(n) < chance).astype(float), np.nan),
        }
        found = Observations(
            batch=day,
            day=day,
            ids=rng.integers(0, 2**63, n).astype(np.uint64),
            units=rng.integers(0, 2**63, n).astype(np.uint64),
            at=at.astype(np.int64) * 1_000_000,
            pi=np.full(n, self.pi),
            drawn=drawn,
            cohorts={"topic": topics.tolist(), **self._versions(rng, n)},
            metrics={name: values for name, values in metrics.items() if name not in self.gone},
            facts=[each for each in self.facts() if each.metric not in self.gone],
        )
        write_observations(self.folder, found)
        with Series(self.folder / SERIES) as series:
            # The counts of the single call of a day that is not over are replaced by those of the day.
            number = day if n > 1 else 1_000_000 + day
            series.add(number, cells_of(found), found.facts, Counts(strata_of(found)))
        if texts:
            rows = [self._row(day, at, metrics["citation.passed"][at], str(topics[at])) for at in np.flatnonzero(drawn)]
            append_texts(self.folder, day, rows)

    def _versions(self, rng: np.random.Generator, n: int) -> dict[str, list[str]]:
        return {} if self.v2 is None else {"version": np.where(rng.random(n) < self.v2, "v2", "v1").tolist()}

    def facts(self) -> Sequence[MetricFacts]:
        """What is known of the metrics."""
        judged = {"score_key": self.judge_key, "is_judged": True, "judge": self.judge}
        return (
            MetricFacts("error", higher_is_better=False),
            MetricFacts("citation.passed", RULE),
            *(
                MetricFacts(name, "", is_rate=False, higher_is_better=False)
                for name in ("steps", "latency_s", "cost_usd")
            ),
            MetricFacts("correctness.scored", **judged),  # type: ignore[arg-type]
            MetricFacts("correctness.passed", **judged),  # type: ignore[arg-type]
        )

    def _row(self, day: int, at: int, passed: float, topic: str) -> Row:
        case = Case(
            id=f"call-{day}-{at}",
            digest="d" * 64,
            input=self.question(at),
            cohorts={"topic": topic},
            fields={"at": float(day * DAY_S), "pi": self.pi, "batch": day},
        )
        score = Score("citation", passed, passed=bool(passed), reason="")
        return Row(case=case, output=Output(text="an answer"), scores={"citation": score})


def trust_judge(lab: Lab, trust: Trust = "trusted", parts: dict[str, str] | None = None) -> None:
    """Write a record of the judge's agreement with people, and name it in the monitor."""
    kappa = Estimate(value=0.8, low=0.7, high=0.9, n=200)
    agreement = Agreement(
        metric="correctness", judge="gpt-4o", rater_kind="person", cohort=OVERALL, kappa=kappa, trust=trust
    )
    record = Calibration(
        source="judge.json",
        run_id="run",
        created="2026-05-01",
        metric="correctness",
        key=parts or JUDGE_PARTS,
        labels={},
        agreement=(agreement,),
    )
    write_calibration(lab.file.with_name("judge.json"), record)
    text = lab.file.read_text(encoding="utf-8")
    if "calibrations:" not in text:
        lab.file.write_text(text + "calibrations: [judge.json]\n", encoding="utf-8")


def refer(lab: Lab, **settings: object) -> MadeReference:
    """Make a reference of the first four weeks."""
    given: dict[str, object] = {"first": FIRST, "last": date_of(lab.first + 27), "now": lab.now, "years": 40}
    return make_reference(ReferenceRequest(file=lab.file, **given | settings))  # type: ignore[arg-type]


def look(lab: Lab, **settings: object) -> Status:
    """Look at the monitor a minute after its last day."""
    return monitor_status(StatusRequest(file=lab.file, **{"now": lab.now} | settings))  # type: ignore[arg-type]


def make_lab(folder: Path, more: str = "", **settings: object) -> Lab:
    """Write the file of a monitor without calls."""
    (folder / "pyproject.toml").write_text("", encoding="utf-8")
    file = folder / "support.yaml"
    file.write_text(YAML + more, encoding="utf-8")
    lab = Lab(file, **settings)  # type: ignore[arg-type]
    lab.folder.mkdir(parents=True)
    return lab
