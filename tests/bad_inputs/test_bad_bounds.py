"""Every file that a command reads has bounds: what is not a regular file, too long, too deep or endless is exit 2."""

from __future__ import annotations

import gzip
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bad_lab import LABELS, Lab, jsonl

CHECK = ("check", "suite.yaml")
RUN = ("run", "suite.yaml", "--out", "new", "--progress", "none", "--no-report")
RESUME = ("run", "suite.yaml", "--out", "old", "--resume", "--progress", "none", "--no-report")
MAIN = "reports/baselines/main"
SYSTEM = '{python: "bot:answer", timeout_s: 60}'


def fifo(path: Path) -> None:
    """A named pipe that nobody writes to."""
    os.mkfifo(path)


def device(path: Path) -> None:
    """A link to a device that never ends."""
    path.symlink_to("/dev/zero")


def unix_socket(path: Path) -> None:
    """A socket; its name may have 100 characters, so it is made from inside of its folder."""
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


def folder(path: Path) -> None:
    """A folder."""
    path.mkdir()


def loop(path: Path) -> None:
    """A link to itself."""
    path.symlink_to(path.name)


KINDS = {"fifo": fifo, "device": device, "socket": unix_socket, "folder": folder, "loop": loop}

Prepare = Callable[[Lab], object]


def nothing(lab: Lab) -> None:
    """The project as it is."""


def swap(old: str, new: str, *files: str) -> Prepare:
    """Another part of the suite, and files that it names."""

    def prepare(lab: Lab) -> None:
        lab.swap("suite.yaml", old, new)
        for name in files:
            lab.write(name, "")

    return prepare


# ruff: noqa: E501
PLACES: dict[str, tuple[str, Prepare, tuple[str, ...]]] = {
    "suite": ("suite.yaml", nothing, CHECK),
    "suite of a run": ("suite.yaml", nothing, RUN),
    "golden set": ("cases.jsonl", nothing, CHECK),
    "golden csv": ("g.csv", swap("golden: cases.jsonl", "golden: g.csv", "g.csv"), CHECK),
    "golden gz": ("g.jsonl.gz", swap("golden: cases.jsonl", "golden: g.jsonl.gz", "g.jsonl.gz"), CHECK),
    "golden parquet": ("g.parquet", swap("golden: cases.jsonl", "golden: g.parquet", "g.parquet"), CHECK),
    "golden arrow": ("g.arrow", swap("golden: cases.jsonl", "golden: g.arrow", "g.arrow"), CHECK),
    "training file": (
        "t.jsonl",
        swap("golden: cases.jsonl", "golden: {path: cases.jsonl, trained_on: [t.jsonl]}", "t.jsonl"),
        CHECK,
    ),
    "labels": ("labels.jsonl", nothing, CHECK),
    "calibration": ("c.json", swap("seed: 7", "calibrations: [c.json]\nseed: 7", "c.json"), CHECK),
    "rubric": (
        "rubric.md",
        lambda lab: (
            lab.swap("suite.yaml", "judge: {local: correctness}", "judge: {chat: {model: m, base_url: 'http://x'}}"),
            lab.swap("suite.yaml", "  - judge: {name: correctness, advisory: true}", "  - judge: rubric.md"),
        ),
        CHECK,
    ),
    "schema": ("s.json", swap("  - exact\n", "  - json: {schema: s.json}\n", "s.json"), CHECK),
    "replay": ("r.jsonl", swap(SYSTEM, "{replay: r.jsonl}", "r.jsonl"), CHECK),
    "rows of a replay": ("past/rows.jsonl", swap(SYSTEM, "{replay: past}", "past/rows.jsonl"), CHECK),
    "prompt": (
        "p.txt",
        swap(SYSTEM, "{chat: m, base_url: 'http://x', system_prompt_file: p.txt}", "p.txt"),
        CHECK,
    ),
    "production": ("calls.jsonl", nothing,
                   ("golden", "coverage", "suite.yaml", "--by", "topic", "--production", "calls.jsonl")),
    "manifest of a run": ("old/manifest.json", nothing, ("gate", "old")),
    "manifest of a baseline": (f"{MAIN}/manifest.json", nothing, ("baseline", "show", "main")),
    "rows of a run": ("old/rows.jsonl", nothing, ("gate", "old")),
    "rows of a resumed run": ("old/rows.jsonl", nothing, RESUME),
    "rows of failed-from": ("old/rows.jsonl", nothing, (*RUN, "--failed-from", "old")),
    "rows of score": ("old/rows.jsonl", nothing, ("score", "old", "--suite", "suite.yaml", "--out", "new")),
    "rows of diff": ("old/rows.jsonl", nothing, ("diff", "old", MAIN)),
    "rows of report": ("old/rows.jsonl", nothing, ("report", "old")),
    "rows of verify": ("old/rows.jsonl", nothing, ("verify", "old")),
    "rows of a baseline": (f"{MAIN}/rows.jsonl.gz", nothing, RUN),
    "rows of saving": ("old/rows.jsonl", nothing, ("baseline", "save", "old", "--name", "again")),
    "exported labels": ("export.jsonl", nothing, ("labels", "import", "old", "export.jsonl", "--into", "people.jsonl")),
    "labels to add to": ("people.jsonl", lambda lab: lab.write("export.jsonl", jsonl(LABELS)),
                         ("labels", "import", "old", "export.jsonl", "--into", "people.jsonl")),
}  # fmt: skip
"""Where a file is read -> its name, what the project needs for it, and the command that reads it."""
BY_FOLDER = {"rows of a replay": "past"}
"""Where the message names the folder that the user named."""


@pytest.fixture(scope="module")
def ran_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a run and a baseline."""
    lab = Lab(tmp_path_factory.mktemp("bounds") / "project")
    lab.baseline()
    return lab.root


@pytest.fixture
def lab(ran_once: Path, tmp_path: Path) -> Iterator[Lab]:
    """A copy of it."""
    shutil.copytree(ran_once, tmp_path / "project")
    copy = Lab.__new__(Lab)
    copy.root = tmp_path / "project"
    yield copy


def refused(lab: Lab, words: tuple[str, ...], place: str) -> str:
    """Exit 2 with the place and a fix on each line, no traceback, no call; gives what was said."""
    ran = lab.run(*words)
    assert ran.code == 2, ran
    assert "Traceback" not in ran.err
    assert place in ran.err, ran.err[:2000]
    lines = ran.err.splitlines()
    assert all("; " in line for line in lines if not line.startswith("... and ")), ran.err[:2000]
    assert len(ran.err) < 20_000
    assert lab.calls() == []
    return ran.err


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", PLACES)
def test_what_is_not_a_regular_file_is_refused(lab: Lab, place: str, kind: str) -> None:
    """Nothing waits for a pipe, reads a device, or ends in a traceback."""
    name, prepare, words = PLACES[place]
    prepare(lab)
    (lab.root / name).unlink(missing_ok=True)
    KINDS[kind](lab.root / name)
    refused(lab, words, BY_FOLDER.get(place, Path(name).name.partition(".")[0]))


def content(name: str, data: bytes | str, prepare: Prepare = nothing) -> Prepare:
    """Other bytes in a file."""

    def spoil(lab: Lab) -> None:
        prepare(lab)
        lab.write(name, data)

    return spoil


def golden(name: str, data: bytes | str) -> Prepare:
    """Another golden set of another kind."""
    return content(name, data, swap("golden: cases.jsonl", f"golden: {name}"))


def suite_lines(lines: str) -> Prepare:
    """Lines after the end of the suite."""
    return lambda lab: lab.write("suite.yaml", (lab.root / "suite.yaml").read_text(encoding="utf-8") + lines)


def scorers(n: int) -> Prepare:
    """A suite of so many scorers."""
    return swap("  - exact\n", "  - exact\n" * n)


def big(name: str, size: int, prepare: Prepare = nothing, begin: bytes = b"") -> Prepare:
    """A file of many zero bytes that takes no room on the disk."""

    def spoil(lab: Lab) -> None:
        prepare(lab)
        with (lab.root / name).open("wb") as file:
            file.write(begin)
            file.truncate(size)

    return spoil


def parquet(rows: int, text: str, columns: int = 1) -> Prepare:
    """A Parquet file that says one text again and again."""

    def spoil(lab: Lab) -> None:
        import pyarrow as pa
        import pyarrow.parquet

        names = [f"c{at}" for at in range(columns)]
        table = pa.table({name: pa.array([text] * rows) for name in names})
        swap("golden: cases.jsonl", "golden: g.parquet")(lab)
        pyarrow.parquet.write_table(table, lab.root / "g.parquet", compression="zstd", use_dictionary=False)

    return spoil


def blank_gz(megabytes: int) -> bytes:
    """Blank lines, packed to a thousandth; many members are one file."""
    return gzip.compress(b"\n" * (1 << 20)) * megabytes


DEEP = "[" * 100_000 + "]" * 100_000
DIGITS = "9" * 100_000
ROW = '{"id": "a", "input": "q", "reference": "r"}\n'
PAST = swap(SYSTEM, "{replay: r.jsonl}", "r.jsonl")
CALIBRATED = swap("seed: 7", "calibrations: [c.json]\nseed: 7", "c.json")
SCHEMA = swap("  - exact\n", "  - json: {schema: s.json}\n", "s.json")
OLD_ROWS = ("gate", "old")
SHOW = ("baseline", "show", "main")

CONTENTS: dict[str, tuple[Prepare, tuple[str, ...], str]] = {
    "60,000 unknown keys": (suite_lines("".join(f"key{at}: 1\n" for at in range(60_000))), CHECK, "and 59,980 more"),
    "3,000 unknown options": (
        swap("  - exact\n", "  - exact: {" + ", ".join(f"k{at}: 1" for at in range(3_000)) + "}\n"),
        CHECK,
        "and 2,980 more",
    ),
    "20,000 scorers": (scorers(20_000), CHECK, "scorers: 20,003 entries, at most 1,000 are read; "),
    "2,000 gates": (suite_lines("  - {pass_rate: {min: 0.1}}\n" * 2_000), CHECK, "2,005 entries, at most 1,000"),
    "2,000 cohorts": (swap("[topic]", f"[{', '.join(f't{at}' for at in range(2_000))}]"), CHECK, "cohorts: 2,000"),
    "2,000 label files": (swap("[labels.jsonl]", f"[{', '.join(f'l{at}' for at in range(2_000))}]"), CHECK, "labels: 2,000"),
    "5,000 secrets in a suite": (
        suite_lines("".join(f"key{at}: ghp_{at:036d}\n" for at in range(5_000))), CHECK, "a secret is written into"),
    "shared structure in a suite": (
        suite_lines("a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 25))),
        CHECK, "anchors (&name) and aliases (*name) are refused; "),
    "merge keys": (suite_lines("base: {a: 1}\nmore: {<<: {a: 2}}\n"), CHECK, "a key that is not plain text; "),
    "a tag": (suite_lines("more: !!python/object:os.system {}\n"), CHECK, "the tag "),
    "keys again and again": (suite_lines("more: 1\n" * 10_000), CHECK, "repeats the key of line"),
    "a suite of one deep list": (suite_lines("more: " + DEEP[:60_000]), CHECK, "nested deeper than 50 levels; "),
    "a suite of deep lines": (suite_lines("".join(" " * n + "- a:\n" for n in range(1, 600))), CHECK, "suite.yaml:"),
    "a suite of a long number": (suite_lines(f"more: {DIGITS}\n"), CHECK, "an integer of 100000 digits; "),
    "a suite of UTF-16": (content("suite.yaml", "name: x".encode("utf-16")), CHECK, "UTF-16 text; "),
    "a suite with a NUL": (suite_lines("more: a\0b\n"), CHECK, "a character that YAML does not allow: U+0000; "),
    "a suite of one long line": (suite_lines("more: " + "x" * 10_000_000), CHECK, "more than 1 MiB; "),
    "a suite of 3 GB": (big("suite.yaml", 3 << 30), CHECK, "suite.yaml: more than 16 MiB; "),
    "an alias bomb in a rubric": (
        content("rubric.md", "---\nname: r\nversion: 1\nscale: [1, 5]\na: &a [1]\nb: *a\n---\nGrade {{answer}}.\n",
                PLACES["rubric"][1]), CHECK, "anchors (&name) and aliases (*name) are refused"),
    "a rubric of 3 GB": (big("rubric.md", 3 << 30, PLACES["rubric"][1]), CHECK, "rubric.md': more than"),
    "a golden set of zeros": (big("cases.jsonl", 3 << 30), CHECK, "cases.jsonl:1: a line longer than 8 MiB; "),
    "a golden set of one long line": (content("cases.jsonl", "x" * 10_000_000), CHECK, "a line longer than 8 MiB; "),
    "a golden set of deep lists": (content("cases.jsonl", f'{{"id": {DEEP}}}\n'), CHECK, "nested too deep; "),
    "a golden set of a long number": (content("cases.jsonl", f'{{"id": {DIGITS}}}\n'), CHECK, "an integer of 100000 digits; "),
    "a golden set of a long decimal": (content("cases.jsonl", f'{{"id": {DIGITS}.5}}\n'), CHECK, "; write it as text"),
    "a golden set of UTF-16": (content("cases.jsonl", ROW.encode("utf-16-le")), CHECK, "UTF-16 without a byte order mark; "),
    "a golden set with a NUL": (content("cases.jsonl", b"\0" + ROW.encode()), CHECK, "cases.jsonl:1:1: not JSON"),
    "a golden set of blank lines": (content("cases.jsonl", b"\n" * 1_100_000), CHECK, "more than 1,000,000 blank lines; "),
    "600 MB of blank lines, packed": (golden("g.jsonl.gz", blank_gz(600)), CHECK, "g.jsonl.gz"),
    "packed rows without end": (golden("g.jsonl.gz", gzip.compress(ROW.encode() * 100_000) * 20), CHECK, "g.jsonl.gz"),
    "a packed line without end": (golden("g.jsonl.gz", gzip.compress(bytes(1 << 25))), CHECK, "a line longer than "),
    "a packed set with more behind it": (golden("g.jsonl.gz", gzip.compress(ROW.encode()) + b"more"), CHECK, "is cut or foreign"),
    "a packed set that is cut": (golden("g.jsonl.gz", gzip.compress(ROW.encode() * 99)[:-9]), CHECK, "is cut or foreign"),
    "a packed set that is plain": (golden("g.jsonl.gz", ROW), CHECK, "is cut or foreign"),
    "a packed set of nothing": (golden("g.jsonl.gz", b""), CHECK, "no case in it; "),
    "10,000 bad rows": (content("cases.jsonl", '{"id": "a", "input": 5}\n' * 10_000), CHECK, "more"),
    "10,000 keys again": (content("cases.jsonl", "{" + ", ".join(['"a": 1'] * 10_000) + "}\n"), CHECK, "the key 'a' is duplicated; "),
    "a million columns": (golden("g.csv", "a," * 1_000_000), CHECK, "1,000,001 columns, at most 10,000 are read; "),
    "ten million columns": (golden("g.csv", "," * 10_000_000), CHECK, "g.csv"),
    "a cell without end": (golden("g.csv", 'id,input\n"' + ("x" * 99 + "\n") * 100_000), CHECK, "g.csv:"),
    "a row without end": (golden("g.csv", 'id,input\n"a' + ("x" * 99 + '\n","') * 100_000), CHECK, "a row longer than 8 MiB; "),
    "blank lines in a table": (golden("g.csv", "id,input\n" + "\n" * 1_100_000), CHECK, "more than 1,000,000 blank lines; "),
    "a table of UTF-16": (golden("g.csv", "id,input\na,q\n".encode("utf-16-be")), CHECK, "UTF-16 without a byte order mark; "),
    "a table with a NUL": (golden("g.csv", b"id,input\na,\0\n"), CHECK, "g.csv:"),
    "a table of zeros": (big("g.csv", 3 << 30, swap("golden: cases.jsonl", "golden: g.csv")), CHECK, "g.csv"),
    "a Parquet bomb": (parquet(2_000, "x" * 100_000), CHECK, "it unpacks to "),
    "a Parquet file of 12,000 columns": (parquet(1, "x", 12_000), CHECK, "12,000 columns, at most 10,000 are read; "),
    "a Parquet file of zeros": (big("g.parquet", 3 << 30, swap("golden: cases.jsonl", "golden: g.parquet"), b"PAR1"), CHECK, "g.parquet: "),
    "an Arrow file of zeros": (big("g.arrow", 1 << 20, swap("golden: cases.jsonl", "golden: g.arrow")), CHECK, "g.arrow: "),
    "labels of zeros": (big("labels.jsonl", 3 << 30), CHECK, "labels.jsonl:1: a line longer than 8 MiB; "),
    "100,000 bad labels": (content("labels.jsonl", "{}\n" * 100_000), CHECK, "... and "),
    "5,000 labels of nobody": (
        content("labels.jsonl", jsonl([{**LABELS[0], "case_id": f"z{at}"} for at in range(5_000)])), CHECK, "and 180 more"),
    "labels of deep lists": (content("labels.jsonl", f'{{"label": {DEEP}}}\n'), CHECK, "nested too deep; "),
    "a calibration of 3 GB": (big("c.json", 3 << 30, CALIBRATED), CHECK, "c.json"),
    "a calibration of deep lists": (content("c.json", DEEP, CALIBRATED), CHECK, "c.json"),
    "a calibration of a long number": (content("c.json", f'{{"format": {DIGITS}}}', CALIBRATED), CHECK, "c.json"),
    "a schema of 3 GB": (big("s.json", 3 << 30, SCHEMA), CHECK, "s.json"),
    "a schema of deep lists": (content("s.json", DEEP, SCHEMA), CHECK, "s.json"),
    "a schema of UTF-16": (content("s.json", "{}".encode("utf-16"), SCHEMA), CHECK, "not UTF-8 (byte 0xff at 1); save it as UTF-8"),
    "answers of zeros": (big("r.jsonl", 3 << 30, PAST), CHECK, "a line longer than 64 MiB"),
    "answers of deep lists": (content("r.jsonl", f'{{"id": "c0", "output": {DEEP}}}\n', PAST), CHECK, "r.jsonl:1: "),
    "answers of a long number": (content("r.jsonl", f'{{"id": {DIGITS}, "output": "x"}}\n', PAST), CHECK, "r.jsonl:1: "),
    "blank lines of answers": (content("r.jsonl", b"\n" * 1_100_000, PAST), CHECK, "more than 1,000,000 blank lines; "),
    "100,000 bad answers": (content("r.jsonl", "{}\n" * 100_000, PAST), CHECK, "and 181 more"),
    "a prompt of 3 GB": (big("p.txt", 3 << 30, PLACES["prompt"][1]), CHECK, "more than 16 MiB; "),
    "a prompt of UTF-16": (content("p.txt", "hello".encode("utf-16"), PLACES["prompt"][1]), CHECK, "not UTF-8 (byte 0xff at 1); "),
    "a manifest of 3 GB": (big("old/manifest.json", 3 << 30), OLD_ROWS, "more than 16 MiB; "),
    "a manifest of deep lists": (content("old/manifest.json", DEEP), OLD_ROWS, "manifest.json: cannot be read: "),
    "a manifest of a long number": (content("old/manifest.json", f'{{"format": {DIGITS}}}'), OLD_ROWS, "manifest.json: "),
    "a manifest of UTF-16": (content("old/manifest.json", "[]".encode("utf-16")), OLD_ROWS, "manifest.json: "),
    "a baseline's manifest of zeros": (big(f"{MAIN}/manifest.json", 1 << 20), SHOW, "manifest.json"),
    "rows of zeros": (big("old/rows.jsonl", 3 << 30), OLD_ROWS, "a line longer than 64 MiB"),
    "rows of blank lines": (content("old/rows.jsonl", b"\n" * 100_000), OLD_ROWS, "more than 10,000 damaged rows; "),
    "blank rows of a resumed run": (content("old/rows.jsonl", b"\n" * 100_000), RESUME, "more than 10,000 damaged rows; "),
    "packed rows with more behind them": (
        lambda lab: lab.write(f"{MAIN}/rows.jsonl.gz", (lab.root / MAIN / "rows.jsonl.gz").read_bytes() + b"more"), RUN, "is cut or foreign"),
    "production of zeros": (big("calls.jsonl", 3 << 30), PLACES["production"][2], "a line longer than 8 MiB; "),
    "100,000 bad calls": (content("calls.jsonl", "{}\n" * 100_000), PLACES["production"][2], "and 180 more"),
    "exported labels of zeros": (big("export.jsonl", 3 << 30), PLACES["exported labels"][2], "a line longer than 8 MiB; "),
}  # fmt: skip
"""What is odd -> how the project becomes so, the command that meets it, and what it says."""


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.slow
def test_what_is_too_much_is_refused(lab: Lab, name: str) -> None:
    """With its place and a fix; the list of problems has an end too."""
    spoil, words, said = CONTENTS[name]
    spoil(lab)
    assert said in refused(lab, words, "")


def test_a_suite_has_a_number_of_values(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of one megabyte has half a million, each of which costs time."""
    monkeypatch.setattr("evalkit.formats.yaml_text.MAX_VALUES", 100)
    suite_lines(f"more: [{'1,' * 100}]\n")(lab)
    assert "more than 100 keys and values; keep data in the golden set" in refused(lab, CHECK, "suite.yaml:")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_source_file_does_not_stop_a_run(lab: Lab, kind: str) -> None:
    """A pipe or a device called like a module is not waited for when the source is hashed."""
    KINDS[kind](lab.root / "other.py")
    assert lab.run(*CHECK).code == 0


def test_a_link_to_the_rows_is_followed_once(lab: Lab) -> None:
    """Links to regular files are what they lead to."""
    (lab.root / "cases.jsonl").rename(lab.root / "real.jsonl")
    (lab.root / "cases.jsonl").symlink_to("real.jsonl")
    assert lab.run(*CHECK).code == 0
