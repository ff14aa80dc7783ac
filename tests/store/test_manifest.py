"""The manifest: the same value and the same bytes after a round trip, and every fault of a file at once."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.disk.json_files import to_json
from evalkit.formats.manifest import Manifest, ReplacedBaseline, Rules, manifest_record, read_manifest
from evalkit.types import Metric

FILES = Path(__file__).with_name("earlier_files")
STORED = sorted(FILES.rglob("manifest.json"))


def stored() -> dict[str, Any]:
    """The record of a run of earlier."""
    record: dict[str, Any] = json.loads((FILES / "second/manifest.json").read_bytes())
    return record


def manifest(**changes: Any) -> Manifest:
    """That run with other values."""
    found, problems = read_manifest(stored(), "m")
    assert found is not None, problems
    return dataclasses.replace(found, **changes)


@pytest.mark.parametrize("file", STORED, ids=lambda file: file.parent.name)
def test_a_stored_manifest_keeps_its_bytes(file: Path) -> None:
    """A run and a saved baseline, read and written again, are the files that they were; a later key has its default."""
    record = json.loads(file.read_bytes())
    assert to_json(record) == file.read_text(encoding="utf-8")
    found, problems = read_manifest(record, file.name)
    assert problems == []
    assert found is not None
    assert to_json(manifest_record(found)) == to_json({"case_changes": [], **record})


def test_what_is_not_known_yet_is_not_written() -> None:
    """A run that has not ended has no end, a run is not a baseline, and no manifest holds the head."""
    record = manifest_record(manifest(finished_at="", wall_s=None, head="abc"))
    assert record.keys() & {"finished_at", "wall_s", "head", "accepted", "replaces"} == set()


def test_a_baseline_without_a_predecessor_differs_from_one_of_an_earlier_version() -> None:
    """`replaces: null` is a fact; where the key is missing, nothing is known."""
    first, old = manifest(accepted="", replaces=None), manifest(accepted="", replaces="unknown")
    assert manifest_record(first)["replaces"] is None
    assert "replaces" not in manifest_record(old)
    again = read_manifest(json.loads(to_json(manifest_record(old))), "m")[0]
    assert again is not None
    assert again.replaces == "unknown"
    other = manifest(accepted="", replaces=ReplacedBaseline(run_id="r", outcome="approved", values={"f1": 0.5}))
    assert read_manifest(json.loads(to_json(manifest_record(other))), "m")[0] == other


@given(st.dictionaries(st.text(min_size=1), st.text(), max_size=4), st.floats(0, 1) | st.none(), st.integers(1, 100))
def test_a_manifest_survives_a_round_trip(texts: dict[str, str], pass_at: float | None, repeats: int) -> None:
    """Whatever names and texts hold, and for ranges without an end."""
    metric = Metric("m", high=float("inf"), pass_at=pass_at)
    rules = Rules(scorers={"m": texts}, repeat=repeats, budget_usd=pass_at)
    value = manifest(system_files=texts, metrics=(metric,), repeats=repeats, rules=rules, versions=texts)
    assert read_manifest(json.loads(to_json(manifest_record(value))), "m") == (value, [])


def test_every_fault_is_named_at_once() -> None:
    """Missing keys, wrong types and values out of range, also inside the parts."""
    record = stored() | {"repeats": 101, "cohorts": "size", "golden": {"path": "x", "n_cases": True}, "former": {}}
    del record["seed"], record["metrics"][1]["higher_is_better"]
    found, problems = read_manifest(record, "reports/r/manifest.json")
    assert found is None
    assert sorted(problem.what for problem in problems) == [
        "`cohorts` is missing or invalid",
        "`former.blocks` is missing",
        "`former.cases` is missing",
        "`golden.n_cases` is missing or invalid",
        "`golden.sha256` is missing",
        "`metrics[1].higher_is_better` is missing",
        "`repeats` is missing or invalid",
        "`seed` is missing",
    ]
    assert {problem.place for problem in problems} == {"reports/r/manifest.json"}


def test_keys_of_a_later_version_are_kept() -> None:
    """They decide nothing, and are written again."""
    found, problems = read_manifest(stored() | {"region": {"name": "eu"}}, "m")
    assert problems == []
    assert found is not None
    assert manifest_record(found)["region"] == {"name": "eu"}


@pytest.mark.parametrize("rules", [None, 3, [], {}, {"gate": []}, stored()["rules"] | {"labels": {"a": {"n": "x"}}}])
def test_rules_that_no_run_wrote_are_unknown(rules: Any) -> None:
    """They are compared with nothing, and the run is read."""
    found, problems = read_manifest(stored() | {"rules": rules}, "m")
    assert problems == []
    assert found is not None
    assert found.rules is None
