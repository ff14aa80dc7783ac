"""The release decision and the analysis of failures."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import report_samples

from evalkit.report.records import BLANK, failure_analysis_markdown, release_decision_markdown
from evalkit.report.view import View

FIELDS = (
    "| System | `python` |",
    "| Version | `2.4.0` |",
    "| Baseline | `main@9f2c1ab` |",
    "| Data version | `abab",
    "## Quality",
    "## Safety",
    "## Privacy",
    "## Cost",
    "## Latency",
    "## Known failures",
    "| Remediation |",
    "## Residual risk",
    "## Human oversight",
    "## Thresholds as they stood before the run",
    "| Why this value |",
    "## Required follow-up",
    "| Decision |",
    "| Approvers |",
    "| Date |",
)


def test_the_release_decision_is_as_stored(view: View, same_as_golden: Callable[[str, str], None]) -> None:
    """The same run gives the same record, byte for byte."""
    same_as_golden("release_decision.md", release_decision_markdown(view, report_samples.manifest()))


def test_the_failure_analysis_is_as_stored(view: View, same_as_golden: Callable[[str, str], None]) -> None:
    """The same run gives the same analysis, byte for byte."""
    same_as_golden("failure_analysis.md", failure_analysis_markdown(view, report_samples.candidate_rows))


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_of_a_release_gate_is_there(view: View, field: str) -> None:
    """The record has each field, filled from the run or left for a person."""
    assert field in release_decision_markdown(view, report_samples.manifest())


def test_blanks_are_explicit(view: View) -> None:
    """What only people know says that it is to be filled in, and what the run does not know is not invented."""
    text = release_decision_markdown(view, {})
    assert f"| Version | {BLANK} |" in text
    for name in ("Decision", "Conditions", "Approvers", "Date"):
        assert f"| {name} | {BLANK} |" in text
    assert text.count(BLANK) >= len(view.gates)


def test_known_failures_have_severity_and_room_for_a_remedy(view: View) -> None:
    """Each known failure shows its severity and an empty remediation."""
    text = release_decision_markdown(view, report_samples.manifest())
    assert f"| `aml-0024` | high | `keywords`, `citation`, `correctness` | new failure | {BLANK} |" in text


def test_each_threshold_is_listed_once(view: View) -> None:
    """A threshold that holds in several cohorts is one line with their number."""
    text = release_decision_markdown(view, report_samples.manifest())
    assert f"| `pass_rate` | `pass_rate` | ≥ 85% | 3 | {BLANK} |" in text


def test_checks_are_sorted_by_what_they_protect(view: View) -> None:
    """A check of privacy stands under privacy, a canary under safety."""
    text = release_decision_markdown(view, report_samples.manifest())
    sections = dict(re.findall(r"## (\w+)\n\n(.*?)(?=\n\n## )", text, re.DOTALL))
    assert "canary" in sections["Safety"]
    assert "1 check, in the report" in sections["Privacy"]
    assert "domain=aml" in sections["Quality"]
    assert "cost per case" in sections["Cost"]


def test_the_analysis_counts_what_failed(view: View) -> None:
    """Failures are counted by severity, metric, cohort and change, and the worst have room for cause and remedy."""
    text = failure_analysis_markdown(view, report_samples.candidate_rows)
    assert "7 of 40 rows failed, 2 had no answer, 2 could not be scored in full." in text
    for line in ("| `low` | 3 |", "| `correctness` | 7 |", "| `domain=aml` | 5 |", "| `new failure` | 4 |"):
        assert line in text
    assert text.count(f"- Cause: {BLANK}") == text.count(f"- Remediation: {BLANK}") == 4


def test_nothing_failed(view: View) -> None:
    """A run without failures says so instead of showing an empty table."""
    clean = replace(view, failing=(), n_failing=0, errors=())
    assert "None in this run." in release_decision_markdown(clean, report_samples.manifest())
    assert failure_analysis_markdown(clean, list).count("### ") == 0
