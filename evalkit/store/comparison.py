"""Write and read the comparison of several systems."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evalkit.aggregate.system_comparison import SystemComparison
from evalkit.disk.json_files import read_json
from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem
from evalkit.formats.plain import plain
from evalkit.formats.records import metric_record
from evalkit.formats.shapes import Faults, read
from evalkit.store.folder import COMPARISON, RunFolder
from evalkit.store.systems_folder import is_inside
from evalkit.text.printable import one_line

COMPARISON_FORMAT = 1
_AGAIN = "run the suite again"


def store_comparison(folder: Path, comparison: SystemComparison) -> Path:
    """Write comparison.json, whole or not at all; equal comparisons give equal bytes.

    Raises:
        StoreError: it cannot be written.
    """
    metric = metric_record(comparison.metric) if comparison.metric else None
    record = {"format": COMPARISON_FORMAT, **asdict(comparison), "metric": metric}
    return RunFolder(folder).write_json(COMPARISON, record)


def stored_comparison(folder: Path) -> SystemComparison:
    """Read comparison.json of a folder.

    Raises:
        InputError: there is none, or it is damaged or of another format.
    """
    file = folder / COMPARISON
    shown = shown_path(file)
    try:
        record = plain(COMPARISON, read_json(file))
    except FileNotFoundError:
        what, fix = (
            f"no {COMPARISON} in it, so it is not a comparison",
            "name a folder that several systems were run in",
        )
        raise InputError(Problem(shown_path(folder), what, fix)) from None
    except json.JSONDecodeError as error:
        place = f"{shown}:{error.lineno}:{error.colno}"
        raise InputError(Problem(place, f"not JSON: {error.msg}", _AGAIN)) from None
    except (OSError, ValueError) as error:
        raise InputError(Problem(shown, f"cannot be read: {str(error).splitlines()[0]}", _AGAIN)) from None
    if not isinstance(record, dict) or record.get("format") != COMPARISON_FORMAT:
        found = record.get("format") if isinstance(record, dict) else None
        what = f"format {json.dumps(found)[:40]}, this evalkit reads {COMPARISON_FORMAT}"
        raise InputError(Problem(shown, what, _AGAIN))
    faults = Faults()
    comparison = read(SystemComparison, {**record, "metric": _open_range(record.get("metric"))}, faults)
    if comparison is None:
        named = "; ".join(f"{word} {', '.join(keys[:5])}" for word, keys in _by_word(faults) if keys)
        raise InputError(Problem(shown, named, _AGAIN))
    if wrong := _contradiction(comparison):
        raise InputError(Problem(shown, wrong, _AGAIN))
    return comparison


def _contradiction(comparison: SystemComparison) -> str:
    """Return what a damaged or foreign file says that no comparison does; empty if there is nothing."""
    names = [each.name for each in comparison.systems]
    unknown = {comparison.reference, *comparison.release, *comparison.candidates}.difference(names)
    if unknown or len(set(names)) < len(names):
        return f"the names of its systems do not fit together: {one_line(min(unknown or names))}"
    outside = [each.folder for each in comparison.systems if not is_inside(each.folder)]
    return f"a folder outside the comparison: {one_line(outside[0])}" if outside else ""


def _open_range(metric: Any) -> Any:
    if not isinstance(metric, dict):
        return metric
    open_ends = {"low": -math.inf, "high": math.inf}
    return {**metric, **{key: end for key, end in open_ends.items() if metric.get(key, 0) is None}}


def _by_word(faults: Faults) -> tuple[tuple[str, list[str]], ...]:
    return ("missing:", faults.missing), ("not of this format:", faults.wrong)
