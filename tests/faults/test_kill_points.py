"""kill -9 at every named point, at random times, and several times in a row: nothing lost, nothing asked twice."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_project import HERE, FaultProject, project_in

POINTS = {
    "before the lock": ("evalkit.store.running:_locked", "before", 1),
    "after the lock": ("evalkit.store.running:_locked", "after", 1),
    "before the manifest": ("evalkit.store.folder:RunFolder.write_text", "before", 1),
    "manifest not yet renamed": ("pathlib:Path.replace", "before", 1),
    "after the manifest": ("evalkit.store.folder:RunFolder.write_text", "after", 1),
    "before the first row": ("evalkit.store.journal:Journal.append", "before", 1),
    "half of a row": ("evalkit.store.journal:_write", "half", 20),
    "after a row": ("evalkit.store.journal:Journal.append", "after", 30),
    "after the last row": ("evalkit.store.journal:Journal.append", "after", 60),
    "during a sync": ("evalkit.store.journal:_sync", "before", 2),
    "before the figures": ("evalkit.runner.session:assess", "before", 1),
    "after the figures": ("evalkit.runner.session:assess", "after", 1),
    "before the summary": ("evalkit.store.folder:RunFolder.write_text", "before", 3),
    "seal not yet renamed": ("pathlib:Path.replace", "before", 5),
    "after the seal": ("evalkit.gate.earlier_decisions:write_seal", "after", 1),
    "decision not yet renamed": ("pathlib:Path.replace", "before", 6),
    "after the decision": ("evalkit.store.folder:RunFolder.write_text", "after", 5),
    "before the report": ("evalkit.report.html:write_html", "before", 1),
    "after the report": ("evalkit.report.html:write_html", "after", 1),
}
QUICK_KILLS = 5


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultProject]:
    """A project with a clean run."""
    with project_in(tmp_path_factory.mktemp("kill")) as made:
        assert made.run("clean").returncode == 3  # 3 of 60 calls are refused: too many for a decision
        yield made


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_a_named_point_changes_nothing(point: str, project: FaultProject) -> None:
    """Resume gives the rows, the summary and the decision of a run that nobody killed."""
    target, when, nth = POINTS[point]
    folder, earlier = point.replace(" ", "-"), project.asked()
    died = project.run(folder, prefix=(str(HERE / "kill_at.py"), target, when, str(nth)))
    assert died.returncode == -9, "the point was never reached"
    kept = Counter({question: (project.asked() - earlier)[question] for question in project.finished(folder)})
    ended = project.on(folder)
    assert ended.returncode == 3, ended.stderr
    project.check(folder, "clean", kills=1, earlier=earlier, kept=kept)
    left = {file.name for file in (project.root / folder).iterdir()}
    assert left == {file.name for file in (project.root / "clean").iterdir()}


def kill_and_resume(project: FaultProject, folder: str, draw: random.Random, most: int) -> None:
    """Kill a run up to so many times, wherever it is, and let it end."""
    earlier, kept, kills = project.asked(), Counter[str](), 0
    for _ in range(draw.randint(1, most)):
        begun = (project.root / folder / ".running").exists()
        code = project.killed_after(folder, draw.uniform(0.3, 2.0), *(["--resume"] if begun else []))
        kills += code == -9
        asked = project.asked() - earlier
        for question in project.finished(folder):
            kept.setdefault(question, asked[question])
        if code != -9:
            break
    else:
        assert project.on(folder).returncode == 3
    project.check(folder, "clean", kills=kills, earlier=earlier, kept=kept)


@pytest.mark.parametrize("seed", range(QUICK_KILLS))
def test_kills_at_random_times_change_nothing(seed: int, project: FaultProject) -> None:
    """Up to three in a row."""
    kill_and_resume(project, f"random-{seed}", random.Random(seed), 3)


@pytest.mark.long
def test_a_thousand_kills_change_nothing(tmp_path: Path) -> None:
    """EVALKIT_KILLS of them, a thousand unless it says otherwise, against a slow system, up to five in a row."""
    with project_in(tmp_path, delay_s=0.15) as slow:
        assert slow.run("clean").returncode == 3
        for turn in range(int(os.environ.get("EVALKIT_KILLS", "1000")) // 3):
            kill_and_resume(slow, f"run-{turn}", random.Random(1000 + turn), 5)
