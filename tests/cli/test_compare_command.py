"""`evalkit compare` on the command line: exit codes, what is printed and written, and files that cannot be read."""

from __future__ import annotations

import gzip
import json
import random
import re
import shutil
import struct
import zipfile
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.errors import EvalkitError
from evalkit.report.page import markdown, read_page


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> Result:
    """Run a command; an error has its exit code and text, as in a terminal."""
    ended = CliRunner().invoke(app, ["compare", *words])
    if isinstance(ended.exception, EvalkitError):
        ended.exit_code = int(ended.exception.exit_code)
        ended.stderr_bytes = str(ended.exception).encode()
    return ended


def results(name: str, n_failing: int) -> str:
    """A file of results in which the first cases fail."""
    lines = ["id,topic,correct,confidence"]
    topics = ("shipping", "billing")
    lines += [f"q{i:02},{topics[i % 2]},{'no' if i < n_failing else 'yes'},{i / 100}" for i in range(40)]
    Path(name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return name


def test_a_drop_ends_with_1_and_says_what_broke(here: Path) -> None:
    """Verdict, drop with interval, cases with their lines, what could have been found, and what is not known."""
    ended = run(results("before.csv", 2), results("after.csv", 22), "--out", "out")
    assert ended.exit_code == 1, ended.output
    lines = ended.stdout.splitlines()
    assert lines[0] == "DROPPED  correct fell 95% → 45%; 2 more checks block"
    said = " ".join(ended.stdout.split())
    for part in (
        "these grades are taken as they are: the files do not say who or what gave them, "
        "or whether both sides were graded alike",
        "40 cases · against before.csv@",
        "20 new failures",
        "q02 correct is 0 after.csv:4",
        "a drop of correct overall would be found 4 times in 5 from",
        "also unknown: the settings of the two systems, and how well a judge agrees with people",
        "read as `correct`: pass or fail, higher is better",
        "cases are paired by `id`, cohorts: topic",
        "numbers that are not compared: `confidence`; if they are grades, name every column to compare with --metric",
    ):
        assert part in said, part
    assert {"report.html", "summary.md", "comment.json", "junit.xml", "decision.json"} <= {
        file.name for file in (here / "out" / "after").iterdir()
    }


def test_a_case_without_an_id_is_shown_by_its_question() -> None:
    """Its id is a hash, which says nothing to a reader."""
    for name, n_failing in (("before.csv", 2), ("after.csv", 22)):
        rows = [f"Where is order {i}?,{'no' if i < n_failing else 'yes'}" for i in range(40)]
        Path(name).write_text("\n".join(["question,correct", *rows]) + "\n", encoding="utf-8")
    ended = run("before.csv", "after.csv", "--out", "out")
    assert ended.exit_code == 1, ended.output
    shown = re.findall(r"Where is order (\d+)\? +correct is 0 +after\.csv:(\d+)", ended.stdout)
    assert len(shown) == 5
    assert all(int(line) == int(number) + 2 for number, line in shown)


def test_no_drop_ends_with_0_and_never_says_approved() -> None:
    """Nothing but a drop was looked for, and no one has looked at the answers."""
    ended = run(results("before.csv", 2), results("after.csv", 2), "--out", "out")
    assert ended.exit_code == 0, ended.output
    assert ended.stdout.startswith("NO DROP FOUND  ")
    assert "APPROVED" not in ended.stdout
    page = read_page(Path("out/after/comment.json").read_bytes())
    assert "evalkit: NO DROP FOUND — " in markdown(page)
    assert "NO DROP FOUND" in Path("out/after/report.html").read_text(encoding="utf-8")


def test_a_level_that_is_asked_for_is_approved() -> None:
    """With a limit of its own in `--gate`, the words are those of the gate."""
    Path("gate.yaml").write_text("gate: [{correct: {min: 0.5}}]\n", encoding="utf-8")
    ended = run(results("before.csv", 2), results("after.csv", 2), "--out", "out", "--gate", "gate.yaml")
    assert ended.stdout.startswith("APPROVED  ")


def test_too_few_pairs_end_with_3() -> None:
    """With the first ids that are in one file alone."""
    results("before.csv", 0)
    renamed = Path("before.csv").read_text(encoding="utf-8").replace("\nq0", "\nr0")
    Path("after.csv").write_text(renamed, encoding="utf-8")
    ended = run("before.csv", "after.csv", "--out", "out")
    assert ended.exit_code == 3, ended.output
    said = " ".join(ended.stdout.split())
    assert "only 30 of 40 cases are the same on both sides, need 90%" in said
    assert "only before: q00, q01, q02 and 7 more; only after: r00, r01, r02 and 7 more" in said


def test_json_is_the_decision_alone() -> None:
    """One document on stdout, with the words of every decision."""
    ended = run(results("before.csv", 2), results("after.csv", 22), "--out", "out", "--json")
    found = json.loads(ended.stdout)
    assert (found["outcome"], found["exit_code"]) == ("blocked", 1)
    assert found == json.loads(Path("out/after/decision.json").read_text(encoding="utf-8"))
    assert found["comparison"]["new_failures"][0] == "q02"


def test_the_summary_goes_where_a_job_shows_it() -> None:
    """Markdown for a job or a comment, and JUnit."""
    words = ["--out", "out", "--summary", "summary.md", "--junit", "junit.xml"]
    assert run(results("before.csv", 2), results("after.csv", 22), *words).exit_code == 1
    assert "evalkit: DROPPED — correct fell 95% → 45%" in Path("summary.md").read_text(encoding="utf-8")
    assert Path("junit.xml").exists()


def test_the_same_files_give_the_same_bytes(here: Path) -> None:
    """No time and no random id is in a file; the seal alone says when it was decided."""
    results("before.csv", 2)
    results("after.csv", 22)
    written = []
    for _ in range(2):
        assert run("before.csv", "after.csv", "--out", "out").exit_code == 1
        written.append({file: file.read_bytes() for file in (here / "out").rglob("*") if file.is_file()})
        shutil.rmtree(here / "out")
    first, second = written
    assert {file.name for file in first if first[file] != second[file]} <= {"seal.txt"}


def test_the_default_folder_is_a_new_one() -> None:
    """Under `reports`, one a comparison."""
    for _ in range(2):
        assert run(results("before.csv", 2), results("after.csv", 2)).exit_code == 0
    assert len(list(Path("reports").iterdir())) == 2
    full = run("before.csv", "after.csv", "--out", next(iter(map(str, Path("reports").iterdir()))))
    assert full.exit_code == 2
    assert full.stderr.endswith("is not empty; name a new folder with --out")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--scale", "correct"], "--scale: 'correct' cannot be read; write it as in `--scale score=1:5`"),
        (["--scale", "correct=5:1"], "--scale: 'correct=5:1' cannot be read"),
        (
            ["--threshold", "correct=x"],
            "--threshold: 'correct=x' cannot be read; write it as in `--threshold score=0.7`",
        ),
        (["--before", "a"], "--before: names a system of a column; write --system COLUMN --before A --after B"),
        (["--system", "model"], "--system: no column 'model' in before.csv; its columns are id, topic, correct"),
        (["--id", "key"], "--id: no column 'key' in before.csv; its columns are id, topic, correct, confidence"),
        (["--gate", "none.yaml"], "none.yaml"),
    ],
)
def test_a_flag_that_cannot_be_read_ends_with_2(words: list[str], said: str) -> None:
    """With the flag, what it holds, and how it is written; nothing is written."""
    ended = run(results("before.csv", 2), results("after.csv", 2), "--out", "out", *words)
    assert ended.exit_code == 2, ended.output
    assert said in ended.stderr
    assert not Path("out").exists()


def bomb(path: Path) -> None:
    """A Gzip file that unpacks to a thousand times its size."""
    path.write_bytes(gzip.compress(b"id,correct\n" + b"a,1\n" * 60_000_000, 9))


def lying_workbook(path: Path) -> None:
    """A zip that is not a workbook."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "<x>")


HOSTILE: dict[str, bytes] = {
    "empty.csv": b"",
    "blank.csv": b"\n\n\n",
    "header.csv": b"id,correct\n",
    "nul.csv": b"id,correct\na,\x00\n",
    "ragged.csv": b"id,correct\na,1,2,3\nb\n",
    "open_quote.csv": b'id,correct\n"a,1\nb,0\n',
    "binary.csv": bytes(range(256)) * 40,
    "latin.csv": "id,correct\nm\u00fcll,1\n".encode("cp1252"),
    "workbook.csv": b"PK\x03\x04" + b"\0" * 60,
    "nameless.csv": b",,\na,1,2\n",
    "wide.csv": b",".join(b"c%d" % i for i in range(20_000)) + b"\n" + b"1," * 19_999 + b"1\n",
    "array.jsonl": b'[{"id": "a", "correct": 1}]\n',
    "half.jsonl": b'{"id": "a", "correct": 1\n',
    "twice.jsonl": b'{"id": "a", "id": "b", "correct": 1}\n',
    "deep.jsonl": b'{"id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
    "nan.jsonl": b'{"id": "a", "correct": NaN}\n',
    "huge.jsonl": b'{"id": "a", "correct": ' + b"9" * 5_000 + b"}\n",
    "list.jsonl": b'{"id": "a", "correct": [1, 2]}\n',
    "scalar.json": b"3",
    "two_lists.json": b'{"results": [{"id": "a"}], "rows": [{"id": "b"}]}',
    "no_rows.json": b'{"results": []}',
    "deep.json": b"[" * 100_000,
    "cut.parquet": b"PAR1" + b"\0" * 20,
    "header.parquet": b"PAR1" + struct.pack("<I", 1 << 30) + b"PAR1",
    "cut.arrow": b"ARROW1\0\0" + b"\0" * 20,
    "cut.xlsx": b"PK\x03\x04" + b"\0" * 60,
    "old.xls": b"\xd0\xcf\x11\xe0" + b"\0" * 60,
    "bomb.yaml": b"a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n",
    "notes.txt": b"id,correct\na,1\n",
    "noise.gz": random.Random(0).randbytes(2_000),
}


@pytest.mark.parametrize("name", [*HOSTILE, "bomb.csv.gz", "lying.xlsx", "folder.csv", "missing.csv"])
@pytest.mark.parametrize("side", ["before", "after"])
def test_a_file_that_cannot_be_read_ends_with_2_and_names_it(name: str, side: str) -> None:
    """Place, what is wrong and a fix, on whichever side it is; no traceback, and nothing is written."""
    path = Path(name)
    if name in HOSTILE:
        path.write_bytes(HOSTILE[name])
    elif name == "bomb.csv.gz":
        bomb(path)
    elif name == "lying.xlsx":
        lying_workbook(path)
    elif name == "folder.csv":
        path.mkdir()
    good = results("good.csv", 2)
    ended = run(*((name, good) if side == "before" else (good, name)), "--out", "out")
    assert ended.exit_code == 2, (ended.output, ended.exception)
    assert isinstance(ended.exception, EvalkitError), ended.exception
    assert name in ended.stderr
    assert "; " in ended.stderr
    assert not Path("out").exists()


def test_names_in_files_are_shown_harmless() -> None:
    """A column, a cohort and an id may hold anything: markup, control characters, a formula."""
    rows = ["id,topic,correct,<script>alert(1)</script>"]
    rows += [f'"=cmd|{i}\x1b[31m","<b>{i % 2}</b>",{"yes" if i > 20 else "no"},x' for i in range(40)]
    for name in ("before.csv", "after.csv"):
        Path(name).write_text("\n".join(rows).replace("no", "yes" if name == "before.csv" else "no"), encoding="utf-8")
    ended = run("before.csv", "after.csv", "--out", "out")
    assert ended.exit_code == 1, (ended.output, ended.exception)
    assert "\x1b" not in ended.stdout
    assert "<b>" not in re.sub("`[^`]*`", "", Path("out/after/summary.md").read_text(encoding="utf-8"))
    assert "<script>alert" not in Path("out/after/report.html").read_text(encoding="utf-8")
