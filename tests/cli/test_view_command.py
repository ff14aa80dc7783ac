"""`evalkit view` and `report --open` as real commands, in a project with real runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from cli_project import Project

PAGE = "reports/index.html"
ONE_RUN = ("run", "suite.yaml", "--baseline", "none", "--out")


def browser(project: Project) -> dict[str, str]:
    """An environment whose browser writes down what it is to open."""
    script = project.root / "browser"
    script.write_text('#!/bin/sh\necho "$1" >> "$(dirname "$0")/opened"\n', encoding="utf-8")
    script.chmod(0o755)
    return {"BROWSER": f"{script} %s"}


def opened(project: Project) -> str:
    """What the browser was given."""
    return (project.root / "opened").read_text(encoding="utf-8").strip()


def read(url: str) -> bytes:
    """What the server answers."""
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - evalkit's own address
        return bytes(answer.read())


@pytest.fixture
def stored(project: Project) -> Project:
    """A project with one run."""
    project.cases(8)
    ran = project.run(*ONE_RUN, "reports/first")
    assert ran.returncode == 0, ran.stderr
    return project


def test_a_page_is_written_and_opened(stored: Project) -> None:
    """In the folder of the runs, or where --out says, with links that lead to the reports from there."""
    ran = stored.run("view", "--open", env=browser(stored))
    assert (ran.returncode, ran.stdout) == (0, f"wrote    {PAGE}\n")
    assert opened(stored) == (stored.root / PAGE).as_uri()
    assert 'href="first/report.html"' in (stored.root / PAGE).read_text(encoding="utf-8")
    assert stored.run("view", "reports", "--out", "pages/all.html").returncode == 0
    assert 'href="../reports/first/report.html"' in (stored.root / "pages" / "all.html").read_text(encoding="utf-8")
    assert stored.run("view").returncode == 0, "its own page is replaced"
    ran = stored.run("report", "first", "--open", env=browser(stored))
    assert ran.returncode == 2
    ran = stored.run("report", "latest", "--open", env=browser(stored))
    assert ran.returncode == 0, ran.stderr
    assert opened(stored).splitlines()[-1] == (stored.root / "reports/first/report.html").as_uri()


def test_without_a_browser_the_path_is_said(stored: Project) -> None:
    """The page is written, and the exit code stays."""
    bare = {"PATH": "/nowhere", "BROWSER": "", "DISPLAY": "", "WAYLAND_DISPLAY": ""}
    ran = stored.run("view", "--open", env=bare)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == f"no browser found; open {PAGE} yourself\n"


def test_mistakes_have_a_fix(stored: Project) -> None:
    """A folder that is none, a file of someone else, flags without effect."""
    for words, said in [
        (("nowhere",), "nowhere: no such folder; name the folder that holds the run folders"),
        (("suite.yaml",), "suite.yaml: is not a folder"),
        (("--out", "suite.yaml"), "suite.yaml: is not a page of `evalkit view`; name another file with --out"),
        (("--port", "8000"), "--port: nothing is served without --serve; add --serve"),
        (("--serve", "--out", "x.html"), "--out: --serve writes no file; give one of them"),
    ]:
        ran = stored.run("view", *words)
        assert ran.returncode == 2
        assert ran.stderr.startswith(said), ran.stderr
    assert (stored.root / "suite.yaml").read_text(encoding="utf-8").startswith("name: sums")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_serving_ends_with_ctrl_c(stored: Project, number: signal.Signals, code: int) -> None:
    """The page and the report are there until then; a taken port is reported to the next one."""
    command = [sys.executable, "-m", "evalkit", "view", "--serve", "--port", "0", "--open"]
    env = {**os.environ, **browser(stored)}
    with subprocess.Popen(command, cwd=stored.root, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[1]
        assert b'href="first/report.html"' in read(url)
        assert b"sums" in read(f"{url}first/report.html")
        taken = stored.run("view", "--serve", "--port", url.rstrip("/").rpartition(":")[2])
        assert taken.returncode == 2
        assert "name another one" in taken.stderr
        process.send_signal(number)
        assert process.wait(60) == code
    assert not Path(stored.root / PAGE).exists()


def test_latest_is_understood_everywhere(stored: Project) -> None:
    """By each command that takes a run."""
    for words in (
        ("report", "latest"),
        ("gate", "latest"),
        ("verify", "latest"),
        ("diff", "latest", "latest"),
        ("compare", "latest", "latest"),
        ("baseline", "save", "latest", "--name", "main"),
        ("run", "suite.yaml", "--baseline", "latest", "--out", "reports/second"),
    ):
        ran = stored.run(*words)
        assert ran.returncode == 0, (words, ran.stderr)
    ran = stored.run("score", "latest", "--suite", "suite.yaml", "--out", "reports/third")
    assert ran.returncode == 0, ran.stderr
    assert "no case of latest failed" in stored.run("run", "suite.yaml", "--failed-from", "latest").stderr
    assert "every case was run once" in stored.run("noise", "latest").stderr
