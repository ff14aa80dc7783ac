"""Baselines by name, folder, file, artifact and commit; shown and verified."""

import gzip
import json
import os
import zipfile
from pathlib import Path

import pytest
from cli_project import Project
from git_project import commit_all, git, start

from evalkit.baselines.find import find_baseline
from evalkit.errors import InputError
from evalkit.store.git import split


@pytest.fixture
def saved(project: Project) -> Project:
    """A project with a baseline on `main`, and a system that broke since."""
    start(project.root)
    project.cases(40)
    assert project.run("run", "suite.yaml", "--out", "first").returncode == 0
    assert project.run("baseline", "save", "first").returncode == 0
    commit_all(project.root)
    project.suite("left")
    return project


def test_a_baseline_is_read_from_a_commit(saved: Project) -> None:
    """`git:main:PATH` is the baseline of that branch, also where the working tree has another one or none."""
    git(saved.root, "checkout", "-q", "-b", "change")
    git(saved.root, "rm", "-q", "-r", "reports/baselines/main")
    commit_all(saved.root)
    ran = saved.run("run", "suite.yaml", "--out", "second", "--baseline", "git:main:reports/baselines/main")
    assert ran.returncode == 1, ran.stderr
    assert "group=left" in ran.stdout.splitlines()[0]
    (saved.root / "suite.yaml").write_text(
        (saved.root / "suite.yaml").read_text().replace("baseline: main", "baseline: 'git:main:reports/baselines/main'")
    )
    assert saved.run("gate", "second").returncode == 1
    assert not list((saved.root / "reports").rglob("*.gz"))


def test_messages_and_commands_name_a_baseline_in_git_as_it_was_written(saved: Project) -> None:
    """Not the temporary copy that is gone when somebody copies the line."""
    place = "git:main:reports/baselines/main"
    commit_all(saved.root)
    saved.run("run", "suite.yaml", "--out", "second", "--baseline", place)
    summary = (saved.root / "second" / "summary.md").read_text(encoding="utf-8")
    assert f"`evalkit diff {place} second --case left-" in summary
    assert saved.run("diff", place, "second", "--case", "left-001").returncode == 0
    text = (saved.root / "suite.yaml").read_text().replace("- exact", "- exact: {mode: numeric}")
    (saved.root / "suite.yaml").write_text(text, encoding="utf-8")
    ran = saved.run("run", "suite.yaml", "--out", "third", "--baseline", place)
    assert ran.returncode == 2
    assert ran.stderr.startswith(f"{place}/manifest.json: its exact was scored differently")
    score = f"evalkit score {place} --suite suite.yaml --out reports/rescored"
    save = "evalkit baseline save reports/rescored --name main"
    assert f"`{score}`, and save them with `{save}`" in ran.stderr
    assert saved.run(*score.split()[1:]).returncode == 0
    assert saved.run(*save.split()[1:]).returncode == 0
    assert saved.run("run", "suite.yaml", "--out", "third").returncode == 1


def test_a_ref_that_is_not_here_says_how_to_fetch_it(saved: Project) -> None:
    """A shallow checkout has no base branch: exit 2 before any call, with the fix."""
    asked = len(saved.calls())
    ran = saved.run("run", "suite.yaml", "--out", "second", "--baseline", "git:origin/main:reports/baselines/main")
    assert ran.returncode == 2
    assert "no commit 'origin/main' here; fetch it first" in ran.stderr
    assert "fetch-depth: 0" in ran.stderr
    ran = saved.run("run", "suite.yaml", "--out", "second", "--baseline", "git:main:reports/baselines/other")
    assert ran.returncode == 2
    assert "no baseline called 'git:main:reports/baselines/other'" in ran.stderr
    assert len(saved.calls()) == asked


def test_a_suite_may_name_a_baseline_that_is_not_committed_yet(saved: Project) -> None:
    """The first pull request has nothing to compare with: a condition that says what to do."""
    text = (saved.root / "suite.yaml").read_text().replace("baseline: main", "baseline: 'git:main:other'")
    (saved.root / "suite.yaml").write_text(text.replace("left", "nobody"), encoding="utf-8")
    ran = saved.run("run", "suite.yaml", "--out", "second")
    assert ran.returncode == 0
    assert "commit it there" in " ".join(ran.stdout.split())


@pytest.mark.parametrize(
    "reference",
    [
        "git:main", "git::x", "git:--upload-pack=x:y", "git:-x:y", "git:main:", "git:main:/etc", "git:main:../x",
        "git:main:a/../../b", "git:main:-x", "git:main::(top)x", "git:main:a\nb", "git:main..other:x", "git:main@{1}:x",
        "git:a b:x", "git:$(id):x", "git:main;id:x", "git:main:a\\b", "git:refs/heads/main.lock:x",
    ],
)  # fmt: skip
def test_references_that_could_mean_something_else_are_refused(reference: str) -> None:
    """Ref and path are words of a small alphabet: no option, range, shell sign or way out."""
    with pytest.raises(InputError):
        split(reference)


def test_a_link_and_a_pointer_in_a_commit_are_no_files(saved: Project) -> None:
    """A symbolic link is not followed, and a Git LFS pointer is called one."""
    folder = saved.root / "reports" / "baselines" / "main"
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").symlink_to("/etc/passwd")
    commit_all(saved.root)
    with pytest.raises(InputError, match="no run there"):
        find_baseline("git:main:reports/baselines/main", saved.root)
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    commit_all(saved.root)
    with pytest.raises(InputError, match="LFS pointer"):
        find_baseline("git:main:reports/baselines/main", saved.root)


def test_a_folder_a_file_and_an_artifact_are_baselines(saved: Project) -> None:
    """A run folder, its manifest, and the zip of an artifact all lead to the same run."""
    run_id = saved.json("first/manifest.json")["run_id"]
    with zipfile.ZipFile(saved.root / "artifact.zip", "w") as archive:
        for file in (saved.root / "first").iterdir():
            archive.write(file, f"evalkit-report/{file.name}")
        archive.writestr("../../escaped.json", "{}")
        archive.writestr("/summary.json/evil", "{}")
    for name in ("main", "first", "first/manifest.json", "artifact.zip"):
        found = find_baseline(name, saved.root)
        assert found is not None
        assert found.manifest().run_id == run_id, name
    assert not (saved.root.parent / "escaped.json").exists()
    ran = saved.run("run", "suite.yaml", "--out", "second", "--baseline", "artifact.zip", "--no-report")
    assert ran.returncode == 1, ran.stderr


def test_an_artifact_that_is_none_is_refused(saved: Project) -> None:
    """A zip without a run, and one that is cut."""
    with zipfile.ZipFile(saved.root / "other.zip", "w") as archive:
        archive.writestr("x.txt", "x")
    with pytest.raises(InputError, match="no run there"):
        find_baseline(str(saved.root / "other.zip"), saved.root)


def test_show_says_what_a_baseline_is(saved: Project) -> None:
    """Run, commit, system, data, counts, decision and the smallest drop, for people and as JSON."""
    shown = saved.run("baseline", "show", "main")
    assert shown.returncode == 0, shown.stderr
    manifest = saved.json("first/manifest.json")
    for said in (manifest["run_id"], manifest["system"]["fingerprint"], "40 of 40 · 40 scored", "points in overall"):  # type: ignore[index]
        assert str(said) in shown.stdout
    facts = json.loads(saved.run("baseline", "show", "main", "--json").stdout)
    assert (facts["n_cases"], facts["n_rows"], facts["outcome"]) == (40, 40, "approved with conditions")
    assert facts["sees"][0]["cohort"] == "overall"
    assert saved.run("baseline", "show", "nobody").returncode == 2


def test_show_names_the_commit_that_the_run_was_made_at(saved: Project) -> None:
    """A run knows its commit."""
    commit = git(saved.root, "rev-parse", "HEAD")
    assert saved.run("run", "suite.yaml", "--out", "second", "--no-report").returncode == 1
    assert f"commit     {commit}" in saved.run("baseline", "show", "second").stdout


def test_verify_passes_a_sound_baseline(saved: Project) -> None:
    """Sound rows, a whole run, the same golden set and scorers."""
    ran = saved.run("baseline", "verify")
    assert ran.returncode == 0, ran.stderr
    assert "40 rows fit their checksums" in ran.stdout


def rewritten(file: Path, change: str) -> None:
    """Damage the packed rows."""
    lines = gzip.decompress(file.read_bytes()).split(b"\n")[:-1]
    if change == "altered":
        lines[3] = lines[3].replace(b'"repeat":0', b'"repeat":1', 1)
    else:
        del lines[3]
    file.write_bytes(gzip.compress(b"".join(line + b"\n" for line in lines)))


@pytest.mark.parametrize(
    ("change", "said"),
    [("altered", "1 row does not fit its checksum, line 4"), ("missing", "39 of 40 rows are there")],
)
def test_verify_names_damaged_and_missing_rows(saved: Project, change: str, said: str) -> None:
    """Every row is checked by its checksum, and none may be missing."""
    rewritten(saved.root / "reports" / "baselines" / "main" / "rows.jsonl.gz", change)
    ran = saved.run("baseline", "verify")
    assert ran.returncode == 2
    assert said in ran.stderr
    assert "run the suite again" in ran.stderr


def test_verify_names_what_cannot_be_compared(saved: Project) -> None:
    """Another golden set and another scorer are named together, with what to do."""
    saved.cases(20)
    text = (saved.root / "suite.yaml").read_text().replace("- exact", "- exact: {mode: numeric}")
    (saved.root / "suite.yaml").write_text(text, encoding="utf-8")
    ran = saved.run("baseline", "verify")
    assert ran.returncode == 2
    assert "20 of its 40 cases are those of cases.jsonl today, need 90%" in ran.stderr
    assert (
        "its exact was scored differently (options); score its stored answers again with `evalkit score "
        "reports/baselines/main --suite suite.yaml --out reports/rescored`, and save them with `evalkit baseline save "
        "reports/rescored --name main`" in ran.stderr
    )


def test_a_damaged_run_is_not_saved(saved: Project) -> None:
    """What `verify` would refuse is not saved in the first place."""
    rows = saved.root / "first" / "rows.jsonl"
    rows.write_bytes(rows.read_bytes().replace(b"right", b"wrong", 1))
    ran = saved.run("baseline", "save", "first", "--name", "other")
    assert ran.returncode == 2
    assert "does not fit its checksum" in ran.stderr


def test_rules_of_the_base_branch_are_named(saved: Project) -> None:
    """A loosened gate and a removed failing case are findings against the branch that the baseline is read from."""
    text = (saved.root / "suite.yaml").read_text().replace("nobody", "")
    (saved.root / "suite.yaml").write_text(text.replace("left", "left-001"), encoding="utf-8")
    assert saved.run("run", "suite.yaml", "--out", "second").returncode == 0
    assert saved.run("baseline", "save", "second").returncode == 0
    commit = commit_all(saved.root)
    git(saved.root, "checkout", "-q", "-b", "change")
    loose = (saved.root / "suite.yaml").read_text().replace("min: 0.3", "min: 0.2").replace("left-001", "")
    (saved.root / "suite.yaml").write_text(loose, encoding="utf-8")
    rows = (saved.root / "cases.jsonl").read_text().splitlines(keepends=True)
    (saved.root / "cases.jsonl").write_text("".join(row for row in rows if "left-001" not in row), encoding="utf-8")
    (saved.root / "first").rename(saved.root / "gone")
    ran = saved.run("run", "suite.yaml", "--out", "first", "--baseline", "git:main:reports/baselines/main")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("APPROVED WITH CONDITIONS")
    decision = saved.json("first/decision.json")
    assert decision["amended_since"] == f"main@{commit[:7]}"
    found = [(each["what"], each["before"], each["after"], each["note"]) for each in decision["amendments"]]  # type: ignore[attr-defined]
    assert ("gate pass_rate.min", "0.3", "0.2", "") in found
    assert ("1 case removed", "", "", "in the old form it passes") in found
    summary = (saved.root / "first" / "summary.md").read_text(encoding="utf-8")
    assert "`gate pass_rate.min` 0.3 → 0.2" in summary


def test_no_git_on_this_machine_is_said(saved: Project) -> None:
    """Without git the reference cannot be read, and nothing else suffers."""
    env = {**os.environ, "PATH": "/nonexistent"}
    ran = saved.run("baseline", "show", "git:main:reports/baselines/main", env=env)
    assert ran.returncode == 2
    assert "install git" in ran.stderr
    assert saved.run("baseline", "show", "main", env=env).returncode == 0
