"""A killed `evalkit score` goes on where it was: no row lost or made twice, no system called."""

from __future__ import annotations

from pathlib import Path

import pytest
from fault_project import HERE, FaultProject, project_in

POINTS = {
    "first row": ("evalkit.store.journal:Journal.append", "before", 1),
    "half a row": ("evalkit.store.journal:_write", "half", 20),
    "a row": ("evalkit.store.journal:Journal.append", "after", 30),
    "last row": ("evalkit.store.journal:Journal.append", "after", 60),
    "seal": ("evalkit.gate.earlier_decisions:write_seal", "before", 1),
    "sealed": ("evalkit.gate.earlier_decisions:write_seal", "after", 1),
}


def score(project: FaultProject, out: str, *flags: str, prefix: tuple[str, ...] = ("-m", "evalkit")) -> int:
    """Score the run `answers` again."""
    import subprocess
    import sys

    words = ["score", "answers", "--suite", "suite.yaml", "--out", out, *flags]
    ran = subprocess.run([sys.executable, *prefix, *words], cwd=project.root, capture_output=True, check=False)
    return ran.returncode


def lines(project: FaultProject, out: str) -> list[bytes]:
    """Whole lines of a journal."""
    return (project.root / out / "rows.jsonl").read_bytes().split(b"\n")[:-1]


def test_a_killed_score_goes_on(tmp_path: Path) -> None:
    """At each point: rows that were written stay as they are, and summary and decision are those of a clean one."""
    with project_in(tmp_path, delay_s=0.0, flags=("--no-report",)) as project:
        assert project.run("answers").returncode == 3
        assert score(project, "clean") == 3
        asked = project.asked()
        for point, (target, when, nth) in POINTS.items():
            out = point.replace(" ", "-")
            assert score(project, out, prefix=(str(HERE / "kill_at.py"), target, when, str(nth))) == -9, point
            before = lines(project, out) if (project.root / out / "rows.jsonl").exists() else []
            assert score(project, out, "--resume") == 3, point
            assert lines(project, out)[: len(before)] == before, point
            assert project.ends(out) == project.ends("clean"), point
            assert project.decided(out) == project.decided("clean"), point
        assert project.asked() == asked, "no system is called"
        assert project.run("others").returncode == 3
        (project.root / "answers").rename(project.root / "away")
        (project.root / "others").rename(project.root / "answers")
        assert score(project, "a-row", "--resume") == 2, "the answers of another run"


@pytest.mark.parametrize("flag", ["--resume", "--out"])
def test_the_command_that_goes_on_is_that_of_a_score(flag: str, tmp_path: Path) -> None:
    """What is printed after a Ctrl-C."""
    from evalkit.cli.signals import again
    from evalkit.operations.run import Request
    from evalkit.store.folder import RunFolder

    command = "evalkit score main --suite suite.yaml" + (" --out x" if flag == "--out" else " --resume")
    request = Request(suite=Path("suite.yaml"), answers=RunFolder(tmp_path), command=command)
    assert again(request, RunFolder(Path("x"))).endswith("--out x --resume")
    assert again(request, RunFolder(Path("x"))).count("--out") == 1
