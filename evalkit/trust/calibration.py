"""Apply a judge's agreement with people from another run, and detect when it has expired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evalkit.results import OVERALL, Agreement, Trust
from evalkit.trust.labels import Floors


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The record of `evalkit judge calibrate` for one judge."""

    source: str
    """File that the record was read from."""
    run_id: str
    """The run whose answers were labelled."""
    created: str
    """Date, ISO 8601."""
    metric: str
    key: Mapping[str, str]
    """Score key of that run: judge, settings, rubric, prompt and options, by name."""
    labels: Mapping[str, str]
    """Label file, relative to the project -> SHA-256 of its bytes."""
    agreement: tuple[Agreement, ...]
    """Agreement with labels by people, overall and by cohort, each with its floor."""
    changed_label_file: str = ""
    """Whether a label file is missing or has changed."""

    def expired(self, key: Mapping[str, str]) -> str:
        """Describe what changed since; empty if the record still applies.

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
    """Use calibration records if this run's own labels give no kappa for a judge.

    Labels by people on this run take precedence if they give a kappa. For each figure (passes, levels) without one, a
    record of the same judge is used. An expired record is reported and not used.

    Args:
        found: the agreement on this run.
        calibrations: calibrations of any metric.
        score_keys: metric -> its current score key.
        floors: floors of the suite; the stricter of these and the record's applies.
    """
    result = list(found)
    for record in calibrations:
        own = [each for each in result if (each.metric, each.rater_kind) == (record.metric, "person")]
        shown = {each.of_passes for each in own if each.cohort == OVERALL and each.kappa.value is not None}
        recorded = {each.of_passes for each in record.agreement}
        if not own or recorded <= shown:
            continue
        # A figure that this run's labels cover keeps its result; the record is used for the others.
        kept = [each for each in result if each not in own or each.of_passes in shown]
        expired = record.expired(score_keys.get(record.metric, {}))
        lacking = [each for each in own if each.of_passes not in shown]
        fitting = replace(record, agreement=tuple(each for each in record.agreement if each.of_passes not in shown))
        result = [*kept, *_standing_in(lacking, fitting, expired, floors)]
    return tuple(result)


def _standing_in(own: Sequence[Agreement], record: Calibration, expired: str, floors: Floors) -> list[Agreement]:
    if expired:
        note = f"calibration {record.source} expired: {expired}; calibrate again"
        return [replace(each, note="; ".join(filter(None, [note, each.note]))) for each in own]
    note = f"calibrated on run {record.run_id}, {record.created} ({record.source})"
    if any(each.questions is None for each in record.agreement):
        note += ", by a version that treated every answer as a separate question: calibrate again"
    noted = [replace(each, note="; ".join(filter(None, [note, each.note]))) for each in record.agreement]
    shown = {each.cohort for each in noted}
    pooled = [each for each in noted if each.cohort == OVERALL]
    # If a cohort has a floor of its own but is not in the record, the overall figures are held to that floor.
    unknown = [replace(each, cohort=cohort) for cohort in floors if cohort not in shown for each in pooled]
    return [_held(each, floors.get(each.cohort, floors.get(OVERALL, 0.0))) for each in (*noted, *unknown)]


def _held(found: Agreement, floor: float) -> Agreement:
    """Return the same agreement under a stricter floor, which never raises trust."""
    from evalkit.stats.agreement import MIN_RARER_LABELS, trust

    if floor <= found.floor:
        return found
    order: tuple[Trust, ...] = ("untrusted", "provisional", "trusted")
    # The record's own trust already accounts for the classes.
    strict = trust(found.bound, found.kappa.value, smallest_class=MIN_RARER_LABELS, floor=floor)
    return replace(found, floor=floor, trust=min(found.trust, strict, key=order.index))
