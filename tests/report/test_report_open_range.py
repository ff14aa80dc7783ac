"""A metric without an upper end, such as a number of steps, goes from the rows to the report."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict
from pathlib import Path

import report_samples

from evalkit.aggregate.frame import Frame
from evalkit.aggregate.frozen import freeze
from evalkit.aggregate.summary import summarise
from evalkit.formats.records import decision_of, summary_of, summary_records
from evalkit.gate.decide import decide
from evalkit.gate.pairing import Baseline
from evalkit.gate.policy import NoRegression, Policy, Threshold
from evalkit.report.html import write_html
from evalkit.report.markdown import summary_markdown
from evalkit.report.view import build_view
from evalkit.results import Decision
from evalkit.types import Case, Metric, Output, Row, Score

STEPS = Metric("steps", high=math.inf, higher_is_better=False, unit="steps", pass_at=8)


def rows_with(more: int) -> list[Row]:
    """Make forty rows of three to six steps, and `more` of them."""
    return [
        Row(
            case=Case(id=f"c{i:02}", input="?", digest=hashlib.sha256(str(i).encode()).hexdigest()),
            output=Output(text="!"),
            scores={"steps": Score("steps", 3.0 + i % 4 + more, passed=3 + i % 4 + more <= 8)},
        )
        for i in range(40)
    ]


def test_a_number_of_steps_is_summarised_gated_stored_and_shown(tmp_path: Path) -> None:
    """With an interval that has no end to be cut to, a limit, a comparison, and a column of the report."""
    frames = []
    for more in (0, 4):
        frame = Frame([STEPS], [])
        for row in rows_with(more):
            frame.add(row)
        frames.append(freeze(frame))
    before, after = frames
    summary = summarise(after, suite="steps", expected=40)
    policy = Policy((Threshold(metric="steps", max=6), NoRegression()))
    decision = decide(after, summary, policy, baseline=Baseline("main", before, {}, {}), partial=None, seed=1)
    assert isinstance(decision, Decision)
    assert {(check.name, check.metric): check.outcome for check in decision.checks if check.metric == "steps"} == {
        ("steps", "steps"): "block",
        ("no_regression", "steps"): "block",
    }
    assert "steps rose 4.50 → 8.50 (40 of 40 cases are worse, 0 are better, p = 0.0001)" in {
        check.reason for check in decision.checks
    }

    record, timings = json.loads(json.dumps(summary_records(summary), allow_nan=False))
    assert summary_of(record, timings).cell("steps") == summary.cell("steps")
    assert STEPS in summary_of(record, timings).metrics
    assert decision_of(json.loads(json.dumps(asdict(decision), allow_nan=False))) == decision

    view = build_view(summary, decision, lambda: rows_with(4), lambda: rows_with(0), report_samples.manifest())
    text = summary_markdown(view)
    assert "| `steps` | 8.50 [8.14, 8.86] | 4.50 |" in text
    write_html(tmp_path / "report.html", view, lambda: rows_with(4), lambda: rows_with(0))
    assert "8.50" in (tmp_path / "report.html").read_text(encoding="utf-8")
