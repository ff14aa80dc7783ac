"""A policy on the command line: checked before the first call, stored with the run, and compared with the base."""

import json
from pathlib import Path

import pytest
from git_project import commit_all, git, start
from typer.testing import CliRunner, Result

import evalkit
from evalkit.cli.app import app

SUITE = """\
name: desk
golden: golden.jsonl
system: {replay: golden, tool_error: "^Error"}
scorers:
  - policy: rules/policy.yaml
  - state
gate:
  - pass_rate: 0.5
"""
OUTPUT = {
    "text": "Refunded.",
    "trajectory": [{"kind": "tool", "name": "refund", "arguments": {"id": 1}, "result": "ok", "turn": 1}],
    "state": {"orders": {"1": "refunded"}},
}
ROW = {"input": "q", "state": {"orders": {"1": "open"}}, "expected_state": {"orders.1": "refunded"}, "output": OUTPUT}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project under git whose agent refunds."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "rules").mkdir()
    (tmp_path / "suite.yaml").write_text(SUITE, encoding="utf-8")
    rows = [json.dumps({"id": f"c{n}", **ROW}) for n in range(30)]
    (tmp_path / "golden.jsonl").write_text("\n".join(rows), encoding="utf-8")
    policy(tmp_path, "forbid: [delete_*]\nat_most: {of: refund, n: 1}")
    start(tmp_path)
    commit_all(tmp_path)
    git(tmp_path, "checkout", "-q", "-b", "change")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_BASE_REF", raising=False)
    return tmp_path


def invoke(*words: str) -> Result:
    """Run a command in the project."""
    return CliRunner().invoke(app, [*words])


def policy(root: Path, text: str) -> None:
    """Write the policy file."""
    (root / "rules" / "policy.yaml").write_text(text, encoding="utf-8")


def changes(root: Path, out: str) -> list[tuple[str, bool]]:
    """What the decision says of the rules: the change, and whether it loosens."""
    ran = invoke("run", "suite.yaml", "--out", out)
    assert ran.exit_code == 0, ran.output
    decision = json.loads((root / out / "decision.json").read_text(encoding="utf-8"))
    return [(f"{each['what']} {each['before']} -> {each['after']}", each["loosens"]) for each in decision["amendments"]]


def test_a_looser_policy_is_a_finding_of_the_run(desk: Path) -> None:
    """The rule is named with both states; a stricter file is only seen."""
    assert changes(desk, "first") == []
    policy(desk, "forbid: [delete_*, wire]\nat_most: {of: refund, n: 1}")
    assert [loosens for _, loosens in changes(desk, "stricter")] == [False]
    policy(desk, "at_most: {of: refund, n: 2}")
    commit_all(desk)
    found = [said for said, loosens in changes(desk, "looser") if loosens]
    assert found == [
        "scorer policy at_most refund n 1; per conversation -> n 2; per conversation",
        "scorer policy forbid delete_* forbidden -> removed",
    ]


def test_a_violation_is_stored_with_its_step(desk: Path) -> None:
    """Details hold the rule, the step and the turn."""
    policy(desk, "approve: {of: refund, why: four eyes}")
    assert invoke("run", "suite.yaml", "--out", "first").exit_code == 1
    grade = next(iter(evalkit.load_run("first").rows())).scores["policy"]
    assert isinstance(grade, evalkit.Score)
    assert grade.reason == '1 violation; approve: refund (step 1, turn 1) was not approved: {"id": 1} (four eyes)'
    (violation,) = grade.details["violations"]
    assert (violation["rule"], violation["step"], violation["turn"], violation["why"]) == ("approve", 1, 1, "four eyes")


def test_mistakes_of_the_file_are_told_by_check(desk: Path) -> None:
    """With the line in the policy file, beside the problems of the golden set."""
    policy(desk, "forbid: [delete_*]\nbefore:\n  of: refund\n  needs: get_order\n  smae: [id]")
    (desk / "golden.jsonl").write_text(json.dumps({"id": "a", **ROW, "expected_state": 3}), encoding="utf-8")
    checked = invoke("check", "suite.yaml")
    assert isinstance(checked.exception, evalkit.InputError)
    first, second = map(str, checked.exception.problems)
    assert first == "rules/policy.yaml:5:3 before.smae: unknown key; did you mean `same`?"
    assert second.startswith("golden.jsonl:1 id a: scorer state: `expected_state` must map paths to values")


def test_another_policy_is_not_compared_with_stored_scores(desk: Path) -> None:
    """Until the stored answers have been scored by it."""
    assert invoke("run", "suite.yaml", "--out", "first").exit_code == 0
    suite = (desk / "suite.yaml").read_text(encoding="utf-8")
    (desk / "suite.yaml").write_text(suite + "  - no_regression: {baseline: first}\n", encoding="utf-8")
    policy(desk, "forbid: [delete_*, wire]")
    ran = invoke("run", "suite.yaml", "--out", "second")
    assert isinstance(ran.exception, evalkit.InputError)
    assert "its policy was scored differently (policy)" in str(ran.exception)
    assert invoke("score", "first", "--suite", "suite.yaml", "--out", "again", "--baseline", "none").exit_code == 0
    (desk / "suite.yaml").write_text(suite + "  - no_regression: {baseline: again}\n", encoding="utf-8")
    assert invoke("run", "suite.yaml", "--out", "third").exit_code == 0
