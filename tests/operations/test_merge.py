"""Shards that are merged decide as one run does, and shards that do not belong together are refused."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalkit.errors import InputError
from evalkit.formats.rows import decode_row, encode_row
from evalkit.golden.shards import Shard
from evalkit.operations.baseline import faults_of
from evalkit.operations.merge import merge_shards
from evalkit.operations.run import Request, Result, run_suite
from evalkit.operations.run_each import run_each
from evalkit.operations.verify import verify_run
from evalkit.runner.engine import Stop
from evalkit.runner.plan import Selection
from evalkit.runner.session import Watcher
from evalkit.store.folder import RunFolder
from evalkit.store.stored_run import load_run

SUITE = """\
name: sums
golden: cases.jsonl
system: {python: "sums_bot:answer"}
scorers: [exact]
cohorts: [group]
repeat: 2
concurrency: 1
gate:
  - pass_rate: {min: 0.3}
"""
BOT = """\
def answer(input: str) -> str:
    a, b = input.split("+")
    return str(int(a) + int(b)) if int(a) % 7 else "no idea"
"""


def write(root: Path, n: int = 60, suite: str = SUITE, bot: str = BOT) -> None:
    """Write a project whose cases after the 30th are in clusters of four."""
    (root / "pyproject.toml").touch()
    (root / "sums_bot.py").write_text(bot, encoding="utf-8")
    (root / "suite.yaml").write_text(suite, encoding="utf-8")
    with (root / "cases.jsonl").open("w", encoding="utf-8") as file:
        for i in range(n):
            row = {"id": f"c{i:03}", "input": f"{i} + 1", "reference": str(i + 1), "cohorts": {"group": str(i % 3)}}
            file.write(json.dumps({**row, **({"cluster": f"k{i // 4}"} if i > 30 else {})}) + "\n")


def run(out: str, shard: Shard | None = None, **settings: object) -> Result:
    """Run the suite of the current folder, or a shard of it."""
    sys.modules.pop("sums_bot", None)
    chosen = Selection(shard=shard)
    request = Request(**{"suite": Path("suite.yaml"), "out": Path(out), "selection": chosen, **settings})  # type: ignore[arg-type]
    return asyncio.run(run_suite(request, Watcher(), Stop(), {}))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one whole run, and the same in three shards."""
    root = tmp_path_factory.mktemp("ran")
    write(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr(sys, "path", [*sys.path])
        run("whole")
        for number in (1, 2, 3):
            run(f"s{number}", Shard(number, 3))
    return root


@pytest.fixture
def root(ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of that project, as the current folder."""
    copy = tmp_path / "copy"
    shutil.copytree(ran, copy)
    monkeypatch.chdir(copy)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield copy
    sys.modules.pop("sums_bot", None)


def refused(*names: str) -> str:
    """Return the problems of a merge, a line each; nothing is written."""
    with pytest.raises(InputError) as caught:
        merge_shards(names, Path("merged"), {})
    assert not Path("merged").exists()
    return "\n".join(map(str, caught.value.problems))


def bare(folder: str) -> list[object]:
    """The rows of a run without what depends on the clock."""
    return [
        (row.case.id, row.repeat, row.output and row.output.text, row.scores, row.failure)
        for row in RunFolder(Path(folder)).rows()
    ]


def test_a_merge_is_one_run(root: Path) -> None:
    """The same summary byte by byte, the same rows in the same order, the same decision; and it is whole."""
    merged = merge_shards(["s3", "s1", "s2"], Path("merged"), {})
    assert (root / "merged" / "summary.json").read_bytes() == (root / "whole" / "summary.json").read_bytes()
    assert bare("merged") == bare("whole")
    own, other = (json.loads((root / name / "decision.json").read_bytes()) for name in ("merged", "whole"))
    for each in (own, other):
        del each["run_id"], each["head"]
    assert own == other
    assert merged.exit_code == 0
    manifest = RunFolder(root / "merged").manifest()
    assert [(each.shard, each.run_id) for each in manifest.shards] == [
        (f"{n}/3", RunFolder(root / f"s{n}").manifest().run_id) for n in (1, 2, 3)
    ]
    assert sum(each.n_rows for each in manifest.shards) == manifest.expected == 120
    assert verify_run("merged", root).findings == ()
    assert list(faults_of(load_run(RunFolder(root / "merged")))) == []


def test_a_shard_alone_decides_nothing(root: Path) -> None:
    """It is partial, and cannot be a baseline."""
    decision = json.loads((root / "s2" / "decision.json").read_bytes())
    assert (decision["outcome"], decision["exit_code"]) == ("no decision", 3)
    assert "partial run (--shard 2/3), not a gate" in decision["reasons"]
    assert any("partial run (--shard 2/3)" in str(each) for each in faults_of(load_run(RunFolder(root / "s2"))))


def test_all_that_is_wrong_with_a_set_of_shards_is_said_at_once(root: Path) -> None:
    """Missing, given twice, not shards, not there."""
    shutil.copytree(root / "s1", root / "again")
    said = refused("s1", "again", "whole", "nothing-here", "s3")
    assert "s1 and again: shard 1/3 is given 2 times; leave out all but one" in said
    assert "shard 2/3 is missing; run it with `evalkit run suite.yaml --shard 2/3`" in said
    assert "whole: is not the run of a shard: it was run whole" in said
    assert "nothing-here" in said


def test_the_same_shard_run_twice_is_not_chosen_from(root: Path) -> None:
    """Whoever has two runs of a shard says which one counts."""
    write(root, bot=BOT.replace('"no idea"', '"never"'))
    run("second", Shard(2, 3))
    said = refused("s1", "s2", "second", "s3")
    assert "shard 2/3 is given 2 times" in said
    assert "another system (sums_bot.py changed) than shard 1/3 (s1)" in said


def test_shards_of_another_number_are_refused(root: Path) -> None:
    """Their cases overlap."""
    run("half", Shard(2, 2))
    assert "half: is shard 2/2, and other runs are one of 3 shards" in refused("s1", "half", "s3")


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("scorers: [exact]", 'scorers: [{contains: {name: exact, any: ["1"]}}]', "scoring"),
        ("repeat: 2", "repeat: 3", "number of repeats"),
        ("min: 0.3", "min: 0.1", "suite"),
    ],
)
def test_shards_of_another_suite_are_refused(root: Path, old: str, new: str, what: str) -> None:
    """As whatever a run cannot be resumed with."""
    write(root, suite=SUITE.replace(old, new))
    run("other", Shard(2, 3))
    said = refused("s1", "other", "s3")
    assert "other: shard 2/3 was run with another " in said
    assert what in said


def test_shards_of_other_cases_are_refused_and_so_is_a_checkout_with_others(root: Path) -> None:
    """The golden set of the shards is the one that orders their rows."""
    write(root, n=61)
    assert "cases.jsonl: holds other cases than the golden set" in refused("s1", "s2", "s3")
    run("other", Shard(2, 3))
    assert "another golden set" in refused("s1", "other", "s3")


def test_a_checkout_with_another_gate_is_refused(root: Path) -> None:
    """A merge decides with the gate that the shards were run with."""
    write(root, suite=SUITE.replace("0.3", "0.0"))
    assert "is not the suite that the shards were run with; check out the commit" in refused("s1", "s2", "s3")


def edit_manifest(folder: Path, **changes: object) -> None:
    """Change a manifest by hand."""
    file = folder / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_bytes()), **changes}), encoding="utf-8")


def test_shards_of_another_commit_or_version_are_refused(root: Path) -> None:
    """A system that has no fingerprint of its own is known by them alone."""
    versions = json.loads((root / "s2" / "manifest.json").read_bytes())["versions"]
    edit_manifest(root / "s2", commit="0" * 40, versions={**versions, "evalkit-gate": "0.0.1"}, seed=5)
    said = refused("s1", "s2", "s3")
    assert "shard 2/3 was run with another seed, version of evalkit, commit than shard 1/3" in said
    assert "s2: manifest.json: edited since the decision" in said


def test_an_interrupted_shard_is_named_with_the_command_that_completes_it(root: Path) -> None:
    """One that was killed, one that was stopped, and one that lost its rows."""
    (root / "s1" / "decision.json").unlink()
    run("stopped", Shard(2, 3), fail_fast=1)
    rows = root / "s3" / "rows.jsonl"
    rows.write_bytes(b"".join(rows.read_bytes().splitlines(keepends=True)[:-3]))
    said = refused("s1", "stopped", "s3")
    fix = "complete it with `evalkit run suite.yaml --shard 1/3 --out s1 --resume`"
    assert f"s1: shard 1/3 was interrupted; {fix}" in said
    assert "stopped: shard 2/3 is not complete: --fail-fast 1" in said
    assert "3 rows that the decision rested on are gone from rows.jsonl" in said


def test_edited_and_damaged_rows_are_refused(root: Path) -> None:
    """A row with another answer and a checksum that fits, and one whose checksum does not."""
    lines = (root / "s1" / "rows.jsonl").read_bytes().splitlines(keepends=True)
    wrong = next(n for n, line in enumerate(lines) if b"no idea" in line)
    row = decode_row(lines[wrong])
    other = decode_row(next(line for line in lines if b"no idea" not in line))
    assert row is not None and other is not None
    lines[wrong] = encode_row(type(row)(case=row.case, repeat=row.repeat, output=other.output, scores=other.scores))
    (root / "s1" / "rows.jsonl").write_bytes(b"".join(lines))
    said = refused("s1", "s2", "s3")
    assert "s1: 1 row is edited since the decision in rows.jsonl" in said


def unsealed(folder: Path) -> None:
    """Take away what shows that a run was changed."""
    (folder / "seal.txt").unlink()
    decision = json.loads((folder / "decision.json").read_bytes())
    for key in ("head", "decided_before"):
        decision.pop(key, None)
    (folder / "decision.json").write_text(json.dumps(decision), encoding="utf-8")


def test_rows_are_checked_where_no_seal_is_left_to_tell(root: Path) -> None:
    """Rows of another shard, damaged ones and missing ones."""
    for number in (1, 2, 3):
        unsealed(root / f"s{number}")
    first, second, third = (root / f"s{number}" / "rows.jsonl" for number in (1, 2, 3))
    foreign = second.read_bytes().splitlines(keepends=True)[0]
    first.write_bytes(first.read_bytes() + foreign)
    second.write_bytes(second.read_bytes().replace(b'"exact"', b'"exaCt"', 1))
    third.write_bytes(b"".join(third.read_bytes().splitlines(keepends=True)[2:]))
    said = refused("s1", "s2", "s3")
    assert "s1/rows.jsonl: holds 1 row of cases that are not in shard 1/3" in said
    assert "s2/rows.jsonl: damaged line 1; complete it with" in said
    assert "s3/rows.jsonl: 2 rows of shard 3/3 missing" in said


def test_a_resumed_shard_merges_as_if_it_had_not_been_stopped(root: Path) -> None:
    """And a merge into a folder that holds something is refused."""
    run("r2", Shard(2, 3), fail_fast=1)
    run("r2", Shard(2, 3), resume=True)
    merge_shards(["s1", "r2", "s3"], Path("merged"), {})
    assert (root / "merged" / "summary.json").read_bytes() == (root / "whole" / "summary.json").read_bytes()
    with pytest.raises(InputError, match="is not empty"):
        merge_shards(["s1", "s2", "s3"], Path("merged"), {})


def test_a_shard_without_cases_is_a_run_too(root: Path) -> None:
    """Three cases in eight shards: every job ends alike, and the merge is whole."""
    write(root, n=3, suite=SUITE.replace("gate:", "gate:\n  - coverage: 0.5"))
    run("three")
    for number in range(1, 9):
        run(f"e{number}", Shard(number, 8))
    merge_shards([f"e{number}" for number in range(1, 9)], Path("merged"), {})
    assert (root / "merged" / "summary.json").read_bytes() == (root / "three" / "summary.json").read_bytes()


def test_a_sample_of_the_suite_is_drawn_from_the_whole_set(root: Path) -> None:
    """The shards hold the cases of one sample, with its weights."""
    write(root, suite=SUITE.replace("cohorts: [group]", "cohorts: [group]\nsample: {n: 30, floor: 5}"))
    run("sampled")
    for number in (1, 2):
        run(f"d{number}", Shard(number, 2))
    merge_shards(["d1", "d2"], Path("merged"), {})
    assert (root / "merged" / "summary.json").read_bytes() == (root / "sampled" / "summary.json").read_bytes()
    assert bare("merged") == bare("sampled")


def test_a_merge_is_compared_with_the_baseline_and_restores_its_removed_cases(root: Path) -> None:
    """Each shard runs its part of the cases that the base had and this set lacks."""
    write(root, suite=SUITE + "  - no_regression: {baseline: whole}\n", bot=BOT.replace("% 7", "% 5"))
    lines = (root / "cases.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (root / "cases.jsonl").write_text("".join(lines[2:]), encoding="utf-8")
    run("one")
    for number in (1, 2):
        run(f"b{number}", Shard(number, 2))
    merged = merge_shards(["b1", "b2"], Path("merged"), {})
    assert (root / "merged" / "summary.json").read_bytes() == (root / "one" / "summary.json").read_bytes()
    own, other = (json.loads((root / name / "decision.json").read_bytes()) for name in ("merged", "one"))
    assert (own["comparison"], own["checks"]) == (other["comparison"], other["checks"])
    assert {*own["reasons"]} - {*other["reasons"]} == set() or merged.decision.decided_before
    former = [RunFolder(root / name).manifest().former for name in ("merged", "one")]
    assert former[0] is not None and former[1] is not None
    assert sorted(former[0].cases) == sorted(former[1].cases) != []


def test_a_shard_takes_no_other_choice_of_cases(root: Path) -> None:
    """Nothing could make one run of them."""
    with pytest.raises(InputError, match=r"two choices of cases: --limit 5 --shard 1/3; give one of them"):
        run("none", selection=Selection(limit=5, shard=Shard(1, 3)))
    with pytest.raises(InputError, match=r"two choices of cases: --sample 9 --shard 1/3"):
        run("none", selection=Selection(sample=9, shard=Shard(1, 3)))
    run("few", selection=Selection(limit=5))
    assert "few: is not the run of a shard: it was run with --limit 5" in refused("s1", "few", "s3")


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (
            'system: {python: "sums_bot:answer"}',
            'systems: {a: {python: "sums_bot:answer"}, b: {python: "sums_bot:answer", version: two}}',
            "the suite names several systems",
        ),
        (
            "  - pass_rate: {min: 0.3}",
            '  - no_regression: {baseline: {run: main, system: {python: "sums_bot:answer"}}}',
            "the suite calls the baseline's system beside its own",
        ),
    ],
)
def test_systems_that_are_called_side_by_side_are_not_sharded(root: Path, old: str, new: str, what: str) -> None:
    """Their times and their differences are those of one run."""
    write(root, suite=SUITE.replace(old, new))
    request = Request(suite=Path("suite.yaml"), out=Path("none"), selection=Selection(shard=Shard(1, 2)))
    with pytest.raises(InputError, match=what):
        asyncio.run(run_each(request, Watcher(), Stop(), {}))
    assert not Path("none").exists()
