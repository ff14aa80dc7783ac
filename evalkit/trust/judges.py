"""Add judges to a summary: agreement with people, trust, and corrected figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.results import Summary
from evalkit.trust.agreement import agreement
from evalkit.trust.calibration import Calibration, with_calibrations
from evalkit.trust.correction import with_corrections
from evalkit.trust.labels import Floors, Label


def with_judges(
    frame: FrozenFrame,
    summary: Summary,
    labels: Sequence[Label],
    *,
    floors: Floors | None = None,
    calibrations: Sequence[Calibration] = (),
    score_keys: Mapping[str, Mapping[str, str]] | None = None,
) -> Summary:
    """Add the judges' agreement and trust, and correct figures for their errors if labels allow it.

    Args:
        frame: the run.
        summary: summary of its rows.
        labels: labels of the same answers.
        floors: kappa that a judge must reach, by cohort.
        calibrations: records of other runs; they are used if this run's labels are not enough.
        score_keys: metric -> its current score key; a record with another key has expired.
    """
    keys, floors = score_keys or {}, floors or {}
    found = agreement(frame, labels, floors)
    holding = {each.metric: each for each in calibrations if not each.expired(keys.get(each.metric, {}))}
    return replace(
        summary,
        cells=with_corrections(frame, summary.cells, labels, found, holding),
        agreement=with_calibrations(found, calibrations, keys, floors),
    )
