"""`order:` of several systems: case by case in one random order, or one system after the other."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from several_project import GATE, HEAD, SeveralProject, system

OLD, NEW = system(side="old", delay=0.001), system("left-0", side="new", delay=0.001)


@pytest.fixture
def several(tmp_path: Path) -> SeveralProject:
    """A project with several systems."""
    return SeveralProject(tmp_path)


def called(several: SeveralProject) -> list[tuple[str, str]]:
    """System and case of each call, in order."""
    return [tuple(line.split(" ")) for line in (several.root / "calls.log").read_text().splitlines()]  # type: ignore[misc]


def test_the_cases_come_in_one_random_order_with_each_cohort_at_any_point(several: SeveralProject) -> None:
    """The same for both systems and for the same seed; another seed gives another."""
    several.systems("", old=OLD, new=NEW)
    several.suite(text=(several.root / "suite.yaml").read_text().replace("concurrency: 4", "concurrency: 1"))
    assert 0 == several.run("run", "suite.yaml", "--out", "first", "--no-report").returncode
    calls = called(several)
    orders = {side: [case for name, case in calls if name == side] for side in ("old", "left-0", "new")}
    own = orders["old"]
    assert own == [case for name, case in calls if name != "old"]
    file = [json.loads(line)["id"] for line in (several.root / "cases.jsonl").read_text().splitlines()]
    assert own != file
    assert sorted(own) == sorted(file)
    sides = Counter(case.split("-")[0] for case in own[:60])
    assert all(abs(n - 30) <= 3 for n in sides.values()), sides
    (several.root / "calls.log").unlink()
    several.run("run", "suite.yaml", "--out", "second", "--no-report")
    assert own == [case for name, case in called(several) if name == "old"]
    (several.root / "calls.log").unlink()
    several.run("run", "suite.yaml", "--out", "third", "--no-report", "--seed", "5")
    assert own != [case for name, case in called(several) if name == "old"]


def test_a_run_of_one_system_keeps_the_order_of_the_set(several: SeveralProject) -> None:
    """Alone, or as a matrix of one."""
    file = [json.loads(line)["id"] for line in (several.root / "cases.jsonl").read_text().splitlines()]
    head = HEAD.replace("concurrency: 4", "concurrency: 1")
    for text in (f"{head}system: {OLD}\n", f"{head}systems: {{only: {OLD}}}\n"):
        several.suite(text=text)
        several.run("run", "suite.yaml", "--out", f"run{len(text)}", "--no-report")
        assert file == [case for _, case in called(several)]
        (several.root / "calls.log").unlink()


def test_one_system_after_the_other(several: SeveralProject) -> None:
    """Each is called to the end before the next; what is shown says that the latencies are not comparable."""
    several.systems(f"order: by_system\nrelease: [new]\n{GATE}", old=OLD, new=NEW)
    ran = several.run("run", "suite.yaml", "--out", "run")
    first = [name for name, _ in called(several)][:240]
    assert ["old"] * 120 == first[:120]
    assert "old" not in first[120:240]
    assert 1 == ran.returncode, ran.stdout + ran.stderr
    assert "the systems were not called in turn, so their latencies cannot be compared" in " ".join(ran.stdout.split())
    page = (several.root / "run/report.html").read_text(encoding="utf-8")
    assert "Latencies are not comparable" in page
    assert "latency, not comparable" in page
    assert "Frontier of quality and cost<" in page
    assert "quality, cost and latency" not in page
    assert not several.json("run/comparison.json")["interleaved"]
    own = (several.root / "run/systems/new/summary.md").read_text(encoding="utf-8")
    assert "latency 0" not in own.partition("What else moved")[2].partition("\n")[0]
    assert 1 == several.run("gate", "run").returncode
    assert not several.json("run/comparison.json")["interleaved"]


def test_systems_in_turn_have_comparable_latencies(several: SeveralProject) -> None:
    """Nothing is said of them."""
    several.systems("", old=OLD, new=NEW)
    several.run("run", "suite.yaml", "--out", "run")
    page = (several.root / "run/report.html").read_text(encoding="utf-8")
    assert "not comparable" not in page.partition("<script")[0]
    assert several.json("run/comparison.json")["interleaved"]


def test_a_run_by_system_is_resumed_and_a_dead_system_stops_alone(several: SeveralProject) -> None:
    """Ten failures in a row stop it; the others go on, and a resumed run asks what is open."""
    (several.root / "dead.py").write_text(
        "import pathlib\ndef answer(input: str) -> str:\n"
        "    if pathlib.Path(__file__).with_name('up').exists():\n"
        "        return str(sum(map(int, input.split('+'))))\n    raise RuntimeError('down')\n"
    )
    several.systems("order: by_system\n", dead='{python: "dead:answer"}', old=OLD, new=NEW)
    ran = several.run("run", "suite.yaml", "--out", "run", "--no-report")
    assert 3 == ran.returncode
    assert len(several.rows("run", "dead")) < 30
    assert (120, 120) == (len(several.rows("run", "old")), len(several.rows("run", "new")))
    (several.root / "up").touch()
    ran = several.run("run", "suite.yaml", "--out", "run", "--retry-errors", "--no-report")
    assert 0 == ran.returncode, ran.stdout + ran.stderr
    assert 120 == len(several.rows("run", "dead"))
    assert 240 == len(called(several))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"system: {OLD}\norder: by_system\n", "order: the suite has one system"),
        (f"systems: {{a: {OLD}, b: {NEW}}}\norder: by_model\n", "order"),
        (
            f"systems: {{a: {OLD}, b: {NEW}}}\norder: by_system\nrelease: [b]\n"
            "gate: [no_regression: {max_slowdown: 1.1}]\n",
            "with `order: by_system`, the latencies of two systems cannot be compared",
        ),
    ],
)
def test_an_order_that_cannot_be_is_refused(several: SeveralProject, text: str, said: str) -> None:
    """Before the first call, with its place."""
    several.suite(text=HEAD + text)
    ran = several.run("check", "suite.yaml")
    assert 2 == ran.returncode
    assert said in ran.stderr
    assert "suite.yaml:" in ran.stderr


def test_the_order_of_a_run_stays_when_it_is_resumed(several: SeveralProject) -> None:
    """Half of a run in another order would make its latencies neither one nor the other."""
    several.systems("", old=OLD, new=NEW)
    assert 0 == several.run("run", "suite.yaml", "--out", "run", "--no-report").returncode
    several.systems("order: by_system\n", old=OLD, new=NEW)
    ran = several.run("run", "suite.yaml", "--out", "run", "--resume", "--no-report")
    assert 2 == ran.returncode
    assert "the run in it has `order: by_case`, and the suite `order: by_system`" in ran.stderr
