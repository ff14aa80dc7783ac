"""A run of several systems cannot be turned green by an edit of its folder, nor decided by the wrong reference."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from several_project import GATE, SeveralProject, system

OLD, NEW, MID = system(), system("left"), system("right-01")


@pytest.fixture
def blocked(tmp_path: Path) -> SeveralProject:
    """A run that blocks `new`, which fails half of the cases that `old` and nearly all that `mid` pass."""
    several = SeveralProject(tmp_path)
    several.systems(f"reference: old\nrelease: [new, mid]\n{GATE}", old=OLD, new=NEW, mid=MID)
    ran = several.run("run", "suite.yaml", "--out", "run", "--no-report")
    assert ran.returncode == 1, ran.stderr
    return several


def edited(several: SeveralProject, change: Callable[[dict[str, Any]], object]) -> None:
    """Edit the list of systems in the folder."""
    file = several.root / "run" / "systems.json"
    value = json.loads(file.read_text(encoding="utf-8"))
    change(value)
    file.write_text(json.dumps(value), encoding="utf-8")


def without(value: dict[str, Any], name: str) -> None:
    """Take a system out of the list and of those that are released."""
    value["systems"] = [each for each in value["systems"] if each["name"] != name]
    value["release"] = [each for each in value["release"] if each != name]


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (lambda value: value.update(release=["mid"]), 1, "new blocked"),
        (lambda value: value.update(release=[]), 1, "new blocked"),
        (lambda value: value.pop("release"), 1, "new blocked"),
        (lambda value: value.update(reference="mid"), 1, "reference old"),
        (lambda value: value.update(primary="nothing"), 1, "new blocked"),
        (lambda value: value["systems"][1].update(folder="systems/mid"), 2, "names a wrong folder for 'new'"),
        (lambda value: without(value, "new"), 2, "lists other systems than the suite (new is missing)"),
        (lambda value: value.update(release=["nobody"]), 2, "`release` is missing or invalid"),
        (lambda value: value["systems"].append(value["systems"][0]), 2, "`systems` is missing or invalid"),
    ],
    ids=["release", "none", "no key", "reference", "primary", "folder", "removed", "unknown", "twice"],
)
def test_the_list_of_systems_decides_nothing(
    blocked: SeveralProject, change: Callable[[dict[str, Any]], object], code: int, said: str
) -> None:
    """What is released comes from the suite; a list that names other systems or folders is refused."""
    edited(blocked, change)
    ran = blocked.run("gate", "run")
    assert (ran.returncode, said in ran.stdout + ran.stderr) == (code, True), ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_folder_of_another_system_is_refused(blocked: SeveralProject) -> None:
    """The run of `mid` in the folder of `new` is not the run of `new`."""
    shutil.rmtree(blocked.root / "run" / "systems" / "new")
    shutil.copytree(blocked.root / "run" / "systems" / "mid", blocked.root / "run" / "systems" / "new")
    ran = blocked.run("gate", "run")
    assert ran.returncode == 2
    assert "is the run of 'mid', not of 'new'" in ran.stderr


def test_a_system_that_is_released_no_more_gives_no_decision(blocked: SeveralProject) -> None:
    """The suite was edited after the run: the rest is approved, and that is no green."""
    blocked.systems(f"reference: old\nrelease: [mid]\n{GATE}", old=OLD, new=NEW, mid=MID)
    ran = blocked.run("gate", "run")
    assert ran.returncode == 3
    assert "released when the suite was run, and not any more: new" in " ".join(ran.stdout.split())
    assert blocked.json("run/decision.json")["outcome"] == "no decision"


def test_another_reference_does_not_take_the_answers_of_the_old_one(blocked: SeveralProject) -> None:
    """Suspect cases were asked again on `old`; they say nothing of `mid`."""
    blocked.systems(f"reference: mid\nrelease: [new]\n{GATE}", old=OLD, new=NEW, mid=MID)
    ran = blocked.run("gate", "run/systems/new")
    assert ran.returncode == 2
    assert "asked another system again than the reference 'mid'" in ran.stderr


def test_a_folder_without_a_slash_is_known(blocked: SeveralProject) -> None:
    """Each command names the folders of its systems."""
    for words in (("verify", "run"), ("diff", "run", "run"), ("baseline", "save", "run", "--name", "x")):
        ran = blocked.run(*words)
        assert ran.returncode == 2
        assert "holds the runs of 3 systems" in ran.stderr
