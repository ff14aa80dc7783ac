"""A case of a run joins a golden set after a review, and two runs prove it."""

from __future__ import annotations

import asyncio
import datetime
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import evalkit
from evalkit.cli.golden import golden
from evalkit.errors import InputError
from evalkit.golden.proofs import add_proof, read_proofs, unproven
from evalkit.golden.read import open_golden, read_all
from evalkit.golden.source import GoldenSource
from evalkit.operations.add_case import prove_case
from evalkit.operations.check import check_suite

SUITE = """\
name: shouting
golden: FILE
system: {python: "BOT:answer"}
scorers: [SCORER]
gate:
  - pass_rate: {min: 0.1}
"""
TODAY = datetime.date(2026, 11, 28)
ASKED = [
    "when is the office open",
    "mail me at ana@bank.de please",
    "who pays the fees of it",
    "is cash taken at the desk",
]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a run of a system that fails two of four calls of production; it is the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "pyproject.toml").touch()
    for name, code in (("shout_old", "input.upper() if 'i' in input else 'no'"), ("shout_new", "input.upper()")):
        sys.modules.pop(name, None)
        (tmp_path / f"{name}.py").write_text(f"def answer(input: str) -> str:\n    return {code}\n", encoding="utf-8")
    write_rows(tmp_path / "calls.jsonl", *({"id": f"call:{at}", "input": text} for at, text in enumerate(ASKED)))
    write_rows(tmp_path / "cases.jsonl", {"id": "a", "input": "Is cash taken at the desk?", "reference": "IS"})
    suite(tmp_path, "calls.jsonl", "shout_old", "length: {min: 1, unit: words}")
    evalkit.run("suite.yaml", out="reports/logged")
    return tmp_path


def write_rows(file: Path, *rows: dict[str, Any]) -> None:
    """A golden set."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def suite(root: Path, file: str, bot: str, scorer: str = "exact") -> None:
    """A suite."""
    text = SUITE.replace("FILE", file).replace("BOT", bot).replace("SCORER", scorer)
    (root / "suite.yaml").write_text(text, encoding="utf-8")


def added(case: str, *words: str, file: str = "cases.jsonl") -> Result:
    """What `golden add` does with a case of the run."""
    always = ["--because", "INC-42", "--reviewed-by", "ana"]
    return CliRunner().invoke(golden, ["add", file, "--from", f"reports/logged:{case}", *always, *words])


def rows_of(file: str = "cases.jsonl") -> list[dict[str, Any]]:
    """Rows of a set."""
    return [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]


def refused(case: str, *words: str) -> str:
    """Why a case is refused; the set stays as it was."""
    before = Path("cases.jsonl").read_bytes()
    found = added(case, *words)
    assert isinstance(found.exception, InputError)
    assert Path("cases.jsonl").read_bytes() == before
    return str(found.exception)


@pytest.mark.usefixtures("root")
def test_a_case_joins_with_what_a_person_says() -> None:
    """Ids may hold colons; the run is recorded."""
    found = added("call:0", "--reference", "NINE", "--severity", "high")
    assert found.exit_code == 0, found.output
    row = rows_of()[1]
    run = row.pop("source")
    assert run["case"] == "call:0"
    since = row.pop("since")
    assert datetime.date.fromisoformat(since)
    assert row == {
        "id": "call:0",
        "input": ASKED[0],
        "kind": "regression",
        "severity": "high",
        "reference": "NINE",
        "origin": "incident",
        "because": "INC-42",
        "reviewed_by": "ana",
    }


@pytest.mark.usefixtures("root")
def test_what_keeps_a_case_out_is_reported_at_once() -> None:
    """No reference, personal data, a copy of a case, unknown words."""
    assert "nothing says what a right answer is; give --reference" in refused("call:0")
    said = refused("call:1")
    assert "personal data or secrets in it: EMAIL" in said
    assert "nothing says" in said
    assert "ana@bank.de" not in said
    assert "nearly the same as cases.jsonl:1 a (1.00)" in refused("call:3", "--reference", "x")
    assert "personal data or secrets in it: PHONE" in refused("call:0", "--reference", "call +49 30 1234567")
    said = refused("call:0", "--severity", "huge", "--kind", "new", "--reviewed-by", " ")
    assert said.count("\n") == 2
    assert "choose from low, medium, high, critical" in said
    assert "no case 'call:9'" in refused("call:9")


@pytest.mark.usefixtures("root")
def test_personal_data_become_placeholders_and_the_change_is_shown() -> None:
    """Also names of a list; a dry run writes nothing."""
    Path("names.txt").write_text("Please\n", encoding="utf-8")
    words = ["--needs-reference", "--names", "names.txt"]
    found = added("call:1", *words, "--dry-run")
    assert "changed  mail me at {-ana@bank.de-}{+[EMAIL_1]+} please" in found.stdout
    assert "replaced 1 email" in found.stdout
    assert "would be added" in found.stderr
    assert len(rows_of()) == 1
    assert added("call:1", *words).exit_code == 0
    assert rows_of()[1]["input"] == "mail me at [EMAIL_1] [NAME_1]"


def test_personal_data_in_an_id_or_a_reason_are_refused(root: Path) -> None:
    """An id of its own is asked for, and then the one in the run is kept as a hash."""
    write_rows(root / "calls.jsonl", {"id": "joe@bank.de", "input": ASKED[0]})
    evalkit.run("suite.yaml", out="reports/mailed")

    def add(*words: str) -> Result:
        always = ["--from", "reports/mailed:joe@bank.de", "--reviewed-by", "ana", "--reference", "x", "--deidentify"]
        return CliRunner().invoke(golden, ["add", "cases.jsonl", *always, *words])

    said = str(add("--because", "call +49 30 1234567").exception)
    assert "personal data or secrets in its id: EMAIL; give another one with --id" in said
    assert "personal data or secrets in --because: PHONE; write it without them" in said
    assert "joe" not in said
    assert len(rows_of()) == 1
    found = add("--because", "INC-42", "--id", "hours-1")
    assert found.exit_code == 0, found.output
    assert "joe" not in Path("cases.jsonl").read_text(encoding="utf-8")
    assert rows_of()[1]["source"].keys() == {"run", "id_hash"}


@pytest.mark.usefixtures("root")
def test_a_variant_joins_the_cluster_of_the_case_it_resembles() -> None:
    """And the person reads which one it is."""
    write_rows(Path("cases.jsonl"), {"id": "a", "input": "is cash not taken at the desk", "cluster": "cash"})
    found = added("call:3", "--reference", "x")
    assert "variant of a (0" in found.stdout
    assert "negation" in found.stdout
    assert rows_of()[1]["cluster"] == "cash"


@pytest.mark.usefixtures("root")
def test_an_id_that_is_taken_gets_a_number() -> None:
    """A new set is created."""
    assert added("call:0", "--reference", "x", "--id", "inc", file="new.jsonl").exit_code == 0
    assert added("call:2", "--reference", "x", "--id", "inc", file="new.jsonl").exit_code == 0
    assert [row["id"] for row in rows_of("new.jsonl")] == ["inc", "inc-2"]


def test_a_case_that_needs_its_reference_never_counts(root: Path) -> None:
    """It is left out of runs with a warning, until the reference is written."""
    assert added("call:0", "--needs-reference").exit_code == 0
    golden_set = open_golden(GoldenSource(path="cases.jsonl"), root / "cases.jsonl", "cases.jsonl")
    assert [case.id for case in golden_set.open()] == ["a"]
    assert golden_set.n_cases == 1
    assert "1 case with `needs_reference` left out until the reference is written: call:0" in map(
        lambda each: each.what, golden_set.warnings
    )
    suite(root, "cases.jsonl", "shout_new")
    assert [row.case.id for row in evalkit.run("suite.yaml", out="reports/one").rows()] == ["a"]
    assert [case.id for case in read_all(root / "cases.jsonl", "cases.jsonl")] == ["a", "call:0"]
    text = (root / "cases.jsonl").read_text(encoding="utf-8")
    (root / "cases.jsonl").write_text(text.replace('"needs_reference": true', '"reference": "X"'), encoding="utf-8")
    assert len(list(open_golden(GoldenSource(path="cases.jsonl"), root / "cases.jsonl", "cases.jsonl").open())) == 2


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "a", "input": "x", "needs_reference": "yes"}], '`needs_reference` is "yes"; write true'),
        ([{"id": "a", "input": "x", "needs_reference": True, "reference": "y"}], "remove `needs_reference`"),
        ([{"id": "a", "input": "x", "needs_reference": True}], "no case in it that has its reference"),
        (
            [{"id": "a", "input": "x"}, {"id": "a", "input": "y", "needs_reference": True}],
            "`id` 'a' repeats line 1",
        ),
    ],
)
def test_waiting_cases_are_checked(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    """Like the others."""
    file = tmp_path / "cases.jsonl"
    write_rows(file, *rows)
    with pytest.raises(InputError) as raised:
        open_golden(GoldenSource(path="cases.jsonl"), file, "cases.jsonl")
    assert message in str(raised.value)


def test_a_table_can_say_that_a_case_waits(tmp_path: Path) -> None:
    """TRUE in a cell is true."""
    file = tmp_path / "cases.csv"
    file.write_text("id,input,needs_reference\na,x,TRUE\nb,y,\n", encoding="utf-8")
    assert [case.id for case in open_golden(GoldenSource(path="cases.csv"), file, "cases.csv").open()] == ["b"]


def proving_runs(root: Path) -> None:
    """Runs of the old and the new version with the set, which has a case that the old one fails."""
    write_rows(
        root / "cases.jsonl",
        {"id": "a", "input": "who pays", "reference": "WHO PAYS", "kind": "regression", "since": "2026-11-01"},
        {"id": "b", "input": "is it", "reference": "IS IT"},
    )
    for name in ("old", "new"):
        suite(root, "cases.jsonl", f"shout_{name}")
        evalkit.run("suite.yaml", out=f"reports/{name}")


def test_two_runs_prove_a_case(root: Path) -> None:
    """The proof is kept beside the set, so that the case stays the same; editing the case ends it."""
    proving_runs(root)
    before = (root / "cases.jsonl").read_bytes()
    words = ["prove", "cases.jsonl", "a", "--failed", "reports/old", "--passed", "reports/new"]
    done = CliRunner().invoke(golden, words)
    assert done.exit_code == 0, done.output
    assert (root / "cases.jsonl").read_bytes() == before
    (proof,) = read_proofs(root / "cases.jsonl").values()
    assert proof.failed.head == evalkit.load_run("reports/old").manifest.head
    assert proof.failed.system != proof.passed.system
    cases = read_all(root / "cases.jsonl", "cases.jsonl")
    assert next(unproven(cases, {}, TODAY)).what.startswith("1 regression case not proven within 14 days: a")
    assert not list(unproven(cases, {proof.digest: proof}, TODAY))
    assert not list(unproven(cases, {}, datetime.date(2026, 11, 15)))
    warned = asyncio.run(check_suite(Path("suite.yaml"), {}, TODAY)).overdue
    assert warned == ()
    assert "a: proven on" in CliRunner().invoke(golden, ["prove", "cases.jsonl"]).stdout
    (root / "cases.jsonl").write_bytes(before.replace(b"who pays", b"who paid"))
    (warning,) = asyncio.run(check_suite(Path("suite.yaml"), {}, TODAY)).overdue
    assert "record both with `evalkit golden prove`" in warning.fix
    assert "a: not proven, since 2026-11-01" in CliRunner().invoke(golden, ["prove", "cases.jsonl"]).stdout


def test_runs_that_prove_nothing_are_refused_with_every_reason(root: Path) -> None:
    """Wrong verdicts, the same run, the same version, an edited case, another scorer."""
    proving_runs(root)

    def why(case: str, failed: str, passed: str) -> str:
        with pytest.raises(InputError) as raised:
            prove_case(root / "cases.jsonl", case, f"reports/{failed}", f"reports/{passed}", TODAY)
        return str(raised.value)

    said = why("a", "new", "old")
    assert "--failed: the case is passed in reports/new" in said
    assert "--passed: the case is failed in reports/old" in said
    assert "is the same run as --failed" in why("a", "old", "old")
    assert "no case 'z'" in why("z", "old", "new")
    assert "--failed: reports/logged has no case 'a'" in why("a", "logged", "new")
    evalkit.run("suite.yaml", out="reports/again")
    assert "has the same version of the system as --failed" in why("b", "new", "again")
    suite(root, "cases.jsonl", "shout_new", "exact: {ignore_case: true}")
    evalkit.run("suite.yaml", out="reports/other")
    assert "graded exact in another way than --failed" in why("a", "old", "other")
    text = (root / "cases.jsonl").read_text(encoding="utf-8")
    (root / "cases.jsonl").write_text(text.replace("who pays", "who paid"), encoding="utf-8")
    assert "reports/old has case 'a' in another form" in why("a", "old", "new")
    assert not (root / "cases.proven.jsonl").exists()


def test_a_line_that_is_no_proof_is_named(root: Path) -> None:
    """With the file and the line."""
    proving_runs(root)
    proof, file = prove_case(root / "cases.jsonl", "a", "reports/old", "reports/new", TODAY)
    add_proof(root / "cases.jsonl", proof)
    assert len(read_proofs(root / "cases.jsonl")) == 1
    file.write_text(file.read_text(encoding="utf-8") + '{"format": 1, "id": "a"}\n{"format": 2}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"cases\.proven\.jsonl:3: not a proof") as raised:
        read_proofs(root / "cases.jsonl")
    assert len(raised.value.problems) == 2


@pytest.mark.usefixtures("root")
def test_a_case_with_a_reference_does_not_wait_for_one() -> None:
    """Both would make a case that never counts though it could."""
    said = refused("call:0", "--needs-reference", "--reference", "Ten.")
    assert "the case has a reference; leave out --needs-reference" in said


@pytest.mark.usefixtures("root")
def test_a_folder_that_is_not_there_is_named() -> None:
    """With the command that makes it; nothing is written."""
    done = added("call:0", "--reference", "Ten.", file="golden/cases.jsonl")
    assert isinstance(done.exception, InputError)
    assert "golden is not a folder; make it first: mkdir golden" in str(done.exception)
    assert not Path("golden").exists()


@pytest.mark.usefixtures("root")
def test_a_set_without_regression_cases_says_so() -> None:
    """Not an empty output."""
    done = CliRunner().invoke(golden, ["prove", "cases.jsonl"])
    assert done.stdout == "no regression cases in cases.jsonl\n"


def test_the_help_of_each_command_fits_a_line() -> None:
    """80 columns, nothing cut off."""
    said = CliRunner().invoke(golden, ["--help"], terminal_width=80).stdout
    assert "..." not in said.partition("Commands:")[2]
    assert "Record that a fix turned a failed case into a passed one." in said
