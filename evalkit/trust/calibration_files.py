"""Read and write calibration records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evalkit.disk.files import sha256_of
from evalkit.disk.json_files import read_json, to_json
from evalkit.disk.writing import drafted
from evalkit.errors import InputError, Problem, StoreError
from evalkit.results import Agreement, Estimate
from evalkit.trust.calibration import Calibration

CALIBRATION_FORMAT = 1


def label_hashes(files: Iterable[Path], root: Path) -> dict[str, str]:
    """Map each label file, relative to the project if it is inside, to the SHA-256 of its bytes."""
    return {_shown(file, root): sha256_of(file) for file in files}


def _shown(file: Path, root: Path) -> str:
    whole = file.resolve()
    return whole.relative_to(root).as_posix() if whole.is_relative_to(root) else str(whole)


def write_calibration(file: Path, record: Calibration) -> None:
    """Write a record atomically.

    Raises:
        StoreError: the disk refuses it.
    """
    fields = asdict(record)
    del fields["source"], fields["changed_label_file"]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with drafted(file) as draft:
            draft.write(to_json({"format": CALIBRATION_FORMAT, **fields}).encode())
    except OSError as error:
        raise StoreError(f"{file}: {error.strerror}; choose another file with --out") from error


def read_calibrations(files: Sequence[Path], root: Path) -> tuple[Calibration, ...]:
    """Read records, and check whether their label files are unchanged.

    Raises:
        InputError: reports every file that is not a record.
    """
    problems: list[Problem] = []
    records: list[Calibration] = []
    for file in files:
        try:
            records.append(_record(read_json(file), _shown(file, root), root))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            fix = "write it again with `evalkit judge calibrate RUN --out FILE`"
            problems.append(Problem(_shown(file, root), f"no calibration record of format {CALIBRATION_FORMAT}", fix))
    if problems:
        raise InputError(problems)
    return tuple(records)


def _record(raw: Mapping[str, Any], source: str, root: Path) -> Calibration:
    if raw["format"] != CALIBRATION_FORMAT:
        raise ValueError(raw["format"])
    labels = dict(raw["labels"])
    changed = (name for name, digest in labels.items() if _digest(root / name) != digest)
    return Calibration(
        source=source,
        run_id=str(raw["run_id"]),
        created=str(raw["created"]),
        metric=str(raw["metric"]),
        key=dict(raw["key"]),
        labels=labels,
        agreement=tuple(_agreement(each) for each in raw["agreement"]),
        changed_label_file=next(changed, ""),
    )


def _digest(file: Path) -> str | None:
    try:
        return sha256_of(file) if file.is_file() else None
    except OSError:
        return None


def _agreement(raw: Mapping[str, Any]) -> Agreement:
    return Agreement(
        **{
            **raw,
            "kappa": Estimate(**raw["kappa"]),
            "gwet": None if raw["gwet"] is None else Estimate(**raw["gwet"]),
            "other_kappas": {name: Estimate(**each) for name, each in raw["other_kappas"].items()},
            "confusion": tuple(tuple(row) for row in raw["confusion"]),
            "categories": tuple(raw["categories"]),
        }
    )
