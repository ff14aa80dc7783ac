"""`evalkit run --watch` as a real process, with files saved while it runs."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from cli_project import SUITE, Project

WAIT_S = 300


class Watching:
    """A watching process, whose lines are waited for."""

    def __init__(self, project: Project, *words: str) -> None:
        self.project = project
        self.lines: queue.Queue[str] = queue.Queue()
        self.process = subprocess.Popen(
            project.command("run", "suite.yaml", "--watch", *words),
            cwd=project.root,
            env={**os.environ, "COLUMNS": "80"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Leave no process behind, whatever failed."""
        self.process.kill()
        self.process.wait()
        self.reader.join(WAIT_S)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put("")

    def until(self, word: str) -> list[str]:
        """Wait for a line with a word, and give the lines up to it."""
        seen: list[str] = []
        while not seen or word not in seen[-1]:
            line = self.lines.get(timeout=WAIT_S)
            assert line or self.process.poll() is None, seen
            seen.append(line)
        return seen

    def calls(self) -> list[str]:
        """Ids that were asked for since the last time."""
        found = sorted(self.project.calls())
        (self.project.root / "calls.log").write_text("", encoding="utf-8")
        return found

    def end(self) -> int:
        """Press Ctrl-C."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(WAIT_S)


@pytest.fixture
def watching(project: Project) -> Iterator[Watching]:
    """A process that has made its first round on six cases."""
    project.cases(6)
    (project.root / "calls.log").touch()
    with Watching(project) as made:
        made.until("save a file")
        yield made


def rewrite(file: Path, old: str, new: str) -> None:
    """Save a file with another text."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def manifests(project: Project) -> list[dict[str, object]]:
    """The runs of --watch."""
    files = sorted((project.root / "reports" / "watch").glob("*/manifest.json"))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def test_each_save_runs_what_it_changes(watching: Watching) -> None:
    """A case is run again alone, a scorer grades stored answers, a new source runs all, and an error passes."""
    project, root = watching.project, watching.project.root
    everything = sorted(f"{'left' if i % 2 else 'right'}-{i:03d}" for i in range(6))
    assert watching.calls() == everything

    rewrite(root / "cases.jsonl", '"input": "2 + 1"', '"input": "2 + 2"')
    assert "saved cases.jsonl" in watching.until("saved")[-1]
    assert watching.until("newly failing")[-1].endswith("newly failing: right-002")
    assert watching.calls() == ["right-002"]

    rewrite(root / "suite.yaml", "  - exact", "  - length: {max: 60, unit: words}")
    watching.until("newly passing: right-002")
    assert watching.calls() == []

    rewrite(root / "suite.yaml", "scorers:", "scores:")
    assert any("suite.yaml" in line for line in watching.until("no result; save a file to try again"))
    rewrite(root / "suite.yaml", "scores:", "scorers:")
    watching.until("nothing to run again")
    assert watching.calls() == []

    rewrite(root / "bot.py", "no idea", "no idea at all")
    watching.until("6 answers asked for")
    assert watching.calls() == everything
    assert watching.end() == 0

    runs = manifests(project)
    assert len(runs) == 2
    assert {run["partial"] for run in runs} == {"--watch"}
    decisions = (root / "reports" / "watch").glob("*/decision.json")
    assert {json.loads(file.read_text(encoding="utf-8"))["outcome"] for file in decisions} == {"no decision"}
    assert project.run("report", "latest").returncode == 2
    assert "no run in" in project.run("runs").stdout
    project.run("view")
    assert "watch/" not in (root / "reports" / "index.html").read_text(encoding="utf-8")


def test_a_save_during_a_round_begins_the_next_one(project: Project) -> None:
    """The round is not cancelled, and what was saved meanwhile, in several files, is one round afterwards."""
    project.cases(3)
    (project.root / "calls.log").touch()
    (project.root / "go").touch()
    rewrite(
        project.root / "bot.py",
        '    a, b = input.split("+")',
        '    while not log.with_name("go").exists(): time.sleep(0.02)\n    a, b = input.split("+")',
    )
    with Watching(project) as watching:
        watching.until("save a file")
        watching.calls()
        (project.root / "go").unlink()
        rewrite(project.root / "cases.jsonl", '"input": "0 + 1"', '"input": "0 + 2"')
        while "right-000" not in project.calls():
            pass
        rewrite(project.root / "cases.jsonl", '"input": "1 + 1"', '"input": "1 + 2"')
        rewrite(project.root / "suite.yaml", "name: sums", "name: more sums")
        (project.root / "go").touch()
        assert watching.until("saved")[-1].endswith("saved cases.jsonl")
        assert watching.until("newly failing")[-1].endswith(": right-000")
        assert watching.until("saved")[-1].endswith("saved cases.jsonl, suite.yaml")
        assert watching.until("newly failing")[-1].endswith(": left-001")
        assert watching.calls() == ["left-001", "right-000"]
        assert watching.end() == 0


def test_ctrl_c_during_a_round_ends_it(project: Project) -> None:
    """With 0, and no process is left."""
    project.cases(3)
    rewrite(project.root / "bot.py", "import os, pathlib, time", "import os, pathlib, time\n")
    rewrite(project.root / "bot.py", '    a, b = input.split("+")', "    time.sleep(600)")
    rewrite(project.root / "bot.py", '        file.write(id + "\\n")', '        file.write(f"{os.getpid()}\\n")')
    with Watching(project) as watching:
        while not project.calls():
            assert watching.process.poll() is None
        pid = int(project.calls()[0])
        assert watching.end() == 0
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_limited_watch_stays_limited(project: Project) -> None:
    """A change of the source runs the chosen case, and no other."""
    project.cases(6)
    (project.root / "calls.log").touch()
    with Watching(project, "--case", "left-001") as watching:
        watching.until("save a file")
        assert watching.calls() == ["left-001"]
        rewrite(project.root / "suite.yaml", 'broken: ""', 'broken: "left"')
        assert watching.until("newly failing")[-1].endswith(": left-001")
        assert watching.calls() == ["left-001"]
        assert watching.end() == 0


@pytest.mark.parametrize("version", ["", ", version: v1"])
def test_a_saved_prompt_runs_every_case(project: Project, version: str) -> None:
    """Also where a `version` hides from runs that the prompt has changed."""
    project.cases(2)
    (project.root / "calls.log").touch()
    (project.root / "prompts").mkdir()
    (project.root / "prompts" / "tone.md").write_text("kind", encoding="utf-8")
    rewrite(project.root / "suite.yaml", '""}}', f'""}}{version}}}')
    with Watching(project) as watching:
        watching.until("save a file")
        assert len(watching.calls()) == 2
        (project.root / "prompts" / "tone.md").write_text("short", encoding="utf-8")
        assert watching.until("saved")[-1].endswith("2 answers asked for or graded again  saved prompts/tone.md")
        assert len(watching.calls()) == 2
        assert watching.end() == 0


def test_a_bad_start_ends_at_once(project: Project) -> None:
    """A suite that is bad from the start, a choice that matches nothing, and flags without effect."""
    project.suite(text=SUITE.replace("scorers:", "scores:"))
    ran = project.run("run", "suite.yaml", "--watch")
    assert ran.returncode == 2
    assert "scores" in ran.stderr
    project.suite(text=SUITE.replace("bot:answer", "bot:missing"))
    ran = project.run("run", "suite.yaml", "--watch")
    assert ran.returncode == 2
    assert "missing" in ran.stderr
    assert "Traceback" not in ran.stderr
    project.suite()
    assert project.run("run", "suite.yaml", "--watch", "--case", "nobody").returncode == 5
    ran = project.run("run", "suite.yaml", "--watch", "--out", "x", "--baseline", "main", "--json")
    assert ran.returncode == 2
    assert [line.split(":")[0] for line in ran.stderr.splitlines()] == ["--out", "--baseline", "--json"]
    assert project.run("run", "suite.yaml", "--baseline", "none", env={"EVALKIT_WATCH": "1"}).returncode == 0
