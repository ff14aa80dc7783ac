"""Describe a drop that people's labels correct."""

from __future__ import annotations

from evalkit.results import CorrectedDrop
from evalkit.text.numbers import Style, bounds, difference, p_value, plural

_LABELS_ASKED = 50
_CARRIED = {"baseline": ("the baseline", "this run"), "candidate": ("this run", "the baseline")}
"""Which version has labels, and which one lacks them."""


def corrected_drop_sentence(found: CorrectedDrop, style: Style) -> str:
    """Describe the drop by people's labels, the drop by the judge alone, and why it cannot block.

    `correctness by people's labels of 100 cases in both runs: drop 9.8 pts [1.2, 18.4], p = 0.0134;
    by the judge alone 4.2 pts`
    """
    drop = found.drop
    alone = f"by the judge alone {difference(found.judged, style, drop.n)}"
    if drop.value is None:
        return f"{found.metric}: the drop is not corrected ({drop.reason}); {alone}"
    figures = f"drop {difference(drop.value, style, drop.n)} {bounds(drop, style)}".rstrip()
    if found.labelled != "both":
        known, other = _CARRIED[found.labelled]
        count = found.labels[0 if found.labelled == "baseline" else 1]
        return (
            f"{found.metric}, if the judge errs on {other} as on {known} ({plural(count, 'label')} of it): {figures}; "
            f"{alone}; it cannot gate: label {_LABELS_ASKED} answers of {other} with `evalkit labels sample RUN --both "
            "BASELINE`"
        )
    certain = "" if found.p_value is None else f", {p_value(found.p_value)}"
    why = f"; it cannot gate: {found.not_gated}" if found.not_gated else ""
    return f"{found.metric} by people's labels of {_cases(found)}: {figures}{certain}; {alone}{why}"


def _cases(found: CorrectedDrop) -> str:
    before, after = found.labels
    if before == after:
        return f"{plural(before, 'case')} in both runs"
    return f"{plural(before, 'case')} of the baseline and {after} of this run"
