"""Find out whether people's labels show that the judges of a monitor can be trusted."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.monitor.grading import SCORED
from evalkit.monitor.series import MetricFacts, digest_of_key
from evalkit.results import OVERALL
from evalkit.trust.calibration import Calibration

_PASSED = ".passed"


def distrust(facts: MetricFacts, records: Sequence[Calibration]) -> str:
    """Return why a judge is not trusted; empty if it is, or if no judge gives the metric.

    A record counts if it was made with the same score key, which is that of the monitor's scorer.

    Args:
        facts: Of the metric.
        records: The monitor's calibrations.
    """
    if not facts.judge or facts.metric.endswith(SCORED):
        return ""
    name = facts.metric.removesuffix(_PASSED)
    own = [each for each in records if each.metric == name]
    fitting = [each for each in own if digest_of_key(each.key) == facts.score_key]
    if not fitting:
        return f"the calibration of {name} is of another judge or rubric" if own else f"{name} has no calibration"
    passes = facts.is_rate
    for record in fitting:
        if record.changed_label_file:
            continue
        for found in record.agreement:
            shown = (found.cohort, found.rater_kind, found.of_passes) == (OVERALL, "person", passes)
            if shown and found.trust == "trusted":
                return ""
    if all(each.changed_label_file for each in fitting):
        return f"the label file {fitting[0].changed_label_file} changed since the calibration of {name}"
    return f"the calibration of {name} does not show enough agreement with people"
