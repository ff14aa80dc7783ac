"""A suite that no longer fits its baseline is refused before the first call, whatever makes it differ."""

import pytest
from cli_project import SUITE, Project

TWO = SUITE.replace("- exact", "- exact\n  - length: {max: 40}")
ONLY_RATE = ("baseline: main", "baseline: main, metrics: [pass_rate]")
APPLIED = "30 cases graded in one of the two runs only"
NARROW = ("- length: {max: 40}", "- length: {max: 40, when: {group: left}}")


@pytest.fixture
def saved(project: Project) -> Project:
    """A project whose baseline has two scorers, and no call logged since."""
    project.cases(60)
    keep(project, TWO)
    return project


def keep(project: Project, text: str) -> None:
    """Run a suite, and save the run."""
    project.suite(text=text)
    assert project.run("run", "suite.yaml", "--out", "first").returncode == 0
    assert project.run("baseline", "save", "first").returncode == 0
    (project.root / "calls.log").unlink()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param([NARROW], f"its length was scored differently (`when`: {APPLIED})", id="narrowed"),
        pytest.param(
            [NARROW, ONLY_RATE], f"its pass_rate was scored differently (length: `when`: {APPLIED})", id="narrowed rate"
        ),
        pytest.param(
            [("\n  - length: {max: 40}", "")],
            "its pass_rate was scored differently (scorers that make it up differ: length)",
            id="removed",
        ),
        pytest.param(
            [("40}", "40, advisory: true}")],
            "its pass_rate was scored differently (scorers that make it up differ: length)",
            id="only advisory",
        ),
        pytest.param(
            [("40}", "41}"), ONLY_RATE],
            "its pass_rate was scored differently (length: options)",
            id="option of the rate",
        ),
        pytest.param([("40}", "41}")], "its length was scored differently (options)", id="option"),
        pytest.param(
            [("\n  - length", "\n  - not_contains: q\n  - length"), ONLY_RATE],
            "its pass_rate was scored differently (scorers that make it up differ: not_contains)",
            id="added to the rate",
        ),
    ],
)
def test_what_no_longer_fits_is_told_before_the_first_call(
    saved: Project, changes: list[tuple[str, str]], said: str
) -> None:
    """`run`, `check` and `baseline verify` say the same, and nothing is called."""
    text = TWO
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    saved.suite(text=text)
    for words in (("run", "suite.yaml", "--out", "second"), ("check", "suite.yaml"), ("baseline", "verify")):
        ran = saved.run(*words)
        assert ran.returncode == 2, ran.stdout
        assert said in " ".join(ran.stderr.split())
    assert saved.calls() == []


def test_a_wider_scorer_is_told_before_the_first_call(project: Project) -> None:
    """A `when:` that is taken away changes what the pass rate counts too."""
    project.cases(60)
    keep(project, TWO.replace(*NARROW))
    project.suite(text=TWO)
    ran = project.run("run", "suite.yaml", "--out", "second")
    assert (ran.returncode, project.calls()) == (2, [])
    assert f"its pass_rate was scored differently (length: `when`: {APPLIED})" in " ".join(ran.stderr.split())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("40}", "40, when: {kind: golden}}", id="takes all"),
        pytest.param(
            "\n  - length", "\n  - regex: {name: never, pattern: x, when: {has: nothing}}\n  - length", id="new"
        ),
        pytest.param("\n  - length", "\n  - not_contains: {all: [q], advisory: true}\n  - length", id="shown only"),
        pytest.param("baseline: main", "baseline: main, metrics: [exact]", id="not compared"),
    ],
)
def test_what_fits_runs(saved: Project, old: str, new: str) -> None:
    """A `when:` that leaves nothing out, and scorers that share no case with the baseline or do not vote."""
    text = TWO.replace(old, new)
    saved.suite(text=text.replace(*NARROW) if "[exact]" in new else text)
    ran = saved.run("run", "suite.yaml", "--out", "second")
    assert ran.returncode == 0, ran.stderr
    assert len(saved.calls()) == 60


def test_the_baseline_of_another_suite_is_named_as_that(project: Project) -> None:
    """Two suites of a project use one name: to score the other suite's answers again would not help."""
    project.cases(60)
    keep(project, TWO)
    golden = project.root / "cases.jsonl"
    golden.write_text(golden.read_text().replace('"id": "', '"id": "other-').replace('"input": "', '"input": "other '))
    project.suite(text=TWO.replace("max: 40}", "max: 41}"))
    ran = project.run("run", "suite.yaml", "--out", "second")
    said = " ".join(ran.stderr.split())
    assert ran.returncode == 2, ran.stdout
    assert "none of its cases is in this suite" in said
    assert "`evalkit baseline save RUN --name second`" in said
    assert "scored differently" not in said
    assert project.calls() == []
