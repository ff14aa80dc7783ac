"""Cases that a change removed or edited, asked in their old form: what they cost and decide, also after a kill."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cheat_project import BROKEN, CRITICAL, IDS, Repository

from evalkit.operations.run import decide_again
from evalkit.store.folder import FORMER_ROWS, RunFolder
from evalkit.store.journal import read_rows

KILL_AT = Path(__file__).parents[1] / "faults" / "kill_at.py"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base branch, with a saved baseline, and a branch for the change."""
    root = tmp_path_factory.mktemp("base") / "project"
    root.mkdir()
    Repository(root).build()
    return root


@pytest.fixture
def repository(base: Path, tmp_path: Path) -> Repository:
    """A copy of it to change."""
    shutil.copytree(base, tmp_path / "project", symlinks=True)
    return Repository(tmp_path / "project")


def former(repository: Repository, run: str = "reports/second") -> list[tuple[str, int]]:
    """Case and repeat of each row of old forms."""
    file = repository.root / run / FORMER_ROWS
    return [(row.case.id, row.repeat) for row in read_rows(file)] if file.exists() else []


def test_a_sound_change_is_approved_and_costs_no_call_more(repository: Repository) -> None:
    """More cases, a stricter limit, one more check, a longer list of labels: approved, and nothing old is asked."""
    more = [{"id": "c90", "input": "7 + 2", "required": [" 9."], "reference": "9", "cohorts": {"group": "left"}}]
    repository.cases({}, more)
    repository.swap("suite.yaml", "min: 0.7", "min: 0.8")
    repository.swap("suite.yaml", "gate:\n", "gate:\n  - polite: {min: 0.5}\n")
    repository.commit("more")
    ran = repository.run()
    assert ran.outcome == "approved", ran.decision["reasons"]
    assert [line for line in ran.findings if line.startswith("!")] == []
    assert "1 case added  →  ()" in ran.findings
    assert former(repository) == []


def test_a_typo_that_is_fixed_is_only_noted(repository: Repository) -> None:
    """A case that passes in both forms is asked once more and is not a condition."""
    repository.cases({"c05": {"reference": "six"}})
    repository.commit("typo")
    ran = repository.run()
    assert (ran.outcome, ran.findings) == ("approved", ["1 case edited  →  (reference; in the old form it passes)"])
    assert former(repository) == [("c05", 0)]
    assert RunFolder(repository.root / "reports/second").manifest().expected == len(IDS)


def test_one_broken_case_that_would_not_block_is_a_named_condition(repository: Repository) -> None:
    """The gate would have let one failure through, so it is a condition and no block."""
    repository.break_bot(["c11"])
    repository.cases({"c11": None})
    repository.commit("hide one")
    ran = repository.run()
    assert ran.outcome == "approved with conditions"
    assert "in the old form passed before and fail now: c11" in ran.decision["reasons"][-1]


def test_the_own_figures_hold_no_old_case(repository: Repository) -> None:
    """Rows, summary and coverage are those of today's cases."""
    repository.break_bot()
    repository.cases(dict.fromkeys(BROKEN))
    repository.commit("hide")
    assert repository.run().outcome == "blocked"
    folder = RunFolder(repository.root / "reports/second")
    assert {row.case.id for row in folder.rows()} == set(IDS) - set(BROKEN)
    assert '"n_cases": 55' in (folder.path / "summary.json").read_text(encoding="utf-8")


def test_deciding_again_gives_the_same(repository: Repository) -> None:
    """`evalkit gate RUN` reads what the old forms said; without their rows it does not approve."""
    repository.break_bot(["c11"])
    repository.cases({"c11": None})
    repository.commit("hide one")
    first = repository.run()
    folder = RunFolder(repository.root / "reports/second")
    again = decide_again(folder, repository.root / "suite.yaml", None, {"GITHUB_BASE_REF": "main"})
    assert list(again.decision.reasons) == first.decision["reasons"]
    folder.former_rows_file.unlink()
    lost = decide_again(folder, repository.root / "suite.yaml", None, {"GITHUB_BASE_REF": "main"})
    assert lost.decision.outcome == "no decision"
    assert any("gone from former_rows.jsonl: c11" in reason for reason in lost.decision.reasons), lost.decision.reasons


def test_a_removed_canary_gets_its_three_runs(repository: Repository) -> None:
    """What the gate asks again of a canary it asks of one that was removed, too."""
    repository.git("checkout", "-q", "main")
    repository.swap("suite.yaml", "gate:\n", "gate:\n  - canary: {rule: 2 of 3}\n")
    repository.cases({"c11": {"kind": "canary"}})
    repository.commit("a canary")
    repository.git("checkout", "-q", "-B", "change")
    repository.break_bot(["c11"])
    repository.cases({"c11": None})
    repository.commit("hide it")
    ran = repository.run()
    assert ran.outcome == "blocked", ran.decision["reasons"]
    assert former(repository) == [("c11", 0), ("c11", 1), ("c11", 2)]


def test_a_kill_between_two_old_cases_changes_nothing(repository: Repository) -> None:
    """After a resume the rows that were there stand, the others are asked, and the decision is the same."""
    repository.break_bot()
    repository.cases(dict.fromkeys(BROKEN))
    repository.commit("hide")
    whole = repository.run("reports/whole")
    words = [str(KILL_AT), "evalkit.store.journal:Journal.append", "after", str(len(IDS) - len(BROKEN) + 2)]
    words += ["run", "suite.yaml", "--out", "reports/killed", "--progress", "none"]
    env = {**os.environ, "GITHUB_BASE_REF": "main"}
    died = subprocess.run([sys.executable, *words], cwd=repository.root, env=env, capture_output=True, check=False)
    assert died.returncode == -9, died.stderr
    kept = (repository.root / "reports/killed" / FORMER_ROWS).read_bytes()
    assert kept.count(b"\n") == 2
    ran = repository.run("reports/killed", resume=True)
    assert (ran.outcome, ran.decision["reasons"]) == (whole.outcome, whole.decision["reasons"])
    now = (repository.root / "reports/killed" / FORMER_ROWS).read_bytes()
    assert now.startswith(kept)
    assert sorted(former(repository, "reports/killed")) == [(case_id, 0) for case_id in BROKEN]


def test_without_git_the_rows_of_the_baseline_tell_the_old_cases(repository: Repository) -> None:
    """No repository: rules and cases are those that the baseline was decided by; such cases are a condition."""
    shutil.rmtree(repository.root / ".git")
    repository.break_bot()
    repository.cases(dict.fromkeys(BROKEN))
    repository.swap("suite.yaml", "min: 0.7", "min: 0.6")
    ran = repository.run(env={"GITHUB_BASE_REF": ""})
    assert ran.outcome == "approved with conditions"
    assert "! gate pass_rate.min 0.7 → 0.6 ()" in ran.findings
    assert any(line.startswith("! 5 cases removed") and "passed before and fail now" in line for line in ran.findings)


def test_the_saved_baseline_tells_the_rules_where_the_gate_names_none(repository: Repository) -> None:
    """Neither a repository nor `no_regression`: the stored baseline of the suite tells the rules."""
    shutil.rmtree(repository.root / ".git")
    repository.swap("suite.yaml", "  - no_regression: {baseline: main, metrics: [pass_rate, keywords]}\n", "")
    ran = repository.run(env={"GITHUB_BASE_REF": ""})
    assert ran.outcome == "approved with conditions"
    assert any(line.startswith("! gate no_regression") for line in ran.findings)


def test_that_nothing_could_be_compared_is_said(repository: Repository) -> None:
    """No repository and no baseline: a note, and no condition, since there was no base."""
    shutil.rmtree(repository.root / ".git")
    shutil.rmtree(repository.root / "reports")
    repository.swap("suite.yaml", "  - no_regression: {baseline: main, metrics: [pass_rate, keywords]}\n", "")
    ran = repository.run(env={"GITHUB_BASE_REF": ""})
    said = "rules  →  (not compared: no base branch in git, and no stored baseline of this suite)"
    assert (ran.outcome, ran.findings) == ("approved", [said])


def test_a_target_branch_that_was_not_fetched_is_a_condition(repository: Repository) -> None:
    """CI names a branch, and it is not here: green says nothing about it."""
    ran = repository.run(env={"GITHUB_BASE_REF": "release"})
    assert ran.outcome == "approved with conditions"
    assert any(line.startswith("! base branch release") and "fetch-depth: 0" in line for line in ran.findings)


@pytest.mark.parametrize("branch", ["release-ü", "1.0#x"])
def test_a_target_branch_may_have_any_name(repository: Repository, branch: str) -> None:
    """It is compared with where it is here, and a condition where it is not."""
    repository.swap("suite.yaml", "max: 0", "max: 9")
    repository.commit("loosen")
    missing = repository.run(env={"GITHUB_BASE_REF": branch})
    assert any(line.startswith(f"! base branch {branch}") for line in missing.findings)
    repository.git("branch", branch, "main")
    repository.git("branch", "-f", "main", "HEAD")
    ran = repository.run("reports/third", env={"GITHUB_BASE_REF": branch})
    assert ran.findings == ["! gate failures(critical).max 0 → 9 ()"]


def no_git_of(repository: Repository, name: str) -> None:
    """Take a file or folder out of git on the base."""
    repository.write(".gitignore", repository.read(".gitignore").replace("!reports/baselines\n", "") + f"{name}\n")
    repository.git("rm", "-r", "-q", "--cached", name)


def test_a_baseline_that_git_does_not_keep_is_no_part_of_a_change(repository: Repository) -> None:
    """An artifact that CI put there: nothing to say."""
    repository.rebase(lambda base: no_git_of(base, "reports/baselines"))
    repository.git("commit", "-q", "--allow-empty", "-m", "change")
    ran = repository.run()
    assert (ran.outcome, ran.findings) == ("approved", [])


def test_a_run_that_a_scorer_compares_with_is_watched_too(repository: Repository) -> None:
    """The answers of a stored run are the measure of `pairwise`: a change of them is a condition."""
    judge = 'judge: {chat: {model: m, base_url: "http://127.0.0.1:9/v1", max_retries: 0}}\nscorers:\n'

    def rival(base: Repository) -> None:
        base.run("rival", baseline="none")
        scorer = "  - pairwise: {against: run:rival, advisory: true}\n"
        base.swap("suite.yaml", "scorers:\n", judge + scorer)

    repository.rebase(rival)
    repository.break_bot()
    repository.run("red", baseline="none")
    shutil.rmtree(repository.root / "rival")
    (repository.root / "red").rename(repository.root / "rival")
    repository.commit("another rival")
    ran = repository.run()
    assert any(line.startswith("! baseline rival ") and "are not those of main@" in line for line in ran.findings), ran


def test_a_golden_set_that_git_does_not_keep_is_compared_with_the_baseline(repository: Repository) -> None:
    """It is said, and is not a condition; without a baseline it is one, and on the base itself neither is said."""
    repository.rebase(lambda base: no_git_of(base, "data/cases.jsonl"))
    repository.rebase(lambda base: no_git_of(base, "reports/baselines"))
    repository.git("commit", "-q", "--allow-empty", "-m", "change")
    ran = repository.run()
    assert (ran.outcome, len(ran.findings)) == ("approved", 1)
    assert ran.findings[0].startswith("golden set  →  (not on main@")
    assert "compared with those of the baseline" in ran.findings[0]
    repository.swap("suite.yaml", "  - no_regression: {baseline: main, metrics: [pass_rate, keywords]}\n", "")
    repository.commit("none")
    repository.git("branch", "-f", "main", "HEAD")
    repository.git("commit", "-q", "--allow-empty", "-m", "change")
    shutil.rmtree(repository.root / "reports")
    ran = repository.run("reports/third")
    assert (ran.outcome, len(ran.findings)) == ("approved with conditions", 1)
    assert ran.findings[0].startswith("! golden set  →  (not on main@")
    folder = RunFolder(repository.root / "reports/third")
    again = decide_again(folder, repository.root / "suite.yaml", None, {"GITHUB_BASE_REF": "main"})
    assert list(again.decision.reasons) == ran.decision["reasons"]
    repository.git("checkout", "-q", "main")
    assert repository.run("reports/fourth").findings == []


def test_links_that_are_unchanged_are_no_finding(repository: Repository) -> None:
    """A schema, labels and a golden set behind links, as they were."""

    def link(base: Repository) -> None:
        for name in ("shape.json", "data"):
            (base.root / name).rename(base.root / f"real-{name}")
            (base.root / name).symlink_to(f"real-{name}")

    repository.rebase(link)
    repository.git("commit", "-q", "--allow-empty", "-m", "change")
    ran = repository.run()
    assert (ran.outcome, ran.findings) == ("approved", [])


def test_critical_cases_of_the_base_are_really_critical() -> None:
    """The reproduction rests on it."""
    assert set(BROKEN) & set(CRITICAL)
