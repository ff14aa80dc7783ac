"""Recorded judges through `run` and `judge calibrate`: the figures of scikit-learn and statsmodels."""

import gzip
import hashlib
import json
import math
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student
from sklearn.metrics import cohen_kappa_score, confusion_matrix
from statsmodels.stats.inter_rater import cohens_kappa
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.stats.ranking import flip_rate, position_bias

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the labelled data is not on this machine")
XSTEST_LEVELS = {"1_full_compliance": 1, "3_partial_refusal": 2, "2_full_refusal": 3}


def rows_of(name: str) -> Iterator[dict[str, Any]]:
    """Rows of one file."""
    file = DATA / name
    with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def calibrated(
    folder: Path,
    rows: Iterable[Mapping[str, Any]],
    scorer: str,
    labels: Iterable[Mapping[str, Any]],
    cohorts: Iterable[str],
    *,
    gate: str = "failures: 100000",
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Replay recorded answers and verdicts, and calibrate: (summary, agreement)."""
    with (folder / "cases.jsonl").open("w", encoding="utf-8") as file:
        for row in rows:
            kept = {key: row[key] for key in ("id", "input", "output", "judges", "cohorts")}
            kept["cohorts"] = {name: str(value) for name, value in row["cohorts"].items()}
            file.write(json.dumps({**kept, "cluster": row["group"]}) + "\n")
    (folder / "labels.jsonl").write_text("\n".join(map(json.dumps, labels)), encoding="utf-8")
    suite = f"name: recorded\ngolden: cases.jsonl\nsystem: {{replay: golden}}\nscorers:\n  - {scorer}\n"
    suite += f"cohorts: [{', '.join(cohorts)}]\nlabels: [labels.jsonl]\ngate:\n  - coverage: 0.9\n  - {gate}\n"
    (folder / "suite.yaml").write_text(suite, encoding="utf-8")
    run = CliRunner().invoke(
        app, ["run", str(folder / "suite.yaml"), "--out", str(folder / "run"), "--progress", "none"]
    )
    assert run.exit_code in (0, 3), run.output
    found = CliRunner().invoke(app, ["judge", "calibrate", str(folder / "run"), "--json"])
    assert found.exit_code == 0, found.output
    return json.loads((folder / "run" / "summary.json").read_text(encoding="utf-8")), json.loads(found.stdout)


def label(row: Mapping[str, Any], metric: str, value: Any, rater: str) -> dict[str, Any]:
    """One line of a label file."""
    digest = hashlib.sha256(row["output"].encode()).hexdigest()
    said = ("pass" if value else "fail") if isinstance(value, bool) else value
    return {
        "case_id": row["id"], "answer_sha256": digest, "scorer": metric, "label": said, "rater": rater,
        "rater_kind": "person",
    }  # fmt: skip


def overall(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The judge's own entry."""
    return next(each for each in found if each["cohort"] == "overall" and each["judge"].startswith("recorded:"))


def error_by_questions(people: list[bool], judge: list[bool], questions: list[Any]) -> float:
    """The standard error of kappa from each question's summed influence (delta method), times sqrt(G / (G - 1))."""
    person, verdict = np.array(people, dtype=float), np.array(judge, dtype=float)
    p, q = person.mean(), verdict.mean()
    agreed, by_chance = (person == verdict).mean(), p * q + (1 - p) * (1 - q)
    of_agreement = (person == verdict) - agreed
    of_chance = np.where(person == 1, q, 1 - q) + np.where(verdict == 1, p, 1 - p) - 2 * by_chance
    influence = of_agreement / (1 - by_chance) - (1 - agreed) / (1 - by_chance) ** 2 * of_chance
    names, owner = np.unique(np.array(questions, dtype=str), return_inverse=True)
    sums = np.bincount(owner, weights=influence, minlength=len(names))
    return float(np.sqrt(len(names) / (len(names) - 1) * (sums**2).sum()) / len(person))


@pytest.mark.parametrize("judge", ["gpt-4", "text-davinci-003"])
def test_judges_of_open_questions(tmp_path: Path, judge: str) -> None:
    """Kappa, its error, agreement, sensitivity and specificity on NQ301, overall and by cohort, to 1e-9."""
    rows = list(rows_of("judged_nq301_dev.jsonl"))
    labels = [label(row, "correct", row["human"]["correct"], "adjudicated") for row in rows]
    scorer = f"recorded: {{name: correct, at: judges.{judge}, judge: {judge}}}"
    _, found = calibrated(tmp_path, rows, scorer, labels, ["answer_form"])
    for cohort in ("overall", "answer_form=short", "answer_form=long"):
        chosen = [row for row in rows if row["judges"][judge] is not None]
        if cohort != "overall":
            chosen = [row for row in chosen if row["cohorts"]["answer_form"] == cohort.partition("=")[2]]
        people, said = [r["human"]["correct"] for r in chosen], [r["judges"][judge] for r in chosen]
        mine = next(each for each in found if each["cohort"] == cohort)
        table = confusion_matrix(people, said)
        assert mine["confusion"] == table.tolist()
        assert mine["kappa"]["value"] == pytest.approx(cohen_kappa_score(people, said), abs=1e-9)
        questions = [row["group"] for row in chosen]
        half = (math.atanh(mine["kappa"]["high"]) - math.atanh(mine["kappa"]["low"])) / 2
        error = half / student.ppf(0.975, len(set(questions)) - 1) * (1 - mine["kappa"]["value"] ** 2)
        assert error == pytest.approx(error_by_questions(people, said, questions), rel=1e-9)
        alone = error_by_questions(people, said, list(range(len(people))))
        n = len(people)
        assert alone == pytest.approx(cohens_kappa(table).std_kappa * math.sqrt(n / (n - 1)), rel=1e-9)
        assert mine["sensitivity"] == pytest.approx(table[1, 1] / table[1].sum(), abs=1e-12)
        assert mine["specificity"] == pytest.approx(table[0, 0] / table[0].sum(), abs=1e-12)


def test_people_are_the_ceiling_of_open_questions(tmp_path: Path) -> None:
    """The two annotators' own kappa is what scikit-learn says, and their alpha stands beside it."""
    rows = list(rows_of("judged_nq301_dev.jsonl"))
    labels = [label(row, "correct", said, who) for row in rows for who, said in row["human"]["annotators"].items()]
    scorer = "recorded: {name: correct, at: judges.gpt-4, judge: gpt-4}"
    _, found = calibrated(tmp_path, rows, scorer, labels, [])
    pair = next(each for each in found if each["judge"] == "rater annotator1 / annotator2")
    both = [
        row["human"]["annotators"] for row in rows
        if {"annotator1", "annotator2"} <= set(row["human"]["annotators"]) and row["judges"]["gpt-4"] is not None
    ]  # fmt: skip
    expected = cohen_kappa_score([each["annotator1"] for each in both], [each["annotator2"] for each in both])
    assert pair["kappa"]["value"] == pytest.approx(expected, abs=1e-9)
    assert any(each["judge"] == "3 raters" and 0 < each["kappa"]["value"] < 1 for each in found)


def test_malformed_verdicts_of_refusals_are_unscored(tmp_path: Path) -> None:
    """The 11 cells of XSTest where GPT-4 wrote a sentence are unscored; the other 889 agree as scikit-learn says."""
    rows = list(rows_of("refusal_xstest_mistral.jsonl.gz"))
    labels = [label(row, "refusal", XSTEST_LEVELS[row["human"]["final_label"]], "people") for row in rows]
    levels = json.dumps(XSTEST_LEVELS)
    scorer = f"recorded: {{name: refusal, at: judges.gpt-4, judge: gpt-4, levels: {levels}, advisory: true}}"
    summary, found = calibrated(tmp_path, rows, scorer, labels, ["system"], gate="refusal: {min: 1}")
    assert summary["unscored_kinds"] == {"no_verdict": 11}
    known = [row for row in rows if row["judges"]["gpt-4"] in XSTEST_LEVELS]
    people, said = (
        [XSTEST_LEVELS[row[a][b]] for row in known] for a, b in (("human", "final_label"), ("judges", "gpt-4"))
    )
    mine = overall(found)
    assert len(known) == mine["kappa"]["n"] == 889
    estimates = {**mine["other_kappas"], "quadratic": mine["kappa"]}
    for name, estimate in estimates.items():
        weights = None if name == "unweighted" else name
        expected = cohen_kappa_score(people, said, weights=weights, labels=[1, 2, 3])
        assert estimate["value"] == pytest.approx(expected, abs=1e-9)
    assert "11 labels left out (of an answer that the judge did not grade)" in mine["note"]


@pytest.mark.parametrize("judge", ["GPT-4", "ChatGPT", "PaLM2", "LLaMA2"])
def test_position_bias_of_recorded_pairs(judge: str) -> None:
    """Share of flips and preference for the first place are counted as the verdicts in both orders say."""
    verdicts = [row["judges"][judge] for row in rows_of("pairwise_llmbar.jsonl")]
    known = [each for each in verdicts if each["as_given"] and each["swapped"]]
    first = [float(each["as_given"] == "a") for each in known]
    second = [float(each["swapped"] == "a") for each in known]
    flips = sum(each["as_given"] != each["swapped"] for each in known)
    to_first = sum(each["as_given"] == "a" and each["swapped"] == "b" for each in known)
    to_second = sum(each["as_given"] == "b" and each["swapped"] == "a" for each in known)
    assert flip_rate(first, second) == pytest.approx(flips / len(known))
    assert position_bias(first, second).value == pytest.approx((to_first - to_second) / len(known))
    assert flips > 0


SAFETY_SUITE = """\
name: refusals
golden: cases.jsonl
system: {replay: ANSWERS}
scorers:
  - contains: {name: ok, all: ["[ok]"]}
cohorts: [prompt_unsafe]
gate:
  - no_regression: {baseline: BASELINE, metrics: [pass_rate], critical: ["prompt_unsafe=False"]}
"""


def test_an_overall_gain_does_not_hide_a_cohort_that_fell(tmp_path: Path) -> None:
    """XSTest: the guarded model is far better overall, refuses safe prompts it used to answer, and is blocked there."""
    (tmp_path / "pyproject.toml").touch()
    rows = list(rows_of("refusal_xstest_mistral.jsonl.gz"))
    with (tmp_path / "cases.jsonl").open("w", encoding="utf-8") as file:
        for row in rows:
            if row["system"] == "mistralguard":
                unsafe = str(row["cohorts"]["prompt_unsafe"])
                case = {"id": row["group"], "input": row["input"], "cohorts": {"prompt_unsafe": unsafe}}
                file.write(json.dumps(case) + "\n")
    for system in ("mistralinstruct", "mistralguard"):
        with (tmp_path / f"{system}.jsonl").open("w", encoding="utf-8") as file:
            for row in rows:
                if row["system"] == system:
                    answer = "[ok]" if row["human"]["ok"] else "[wrong]"
                    file.write(json.dumps({"id": row["group"], "output": answer}) + "\n")
    ended = []
    for system, baseline in (("mistralinstruct", "none"), ("mistralguard", "reports/mistralinstruct")):
        text = SAFETY_SUITE.replace("ANSWERS", f"{system}.jsonl").replace("BASELINE", baseline)
        (tmp_path / f"{system}.yaml").write_text(text, encoding="utf-8")
        command = ["-m", "evalkit", "run", f"{system}.yaml", "--out", f"reports/{system}", "--progress", "none"]
        command += ["--baseline", baseline]
        ended.append(
            subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        )
    assert ended[1].returncode == 1, ended[1].stdout + ended[1].stderr
    checks = json.loads((tmp_path / "reports/mistralguard/decision.json").read_text(encoding="utf-8"))["checks"]
    found = {each["cohort"]: each for each in checks if each["name"] == "no_regression"}
    assert found["overall"]["drop"]["value"] < -0.1
    assert found["prompt_unsafe=False"]["outcome"] == "block"
    assert found["prompt_unsafe=True"]["outcome"] == "pass"
    assert "while pass_rate rose overall" in found["prompt_unsafe=False"]["reason"]
