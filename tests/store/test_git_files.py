"""Files of a commit go to the disk, not through memory, and what is read as text has a bound."""

import subprocess
from pathlib import Path

import pytest

from evalkit.errors import InputError
from evalkit.store import git as git_files


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A commit with a baseline of 5 MB of bytes that are no text."""
    folder = tmp_path / "project" / "base"
    folder.mkdir(parents=True)
    (folder / "rows.jsonl").write_bytes(bytes(range(256)) * 20_000)
    (folder / "manifest.json").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid x\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        command = [
            "git",
            "-C",
            str(tmp_path / "project"),
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@example.org",
            *words,
        ]
        subprocess.run(command, check=True)
    return tmp_path / "project"


def test_a_file_of_a_commit_never_stands_in_memory(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git itself writes it."""
    printed: list[bytes] = []
    ask = git_files.git

    def listening(folder: Path, *words: str, into: Path | None = None) -> bytes:
        printed.append(ask(folder, *words, into=into))
        return printed[-1]

    monkeypatch.setattr(git_files, "git", listening)
    found = git_files.folder_at("git:HEAD:base", repository, ["rows.jsonl"])
    assert found is not None
    assert (found / "rows.jsonl").read_bytes() == (repository / "base" / "rows.jsonl").read_bytes()
    assert max(map(len, printed)) < 1000


def test_a_pointer_is_told(repository: Path) -> None:
    """What Git LFS leaves in a commit is not the file."""
    with pytest.raises(InputError, match="a Git LFS pointer, not the file; keep it in git itself"):
        git_files.folder_at("git:HEAD:base", repository, ["manifest.json"])


def test_a_baseline_of_a_commit_has_a_bound(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is refused by its size, before it is written to the disk."""
    monkeypatch.setattr(git_files, "MAX_BYTES", 1_000_000)
    with pytest.raises(InputError, match=r"base/rows.jsonl: 5,120,000 bytes, at most 1,000,000 are read; "):
        git_files.folder_at("git:HEAD:base", repository, ["rows.jsonl"])
