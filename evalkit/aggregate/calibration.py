"""What a judge's agreement with people was found to be on another run, and when it no longer holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evalkit.aggregate.labels import Floors
from evalkit.results import OVERALL, Agreement, Trust


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The record of `evalkit judge calibrate` for one judge."""

    source: str
    """File that it was read from."""
    run_id: str
    """The run whose answers were labelled."""
    created: str
    """Date, ISO 8601."""
    metric: str
    key: Mapping[str, str]
    """The score key of that run: judge, settings, rubric, prompt, options, each under its part's name."""
    labels: Mapping[str, str]
    """Label file, relative to the project -> SHA-256 of its bytes."""
    agreement: tuple[Agreement, ...]
    """With labels by people, overall and by cohort, each with its floor."""
    changed_label_file: str = ""
    """A label file that is gone or not the same any more."""

    def expired(self, key: Mapping[str, str]) -> str:
        """Say what changed since; empty where the record holds.

        Args:
            key: the score key that the metric has now.
        """
        parts = sorted(part for part in {*self.key, *key} if self.key.get(part) != key.get(part))
        if parts:
            return f"the {' and the '.join(parts)} changed"
        return f"the label file {self.changed_label_file} changed" if self.changed_label_file else ""


def with_calibrations(
    found: Sequence[Agreement],
    calibrations: Sequence[Calibration],
    score_keys: Mapping[str, Mapping[str, str]],
    floors: Floors,
) -> tuple[Agreement, ...]:
    """Let records stand in where this run's own labels show nothing of a judge.

    Labels by people on this very run come first, wherever they give a kappa; a record of the same judge is used where
    they do not. One that has expired is named and counts for nothing.

    Args:
        found: the agreement on this run.
        calibrations: of any metric.
        score_keys: metric -> what its scores are made by now.
        floors: of the suite; the stricter of them and the record's holds.
    """
    result = list(found)
    for record in calibrations:
        own = [each for each in result if (each.metric, each.rater_kind) == (record.metric, "person")]
        if not own or any(each.cohort == OVERALL and each.kappa.value is not None for each in own):
            continue
        others = [each for each in result if each not in own]
        result = [*others, *_standing_in(own, record, record.expired(score_keys.get(record.metric, {})), floors)]
    return tuple(result)


def _standing_in(own: Sequence[Agreement], record: Calibration, expired: str, floors: Floors) -> list[Agreement]:
    if expired:
        note = f"calibration {record.source} expired: {expired}; calibrate again"
        return [replace(each, note="; ".join(filter(None, [note, each.note]))) for each in own]
    note = f"calibrated on run {record.run_id}, {record.created} ({record.source})"
    noted = [replace(each, note="; ".join(filter(None, [note, each.note]))) for each in record.agreement]
    shown = {each.cohort for each in noted}
    pooled = [each for each in noted if each.cohort == OVERALL]
    # A cohort with a floor of its own that the record knows nothing of is held to it by the overall figures.
    unknown = [replace(each, cohort=cohort) for cohort in floors if cohort not in shown for each in pooled]
    return [_held(each, floors.get(each.cohort, floors.get(OVERALL, 0.0))) for each in (*noted, *unknown)]


def _held(found: Agreement, floor: float) -> Agreement:
    """The same figures under a stricter floor."""
    if floor <= found.floor:
        return found
    trust: Trust = "untrusted"
    if found.trust == "trusted" and found.bound is not None and found.bound >= floor:
        trust = "trusted"
    elif found.trust != "untrusted" and found.kappa.value is not None and found.kappa.value >= floor:
        trust = "provisional"
    return replace(found, floor=floor, trust=trust)
