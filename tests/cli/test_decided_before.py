"""A decided run is sealed: whatever is done to it later, a block is named, and rows by hand decide nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import sealed_project
from cli_project import Ran
from git_project import commit_all, start
from sealed_project import CHANGES, FAILING, LUCKY, Sealed, delete_failing, edit_failing

RUN = ("run", "suite.yaml", "--out", "run", "--no-report")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one blocked run, which the tests copy."""
    project = Sealed(tmp_path_factory.mktemp("blocked"))
    ran = project.run(*RUN)
    assert ran.returncode == 1, words(ran)
    return project.root


@pytest.fixture
def blocked(made: Path, tmp_path: Path) -> Sealed:
    """A project with one blocked run of its own."""
    return Sealed(Path(shutil.copytree(made, tmp_path / "project")), new=False)


def words(ran: Ran) -> str:
    """Everything that was printed, in one line."""
    return " ".join((ran.stdout + ran.stderr).split())


def approved(project: Sealed) -> None:
    """In the place of the blocked run one that was never blocked."""
    shutil.rmtree(project.root / "run")
    shutil.rmtree(project.root / ".evalkit")
    assert project.run(*RUN, env=LUCKY).returncode == 0


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_run_is_never_approved(change: str, blocked: Sealed) -> None:
    """`verify` tells it, `gate` decides nothing however often, and going on carries the block."""
    CHANGES[change](blocked.root / "run")
    verified = blocked.run("verify", "run")
    assert verified.returncode == 1, words(verified)
    for _ in range(2):
        gated = blocked.run("gate", "run")
        assert gated.returncode in (1, 2, 3), words(gated)
    ran = blocked.run(*RUN, "--resume", env=LUCKY)
    if change == "passing rows appended":
        assert ran.returncode == 1, "they are set aside, and the rows that were blocked are still there"
        return
    assert ran.returncode == 3, words(ran)
    assert "decided before: blocked (" in words(ran)
    assert blocked.json("run/decision.json")["decided_before"]
    again = blocked.run("gate", "run")
    assert again.returncode == 0
    assert "decided before: blocked (" in words(again), "the next decision carries it on"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("rows deleted", "gone"),
        ("rows edited with fitting checksums", "edited"),
        ("passing rows appended", "added"),
        ("rows damaged", "gone"),
    ],
)
def test_rows_that_were_changed_are_named_and_asked_again(change: str, said: str, blocked: Sealed) -> None:
    """By id, and only these; what was there is kept aside."""
    CHANGES[change](blocked.root / "run")
    asked = len(blocked.calls())
    verified = blocked.run("verify", "run")
    ran = blocked.run(*RUN, "--resume")
    assert ran.returncode == 1, "asked again, they fail again"
    for text in (verified.stderr, ran.stderr):
        assert said in text
        assert all(name in text for name in FAILING)
    assert sorted(blocked.calls()[asked:]) == ([] if said == "added" else sorted(FAILING))
    assert (blocked.root / "run" / "set_aside.jsonl").exists() == (change != "rows deleted")
    assert blocked.run("verify", "run").returncode == 0


def test_the_order_of_the_rows_means_nothing(blocked: Sealed) -> None:
    """Reordered rows are the same run."""
    file = blocked.root / "run" / "rows.jsonl"
    file.write_bytes(b"".join(reversed(file.read_bytes().splitlines(keepends=True))))
    assert blocked.run("verify", "run").returncode == 0
    before = blocked.json("run/decision.json")
    assert blocked.run("gate", "run").returncode == 1
    assert blocked.json("run/decision.json") == before


def test_a_loosened_gate_is_a_condition(blocked: Sealed) -> None:
    """The gate may be edited and decided again; the block before is said in each report."""
    blocked.suite(text=sealed_project.SUITE.replace("max: 2", "max: 9"))
    for command in (("gate", "run"), ("run", "suite.yaml", "--out", "run", "--resume"), ("report", "run")):
        ran = blocked.run(*command)
        assert ran.returncode == 0, words(ran)
        assert ran.stdout.startswith("APPROVED WITH CONDITIONS")
        assert "decided before: blocked (" in words(ran)
        for name in ("summary.md", "report.html", "release_decision.md"):
            assert "decided before: blocked" in (blocked.root / "run" / name).read_text(encoding="utf-8"), name


def test_an_approved_run_that_is_decided_again_is_what_it_was(blocked: Sealed) -> None:
    """Nothing is carried where nothing was blocked, and the same decision has the same bytes."""
    approved(blocked)
    before = (blocked.root / "run" / "decision.json").read_bytes()
    assert blocked.run("gate", "run").returncode == 0
    assert blocked.run(*RUN, "--resume", env=LUCKY).returncode == 0
    assert (blocked.root / "run" / "decision.json").read_bytes() == before
    assert json.loads(before)["decided_before"] == []


def test_a_damaged_row_of_an_approved_run_is_a_condition(blocked: Sealed) -> None:
    """An accident is asked again and named; there is no block to carry."""
    approved(blocked)
    file = blocked.root / "run" / "rows.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"text":"2"', b'"text":"3"', 1))
    ran = blocked.run(*RUN, "--resume", env=LUCKY)
    assert ran.returncode == 0
    assert "gone from rows.jsonl: left-001" in words(ran)
    assert ran.stdout.startswith("APPROVED WITH CONDITIONS")


def test_a_copy_of_a_run_carries_its_seal(blocked: Sealed) -> None:
    """And without its seal the project still knows the run by its id."""
    shutil.copytree(blocked.root / "run", blocked.root / "copy")
    delete_failing(blocked.root / "copy")
    for name in ("seal.txt", "decision.json"):
        (blocked.root / "copy" / name).unlink()
    shutil.rmtree(blocked.root / "run")
    ran = blocked.run("run", "suite.yaml", "--out", "copy", "--resume", "--no-report", env=LUCKY)
    assert "decided before: blocked (" in words(ran)


@pytest.mark.parametrize(
    "values",
    [{"partial": None, "expected": 8}, {"expected": 8}, {"advisory": ["exact"]}, {"repeats": 2}, {"seed": 9}],
    ids=str,
)
def test_an_edited_manifest_decides_nothing(values: dict[str, object], blocked: Sealed) -> None:
    """A partial run does not become a whole one by hand; `verify` names the file."""
    ran = blocked.run("run", "suite.yaml", "--out", "part", "--no-report", "--limit", "8", env=LUCKY)
    assert ran.returncode == 3
    sealed_project.change_json(blocked.root / "part", "manifest.json", **values)
    assert "manifest.json: edited since the decision" in blocked.run("verify", "part").stderr
    ran = blocked.run("gate", "part")
    assert ran.returncode == 3, words(ran)
    assert "manifest.json" in words(ran)


@pytest.mark.parametrize("name", ["summary.json", "timings.json", "decision.json", "seal.txt"])
def test_verify_names_an_edited_file(name: str, blocked: Sealed) -> None:
    """Each file that a decision rests on or is."""
    file = blocked.root / "run" / name
    file.write_bytes(file.read_bytes().replace(b"1", b"2", 1))
    ran = blocked.run("verify", "run")
    assert ran.returncode == 1
    assert name in ran.stderr


def test_verify_says_what_was_decided(blocked: Sealed) -> None:
    """All decisions of the run, the first one first; a deleted decision is named."""
    blocked.suite(text=sealed_project.SUITE.replace("max: 2", "max: 9"))
    assert blocked.run("gate", "run").returncode == 0
    ran = blocked.run("verify", "run")
    assert ran.returncode == 0, ran.stderr
    assert "blocked, then approved with conditions" in ran.stdout
    (blocked.root / "run" / "decision.json").unlink()
    ran = blocked.run("verify", "run")
    assert ran.returncode == 1
    assert "decision.json: is gone" in ran.stderr


def test_answers_of_a_blocked_run_that_are_scored_again_carry_the_block(blocked: Sealed) -> None:
    """Also where rows were taken out first: their cases have no answer, and are named."""
    blocked.suite(text=sealed_project.SUITE.replace("max: 2", "max: 9"), name="loose.yaml")
    ran = blocked.run("score", "run", "--suite", "loose.yaml", "--out", "scored")
    assert ran.returncode == 0, words(ran)
    assert "decided before: blocked (" in words(ran)
    ran = blocked.run("gate", "scored", "--suite", "loose.yaml")
    assert "decided before: blocked (" in words(ran), "the new run's own seal has it"
    edit_failing(blocked.root / "run")
    ran = blocked.run("score", "run", "--suite", "suite.yaml", "--out", "forged")
    assert ran.returncode == 3, words(ran)
    assert all(name in words(ran) for name in FAILING)


@pytest.mark.parametrize("seen_in", ["reports", "elsewhere", "deleted"])
def test_a_run_that_is_asked_again_until_it_is_green_says_so(seen_in: str, blocked: Sealed) -> None:
    """Same commit, same suite: known from the reports folder, from another --out, and after the folder was removed."""
    start(blocked.root)
    (blocked.root / ".gitignore").write_text("*/\n*.log\n", encoding="utf-8")
    commit_all(blocked.root)
    out = ("--out", "/".join(("reports", "one"))) if seen_in == "reports" else ("--out", str(blocked.root / "x" / "y"))
    assert blocked.run("run", "suite.yaml", "--no-report", *out).returncode == 1
    if seen_in == "reports":
        shutil.rmtree(blocked.root / ".evalkit")
    if seen_in == "deleted":
        shutil.rmtree(blocked.root / "x")
    shutil.rmtree(blocked.root / "run")
    green = blocked.run("run", "suite.yaml", "--seed", "7", env=LUCKY)
    assert green.returncode == 0
    assert green.stdout.startswith("APPROVED WITH CONDITIONS")
    assert "decided before: blocked (" in words(green)
    (blocked.root / "bot.py").write_text(sealed_project.BOT + "\n# another commit\n", encoding="utf-8")
    commit_all(blocked.root)
    other = blocked.run("run", "suite.yaml", env=LUCKY)
    assert other.returncode == 0
    assert "decided before" not in words(other)


def test_another_suite_of_the_same_commit_is_another_question(blocked: Sealed) -> None:
    """Its block says nothing of this one."""
    other = sealed_project.SUITE.replace("name: sums", "name: others")
    blocked.suite(text=other, name="others.yaml")
    ran = blocked.run("run", "others.yaml", env=LUCKY)
    assert ran.returncode == 0
    assert "decided before" not in words(ran)


def test_errors_that_are_tried_again_carry_the_block(blocked: Sealed) -> None:
    """`--retry-errors` of a blocked run."""
    (blocked.root / "bot.py").write_text(
        sealed_project.BOT.replace("return", "assert not wrong\n    return"), encoding="utf-8"
    )
    ran = blocked.run("run", "suite.yaml", "--out", "errors", "--no-report")
    assert ran.returncode in (1, 3), words(ran)
    outcome = blocked.json("errors/decision.json")["outcome"]
    ran = blocked.run("run", "suite.yaml", "--out", "errors", "--retry-errors", "--no-report", env=LUCKY)
    assert ran.returncode == 0
    assert ("decided before: blocked (" in words(ran)) == (outcome == "blocked") or "decided before" in words(ran)


def test_a_folder_of_an_earlier_version_is_read(blocked: Sealed) -> None:
    """Without a seal, a decision and its head say whether the rows are those of then."""
    run = blocked.root / "run"
    shutil.rmtree(blocked.root / ".evalkit")
    (run / "seal.txt").unlink()
    decision = blocked.json("run/decision.json")
    del decision["decided_before"], decision["head"]
    Path(run / "decision.json").write_text(json.dumps(decision), encoding="utf-8")
    assert blocked.run("gate", "run").returncode == 1
    assert blocked.run("verify", "run").returncode == 0
