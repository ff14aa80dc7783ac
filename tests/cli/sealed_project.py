"""A project whose gate blocks by some failing cases, and the ways in which its run folder may be changed by hand."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cli_project import Project, Ran
from forked import forked

from evalkit.formats.rows import decode_row, encode_row
from evalkit.types import Score

BOT = """\
import os, pathlib

def answer(input: str, id: str) -> str:
    log = pathlib.Path(__file__).with_name("calls.log")
    with log.open("a") as file:
        file.write(id + "\\n")
    a, b = input.split("+")
    wrong = id.startswith("left-00") and not os.environ.get("LUCKY")
    return "no idea" if wrong else str(int(a) + int(b))
"""
SUITE = """\
name: sums
golden: cases.jsonl
system: {python: "bot:answer", version: "1"}
scorers:
  - exact
gate:
  - failures: {severity: null, max: 2}
"""
N_CASES = 20
FAILING = tuple(f"left-{i:03d}" for i in (1, 3, 5, 7, 9))
LUCKY = {"LUCKY": "1"}
"""The system answers everything right, and nothing that evalkit can see has changed."""
Change = Callable[[Path], None]


class Sealed(Project):
    """A project that 15 of 20 cases pass, where 18 have to; its commands are forked."""

    def __init__(self, root: Path, *, new: bool = True) -> None:
        self.root = root
        if new:
            super().__init__(root)
            (root / "bot.py").write_text(BOT, encoding="utf-8")
            self.cases(N_CASES)
            self.suite(text=SUITE)

    def run(self, *words: str, env: dict[str, str] | None = None) -> Ran:
        """Run the command to its end."""
        return forked(self.root, *words, env=env)


def lines_of(run: Path) -> list[bytes]:
    """Lines of a journal."""
    return (run / "rows.jsonl").read_bytes().splitlines(keepends=True)


def fails(line: bytes) -> bool:
    """Whether a line is the row of a failing case."""
    return json.loads(line)["row"]["case"]["id"] in FAILING


def delete_failing(run: Path) -> None:
    """Take every failing row out."""
    (run / "rows.jsonl").write_bytes(b"".join(line for line in lines_of(run) if not fails(line)))


def made_right(line: bytes) -> bytes:
    """The same row with a passing grade and a checksum that fits."""
    row = decode_row(line)
    assert row is not None
    assert row.output is not None
    right = dataclasses.replace(row.output, text=(row.case.reference or ("",))[0])
    scores = {"exact": Score(metric="exact", value=1.0, passed=True)}
    return encode_row(dataclasses.replace(row, output=right, scores=scores))


def edit_failing(run: Path) -> None:
    """Make failing rows passing ones, checksums included."""
    lines = [made_right(line) if fails(line) else line for line in lines_of(run)]
    (run / "rows.jsonl").write_bytes(b"".join(lines))


def append_passing(run: Path) -> None:
    """Leave every line, and add passing rows of the failing cases."""
    lines = lines_of(run)
    (run / "rows.jsonl").write_bytes(b"".join([*lines, *(made_right(line) for line in lines if fails(line))]))


def flip_bits(run: Path) -> None:
    """Damage the failing rows so that their checksums misfit."""
    lines = [line.replace(b"no idea", b"no idee") if fails(line) else line for line in lines_of(run)]
    (run / "rows.jsonl").write_bytes(b"".join(lines))


def cut_tail(run: Path) -> None:
    """Move the failing rows to the end and cut them off, as if a kill had."""
    lines = lines_of(run)
    kept = [line for line in lines if not fails(line)]
    (run / "rows.jsonl").write_bytes(b"".join([*kept, next(filter(fails, lines))[:40]]))


def empty(run: Path) -> None:
    """Take all rows out."""
    (run / "rows.jsonl").write_bytes(b"")


def change_json(run: Path, name: str, **values: Any) -> None:
    """Set keys of one of a run's files."""
    file = run / name
    file.write_text(json.dumps({**json.loads(file.read_bytes()), **values}), encoding="utf-8")


def without_decision(change: Change) -> Change:
    """The same change, and `decision.json` is gone."""

    def both(run: Path) -> None:
        change(run)
        (run / "decision.json").unlink()

    return both


def with_edited_decision(change: Change) -> Change:
    """The same change, and `decision.json` says that it was approved."""

    def both(run: Path) -> None:
        change(run)
        change_json(run, "decision.json", outcome="approved", exit_code=0, reasons=[])

    return both


def without_seal(change: Change) -> Change:
    """The same change, and the seal is gone."""

    def both(run: Path) -> None:
        change(run)
        (run / "seal.txt").unlink()

    return both


def with_edited_seal(change: Change) -> Change:
    """The same change, and the seal says that it was approved."""

    def both(run: Path) -> None:
        change(run)
        file = run / "seal.txt"
        file.write_bytes(file.read_bytes().replace(b'"blocked"', b'"approved"'))

    return both


CHANGES: dict[str, Change] = {
    "rows deleted": delete_failing,
    "rows edited with fitting checksums": edit_failing,
    "passing rows appended": append_passing,
    "rows damaged": flip_bits,
    "rows cut off at the end": cut_tail,
    "every row deleted": empty,
    "rows and decision deleted": without_decision(delete_failing),
    "rows edited and decision deleted": without_decision(edit_failing),
    "rows deleted and decision edited": with_edited_decision(delete_failing),
    "rows deleted and seal deleted": without_seal(delete_failing),
    "rows edited and seal edited": with_edited_seal(edit_failing),
    "rows, decision and seal deleted": without_seal(without_decision(delete_failing)),
}
