"""Which commit a change is compared with, and what is read of it."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from evalkit.baselines.base_commit import find_base
from evalkit.errors import InputError


def git(root: Path, *words: str) -> str:
    """Run git as somebody."""
    who = ["-c", "user.name=ana", "-c", "user.email=ana@example.test", "-c", "commit.gpgsign=false"]
    ran = subprocess.run(["git", "-C", root, *who, *words], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project below the top of a clone, on a branch that is one commit ahead of main."""
    made = tmp_path / "origin"
    (made / "project" / "data").mkdir(parents=True)
    (made / "project" / "suite.yaml").write_text("name: faq\n", encoding="utf-8")
    (made / "project" / "data" / "cases.jsonl").write_text("{}\n", encoding="utf-8")
    (made / "labels.jsonl").write_text("1\n", encoding="utf-8")
    git(made, "init", "-q", "-b", "main", ".")
    git(made, "add", "-A")
    git(made, "commit", "-q", "-m", "base")
    git(made, "branch", "release")
    git(tmp_path, "clone", "-q", str(made), "clone")
    clone = tmp_path / "clone"
    git(clone, "checkout", "-q", "-b", "change")
    git(clone, "commit", "-q", "--allow-empty", "-m", "change")
    return clone / "project"


@pytest.mark.parametrize(
    ("env", "asked", "named", "shown"),
    [
        ({"GITHUB_BASE_REF": "release"}, None, None, "origin/release"),
        ({"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "release"}, None, None, "origin/release"),
        ({"GITHUB_BASE_REF": "release"}, "git:origin/main:x", None, "origin/release"),
        ({}, "git:origin/release:x", "git:change:x", "origin/release"),
        ({}, None, "git:change:x", "origin/main"),
        ({}, "reports/first", "main", "origin/main"),
        ({"GITHUB_BASE_REF": "-x"}, None, None, "origin/main"),
        ({"GITHUB_BASE_REF": "gone"}, None, None, "origin/main"),
    ],
)
def test_the_target_of_the_pull_request_comes_first(
    root: Path, env: dict[str, str], asked: str | None, named: str | None, shown: str
) -> None:
    """Then what the flag names, the remote's default branch, and the suite's own ref last: a change can edit that."""
    base = find_base(root, env, asked, named)
    assert base is not None
    assert base.shown == f"{shown}@{git(root, 'rev-parse', shown)[:7]}"
    assert not base.is_head


def test_without_a_remote_a_branch_called_main_is_the_base(root: Path) -> None:
    """Or one called master; another name cannot be known."""
    git(root, "remote", "remove", "origin")
    assert str(find_base(root, {}, None, None)).startswith("Base(commit=")
    git(root, "branch", "-m", "main", "master")
    base = find_base(root, {}, None, None)
    assert base is not None
    assert base.shown.startswith("master@")
    git(root, "branch", "-m", "master", "trunk")
    assert find_base(root, {}, None, None) is None


def test_on_the_base_itself_that_is_said(root: Path) -> None:
    """Only edits that are not committed differ from it."""
    git(root, "checkout", "-q", "main")
    base = find_base(root, {}, None, None)
    assert base is not None
    assert base.is_head


def test_no_repository_and_no_commit_are_no_base(tmp_path: Path) -> None:
    """Neither is an error."""
    assert find_base(tmp_path, {"GITHUB_BASE_REF": "main"}, None, None) is None
    git(tmp_path, "init", "-q", "-b", "main", ".")
    assert find_base(tmp_path, {"GITHUB_BASE_REF": "main"}, None, None) is None


def test_a_flag_that_names_no_commit_is_refused(root: Path) -> None:
    """As it is where the baseline is read from it."""
    with pytest.raises(InputError, match="no commit 'nowhere' here"):
        find_base(root, {}, "git:nowhere:x", None)


def test_files_are_read_as_they_are_in_the_commit(root: Path) -> None:
    """Also above the project, never outside the repository; a link or a folder is not a file."""
    (root / "data" / "cases.jsonl").write_text("{}\n{}\n", encoding="utf-8")
    (root / "suite.yaml").unlink()
    base = find_base(root, {}, None, None)
    assert base is not None
    names = [
        "suite.yaml",
        "data/cases.jsonl",
        "../labels.jsonl",
        "../../x",
        "/etc/passwd",
        "data",
        "gone",
        "a\nb",
        "-x",
    ]
    found = {"suite.yaml": b"name: faq\n", "data/cases.jsonl": b"{}\n", "../labels.jsonl": b"1\n"}
    assert base.read(names) == found
    assert base.differing(names) == ["data/cases.jsonl", "suite.yaml"]
    assert base.files_with("name: faq") == ["suite.yaml"]
    assert base.files_with("nobody wrote this") == []
    target = root / "copy"
    assert base.copy("data/cases.jsonl", target) == ""
    assert target.read_bytes() == b"{}\n"
    assert base.copy("gone", target) == "it is not in that commit"
    assert base.copy("data", target) == "it is a folder"


def test_a_pointer_of_git_lfs_stands_for_its_content(root: Path) -> None:
    """The file on disk is compared by the hash that the pointer names; what it holds cannot be read from the commit."""
    content = b"{}\n" * 50
    pointer = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{hashlib.sha256(content).hexdigest()}\nsize 150\n"
    )
    (root / "big.jsonl").write_text(pointer, encoding="utf-8")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "pointer")
    git(root, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(root, "commit", "-q", "--allow-empty", "-m", "change")
    base = find_base(root, {}, None, None)
    assert base is not None
    (root / "big.jsonl").write_bytes(content)
    assert base.differing(["big.jsonl"]) == []
    assert base.read(["big.jsonl"]) == {"big.jsonl": content}
    (root / "big.jsonl").write_bytes(content * 2)
    assert base.differing(["big.jsonl"]) == ["big.jsonl"]
    assert base.read(["big.jsonl"]) == {"big.jsonl": pointer.encode()}
    assert base.copy("big.jsonl", root / "copy") == "it is kept in Git LFS, and the one here differs"


def test_links_inside_the_repository_are_followed(root: Path) -> None:
    """To a file, through a folder, to another link; one that leaves the repository or leads nowhere says so."""
    links = {"link.jsonl": "data/cases.jsonl", "folder": "data", "again.jsonl": "folder/cases.jsonl"}
    links |= {"out": "/etc/passwd", "gone": "nothing", "round": "round", "up": "../labels.jsonl"}
    for name, target in links.items():
        (root / name).symlink_to(target)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "links")
    git(root, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(root, "commit", "-q", "--allow-empty", "-m", "change")
    base = find_base(root, {}, None, None)
    assert base is not None
    same = ["link.jsonl", "folder/cases.jsonl", "again.jsonl", "./data/cases.jsonl", "up"]
    assert base.read([*links, *same]) == {**dict.fromkeys(same, b"{}\n"), "up": b"1\n"}
    assert base.differing([*links, *same]) == []
    (root / "data" / "cases.jsonl").write_text("{}\n{}\n", encoding="utf-8")
    assert base.differing([*links, *same]) == sorted(same[:-1])
    copy = root / "copy"
    assert [base.copy(name, copy) for name in same] == [""] * len(same)
    assert base.copy("out", copy) == "it is a link that leaves the repository"
    assert base.copy("gone", copy) == base.copy("round", copy) == "it is a link that leads nowhere"


def test_the_root_of_the_project_is_found_in_the_commit(root: Path) -> None:
    """The nearest folder with a mark, as on disk."""
    base = find_base(root, {}, None, None)
    assert base is not None
    (root / "data" / "pyproject.toml").write_text("", encoding="utf-8")
    assert base.root_of("data/cases.jsonl") == ""
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "mark")
    git(root, "update-ref", "refs/remotes/origin/main", "HEAD")
    base = find_base(root, {}, None, None)
    assert base is not None
    assert base.root_of("data/cases.jsonl") == "project/data"
    assert base.root_of("suite.yaml") == ""


@pytest.mark.parametrize("branch", ["release-ü", "1.0#x", "a'b", "-x", "x.y/z;w", "a\u2028b"])
def test_a_branch_of_any_name_is_found(root: Path, branch: str) -> None:
    """It is looked up among the branches, and never read as anything else."""
    git(root, "update-ref", f"refs/remotes/origin/{branch}", "origin/release")
    base = find_base(root, {"GITHUB_BASE_REF": branch}, None, None)
    assert base is not None
    assert base.shown.startswith(f"origin/{branch}@")
    for other in ("*", "re[l]ease", "", "main:x", "--all"):
        base = find_base(root, {"GITHUB_BASE_REF": other}, None, None)
        assert base is not None
        assert base.shown.startswith("origin/main@")
