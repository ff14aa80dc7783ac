"""Temporary folders: in use while their process lives, and removed by the next process if it was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from evalkit.disk.temporary import temporary_folder

MAKES = """
import sys, time
from evalkit.disk.temporary import temporary_folder
folder = temporary_folder("evalkit-test-")
(folder / "rows").write_text("x")
print(folder, flush=True)
sys.stdin.read()
"""


def made(tmp_path: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that holds a folder, which is made to look an hour old."""
    process = subprocess.Popen(
        [sys.executable, "-c", MAKES],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    assert folder.parent == tmp_path
    os.utime(folder, (1, 1))
    return process, folder


def test_the_folder_of_a_killed_process_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A living process keeps its folder, one that ends in order takes it along, and one that is killed leaves it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    process, folder = made(tmp_path)
    try:
        temporary_folder("evalkit-test-")
        assert (folder / "rows").exists()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert folder.exists()
        young = tmp_path / "evalkit-test-young"
        young.mkdir()
        own = temporary_folder("evalkit-test-")
        assert not folder.exists()
        assert young.exists()
        assert own.exists()
    finally:
        process.kill()
        process.communicate()
    process, folder = made(tmp_path)
    process.communicate(timeout=600)
    assert not folder.exists()


def test_what_only_has_the_name_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link is not followed, and a file stays."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    target, link, file = tmp_path / "mine", tmp_path / "evalkit-test-link", tmp_path / "evalkit-test-file"
    target.mkdir()
    (target / "kept").touch()
    link.symlink_to(target)
    file.touch()
    for each in (target, file):
        os.utime(each, (1, 1))
    os.utime(link, (1, 1), follow_symlinks=False)
    temporary_folder("evalkit-test-")
    assert (target / "kept").exists()
    assert link.is_symlink()
    assert file.exists()
