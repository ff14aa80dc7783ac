"""`evalkit noise` and `evalkit power` in processes of their own."""

from __future__ import annotations

import json

from cli_project import Project


def test_power_is_known_before_any_run(project: Project) -> None:
    """Every cohort with its cases and the drop that it finds; the system is not called."""
    ran = project.run("power", "suite.yaml")
    assert ran.returncode == 0, ran.stderr
    assert project.calls() == []
    assert "group=left" in ran.stdout
    assert "assumed: 8.5% of the cases flip" in ran.stdout
    assert max(map(len, ran.stdout.splitlines())) <= 80
    machine = json.loads(project.run("power", "suite.yaml", "--flips", "0.02", "--json").stdout)
    assert [(each["cohort"], each["n"], each["flips"]) for each in machine] == [
        ("overall", 120, 0.02),
        ("group=left", 60, 0.02),
        ("group=right", 60, 0.02),
    ]
    assert machine[0]["smallest_drop"] < machine[1]["smallest_drop"]


def test_noise_runs_the_system_and_compares_it_with_itself(project: Project) -> None:
    """Four runs of every case; a system without noise flips never, and the folder can be looked at again."""
    ran = project.run("noise", "suite.yaml", "--out", "noise", "--repeat", "4", "--trials", "20")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(project.calls()) == 480
    assert "blocked this system against itself in 0.0%" in ran.stdout
    again = project.run("noise", "noise", "--trials", "20", "--json")
    assert again.returncode == 0, again.stderr
    assert len(project.calls()) == 480
    found = json.loads(again.stdout)
    assert found["repeats"] == 4
    assert {each["flips"] for each in found["gates"]} == {0.0}


def test_a_run_without_repeats_says_how_to_make_one(project: Project) -> None:
    """Exit 2, with the fix."""
    assert project.run("run", "suite.yaml", "--out", "first").returncode in (0, 3)
    ran = project.run("noise", "first")
    assert ran.returncode == 2
    assert "run it with --repeat 4" in ran.stderr


def test_flags_that_say_how_to_run_are_refused_for_a_stored_run(project: Project) -> None:
    """Nothing is called, so neither could have an effect; both are told at once."""
    assert project.run("run", "suite.yaml", "--out", "first").returncode in (0, 1)
    ran = project.run("noise", "first", "--repeat", "3", "--out", "x")
    assert ran.returncode == 2
    assert "--repeat: a stored run is measured" in ran.stderr
    assert "--out: a stored run is measured" in ran.stderr
    assert not (project.root / "x").exists()
