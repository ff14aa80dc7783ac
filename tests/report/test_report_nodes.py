"""The tables of an agent's nodes, and of what happened on the way, in the report and the job summary."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import report_samples

from evalkit.formats.records import summary_of, summary_records
from evalkit.report.headline import spoken
from evalkit.report.html import write_html
from evalkit.report.markdown import summary_markdown
from evalkit.report.view import View, build_view
from evalkit.results import Cell, Estimate, NodeFigures
from evalkit.types import Metric

NODES = (
    NodeFigures(
        node="planner", calls=1200, errors=0, tokens=126_000, cost_usd=1.5, own_p50_s=0.25, own_p95_s=2.0,
        share_of_time=0.75,
    ),
    NodeFigures(node="<b>tools", calls=12, errors=3, unknown_tokens=12, unknown_cost=3, unknown_times=1),
)  # fmt: skip

OUTCOMES = tuple(
    Cell(
        metric=metric,
        cohort=f"stop={name}",
        estimate=Estimate(value=value, low=value - 0.1, high=value + 0.1, n=12),
        n_cases=12,
        n_scored=12,
    )
    for metric, name, value in (
        ("pass_rate", "<i>done", 0.5),
        ("pass_rate", "max_turns", 0.25),
        ("latency", "max_turns", 2),
    )
)


def a_view() -> View:
    """A view of a run with nodes."""
    summary = replace(report_samples.summary(), nodes=NODES, outcomes=OUTCOMES)
    return build_view(
        summary, report_samples.decision(), report_samples.candidate_rows, None, report_samples.manifest()
    )


def test_each_node_has_a_line() -> None:
    """Unknown in words, and of how many calls where it is not all of them."""
    planner, tools = a_view().nodes
    assert planner.values == ("1,200", "0", "126,000", "$1.50", "250 ms", "2.00 s", "75%")
    unknown = "unknown (1 of 12 calls)"
    assert tools.values == ("12", "3", "unknown", "unknown (3 of 12 calls)", unknown, unknown, "unknown")


def test_the_job_summary_has_the_table() -> None:
    """Folded, and without markup from a name."""
    text = summary_markdown(a_view())
    assert "| `planner` | 1,200 | 0 | 126,000 | $1.50 | 250 ms | 2.00 s | 75% |" in text
    assert "<b>tools" not in text.replace("`<b>tools`", "")


def test_the_report_has_the_table(tmp_path: Path) -> None:
    """Beside latency and cost."""
    write_html(tmp_path / "report.html", a_view(), report_samples.candidate_rows, None)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<h2 id="nodes">Nodes</h2>' in page
    assert "&lt;b&gt;tools" in page
    assert "126,000" in page


def test_times_of_nodes_are_kept_apart() -> None:
    """The summary has the same bytes for the same answers; what a clock said is in the timings."""
    summary = replace(report_samples.summary(), nodes=NODES)
    record, timings = summary_records(summary)
    assert "own_p50_s" not in record["nodes"][0]
    assert timings["nodes"][0] == {
        "node": "planner", "unknown_times": 0, "own_p50_s": 0.25, "own_p95_s": 2.0, "share_of_time": 0.75,
    }  # fmt: skip
    assert summary_of(record, timings).nodes == NODES


def test_a_node_keeps_its_name_in_a_sentence() -> None:
    """The amount in words, the node as it is written."""
    assert spoken("cost_usd:order_desk_s") == "cost of order_desk_s"
    assert spoken("tokens:planner") == "tokens of planner"
    assert spoken("cost_usd_per_success") == "cost per success"


def test_what_happened_is_shown_by_group(tmp_path: Path) -> None:
    """In the order of the summary, with gaps where a metric does not apply."""
    table = a_view().outcomes
    assert table.metrics == ("pass_rate", "latency")
    assert table.rows[0] == ("stop=<i>done", ("50% [40, 60] n=12", "–"))
    assert "| `stop=max_turns` | 25% [15, 35] n=12 |" in summary_markdown(a_view())
    write_html(tmp_path / "report.html", a_view(), report_samples.candidate_rows, None)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<h2 id="outcomes">What happened on the way</h2>' in page
    assert "&lt;i&gt;done" in page


def test_what_happened_is_stored_with_the_summary() -> None:
    """What a clock says apart from the rest."""
    given = report_samples.summary()
    clock = Metric(name="latency", high=float("inf"), unit="s")
    summary = replace(given, outcomes=OUTCOMES, metrics=(*given.metrics, clock))
    record, timings = summary_records(summary)
    assert [len(each["outcomes"]) for each in (record, timings)] == [2, 1]
    assert summary_of(record, timings).outcomes == OUTCOMES
