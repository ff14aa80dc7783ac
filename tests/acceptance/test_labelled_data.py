"""Real rows with people's labels: the whole pipeline replays them, and agreement is what scikit-learn says it is."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import cohen_kappa_score
from typer.testing import CliRunner

from evalkit.aggregate.frame import Frame
from evalkit.aggregate.frozen import freeze
from evalkit.cli.app import app
from evalkit.results import OVERALL, Agreement
from evalkit.trust.agreement import agreement
from evalkit.trust.labels import Label
from evalkit.types import Case, Metric, Output, Row, Score

DATA = Path(__file__).parents[3] / "shared" / "data"
JUDGE = Metric("correctness", judge="recorded:gpt-4", binary=True)
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the labelled data is not on this machine")


def rows_of(name: str) -> Iterator[dict[str, Any]]:
    """Rows of one file."""
    file = DATA / name
    with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def agreed(pairs: list[tuple[dict[str, Any], bool, bool]]) -> Agreement:
    """Overall agreement, by the aggregator, of (row, judge passes, person passes)."""
    frame = Frame([JUDGE], [])
    labels = []
    for row, judge, person in pairs:
        case = Case(id=row["id"], input=row["input"], digest=hashlib.sha256(row["id"].encode()).hexdigest())
        score = Score(JUDGE.name, float(judge), passed=judge)
        frame.add(Row(case=case, output=Output(text=row["output"]), scores={JUDGE.name: score}))
        sha = hashlib.sha256(row["output"].encode()).hexdigest()
        word = "pass" if person else "fail"
        labels.append(
            Label(
                case_id=row["id"], answer_sha256=sha, metric=JUDGE.name, label=word, rater="people", rater_kind="person"
            )
        )
    found = agreement(freeze(frame), labels)
    return next(one for one in found if one.cohort == OVERALL and one.rater_kind == "person")


def test_kappa_of_gpt4_on_open_questions_is_what_scikit_learn_says() -> None:
    """The recorded verdicts of GPT-4 on NQ301 agree with people as scikit-learn computes it."""
    rows = [row for row in rows_of("judged_nq301_dev.jsonl") if row["judges"]["gpt-4"] is not None]
    pairs = [(row, row["judges"]["gpt-4"], row["human"]["correct"]) for row in rows]
    found = agreed(pairs)
    assert found.kappa.value == pytest.approx(cohen_kappa_score([p for *_, p in pairs], [j for _, j, _ in pairs]))
    assert found.kappa.n == len(pairs)
    assert found.trust == "trusted"


def test_kappa_of_gpt4_on_refusals_is_what_scikit_learn_says() -> None:
    """The recorded refusal verdicts of GPT-4 on XSTest agree with people as scikit-learn computes it."""
    known = {"1_full_compliance", "2_full_refusal", "3_partial_refusal"}
    rows = [row for row in rows_of("refusal_xstest_mistral.jsonl.gz") if row["judges"]["gpt-4"] in known]
    pairs = [
        (row, row["judges"]["gpt-4"] == "1_full_compliance", row["human"]["final_label"] == "1_full_compliance")
        for row in rows
    ]
    found = agreed(pairs)
    assert found.kappa.value == pytest.approx(cohen_kappa_score([p for *_, p in pairs], [j for _, j, _ in pairs]))


SUITE = """\
name: clapnq
golden: cases.jsonl
system: {replay: golden}
scorers:
  - token_f1: {when: {has: reference}}
  - rouge_l: {when: {has: reference}}
  - groundedness
  - length: {max: 400}
cohorts: [answerability, system]
gate:
  - pass_rate: {min: 0.5, by: system}
"""


def test_recorded_answers_run_as_a_replay_suite(tmp_path: Path) -> None:
    """Every recorded ClapNQ answer, the empty ones included, goes through the pipeline and ends in a decision."""
    with (tmp_path / "cases.jsonl").open("w", encoding="utf-8") as file:
        for row in rows_of("rag_clapnq_dev.jsonl"):
            kept = {key: row[key] for key in ("id", "input", "reference", "contexts", "output", "cohorts")}
            file.write(json.dumps({**kept, "cluster": row["group"]}) + "\n")
    (tmp_path / "suite.yaml").write_text(SUITE, encoding="utf-8")
    command = ["run", str(tmp_path / "suite.yaml"), "--out", str(tmp_path / "run"), "--progress", "none"]
    ended = CliRunner().invoke(app, command)
    assert ended.exit_code == 0, ended.output
    summary = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    assert summary["states"]["scored"] == summary["expected"] == 240
    systems = {f"system={row['cohorts']['system']}" for row in rows_of("rag_clapnq_dev.jsonl")}
    assert len(systems) == 4
    assert systems <= {cell["cohort"] for cell in summary["cells"]}
