"""`evalkit verify`: accidental edits always show, deliberate ones where the head was published."""

import json
from pathlib import Path

import pytest
from cli_project import Project

from evalkit.formats.line import body_of, seal
from evalkit.formats.rows import encode_row
from evalkit.store.changes_since import before_in
from evalkit.store.folder import DECISION, RunFolder
from evalkit.store.journal import read_rows
from evalkit.store.seal import file_sums, write_seal


@pytest.fixture
def ran(project: Project) -> Project:
    """A project with one finished run of few cases."""
    project.cases(30)
    assert project.run("run", "suite.yaml", "--out", "run").returncode == 0
    return project


def test_the_head_is_published_and_fits(ran: Project) -> None:
    """One head in the decision, on the console, in the summary and in the report; a baseline keeps it."""
    again = ran.run("run", "suite.yaml", "--out", "run", "--resume")
    head = str(ran.json("run/decision.json")["head"])
    assert f"head    {head}" in again.stderr
    assert all(head in (ran.root / "run" / name).read_text(encoding="utf-8") for name in ("summary.md", "report.html"))
    found = ran.run("verify", "run", "--head", head)
    assert found.returncode == 0, found.stderr
    assert "30 intact, 30 planned" in found.stdout
    assert ran.run("baseline", "save", "run").returncode == 0
    assert ran.run("verify", "main", "--head", head).returncode == 0


def test_an_accidental_edit_is_named(ran: Project) -> None:
    """A changed byte by its line, a lost line by the head."""
    journal = ran.root / "run" / "rows.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(
        b"".join([*lines[:3], lines[3].replace(b"left", b"Left").replace(b"right", b"Right"), *lines[4:]])
    )
    found = ran.run("verify", "run")
    assert found.returncode == 1
    assert "rows.jsonl:4: altered" in found.stderr
    journal.write_bytes(b"".join(lines[1:]))
    found = ran.run("verify", "run")
    assert found.returncode == 1
    assert "1 row that the decision rested on is gone from rows.jsonl" in found.stderr


def test_an_edited_decision_shows(ran: Project) -> None:
    """Nobody turns a block into an approval."""
    file = ran.root / "run" / "decision.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"exit_code": 0', '"exit_code": 1'), encoding="utf-8")
    assert ran.run("verify", "run").returncode == 1
    file.write_text("{", encoding="utf-8")
    found = ran.run("verify", "run")
    assert found.returncode == 1
    assert "holds no head" in found.stderr


def test_a_row_that_no_run_writes_is_named(ran: Project) -> None:
    """Its checksum fits, and it says neither what was answered nor why nothing was."""
    journal = ran.root / "run" / "rows.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    body = body_of(lines[2])
    assert body is not None
    journal.write_bytes(b"".join([*lines[:2], seal(body.replace(b'"output":', b'"outptu":')), *lines[3:]]))
    found = ran.run("verify", "run")
    assert found.returncode == 1
    assert "rows.jsonl:3: altered: no run writes such a row; `evalkit run SUITE --out RUN --resume`" in found.stderr
    assert "29 intact, 30 planned" in found.stdout


def test_a_deliberate_edit_shows_against_the_published_head(ran: Project) -> None:
    """Whoever writes rows, checksums and head anew passes, but for the head that is known elsewhere."""
    published = str(ran.json("run/decision.json")["head"])
    forged(ran.root / "run")
    assert ran.run("verify", "run").returncode == 0
    found = ran.run("verify", "run", "--head", published)
    assert found.returncode == 1
    assert f"{published} was published" in found.stderr


def forged(run: Path) -> None:
    """Every row sealed anew with another answer in one of them, and the head and the seal to go with it."""
    import dataclasses

    folder = RunFolder(run)
    first, *others = read_rows(folder.rows_file)
    assert first.output is not None
    changed = dataclasses.replace(first, output=dataclasses.replace(first.output, text="42"))
    folder.rows_file.write_bytes(b"".join(map(encode_row, [changed, *others])))
    decision = json.loads(folder.file(DECISION).read_bytes())
    head = folder.head(decision)
    folder.write_json(DECISION, {**decision, "head": head})
    write_seal(folder, head, folder.scans(), before_in(folder).decisions, file_sums(folder))


def test_what_is_no_run_is_exit_2(project: Project) -> None:
    """A folder without a manifest, and no folder at all."""
    assert project.run("verify", ".").returncode == 2
    assert project.run("verify", "nowhere").returncode == 2
