"""The same rows give the same bytes: whatever order they were finished in, and whatever was run again since."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalkit.operations.run import decide_again
from evalkit.store.folder import DECISION, SUMMARY, TIMINGS, RunFolder
from evalkit.store.journal import Journal
from evalkit.types import Case, Failure, Output, Row, Score, Unscored, Usage

SUITE = """\
name: sums
golden: cases.jsonl
system: {replay: golden}
scorers: [exact, token_f1]
cohorts: [group, query_length]
gate:
  - pass_rate: {min: 0.5, by: group}
  - latency_p95_s: {max: 1}
  - failures: {severity: critical, max: 1}
"""
METRIC = {"low": 0.0, "high": 1.0, "higher_is_better": True, "judge": None, "unit": "", "diagnostic": False}
MANIFEST = {
    "format": 1, "run_id": "r", "suite": "sums", "suite_file": "suite.yaml", "score_keys": {}, "expected": 12,
    "metrics": [{**METRIC, "name": "exact", "binary": True}, {**METRIC, "name": "token_f1", "binary": False}],
    "advisory": [], "cohorts": ["group", "query_length"], "repeats": 2, "partial": None, "seed": 0, "notices": [],
    "golden": {"path": "g.jsonl", "sha256": "ab", "n_cases": 1}, "system": {},
}  # fmt: skip
KEYS = [(number, repeat) for number in range(6) for repeat in range(2)]


def a_row(number: int, repeat: int, end: str, value: float) -> Row:
    """A row of one of six cases."""
    case = Case(
        id=f"c{number}",
        input="a b c" * number,
        digest=f"{number}" * 64,
        severity="critical" if number == 3 else "low",
        cohorts={"group": "ab"[number % 2]},
        cluster="one" if number < 2 else None,
    )
    if end == "error":
        return Row(case=case, repeat=repeat, failure=Failure(f"http_{500 + number % 2}", "down"))
    said = Output(text=f"{value}", latency_s=value, usage=Usage(cost_usd=value / 7, output_tokens=3))
    exact = Score("exact", float(value > 0.4), passed=value > 0.4)
    graded = Unscored("token_f1", f"odd_{number % 3}") if end == "unscored" else Score("token_f1", value)
    return Row(case=case, repeat=repeat, output=said, scores={"exact": exact, "token_f1": graded})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunFolder]:
    """A run folder without rows."""
    root = tmp_path_factory.mktemp("same")
    (root / "pyproject.toml").touch()
    (root / "suite.yaml").write_text(SUITE, encoding="utf-8")
    (root / "cases.jsonl").touch()
    (root / "run").mkdir()
    (root / "run" / "manifest.json").write_text(json.dumps(MANIFEST), encoding="utf-8")
    yield RunFolder(root / "run")


def bytes_of(folder: RunFolder, rows: list[Row]) -> list[bytes]:
    """What is compared of a run with these rows in this order."""
    folder.rows_file.unlink(missing_ok=True)
    with Journal(folder.rows_file) as journal:
        for row in rows:
            journal.append(row)
    decide_again(folder, folder.path.parent / "suite.yaml", None)
    return [folder.file(name).read_bytes() for name in (SUMMARY, TIMINGS, DECISION)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
@pytest.mark.slow
def test_any_order_of_completion_gives_the_same_bytes(folder: RunFolder, data: st.DataObject) -> None:
    """Summary, timings and decision; rows that were run again since count as if they had never been."""
    ends = st.tuples(
        st.sampled_from(["scored", "scored", "error", "unscored"]),
        st.sampled_from([0.0, 0.1, 0.2, 1 / 3, 0.5, 0.7, 1.0]),
    )
    rows = [a_row(*key, *data.draw(ends)) for key in data.draw(st.lists(st.sampled_from(KEYS), unique=True))]
    before = [a_row(int(row.case.id[1:]), row.repeat, "error", 0.0) for row in rows[:4]]
    turned = data.draw(st.permutations(rows))
    assert bytes_of(folder, rows) == bytes_of(folder, [*before, *turned])
