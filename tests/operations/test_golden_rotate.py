"""Rotation: who goes, who comes, what is refused, and the same bytes for one seed."""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import evalkit.golden.write as write_module
from evalkit.cli.golden import golden
from evalkit.errors import InputError
from evalkit.golden.lock import lock_changes, make_lock
from evalkit.golden.read import read_all
from evalkit.golden.rotation import Rotation, choose_rotation
from evalkit.golden.stored_lock import read_lock
from evalkit.operations.golden_rotate import rotate_set
from evalkit.types import Case

OLD, NEW = datetime.date(2026, 1, 5), datetime.date(2026, 11, 3)


def a_row(name: str, topic: str, **more: Any) -> dict[str, Any]:
    """A case with a question of its own."""
    text = hashlib.sha256(name.encode()).hexdigest()
    return {"id": name, "input": text, "reference": "yes", "cohorts": {"topic": topic}, **more}


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    """Write a set."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set of 100, of which 60 are older, and a pool of 40."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "cases.jsonl"
    topics = ["fees"] * 60 + ["loans"] * 40
    rows = [a_row(f"old-{at}", topics[at]) for at in range(60)]
    rows[0]["kind"], rows[1]["anchor"] = "canary", True
    write(file, rows)
    make_lock(file, OLD)
    rows += [a_row(f"late-{at}", topics[60 + at]) for at in range(40)]
    file.write_text(file.read_text().splitlines()[0] + "\n" + "".join(json.dumps(row) + "\n" for row in rows))
    make_lock(file, NEW)
    pool = [a_row(f"new-{at}", "fees" if at % 2 else "loans") for at in range(40)]
    write(tmp_path / "pool.jsonl", pool)
    return file


def rotate(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(golden, ["rotate", "cases.jsonl", "--pool", "pool.jsonl", *arguments])


def test_the_oldest_go_and_candidates_of_their_cohorts_come(cases: Path) -> None:
    """One in ten; canaries and anchors stay, and what went is kept."""
    before = {case.id for case in read_all(cases, "cases.jsonl")}
    ran = rotate()
    assert (ran.exit_code, ran.exception) == (0, None)
    after = {case.id for case in read_all(cases, "cases.jsonl")}
    gone = before - after
    assert (len(gone), len(after - before), len(after)) == (10, 10, 100)
    assert all(name.startswith("old-") for name in gone)
    assert not gone & {"old-0", "old-1"}
    topics = [case.cohorts["topic"] for case in read_all(cases, "cases.jsonl")]
    assert topics.count("fees") == 60
    assert {case.id for case in read_all(cases.with_name("cases.retired.jsonl"), "r")} == gone
    assert not lock_changes(cases)
    last = read_lock(cases).changelog[-1]
    assert (last.added, last.removed, last.changed, last.n) == (10, 10, 0, 100)
    assert "10 cases retired, 10 added, version" in ran.stdout
    assert "old-0" not in {case.id for case in read_all(cases.with_name("cases.retired.jsonl"), "r")}
    assert "| 2026" in CliRunner().invoke(golden, ["card", "cases.jsonl"]).stdout


def test_one_seed_gives_the_same_bytes(cases: Path, tmp_path: Path) -> None:
    """Twice the same, set, lock and retired cases; another seed gives another set."""
    found = []
    for seed in (1, 1, 2):
        folder = tmp_path / f"s{len(found)}"
        folder.mkdir()
        for name in ("cases.jsonl", "cases.lock.json", "pool.jsonl"):
            shutil.copy(cases.with_name(name), folder / name)
        rotate_set(folder / "cases.jsonl", folder / "pool.jsonl", today=NEW, seed=seed)
        found.append([(folder / f"cases.{end}").read_bytes() for end in ("jsonl", "lock.json", "retired.jsonl")])
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_a_dry_run_writes_nothing(cases: Path) -> None:
    """It lists who would go and come."""
    before = {file.name: file.read_bytes() for file in cases.parent.iterdir()}
    ran = rotate("--dry-run")
    assert ran.stdout.count("retire old-") == 10
    assert ran.stdout.count("add new-") == 10
    assert before == {file.name: file.read_bytes() for file in cases.parent.iterdir()}


def test_a_set_that_is_not_as_locked_is_refused(cases: Path) -> None:
    """Its age is not known."""
    cases.write_text(cases.read_text(encoding="utf-8").replace('"yes"', '"no"', 1), encoding="utf-8")
    assert "differs from its lock" in str(rotate().exception)


def test_unusable_candidates_are_counted(cases: Path) -> None:
    """Ids of the set, copies of its cases, no reference; and a pool without a usable one is refused."""
    old = [json.loads(line) for line in cases.read_text(encoding="utf-8").splitlines()[1:]]
    bad = [{**old[5]}, {**old[6], "id": "copy"}, a_row("empty", "fees", reference=None)]
    write(cases.with_name("pool.jsonl"), bad)
    found = rotate().exception
    assert isinstance(found, InputError)
    for words in ("1 has an id of the set", "1 nearly the same as another case", "1 without an expectation"):
        assert words in str(found)


def a_case(name: str, **changes: Any) -> Case:
    """A case of topic fees."""
    return Case(**{"id": name, "input": name, "cohorts": {"topic": "fees"}, "reference": ("yes",), **changes})


def chosen(cases: list[Case], pool: list[Case], since: dict[str, str] | None = None, **given: Any) -> Rotation:
    """Choose with ages of one month."""
    ages = {case.id: "2026.01" for case in cases} | (since or {})
    return choose_rotation(cases, pool, ages, **{"share": 0.2, "seed": 1, "today": NEW, "dead": (), **given})


def test_dead_cases_go_first() -> None:
    """Then the oldest."""
    cases = [a_case(f"c{at}") for at in range(10)]
    pool = [a_case(f"p{at}") for at in range(9)]
    found = chosen(cases, pool, {"c3": "2025.02", "c7": "2026.09"}, dead=("c7",))
    assert [case.id for case in found.retired] == ["c7", "c3"]
    assert chosen(cases, pool, {"c3": "2026.10.2", "c4": "2026.10.12"}, share=0.9).retired[-1].id == "c3"


def test_young_critical_regressions_stay() -> None:
    """For 180 days by their own day, else by the version in which they came."""
    guard = {"kind": "regression", "severity": "critical"}
    cases = [
        a_case("young", **guard, fields={"since": "2026-06-01"}),
        a_case("grown", **guard, fields={"since": "2026-02-01"}),
        a_case("month", **guard),
        a_case("other", severity="critical"),
    ]
    found = chosen(cases, [a_case(f"p{at}") for at in range(9)], {"month": "2026.10"}, share=1.0)
    assert {case.id for case in found.retired} == {"grown", "other"}


def test_at_most_a_fifth_is_synthetic() -> None:
    """Of those that come."""
    cases = [a_case(f"c{at}") for at in range(20)]
    pool = [a_case(f"s{at}", fields={"origin": "synthetic"}) for at in range(30)]
    pool += [a_case(f"p{at}") for at in range(4)]
    found = chosen(cases, pool, share=0.5)
    assert (len(found.added), len(found.retired)) == (5, 5)
    assert sum(case.fields.get("origin") == "synthetic" for case in found.added) == 1


def test_uncovered_production_comes_first() -> None:
    """A declared share that the set lacks is filled before the rest."""
    cases = [a_case(f"c{at}") for at in range(20)]
    pool = [a_case(f"p{at}") for at in range(10)]
    pool += [a_case(f"l{at}", cohorts={"topic": "loans"}) for at in range(10)]
    found = chosen(cases, pool, production={"topic=fees": 0.5, "topic=loans": 0.5})
    assert [case.cohorts["topic"] for case in found.added] == ["loans"] * 4


def test_a_cohort_that_falls_under_its_floor_is_refused() -> None:
    """30 cases of a cohort are the fewest with useful intervals; one that has fewer already may not vanish."""
    cases = [a_case(f"c{at}", cohorts={"topic": "loans"}) for at in range(30)]
    pool = [a_case(f"p{at}") for at in range(9)]
    with pytest.raises(InputError, match="topic=loans falls from 30 to 24 cases, at least 30 are needed"):
        chosen(cases, pool)
    with pytest.raises(InputError, match="topic=loans falls from 5 to 0 cases"):
        chosen(cases[:5], pool, share=1.0)


def test_a_rotation_that_was_killed_half_way_can_be_made_again(cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the retired cases were written, and before the set was: each is retired once."""
    write_file = write_module._write

    def dies(file: Path, lines: list[bytes]) -> None:
        if file == cases:
            raise KeyboardInterrupt
        write_file(file, lines)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(write_module, "_write", dies)
        rotate_set(cases, Path("pool.jsonl"), today=NEW)
    rotate_set(cases, Path("pool.jsonl"), today=NEW)
    assert len(read_all(cases.with_name("cases.retired.jsonl"), "r")) == 10
    assert not lock_changes(cases)
