"""Cases that are held out leave the set byte for byte; the lock knows them, and no message holds their text."""

from __future__ import annotations

import datetime
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from evalkit.cli.golden import golden
from evalkit.errors import InputError
from evalkit.golden.held_out import draw_held, held_file, read_held
from evalkit.golden.lock import canary_of, id_hash, lock_changes, make_lock
from evalkit.golden.read import read_all
from evalkit.golden.stored_lock import lock_file, read_lock
from evalkit.operations.lock import lock_set
from evalkit.types import Case

DAY = datetime.date(2026, 11, 3)


def rows(n: int = 60) -> list[dict[str, Any]]:
    """Cases in clusters of three, with some that always stay."""
    made: list[dict[str, Any]] = [
        {"id": f"c{at}", "input": f"wordsecret {at}", "reference": "yes", "cluster": f"k{at // 3}"} for at in range(n)
    ]
    made[0]["kind"], made[4]["severity"], made[8]["origin"] = "canary", "critical", "synthetic"
    return made


@pytest.fixture
def cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set without an end of its last line."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "cases.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows()), encoding="utf-8")
    return file


def command(*arguments: str) -> Result:
    """Run `evalkit golden`."""
    return CliRunner().invoke(golden, list(arguments))


def test_whole_clusters_leave_the_set(cases: Path) -> None:
    """As many as fit into the share; their file is private and git ignores it."""
    before = set(cases.read_text(encoding="utf-8").splitlines())
    ran = command("lock", "cases.jsonl", "--held-out", "0.3")
    assert (ran.exit_code, ran.exception) == (0, None)
    assert ran.stdout.splitlines()[0] == "18 cases held out"
    assert "60 cases (18 held out) locked" in ran.stdout
    held = held_file(cases)
    assert stat.S_IMODE(held.stat().st_mode) == 0o600
    assert (cases.parent / ".gitignore").read_text(encoding="utf-8") == "/cases.held.jsonl\n"
    apart = read_held(cases)
    assert apart is not None
    open_ = read_all(cases, "cases.jsonl")
    assert (len(apart), len(open_)) == (18, 42)
    assert not {case.cluster for case in apart} & {case.cluster for case in open_}
    assert not {"k0", "k1", "k2"} & {case.cluster for case in apart}
    after = [*cases.read_text(encoding="utf-8").splitlines()[1:], *held.read_text(encoding="utf-8").splitlines()[1:]]
    assert set(after) == before
    assert canary_of(held) == canary_of(cases) != ""
    assert (read_lock(cases).n, read_lock(cases).n_held) == (60, 18)


def test_the_same_seed_gives_the_same_bytes(cases: Path, tmp_path: Path) -> None:
    """And another one other cases."""
    found = []
    for seed in ("1", "1", "2"):
        folder = tmp_path / f"s{len(found)}"
        folder.mkdir()
        copy = folder / "cases.jsonl"
        copy.write_bytes(cases.read_bytes())
        command("lock", str(copy), "--held-out", "0.3", "--seed", seed, "--commit")
        assert not (folder / ".gitignore").exists()
        found.append(held_file(copy).read_bytes().split(b"\n", 1)[1])
    assert found[0] == found[1] != found[2]


@given(st.floats(0.01, 0.99), st.integers(0, 2**32), st.lists(st.integers(0, 9), max_size=40))
def test_a_draw_keeps_its_share(share: float, seed: int, clusters: list[int]) -> None:
    """Never more than the share, and clusters stay whole."""
    cases = [Case(id=str(at), input="q", cluster=str(number)) for at, number in enumerate(clusters)]
    drawn = draw_held(cases, share, seed)
    assert len(drawn) <= share * len(cases) + 1e-6
    for number in set(clusters):
        members = {case.id for case in cases if case.cluster == str(number)}
        assert members <= drawn or not members & drawn


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--held-out", "0.1"], "only 6 of 60 cases can be held out; hold out at least 10"),
        (["--held-out", "1.5"], "1.5 is not a share"),
        (["--held-out", "0"], "0 is not a share"),
    ],
)
def test_what_cannot_be_held_out_is_refused(cases: Path, words: list[str], said: str) -> None:
    """Nothing is written."""
    before = cases.read_bytes()
    found = command("lock", "cases.jsonl", *words).exception
    assert isinstance(found, InputError)
    assert said in str(found)
    assert cases.read_bytes() == before
    assert [file.name for file in cases.parent.iterdir()] == ["cases.jsonl"]


def test_a_split_is_drawn_once(cases: Path) -> None:
    """A second one would add to it."""
    command("lock", "cases.jsonl", "--held-out", "0.3")
    found = command("lock", "cases.jsonl", "--held-out", "0.3").exception
    assert "holds the held-out cases of this set already" in str(found)


def test_a_change_of_a_held_case_is_noticed_without_its_text(cases: Path) -> None:
    """By the hash of its id; an unreadable row shows nothing of itself."""
    command("lock", "cases.jsonl", "--held-out", "0.3")
    held = held_file(cases)
    first = (read_held(cases) or [])[0]
    held.write_text(held.read_text(encoding="utf-8").replace("wordsecret", "wordsecret2", 1), encoding="utf-8")
    ran = command("check-lock", "cases.jsonl")
    assert (ran.exit_code, ran.stdout) == (1, f"changed {id_hash(first.id)} (cases.held.jsonl:2)\n")
    held.write_text(held.read_text(encoding="utf-8") + '{"id": "wordsecret", "input": 3}\n', encoding="utf-8")
    found = command("check-lock", "cases.jsonl").exception
    assert isinstance(found, InputError)
    assert "1 problem in the held-out cases" in str(found)
    assert "wordsecret" not in str(found)
    assert found.__suppress_context__


def test_a_checkout_without_the_held_cases_can_be_locked(cases: Path) -> None:
    """They are in the lock, and stay there."""
    command("lock", "cases.jsonl", "--held-out", "0.3")
    held_file(cases).unlink()
    assert not lock_changes(cases)
    text = cases.read_text(encoding="utf-8")
    kept = next(case for case in read_all(cases, "cases.jsonl"))
    cases.write_text(text.replace(f'"id": "{kept.id}"', '"id": "new"'), encoding="utf-8")
    assert [case.id for case in lock_changes(cases).added] == ["new"]
    lock, new = make_lock(cases, DAY)
    assert (new, lock.n, lock.n_held) == (True, 60, 18)


@pytest.mark.parametrize("dies_at", ["set", "lock"])
def test_a_split_that_was_killed_half_way_is_completed(
    cases: Path, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    """Between any two of its writes: every message says so without an id, and the same command completes it."""
    import evalkit.golden.lock as lock_module
    import evalkit.golden.write as write_module

    before = set(cases.read_text(encoding="utf-8").splitlines())

    def dies(*arguments: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        module, name = (write_module, "_write") if dies_at == "set" else (lock_module, "write_lock")
        patched.setattr(module, name, dies)
        with pytest.raises(KeyboardInterrupt):
            lock_set(cases, DAY, held_out=0.3)
    assert not lock_file(cases).exists()
    if dies_at == "set":
        found = command("lock", "cases.jsonl").exception
        assert isinstance(found, InputError)
        assert "18 cases are held out too" in str(found)
        assert "evalkit golden lock" in str(found)
        assert "--held-out" in str(found)
        assert not [each for each in read_held(cases) or () if f" {each.id}" in str(found)]
        assert lock_set(cases, DAY, held_out=0.3).n_moved == 18
    else:
        assert lock_set(cases, DAY).n_moved == 0
    assert (read_lock(cases).n, read_lock(cases).n_held) == (60, 18)
    after = [*cases.read_text(encoding="utf-8").splitlines()[1:]]
    after += held_file(cases).read_text(encoding="utf-8").splitlines()[1:]
    assert set(after) == before
    assert len(after) == 60


def test_a_large_split_says_that_a_new_baseline_is_needed(cases: Path) -> None:
    """Against the old one there is no decision, since more than a tenth of its cases are gone."""
    ran = command("lock", "cases.jsonl", "--held-out", "0.3")
    assert "there is no decision against an older baseline" in ran.stderr
    assert "evalkit baseline save" in ran.stderr


def test_a_small_split_keeps_the_baseline(cases: Path) -> None:
    """A tenth of the cases or fewer."""
    many = "".join(json.dumps({"id": f"m{at}", "input": f"more {at}", "reference": "a"}) + "\n" for at in range(140))
    cases.write_text(cases.read_text(encoding="utf-8") + "\n" + many, encoding="utf-8")
    assert "baseline" not in command("lock", "cases.jsonl", "--held-out", "0.1").stderr


@pytest.mark.parametrize("field", ['"origin": "synthetic"', '"variant": {"of": "a"}'])
def test_synthetic_cases_are_never_held_out(cases: Path, field: str) -> None:
    """Also if somebody writes one into the file, where no message shows it."""
    command("lock", "cases.jsonl", "--held-out", "0.3")
    held = held_file(cases)
    row = f'{{"id": "wordsecret", "input": "q", "reference": "a", {field}}}\n'
    held.write_text(held.read_text(encoding="utf-8") + row, encoding="utf-8")
    with pytest.raises(InputError, match="1 synthetic case in the held-out cases") as found:
        read_held(cases)
    assert "wordsecret" not in str(found.value)
    assert "1 synthetic case" in str(command("lock", "cases.jsonl").exception)


def test_a_case_in_both_files_is_refused(cases: Path) -> None:
    """As a crash between the two writes leaves it."""
    before = cases.read_text(encoding="utf-8")
    command("lock", "cases.jsonl", "--held-out", "0.3")
    cases.write_text(before, encoding="utf-8")
    with pytest.raises(InputError, match="18 cases are held out too"):
        lock_changes(cases)
    rest = cases.read_text(encoding="utf-8").replace('"id": "c1"', '"id": "d1"')
    apart = [case.id for case in read_held(cases) or ()]
    cases.write_text(rest.replace(f'"id": "{apart[0]}"', '"id": "new"'), encoding="utf-8")
    with pytest.raises(InputError, match="17 cases are held out too") as found:
        lock_changes(cases)
    assert id_hash(apart[1]) in str(found.value)
    assert f" {apart[1]}" not in str(found.value)
