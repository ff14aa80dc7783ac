"""A lock says how often a set is rotated, whose it is and who reads its held-out cases; commands use it."""

from __future__ import annotations

import asyncio
import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from evalkit.cli.golden import golden
from evalkit.errors import InputError
from evalkit.golden.lock import LockSettings, make_lock
from evalkit.golden.read import read_all
from evalkit.golden.rotation import choose_rotation
from evalkit.golden.rotation_rule import RotationRule, later
from evalkit.golden.stored_lock import lock_file, read_lock
from evalkit.operations.check import check_suite
from evalkit.operations.golden_report import CallShares, golden_report
from evalkit.operations.golden_rotate import rotate_set
from evalkit.types import Case

OLD, NEW = datetime.date(2026, 1, 31), datetime.date(2026, 3, 1)
WORDS = [f"{chr(97 + at % 26) * 4}{chr(97 + at // 26) * 5} {at * 7919}" for at in range(80)]


def a_row(name: str, at: int, **more: Any) -> dict[str, Any]:
    """A case with a question of its own."""
    return {"id": f"{name}-{at}", "input": f"{WORDS[at]} {name}", "reference": "yes", "output": "yes", **more}


@pytest.fixture
def cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set of 40 cases, a pool of 30 and a suite."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    for name, rows in (("cases", range(40)), ("pool", range(40, 70))):
        lines = "".join(json.dumps(a_row(name, at)) + "\n" for at in rows)
        (tmp_path / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    suite = "name: s\ngolden: cases.jsonl\nsystem: {replay: golden}\nscorers: [exact]\ngate: [pass_rate: {min: 0.1}]\n"
    (tmp_path / "suite.yaml").write_text(suite, encoding="utf-8")
    return Path("cases.jsonl")


def command(*arguments: str) -> Result:
    """Run `evalkit golden`."""
    return CliRunner().invoke(golden, list(arguments))


def locked(file: Path, day: datetime.date = OLD, **rule: Any) -> None:
    """Lock a set with a rule of rotation."""
    make_lock(file, day, LockSettings(**rule))


def test_settings_are_kept_until_they_are_given_again(cases: Path) -> None:
    """They are no new version of the set; `--every never` ends the rotation."""
    words = ["--every", "quarter", "--share", "0.2", "--anchor", "0.3", "--owner", "@team", "--reader-held", "@release"]
    assert command("lock", "cases.jsonl", *words).exit_code == 0
    first = read_lock(cases)
    assert first.rotation == RotationRule(every="quarter", share=0.2, anchor=0.3)
    assert (first.owners, first.readers_held) == (("@team",), ("@release",))
    cases.write_text(cases.read_text(encoding="utf-8").replace('"yes"', '"no"', 1), encoding="utf-8")
    command("lock", "cases.jsonl")
    second = read_lock(cases)
    assert (second.rotation, second.owners, second.readers_held) == (first.rotation, ("@team",), ("@release",))
    command("lock", "cases.jsonl", "--every", "never", "--owner", "@a", "--owner", "@b")
    third = read_lock(cases)
    assert (third.rotation, third.owners, third.version) == (None, ("@a", "@b"), second.version)
    assert len(third.changelog) == 2
    assert "unchanged" in command("lock", "cases.jsonl").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--every", "day"], "choose from month, quarter, year, or never"),
        (["--share", "0"], "0 is not a share"),
        (["--anchor", "1"], "1.0 is not a share"),
        (["--anchor", "0.95", "--share", "0.1"], "no room"),
        (["--owner", " "], "is empty"),
    ],
)
def test_settings_that_cannot_be_are_refused(cases: Path, words: list[str], said: str) -> None:
    """Before anything is written."""
    found = command("lock", "cases.jsonl", *words).exception
    assert isinstance(found, InputError)
    assert said in str(found)
    assert not lock_file(cases).exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"rotation": {"every": "day", "share": 0.1, "anchor": 0.3}},
        {"rotation": {"every": "month", "share": True, "anchor": 0.3}},
        {"rotation": {"every": "month", "share": 0.1, "anchor": "a"}},
        {"rotation": {"every": "month", "share": 0.9, "anchor": 0.3}},
        {"rotation": ["month"]},
        {"owners": "@team"},
        {"readers_held": [1]},
    ],
)
def test_settings_in_a_lock_are_checked(cases: Path, wrong: dict[str, Any]) -> None:
    """And a lock of an earlier release, which has none, stays readable."""
    make_lock(cases, OLD)
    record = json.loads(lock_file(cases).read_text(encoding="utf-8"))
    for name in ("rotation", "owners", "readers_held"):
        del record[name]
    for each in record["changelog"]:
        del each["rotated"]
    lock_file(cases).write_text(json.dumps(record), encoding="utf-8")
    assert read_lock(cases).rotation is None
    lock_file(cases).write_text(json.dumps({**record, **wrong}), encoding="utf-8")
    with pytest.raises(InputError, match="not a lock that evalkit wrote"):
        read_lock(cases)


def test_rotate_takes_its_share_from_the_lock(cases: Path) -> None:
    """A flag wins; without both it is one in ten."""
    locked(cases, share=0.25)
    rotated = rotate_set(cases, Path("pool.jsonl"), today=NEW, dry_run=True)
    assert len(rotated.rotation.retired) == 10
    assert len(rotate_set(cases, Path("pool.jsonl"), today=NEW, share=0.05, dry_run=True).rotation.retired) == 2
    make_lock(cases, OLD, LockSettings(every="never"))
    assert len(rotate_set(cases, Path("pool.jsonl"), today=NEW, dry_run=True).rotation.retired) == 4


def test_anchors_stay_through_every_rotation(cases: Path) -> None:
    """The same ones, whatever the seed, until they are the only ones left."""
    found = read_all(cases, "cases.jsonl")
    pool = read_all(Path("pool.jsonl"), "pool.jsonl") * 2
    ages = {case.id: "2026.01" for case in found}
    stayed = []
    for seed in (1, 2):
        rotation = choose_rotation(found, pool, ages, share=1.0, anchor=0.3, seed=seed, today=NEW)
        stayed.append({case.id for case in found} - {case.id for case in rotation.retired})
    assert stayed[0] == stayed[1]
    assert 4 <= len(stayed[0]) <= 20


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_larger_anchor_keeps_the_cases_of_a_smaller_one(one: float, other: float) -> None:
    """So that a raised share does not choose anew."""
    low, high = sorted((one, other))
    cases = [Case(id=str(at), input="q") for at in range(50)]
    ages = {case.id: "2026.01" for case in cases}
    pool = [Case(id=f"p{at}", input="p") for at in range(50)]
    gone = [
        {case.id for case in choose_rotation(cases, pool, ages, share=1.0, anchor=a, seed=1, today=NEW).retired}
        for a in (low, high)
    ]
    assert gone[1] <= gone[0]


@pytest.mark.parametrize(
    ("day", "months", "after"),
    [("2026-01-31", 1, "2026-02-28"), ("2028-01-31", 1, "2028-02-29"), ("2026-11-30", 3, "2027-02-28")],
)
def test_months_end_with_their_last_day(day: str, months: int, after: str) -> None:
    """As a person counts months."""
    assert later(datetime.date.fromisoformat(day), months).isoformat() == after


def test_a_rotation_is_due_from_the_last_one_on(cases: Path) -> None:
    """A corrected case is a new version and no rotation."""
    locked(cases, every="month")
    assert read_lock(cases).next_rotation == datetime.date(2026, 2, 28)
    cases.write_text(cases.read_text(encoding="utf-8").replace('"yes"', '"no"', 1), encoding="utf-8")
    make_lock(cases, datetime.date(2026, 2, 20))
    assert read_lock(cases).next_rotation == datetime.date(2026, 2, 28)
    rotate_set(cases, Path("pool.jsonl"), today=NEW)
    assert read_lock(cases).next_rotation == datetime.date(2026, 4, 1)
    assert [each.rotated for each in read_lock(cases).changelog] == [False, False, True]
    make_lock(cases, OLD, LockSettings(every="never"))
    assert read_lock(cases).next_rotation is None


def test_check_and_report_say_that_a_rotation_is_due(cases: Path) -> None:
    """From that day on, with the command to run."""
    locked(cases, every="month")
    before = asyncio.run(check_suite(Path("suite.yaml"), {}, datetime.date(2026, 2, 27)))
    assert before.overdue == ()
    (warning,) = asyncio.run(check_suite(Path("suite.yaml"), {}, datetime.date(2026, 2, 28))).overdue
    assert str(warning).startswith("cases.jsonl: a rotation is due since 2026-02-28")
    assert "evalkit golden rotate cases.jsonl" in warning.fix
    parts = {part.name: part for part in golden_report(Path("suite.yaml"), CallShares()).parts}
    assert parts["Age"].tone == "warn"
    assert "A rotation is due since 2026-02-28." in parts["Age"].finding
    assert "evalkit golden rotate cases.jsonl" in parts["Age"].next[0].command


def test_people_of_the_lock_are_on_card_and_report(cases: Path) -> None:
    """The owner need not be written twice, and a set with held-out cases must say who reads them."""
    text = "source: a\nusage_rights: own\nsensitivity: a\npersonal_data: none\nretention: a\ndeletion: a\n"
    text += 'approved_by: A\napproved_on: "2026-01-01"\nlabels: a\n'
    Path("cases.card.yaml").write_text(text, encoding="utf-8")
    assert command("card", "cases.jsonl").exit_code == 1
    command("lock", "cases.jsonl", "--held-out", "0.3", "--owner", "@team")
    ran = command("card", "cases.jsonl")
    assert "| owner | @team |" in ran.stdout
    assert "| readers of held-out cases | **missing** |" in ran.stdout
    assert ran.exit_code == 1
    assert "readers_held: name them with `evalkit golden lock cases.jsonl --reader-held NAME`" in ran.stderr
    command("lock", "cases.jsonl", "--reader-held", "@release")
    ran = command("card", "cases.jsonl")
    assert (ran.exit_code, "| readers of held-out cases | @release |" in ran.stdout) == (0, True)
    parts = {part.name: part for part in golden_report(Path("suite.yaml"), CallShares()).parts}
    assert "Owners: @team." in parts["Lock"].notes
    assert "Readers of held-out cases: @release." in parts["Lock"].notes
