"""The suite that asks a model, through a real endpoint (our own server) and without one."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evalkit.testing import FakeModel

ROOT = Path(__file__).parents[2]
NEEDS_NO_JUDGE = {"keywords", "refusal", "ragas.semantic_similarity"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the demonstration."""
    root = tmp_path_factory.mktemp("llm")
    (root / "pyproject.toml").touch()
    for folder in ("suites", "golden_sets"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def grades(project: Path, suite: str, out: str) -> dict[str, list[dict[str, Any]]]:
    """Grades by metric of six cases that have a source."""
    words = ["run", str(project / "suites" / suite), "--out", str(project / out), "--progress", "none"]
    for number in ("001", "002", "003"):
        words += ["--case", f"golden-aml-{number}", "--case", f"golden-privacy-{number}"]
    # In a process of its own: another test may have loaded the bot from the repository.
    command = [sys.executable, "-m", "evalkit", *words]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 3, ended.stderr
    found: dict[str, list[dict[str, Any]]] = {}
    for line in (project / out / "rows.jsonl").read_text(encoding="utf-8").splitlines():
        for name, grade in json.loads(line)["row"]["scores"].items():
            found.setdefault(name, []).append(grade)
    return found


def test_every_judged_metric_is_scored_through_an_endpoint(project: Path) -> None:
    """Rubric judges, ragas and deepeval all ask the configured endpoint, and each metric of each case has a grade."""
    text = (project / "suites" / "llm.yaml").read_text(encoding="utf-8")
    with FakeModel() as server:
        (project / "suites" / "served.yaml").write_text(
            text.replace("http://127.0.0.1:8000/v1", server.base_url), encoding="utf-8"
        )
        found = grades(project, "served.yaml", "served")
        asked = len(server.requests)
    assert len(found) == 14
    assert asked > 6 * 8
    for name, all_ in found.items():
        assert len(all_) == 6, name
        assert all("value" in grade or grade["unscored"] for grade in all_), name
    scored = {name for name, all_ in found.items() if any("value" in grade for grade in all_)}
    assert {
        "correctness",
        "faithfulness",
        "ragas.faithfulness",
        "deepeval.g_eval",
        "deepeval.answer_relevancy",
    } <= scored


def test_without_an_endpoint_they_are_unscored_by_name(project: Path) -> None:
    """What needs a judge says that there is none; what needs none is scored; nothing is dropped."""
    lines = (project / "suites" / "llm.yaml").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("judge:"))
    (project / "suites" / "alone.yaml").write_text(text, encoding="utf-8")
    found = grades(project, "alone.yaml", "alone")
    assert len(found) == 14
    for name, all_ in found.items():
        if name in NEEDS_NO_JUDGE:
            assert all("value" in grade for grade in all_), name
        else:
            assert {grade["unscored"] for grade in all_} == {"no_judge_endpoint"}, name
