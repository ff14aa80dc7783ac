"""Check that a stored file has the shape that this version writes."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

from evalkit.errors import Problem

MANIFEST_SHAPE: Mapping[str, Any] = {
    "run_id": str,
    "suite": str,
    "suite_file": str,
    "golden": dict[str, Any],
    "system": dict[str, Any],
    "metrics": list[dict[str, Any]],
    "advisory": list[str],
    "score_keys": dict[str, dict[str, str]],
    "cohorts": list[str],
    "seed": int,
    "repeats": int,
    "expected": int,
    "partial": str | None,
    "notices": list[str],
}
"""Key of a manifest -> its type; further keys are shown but have no effect."""
LATER_SHAPE: Mapping[str, Any] = {
    "accepted": str,
    "answers": dict[str, str] | None,
    "baseline": str | None,
    "baseline_system": str | None,
    "case_changes": list[dict[str, Any]],
    "command": str,
    "commit": str | None,
    "earlier_scorings": dict[str, dict[str, Any]],
    "finished_at": str,
    "former": dict[str, Any] | None,
    "head": str,
    "host": dict[str, Any],
    "judge": dict[str, Any] | None,
    "repeat_rule": str,
    "replaces": dict[str, Any] | None,
    "rules": dict[str, Any],
    "sample": dict[str, Any] | None,
    "scoring": str,
    "started_at": str,
    "suite_sha256": str,
    "system_files": dict[str, str],
    "versions": dict[str, str],
    "wall_s": float | None,
}
"""The same for keys that unfinished runs, and runs of earlier versions, may lack."""
GOLDEN_SHAPE: Mapping[str, Any] = {"path": str, "sha256": str, "n_cases": int}
FORMER_SHAPE: Mapping[str, Any] = {"cases": list[str], "blocks": bool}
MAX_REPEATS = 100
METRIC_SHAPE: Mapping[str, Any] = {
    "name": str,
    "low": float | None,
    "high": float | None,
    "higher_is_better": bool,
    "binary": bool,
    "judge": str | None,
    "unit": str,
    "diagnostic": bool,
    "pass_at": float | None,
    "concern": str,
}
_LATER = ("diagnostic", "pass_at", "concern")
"""Keys of a metric that runs of earlier versions may lack, such as stored baselines."""


def manifest_problems(file: str, manifest: Mapping[str, Any]) -> list[Problem]:
    """List the keys of a manifest that are missing or have the wrong type."""
    keys = [(f"`{key}`", manifest.get(key, ...), hint) for key, hint in MANIFEST_SHAPE.items()]
    keys += [(f"`{key}`", manifest[key], hint) for key, hint in LATER_SHAPE.items() if key in manifest]
    if isinstance(sample := manifest.get("sample"), dict):
        strata = sample.get("strata", ...)
        whole = fits(strata, dict[str, list[float]]) and all(len(counts) == 2 for counts in strata.values())
        keys += [("`sample.by`", sample.get("by", ...), str), ("`sample.strata`", whole or None, bool)]
    if isinstance(former := manifest.get("former"), dict):
        keys += [(f"`former.{key}`", former.get(key, ...), hint) for key, hint in FORMER_SHAPE.items()]
    golden, repeats = manifest.get("golden"), manifest.get("repeats")
    for name, hint in GOLDEN_SHAPE.items():
        keys += [(f"`golden.{name}`", golden.get(name, ...), hint)] if isinstance(golden, dict) else []
    if isinstance(repeats, int) and not 1 <= repeats <= MAX_REPEATS:
        keys.append(("`repeats`", None, bool))
    metrics = manifest.get("metrics")
    for at, metric in enumerate(metrics if isinstance(metrics, list) else ()):
        record = metric if isinstance(metric, Mapping) else {}
        keys += [
            (f"`metrics[{at}].{key}`", record.get(key, ...), hint)
            for key, hint in METRIC_SHAPE.items()
            if key in record or key not in _LATER
        ]
    return [
        Problem(file, f"{key} is {'missing' if value is ... else 'not what a run writes'}", "run the suite again")
        for key, value, hint in keys
        if not fits(value, hint)
    ]


def fits(value: Any, hint: Any) -> bool:
    """Return True if a JSON value has the type; a whole number is a float, a bool is not a number."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value is not ...
    if origin is list:
        return isinstance(value, list) and all(fits(item, parts[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(item, parts[1]) for item in value.values())
    if parts:
        return any(fits(value, part) for part in parts)
    wanted = (int, float) if hint is float else hint
    return isinstance(value, wanted) and (hint is bool or not isinstance(value, bool))
