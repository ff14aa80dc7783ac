"""`init_project`: a first suite in a folder of any name, in a repository of any shape."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import evalkit
from evalkit.cli.app import app
from evalkit.errors import InputError
from evalkit.operations.init_project import IGNORED, WORKFLOW, init_project


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project under git; it is the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / ".git").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "evals",
        "my-evals",
        "Évals 2026",
        "v1.2",
        ".evals",
        "a.b/c",
        "2026",
        "class",
        "a/b",
        ".",
        "-x",
        "日本",
        "evalkit",
        "json",
        "a:b",
    ],
)
def test_the_folder_may_have_any_name(root: Path, name: str) -> None:
    """What was written runs without an edit: four of five answers are right."""
    started = init_project(Path(name))
    assert started.suite == Path(name) / "suite.yaml"
    ended = evalkit.run(started.suite, out="run", baseline="none")
    assert ended.outcome == "approved with conditions"
    assert ended.summary is not None
    assert next(cell for cell in ended.summary.cells if cell.metric == "pass_rate").estimate.value == 0.8
    steps = yaml.safe_load((root / WORKFLOW).read_text(encoding="utf-8"))["jobs"]["gate"]["steps"]
    assert (root / steps[1]["with"]["suite"]).samefile(started.suite)


@pytest.mark.parametrize("name", ["evals", "my-evals", "a.b/c", "."])
def test_the_starter_of_an_agent_runs_as_it_is(root: Path, name: str) -> None:
    """Five of six conversations pass; in the sixth the agent changes what it was only asked about."""
    started = init_project(Path(name), agent=True)
    ended = evalkit.run(started.suite, out="run", baseline="none")
    assert ended.outcome == "approved with conditions"
    rows = {row.case.id: row for row in ended.rows()}
    wrong = {id_: {name for name, grade in row.scores.items() if not passes(grade)} for id_, row in rows.items()}
    assert len(rows) == 6
    assert {id_: names for id_, names in wrong.items() if names} == {"question-1": {"state"}}
    grade = rows["question-1"].scores["state"]
    assert isinstance(grade, evalkit.Score)
    assert "loans.L-1.due changed" in grade.reason
    written = {Path(name, file) for file in ("suite.yaml", "conversations.jsonl", "mocks.yaml", "policy.yaml")}
    assert written | {started.bot, root / WORKFLOW, root / ".gitignore"} == {*started.wrote}


def passes(grade: evalkit.Score | evalkit.Unscored) -> bool:
    """Whether a grade does not fail its case."""
    return isinstance(grade, evalkit.Score) and grade.passed is not False


def test_the_policy_of_the_starter_holds(root: Path) -> None:
    """Without its question to a person, the agent breaks the policy, and the gate blocks on a critical case."""
    started = init_project(Path("evals"), agent=True)
    text = started.bot.read_text(encoding="utf-8")
    assert 'NEEDS_APPROVAL = {"waive_fee"}' in text
    text = text.replace('NEEDS_APPROVAL = {"waive_fee"}', "NEEDS_APPROVAL: set[str] = set()")
    started.bot.write_text(text, encoding="utf-8")
    ended = evalkit.run(started.suite, out="run", baseline="none")
    assert ended.outcome == "blocked"
    broken = {row.case.id for row in ended.rows() if not passes(row.scores["policy"])}
    assert broken == {"fee-1", "fee-2"}


def test_the_next_steps_of_an_agent(root: Path) -> None:
    """They name the file of the agent and of its tools; cases of a table are no conversations."""
    ended = CliRunner().invoke(app, ["init", "evals", "--agent"])
    assert ended.exit_code == 0, ended.output
    assert "evalkit run evals/suite.yaml" in ended.output
    steps = " ".join(ended.output.partition("next ")[2].split())
    assert steps.startswith("run the suite; in one of the six conversations")
    assert "then put your agent in evals/bot.py, and its tools in evals/mocks.yaml" in steps
    assert max(map(len, ended.output.splitlines())) <= 80
    (root / "cases.csv").write_text("question,answer\na,b\n", encoding="utf-8")
    ended = CliRunner().invoke(app, ["init", "more", "--agent", "--from", "cases.csv"])
    assert isinstance(ended.exception, InputError)
    assert "--agent: does not go with --from" in str(ended.exception)


def test_no_next_step_is_wider_than_a_terminal(root: Path) -> None:
    """Of cases of one's own, and of a suite in a folder without git and without a known commit of evalkit."""
    (root / "cases.csv").write_text("question,answer\na,b\n", encoding="utf-8")
    (root / ".gitignore").write_text("reports\n", encoding="utf-8")
    for words in (["init", "first"], ["init", "second", "--from", "cases.csv"]):
        lines = CliRunner().invoke(app, words).output.splitlines()
        assert max(map(len, lines)) <= 80, lines


def test_a_project_inside_a_repository_has_its_workflow_at_the_top(root: Path) -> None:
    """GitHub reads workflows of the repository's root; suite and baseline are named from there."""
    (root / "service").mkdir()
    (root / "service" / "pyproject.toml").touch()
    init_project(Path("service/evals"))
    given = yaml.safe_load((root / WORKFLOW).read_text(encoding="utf-8"))["jobs"]["gate"]["steps"][1]["with"]
    assert given["suite"] == "service/evals/suite.yaml"
    assert given["baseline"] == "git:origin/${{ github.base_ref }}:service/reports/baselines/main"
    assert (root / "service" / ".gitignore").read_text(encoding="utf-8").splitlines() == [*IGNORED]


def test_baselines_and_runs_of_reference_systems_can_be_committed(root: Path) -> None:
    """The guide says to commit both; git ignores the other run folders."""
    subprocess.run(["git", "init", "-q"], check=True)
    init_project(Path("evals"))
    given = [f"reports/{name}/rows.jsonl" for name in ("baselines/main", "reference/0df6", "20261201T151334Z-57e50e")]
    ignored = subprocess.run(["git", "check-ignore", *given], capture_output=True, text=True, check=True).stdout
    assert ignored.split() == given[2:]


@pytest.mark.parametrize("text", ["", "build/\n", "build/", "reports/*\n# ours\nbuild/"])
def test_lines_are_added_to_gitignore_once(root: Path, text: str) -> None:
    """What was there is kept, and a second suite adds nothing."""
    (root / ".gitignore").write_text(text, encoding="utf-8")
    assert init_project(Path("one")).added == (root / ".gitignore",)
    found = (root / ".gitignore").read_text(encoding="utf-8")
    assert found.startswith(text)
    assert all(found.splitlines().count(line) == 1 for line in (*IGNORED, *text.splitlines()))
    assert {*init_project(Path("two")).kept} == {root / ".gitignore", root / WORKFLOW}


def test_files_of_a_suite_are_never_replaced(root: Path) -> None:
    """Each file that is in the way is named, and nothing is written."""
    Path("evals").mkdir()
    for name in ("suite.yaml", "bot.py"):
        Path("evals", name).write_text("mine", encoding="utf-8")
    with pytest.raises(InputError) as refused:
        init_project(Path("evals"))
    assert [problem.place for problem in refused.value.problems] == ["evals/suite.yaml", "evals/bot.py"]
    assert not (root / WORKFLOW).exists()


@pytest.mark.parametrize(
    ("branches", "found"), [(("main",), "main"), (("master",), "master"), (("trunk",), "trunk"), ((), "main")]
)
def test_the_baseline_is_renewed_on_the_main_branch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, branches: tuple[str, ...], found: str
) -> None:
    """A repository whose main branch has another name, and a folder outside of every repository."""
    monkeypatch.chdir(tmp_path)
    for branch in branches:
        subprocess.run(["git", "init", "-q", "-b", branch, "."], check=True)
    init_project(Path("evals"))
    folder = Path() if branches else Path("evals")
    text = (folder / WORKFLOW).read_text(encoding="utf-8")
    assert yaml.safe_load(text)[True]["push"]["branches"] == [found]


def test_a_file_in_the_way_leaves_nothing_behind(root: Path) -> None:
    """Where `.github` is a file, or .gitignore a folder, the fix says so, and the next try succeeds."""
    (root / ".github").touch()
    with pytest.raises(InputError, match="cannot be written"):
        init_project(Path("evals"))
    (root / ".github").unlink()
    (root / ".gitignore").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        init_project(Path("evals"))
    (root / ".gitignore").rmdir()
    assert len(init_project(Path("evals")).wrote) == 5


@pytest.mark.parametrize("line", ["reports", "reports/", "/reports/"])
def test_a_line_that_ignores_baselines_is_named(root: Path, line: str) -> None:
    """Git includes nothing again below a folder that is ignored as a whole."""
    (root / ".gitignore").write_text(f"{line}\n", encoding="utf-8")
    assert init_project(Path("evals")).ignores_baselines
    ended = CliRunner().invoke(app, ["init", "more"])
    assert "write `reports/*` instead" in ended.output


def test_nothing_is_written_through_a_link(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A dangling link in the place of a file would lead out of the project."""
    outside = tmp_path_factory.mktemp("outside") / "file"
    (root / ".gitignore").symlink_to(outside)
    with pytest.raises(InputError, match="cannot be written"):
        init_project(Path("evals"))
    assert not outside.exists()
