"""Corners beyond the numbered table: each is told with its place and a fix, before any call."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bad_lab import LABELS, Lab, jsonl
from bad_table import BOT_LINE, cell, judged, label, suite, system

Spoil = Callable[[Lab], object]


def table(name: str, data: bytes | str) -> Spoil:
    """Another golden set of another kind."""

    def spoil(lab: Lab) -> None:
        lab.write(name, data)
        lab.write("labels.jsonl", "")
        lab.swap("suite.yaml", "golden: cases.jsonl", f"golden: {name}")

    return spoil


def parquet(columns: dict[str, list[Any]], spoilt: Callable[[bytes], bytes] = bytes) -> Spoil:
    """A Parquet file, and what became of its bytes."""

    def spoil(lab: Lab) -> None:
        import pyarrow as pa
        import pyarrow.parquet

        file = io.BytesIO()
        arrays = [pa.array(values, pa.string()) for values in columns.values()]
        # A blank after a name stands for a second column of that name.
        pyarrow.parquet.write_table(pa.Table.from_arrays(arrays, [name.strip() for name in columns]), file)
        table("g.parquet", spoilt(file.getvalue()))(lab)

    return spoil


def learnt(name: str, text: str) -> Spoil:
    """A training file."""

    def spoil(lab: Lab) -> None:
        lab.write(name, text)
        lab.swap("suite.yaml", "golden: cases.jsonl", f"golden: {{path: cases.jsonl, trained_on: [{name}]}}")

    return spoil


def looped(lab: Lab) -> None:
    """A golden set that is a link to itself."""
    (lab.root / "loop.jsonl").symlink_to("loop.jsonl")
    lab.swap("suite.yaml", "golden: cases.jsonl", "golden: loop.jsonl")


def production(text: str) -> Spoil:
    """Calls of production."""
    return lambda lab: lab.write("calls.jsonl", text)


def replayed(lab: Lab) -> None:
    """A torn line among stored answers."""
    lab.write("answers.jsonl", '{"id": "c0", "output": "x"}\n{"id":\n')
    lab.swap("suite.yaml", BOT_LINE, "{replay: answers.jsonl}")


def calibrated(lab: Lab) -> None:
    """A record whose label file never ends."""
    record = {"format": 1, "run_id": "r", "created": "", "metric": "m", "key": {}, "agreement": []}
    lab.write("c.json", json.dumps({**record, "labels": {"/dev/zero": "0" * 64, "/dev/null": 5}}))
    lab.swap("suite.yaml", "gate:\n", "calibrations: [c.json]\ngate:\n")


ROW = {"id": ["a", "b"], "input": ["q", "r"], "reference": ["x", "y"]}
CHECK = ("check", "suite.yaml")
COVERAGE = ("golden", "coverage", "suite.yaml", "--production", "calls.jsonl")
LONG = "a" * 5000
CASES: dict[str, tuple[Spoil, tuple[str, ...], str]] = {
    "golden path too long": (suite("cases.jsonl", f"{LONG}.jsonl"), CHECK, "File name too long; "),
    "baseline too long": (suite("baseline: main", f"baseline: {LONG}"), CHECK, "File name too long; "),
    "suite too long": (lambda lab: None, ("check", LONG), "File name too long; "),
    "run too long": (lambda lab: None, ("gate", LONG), "File name too long; "),
    "out too long": (lambda lab: None, ("run", "suite.yaml", "--out", LONG), "File name too long; "),
    "a link to itself": (looped, CHECK, "suite.yaml:2:1 golden: 'loop.jsonl' is a link that leads back to itself; "),
    "a column and its part": (
        table("g.csv", "id,input,reference,cohorts,cohorts.topic\na,b,c,west,east\n"),
        CHECK,
        "g.csv:2 cohorts.topic: `cohorts` is already filled by another column; ",
    ),
    "damaged pages": (parquet(ROW, lambda data: data[:8] + bytes(40) + data[48:]), CHECK, "g.parquet: cannot be read"),
    "no rows": (parquet({"id": [], "input": []}), CHECK, "g.parquet:1: no case in it; "),
    "no columns": (parquet({}), CHECK, "g.parquet:1: no case in it; "),
    "a column twice": (parquet({**ROW, "input ": ["s", "t"]}), CHECK, "g.parquet: 2 columns are called 'input'; "),
    "a scale without end": (judged("rubric.md", "[1, 5]=>[1, 1000000000000]"), CHECK, "more than 101 levels; "),
    "a rubric without a name": (judged("rubric.md", "name: right=>name:"), CHECK, "name: expected a text; "),
    "an unknown kind": (
        suite("  - exact\n", "  - exact: {when: {kind: goldn}}\n"),
        CHECK,
        "scorers[0].exact.when.kind: 'goldn' is not known; did you mean `golden`?",
    ),
    "an unknown severity": (
        suite("  - exact\n", "  - exact: {when: {severity: [hihg]}}\n"),
        CHECK,
        "scorers[0].exact.when.severity: 'hihg' is not known; did you mean `high`?",
    ),
    "a cohort that no case has": (
        suite("  - exact\n", "  - exact: {when: {colour: red}}\n"),
        CHECK,
        "scorers[0].exact.when.colour: unknown cohort `colour`; ",
    ),
    "a scorer without a name": (suite("name: word", "name: ''"), CHECK, "the metric name '' is not plain text; "),
    "a name of two lines": (suite("name: word", 'name: "a\\nb"'), CHECK, "the metric name 'a\\nb' is not plain text; "),
    "a name that is taken": (suite("name: word", "name: pass_rate"), CHECK, "'pass_rate' is a metric of every run; "),
    "a name that is derived": (
        suite("name: word", "name: exact.passed"),
        CHECK,
        "'exact.passed' would be read as the verdicts of another metric; ",
    ),
    "a header that is not a name": (
        system("{http: 'http://127.0.0.1:9/', headers: {'X A': b}}"),
        CHECK,
        "system.headers.X A: not the name of a header; ",
    ),
    "a torn stored answer": (replayed, ("run", "suite.yaml", "--out", "new"), "; fix the line, or remove it"),
    "a label file twice": (
        suite("[labels.jsonl]", "[labels.jsonl, ./labels.jsonl]"),
        CHECK,
        "labels[1]: './labels.jsonl' is named twice; ",
    ),
    "a cluster that is none": (cell(2, cluster={"a": 1}), CHECK, '`cluster` is {"a": 1}; write a short text'),
    "a rubric digest that is none": (label(2, rubric_sha256=["x"]), CHECK, "`rubric_sha256` is not a SHA-256; "),
    "a training file without rows": (learnt("t.jsonl", ""), CHECK, "t.jsonl:1: no row in it; "),
    "a training file of a header": (learnt("t.csv", "input,output\n"), CHECK, "t.csv:1: no row in it; "),
    "a cohort of production that is null": (production('{"topic": null}\n'), COVERAGE, "calls.jsonl:1: `topic` is "),
    "a cohort of production that is a list": (production('{"topic": ["a"]}\n'), COVERAGE, "calls.jsonl:1: `topic` is "),
    "a run below a file": (lambda lab: None, ("run", "suite.yaml", "--out", "suite.yaml/x"), "suite.yaml/x: "),
}


@pytest.mark.parametrize("name", CASES)
def test_a_corner_is_told(tmp_path: Path, name: str) -> None:
    """Exit 2, one line with a fix, no call."""
    spoil, words, said = CASES[name]
    lab = Lab(tmp_path / "project")
    spoil(lab)
    text = (lab.root / "suite.yaml").read_text(encoding="utf-8")
    lab.write("suite.yaml", text.replace("SERVER", "http://127.0.0.1:9"))
    ran = lab.run(*words)
    assert ran.code == 2, ran
    assert said in ran.err, ran.err[-2000:]
    assert "Traceback" not in ran.err
    assert all("; " in line for line in ran.err.splitlines()), ran.err
    assert lab.calls() == []


def test_a_calibration_names_files_and_nothing_else(tmp_path: Path) -> None:
    """A device is never read to its end; the record counts as changed."""
    lab = Lab(tmp_path / "project")
    calibrated(lab)
    assert lab.run("check", "suite.yaml").code == 0


@pytest.fixture(scope="module")
def ran_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a run and a baseline."""
    lab = Lab(tmp_path_factory.mktemp("corners") / "project")
    lab.baseline()
    return lab.root


@pytest.fixture
def stored(ran_once: Path, tmp_path: Path) -> Iterator[Lab]:
    """A copy of it."""
    shutil.copytree(ran_once, tmp_path / "project")
    lab = Lab.__new__(Lab)
    lab.root = tmp_path / "project"
    yield lab


def manifest(lab: Lab, **changes: object) -> None:
    """Other values in the manifest of the run."""
    file = lab.root / "old" / "manifest.json"
    lab.write("old/manifest.json", json.dumps({**json.loads(file.read_bytes()), **changes}))


@pytest.mark.parametrize("words", [("report", "old", "--summary", "full"), ("report", "old", "--summary", "bot.py/x")])
def test_a_report_names_no_folder(stored: Lab, words: tuple[str, ...]) -> None:
    """It is refused before anything is written."""
    stored.write("full/x", "")
    before = (stored.root / "old" / "manifest.json").stat().st_mtime_ns
    ran = stored.run(*words)
    assert ran.code == 2, ran
    assert "name a file in" in ran.err
    assert (stored.root / "old" / "manifest.json").stat().st_mtime_ns == before
    assert not (stored.root / "old" / "report.html").exists()


@pytest.mark.parametrize("golden", [{}, {"path": 5, "sha256": "x", "n_cases": 1}, {"path": "x"}])
def test_a_manifest_says_what_was_asked(stored: Lab, golden: dict[str, object]) -> None:
    """Every command refuses one that does not, with the key."""
    manifest(stored, golden=golden)
    for words in (("baseline", "show", "old"), ("run", "suite.yaml", "--out", "old", "--resume"), ("gate", "old")):
        ran = stored.run(*words)
        assert ran.code == 2, ran
        assert "manifest.json: `golden" in ran.err


@pytest.mark.parametrize("repeats", [0, -1, 10**12])
def test_a_manifest_has_repeats(stored: Lab, repeats: int) -> None:
    """A number that no suite can have."""
    manifest(stored, repeats=repeats)
    ran = stored.run("score", "old", "--suite", "suite.yaml", "--out", "new")
    assert ran.code == 2, ran
    assert "manifest.json: `repeats` is missing or invalid; " in ran.err


def test_grades_of_a_foreign_metric_are_no_rows_of_the_run(stored: Lab) -> None:
    """An undecided run that is resumed says so, and asks nothing."""
    from test_bad_mutations import line_of

    for name in ("decision.json", "seal.txt"):
        (stored.root / "old" / name).unlink()
    lines = (stored.root / "old" / "rows.jsonl").read_bytes().splitlines()
    row = json.loads(lines[0])["row"]
    stored.write("old/rows.jsonl", line_of({**row, "scores": {"zzz": {"value": 1.0}}}) + b"\n".join(lines[1:]) + b"\n")
    ran = stored.run("run", "suite.yaml", "--out", "old", "--resume", "--progress", "none")
    assert ran.code == 2, ran
    said = (
        f"rows.jsonl:1: case {row['case']['id']!r} has a grade of 'zzz', which no scorer of this run gives; start a run"
    )
    assert said in ran.err, ran.err
    assert stored.calls() == []


def test_failures_of_a_run_without_rows(stored: Lab) -> None:
    """There are none to be asked again, and that is not a bug."""
    (stored.root / "old" / "rows.jsonl").unlink()
    ran = stored.run("run", "suite.yaml", "--failed-from", "old", "--out", "new")
    assert ran.code == 2, ran
    assert "rows.jsonl" in ran.err
    assert "; " in ran.err


RECORD = {
    "run_id": "r", "finished_at": "2026", "outcome": "approved", "golden_sha256": "x", "score_keys": {}, "values": {},
    "counts": {}, "suite": "capitals", "folder": "", "partial": None, "advisory": [], "system": "", "commit": "",
}  # fmt: skip
FOREIGN: list[Any] = [
    {**RECORD, key: value}
    for key, value in [
        ("run_id", 5), ("finished_at", None), ("outcome", []), ("golden_sha256", 1), ("score_keys", {"a": 5}),
        ("values", []), ("values", {"pass_rate": "x"}), ("values", {"pass_rate": float("nan")}), ("counts", 7),
        ("suite", 5), ("suite", ["a"]), ("partial", 7), ("advisory", [[]]), ("advisory", "ab"), ("system", {}),
    ]
]  # fmt: skip
DEEP = "[" * 100_000


@pytest.mark.parametrize("record", [*FOREIGN, [], None, DEEP], ids=lambda record: str(record)[:300][-40:])
def test_a_foreign_record_of_the_index_is_read_anew(stored: Lab, record: Any) -> None:
    """The list is that of an index which is not there."""
    wanted = stored.run("runs", ".", "--json")
    index = stored.root / ".evalkit" / "runs.sqlite"
    with sqlite3.connect(index) as base:
        text = record if record is DEEP else json.dumps(record)
        assert base.execute("UPDATE runs SET record = ?", (text,)).rowcount > 0
    base.close()
    assert stored.run("runs", ".", "--json") == wanted
    with sqlite3.connect(index) as base:
        left = "SELECT count(*) FROM runs WHERE record = ? AND folder LIKE ?"
        assert base.execute(left, (text, f"{stored.root}%")).fetchone() == (0,)
    base.close()
    assert stored.run("runs", ".").code == 0


def test_two_labels_of_one_answer_are_told_once(tmp_path: Path) -> None:
    """Another file with the same rows is told by its lines."""
    lab = Lab(tmp_path / "project")
    lab.write("more.jsonl", jsonl(LABELS))
    lab.swap("suite.yaml", "[labels.jsonl]", "[labels.jsonl, more.jsonl]")
    ran = lab.run("check", "suite.yaml")
    assert ran.code == 2
    assert "more.jsonl:1: ann labels" in ran.err
