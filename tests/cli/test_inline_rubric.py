"""A rubric that is a text in the suite, from the question to the report."""

from __future__ import annotations

import json
from typing import Any

from cli_project import Project
from forked import forked

from evalkit.testing import FakeModel

SUITE = """\
name: inline
golden: cases.jsonl
system: {replay: golden}
judge: {chat: {model: m-1, base_url: "ADDRESS", api_key_env: JUDGE_API_KEY}}
scorers:
  - judge:
      name: polite
      advisory: true
      rubric: |
        Pass {{answer}} if it says please.
        Fail it otherwise.
  - contains: {all: wait}
gate:
  - pass_rate: {min: 0.8}
"""


def test_a_text_in_the_suite_is_what_the_judge_is_asked(project: Project) -> None:
    """The judge reads it, the report shows its grades, and an edit of it is named where a baseline is compared."""
    rows = [{"id": f"c{n}", "input": "q", "answer": f"{'Please' if n % 3 else 'Go'} wait"} for n in range(60)]
    (project.root / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    asked: list[str] = []

    def grade(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request["messages"][0]["content"])
        return {
            "reason": "no please",
            "score": "pass" if "Please wait" in request["messages"][1]["content"] else "fail",
        }

    env = {"JUDGE_API_KEY": "key-for-tests"}
    with FakeModel(grade) as server:
        text = SUITE.replace("ADDRESS", server.base_url)
        (project.root / "suite.yaml").write_text(text, encoding="utf-8")
        ended = forked(project.root, "run", "suite.yaml", "--out", "first", env=env)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert "Pass ANSWER if it says please.\nFail it otherwise." in asked[0]
        assert "polite" in (project.root / "first" / "report.html").read_text(encoding="utf-8")
        assert "no please" in (project.root / "first" / "rows.jsonl").read_text(encoding="utf-8")
        assert forked(project.root, "baseline", "save", "first", "--name", "main", env=env).returncode == 0
        check = "  - no_regression: {baseline: main, metrics: [polite]}\n"
        edited = text.replace("if it says please", "if it is short").replace("advisory: true", "advisory: false")
        (project.root / "suite.yaml").write_text(edited + check, encoding="utf-8")
        refused = forked(project.root, "run", "suite.yaml", "--out", "second", env=env)
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert "its polite was scored differently (options, rubric)" in " ".join(refused.stderr.split())
