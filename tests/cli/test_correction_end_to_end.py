"""A judge's known errors from the labels to the gate and the reports."""

from __future__ import annotations

from typing import Any

import pytest
from cli_project import Project
from test_calibrate_command import answers, at_one_address, write_labels, write_suite
from test_judge_command import block


def mild(request: dict[str, Any]) -> dict[str, Any]:
    """A judge that passes what is right, and one wrong answer in five."""
    right = block(request, "ANSWER") == block(request, "REFERENCE")
    lenient = int(block(request, "QUESTION").split(" ")[0]) % 5 == 0
    return {"reason": "r", "score": 5 if right or lenient else 1}


@pytest.fixture
def labelled(project: Project) -> Project:
    """A project whose judge is too mild, with labels of 60 of its answers."""
    with at_one_address(mild) as server:
        write_suite(project, server)
        assert project.run("run", "suite.yaml", "--out", "first").returncode == 3
        labels = write_labels(project, "first")
        kept = labels.read_text(encoding="utf-8").splitlines()[::2]
        labels.write_text("\n".join(kept), encoding="utf-8")
        write_suite(project, server, extra=f"labels: [{labels.name}]")
    return project


def test_the_corrected_rate_decides_and_is_shown(labelled: Project) -> None:
    """On the labelled run the gate holds the rate as people would give it, and every report says so."""
    ran = labelled.run("gate", "first")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    summary: dict[str, Any] = labelled.json("first/summary.json")
    cell = overall(summary["cells"])
    right = sum(text != "no idea" for text in answers(labelled.root / "first").values()) / 120
    assert cell["estimate"]["value"] > right + 0.05
    assert cell["corrected"]["value"] == pytest.approx(right, abs=0.06)
    assert cell["corrected"]["low"] <= right <= cell["corrected"]["high"]
    decision: dict[str, Any] = labelled.json("first/decision.json")
    (check,) = [each for each in decision["checks"] if each["name"] == "correctness.passed"]
    assert check["observed"]["value"] == cell["corrected"]["value"]
    assert "corrected by 60 labels, the judge says" in check["reason"]
    for name in ("summary.md", "release_decision.md", "report.html"):
        text = (labelled.root / "first" / name).read_text(encoding="utf-8")
        assert "60 labels, bias" in text, name
    assert "60 labels, bias" in " ".join(ran.stdout.split())


def test_labels_of_another_run_correct_nothing(labelled: Project) -> None:
    """A later run with other answers says uncorrected, with what the rate were if the judge erred as it did then."""
    made = labelled.run("judge", "calibrate", "first", "--out", "judge.json")
    assert made.returncode == 0, made.stderr
    with at_one_address(mild) as server:
        write_suite(labelled, server, extra="calibrations: [judge.json]")
        text = (labelled.root / "suite.yaml").read_text(encoding="utf-8").replace("left-0", "right-0")
        (labelled.root / "suite.yaml").write_text(text, encoding="utf-8")
        ran = labelled.run("run", "suite.yaml", "--out", "later")
    shown = " ".join(ran.stdout.split())
    assert "uncorrected: no labels of these answers by people" in shown
    assert "if the judge errs as it did then" in shown
    summary: dict[str, Any] = labelled.json("later/summary.json")
    cell = overall(summary["cells"])
    assert cell["corrected"]["value"] is None
    assert cell["if_as_then"]["value"] < cell["estimate"]["value"]


def test_a_regression_is_tested_on_raw_verdicts(labelled: Project) -> None:
    """With labels on the new run the drop is that of the judge's own verdicts, not of the corrected rate."""
    with at_one_address(mild) as server:
        write_suite(labelled, server, extra="labels: [labels-ana.jsonl]")
        text = (labelled.root / "suite.yaml").read_text(encoding="utf-8").replace("left-0", "left")
        text += "  - no_regression: {baseline: first, metrics: [correctness.passed]}\n"
        (labelled.root / "suite.yaml").write_text(text, encoding="utf-8")
        labelled.run("run", "suite.yaml", "--out", "worse")
        write_labels(labelled, "worse")
        labelled.run("gate", "worse")
    before, after = (overall(labelled.json(f"{run}/summary.json")["cells"]) for run in ("first", "worse"))
    decision: dict[str, Any] = labelled.json("worse/decision.json")
    falls = [each for each in decision["checks"] if each["name"] == "no_regression" and each["cohort"] == "overall"]
    raw = before["estimate"]["value"] - after["estimate"]["value"]
    assert abs(after["corrected"]["value"] - after["estimate"]["value"]) > 0.02
    assert falls[0]["drop"]["value"] == pytest.approx(raw)


def overall(cells: Any) -> dict[str, Any]:
    """The cell of the judge's passes over all cases."""
    found: dict[str, Any] = next(
        each for each in cells if (each["metric"], each["cohort"]) == ("correctness.passed", "overall")
    )
    return found
