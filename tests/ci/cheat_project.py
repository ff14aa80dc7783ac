"""A small repository with a base branch, a bot, a suite and a saved baseline; ways to change it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from evalkit.baselines.save import save_baseline
from evalkit.errors import EvalkitError
from evalkit.operations.run import Request, run_suite
from evalkit.runner.engine import Stop
from evalkit.runner.plan import Selection
from evalkit.runner.session import Watcher

IDS = [f"c{i:02d}" for i in range(60)]
BROKEN = ("c03", "c11", "c22", "c37", "c58")
"""Cases that the breaking change gets wrong; two of them are critical."""
CRITICAL = ("c03", "c37", "c40", "c41")
BOT = """\
BROKEN = ()

def answer(input: str, id: str) -> str:
    a, b = input.split("+")
    total = int(a) + int(b) + (id in BROKEN)
    return f"The sum is {total}."
"""
SUITE = """\
name: sums
golden: data/cases.jsonl
system: {python: "bot:answer", timeout_s: 20}
scorers:
  - keywords: {min_recall: 0.9}
  - regex: {name: polite, pattern: '^The sum is \\d+\\.$'}
  - json: {name: shape, schema: shape.json, when: {has: shape}}
cohorts: [group]
repeat: 1
labels: [data/labels.jsonl]
gate:
  - failures: {severity: critical, max: 0}
  - pass_rate: {min: 0.7, by: group, critical: [left]}
  - coverage: {min: 0.99}
  - latency_p50_s: {max: 30}
  - no_regression: {baseline: main, metrics: [pass_rate, keywords]}
"""
LABELS = [
    {
        "case_id": case_id,
        "answer_sha256": hashlib.sha256(f"The sum is {i + 1}.".encode()).hexdigest(),
        "scorer": "polite",
        "label": "pass",
        "rater": "ana",
        "rater_kind": "person",
    }
    for i, case_id in enumerate(IDS)
    if i in range(42, 48)
]


@dataclass(frozen=True)
class Ran:
    """One run of the command."""

    decision: dict[str, Any]
    said: str

    @property
    def outcome(self) -> str:
        """The decision, or `refused` where the run did not begin."""
        return str(self.decision.get("outcome", "refused"))

    @property
    def findings(self) -> list[str]:
        """Amendments as the reader sees them, the looser ones marked."""
        return [
            f"{'! ' if each['loosens'] else ''}{each['what']} {each['before']} → {each['after']} ({each['note']})"
            for each in self.decision.get("amendments", ())
        ]


Change = Callable[["Repository"], object]


class Repository:
    """The working tree of a pull request."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def build(self) -> None:
        """Write the base: everything passes, and its run is the baseline `main`."""
        (self.root / "data").mkdir(parents=True)
        self.write("pyproject.toml", "")
        self.write(".gitignore", ".evalkit/\n__pycache__/\nreports/*\n!reports/baselines\n")
        self.write("bot.py", BOT)
        self.write("other.py", BOT)
        self.write("shape.json", '{"type": "object"}\n')
        self.write("suite.yaml", SUITE)
        self.write("data/labels.jsonl", "".join(json.dumps(each) + "\n" for each in LABELS))
        self.cases({})
        self.git("init", "-q", "-b", "main", ".")
        first = self.run("reports/first", env={"GITHUB_BASE_REF": ""})
        assert first.decision, first.said
        self.save(name="main")
        self.commit("base")
        self.git("checkout", "-q", "-b", "change")

    def write(self, name: str, text: str) -> None:
        """Write one file."""
        (self.root / name).write_text(text, encoding="utf-8")

    def read(self, name: str) -> str:
        """Read one file."""
        return (self.root / name).read_text(encoding="utf-8")

    def swap(self, name: str, before: str, after: str) -> None:
        """Replace a text that is there."""
        text = self.read(name)
        assert before in text, before
        self.write(name, text.replace(before, after))

    def cases(self, edits: dict[str, dict[str, Any] | None], more: Iterable[dict[str, Any]] = ()) -> None:
        """Write the golden set with some cases edited, or removed (`None`), and others added."""
        rows = []
        for i, case_id in enumerate(IDS):
            row = {"id": case_id, "input": f"{i} + 1", "reference": str(i + 1), "required": [f" {i + 1}."]}
            row |= {"cohorts": {"group": "left" if i % 2 else "right"}, "cluster": f"k{i}"}
            row |= {"severity": "critical" if case_id in CRITICAL else "medium"}
            edit = edits.get(case_id, {})
            if edit is not None:
                rows.append(row | edit)
        lines = "".join(json.dumps(row) + "\n" for row in [*rows, *more])
        self.write("data/cases.jsonl", lines)

    def break_bot(self, ids: Iterable[str] = BROKEN) -> None:
        """The change that must not pass."""
        name = next(each for each in ("evals/bot.py", "bot.py") if (self.root / each).is_file())
        self.swap(name, "BROKEN = ()", f"BROKEN = {tuple(ids)!r}")

    def rebase(self, change: Change) -> None:
        """Change the base branch, and begin anew from there."""
        self.git("checkout", "-q", "main")
        change(self)
        self.commit("another base")
        self.git("checkout", "-q", "-B", "change")

    def git(self, *words: str) -> str:
        """Run git as somebody."""
        who = ["-c", "user.name=ana", "-c", "user.email=ana@example.test", "-c", "commit.gpgsign=false"]
        ran = subprocess.run(["git", "-C", self.root, *who, *words], capture_output=True, text=True, check=True)
        return ran.stdout.strip()

    def commit(self, message: str) -> None:
        """Commit everything."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def run(
        self, out: str = "reports/second", *, suite: str = "suite.yaml", baseline: str | None = None, **selected: Any
    ) -> Ran:
        """Run the suite as CI does on a pull request against main, and read its decision."""
        env = {"GITHUB_BASE_REF": "main"} | selected.pop("env", {})
        overrides = selected.pop("overrides", {})
        request = Request(
            suite=self.root / suite,
            out=self.root / out,
            baseline=baseline,
            overrides=overrides,
            resume=selected.pop("resume", False),
            selection=Selection(**selected),
        )
        path = [*sys.path]
        for module in ("bot", "other", "evals", "evals.bot", "finding_scorer", "found_rules"):
            sys.modules.pop(module, None)
        try:
            with contextlib.chdir(self.root):
                result = asyncio.run(run_suite(request, Watcher(), Stop(), env))
        except EvalkitError as error:
            return Ran({}, str(error))
        finally:
            sys.path[:] = path
        self.save = partial(save_baseline, result.folder, root=self.root, accepted="a test")
        decision = json.loads((self.root / out / "decision.json").read_text(encoding="utf-8"))
        return Ran(decision, "")


@dataclass(frozen=True)
class Cheat:
    """One way to turn a red pull request green."""

    name: str
    change: Change
    outcome: str
    """`blocked`, `condition`, `no decision` or `refused`: what the run comes to."""
    finding: str
    """A pattern that a finding or, where it is refused, the message holds."""
    flags: Mapping[str, Any] = field(default_factory=dict)
    """Of the run, such as `baseline` or `limit`."""
    base: Change | None = None
    """What the base branch has first, where that differs."""

    def judged(self, ran: Ran) -> bool:
        """Whether a run came to what the cheat must come to, and named it."""
        outcome = {"condition": "approved with conditions"}.get(self.outcome, self.outcome)
        named = re.search(self.finding, ran.said if self.outcome == "refused" else "\n".join(ran.findings))
        return ran.outcome == outcome and named is not None
