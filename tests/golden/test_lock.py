"""A locked set that changes by one byte is noticed, by command, run and gate."""

from __future__ import annotations

import datetime
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from evalkit import run
from evalkit.cli.golden import golden
from evalkit.errors import InputError
from evalkit.golden.lock import canary_of, lock_changes, lock_problems, make_lock
from evalkit.golden.read import read_all
from evalkit.golden.stored_lock import lock_file, lock_sha256, read_lock
from evalkit.operations.run import decide_again
from evalkit.store.folder import RunFolder

DAY = datetime.date(2026, 11, 3)
ROWS = [
    {"id": "a", "input": "Who pays the fee?", "reference": "secretword", "output": "secretword"},
    {"id": "b", "input": "Who asks?", "reference": "secretword two", "output": "no", "kind": "regression"},
    {"id": "c", "input": "Is it open?", "needs_reference": True},
]


@pytest.fixture
def cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set, with a suite that uses it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "suite.yaml").write_text(
        "name: s\ngolden: cases.jsonl\nsystem: {replay: golden}\nscorers: [exact]\ngate: [pass_rate: {min: 0.01}]\n"
    )
    file = tmp_path / "cases.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return file


def command(*arguments: str) -> Result:
    """Run `evalkit golden`."""
    return CliRunner().invoke(golden, list(arguments))


def edit(file: Path, old: str, new: str) -> None:
    """Change the set."""
    file.write_text(file.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")


def test_a_lock_holds_digests_and_no_text(cases: Path) -> None:
    """The canary string joins the set as its first line, which is no case; a second lock writes nothing."""
    lock, new = make_lock(cases, DAY)
    assert new
    assert (lock.set, lock.version, lock.n) == ("cases", "2026.11", 3)
    assert canary_of(cases) == lock.canary
    assert [case.id for case in read_all(cases, "cases.jsonl")] == ["a", "b", "c"]
    text = lock_file(cases).read_text(encoding="utf-8")
    assert not any(word in text for word in ("secretword", "fee", "Is it"))
    assert not lock_changes(cases)
    before = text, cases.read_bytes()
    assert make_lock(cases, datetime.date(2026, 12, 1)) == (lock, False)
    assert before == (lock_file(cases).read_text(encoding="utf-8"), cases.read_bytes())


def test_every_lock_of_a_month_has_its_version(cases: Path) -> None:
    """A case keeps the version in which it got its content."""
    make_lock(cases, DAY)
    edit(cases, "Who asks?", "Who asks now?")
    assert make_lock(cases, DAY)[0].version == "2026.11.2"
    edit(cases, "asks now", "asks then")
    assert make_lock(cases, DAY)[0].version == "2026.11.3"
    assert make_lock(cases, datetime.date(2026, 12, 1))[0].version == "2026.11.3"
    assert sorted(case.since for case in read_lock(cases).cases.values()) == ["2026.11", "2026.11", "2026.11.3"]


def test_one_changed_byte_is_an_exit_code_of_1(cases: Path) -> None:
    """With the case; also an added one, a removed one and a canary string of another set. Without a lock, it is 2."""
    assert isinstance(command("check-lock", "cases.jsonl").exception, InputError)
    assert command("lock", "cases.jsonl").exit_code == 0
    assert command("check-lock", "cases.jsonl").exit_code == 0
    edit(cases, "secretword two", "secretword Two")
    ran = command("check-lock", "cases.jsonl")
    assert (ran.exit_code, ran.stdout.splitlines()[0]) == (1, "changed b (cases.jsonl:3)")
    edit(cases, '"id": "a"', '"id": "d"')
    edit(cases, "evalkit-canary ", "evalkit-canary 1")
    shown = command("check-lock", "cases.jsonl", "--json")
    record = json.loads(shown.stdout)
    assert (shown.exit_code, record["changed"], record["added"]) == (1, ["b"], ["d"])
    assert len(record["removed"]) == 1
    assert record["canary_lost"]
    assert "secretword" not in ran.output + shown.output


@pytest.mark.parametrize("text", ["{}", "[]", "no", '{"format": 2}', '{"format": 1, "cases": {}, "n": 3}'])
def test_what_is_no_lock_is_refused(cases: Path, text: str) -> None:
    """A damaged lock never counts as none."""
    lock_file(cases).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="not a lock that evalkit wrote"):
        lock_changes(cases)
    with pytest.raises(InputError, match="not a lock that evalkit wrote"):
        run("suite.yaml", out="run", reports=False)


def manifest(folder: str) -> dict[str, Any]:
    """The manifest of a run."""
    return dict(json.loads((Path(folder) / "manifest.json").read_text(encoding="utf-8")))


def test_a_run_and_a_gate_refuse_a_changed_set(cases: Path) -> None:
    """The lock stands in manifest and decision of a run, and only if there is one."""
    run("suite.yaml", out="before", reports=False)
    make_lock(cases, DAY)
    run("suite.yaml", out="locked", reports=False)
    decided = [json.loads((Path(name) / "decision.json").read_text(encoding="utf-8")) for name in ("before", "locked")]
    assert ["lock" in manifest(name)["golden"] for name in ("before", "locked")] == [False, True]
    assert ["lock" in record for record in decided] == [False, True]
    assert decided[1]["lock"] == manifest("locked")["golden"]["lock"]
    edit(cases, "secretword two", "secretword 2")
    with pytest.raises(InputError, match=r"differs from its lock: 1 changed \(b\)"):
        run("suite.yaml", out="refused", reports=False)
    with pytest.raises(InputError, match="differs from its lock"):
        decide_again(RunFolder(Path("locked")), None, None, unlocked=False)
    assert decide_again(RunFolder(Path("locked")), None, None).decision.outcome == "approved"
    decision = decide_again(RunFolder(Path("locked")), None, None, unlocked=True).decision
    assert (decision.outcome, decision.partial) == ("no decision", "--unlocked")


def test_a_lock_counts_only_for_sets_that_can_be_locked(cases: Path) -> None:
    """A table beside a locked set has no lock; a packed copy of the set has the same one."""
    make_lock(cases, DAY)
    table = cases.with_suffix(".csv")
    table.write_text("id,input,reference,output\na,Who pays?,x,x\n", encoding="utf-8")
    suite = (cases.parent / "suite.yaml").read_text(encoding="utf-8")
    (cases.parent / "suite.yaml").write_text(suite.replace("cases.jsonl", "cases.csv"), encoding="utf-8")
    ran = run("suite.yaml", out="table", reports=False)
    assert ran.decision is not None
    assert ran.decision.outcome == "approved"
    assert "lock" not in manifest("table")["golden"]
    with pytest.raises(InputError, match=r"only sets in JSON Lines have a lock; save it as JSON Lines \(.jsonl\)"):
        read_lock(table)
    packed = cases.with_name("cases.jsonl.gz")
    packed.write_bytes(gzip.compress(cases.read_bytes()))
    assert not lock_changes(packed)
    edit(cases, "Who asks?", "Who knows?")
    packed.write_bytes(gzip.compress(cases.read_bytes()))
    assert [case.id for case in lock_changes(packed).changed] == ["b"]
    assert [lock_sha256(each) == "" for each in (cases, packed, table)] == [False, False, True]
    lock_file(cases).unlink()
    with pytest.raises(InputError, match=r"write its lock with `evalkit golden lock \S+cases.jsonl`"):
        read_lock(packed)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"version": 5}, "version"),
        ({"version": None}, "version"),
        ({"version": ["a"]}, "version"),
        ({"version": "2026.13"}, "version"),
        ({"version": "2026.11.x"}, "version"),
        ({"version": "2026.11." + "9" * 5000}, "version"),
        ({"set": None}, "set"),
        ({"created": "never"}, "created"),
        ({"canary": 1}, "canary"),
        ({"canary": "", "version": None}, "version, canary"),
        ({"n": True}, "n"),
        ({"n": 1.0}, "n"),
        ({"cases": {"0" * 15: {"id": "0" * 16, "since": "2026.11", "kind": "golden"}}}, "case 1"),
        ({"cases": {"0" * 16: {"id": ["l"], "since": "2026.11", "kind": "golden"}}}, "case 1"),
        ({"cases": {"0" * 16: {"id": "0" * 16, "since": None, "kind": "golden"}}}, "case 1"),
        ({"cases": {"0" * 16: {"id": "0" * 16, "since": "2026.11", "kind": ["golden"]}}}, "case 1"),
        ({"cases": {"0" * 16: {"id": "0" * 16, "since": "2026.11", "kind": "other"}}}, "case 1"),
    ],
)
def test_every_value_of_a_lock_is_checked(cases: Path, wrong: dict[str, Any], named: str) -> None:
    """The message names the file, the wrong values and the way back."""
    whole = {"id": "1" * 16, "since": "2026.11.2", "kind": "canary"}
    right = {"set": "cases", "version": "2026.11.2", "created": "2026-11-03", "n": 1, "canary": "evalkit-canary 1"}
    record: dict[str, Any] = {"format": 1, **right, "cases": {"a" * 16: whole}}
    lock_file(cases).write_text(json.dumps(record), encoding="utf-8")
    assert read_lock(cases).version == "2026.11.2"
    lock_file(cases).write_text(json.dumps({**record, **wrong}), encoding="utf-8")
    fix = "restore it, or remove it and lock the set again with `evalkit golden lock`"
    what = f"cases.lock.json: not a lock that evalkit wrote (wrong: {named}); {fix}"
    for use in (read_lock, lock_changes, lambda file: make_lock(file, DAY)):
        with pytest.raises(InputError) as raised:
            use(cases)
        assert str(raised.value).endswith(what)


def test_an_edited_kind_or_id_in_a_lock_is_a_difference(cases: Path) -> None:
    """Each value of a lock that says something about a case is compared with it."""
    make_lock(cases, DAY)
    whole = lock_file(cases).read_text(encoding="utf-8")
    edit(lock_file(cases), '"regression"', '"canary"')
    assert [case.id for case in lock_changes(cases).changed] == ["b"]
    lock_file(cases).write_text(whole, encoding="utf-8")
    record = json.loads(whole)
    first, second, _ = record["cases"].values()
    first["id"], second["id"] = second["id"], first["id"]
    lock_file(cases).write_text(json.dumps(record), encoding="utf-8")
    assert len(lock_changes(cases).changed) == 2


@pytest.mark.parametrize("target", ["gone.json", "cases.lock.json"])
def test_a_lock_that_leads_nowhere_is_refused(cases: Path, target: str) -> None:
    """A broken link, and one to itself, never count as no lock."""
    lock_file(cases).symlink_to(target)
    (found,) = lock_problems(cases, "cases.jsonl")
    assert found.place.endswith("cases.lock.json")
    with pytest.raises(InputError, match=r"cases\.lock\.json: "):
        make_lock(cases, DAY)
    assert lock_sha256(cases) == ""


def test_reports_name_the_lock(cases: Path) -> None:
    """In summary.md, and so in the comment on a pull request, and in the page."""
    make_lock(cases, DAY)
    run("suite.yaml", out="locked")
    short = lock_sha256(cases)[:16]
    for name in ("summary.md", "comment.json", "report.html"):
        text = (cases.parent / "locked" / name).read_text(encoding="utf-8")
        assert f"SHA-256 of the lock of the golden set: {short}" in text, name
