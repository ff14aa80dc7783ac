"""A disk that fails, a folder that may not be written, few file descriptors, a journal that is cut or flipped."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_project import HERE, FaultProject, project_in

from evalkit.store.chain import Damage, scan
from evalkit.store.journal import Journal, read_rows
from evalkit.types import Case, Output, Row, Score

SUITE = """\
name: disk
golden: cases.jsonl
system: {replay: golden}
scorers: [exact]
gate:
  - pass_rate: {min: 0.5}
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A project of four stored answers."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "suite.yaml").write_text(SUITE, encoding="utf-8")
    rows = [{"id": f"c{i}", "input": "q", "reference": "a", "answer": "a"} for i in range(4)]
    (tmp_path / "cases.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return tmp_path


def check_failing_disk(root: Path, how: str, code: int) -> int:
    """Fail operation after operation; gives how many were failed."""
    words = ["run", "suite.yaml", "--progress", "none", "--no-report"]
    command = [sys.executable, str(HERE / "fail_at.py"), "out", how, str(code), *words]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    assert not found[-1]["failed"]
    assert found[-1]["code"] == 0
    decisions = set()
    for each in found:
        said = " ".join(each["said"].split())
        assert each["again"] == 0, (each["nth"], each["resumed"])
        assert each["kept"], each["nth"]
        assert "Traceback" not in said, said
        if each["code"] == 0:
            assert not each["failed"] or each["nth"] > 15, "a failed write went unheard"
        else:
            assert each["code"] == 4, said
            assert f"out/{each['nth']}/" in said.replace(" ", "") or f"out/{each['nth']}:" in said
            assert "free the disk" in said
        decision = json.loads((root / "out" / str(each["nth"]) / "decision.json").read_bytes())
        decisions.add(json.dumps({**decision, "run_id": "", "head": ""}))
        assert len(scan(root / "out" / str(each["nth"]) / "rows.jsonl").sums) == 4
    assert len(decisions) == 1
    return len(found) - 1


def test_every_write_may_fail_once(small: Path) -> None:
    """A full disk at the Nth operation, N = 1, 2 ...: exit 4 with path and fix, earlier rows stand, resume goes on."""
    assert check_failing_disk(small, "once", errno.ENOSPC) > 20


@pytest.mark.long
@pytest.mark.parametrize(("how", "code"), [("always", errno.ENOSPC), ("once", errno.EIO), ("always", errno.EIO)])
def test_every_write_may_fail_in_other_ways(how: str, code: int, small: Path) -> None:
    """Once or from then on, full or broken."""
    assert check_failing_disk(small, how, code) > 20


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(small: Path) -> None:
    """Exit 4 before the first call."""
    (small / "shut").mkdir(mode=0o500)
    command = [sys.executable, "-m", "evalkit", "run", "suite.yaml", "--out", "shut/run"]
    ended = subprocess.run(command, cwd=small, capture_output=True, text=True, check=False)
    assert ended.returncode == 4
    assert "shut/run" in ended.stderr


def test_a_path_that_is_no_folder(small: Path) -> None:
    """Exit 2 that names it, root or not: no disk has failed."""
    (small / "file").touch()
    command = [sys.executable, "-m", "evalkit", "run", "suite.yaml", "--out", "file/run"]
    ended = subprocess.run(command, cwd=small, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "file/run" in ended.stderr


@pytest.fixture
def project(tmp_path: Path) -> Iterator[FaultProject]:
    """A project whose system is behind HTTP."""
    with project_in(tmp_path, n_cases=120, delay_s=0.02, flags=("--no-report",)) as made:
        yield made


@pytest.mark.parametrize("concurrency", [16, 200])
def test_sixty_four_file_descriptors(concurrency: int, project: FaultProject) -> None:
    """Enough for the usual run; where they are not, that is said before the first call."""
    command = [sys.executable, "-m", "evalkit", *project.words("run", "--concurrency", str(concurrency))]
    ended = subprocess.run(
        command, cwd=project.root, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    )  # fmt: skip
    if concurrency == 16:
        assert ended.returncode == 3
        assert json.loads((project.root / "run" / "summary.json").read_bytes())["error_kinds"] == {"http_500": 7}
    else:
        assert ended.returncode == 2
        assert "this process may open 64" in ended.stderr
        assert "--concurrency" in ended.stderr
        assert not project.asked()


def a_row(number: int) -> Row:
    """A row as a run writes it."""
    case = Case(id=f"c{number}", input="why?", digest=f"{number:02d}" * 32, cohorts={"group": "a"})
    said = Output(text=f"because {number}", latency_s=0.25)
    return Row(case=case, output=said, scores={"exact": Score("exact", 1.0, passed=True)}, scored_by="0123456789ab")


def journal_of(path: Path, count: int) -> bytes:
    """A journal of so many rows."""
    with Journal(path) as journal:
        for number in range(count):
            journal.append(a_row(number))
    return path.read_bytes()


def test_cut_at_every_byte_of_the_last_twelve_rows(tmp_path: Path) -> None:
    """Exactly the whole rows are read, the torn one is named, and the next row starts a line of its own."""
    data = journal_of(tmp_path / "whole", 13)
    ends = [at + 1 for at, byte in enumerate(data) if byte == 10]
    path, rows = tmp_path / "cut", list(read_rows(tmp_path / "whole"))
    for size in range(ends[0], len(data)):
        path.write_bytes(data[:size])
        damaged: list[Damage] = []
        whole = sum(end <= size for end in ends)
        assert list(read_rows(path, damaged)) == rows[:whole]
        assert [damage.torn for damage in damaged] == [True] * (size not in ends)
        if size % 211 == 0:
            with Journal(path) as journal:
                journal.append(rows[0])
            assert list(read_rows(path)) == [*rows[:whole], rows[0]]


@pytest.mark.parametrize("flips", [300, pytest.param(3000, marks=pytest.mark.long)])
def test_no_flipped_bit_is_accepted(flips: int, tmp_path: Path) -> None:
    """The altered row is named, whichever bit it was; all others stand, and no other row appears."""
    path = tmp_path / "rows.jsonl"
    data = journal_of(path, 20)
    rows, draw = list(read_rows(path)), random.Random(11)
    for _ in range(flips):
        at = draw.randrange(len(data))
        changed = bytearray(data)
        changed[at] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(changed))
        damaged: list[Damage] = []
        found = list(read_rows(path, damaged))
        hit = data[:at].count(b"\n")
        lost = [rows[hit]] if data[at] != 10 else rows[hit : hit + 2]  # a lost line feed joins two lines
        assert found == [row for row in rows if row not in lost]
        assert damaged[0].line == hit + 1
        assert {damage.line for damage in scan(path).damaged} == {damage.line for damage in damaged}
