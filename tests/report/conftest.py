"""The hand-made run as fixtures."""

from __future__ import annotations

import pytest
import report_samples

from evalkit.report.view import View, build_view
from evalkit.types import Decision, Summary


@pytest.fixture
def summary() -> Summary:
    """Summary of the hand-made run."""
    return report_samples.summary()


@pytest.fixture
def decision() -> Decision:
    """Decision of the hand-made run."""
    return report_samples.decision()


@pytest.fixture
def view(summary: Summary, decision: Decision) -> View:
    """View of the hand-made run."""
    return build_view(
        summary,
        decision,
        report_samples.candidate_rows,
        report_samples.baseline_rows,
        report_samples.manifest(),
    )
