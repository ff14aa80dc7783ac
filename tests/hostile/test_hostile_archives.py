"""A packed baseline is data of whoever proposed it: a file that unpacks without end is refused, in little memory."""

import gzip
import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile_lab import command, write_project

from evalkit.disk.files import MAX_RATIO
from evalkit.errors import InputError, Problem
from evalkit.formats.rows import encode_row
from evalkit.golden.json_lines import read_jsonl
from evalkit.store.chain import lines_of
from evalkit.store.folder import RunFolder
from evalkit.store.index import sorted_rows
from evalkit.types import Case, Output, Row

MEASURED = """
import resource, subprocess, sys
ran = subprocess.run(sys.argv[1:], capture_output=True, text=True)
sys.stderr.write(ran.stderr)
print(ran.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""
MOST_MIB = 300
"""Of a whole process; one that reads a sound baseline takes about 130."""
CASE = Case(id="c0", digest="0" * 64, input="q")
BOMBS = {
    "a line without end": b"\0",
    "blank lines": b"\n",
    "rows that break off": b'{"sum":"\n',
    "one row again and again": encode_row(Row(case=CASE, repeat=0, output=Output(text="a" * 2**17), scores={})),
}


def bomb(file: Path, piece: bytes, gibibytes: float = 1.0) -> None:
    """Write a file that unpacks to a thousand times its size, of one piece."""
    packed = gzip.compress(piece * (16 * 2**20 // len(piece)))
    with file.open("wb") as out:
        for _ in range(int(64 * gibibytes)):
            out.write(packed)
    assert file.stat().st_size < 2**30 * gibibytes / 450


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a baseline and a run."""
    made = tmp_path_factory.mktemp("archives")
    write_project(made)
    for words in (
        ["run", "suite.yaml", "--out", "old"],
        ["baseline", "save", "old"],
        ["run", "suite.yaml", "--out", "new"],
    ):
        assert command(made, *words, *(["--progress", "none"] if words[0] == "run" else [])).code == 0
    return made


@pytest.fixture
def spoil(root: Path, tmp_path: Path) -> Callable[[bytes], Path]:
    """Makes a copy of the baseline whose rows are a bomb."""

    def made(piece: bytes) -> Path:
        saved, copy = root / "reports" / "baselines" / "main", root / f"bomb-{tmp_path.name}"
        copy.mkdir()
        for file in saved.glob("*.json"):
            (copy / file.name).write_bytes(file.read_bytes())
        bomb(copy / "rows.jsonl.gz", piece, 1.0 if piece == b"\0" else 0.25)
        return copy

    return made


def measured(root: Path, *words: str) -> tuple[int, int, str]:
    """Exit code, peak memory in MiB, and what a command in a process of its own says."""
    process = [sys.executable, "-c", MEASURED, sys.executable, "-m", "evalkit", *words]
    ran = subprocess.run(process, cwd=root, capture_output=True, text=True, check=True, timeout=600)
    code, mebibytes = ran.stdout.split()
    return int(code), int(mebibytes), ran.stderr


@pytest.mark.parametrize("kind", BOMBS)
def test_a_baseline_that_unpacks_without_end_is_refused(root: Path, spoil: Callable[[bytes], Path], kind: str) -> None:
    """Exit 2 with file, what and fix, before the first call, and no more memory than a run takes."""
    folder = spoil(BOMBS[kind])
    out = f"run-{folder.name}"
    code, mebibytes, said = measured(root, "run", "suite.yaml", "--baseline", folder.name, "--out", out)
    assert code == 2, said
    assert "Traceback" not in said
    assert f"{folder.name}/rows.jsonl.gz" in said
    assert "; " in said
    assert mebibytes < MOST_MIB
    assert not (root / out).exists()


def test_every_command_that_reads_a_baseline_refuses_it(root: Path, spoil: Callable[[bytes], Path]) -> None:
    """From a folder, and from an artifact, whose own files are bounded too."""
    folder = spoil(b"\0")
    packed = root / "packed.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    unpacking = root / "unpacking.zip"
    with zipfile.ZipFile(unpacking, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / "manifest.json", "manifest.json")
        with archive.open("rows.jsonl", "w") as rows:
            for _ in range(128):
                rows.write(bytes(2**20))
    for words in (
        ("gate", "new", "--baseline", folder.name),
        ("gate", "new", "--baseline", packed.name),
        ("gate", "new", "--baseline", unpacking.name),
        ("baseline", "show", folder.name),
        ("baseline", "verify", folder.name, "--suite", "suite.yaml"),
        ("verify", folder.name),
        ("diff", folder.name, "new"),
        ("report", folder.name),
    ):
        code, mebibytes, said = measured(root, *words)
        assert (code, "Traceback" in said) == (2, False), (words, said)
        assert "rows.jsonl" in said, words
        assert mebibytes < MOST_MIB, words


def test_a_manifest_has_a_size(root: Path, tmp_path: Path) -> None:
    """A head of 18 MB is not a head."""
    (tmp_path / "manifest.json").write_text("[" + "{}," * (6 * 2**20) + "{}]", encoding="utf-8")
    with pytest.raises(InputError, match=r"manifest\.json: cannot be read: more than 16 MiB; run the suite again"):
        RunFolder(tmp_path).manifest()


def test_both_ways_to_read_rows_refuse_it(tmp_path: Path) -> None:
    """In the order written and in the order of their keys; a golden set ends at its longest line."""
    file = tmp_path / "rows.jsonl.gz"
    bomb(file, b"\0")
    wanted = r"rows\.jsonl\.gz:1: a line longer than 64 MiB; .+"
    with pytest.raises(InputError, match=wanted):
        list(lines_of(file))
    with pytest.raises(InputError, match=wanted):
        list(sorted_rows(file)())
    bomb(file, b"x" * 1000 + b"\n", 0.25)
    wanted = rf"rows\.jsonl\.gz: unpacks to more than {MAX_RATIO} times its \d+ bytes; .+"
    with pytest.raises(InputError, match=wanted):
        list(lines_of(file))
    problems: list[Problem] = []
    bomb(file, b"\0")
    assert list(read_jsonl(file, "rows.jsonl.gz", problems.append)) == []
    assert "a line longer than 8 MiB" in str(problems[0])


@pytest.mark.parametrize(
    ("answer", "contexts", "n"),
    [
        ("yes", (), 20_000),
        ("I cannot help with that. " * 80, (), 8_000),
        ("yes", ("Article 5 of the long contract says this and that. " * 400,), 4_000),
        ("the the " * 12_500, (), 200),
        ("the the " * 125_000, (), 50),
    ],
    ids=["short", "one-refusal", "one-long-context", "loops", "long-loops"],
)
def test_repetitive_baselines_are_read(tmp_path: Path, answer: str, contexts: tuple[str, ...], n: int) -> None:
    """Rows that say the same again and again, as those of a system that refuses or loops, are rows."""
    file = tmp_path / "rows.jsonl.gz"
    with gzip.open(file, "wb") as packed:
        for number in range(n):
            digest = hashlib.sha256(str(number).encode()).hexdigest()
            case = Case(id=f"c{number}", digest=digest, input="q", contexts=contexts)
            packed.write(encode_row(Row(case=case, repeat=0, output=Output(text=answer), scores={})))
    assert sum(1 for _ in lines_of(file)) == n


def test_a_cut_archive_is_named_wherever_it_is_read(tmp_path: Path, root: Path) -> None:
    """Not only by the first reader."""
    file = tmp_path / "rows.jsonl.gz"
    file.write_bytes((root / "reports" / "baselines" / "main" / "rows.jsonl.gz").read_bytes()[:-12])
    for read in (lines_of(file), sorted_rows(file)()):
        with pytest.raises(InputError, match="is cut or foreign"):
            list(read)


def test_a_baseline_can_be_saved_under_another_name(root: Path) -> None:
    """Its rows are packed once, not twice."""
    assert command(root, "baseline", "save", "reports/baselines/main", "--name", "again").code == 0
    first, again = (root / "reports" / "baselines" / name / "rows.jsonl.gz" for name in ("main", "again"))
    assert gzip.decompress(first.read_bytes()) == gzip.decompress(again.read_bytes())
    assert json.loads(again.with_name("manifest.json").read_bytes())["run_id"]
