"""A run as a pandas frame, and a threshold fitted to labels."""

import json
import random
from pathlib import Path

import pandas as pd
import pytest

from evalkit.analysis import fit_threshold, to_pandas
from evalkit.errors import InputError
from evalkit.scorers.rules.overlap import Groundedness
from evalkit.store.journal import Journal
from evalkit.types import Case, Failure, Output, Row, Score, Unscored

CLAPNQ = Path(__file__).parents[2] / "shared" / "data" / "rag_clapnq_dev.jsonl"

MANIFEST = """{"format": 1, "run_id": "r", "suite": "s", "suite_file": "s.yaml",
"golden": {"path": "g", "sha256": "ab", "n_cases": 1}, "system": {},
"metrics": [],
"advisory": [], "score_keys": {}, "cohorts": [], "seed": 0, "repeats": 1, "expected": 3, "partial": null, "notices": []}
"""


def test_unknowns_are_missing_and_ids_stay_text(tmp_path: Path) -> None:
    """One line a grade; no unknown is a number."""
    (tmp_path / "manifest.json").write_text(MANIFEST, encoding="utf-8")
    scores = {"a": Score("a", 0.5, passed=True), "b": Unscored("b", "judge_error")}
    with Journal(tmp_path / "rows.jsonl") as journal:
        journal.append(
            Row(case=Case(id="007", input="q", digest="x", cohorts={"d": "u"}), output=Output(text="t"), scores=scores)
        )
        journal.append(Row(case=Case(id="8", input="q", digest="y"), failure=Failure("timeout", "")))
    frame = to_pandas(tmp_path)
    assert frame["case_id"].tolist() == ["007", "007", "8"]
    assert frame["value"].isna().tolist() == [False, True, True]
    assert frame["unscored"].dropna().tolist() == ["judge_error"]
    assert frame["state"].tolist() == ["unscored", "unscored", "system_error"]
    assert frame["value"].mean() == 0.5
    assert frame.loc[0, "cohort.d"] == "u"
    assert frame.loc[0, "passed"] is pd.NA or frame["passed"].tolist()[0]


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    """The frame of nothing is an error."""
    with pytest.raises(InputError, match="not a run folder"):
        to_pandas(tmp_path)


def test_a_clear_threshold_is_found() -> None:
    """Scores that split at .6 give a mark between the two sides and full agreement."""
    values = [i / 100 for i in range(100)]
    found = fit_threshold(values, [value >= 0.6 for value in values])
    assert found.value == 0.6
    assert found.kappa.value is not None
    assert found.kappa.value > 0.9
    assert (found.n_pass, found.n_fail) == (40, 60)


def test_noise_earns_no_kappa() -> None:
    """Out of fold, labels that have nothing to do with the scores agree by chance only."""
    rng = random.Random(3)
    found = fit_threshold([rng.random() for _ in range(400)], [rng.random() < 0.5 for _ in range(400)])
    assert found.kappa.value is not None
    assert abs(found.kappa.value) < 0.15


@pytest.mark.parametrize(
    ("values", "labels", "said"),
    [
        pytest.param([0.1] * 30, [True] * 25 + [False] * 5, "label at least 10 of each", id="few fails"),
        pytest.param([0.1] * 30, [True] * 29, "differ in length", id="lengths"),
    ],
)
def test_too_little_is_refused_with_a_fix(values: list[float], labels: list[bool], said: str) -> None:
    """No threshold is made of nothing."""
    with pytest.raises(ValueError, match=said):
        fit_threshold(values, labels)


@pytest.mark.skipif(not CLAPNQ.exists(), reason="the labelled data is not on this machine")
def test_groundedness_on_answers_that_people_judged() -> None:
    """A mark fitted to people's faithfulness labels of ClapNQ has a kappa with an interval, held out by question."""
    rows = [json.loads(line) for line in CLAPNQ.read_text(encoding="utf-8").split("\n") if line]
    scorer = Groundedness()
    values, labels, groups = [], [], []
    for row in rows:
        case = Case(id=row["id"], input=row["input"], contexts=tuple(row["contexts"]))
        for grade in scorer.score(case, Output(text=row["output"])):
            if grade.metric.endswith("content_words") and isinstance(grade, Score):
                values.append(grade.value)
                labels.append(row["human"]["faithful_majority"])
                groups.append(row["group"])
    found = fit_threshold(values, labels, groups)
    assert 0 < found.value <= 1
    assert found.kappa.value is not None
    assert found.kappa.low is not None
    assert found.kappa.low <= found.kappa.value
