"""comparison.json on disk."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.aggregate.system_comparison import (
    CohortDifference,
    FactorEffect,
    RankInterval,
    SystemComparison,
    SystemFigures,
)
from evalkit.errors import InputError
from evalkit.results import Estimate
from evalkit.store.comparison import store_comparison, stored_comparison
from evalkit.store.folder import COMPARISON
from evalkit.types import Metric


def a_comparison() -> SystemComparison:
    """Make one in which every field has a value."""
    seen = Estimate(value=-0.01, low=-0.05, high=0.03, n=100, method="max-|t|")
    figures = SystemFigures(
        name="b",
        factors={"model": "m"},
        folder="systems/b",
        n_cases=100,
        n_scored=99,
        n_errors=1,
        primary=seen,
        difference=seen,
        p_value=0.4,
        rank=RankInterval(best=1, worst=2),
        worst_cohort="topic=x",
        worst_cohort_value=0.5,
        cost_usd_per_case=0.1,
        tokens_per_case=12,
        latency_p50_s=0.5,
        latency_p95_s=1.5,
        frontier="dominated",
        on_frontier=0.01,
        dominated_by="a",
        outcome="blocked",
    )
    return SystemComparison(
        suite="s",
        primary="cost",
        higher_is_better=False,
        metric=Metric(name="cost", high=math.inf, higher_is_better=False, unit="USD"),
        reference="a",
        release=("b",),
        systems=(figures, replace(figures, name="a", folder="systems/a")),
        candidates=("a", "b"),
        winner_shrunken=0.1,
        cases_to_part=400,
        false_mark_rate=0.05,
        effects=(FactorEffect(factor="model", level="m", effect=seen),),
        interaction_p=0.3,
        cohorts=(CohortDifference(system="b", cohort="topic=x", n_cases=9, difference=seen),),
        disagreements=("c1",),
        notes=("b has no rank",),
    )


def test_a_comparison_is_read_as_it_was_written(tmp_path: Path) -> None:
    """An open range is null in the file and infinite in the value; equal comparisons give equal bytes."""
    file = store_comparison(tmp_path, a_comparison())
    first = file.read_bytes()
    assert stored_comparison(tmp_path) == a_comparison()
    assert store_comparison(tmp_path, stored_comparison(tmp_path)).read_bytes() == first
    record = json.loads(first)
    assert record["format"] == 1
    assert record["metric"]["high"] is None


def test_keys_of_later_versions_are_ignored(tmp_path: Path) -> None:
    """A later evalkit may add keys without another format."""
    file = store_comparison(tmp_path, a_comparison())
    file.write_text(json.dumps({**json.loads(file.read_text()), "later": 1}))
    assert stored_comparison(tmp_path) == a_comparison()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "format 2, this evalkit reads 1"),
        ({"systems": "x"}, "not of this format: systems"),
        ({"systems": [{"name": "b"}]}, "missing: systems[0].folder"),
        ({"candidates": [1]}, "not of this format: candidates[0]"),
        ({"cohorts": [{"system": "b"}]}, "missing: cohorts[0].cohort"),
        ({"metric": 3}, "not of this format: metric"),
        ({"winner_shrunken": math.nan}, "winner_shrunken: JSON cannot hold float nan"),
        ({"candidates": ["nobody"]}, "the names of its systems do not fit together: nobody"),
        ({"reference": "nobody"}, "do not fit together: nobody"),
        ({"winner_shrunken": True}, "not of this format: winner_shrunken"),
    ],
)
def test_a_damaged_file_is_an_input_error(tmp_path: Path, change: dict[str, object], words: str) -> None:
    """With the place and the fix, and no traceback."""
    file = store_comparison(tmp_path, a_comparison())
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(InputError) as caught:
        stored_comparison(tmp_path)
    assert words in str(caught.value)
    assert COMPARISON in str(caught.value)


@pytest.mark.parametrize("folder", ["/etc", "../other", "systems/../../x", "systems\\..\\x"])
def test_a_folder_outside_the_comparison_is_refused(tmp_path: Path, folder: str) -> None:
    """Pages read the run folders that the file names."""
    file = store_comparison(tmp_path, a_comparison())
    record = json.loads(file.read_text())
    record["systems"][0]["folder"] = folder
    file.write_text(json.dumps(record))
    with pytest.raises(InputError, match="a folder outside the comparison"):
        stored_comparison(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "[]", "null", "\xff"])
def test_a_file_that_is_no_record_is_an_input_error(tmp_path: Path, text: str) -> None:
    """Cut, too deep, or of another kind."""
    (tmp_path / COMPARISON).write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"comparison\.json"):
        stored_comparison(tmp_path)


def test_a_folder_without_a_comparison_is_an_input_error(tmp_path: Path) -> None:
    """It may be the folder of a single run."""
    with pytest.raises(InputError, match="so it is not a comparison"):
        stored_comparison(tmp_path)
